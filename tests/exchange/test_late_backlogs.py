"""Readings of a whole day that come late and together settle each slot anew once, one slot at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from enrolled_cases import HOUR, NEW, Growing
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.errors import RecordError
from commonwatt.exchange import rows
from commonwatt.exchange.events import Correction
from commonwatt.exchange.late import LONGEST, QUIET, RETRY, Late
from commonwatt.exchange.live import Live
from commonwatt.meter.protocol import STORED, SlotRules
from commonwatt.records import Reading, Signed
from commonwatt.service.running import Running

ENDED = 5
RULES = SlotRules(900, 0, 86_400)


class Silent(Growing):
    """A living exchange whose first slots have ended without a reading. now : [unix s]"""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ended = self.starts[:ENDED]
        self.enrol(self.starts[0] - 2 * HOUR)
        self.roster.file(self.mandate(), self.starts[0])
        for slot in (self.starts[0] - HOUR, *self.starts[: ENDED + 1]):
            self.live.advance(slot + 61)
        self.now = self.starts[ENDED] + 100
        assert rows.last_ended(self.exchange.store) == self.ended[-1]

    def day_of(self, home: int, number: int = 0) -> list[Signed[Reading]]:
        """What a home counted in all slots that have ended."""
        meter = self.homes.meters[home]
        return [meter.read(slot, 700, 0, number + place + 1) for place, slot in enumerate(self.ended)]

    def come(self, readings: list[Signed[Reading]]) -> None:
        assert {each.status for each in self.live.readings(readings, self.now)} == {STORED}

    def look(self) -> list[Any]:
        return self.live.advance(self.now)

    def revisions(self) -> list[int | None]:
        return [rows.revision_of(self.exchange.store, slot) for slot in self.ended]


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Silent]:
    found = Silent(tmp_path)
    yield found
    found.simulation.close()


def test_a_backlog_that_comes_meter_by_meter_settles_each_slot_anew_once(silent: Silent) -> None:
    for home in range(5):
        silent.come(silent.day_of(home))
        for _ in range(QUIET - 1):
            silent.now += 1
            assert silent.look() == []
    assert silent.live.late == ENDED
    silent.now += 1
    # One of them a look, the oldest first.
    assert [silent.look() for _ in silent.ended] == [[Correction(silent.now, slot)] for slot in silent.ended]
    assert (silent.look(), silent.live.late, silent.revisions()) == ([], 0, [1] * ENDED)
    for slot in silent.ended:
        came = rows.read_delivered(silent.exchange.store, slot, silent.exchange.meters_of(slot), 1)
        assert came.missing == {NEW}


def test_a_meter_that_corrects_itself_without_end_holds_nothing_up_for_long(silent: Silent) -> None:
    begun, made = silent.now, list[int]()
    silent.come(silent.day_of(0))
    for number in range(1, 2 * LONGEST // 20):
        silent.now += 20
        silent.come([silent.homes.meters[1].read(silent.ended[0], 700, 0, number)])
        made += [each.at - begun for each in silent.look() if each.slot == silent.ended[0]]
    assert made == [LONGEST]
    assert silent.revisions() == [1] * ENDED


def test_a_killed_exchange_still_waits_for_more(silent: Silent) -> None:
    silent.come(silent.day_of(0))
    silent.live = Live(silent.exchange, silent.roster, lambda _: silent.rules, wait=60)
    silent.now += QUIET - 1
    assert (silent.live.late, silent.look()) == (ENDED, [])
    silent.now += 1
    assert silent.look() == [Correction(silent.now, silent.ended[0])]


def test_a_slot_that_cannot_be_settled_anew_holds_no_other_one_up(
    silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent.come(silent.day_of(0))
    correct, tried = silent.exchange.correct, list[Correction]()

    def unpayable(correction: Correction, *given: Any) -> bool:
        tried.append(correction)
        return correction.slot != silent.ended[0] and correct(correction, *given)

    silent.now += QUIET
    with monkeypatch.context() as patch:
        patch.setattr(silent.exchange, "correct", unpayable)
        assert [silent.look() for _ in range(ENDED + 3)] == [
            [], *([Correction(silent.now, slot)] for slot in silent.ended[1:]), [], [], [],
        ]  # fmt: skip
        assert [each.slot for each in tried] == silent.ended
        assert silent.live.late == 1
    silent.now += RETRY
    assert silent.look() == [Correction(silent.now, silent.ended[0])]


def test_who_orders_is_answered_between_two_corrections(silent: Silent, monkeypatch: pytest.MonkeyPatch) -> None:
    for home in range(5):
        silent.come(silent.day_of(home))
    silent.now += QUIET
    running, correct = Running(silent.live, lambda: silent.now), silent.exchange.correct
    ordering, left = list[Future[None]](), list[int]()

    async def order() -> None:
        (answer,) = await running.orders([silent.sells(silent.starts[ENDED + 2], nonce=7 + len(left))])
        assert not isinstance(answer, RecordError)
        left.append(silent.live.late)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def corrected(*given: Any) -> bool:
            # Somebody orders while the engine is busy with a slot.
            ordering.append(asyncio.run_coroutine_threadsafe(order(), loop))
            return correct(*given)

        monkeypatch.setattr(silent.exchange, "correct", corrected)
        keeping = asyncio.create_task(running.keep_time())
        async with asyncio.timeout(60):
            while silent.live.late or not ordering or not all(each.done() for each in ordering):
                await asyncio.sleep(0.01)
        keeping.cancel()
        await asyncio.gather(*map(asyncio.wrap_future, ordering))

    try:
        asyncio.run(main())
    finally:
        running.close()
    assert left == list(reversed(range(ENDED)))
    assert silent.revisions() == [1] * ENDED


@given(st.lists(st.integers(0, 3 * QUIET), max_size=60), st.integers(0, 86_400))
def test_whenever_readings_come_a_slot_is_due_in_time(pauses: list[int], since: int) -> None:
    late, slot = Late(RULES), 900 * 2_000
    first = now = slot + 900 + since
    closes = slot + 900 + RULES.corrections
    for pause in [0, *pauses]:
        now = min(now + pause, closes)
        late.came(slot, now)
        waits = now < first + LONGEST and now < closes - LONGEST
        assert late.due(now) == ([] if waits else [slot])
        assert late.due(min(now + QUIET, closes)) == [slot]
    assert (late.due(closes + 1), len(late)) == ([], 0)
