"""Whatever bytes come: never an exception, always a sentence, and nothing that was known is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram_cases import ID, NOON, heard, meter_203, notified, p1, payload

from commonwatt.errors import ConfigError
from commonwatt.meter.telegrams import DRIVERS, Driver, Settings, driver
from commonwatt.meter.telegrams.figures import MAX_REGISTER_MWH

SENSOR = "tele/meter/SENSOR"
RPC = f"{ID}/events/rpc"
READERS: dict[str, Driver[Any]] = {
    "dsmr": driver("dsmr", Settings()),
    "esphome": driver("esphome", Settings(topic="house", import_from="in", export_from="out", power_from="power")),
    "homeassistant": driver("homeassistant", Settings(topic="states", import_from="in", power_from="power")),
    "shelly": driver("shelly", Settings(topic=ID)),
    "shelly switch": driver("shelly", Settings(topic=ID, channel="switch:0")),
    "sunspec": driver("sunspec", Settings()),
    "tasmota": driver("tasmota", Settings(topic="meter")),
}
GOOD = {
    "dsmr": ("", p1()),
    "esphome": ("house/sensor/in/state", b"12.5"),
    "homeassistant": ("states/sensor/in/state", b"12.5"),
    "shelly": (RPC, notified({"ts": NOON / 1000, "emdata:0": {"total_act": 7.5, "total_act_ret": 1}})),
    "shelly switch": (RPC, notified({"ts": NOON / 1000, "switch:0": {"aenergy": {"total": 7.5}, "apower": 3}})),
    "sunspec": ("", payload(meter_203(12_500, 0, 40))),
    "tasmota": (SENSOR, b'{"ENERGY": {"Total": 12.5, "Power": 3}}'),
}
each_reader = pytest.mark.parametrize("name", READERS)
NOT_UNDERSTOOD: list[tuple[str, str, bytes]] = [
    ("tasmota", SENSOR, b""),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": 12.5'),
    ("tasmota", SENSOR, b"null"),
    ("tasmota", SENSOR, b'"null"'),
    ("tasmota", SENSOR, b"[]"),
    ("tasmota", SENSOR, b"\xff\xfe"),
    ("tasmota", SENSOR, b"[" * 100_000),
    ("tasmota", SENSOR, b'{"ENERGY": null}'),
    ("tasmota", SENSOR, b'{"Time": "2026-06-15T12:00:00"}'),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": null}}'),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": "12.5"}}'),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": true}}'),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": NaN}}'),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": -Infinity}}'),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": -0.001}}'),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": 1e15}}'),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": 1e999}}'),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": 1e999999999999}}'),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": ' + b"9" * 5000 + b"}}"),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": []}}'),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": [1.5, null]}}'),
    ("tasmota", SENSOR, b'{"ENERGY": {"Total": 12.5, "ExportActive": "x"}}'),
    ("tasmota", SENSOR, b" " * 300_000),
    ("tasmota", "tele/meter/LWT", b"Perhaps"),
    ("tasmota", "tele/other/SENSOR", b'{"ENERGY": {"Total": 12.5}}'),
    ("esphome", "house/sensor/in/state", b"nan"),
    ("esphome", "house/sensor/in/state", b""),
    ("esphome", "house/sensor/in/state", b"-1"),
    ("esphome", "house/sensor/in/state", b"1e30"),
    ("esphome", "house/sensor/in/state", "１２".encode()),
    ("esphome", "house/sensor/in/state", b"1_000"),
    ("esphome", "house/sensor/in/state", b"\x80"),
    ("esphome", "house/sensor/in/state", b"0" * 300_000),
    ("esphome", "house/sensor/else/state", b"1"),
    ("homeassistant", "states/sensor/in/state", b"unavailable"),
    ("homeassistant", "states/sensor/in/state", b'"unknown"'),
    ("homeassistant", "states/sensor/in/state", b"null"),
    ("homeassistant", "states/sensor/in/state", b'"'),
    ("homeassistant", "states/sensor/in/unit_of_measurement", b'"Wh"'),
    ("homeassistant", "states/sensor/in/unit_of_measurement", b'"EUR"'),
    ("homeassistant", "states/sensor/power/unit_of_measurement", b"kW"),
    ("shelly", RPC, b"{}"),
    ("shelly", RPC, notified({"ts": NOON / 1000}, "NotifyNothing")),
    ("shelly", RPC, b'{"method": "NotifyStatus", "params": null}'),
    ("shelly", RPC, notified({"ts": "noon", "emdata:0": {"total_act": 7.5}})),
    ("shelly", RPC, notified({"ts": 1, "emdata:0": {"total_act": "7.5"}})),
    ("shelly", RPC, notified({"ts": 1, "emdata:0": {"total_act": -7.5}})),
    ("shelly", RPC, notified({"ts": 1, "emdata:0": [7.5]})),
    ("shelly", RPC, notified({"ts": 1, "em:0": {"total_act_power": "much"}})),
    ("shelly", f"{ID}/status/emdata:0", b"7.5"),
    ("shelly", f"commonwatt/{ID}/rpc", b'{"id": 1, "error": {"code": -103, "message": "Invalid argument"}}'),
    ("shelly switch", RPC, notified({"ts": 1, "switch:0": {"aenergy": 7.5}})),
    ("shelly switch", RPC, notified({"ts": 1, "switch:0": {"aenergy": {"total": 1}, "ret_aenergy": {"total": 2}}})),
    ("dsmr", "", p1()[:-6] + b"0000\r\n"),
    ("dsmr", "", p1()[:-6] + b"\r\n"),
    ("dsmr", "", p1().replace(b"010.500", b"010.501")),
    ("dsmr", "", p1(brought="nan")),
    ("dsmr", "", p1(brought="-00010.500")),
    ("dsmr", "", p1(brought="9999999999.000")),
    ("dsmr", "", p1(time="261332140000S")),
    ("dsmr", "", p1(time="yesterday")),
    ("dsmr", "", b"/" + b"x" * 5000 + b"\n"),
    ("dsmr", "", b"/x\n" + (b"y" * 1000 + b"\n") * 20),
    ("sunspec", "", b""),
    ("sunspec", "", b"\x00"),
    ("sunspec", "", payload([1, 66, *([0] * 66)])),
    ("sunspec", "", payload(meter_203(1, 1, 1))[:80]),
    ("sunspec", "", payload(meter_203(1, 1, 1, energy_scale=11))),
    ("sunspec", "", payload(meter_203(2**31, 1, 1, energy_scale=9))),
]


@pytest.mark.parametrize(("name", "topic", "bad"), NOT_UNDERSTOOD, ids=lambda each: repr(each)[:40])
def test_what_is_not_understood_is_one_sentence_and_no_sample(name: str, topic: str, bad: bytes) -> None:
    _, samples, complaints = heard(READERS[name], [(topic, bad, NOON)])
    assert samples == []
    assert len(complaints) == 1
    assert complaints[0][-1] == "."
    assert complaints[0].isprintable()
    assert len(complaints[0]) < 200


# A unit that contradicts the settings is understood: it stops its sensor.
LOST = [each for each in NOT_UNDERSTOOD if not each[1].endswith("unit_of_measurement")]


@pytest.mark.parametrize(("name", "topic", "bad"), LOST, ids=lambda each: repr(each)[:40])
def test_what_is_not_understood_changes_nothing_for_the_next_message(name: str, topic: str, bad: bytes) -> None:
    good = (*GOOD[name], NOON)
    _, alone, _ = heard(READERS[name], [good, good])
    _, samples, complaints = heard(READERS[name], [good, (topic, bad, NOON), good])
    assert samples == alone
    assert len(complaints) == 1


@pytest.mark.parametrize(
    ("settings", "energy", "word"),
    [
        ({"channel": "2"}, {"Total": [1, 2]}, "2 channels, so none with number 2"),
        ({"channel": "1"}, {"Total": 3}, "SetOption129"),
        ({"export_from": "ENERGY.Out"}, {"Total": 3}, "no ENERGY.Out"),
        ({"import_from": "ENERGY.Total.Sum"}, {"Total": 3}, "ENERGY.Total is '3' and no JSON object"),
    ],
)
def test_a_figure_that_settings_ask_for_and_a_device_does_not_have_is_told(
    settings: dict[str, Any], energy: dict[str, object], word: str
) -> None:
    reader = driver("tasmota", Settings(topic="meter", **settings))
    _, samples, complaints = heard(reader, [(SENSOR, json.dumps({"ENERGY": energy}).encode(), NOON)])
    assert (samples, len(complaints)) == ([], 1)
    assert word in complaints[0]


def test_a_channel_takes_its_own_figures_alone() -> None:
    reader = driver("tasmota", Settings(topic="meter", channel="1"))
    said = b'{"ENERGY": {"Total": [12.345, 0.655], "Power": [100, -40]}}'
    _, samples, _ = heard(reader, [(SENSOR, said, NOON)])
    assert (samples[0].import_mwh, samples[0].power_mw) == (655_000, -40_000)


def test_a_unit_that_contradicts_the_settings_stops_its_sensor_until_they_agree() -> None:
    unit, state = "states/sensor/in/unit_of_measurement", "states/sensor/in/state"
    messages = [(unit, b'"Wh"', NOON), (state, b"12500", NOON), (unit, b'"kWh"', NOON), (state, b"12.5", NOON)]
    _, samples, complaints = heard(READERS["homeassistant"], messages)
    assert [sample.import_mwh for sample in samples] == [12_500_000]
    assert complaints == ["in is in Wh; set unit to 'Wh', which is 'kWh' now."] * 2


@each_reader
@given(chunks=st.lists(st.binary(max_size=200), max_size=5))
def test_no_bytes_at_all_raise(name: str, chunks: list[bytes]) -> None:
    reader = READERS[name]
    topics = [*reader.topics(), "elsewhere"]
    messages = [(topics[place % len(topics)], chunk, NOON) for place, chunk in enumerate(chunks)]
    heard(reader, messages)


NUMBERS = st.one_of(st.integers(-(10**25), 10**25), st.floats(), st.text(max_size=5), st.booleans(), st.none())
TREES = st.recursive(NUMBERS, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=4), part))
KEYS = ("total_act", "total_act_ret", "total_act_power", "aenergy", "ret_aenergy", "apower", "total")


@given(
    component=st.sampled_from(("emdata:0", "em:0", "switch:0")),
    status=st.dictionaries(st.sampled_from(KEYS), st.one_of(TREES, st.fixed_dictionaries({"total": NUMBERS}))),
    ts=st.one_of(NUMBERS, st.just(NOON / 1000)),
    name=st.sampled_from(("shelly", "shelly switch")),
)
def test_samples_of_any_notification_are_within_what_a_meter_counts(
    component: str, status: dict[str, object], ts: object, name: str
) -> None:
    said = notified({"ts": ts, component: status})
    _, samples, complaints = heard(READERS[name], [(RPC, said, NOON)])
    for sample in samples:
        registers = [each for each in (sample.import_mwh, sample.export_mwh) if each is not None]
        assert all(0 <= each <= MAX_REGISTER_MWH for each in registers)
    assert all(each.isprintable() for each in complaints)


@given(tree=TREES)
def test_no_json_at_all_raises(tree: object) -> None:
    said = json.dumps({"ENERGY": tree, "method": "NotifyStatus", "params": tree, "result": tree}).encode()
    for name, topic in (("tasmota", SENSOR), ("shelly", RPC), ("shelly", f"commonwatt/{ID}/rpc")):
        heard(READERS[name], [(topic, said, NOON)])


@pytest.mark.parametrize(
    ("name", "settings", "key"),
    [
        ("tasmota", {}, "topic"),
        ("tasmota", {"topic": "x", "channel": "second"}, "channel"),
        ("esphome", {"topic": "x"}, "import_from"),
        ("homeassistant", {"import_from": "x"}, "topic"),
        ("shelly", {}, "topic"),
        ("shelly", {"topic": "x", "channel": "emdata"}, "channel"),
        ("shelly", {"topic": "x", "channel": "cover:0"}, "channel"),
        ("sunspec", {"channel": "999"}, "channel"),
        ("sunspec", {"channel": "203:x"}, "channel"),
        ("dsmr", {"unit": "J"}, "unit"),
        ("dsmr", {"winter_minutes": 9999}, "winter_minutes"),
        ("dsmr", {"topic": "meters/#"}, "topic"),
        ("sml", {}, "driver"),
    ],
)
def test_settings_that_cannot_be_are_named(name: str, settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        driver(name, Settings(**settings))
    assert key in [finding.path for finding in refused.value.findings]


def test_every_driver_is_tested_here() -> None:
    assert {name.split()[0] for name in READERS} == set(DRIVERS)
