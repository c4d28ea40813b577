"""Operators who sign at different places: each goes the same steps, and signs what comes out the same."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cosign_cases import LOOKS, THREE, Apart, Elsewhere
from live_cases import Village

from commonwatt.accounts.document import anchored, hex_text
from commonwatt.errors import LedgerError, RecordError
from commonwatt.exchange import cosigned, ledger_rows, personal, rows, tables
from commonwatt.exchange.bills import bills_of, closed_days
from commonwatt.exchange.events import GateClosure
from commonwatt.exchange.states import Cleared, Committed, Declared, Delivered, Readings, Wishes
from commonwatt.exchange.store import drop, put
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.meter import SimulatedMeter
from commonwatt.proof import keccak, recover
from commonwatt.service.api.members import _erase
from commonwatt.service.exchange_client import Refused


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Apart]:
    found = Apart(tmp_path / "apart", slots=3)
    yield found
    found.close()


@pytest.fixture
def other(apart: Apart, tmp_path: Path) -> Iterator[Elsewhere]:
    found = Elsewhere(apart, apart.others[0], tmp_path / "other")
    yield found
    found.close()


def posted(village: Village) -> list[Any]:
    return [message.post for _, message in ledger_rows.read_posts(village.exchange.store)]


def missed(apart: Apart) -> int:
    return rows.count_slots(apart.exchange.store)[2]


def test_a_day_that_two_of_three_sign_apart_is_that_of_one_who_has_all_keys(
    apart: Apart, other: Elsewhere, tmp_path: Path
) -> None:
    def late(slot: int, home: int) -> int:
        return 7200 if home == 2 and slot == apart.exchange.rules.period.start else 0

    alone = Village(tmp_path / "alone", THREE, slots=3)
    alone.run(late, until=apart.last)
    apart.day(other, late=late)
    assert other.signed == 3 + 3 + 1  # each gate, each slot, and one slot once more
    assert [post.revision for post in posted(apart)].count(1) == 1
    assert posted(apart) == posted(alone)
    assert not apart.exchange.outbox.pending
    assert not apart.exchange.outbox.unsigned
    assert apart.exchange.client.balances().tolist() == alone.exchange.client.balances().tolist()
    alone.simulation.close()
    _members_have_receipts_of_both(apart, other)
    _bills_are_anchored_when_both_have_signed(apart, other)


def _members_have_receipts_of_both(apart: Apart, other: Elsewhere) -> None:
    period = apart.exchange.rules.period
    slot = period.end - period.seconds
    (first, *_) = apart.exchange.store.rows(tables.orders, slot=slot)
    receipts = apart.exchange.outbox.receipts(slot, first.position, first.hash)
    signers = {recover(apart.exchange.domain.digest(each.hash), each.signature) for each in receipts}
    assert signers == {apart.homes.keys.operators[0].address, other.key.address}


def _bills_are_anchored_when_both_have_signed(apart: Apart, other: Elsewhere) -> None:
    exchange, period = apart.exchange, apart.exchange.rules.period
    apart.live.roster.name(apart.live.roster.at(apart.now).mandates[2].record.member, "Ada")
    exchange.under(exchange.rules.with_members(apart.live.roster.members))
    with exchange.store.transaction() as connection:  # of one member's meter the box has the key
        put(connection, tables.devices, (hex_text(apart.homes.meters[1].key.address), 0, ""))
    root = anchored(bills_of(exchange.books, list(closed_days(exchange.books)))).tree.root
    for bills in (keccak(b"others"), root):
        with pytest.raises(LedgerError, match="Too few operators have signed the root of the bills"):
            exchange.anchor(bills, period)
        assert not _erased(apart, 2)["name"]
        assert other.step() == (bills == root)
        with exchange.store.transaction() as connection:
            drop(connection, tables.anchors, start=period.start)
        apart.now += 60
    exchange.anchor(root, period)
    assert exchange.client.anchored(period.start, period.end) == root
    assert _erased(apart, 2)["name"]


def _erased(apart: Apart, member: int) -> dict[str, Any]:
    account = apart.live.roster.at(apart.now).mandates[member].record.member
    return _erase(apart.live, member, account, apart.now)


def test_without_enough_signatures_slots_are_missed_and_readings_are_taken(apart: Apart) -> None:
    apart.day()
    assert missed(apart) == 3
    assert not posted(apart)
    assert not apart.live.behind
    assert len(apart.exchange.store.rows(tables.accounts)) == 3 * 5


class Sometimes:
    """An operator that looks at times only.

    looks : says at which [unix s]; killed : it is, now and then, and so is the exchange
    """

    def __init__(self, operator: Elsewhere, looks: Callable[[int], bool], *, killed: bool = False) -> None:
        self.operator, self.looks, self.killed = operator, looks, killed

    def step(self) -> int:
        apart = self.operator.apart
        if not self.looks(apart.now):
            return 0
        even = apart.now % (2 * LOOKS) == 0
        if self.killed and even:
            self.operator.restart()
        signed = self.operator.step()
        if self.killed and not even:  # what was signed, and is not told the ledger yet, is forgotten
            apart.begin()
        return signed


def test_whoever_of_the_others_is_gone_the_day_is_settled(apart: Apart, other: Elsewhere, tmp_path: Path) -> None:
    third = Elsewhere(apart, apart.others[1], tmp_path / "third")
    begins = apart.exchange.rules.period.start
    apart.day(Sometimes(other, lambda now: now < begins), Sometimes(third, lambda now: now >= begins))
    assert (other.signed, third.signed) == (2, 4)  # who comes later goes the steps of earlier gates too
    assert missed(apart) == 0
    assert len(posted(apart)) == 3
    assert not apart.exchange.outbox.pending
    third.close()


def test_both_ends_are_killed_and_posts_wait_and_nothing_is_lost(apart: Apart, other: Elsewhere) -> None:
    period = apart.exchange.rules.period
    apart.day(Sometimes(other, lambda now: now <= period.start + 3600 or now > period.end, killed=True))
    assert missed(apart) == 0
    assert len(posted(apart)) == 3
    assert not apart.exchange.outbox.pending
    assert all(len(message.signatures) == 2 for _, message in ledger_rows.read_posts(apart.exchange.store))


def test_a_post_that_expired_is_shown_again_and_its_debits_count_meanwhile(apart: Apart, other: Elsewhere) -> None:
    def look() -> bool:
        return bool(apart.now % LOOKS == 0 and not other.step() and False)

    first, outbox = apart.exchange.rules.period.end, apart.exchange.outbox
    apart.run(lambda _slot, _home: 0, look, until=first)
    (last,) = outbox.pending
    assert not outbox.unsigned
    # One of those who signed is an operator no more, and nobody was there before it expired.
    outbox.pending = [replace(last, signatures=last.signatures[:1])]
    outbox._brought.clear()
    chain = apart.exchange.client.node
    assert isinstance(chain, EmbeddedChain)
    chain.seal(first + 3 * 3600)
    free, apart.now = outbox.free().tolist(), first + 3 * 3600
    outbox.finalise_due(apart.now)
    assert outbox.pending == outbox.unsigned
    assert outbox.pending
    assert outbox.free().tolist() == free
    assert (last.post.slot, False) in [(each.slot, each.enough) for each in cosigned.waiting(apart.exchange)]
    apart.run(lambda _slot, _home: 0, look, since=apart.now, until=apart.now + 3 * 3600)
    assert len(posted(apart)) == 3
    assert not outbox.unsigned
    assert not outbox.pending


def test_no_member_erases_what_others_check_a_gate_by(apart: Apart, other: Elsewhere) -> None:
    exchange, home = apart.exchange, 1
    apart.run(lambda _slot, _home: 0, until=exchange.rules.events[0].at + 600)  # the gate waits
    planned = exchange.store.rows(tables.planned, member=home)
    assert planned
    assert personal.erase(exchange, home, apart.now).plans == 0
    assert exchange.store.rows(tables.planned, member=home) == planned
    assert other.step() == 1
    late = planned[-1].slot + exchange.rules.period.seconds + exchange.rules.community.ledger.corrections + 1
    assert personal.erase(exchange, home, late).plans == len(planned)


# What a dishonest exchange does, its own key signs


class Dishonest:
    """An exchange that lies about each slot in another way."""

    def __init__(self, apart: Apart) -> None:
        exchange = self.exchange = apart.exchange
        self.short, self.hungry, self.cheap = exchange.rules.period.starts.tolist()
        self._commitment, self._believed, self._admitted = exchange.commitment, exchange.believed, exchange.admitted
        exchange.commitment, exchange.believed = self.commitment, self.believed  # type: ignore[method-assign]
        exchange.admitted = self.admitted  # type: ignore[method-assign]

    def commitment(self, cleared: Cleared) -> Committed:
        """In the last slot each trade costs a little more than was agreed."""
        trades = cleared.trades
        if cleared.declared.slot == self.cheap:
            trades = replace(trades, price=trades.price + 1)
        return self._commitment(replace(cleared, trades=trades))

    def believed(self, committed: Committed, readings: Readings) -> Delivered:
        """In the one before homes took more than their meters signed."""
        found = self._believed(committed, readings)
        return replace(found, net=found.net + 500 * (committed.cleared.declared.slot == self.hungry))

    def admitted(self, closure: GateClosure, wishes: Wishes) -> list[Declared]:
        """In the first one an order that was accepted is not among those of the gate."""
        accepted = self.exchange.accepted.get(self.short)
        if accepted and closure.slots.start == self.short:
            last = len(accepted.signed) - 1
            kept = {key: place for key, place in accepted.last.items() if place != last}
            self.exchange.accepted[self.short] = replace(
                accepted, signed=accepted.signed[:-1], members=accepted.members[:-1], last=kept
            )
            c = tables.orders.c
            with self.exchange.store.transaction() as connection:
                connection.execute(tables.orders.delete().where(c.slot == self.short, c.position == last))
        return self._admitted(closure, wishes)


def test_what_an_exchange_does_otherwise_is_told_and_not_signed(
    apart: Apart, other: Elsewhere, caplog: pytest.LogCaptureFixture
) -> None:
    lies = Dishonest(apart)
    with caplog.at_level(logging.ERROR):
        apart.day(other)
    told = {record.message for record in caplog.records}
    cheap, hungry, short = lies.cheap, lies.hungry, lies.short
    differs = "are not those that this operator comes to."
    assert f"Not signed: gate of slot {cheap}. Slot {cheap}: its trades {differs}" in told
    assert f"Not signed: post of slot {hungry}. Slot {hungry}, revision 0: its statements {differs}" in told
    assert any(each.startswith(f"Not signed: gate of slot {short}. ") and "is missing" in each for each in told)
    assert missed(apart) == 2
    assert not any(apart.exchange.client.posted(slot, 0) for slot in (cheap, hungry, short))


def test_a_reading_that_no_meter_signed_is_not_counted_elsewhere(
    apart: Apart, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def forge(path: str, found: Any) -> Any:
        for each in found.get("readings", []) if path.startswith("/posts/") else []:
            each["whIn"] += 100
        return found

    deceived = Elsewhere(apart, apart.others[0], tmp_path / "deceived", forge)
    with caplog.at_level(logging.ERROR):
        apart.day(deceived)
    assert deceived.signed == 3
    assert any("Not signed: post of slot" in record.message for record in caplog.records)
    deceived.close()


def test_nobody_signs_two_versions(apart: Apart, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The exchange has its gate signed, and asks once more with other orders."""
    again, first = False, apart.exchange.rules.period.start

    def forge(path: str, found: Any) -> Any:
        if path == f"/gates/{first}" and again:
            found["slots"][0]["tradesRoot"] = "0x" + "11" * 32
        return found

    operator = Elsewhere(apart, apart.others[0], tmp_path / "operator", forge)
    apart.run(lambda _slot, _home: 0, until=apart.exchange.rules.events[0].at + 600)  # the gate waits
    assert operator.step() == 1
    again = True
    before = dict(apart.exchange.outbox._brought)
    apart.exchange.outbox._brought.clear()  # the exchange forgets it
    with caplog.at_level(logging.ERROR):
        assert operator.step() == 0
    assert "its trades are not those" in caplog.text
    assert before
    assert not apart.exchange.outbox._brought
    operator.close()


def test_so_many_receipts_as_orders_are_shown_can_be_brought_at_once(apart: Apart, other: Elsewhere) -> None:
    given = {"slot": apart.exchange.rules.period.start, "first": 0, "signatures": ["0x" + "11" * 65] * 500}
    with pytest.raises(Refused, match="wait for these receipts"):
        asyncio.run(other.cosigner.client.cosigned("/receipts", json=given))


def test_only_an_operators_own_signature_of_what_waits_is_taken(apart: Apart, other: Elsewhere) -> None:
    apart.run(lambda _slot, _home: 0, until=apart.exchange.rules.events[0].at + 600)
    (gate,) = cosigned.waiting(apart.exchange)
    stranger = SimulatedMeter(other.key, apart.exchange.domain)
    signature = stranger.read(gate.slot, 1, 0, 1).signature
    with pytest.raises(RecordError, match="is not the gate of slot"):
        cosigned.take(apart.exchange, other.key.address, "gate", gate.slot, 0, signature)
    with pytest.raises(RecordError, match="waits for signatures"):
        cosigned.take(apart.exchange, other.key.address, "post", gate.slot, 0, signature)
