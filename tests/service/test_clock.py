"""Who vouches for the time of a living exchange, and what it does while nobody does."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_cases import WAIT, Village
from pydantic_core import to_json

from commonwatt.errors import ConfigError, RecordError
from commonwatt.exchange.events import GateClosure
from commonwatt.meter.protocol import signed_json, time_said
from commonwatt.service import clock
from commonwatt.service.api.app import application
from commonwatt.service.clock import AGREE, JUMP, UNVOUCHED, VouchedClock, hardware_clocks, ntp_synchronised
from commonwatt.service.opening import plan
from commonwatt.service.running import Running
from commonwatt.service.topics import LIVE, STATUS

NOW = 1_781_481_600.0
METERS = [bytes([number]) * 20 for number in range(1, 6)]


class Machine:
    """A machine whose clocks, and who vouches for them, the test turns."""

    def __init__(self, now: float = NOW, word: str = "") -> None:
        self.wall, self.passed, self.vouches = now, 50.0, ""
        self.clock = VouchedClock(word, lambda _: self.vouches, lambda: self.wall, lambda: self.passed)

    def goes_on(self, seconds: float, drift: float = 0.0) -> None:
        self.wall, self.passed = self.wall + seconds + drift, self.passed + seconds

    def looked(self, **past: float) -> str:
        self.clock.look(past, METERS)
        return self.clock.doubt


def test_nothing_is_believed_before_somebody_vouches_for_it_and_that_holds_while_it_only_drifts() -> None:
    machine = Machine()
    assert (machine.clock(), machine.looked()) == (None, UNVOUCHED)
    machine.vouches = "NTP"
    assert machine.looked() == ""
    machine.vouches = ""
    for _ in range(30):
        machine.goes_on(86_400, drift=9)
        assert machine.looked() == ""
        assert machine.clock() == machine.wall


@pytest.mark.parametrize("way", [-1, 1])
def test_a_jump_takes_back_what_anybody_said_before_it(way: int) -> None:
    machine = Machine(word="an operator")
    assert machine.looked() == ""
    machine.goes_on(10, drift=way * JUMP)
    assert machine.clock() == machine.wall
    machine.goes_on(10, drift=way * (JUMP + 1))
    assert machine.clock() is None
    assert machine.looked() == UNVOUCHED
    machine.vouches = "NTP"
    assert machine.looked() == ""


def test_a_word_on_a_clock_that_is_then_set_counts_no_more() -> None:
    machine = Machine(word="an operator")
    assert "behind" in machine.looked(last=NOW + 3600)
    machine.goes_on(1, drift=3600)
    assert machine.looked(last=NOW + 3600) == UNVOUCHED


def test_time_before_what_was_done_is_not_believed_whoever_vouches_for_it() -> None:
    machine = Machine(word="an operator")
    machine.vouches = "NTP"
    sentence = "The clock of this machine is behind 2026-06-15 00:16:40 UTC, the time of head; set it right."
    assert machine.looked(last=NOW - 5, head=NOW + 1_000) == sentence
    with pytest.raises(RecordError, match="is behind"):
        machine.clock.vouch(int(NOW), "operator", {"head": NOW + 1_000})
    machine.goes_on(1_000 - AGREE - 1)
    assert "is behind" in machine.looked(head=NOW + 1_000)
    machine.goes_on(1)
    assert machine.looked(head=NOW + 1_000) == ""


def test_an_operator_says_the_time_within_half_a_minute() -> None:
    machine = Machine()
    for said in (NOW - AGREE - 1, NOW + AGREE + 1, 2**53 - 1):
        with pytest.raises(RecordError, match="set the one that is wrong"):
            machine.clock.vouch(int(said), "operator", {})
        assert machine.clock() is None
    machine.clock.vouch(int(NOW + AGREE), "operator", {})
    assert machine.clock() == NOW


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(-90, 90)), max_size=8))
def test_three_meters_in_service_vouch_for_a_time_in_which_they_agree(heard: list[tuple[int, int]]) -> None:
    machine, said = Machine(), dict(heard)
    for number, apart in heard:
        machine.clock.heard(bytes([number]) * 20, int(NOW) + apart)
    counted = [apart for number, apart in said.items() if 1 <= number <= 5]
    agree = any(
        sum(low <= each <= low + AGREE for each in counted if abs(each) <= AGREE) >= 3
        for low in counted
        if abs(low) <= AGREE
    )
    assert machine.looked() == ("" if agree else UNVOUCHED)


def test_what_meters_said_long_ago_or_before_a_clock_was_set_does_not_vouch() -> None:
    late = Machine()
    for meter in METERS[:3]:
        late.clock.heard(meter, int(NOW))
    late.goes_on(121)
    assert late.looked() == UNVOUCHED
    put = Machine()
    for meter in METERS[:3]:
        put.clock.heard(meter, int(NOW))
    put.goes_on(60, drift=3_600)
    assert put.looked() == UNVOUCHED
    put.goes_on(0, drift=-3_600)
    assert put.looked() == ""


def test_a_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    machine = Machine()
    for vouches in ("", "", "NTP", "NTP"):
        machine.vouches = vouches
        machine.looked()
    assert caplog.messages == [UNVOUCHED, "The clock of this machine is vouched for by NTP."]


def test_the_machine_is_asked_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ntp_synchronised() in (True, False, None)
    for name, says in (("rtc0", "1781481600\n"), ("rtc1", ""), ("rtc2", "0\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "since_epoch").write_text(says, "ascii")
    assert hardware_clocks(tmp_path) == [1_781_481_600, 0]
    assert hardware_clocks(tmp_path / "none") == []
    monkeypatch.setattr(clock, "ntp_synchronised", lambda: None)
    monkeypatch.setattr(clock, "hardware_clocks", lambda: hardware_clocks(tmp_path))
    assert [clock.vouching(NOW + apart) for apart in (0, -AGREE, AGREE + 1)] == ["the hardware clock"] * 2 + [""]
    monkeypatch.setattr(clock, "ntp_synchronised", lambda: True)
    assert clock.vouching(0) == "NTP"
    monkeypatch.setattr(clock, "_SYNCHRONISED", tmp_path / "synchronized")
    assert [clock.word_at_start(trusted=trusted) for trusted in (False, True)] == ["", clock.OPERATOR]
    (tmp_path / "synchronized").touch()
    assert clock.word_at_start(trusted=False) == clock.NTP


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b'{"V": 230.1, "W": -5, "time": 1781481600}', 1_781_481_600),
        (b'{"V": 230.1, "time": null}', None),
        (b'{"time": true}', None),
        (b'{"time": 1.5}', None),
        (b'{"time": -1}', None),
        (b'{"time": 1e400}', None),
        (b"[1781481600]", None),
        (b"\xff", None),
        (b'{"time": ' + b"1" * 2_000 + b"}", None),
    ],
)
def test_a_meter_says_the_time_or_nothing(payload: bytes, said: int | None) -> None:
    assert time_said(payload) == said


class Box:
    """A living exchange before its first gate, on a machine whose clock the test turns."""

    def __init__(self, folder: Path) -> None:
        self.village = Village(folder)
        (self.gate,) = (each for each in self.village.exchange.rules.events if isinstance(each, GateClosure))
        self.machine = Machine(self.gate.at + 1.0)
        self.running = Running(self.village.live, self.machine.clock, speed=20, vouching=self.machine.clock)
        transport = httpx.ASGITransport(application(self.running))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://box")

    def while_it_runs(self, test: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            keeping = asyncio.create_task(self.running.keep_time())
            async with self.client:
                await test()
            keeping.cancel()

        asyncio.run(whole())

    async def wait(self, true: Callable[[], object]) -> None:
        end = time.monotonic() + 240
        while not true():
            assert time.monotonic() < end
            await asyncio.sleep(0.01)

    async def rounds(self, count: int = 5) -> None:
        """So many looks at what is due."""
        for _ in range(count):
            await asyncio.sleep(0.05)
            await self.running.ask(lambda: None)

    async def doubted(self) -> str:
        """What whoever asks is told."""
        well, told = await self.client.get("/healthz"), (await self.client.get("/v1/community")).json()
        assert (well.status_code, well.json().get("detail", "")) == (503 if told["behind"] else 200, told["behind"])
        return str(told["behind"])


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    found = Box(tmp_path)
    yield found
    found.running.close()
    found.village.simulation.close()


def test_gates_wait_for_an_operators_word_and_readings_are_taken(box: Box) -> None:
    async def test() -> None:
        await box.rounds()
        assert await box.doubted() == UNVOUCHED
        assert box.village.exchange.next_gate == box.gate
        assert box.running.known() is None
        signed = box.village.homes.meters[0].read(box.gate.slots.start, 300, 0, 1)
        (answer,) = await box.running.take([(signed.record.meter, to_json(signed_json(signed)))])
        assert json.loads(answer[1])["time"] == 0
        with pytest.raises(RecordError, match="set the one that is wrong"):
            await box.running.vouch(int(box.machine.wall) + 60, "operator")
        await box.running.vouch(int(box.machine.wall), "operator")
        await box.wait(lambda: box.village.exchange.next_gate is None)
        assert await box.doubted() == ""
        box.machine.goes_on(10, drift=-3_600)
        assert await box.doubted() == UNVOUCHED
        await box.wait(lambda: "is behind" in box.running.doubt)
        with pytest.raises(RecordError, match="is behind"):
            await box.running.vouch(int(box.machine.wall), "operator")

    box.while_it_runs(test)


def test_three_meters_that_kept_the_time_let_the_exchange_go_on(box: Box) -> None:
    meters = [meter.key.address for meter in box.village.homes.meters.values()]
    box.village.live.advance(box.gate.at)
    first = box.gate.slots.start
    box.machine.wall = first + box.gate.slots.seconds + WAIT
    said = to_json({"V": 229.5, "time": int(box.machine.wall) + 3})

    async def test() -> None:
        for meter in (meters[0], meters[1], bytes(20)):
            box.running.notice(meter, LIVE, said)
        box.running.notice(meters[2], STATUS, said)
        await box.rounds()
        assert await box.doubted() == UNVOUCHED
        box.running.notice(meters[2], LIVE, said)
        await box.wait(lambda: (end := box.village.exchange.next_end) and end.slot > first)

    box.while_it_runs(test)


def test_a_community_is_not_founded_at_a_time_that_nothing_vouches_for(box: Box, tmp_path: Path) -> None:
    community = box.village.exchange.rules.community
    with pytest.raises(ConfigError, match="trust-clock"):
        plan(community, tmp_path, tmp_path / "fresh", None, None, None)
