"""The ways in which the post of a stopped day can be wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from stopped_days import Day

from commonwatt.accounts.statements import Booked, by_member, lines_of
from commonwatt.exchange import steps
from commonwatt.exchange.states import Posted, Settled
from commonwatt.proof import Key, Tree, hash_struct, keccak, sign
from commonwatt.records import ZERO_HASH, Reading, Trade, Trades
from commonwatt.records.deltas import unpack_deltas
from commonwatt.study.scene import restated, with_statement
from commonwatt.study.trades import without

Lie = Callable[[Day, Posted, int], Posted]
"""Of the right post, and a member whom it is about."""


# Lies: each makes a post that is wrong in one way and as right as possible in all others


def with_trade(day: Day, posted: Posted, number: int, settled: int | None = None, **changes: Any) -> Posted:
    """A trade with other values, and everything as an honest exchange would make it of that.

    settled : how much of it was delivered [Wh]; None = as it was
    """
    records = list(posted.records)
    records[number] = replace(records[number], **changes)
    columns = [np.array(column) for column in zip(*((t.buyer, t.seller, t.wh, t.price) for t in records), strict=True)]
    energy = posted.account.settled.copy()
    energy[number] = energy[number] if settled is None else settled
    credit = Trades(columns[0], columns[1], energy, columns[3]).credit(day.rules.members)
    account = replace(posted.account, trades=Trades(*columns), settled=energy, credit=credit)
    committed = replace(posted.delivered.committed, records=tuple(records[: agreed_in(posted)]))
    return posted_of(day, replace(posted, delivered=replace(posted.delivered, committed=committed), account=account))


def with_reading(day: Day, posted: Posted, member: int, **changes: Any) -> Posted:
    """The member's meter counted something else, and signed it."""
    signed, key = posted.delivered.readings[member], day.homes.keys.meters[member]
    assert signed
    assert key
    return read_as(day, posted, member, replace(signed.record, **changes), key)


def read_as(day: Day, posted: Posted, member: int, reading: Reading, key: Key) -> Posted:
    """The member's statement is of this reading."""
    readings = list(posted.delivered.readings)
    readings[member] = sign(day.exchange.domain, reading, key)
    return posted_of(day, replace(posted, delivered=replace(posted.delivered, readings=tuple(readings))))


def posted_of(day: Day, settled: Settled) -> Posted:
    """The post of a settled slot."""
    return steps.post(Settled(settled.delivered, settled.after, settled.account), day.exchange.mandates)


def agreed_in(posted: Posted) -> int:
    """How many trades were committed."""
    return len(posted.delivered.committed.records)


def booked_by(posted: Posted, member: int) -> list[Booked]:
    """The member's trades, in the order of its lines."""
    settled = posted.account.settled.tolist()
    booked = (Booked(trade, hash_struct(trade), wh) for trade, wh in zip(posted.records, settled, strict=True))
    return by_member(booked, len(posted.lines))[member]


def booking(posted: Posted, member: int, booked: Sequence[Booked]) -> Posted:
    """A member's lines are of these trades, and somebody who is at no end of its trades has what that makes."""
    lines, own, moved = lines_of(member, booked), posted.statements[member], unpack_deltas(posted.deltas).copy()
    assert own
    difference = (lines[-1].money if lines else 0) - own.money
    moved[member] += difference
    moved[bystander(posted, member)] -= difference
    return restated(posted, member, lines, moved)


def bystander(posted: Posted, member: int) -> int:
    """The last member that has no trade with this one."""
    known = {end for each in booked_by(posted, member) for end in (each.trade.buyer, each.trade.seller)}
    return next(each for each in range(len(posted.lines) - 1, -1, -1) if each not in known and each != member)


def own(posted: Posted, member: int, *, ahead: bool) -> Trade:
    """The first trade of a member that was committed, or of the pool."""
    agreed = agreed_in(posted)
    return next(
        trade for trade in posted.records if member in (trade.buyer, trade.seller) and (trade.number < agreed) == ahead
    )


def beyond(posted: Posted, member: int, price: int, *, ahead: bool) -> tuple[int, int]:
    """Number of a trade of the member's, and a price that is so much worse for it."""
    trade = own(posted, member, ahead=ahead)
    return trade.number, trade.price + price if trade.buyer == member else max(trade.price - price, 1)


def dearer_than_the_order(day: Day, posted: Posted, member: int) -> Posted:
    number, price = beyond(posted, member, 999_999, ahead=True)
    return with_trade(day, posted, number, price=price)


def dearer_than_the_mandate(day: Day, posted: Posted, member: int) -> Posted:
    number, price = beyond(posted, member, 999_999, ahead=False)
    return with_trade(day, posted, number, price=price)


def dearer_than_committed(day: Day, posted: Posted, member: int) -> Posted:
    number, price = beyond(posted, member, 1000, ahead=True)
    return with_trade(day, posted, number, price=price)


def more_than_ordered(day: Day, posted: Posted, member: int) -> Posted:
    trade = own(posted, member, ahead=True)
    consent = trade.buy_order if trade.buyer == member else trade.sell_order
    signed = posted.delivered.committed.cleared.declared.signed
    wh = next(order.record.wh for order in signed if order.hash == consent) + 1
    return with_trade(day, posted, trade.number, wh, wh=wh)


def more_than_the_mandate(day: Day, posted: Posted, member: int) -> Posted:
    trade, mandate = own(posted, member, ahead=False), day.exchange.mandates[member].record
    wh = (mandate.buy_wh if trade.buyer == member else mandate.sell_wh) + 1
    return with_trade(day, posted, trade.number, wh, wh=wh, price=1)


def under_a_replaced_order(day: Day, posted: Posted, member: int) -> Posted:
    """The trades of a member's order, booked under the one that it replaced."""
    declared = posted.delivered.committed.cleared.declared
    replaced = {
        place: min(
            other
            for other, order in enumerate(declared.signed)
            if declared.members[other] == declared.members[place] and order.record.side == now.record.side
        )
        for place, now in enumerate(declared.signed)
    }
    earlier = {order.hash: declared.signed[replaced[place]].hash for place, order in enumerate(declared.signed)}
    records = tuple(
        replace(trade, buy_order=earlier.get(trade.buy_order, trade.buy_order))
        if trade.buyer == member
        else replace(trade, sell_order=earlier.get(trade.sell_order, trade.sell_order))
        if trade.seller == member
        else trade
        for trade in posted.delivered.committed.records
    )
    delivered = replace(posted.delivered, committed=replace(posted.delivered.committed, records=records))
    return posted_of(day, replace(posted, delivered=delivered))


def under_another_consent(day: Day, posted: Posted, member: int) -> Posted:
    """A line books under the mandate what was traded under an order."""
    lines, mandate = list(posted.lines[member]), day.exchange.mandates[member].hash
    place = next(place for place, line in enumerate(lines) if line.order != mandate)
    lines[place] = replace(lines[place], order=mandate)
    return restated(posted, member, lines)


def of_another_slot(day: Day, posted: Posted, member: int) -> Posted:
    return with_trade(day, posted, own(posted, member, ahead=True).number, slot=posted.post.slot + 3600)


def with_a_number(day: Day, posted: Posted, member: int, other: int) -> Posted:
    """A trade of the pool is with the member of another number, of whom nothing is posted."""
    trade = own(posted, member, ahead=False)
    ends: dict[str, Any] = {"seller": other} if trade.buyer == member else {"buyer": other}
    foreign = replace(trade, **ends)
    booked = [
        Booked(foreign, hash_struct(foreign), each.settled) if each.trade == trade else each
        for each in booked_by(posted, member)
    ]
    readings = (*posted.delivered.readings, *[None] * (other + 1 - len(posted.delivered.readings)))
    records = tuple(foreign if each == trade else each for each in posted.records)
    false = booking(posted, member, booked)
    return replace(false, records=records, delivered=replace(false.delivered, readings=readings))


def with_nobody(day: Day, posted: Posted, member: int) -> Posted:
    return with_a_number(day, posted, member, day.rules.members)


def another_sum(day: Day, posted: Posted, member: int) -> Posted:
    first, *others = posted.lines[member]
    return restated(posted, member, [replace(first, money=first.money - 500), *others])


def energy_of_the_other_side(day: Day, posted: Posted, member: int) -> Posted:
    """The first line buys and sells, and the rest goes on from there."""
    lines, buys = posted.lines[member], own(posted, member, ahead=True).buyer == member
    more = [replace(line, bought=line.bought + (not buys), sold=line.sold + buys) for line in lines]
    return restated(posted, member, more)


def another_total(day: Day, posted: Posted, member: int) -> Posted:
    """The statement says less money than its last line, and so does the balance."""
    lines, moved = posted.lines[member], unpack_deltas(posted.deltas).copy()
    moved[member] -= 500
    moved[bystander(posted, member)] += 500
    return restated(posted, member, lines, moved, money=lines[-1].money - 500)


def a_total_without_lines(day: Day, posted: Posted, member: int) -> Posted:
    """The statement says what it did, and rests on no line."""
    statement = posted.statements[member]
    assert statement
    return restated(posted, member, (), bought=statement.bought, sold=statement.sold, money=statement.money)


def another_delta(day: Day, posted: Posted, member: int) -> Posted:
    moved = unpack_deltas(posted.deltas).copy()
    moved[member] -= 1000
    moved[0] += 1000
    return restated(posted, member, posted.lines[member], moved)


def passed_over(day: Day, posted: Posted, member: int) -> Posted:
    moved = unpack_deltas(posted.deltas).copy()
    moved[0] += moved[member]
    moved[member] = 0
    return with_statement(posted, member, None, moved)


def moved_without_a_statement(day: Day, posted: Posted, member: int) -> Posted:
    return with_statement(posted, member, None)


def a_trade_twice(day: Day, posted: Posted, member: int) -> Posted:
    first, *others = booked_by(posted, member)
    return booking(posted, member, [first, first, *others])


def lines_out_of_order(day: Day, posted: Posted, member: int) -> Posted:
    return booking(posted, member, booked_by(posted, member)[::-1])


def more_than_metered(day: Day, posted: Posted, member: int) -> Posted:
    trade, wh = own(posted, member, ahead=False), abs(int(posted.delivered.net[member])) + 1
    return with_trade(day, posted, trade.number, wh, wh=wh)


def against_its_meter(day: Day, posted: Posted, member: int) -> Posted:
    signed = posted.delivered.readings[member]
    assert signed
    return with_reading(day, posted, member, wh_in=signed.record.wh_out, wh_out=signed.record.wh_in)


def of_another_slots_reading(day: Day, posted: Posted, member: int) -> Posted:
    return with_reading(day, posted, member, slot=posted.post.slot + 3600)


def of_another_meter(day: Day, posted: Posted, member: int) -> Posted:
    """The meter counted the same, and is nobody's."""
    signed, stranger = posted.delivered.readings[member], Key.derive(b"tests", "a stranger's meter")
    assert signed
    return read_as(day, posted, member, replace(signed.record, meter=stranger.address), stranger)


def without_a_reading(day: Day, posted: Posted, member: int) -> Posted:
    return restated(posted, member, posted.lines[member], reading=ZERO_HASH)


def left_out(day: Day, posted: Posted, member: int) -> Posted:
    return without(posted, own(posted, member, ahead=True), member)


def left_out_last(day: Day, posted: Posted, member: int) -> Posted:
    """What would be the member's last line, or the one before that, is not there."""
    trades = [each.trade for each in booked_by(posted, member) if each.trade.number < agreed_in(posted)]
    return without(posted, trades[-1], member)


LIES: dict[str, Lie] = {
    "challengeTrade": under_another_consent,
    "challengeOrder": dearer_than_the_order,
    "challengeMandate": dearer_than_the_mandate,
    "challengeOrderFill": more_than_ordered,
    "challengeMandateFill": more_than_the_mandate,
    "challengeCommitted": dearer_than_committed,
    "challengeSum": another_sum,
    "challengeTotal": another_total,
    "challengeDelta": another_delta,
    "challengeSequence": lines_out_of_order,
    "challengeTradeSequence": a_trade_twice,
    "challengeDelivery": more_than_metered,
    "challengeDirection": against_its_meter,
    "challengeUnread": without_a_reading,
    "challengeUnstated": passed_over,
    "challengeReplaced": under_a_replaced_order,
    "challengeMissing": left_out,
}
"""By the function of the contract that is to delete the post."""

OTHERS: tuple[tuple[str, Lie], ...] = (
    ("challengeTrade", of_another_slot),
    ("challengeTrade", with_nobody),
    ("challengeSum", energy_of_the_other_side),
    ("challengeTotal", a_total_without_lines),
    ("challengeDelivery", of_another_slots_reading),
    ("challengeDelivery", of_another_meter),
    ("challengeUnstated", moved_without_a_statement),
    ("challengeMissing", left_out_last),
)
"""More that the same functions delete."""


# Lies that the pages of two members show together


def with_two_ends(day: Day, posted: Posted, member: int) -> tuple[Posted, int]:
    """The other end of a member's trade settles less than the member's, and somebody else pays; who is at that end."""
    settled = posted.account.settled.tolist()
    trade = next(
        trade
        for trade in posted.records[: agreed_in(posted)]
        if member in (trade.buyer, trade.seller) and settled[trade.number]
    )
    there, wanted = trade.seller if trade.buyer == member else trade.buyer, hash_struct(trade)
    less = [each._replace(settled=each.settled - (each.hash == wanted)) for each in booked_by(posted, there)]
    return booking(posted, there, less), there


# Statements over no tree of lines that anybody could show whole


def deeper(lines: Sequence[bytes]) -> Tree:
    """One level more than the lines need."""
    return Tree.of([*lines, *[ZERO_HASH] * (1 << Tree.of(lines).depth)])


def with_a_hole(lines: Sequence[bytes]) -> Tree:
    """The place behind the first line is empty."""
    return Tree.of([lines[0], ZERO_HASH, *lines[1:]])


def with_one_more(lines: Sequence[bytes]) -> Tree:
    """Behind the lines that are shown stands one that is not."""
    return Tree.of([*lines, keccak(b"a line")])


def over(posted: Posted, member: int, tree: Callable[[Sequence[bytes]], Tree]) -> tuple[Posted, Tree]:
    """The member's statement is over such a tree of its lines."""
    statement, made = posted.statements[member], tree([hash_struct(line) for line in posted.lines[member]])
    assert statement
    return with_statement(posted, member, replace(statement, lines=made.root)), made
