"""What goes wrong beside a living exchange costs one slot, one order or one reading, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from enrolled_cases import HOUR, METER, NEW, Growing
from exchange_cases import homes_of
from live_cases import Village

from commonwatt.community.calendar import Slots
from commonwatt.errors import DataError, LedgerError, RecordError
from commonwatt.exchange import rows
from commonwatt.exchange.admission import MOST_ORDERS
from commonwatt.exchange.events import Correction, GateClosure, SlotEnd
from commonwatt.meter.protocol import DUPLICATE, REFUSED, STORED
from commonwatt.records import Order, Signed


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[Growing]:
    found = Growing(tmp_path)
    yield found
    found.simulation.close()


def test_who_joins_while_a_post_waits_can_order(tmp_path: Path) -> None:
    growing = Growing(tmp_path, window="2h")
    first, second, third = growing.starts[:3]
    for now in (first - HOUR, first, first + HOUR + 61):
        growing.live.advance(now)
    assert len(growing.exchange.outbox.pending) == 1
    growing.enrol(second + 120)
    growing.roster.file(growing.mandate(), third)
    (receipt,) = growing.live.orders([growing.sells(growing.starts[3])], second + 180)
    assert not isinstance(receipt, RecordError)
    assert [type(event) for event in growing.live.advance(third + 61)] == [GateClosure, SlotEnd]
    growing.simulation.close()


def test_a_reading_of_a_meter_that_was_revoked_meanwhile_does_not_count_and_holds_nothing_up(growing: Growing) -> None:
    first, second = growing.starts[:2]
    growing.enrol(first - 2 * HOUR)
    growing.roster.file(growing.mandate(), first)
    for now in (first - HOUR, first):
        growing.live.advance(now)
    growing.community.revoke_meter(growing.homes.keys.operator, METER.address, at=second - 1800)
    # The exchange has not heard of it yet.
    said = growing.live.readings([*growing.everybody(second), growing.reads(second, 900, 1)], second + HOUR)
    assert said[-1].status == STORED
    for now in (second + HOUR, second + HOUR + 61):
        growing.live.advance(now)
    assert rows.last_ended(growing.exchange.store) == second
    assert growing.exchange.recalled(first, 0).statements[NEW]


def test_a_member_that_is_heard_of_too_late_belongs_to_the_slots_that_are_not_settled(
    growing: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = growing.starts[:3]
    for now in (first - HOUR, first):
        growing.live.advance(now)
    with monkeypatch.context() as patch:
        patch.setattr(growing.roster, "follow", lambda: False)
        growing.enrol(first + 60)
        for now in (second, second + HOUR + 61):
            growing.live.advance(now)
    growing.live.readings([growing.everybody(second)[0]], second + HOUR + 90)
    done = growing.live.advance(second + HOUR + 120)
    assert [type(event) for event in done] == [Correction]
    assert [len(growing.roster.at(slot).mandates) for slot in (second, third)] == [5, 6]
    assert len(growing.exchange.recalled(second, 1).statements) == 5


def test_what_the_ledger_refused_is_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    village = Village(tmp_path)
    exchange, live = village.exchange, village.live
    slot = int(exchange.rules.period.starts[0])
    live.advance(exchange.rules.events[0].at)

    def full(*_: object) -> None:
        raise LedgerError("The node's pool is full.")

    with monkeypatch.context() as patch:
        patch.setattr(exchange.outbox, "post", full)
        live.advance(slot + 3600 + 120)
    assert live.behind == "The node's pool is full."
    assert exchange.client.posted(slot, 0) is None
    live.advance(slot + 3600 + 121)
    assert (live.behind, exchange.client.posted(slot, 0) is None) == ("", False)
    village.simulation.close()


def test_a_gate_that_cannot_close_holds_no_slot_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    growing = Growing(tmp_path)
    first = growing.starts[0]
    growing.live.advance(first - HOUR)

    def another(*_: object, **__: object) -> None:
        raise LedgerError("Another charter was adopted.")

    with monkeypatch.context() as patch:
        patch.setattr(growing.exchange, "close_gate", another)
        assert growing.live.advance(first) == []
        assert growing.live.advance(first + HOUR + 60) == [SlotEnd(first + HOUR + 60, first)]
    assert growing.live.behind == "Another charter was adopted."
    growing.simulation.close()


def test_days_without_prices_keep_nobody_out_and_are_looked_for_again(growing: Growing) -> None:
    first, rules_at = growing.starts[0], growing.live.rules_at

    def without_prices(_: int) -> Any:
        raise DataError("prices.csv does not cover 2026-06-16.")

    growing.live.rules_at = without_prices
    growing.enrol(first - 2 * HOUR)
    assert growing.live.trouble == "prices.csv does not cover 2026-06-16."
    assert len(growing.exchange.rules.community.members) == NEW + 1
    growing.live.rules_at = rules_at
    growing.live.advance(first - 2 * HOUR + 61)
    assert growing.live.trouble == ""


def test_bills_that_are_anchored_keep_their_slots_as_they_are(tmp_path: Path) -> None:
    village = Village(tmp_path)
    exchange, live = village.exchange, village.live
    live.advance(exchange.rules.events[0].at)
    slot = int(exchange.rules.period.starts[0])
    live.advance(slot + 3600 + 120)
    exchange.anchor(bytes(range(32)), Slots(slot, 1, 3600))
    live.readings([homes_of(village.simulation).meters[0].read(slot, 100, 0, 1)], slot + 3600 + 130)
    assert live.advance(slot + 3600 + 140) == []
    assert "bills with slot" in exchange.obstacle(Correction(slot + 3600 + 140, slot))
    village.simulation.close()


def test_strangers_fill_no_memory_and_push_nothing_out(tmp_path: Path) -> None:
    village = Village(tmp_path)
    live, meters = village.live, homes_of(village.simulation).meters
    slot = int(village.exchange.rules.period.starts[0])
    good, now = meters[0].read(slot, 500, 0, 1), slot + 3600
    far = [meters[1].read(at, 5, 0, 1) for at in (2**62, slot + 3600 * 5_000, slot - 3600 * 5_000, 2**63 - 3600)]
    said = live.readings([good, *far, good], now)
    assert [each.status for each in said] == [STORED, *[REFUSED] * 4, DUPLICATE]
    assert set(live._came) == {slot}
    village.simulation.close()


def test_a_member_orders_so_often_for_a_slot_and_no_more(growing: Growing) -> None:
    first, second = growing.starts[:2]
    growing.enrol(first - 2 * HOUR)
    growing.roster.file(growing.mandate(), first)
    growing.live.advance(first - HOUR)
    given: list[Signed[Order]] = [growing.sells(second, wh=100, nonce=1 + number) for number in range(MOST_ORDERS + 5)]
    said = growing.live.orders(given, first - 60)
    assert [isinstance(each, RecordError) for each in said] == [False] * MOST_ORDERS + [True] * 5
    assert "no more are taken" in str(said[-1])


def test_after_an_outage_what_is_due_is_brought_little_by_little(tmp_path: Path) -> None:
    village = Village(tmp_path)
    exchange, live = village.exchange, village.live
    gate, slots = exchange.rules.events[0].at, exchange.rules.period.starts.tolist()
    live.advance(gate)
    later, parts = slots[-1] + 2 * HOUR, list[list[Any]]()
    while done := live.advance(later):
        parts.append(done)
    assert [event.slot for part in parts for event in part if isinstance(event, SlotEnd)] == slots
    assert max(map(len, parts)) <= 8
    assert (live.behind, rows.last_ended(exchange.store)) == ("", slots[-1])
    village.simulation.close()
