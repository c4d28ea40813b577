"""The driver of a living exchange, which is told the time and what comes in, and may be gone at any moment."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from exchange_cases import START, exchange_of, short_days, written
from live_cases import RICH, WAIT, Village

from commonwatt.community.calendar import Slots
from commonwatt.errors import NodeError, RecordError
from commonwatt.exchange import rows, tables
from commonwatt.exchange.events import Correction, Event, SlotEnd
from commonwatt.meter import SimulatedMeter
from commonwatt.meter.protocol import DUPLICATE, REFUSED, STORED
from commonwatt.proof import Key
from commonwatt.simulation.api import simulate
from commonwatt.units import MAX_ORDER_WH


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    with short_days():
        result = simulate(written(tmp_path_factory.mktemp("simulated"), RICH), START, 1)
    yield exchange_of(result).client.balances().tolist()
    result.close()


def balances(village: Village) -> list[int]:
    village.exchange.outbox.finalise_due()
    found: list[int] = village.exchange.client.balances().tolist()
    village.simulation.close()
    return found


def test_a_living_exchange_moves_the_money_of_a_simulation(tmp_path: Path, simulated: list[int]) -> None:
    village = Village(tmp_path)
    village.run(lambda _slot, _home: 0)
    assert [type(event) for event in village.said].count(SlotEnd) == 8
    assert not any(isinstance(event, Correction) for event in village.said)
    assert balances(village) == simulated


def test_readings_that_come_too_late_correct_their_slots(tmp_path: Path, simulated: list[int]) -> None:
    village = Village(tmp_path, seed=2)
    village.run(lambda slot, home: 0 if (slot // 3600 + home) % 3 else 1800 + 3600 * home)
    corrected = [event.slot for event in village.said if isinstance(event, Correction)]
    assert len(set(corrected)) == 8
    assert balances(village) == simulated


def test_an_exchange_that_is_killed_again_and_again_goes_on(tmp_path: Path, simulated: list[int]) -> None:
    village = Village(tmp_path, seed=3)
    village.run(lambda _slot, home: 0 if home else 2400, kill=lambda: village.chance.random() < 0.2)
    assert balances(village) == simulated


def test_while_the_ledger_is_gone_nothing_else_is_due_and_all_is_told_when_it_is_back(
    tmp_path: Path, simulated: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    village, gone = Village(tmp_path, seed=4), random.Random(4)  # noqa: S311
    node, behind = village.exchange.client.node, list[str]()
    submit = node.submit

    def sometimes(raw: bytes) -> bytes:
        if gone.random() < 0.3:
            raise NodeError("http://node", "does not answer")
        return submit(raw)

    monkeypatch.setattr(node, "submit", sometimes)
    advance = village.live.advance

    def noted(now: int) -> list[Event | Correction]:
        done = advance(now)
        behind.append(village.live.behind)
        return done

    monkeypatch.setattr(village.live, "advance", noted)
    village.run(lambda _slot, _home: 0)
    assert len([each for each in behind if "does not answer" in each]) > 2
    assert behind[-1] == ""
    monkeypatch.setattr(node, "submit", submit)
    assert balances(village) == simulated


def test_what_cannot_be_believed_is_refused_alone_and_changes_nothing(tmp_path: Path) -> None:
    village = Village(tmp_path)
    rules, meters, live = village.exchange.rules, village.homes.meters, village.live
    slot, other = int(rules.period.starts[0]), SimulatedMeter(Key.derive(b"nobody", "meter"), village.exchange.domain)
    now = slot + 3600
    good = meters[0].read(slot, 500, 0, 2)
    bad = {
        "is not enrolled here": other.read(slot, 500, 0, 1),
        "is signed by": replace(
            meters[1].read(slot, 500, 0, 1), record=replace(good.record, meter=meters[1].key.address)
        ),
        "which is over in": meters[1].read(slot + 3600, 500, 0, 1),
        "no slot of 3600 s starts then": meters[1].read(slot + 900, 500, 0, 1),
        "is in service since": meters[1].read(slot - 30 * 86_400, 500, 0, 1),
        "with number 1 after number 2": meters[0].read(slot, 500, 0, 1),
        "reports more than": meters[1].read(slot, MAX_ORDER_WH + 1, 0, 1),
        "65 bytes": replace(meters[1].read(slot, 500, 0, 1), signature=b""),
    }
    said = live.readings([good, *bad.values(), good], now)
    assert [each.status for each in said] == [STORED, *[REFUSED] * len(bad), DUPLICATE]
    for reason, each in zip(bad, said[1:], strict=False):
        assert reason in each.why
    kept = village.exchange.store.rows(tables.readings)
    assert [(row.member, row.sequence, row.revision, row.at) for row in kept] == [(0, 2, tables.WAITING, now)]
    village.simulation.close()


def test_a_plan_is_kept_until_its_gate_closes_and_one_that_cannot_be_is_not(tmp_path: Path) -> None:
    village = Village(tmp_path)
    slot, live, store = int(village.exchange.rules.period.starts[0]), village.live, village.exchange.store
    live.plan(1, {slot: -300})
    live.plan(1, {slot: -400, slot + 3600: 200})
    for nets, reason in (
        ({slot: 5, slot + 3600: MAX_ORDER_WH + 1}, "the most that can be counted"),
        ({slot + 1: 5}, "No gate is"),
    ):
        with pytest.raises(RecordError, match=reason):
            live.plan(1, nets)
    net, said = rows.read_planned(store, Slots(slot, 3, 3600), 5)
    assert (net[1].tolist(), said.sum()) == ([-400, 200, 0], 2)
    live.advance(village.exchange.rules.events[0].at)
    with pytest.raises(RecordError, match="No gate is open"):
        live.plan(1, {slot: 1})
    village.simulation.close()


def test_a_slot_waits_for_its_readings_and_not_for_ever(tmp_path: Path) -> None:
    village = Village(tmp_path)
    rules, live, meters = village.exchange.rules, village.live, village.homes.meters
    live.advance(rules.events[0].at)
    slot = int(rules.period.starts[0])
    assert live.advance(slot + 3600 + WAIT - 1) == []
    assert live.missing(slot) == frozenset(range(5))
    live.readings([meters[home].read(slot, 100, 0, 1) for home in range(4)], slot + 3600 + WAIT - 1)
    assert live.advance(slot + 3600 + WAIT - 1) == []
    assert live.missing(slot) == {4}
    assert live.advance(slot + 3600 + WAIT) == [SlotEnd(slot + 3600 + WAIT, slot)]
    # With all of them there it does not wait.
    after = slot + 3600
    live.readings([meter.read(after, 100, 0, 2) for meter in meters.values()], after + 3600)
    assert live.advance(after + 3600) == [SlotEnd(after + 3600, after)]
    village.simulation.close()
