"""Trades to balances: what each member can pay, netted per member. Pure integers; the contract does the same sums."""

from __future__ import annotations

import numpy as np

from commonwatt.records import Trades
from commonwatt.records.deltas import DELTA_MAX, DELTA_MIN
from commonwatt.units import WH_PER_KWH, IntArray


def delivered(trades: Trades, net: IntArray) -> IntArray:
    """How much of each day-ahead trade was really used and fed in, shape (trades,) [Wh] <= trades.wh.

    net : metered energy, shape (members,) [Wh], positive = into the home. A buyer settles no more than it drew, a
    seller no more than it fed in, trades in their order. So no member ever pays a neighbour for energy it did not use,
    and nobody is worse off than with the utility alone, however wrong the forecast was.
    """
    drawn = _in_order(trades.buyer, trades.wh, np.maximum(net, 0))
    return _in_order(trades.seller, drawn, np.maximum(-net, 0))


def _in_order(member: IntArray, wh: IntArray, cap: IntArray) -> IntArray:
    """Serve each member's trades in order until its cap [Wh] is used up."""
    order = np.argsort(member, kind="stable")
    running = np.cumsum(wh[order])
    before = running - wh[order]
    first = np.searchsorted(member[order], member[order], side="left")
    room = cap[member[order]] - (before - before[first])
    served = np.empty_like(wh)
    served[order] = np.minimum(wh[order], np.maximum(room, 0))
    return served


def affordable(trades: Trades, free: IntArray) -> IntArray:
    """How much of each trade the members' free collateral covers, shape (trades,) [Wh] <= trades.wh.

    free : shape (members,) [unit]. A member whose net payment exceeds it loses its purchases, the last
    first, as far as needed; what is cut meets the utility on both ends. So does what is beyond the range of a delta,
    first of buyers, then of sellers. A cut lowers the seller's income, so the search goes on until everyone can pay;
    each round only lowers trades, so it ends.
    """
    settled: IntArray = trades.wh.copy()
    members, free = len(free), np.maximum(free, 0)
    while True:
        credit = Trades(trades.buyer, trades.seller, settled, trades.price).credit(members)
        if (short := np.maximum(np.maximum(-free, DELTA_MIN) - credit, 0)).any():
            for member in np.flatnonzero(short):
                _cut(trades, settled, trades.buyer == member, int(short[member]))
        # Only once buyers can pay: what was cut for them is no longer in their sellers' way.
        elif (excess := np.maximum(credit - DELTA_MAX, 0)).any():
            for member in np.flatnonzero(excess):
                _cut(trades, settled, trades.seller == member, int(excess[member]))
        else:
            return settled


def payable(moved: IntArray, free: IntArray) -> bool:
    """Whether balances can change like this: nobody pays more than is free, nothing is beyond the range of a delta.

    moved, free : shape (members,) [unit]
    """
    return bool((moved >= np.maximum(-free, DELTA_MIN)).all() and (moved <= DELTA_MAX).all())


def _cut(trades: Trades, settled: IntArray, mine: np.typing.NDArray[np.bool_], needed: int) -> None:
    """Lower `settled` of the trades in `mine`, last first, until payments fall by `needed` [unit]."""
    for number in np.flatnonzero(mine)[::-1].tolist():
        price, wh = int(trades.price[number]), int(settled[number])
        paid = wh * price // WH_PER_KWH
        if paid == 0:
            continue
        kept = 0 if paid <= needed else (paid - needed) * WH_PER_KWH // price
        settled[number] = kept
        needed -= paid - kept * price // WH_PER_KWH
        if needed <= 0:
            return
