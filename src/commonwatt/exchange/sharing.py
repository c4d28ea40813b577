"""Step 7 where registers are shared after delivery: each register is a participant of the pools.

What a pool gives to a register of a member from another of its own moves no money, and is no trade; it counts as
shared, as it does to the grid company.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from commonwatt.accounts import netting
from commonwatt.accounts.registers import Registers, Shares
from commonwatt.exchange.states import Account, Delivered, Missed, Settled
from commonwatt.market import Frame, Positions
from commonwatt.market.agreements import joined
from commonwatt.market.interface import Limits
from commonwatt.market.stage import ActiveStage
from commonwatt.records import Clearing, Trades
from commonwatt.units import IntArray


def share(
    delivered: Delivered,
    stages: Sequence[ActiveStage],
    frame: Frame,
    bounds: Limits,
    free: IntArray,
    registers: Registers,
) -> Settled:
    """As `steps.settle`, of what the registers counted; no trades were agreed before delivery."""
    stages = () if isinstance(delivered.committed, Missed) else stages
    pools, among, made_by, kept = list[Clearing](), Trades(), list[int](), delivered.kept
    for stage in stages:
        left = _left(delivered.counted, among, registers, bounds)
        positions = Positions(left, bounds.max_buy[registers.owner], bounds.min_sell[registers.owner], kept)
        (pool,) = stage.clear(participants(frame, registers), (positions,))
        kept = pool.kept if len(pool.kept) else kept
        pools.append(pool)
        among = joined(among, pool.trades)
        made_by += [stage.number] * len(pool.trades)
    buyer, seller = registers.owner[among.buyer], registers.owner[among.seller]
    others = buyer != seller
    trades = Trades(buyer, seller, among.wh, among.price).keep(others)
    settled = netting.affordable(trades, free - delivered.moved)
    final = replace(trades, wh=settled)
    local = final.position(frame.members)
    within = among.wh.copy()
    within[others] = settled
    return Settled(
        delivered,
        tuple(pools),
        Account(
            trades,
            np.array(made_by, dtype=np.int64)[others],
            settled,
            local,
            delivered.net - local,
            final.credit(frame.members),
            _shares(delivered.counted, replace(among, wh=within), kept),
        ),
    )


def participants(frame: Frame, registers: Registers) -> Frame:
    """The market's surroundings, with registers in the place of members."""
    return replace(frame, members=len(registers), importing=registers.importing)


def _left(counted: IntArray, among: Trades, registers: Registers, bounds: Limits) -> IntArray:
    """What the stages so far have left of each register within its member's limits, shape (registers,) [Wh].

    Positive = buys. A member's registers of one direction share its limit, the first one first.
    """
    most = np.where(registers.sign > 0, bounds.buy_wh[registers.owner], bounds.sell_wh[registers.owner])
    within = np.clip(most - registers.before(counted), 0, counted)
    return registers.sign * within - among.position(len(registers))


def _shares(counted: IntArray, among: Trades, kept: IntArray) -> Shares:
    shared, worth = np.zeros((2, len(counted)), dtype=np.int64)
    for end in (among.buyer, among.seller):
        np.add.at(shared, end, among.wh)
        np.add.at(worth, end, among.wh * among.price)
    return Shares(counted, shared, worth, kept)
