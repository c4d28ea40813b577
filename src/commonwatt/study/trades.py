"""Attacks of a quorum on the trades of a slot: what their two ends settle, and under which orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from commonwatt.exchange import steps
from commonwatt.exchange.states import Posted, Settled
from commonwatt.proof import hash_struct, sign
from commonwatt.records import BUY, Line, Reading, Trade
from commonwatt.records.deltas import unpack_deltas
from commonwatt.study.scene import Scene, restated
from commonwatt.units import payment


def left_out(scene: Scene) -> bool:
    """The seller of a committed trade has no line of it, and somebody else gets its money. The seller kept what it was
    shown at the gate.
    """
    trade = _sold(scene)
    return scene.objected(without(scene.honest, trade, trade.seller), trade.seller, proof="challengeMissing")


def left_out_of_both(scene: Scene) -> bool:
    """The same, and the seller kept nothing: its page and the buyer's show it."""
    trade = _sold(scene)
    hidden = without(scene.honest, trade, trade.seller)
    shown = replace(hidden, records=scene.honest.records, account=scene.honest.account)
    return scene.objected_together({trade.buyer: shown, trade.seller: hidden}, "challengeMissing")


def two_ends(scene: Scene) -> bool:
    """The seller settles a Wh less of a trade than the buyer pays for, and somebody else gets the money."""
    trade = _sold(scene)
    false = _less(scene.honest, trade, trade.seller, scene.honest.lines[trade.seller], 1)
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
    return steps.post(false, scene.mandates)


def without(honest: Posted, trade: Trade, member: int) -> Posted:
    """A slot in which an end of a trade has no line of it, as the member at that end is shown it: somebody else has its
    money.
    """
    wh, wanted = int(honest.account.settled[trade.number]), hash_struct(trade)
    false = _less(honest, trade, member, honest.lines[member], wh)
    lines = [line for line in false.lines[member] if line.trade != wanted]
    false = restated(false, member, lines, unpack_deltas(false.deltas))
    kept = np.arange(len(honest.records)) != trade.number
    records = tuple(each for each in honest.records if each is not trade)
    return replace(false, records=records, account=replace(honest.account, settled=honest.account.settled[kept]))


def _less(honest: Posted, trade: Trade, member: int, lines: Sequence[Line], wh: int) -> Posted:
    """An end settles so much less of a trade [Wh]: its sums change from its line of it on, an accomplice's balance by
    as much the other way.
    """
    settled, buys = int(honest.account.settled[trade.number]), member == trade.buyer
    less = payment(settled, trade.price) - payment(settled - wh, trade.price)
    money, wanted = less if buys else -less, hash_struct(trade)
    place = [line.trade for line in lines].index(wanted)
    changed = [
        replace(line, bought=line.bought - wh * buys, sold=line.sold - wh * (not buys), money=line.money + money)
        for line in lines[place:]
    ]
    moved = unpack_deltas(honest.deltas).copy()
    accomplice = next(each for each in range(len(moved)) if each not in (trade.buyer, trade.seller))
    moved[member] += money
    moved[accomplice] -= money
    return restated(honest, member, [*lines[:place], *changed], moved)
