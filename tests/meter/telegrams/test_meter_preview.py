"""What a person is shown of a device before its settings are saved."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram_cases import ID, NOON, meter_203, notified, p1, payload

from commonwatt.meter.telegrams import Message, Preview, Settings, driver, preview

TASMOTA = driver("tasmota", Settings(topic="meter"))
SUNSPEC = driver("sunspec", Settings())


def sensor(seconds: int, **energy: object) -> Message:
    return Message("tele/meter/SENSOR", json.dumps({"ENERGY": energy}).encode(), NOON + 1000 * seconds)


def polled(seconds: int, brought: int, taken: int, power: int) -> Message:
    return Message("", payload(meter_203(brought, taken, power)), NOON + 1000 * seconds)


def fits_a_screen(told: Preview) -> bool:
    lines = told.text().splitlines()
    return len(lines) <= 24 and all(len(line) <= 111 for line in lines)


def test_a_device_that_reports_well_is_shown_with_its_last_sample() -> None:
    lines = [p1(brought=f"00001{seconds}.500", time=f"2606151400{seconds * 10:02d}S") for seconds in range(3)]
    messages = [Message("", line, NOON + 10_000 * place) for place, line in enumerate(lines)]
    told = preview(driver("dsmr", Settings()), messages)
    assert told.ready
    assert told.text() == (
        "3 messages, 3 samples\n"
        "  import          12.500 kWh   from 1-0:1.8.1 + 1-0:1.8.2\n"
        "  export           1.250 kWh   from 1-0:2.8.1 + 1-0:2.8.2\n"
        "  power                500 W   from 1-0:1.7.0 - 1-0:2.7.0\n"
        "  positive  power is energy into the home, as the registers show\n"
        "  last      2026-06-15 12:00:20 UTC, by the device's clock, a sample every 10 s\n"
        "Look at: the register of import moves as at 360000 W, more than a home takes; look at the unit\n"
        "Look at: the register of import moves in steps of 1000 Wh, which is coarse for a slot"
    )


def test_telemetry_every_five_minutes_is_too_slow_and_the_person_is_told_what_to_set() -> None:
    told = preview(TASMOTA, [sensor(300 * place, Total=1 + place / 100, ExportActive=0) for place in range(4)])
    assert not told.ready
    assert told.seconds == 300
    assert told.missing == (
        "samples every 120 s at most, not 300 s; set TelePeriod to a figure from 10 to 60, such as 'TelePeriod 30'",
    )


@pytest.mark.parametrize(("seconds", "slow"), [(60, False), (61, True), (120, True)])
def test_samples_between_one_and_two_minutes_do_and_are_told(seconds: int, slow: bool) -> None:
    told = preview(TASMOTA, [sensor(seconds * place, Total=1 + place / 100, ExportActive=0) for place in range(4)])
    assert told.ready
    assert any(f"every {seconds} s" in each for each in told.warnings) == slow


def test_a_device_without_export_is_told() -> None:
    told = preview(TASMOTA, [sensor(0, Total=1), sensor(30, Total=1.001)])
    assert told.ready
    assert told.last is not None
    assert told.last.export_mwh is None
    assert any("no register of export" in each for each in told.warnings)


def test_what_home_assistant_knows_is_shown_with_its_sensors() -> None:
    reader = driver("homeassistant", Settings(topic="states", import_from="sensor.in", power_from="sensor.now"))
    told = preview(reader, [Message("states/sensor/in/state", b"12.5", NOON + 45_000 * each) for each in range(3)])
    assert (told.import_from, told.export_from, told.power_from) == ("sensor.in", "", "sensor.now")
    assert "import          12.500 kWh   from sensor.in" in told.text()


def test_an_inverter_alone_has_no_import_and_makes_no_home() -> None:
    reader = driver("esphome", Settings(topic="pv", export_from="made"))
    told = preview(reader, [Message("pv/sensor/made/state", b"12.5", NOON + 1000 * each) for each in range(3)])
    assert not told.ready
    assert any("register of import" in each for each in told.missing)


@pytest.mark.parametrize(
    ("power", "settings", "sign"),
    [
        (600, Settings(), "import"),
        (-600, Settings(), "export"),
        (-600, Settings(power_reversed=True), "import"),
        (5, Settings(), "unknown"),
    ],
)
def test_registers_show_which_way_positive_power_flows(power: int, settings: Settings, sign: str) -> None:
    messages = [polled(60 * place, 1000 + 10 * place, 500, power) for place in range(4)]
    told = preview(driver("sunspec", settings), messages)
    assert told.sign == sign
    assert any("power_reversed" in each for each in told.warnings) == (sign == "export")


@pytest.mark.parametrize(("watts", "sign"), [(b"800", "import"), (b"-800", "export")])
def test_power_that_comes_by_itself_is_held_against_the_register_after_it(watts: bytes, sign: str) -> None:
    reader = driver("esphome", Settings(topic="house", import_from="in", power_from="now"))
    messages = []
    for place in range(4):
        messages.append(Message("house/sensor/now/state", watts, NOON + 30_000 * place))
        messages.append(Message("house/sensor/in/state", b"12.50%d" % place, NOON + 30_000 * place + 5))
    assert preview(reader, messages).sign == sign


def test_negative_power_while_export_grows_is_the_right_way_round() -> None:
    assert preview(SUNSPEC, [polled(60 * each, 1000, 500 + 10 * each, -600) for each in range(4)]).sign == "import"


def test_swapped_registers_are_shown_with_the_names_that_they_have_on_the_device() -> None:
    told = preview(driver("sunspec", Settings(swapped=True)), [polled(60 * each, each, 9, 0) for each in range(2)])
    assert (told.import_from, told.export_from) == ("TotWhExp", "TotWhImp")
    assert told.last is not None
    assert (told.last.import_mwh, told.last.export_mwh) == (9_000, 1_000)


def test_a_register_in_the_wrong_unit_looks_huge() -> None:
    told = preview(TASMOTA, [sensor(30 * each, Total=18_035_123 + each) for each in range(3)])
    assert any("look at the unit" in each for each in told.warnings)


def test_a_register_in_the_wrong_unit_moves_faster_than_a_home_can() -> None:
    told = preview(TASMOTA, [sensor(30 * each, Total=350 + 10 * each) for each in range(3)])
    assert any("1200000 W" in each for each in told.warnings)


def test_a_register_that_goes_backwards_is_told() -> None:
    told = preview(TASMOTA, [sensor(0, Total=5), sensor(30, Total=4)])
    assert "the register of import went backwards, which no meter's does" in told.warnings


def test_nothing_understood_says_where_to_look() -> None:
    told = preview(TASMOTA, [Message("tele/meter/SENSOR", b"{}", NOON)] * 7)
    assert (told.ready, told.last, told.samples) == (False, None, 0)
    assert told.complaints == (("The message has no ENERGY.Total.", 7),)
    assert "Not understood (7 times): The message has no ENERGY.Total." in told.text()


def test_no_messages_at_all_are_a_preview_too() -> None:
    assert preview(TASMOTA, []).text().startswith("0 messages, 0 samples\nMissing: no sample was understood")


def test_a_device_that_knows_the_time_is_told_from_one_that_does_not() -> None:
    reader = driver("shelly", Settings(topic=ID))
    told = []
    for ts in (NOON / 1000, None):
        payload = notified({"ts": ts, "emdata:0": {"total_act": 5, "total_act_ret": 0}})
        told.append(preview(reader, [Message(f"{ID}/events/rpc", payload, NOON)]))
    assert [each.dated for each in told] == [True, False]
    assert "the device says no time" in told[1].text()


def test_the_data_is_all_of_it_and_fit_for_json() -> None:
    told = preview(TASMOTA, [sensor(0, Total=5, Power=3), sensor(30, Total=5.001, Power=-4)])
    data = json.loads(json.dumps(told.data()))
    assert data["last"]["import_mwh"] == 5_001_000
    assert data["ready"] is True
    assert set(data) == {*Preview.__dataclass_fields__, "ready"}


NUMBER = st.one_of(st.floats(), st.integers(), st.text(max_size=50), st.none())


@given(
    figures=st.lists(st.tuples(st.integers(0, 10**6), st.dictionaries(st.sampled_from(("Total", "Power")), NUMBER))),
    noise=st.lists(st.binary(max_size=300), max_size=9),
)
def test_whatever_was_recorded_fits_one_screen(figures: list[tuple[int, dict[str, Any]]], noise: list[bytes]) -> None:
    messages = [sensor(seconds, **energy) for seconds, energy in figures]
    told = preview(TASMOTA, [*messages, *(Message("tele/meter/SENSOR", each, NOON) for each in noise)])
    assert fits_a_screen(told)
    json.dumps(told.data())
