"""Trades to balances: what each member can pay, netted per member. Pure integers; the contract does the same sums."""

from __future__ import annotations

import numpy as np

from commonwatt.records import Trades
from commonwatt.units import WH_PER_KWH, IntArray

LANE_MIN, LANE_MAX = -(2**31), 2**31 - 1
"""Range of one member's delta in a post [lane unit]."""


def affordable(trades: Trades, free: IntArray) -> IntArray:
    """How much of each trade the members' free collateral covers, shape (trades,) [Wh] <= trades.wh.

    free : shape (members,) [micro-currency]. A member whose net payment exceeds it loses its purchases, the last
    first, as far as needed; what is cut meets the utility on both ends. A cut lowers the seller's income, so the
    search goes on until everyone can pay; each round only lowers trades, so it ends.
    """
    settled = trades.wh.copy()
    members, free = len(free), np.maximum(free, 0)
    while True:
        credit = Trades(trades.buyer, trades.seller, settled, trades.price).credit(members)
        short = np.maximum(np.maximum(-free, LANE_MIN) - credit, 0)
        excess = np.maximum(credit - LANE_MAX, 0)
        if not short.any() and not excess.any():
            return settled
        for member in np.flatnonzero(short):
            _cut(trades, settled, trades.buyer == member, int(short[member]))
        for member in np.flatnonzero(excess):
            _cut(trades, settled, trades.seller == member, int(excess[member]))


def _cut(trades: Trades, settled: IntArray, mine: np.typing.NDArray[np.bool_], needed: int) -> None:
    """Lower `settled` of the trades in `mine`, last first, until payments fall by `needed` [micro-currency]."""
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


def pack_deltas(credit: IntArray) -> bytes:
    """Deltas as the contract reads them: one big-endian int32 per member."""
    return credit.astype(">i4").tobytes()
