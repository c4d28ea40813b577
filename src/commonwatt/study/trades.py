"""Attacks of a quorum on the trades of a slot: what their two ends settle, and under which orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from commonwatt.exchange import steps
from commonwatt.exchange.states import Posted, Settled
from commonwatt.proof import hash_struct, sign
from commonwatt.records import BUY, ZERO_HASH, Reading, Statement, Trade
from commonwatt.records.deltas import unpack_deltas
from commonwatt.study.scene import Scene
from commonwatt.units import payment


def left_out(scene: Scene) -> bool:
    """The seller of a committed trade has no line of it, and somebody else gets its money. The seller kept what it was
    shown at the gate.
    """
    trade = _sold(scene)
    return scene.objected(_without(scene, trade), trade.seller, proof="challengeMissing")


def left_out_of_both(scene: Scene) -> bool:
    """The same, and the seller kept nothing: its page and the buyer's show it."""
    trade = _sold(scene)
    hidden = _without(scene, trade)
    shown = replace(hidden, records=scene.honest.records, account=scene.honest.account)
    return scene.objected_together({trade.buyer: shown, trade.seller: hidden}, "challengeMissing")


def two_ends(scene: Scene) -> bool:
    """The seller settles a Wh less of a trade than the buyer pays for, and somebody else gets the money."""
    trade = _sold(scene)
    false = _moved(scene, trade, scene.honest.statements, _place(scene, trade), 1)
    return scene.objected_together({trade.buyer: false, trade.seller: false}, "challengeSides")


def replaced(scene: Scene) -> bool:
    """A buyer's trades are booked under the order that it replaced."""
    committed = scene.honest.delivered.committed
    declared, buyer = committed.cleared.declared, _sold(scene).buyer
    own = [
        order.hash
        for order, member in zip(declared.signed, declared.members, strict=True)
        if member == buyer and order.record.side == BUY
    ]
    records = [replace(each, buy_order=own[0]) if each.buy_order == own[-1] else each for each in committed.records]
    delivered = replace(scene.honest.delivered, committed=replace(committed, records=tuple(records)))
    false = Settled(delivered, scene.honest.after, scene.honest.account)
    return scene.objected(_stated(scene, false), buyer, proof="challengeReplaced")


def cut(scene: Scene) -> bool:
    """Of a committed trade nothing settles, though both meters counted enough and the buyer could pay."""
    honest = scene.honest
    trade = _sold(scene)
    readings = list(honest.delivered.readings)
    for member, wh_in, wh_out in ((trade.buyer, 10**6, 0), (trade.seller, 0, 10**6)):
        draft = Reading(scene.meter_of(member).address, trade.slot, wh_in, wh_out, 10**6)
        readings[member] = sign(scene.client.domain, draft, scene.meter_of(member))
    settled = honest.account.settled.copy()
    settled[trade.number] = 0
    final = replace(honest.account.trades, wh=settled)
    account = replace(honest.account, settled=settled, credit=final.credit(len(readings)))
    false = Settled(replace(honest.delivered, readings=tuple(readings)), honest.after, account)
    posted = _stated(scene, false)
    return scene.objected_together({trade.buyer: posted, trade.seller: posted}, "challengeCut")


def _sold(scene: Scene) -> Trade:
    """A committed trade that was delivered, and whose buyer pays for a later one."""
    committed, settled = scene.honest.delivered.committed.records, scene.honest.account.settled
    paid = [trade for trade in scene.honest.records if payment(int(settled[trade.number]), trade.price)]
    last = {trade.buyer: trade.number for trade in paid}
    return next(trade for trade in paid if trade.number < min(last[trade.buyer], len(committed)))


def _stated(scene: Scene, false: Settled) -> Posted:
    return steps.post(false, [mandate.hash for mandate in scene.mandates])


def _place(scene: Scene, trade: Trade) -> int:
    """Where the seller's line of a trade stands."""
    wanted = (trade.seller, hash_struct(trade))
    return [(line.member, line.trade) for line in scene.honest.statements].index(wanted)


def _without(scene: Scene, trade: Trade) -> Posted:
    """The honest slot without the seller's line of a trade, as the seller is shown it."""
    honest, place = scene.honest, _place(scene, trade)
    lines = list(honest.statements)
    if [line.member for line in lines].count(trade.seller) == 1:
        lines[place] = replace(lines[place], trade=ZERO_HASH, order=ZERO_HASH)
    else:
        behind = lines[place + 1 :]
        lines[place:] = [replace(line, index=line.index - (line.member == trade.seller)) for line in behind]
    false = _moved(scene, trade, lines, place, int(honest.account.settled[trade.number]))
    kept = np.arange(len(honest.records)) != trade.number
    records = tuple(each for each in honest.records if each is not trade)
    return replace(false, records=records, account=replace(honest.account, settled=honest.account.settled[kept]))


def _moved(scene: Scene, trade: Trade, lines: Sequence[Statement], place: int, wh: int) -> Posted:
    """The seller sells so much less of a trade [Wh]: its sums change from a place on; an accomplice gets the money."""
    settled = int(scene.honest.account.settled[trade.number])
    money = payment(settled, trade.price) - payment(settled - wh, trade.price)
    behind = [
        replace(line, wh=line.wh + wh, money=line.money - money) if line.member == trade.seller else line
        for line in lines[place:]
    ]
    accomplice = next(each for each in range(len(scene.mandates)) if each not in (trade.buyer, trade.seller))
    moved = unpack_deltas(scene.honest.deltas).copy()
    moved[trade.seller] -= money
    moved[accomplice] += money
    return scene.restated([*lines[:place], *behind], moved)
