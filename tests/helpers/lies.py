"""A day that stops before a slot is posted, and the ways in which that post can be wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from exchange_cases import HEAD, MEMBERS, TARIFF

from commonwatt.exchange import steps
from commonwatt.exchange.events import Correction, Event
from commonwatt.exchange.excerpt import excerpt, promised
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.outbox import Outgoing, outgoing
from commonwatt.exchange.proofs import SlotProof
from commonwatt.exchange.states import Posted, Settled
from commonwatt.member.faults import Chain, Fault, faults
from commonwatt.proof import Tree, hash_struct, keccak
from commonwatt.records import ZERO_HASH, Statement, Trade, Trades
from commonwatt.records.deltas import pack_deltas, unpack_deltas
from commonwatt.simulation.homes import SigningHomes
from commonwatt.simulation.simulation import Simulation
from commonwatt.study.scene import Hesitant
from commonwatt.study.trades import without
from commonwatt.units import payment

TEXT = (
    HEAD + TARIFF
    + '[market.day_ahead]\nmechanism = "uniform"\ngate = "12:00"\n[market.pool]\nmechanism = "sdr"\n'
    + '[ledger]\nwindow = "2h"\nanswer = "30min"\nbond = "1"\n' + MEMBERS
)  # fmt: skip
MOST_GAS = 400_000
Lie = Callable[["Day", Posted, int], Posted]


LATE = TEXT + '[simulation]\nlate = "40 %"\n'
"""Of the same, with readings that come late, so that slots have a revision."""


class Stopping(Exchange):
    """An honest exchange that falls silent before the ledger at the first slot in which a home is `rich`.

    revision : of the slot in which it does
    """

    revision = 0
    stopped: Posted
    rich: int | None = None

    def stated(self, settled: Settled) -> tuple[Settled, Outgoing | None]:
        posted, message = super().stated(settled)
        assert isinstance(posted, Posted)
        self.stopped = posted
        self.rich = self._rich(posted.statements) if posted.post.revision == self.revision else None
        return posted, message

    def tell(self, event: Event | Correction, message: Outgoing | None) -> None:
        if self.rich is None:
            super().tell(event, message)

    def _rich(self, lines: Sequence[Statement]) -> int | None:
        """A home in the middle that has an order's trade and one of the pool."""
        for member in range(1, self.rules.members - 1):
            own = [line for line in lines if line.member == member]
            if len(own) >= 2 and len({line.order for line in own}) == 2:
                return member
        return None


class Correcting(Stopping):
    """The same, at a slot that is settled anew."""

    revision = 1


class Day(Simulation):
    """A day that stops at a slot in which a home has an order's trade and one of the pool."""

    exchange: Stopping
    homes: SigningHomes

    def __init__(self, *arguments: Any, engine: type[Stopping] = Stopping, **options: Any) -> None:
        super().__init__(*arguments, engine=engine, **options)
        self.homes = Hesitant.of(self.homes)

    @property
    def earlier(self) -> SlotProof | None:
        """The revision before the one at which it stopped."""
        post = self.stopped.post
        return SlotProof.stored(self.exchange.store, post.slot, post.revision - 1) if post.revision else None

    @property
    def stopped(self) -> Posted:
        return self.exchange.stopped

    def until_rich(self) -> int:
        """Advance without telling the chain of that slot; returns the home's index."""
        while self.exchange.rich is None:
            self.advance()
        return self.exchange.rich


# Lies: each makes a post that is wrong in one way and as right as possible in all others


def restated(posted: Posted, statements: Sequence[Statement], deltas: bytes | None = None) -> Posted:
    """The post of other statements, and of other deltas when they are given."""
    tree = Tree.of([hash_struct(line) for line in statements])
    deltas = posted.deltas if deltas is None else deltas
    document = replace(posted.post, statements=tree.root, deltas=keccak(deltas))
    return replace(posted, statements=tuple(statements), tree=tree, deltas=deltas, post=document)


def with_trade(day: Day, posted: Posted, number: int, price: int) -> Posted:
    """A trade at another price with its consistent statements; settled energy as far as the trade has it."""
    records = list(posted.records)
    records[number] = replace(records[number], price=price)
    columns = list(zip(*((t.buyer, t.seller, t.wh, t.price) for t in records), strict=True))
    account = replace(posted.account, trades=Trades(*map(day_array, columns)))
    trades = account.trades
    credit = Trades(trades.buyer, trades.seller, account.settled, trades.price).credit(day.rules.members)
    account = replace(account, credit=credit)
    agreed = len(posted.delivered.committed.records)
    committed = replace(posted.delivered.committed, records=tuple(records[:agreed]))
    delivered = replace(posted.delivered, committed=committed)
    mandates = [mandate.hash for mandate in day.exchange.mandates]
    return steps.post(Settled(delivered, posted.after, account), mandates)


def day_array(column: Sequence[int]) -> Any:
    import numpy as np

    return np.array(column, dtype=np.int64)


def own(posted: Posted, member: int, *, ahead: bool) -> Trade:
    agreed = len(posted.delivered.committed.records)
    return next(
        trade for trade in posted.records if member in (trade.buyer, trade.seller) and (trade.number < agreed) == ahead
    )


def dearer_than_the_order(day: Day, posted: Posted, member: int) -> Posted:
    trade = own(posted, member, ahead=True)
    return with_trade(day, posted, trade.number, 999_999 if trade.buyer == member else 1)


def dearer_than_the_mandate(day: Day, posted: Posted, member: int) -> Posted:
    trade = own(posted, member, ahead=False)
    return with_trade(day, posted, trade.number, 999_999 if trade.buyer == member else 1)


def dearer_than_committed(day: Day, posted: Posted, member: int) -> Posted:
    trade = own(posted, member, ahead=True)
    return with_trade(day, posted, trade.number, trade.price + (1000 if trade.buyer == member else -1000))


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
    mandates = [mandate.hash for mandate in day.exchange.mandates]
    return steps.post(Settled(delivered, posted.after, posted.account), mandates)


def another_sum(day: Day, posted: Posted, member: int) -> Posted:
    lines = list(posted.statements)
    place = next(i for i, line in enumerate(lines) if line.member == member)
    lines[place] = replace(lines[place], money=lines[place].money - 500)
    return restated(posted, lines)


def another_delta(day: Day, posted: Posted, member: int) -> Posted:
    moved = unpack_deltas(posted.deltas).copy()
    moved[member] -= 1000
    moved[0] += 1000
    return restated(posted, posted.statements, pack_deltas(moved))


def passed_over(day: Day, posted: Posted, member: int) -> Posted:
    moved = unpack_deltas(posted.deltas).copy()
    moved[0] += moved[member]
    moved[member] = 0
    return restated(posted, [line for line in posted.statements if line.member != member], pack_deltas(moved))


def a_line_twice(day: Day, posted: Posted, member: int) -> Posted:
    lines = list(posted.statements)
    place = next(i for i, line in enumerate(lines) if line.member == member)
    return restated(posted, [*lines[: place + 1], *lines[place:]])


def more_than_metered(day: Day, posted: Posted, member: int) -> Posted:
    lines = [
        replace(line, wh=line.wh + (10**6 if line.wh > 0 else -(10**6))) if line.member == member else line
        for line in posted.statements
    ]
    return restated(posted, lines)


def against_its_meter(day: Day, posted: Posted, member: int) -> Posted:
    """The first line goes the other way than the meter, and the next one back."""
    net = int(posted.delivered.net[member])
    place = next(i for i, line in enumerate(posted.statements) if line.member == member)
    lines = list(posted.statements)
    lines[place] = replace(lines[place], wh=-1 if net > 0 else 1)
    return restated(posted, lines)


def without_a_reading(day: Day, posted: Posted, member: int) -> Posted:
    lines = posted.statements
    return restated(posted, [replace(each, reading=ZERO_HASH) if each.member == member else each for each in lines])


def of_another_reading(day: Day, posted: Posted, member: int) -> Posted:
    """The posted readings have none of the member, whose lines name one."""
    readings = list(posted.delivered.readings)
    readings[member] = None
    root = Tree.of([reading.hash if reading else ZERO_HASH for reading in readings]).root
    delivered = replace(posted.delivered, readings=tuple(readings))
    return replace(posted, delivered=delivered, post=replace(posted.post, readings=root))


def moved_without_a_line(day: Day, posted: Posted, member: int) -> Posted:
    return restated(posted, [line for line in posted.statements if line.member != member])


def left_out(day: Day, posted: Posted, member: int) -> Posted:
    return without(posted, own(posted, member, ahead=True), member)


LIES: dict[str, Lie] = {
    "challengeOrder": dearer_than_the_order,
    "challengeMandate": dearer_than_the_mandate,
    "challengeCommitted": dearer_than_committed,
    "challengeSum": another_sum,
    "challengeDelta": another_delta,
    "challengeGap": passed_over,
    "challengeSequence": a_line_twice,
    "challengeDelivery": more_than_metered,
    "challengeDirection": against_its_meter,
    "challengeUnread": without_a_reading,
    "challengeReading": of_another_reading,
    "challengeUnstated": moved_without_a_line,
    "challengeReplaced": under_a_replaced_order,
    "challengeMissing": left_out,
}
OF_REVISIONS: dict[str, Lie] = {
    "challengeRevision" if name == "challengeDelta" else name: lie for name, lie in LIES.items()
} | {"challengeMoves": another_delta}


# Lies that another page than one member's shows, too


def from_nowhere(posted: Posted) -> Posted:
    """The first line of all goes on from one that is not there, so that its sums begin anywhere."""
    lines = posted.statements
    return restated(posted, [replace(line, index=line.index + 1) if line.member == 0 else line for line in lines])


def with_two_ends(day: Day, posted: Posted, member: int) -> tuple[Posted, int]:
    """The other end of a member's trade settles less than the member's, and somebody else pays; who is at that end."""
    trade = own(posted, member, ahead=True)
    there = trade.seller if trade.buyer == member else trade.buyer
    other = next(each for each in range(day.rules.members) if each not in (member, there))
    settled = int(posted.account.settled[trade.number])
    wh, money = 1, payment(settled, trade.price) - payment(settled - 1, trade.price)
    wh, money = (wh, -money) if there == trade.seller else (-wh, money)
    lines, shift = list(posted.statements), False
    for place, line in enumerate(lines):
        if line.member == there:
            shift = shift or line.trade == hash_struct(trade)
            lines[place] = replace(line, wh=line.wh + wh * shift, money=line.money + money * shift)
    moved = unpack_deltas(posted.deltas).copy()
    moved[there] += money
    moved[other] -= money
    return restated(posted, lines, pack_deltas(moved)), there


def shown_to(day: Day, shown: Posted, member: int) -> dict[str, Any]:
    """The excerpt that the member gets."""
    return excerpt(shown, member, day.exchange.mandates[member], day.exchange.client, day.earlier)


def look(day: Day, shown: Posted, honest: Posted, member: int) -> list[Fault]:
    client, mandate = day.exchange.client, day.exchange.mandates[member]
    document = shown_to(day, shown, member)
    slot = shown.post.slot
    earlier = day.earlier.post if day.earlier else None
    before = tuple((earlier, client.posted_deltas(slot, 0) or b"") for earlier in [earlier] if earlier)
    chain = Chain(day.exchange.domain, client.commitment(slot), shown.deltas, earlier=earlier, before=before)
    promises = promised(honest.delivered.committed, member)
    (line,), proof = document["content"]["slots"], document["proofs"][str(slot)]
    return faults(line, proof, member, mandate.record, chain, promises)


def publish(day: Day, posted: Posted) -> int:
    """Post it a second after the head; returns the time for what follows."""
    message = outgoing(posted, day.exchange.domain, day.exchange.outbox.quorum)
    client = day.exchange.client
    at = max(client.node.head.timestamp + 1, posted.post.slot + 3601)
    day.exchange.outbox.stake(at)
    client.post(message.post, message.trades, message.deltas, message.signatures, at=at)
    return client.node.head.timestamp + 1


def purse(day: Day, member: int) -> Any:
    client, keys = day.exchange.client, day.homes.keys
    client.pay(keys.members[member].address, 10**18, at=client.node.head.timestamp + 1)
    return keys.members[member]
