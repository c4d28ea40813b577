"""The meter as a whole, on a clock that the tests hold: demands, power cuts, and a relay that opens in time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from firmware_cases import Errands, needs_micropython

from commonwatt.meter.delivery import Delivery
from commonwatt.proof import Domain, Key, sign, verify
from commonwatt.records import Reading, Signed
from commonwatt.records.schema import as_json, from_json, to_bytes

pytestmark = needs_micropython

DOMAIN = Domain(9, b"\x09" * 20)
METER, OPERATOR, STRANGER = (Key.derive(b"tests", name) for name in ("meter", "operator", "stranger"))
NOW = 1_796_000_000
CONFIG = {
    "separator": DOMAIN.separator.hex(),
    "operators": [Key.derive(b"tests", "another operator").address.hex(), OPERATOR.address.hex()],
    "slot_seconds": 4,
    "sample_ms": 100,
    "simulated": {"ma": [9_000, -4_000]},
}


def demand(number: int, mwh: int, until: int, key: Key = OPERATOR, meter: bytes = METER.address) -> dict[str, Any]:
    """A signed demand as it comes over the wire."""
    signed = sign(DOMAIN, Delivery(meter, number, mwh, until), key)
    return {**as_json(signed.record), "signature": "0x" + signed.signature.hex()}


def slots(count: int) -> list[int]:
    """So many slots; the first one's beginning was not seen."""
    return [NOW + 4 * number for number in range(1, count + 1)]


class Meter:
    """One meter in the errands' process; `boot` is what power does."""

    def __init__(self, errands: Errands, folder: Path) -> None:
        self.ask, self.folder = errands.ask, folder

    def boot(self, told: int | None = NOW, window: int = 0, **config: Any) -> None:
        """Start it with what is in its folder; each of the 64 windows of a signature takes so long [ms]."""
        self.ask("Ticks", keep="ticks")
        self.ask("slow", "@ticks", window)
        self.ask("Relay", "@ticks", keep="relay")
        self.ask("clock", "@ticks", keep="time")
        self.ask("device", CONFIG | config, str(self.folder), METER.secret, "@relay", "@time", keep="device")
        if told is not None:
            self.ask("@device.clock.set", told)

    def run(self, ms: int, step: int = 20) -> None:
        """Let time pass."""
        self.ask("run", "@device", "@ticks", ms, step)

    def demand(self, *values: Any, **more: Any) -> None:
        """Send it a demand."""
        # Its signature and the meter's address go as the texts that they are on the wire.
        self.ask("demanded", "@device", json.dumps(demand(*values, **more)))

    def readings(self) -> list[Reading]:
        """What waits to be acknowledged; each is signed by the meter."""
        found = []
        for given in json.loads(self.ask("texts_of", "@device")):
            signature = to_bytes(given.pop("signature"), 65)
            found.append(from_json(Reading, given))
            verify(DOMAIN, Signed(found[-1], b"", signature), METER.address)
        return found

    @property
    def switched(self) -> list[tuple[int, bool]]:
        """When the relay was set, and how."""
        return [(ms, on) for ms, on in self.ask("@relay.times")]

    @property
    def status(self) -> dict[str, Any]:
        """What the operators see."""
        found: dict[str, Any] = json.loads(self.ask("json_of", "@device"))
        return found


@pytest.fixture
def meter(errands: Errands, tmp_path: Path) -> Meter:
    return Meter(errands, tmp_path)


def test_readings_are_numbered_signed_and_follow_slot_after_slot(meter: Meter) -> None:
    meter.boot()
    meter.run(42_000)
    found = meter.readings()
    assert [reading.sequence for reading in found] == list(range(1, len(found) + 1))
    assert [reading.slot for reading in found] == slots(len(found))
    assert len(found) in (9, 10)
    # 9 A and -4 A in turn, a second each, at 230 to 231 V.
    assert abs(sum(reading.wh_in for reading in found) - len(found) * 9 * 230.5 * 2 / 3600) < 1.5
    assert abs(sum(reading.wh_out for reading in found) - len(found) * 4 * 230.5 * 2 / 3600) < 1.5


def test_without_the_time_there_are_no_readings_and_no_demand_is_obeyed(meter: Meter) -> None:
    meter.boot(told=None)
    meter.demand(1, 500, NOW + 60)
    meter.run(20_000)
    assert meter.readings() == []
    assert meter.switched == []
    meter.ask("@device.clock.set", NOW)
    meter.run(20_000)
    assert len(meter.readings()) >= 3
    assert [on for _, on in meter.switched] == [True, False]


@pytest.mark.parametrize("mwh", [300, 1500, 2400, 3300, 4100, 5200])
def test_the_relay_opens_within_a_sample_also_while_a_reading_is_signed(meter: Meter, mwh: int) -> None:
    meter.boot(window=15)
    meter.run(4_000)
    meter.demand(1, mwh, NOW + 60)
    meter.run(14_000)
    (closed, _), (opened, _) = meter.switched
    (report,) = meter.status["reports"]
    assert (report["number"], report["reason"]) == (1, "delivered")
    # 2.31 kW for a sample of 100 ms and the window or two until it is taken; a signature takes 900 ms here.
    assert mwh <= report["mwh"] < mwh + 2310 * 0.14 / 3.6
    assert (opened - closed) * 2310 / 3600 < mwh + 2310 * 0.14 / 3.6


def test_the_same_demand_again_delivers_nothing_twice(meter: Meter) -> None:
    meter.boot()
    for _ in range(3):
        meter.demand(1, 300, NOW + 60)
        meter.run(4_000)
    assert [on for _, on in meter.switched] == [True, False]
    assert len(meter.status["reports"]) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        demand(1, 300, NOW + 60, key=STRANGER),
        demand(1, 300, NOW + 60, meter=STRANGER.address),
        demand(1, 300, NOW + 60) | {"mwh": 301},
        demand(1, 300, NOW + 60) | {"until": NOW + 61},
        demand(1, 300, NOW + 60) | {"number": 2},
        demand(1, 300, NOW + 60) | {"signature": "0x"},
        demand(1, 300, NOW + 60) | {"signature": 7},
        demand(1, 300, NOW + 60) | {"mwh": 300.5},
        demand(1, 300, NOW + 60) | {"mwh": None},
        demand(1, 300, NOW + 60) | {"number": -1},
        {},
    ],
    ids=lambda wrong: "-".join(map(str, list(wrong.values())[1:4])) or "empty",
)
def test_a_demand_that_no_operator_signed_for_this_meter_is_not_obeyed(meter: Meter, wrong: dict[str, Any]) -> None:
    meter.boot()
    meter.ask("demanded", "@device", json.dumps(wrong))
    meter.run(3_000)
    assert meter.switched == []
    assert meter.status["demand"] == 0


def test_a_demand_ends_with_its_time(meter: Meter) -> None:
    meter.boot()
    meter.demand(1, 1_000_000, NOW + 5)
    meter.run(9_000)
    (closed, _), (opened, _) = meter.switched
    assert closed <= 200
    assert 5_000 <= opened <= 5_200
    assert meter.status["reports"][0]["reason"] == "expired"


def test_a_newer_demand_of_nothing_opens_the_relay_and_an_older_one_does_not_close_it(meter: Meter) -> None:
    meter.boot()
    meter.demand(2, 1_000_000, NOW + 60)
    meter.run(2_000)
    meter.demand(3, 0, NOW + 60)
    meter.run(1_000)
    meter.demand(2, 1_000_000, NOW + 60)
    meter.run(1_000)
    assert [on for _, on in meter.switched] == [True, False]


def test_after_a_power_cut_the_relay_is_open_until_the_time_is_known_and_delivers_the_rest(meter: Meter) -> None:
    meter.boot()
    meter.demand(1, 12_000, NOW + 120)
    meter.run(12_000)
    assert meter.status["relay"]
    meter.boot(told=None)
    meter.run(3_000)
    assert meter.switched == []
    meter.ask("@device.clock.set", NOW + 20)
    meter.run(30_000)
    (closed, _), (opened, _) = meter.switched
    before = 12_000 - (opened - closed) * 2310 / 3600
    # What was delivered in the last seconds before the cut is not remembered, and nothing else is lost.
    assert 2310 * (12_000 - 5_500) / 3600 <= before <= 2310 * 12_200 / 3600
    assert meter.status["reports"][-1]["reason"] == "delivered"


def test_numbers_go_on_after_a_power_cut_and_no_slot_is_made_twice(meter: Meter) -> None:
    meter.boot()
    meter.run(22_000)
    first = meter.readings()
    meter.boot(told=NOW + 24)
    meter.run(20_000)
    found = meter.readings()
    assert found[: len(first)] == first
    assert [reading.sequence for reading in found] == list(range(1, len(found) + 1))
    assert [reading.slot for reading in found] == slots(len(found))


def test_a_power_cut_between_a_reading_and_the_state_gives_neither_number_nor_slot_again(meter: Meter) -> None:
    meter.boot()
    meter.run(10_000)
    state = (meter.folder / "state.json").read_bytes()
    meter.run(4_000)
    first = meter.readings()
    assert (meter.folder / "state.json").read_bytes() != state
    (meter.folder / "state.json").write_bytes(state)
    meter.boot(told=NOW + 14)
    meter.run(12_000)
    found = meter.readings()
    assert found[: len(first)] == first
    assert [reading.sequence for reading in found] == list(range(1, len(found) + 1))
    assert len({reading.slot for reading in found}) == len(found)


def test_a_slot_that_was_over_when_the_power_went_is_signed_afterwards(meter: Meter) -> None:
    meter.boot()
    meter.run(7_900)
    assert meter.readings() == []
    for _ in range(50):
        meter.ask("@ticks.go", 200)
        meter.ask("@device.tick")
    meter.ask("@device.save")
    meter.boot(told=None)
    assert meter.readings() == []
    meter.run(500)
    assert [(reading.slot, reading.sequence) for reading in meter.readings()] == [
        (NOW + 4, 1),
        (NOW + 8, 2),
        (NOW + 12, 3),
    ]


def test_what_is_acknowledged_is_forgotten_and_its_number_is_not_used_again(meter: Meter) -> None:
    meter.boot()
    meter.run(22_000)
    last = meter.readings()[-1].sequence
    meter.ask("@device.acknowledged", {"upto": last - 2, "refused": [{"sequence": last, "why": "It is late."}]})
    assert [reading.sequence for reading in meter.readings()] == [last - 1]
    meter.ask("@device.acknowledged", {"upto": last, "refused": []})
    meter.boot(told=NOW + 24)
    meter.run(10_000)
    assert meter.readings()[0].sequence == last + 1


def test_nothing_that_was_not_sent_is_acknowledged(meter: Meter) -> None:
    meter.boot()
    meter.run(14_000)
    kept = [reading.sequence for reading in meter.readings()]
    meter.run(8_000)
    meter.ask("@device.acknowledged", {"upto": 10**9, "refused": [{"sequence": kept[-1] + 1, "why": "It is unknown."}]})
    assert [reading.sequence for reading in meter.readings()] == [kept[-1] + 1, kept[-1] + 2]


def test_a_fault_opens_the_relay_and_a_demand_of_who_knows_of_it_closes_it_again(meter: Meter) -> None:
    meter.boot(simulated={"ma": [0], "switched_ma": 20_000})
    meter.demand(1, 10_000, NOW + 60)
    meter.run(2_000)
    assert [on for _, on in meter.switched] == [True, False]
    assert meter.status["fault"] == "over-current"
    meter.demand(2, 10_000, NOW + 60)
    meter.run(2_000)
    assert [on for _, on in meter.switched] == [True, False]
    meter.ask("@device.told", meter.status)
    meter.demand(3, 10_000, NOW + 60)
    meter.run(300)
    assert [on for _, on in meter.switched] == [True, False, True, False]


def test_a_sensor_that_does_not_answer_opens_the_relay(meter: Meter) -> None:
    meter.boot(torn_at=6_000)
    meter.demand(1, 1_000_000, NOW + 60)
    meter.run(12_000)
    (_, _), (opened, _) = meter.switched
    assert 6_000 <= opened <= 6_500
    assert meter.status["fault"] == "sensor fault"
    assert json.loads(meter.ask("live_of", "@device"))["V"] is None


def test_the_clock_goes_on_when_its_ticks_wrap_and_small_differences_leave_it_alone(meter: Meter) -> None:
    meter.boot()
    for _ in range(9):
        meter.ask("@ticks.go", 1 << 28)
        assert meter.ask("@time.unix_ms") == NOW * 1000 + meter.ask("@time.ms")
    second = meter.ask("@time.unix_ms") // 1000
    for told in (second - 1, second, second + 1):
        meter.ask("@time.set", told)
        assert meter.ask("@time.unix_ms") == NOW * 1000 + meter.ask("@time.ms")
    meter.ask("@time.set", second + 30)
    assert meter.ask("@time.unix_ms") == (second + 30) * 1000
    assert json.loads(meter.ask("live_of", "@device"))["time"] == second + 30
