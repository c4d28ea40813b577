"""Shelly's partial notifications, its clock, and its minute records of the past."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram_cases import ID, KEYS, NOON, answered, heard, minutes, notified

from commonwatt.errors import ConfigError
from commonwatt.meter.telegrams import Sample, Settings, driver
from commonwatt.meter.telegrams.shelly import Shelly

RPC = f"{ID}/events/rpc"
ANSWER = f"commonwatt/{ID}/rpc"
READER = Shelly(Settings(topic=ID))
SECOND = NOON // 1000


def notify(at: int = NOON, **components: dict[str, object]) -> tuple[str, bytes, int]:
    named = {f"{name}:0": status for name, status in components.items()}
    return RPC, notified({"ts": at / 1000, **named}), at + 300


def register(at: int, brought: float, taken: float) -> tuple[str, bytes, int]:
    return notify(at, emdata={"total_act": brought, "total_act_ret": taken})


def test_what_a_notification_leaves_out_is_as_it_was() -> None:
    messages = [register(NOON, 100, 7), notify(NOON + 60_000, emdata={"total_act": 101})]
    _, samples, _ = heard(READER, messages)
    assert [(each.import_mwh, each.export_mwh) for each in samples] == [(100_000, 7_000), (101_000, 7_000)]


def test_a_register_that_never_came_is_not_zero() -> None:
    _, samples, _ = heard(READER, [notify(emdata={"total_act": 5})])
    assert (samples[0].import_mwh, samples[0].export_mwh) == (5_000, None)


def test_a_key_that_is_null_is_gone() -> None:
    messages = [register(NOON, 100, 7), notify(NOON + 60_000, emdata={"total_act": 101, "total_act_ret": None})]
    assert heard(READER, messages)[1][1].export_mwh is None


def test_power_alone_says_nothing_of_registers() -> None:
    messages = [register(NOON, 100, 7), notify(NOON + 2000, em={"total_act_power": -250.5})]
    _, samples, _ = heard(READER, messages)
    assert samples[1] == Sample(NOON + 2000, None, None, -250_500, NOON + 2300, dated=True)
    assert not samples[1].counts


def test_full_status_replaces_what_was_known() -> None:
    messages = [register(NOON, 100, 7), (RPC, notified({"emdata:0": {"total_act": 9}}, "NotifyFullStatus"), NOON)]
    assert heard(READER, messages)[1][1] == Sample(NOON, 9_000, None, None, NOON)


def test_full_status_of_one_component_counts_when_it_arrives() -> None:
    status = json.dumps({"id": 0, "total_act": 12.5, "total_act_ret": 0}).encode()
    _, samples, _ = heard(READER, [(f"{ID}/status/emdata:0", status, NOON)])
    assert samples == [Sample(NOON, 12_500, 0, None, NOON)]


@pytest.mark.parametrize("ts", [None, 0, 12.5, 1e15])
def test_a_clock_that_was_never_set_leaves_the_time_of_arrival(ts: float | None) -> None:
    _, samples, complaints = heard(READER, [(RPC, notified({"ts": ts, "emdata:0": {"total_act": 1}}), NOON)])
    assert (samples[0].at, samples[0].dated, complaints) == (NOON, False, [])


def test_a_message_that_the_broker_kept_is_dated_when_it_was_sent() -> None:
    _, samples, complaints = heard(
        READER, [(RPC, notified({"ts": SECOND, "emdata:0": {"total_act": 1}}), NOON + 10**7)]
    )
    assert (samples[0].at, complaints) == (NOON, [])


def test_events_and_other_components_are_passed_over() -> None:
    messages = [(RPC, notified({"events": []}, "NotifyEvent"), NOON), notify(cloud={"connected": False})]
    state, samples, complaints = heard(READER, [*messages, (f"{ID}/online", b"false", NOON)])
    assert (samples, complaints, state.online) == ([], [], False)


def test_a_channel_of_its_own_is_read_alone() -> None:
    reader = driver("shelly", Settings(topic=ID, channel="em1data:1"))
    told = {"em1data:1": {"total_act_energy": 5, "total_act_ret_energy": 6}, "em1data:0": {"total_act_energy": 99}}
    _, samples, _ = heard(reader, [(RPC, notified({"ts": SECOND, **told, "em1:1": {"act_power": 7}}), NOON)])
    assert (samples[0].import_mwh, samples[0].export_mwh, samples[0].power_mw) == (5_000, 6_000, 7_000)


def test_a_clamp_that_is_the_wrong_way_round_is_turned_by_the_settings() -> None:
    reader = driver("shelly", Settings(topic=ID, swapped=True))
    told = {"emdata:0": {"total_act": 5, "total_act_ret": 6}, "em:0": {"total_act_power": 70}}
    _, samples, _ = heard(reader, [(RPC, notified({"ts": SECOND, **told}), NOON)])
    assert (samples[0].import_mwh, samples[0].export_mwh, samples[0].power_mw) == (6_000, 5_000, -70_000)


def test_records_are_asked_for_where_the_answer_is_listened_to() -> None:
    topic, payload = READER.ask(4, SECOND - 3600, SECOND)
    frame = json.loads(payload)
    assert topic == f"{ID}/rpc"
    assert f"{frame['src']}/rpc" in READER.topics()
    assert (frame["method"], frame["params"]) == ("EMData.GetData", {"id": 0, "ts": SECOND - 3600, "end_ts": SECOND})


def test_a_switch_keeps_no_records() -> None:
    with pytest.raises(ConfigError):
        Shelly(Settings(topic=ID, channel="switch:0")).ask(1, 0, 60)


def test_records_hang_on_the_register_that_came_after_them() -> None:
    records = minutes(SECOND - 180, [1, 2, 3], [0, 0.5, 0.25])
    _, samples, complaints = heard(READER, [register(NOON + 210, 106, 10), (ANSWER, answered(records), NOON + 500)])
    assert complaints == []
    assert samples[1:] == [
        Sample(NOON - 180_000, 100_000, 9_250, None, NOON + 500, dated=True),
        Sample(NOON - 120_000, 101_000, 9_250, None, NOON + 500, dated=True),
        Sample(NOON - 60_000, 103_000, 9_750, None, NOON + 500, dated=True),
    ]


@given(
    steps=st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), min_size=4, max_size=40),
    cut=st.integers(1, 3),
)
def test_records_give_the_registers_that_the_device_had(steps: list[tuple[int, int]], cut: int) -> None:
    """Each minute's energy [10⁻⁴ Wh], as devices round it; asked for in two parts, the latest first."""
    start = SECOND - 60 * len(steps)
    total = [sum(each[way] for each in steps) + 12_345 for way in (0, 1)]
    early, late = steps[:-cut], steps[-cut:]
    messages = [register(NOON + 210, total[0] / 10**4, total[1] / 10**4)]
    for begin, part in ((NOON // 1000 - 60 * cut, late), (start, early)):
        block = minutes(begin, [each[0] / 10**4 for each in part], [each[1] / 10**4 for each in part])
        messages.append((ANSWER, answered(block), NOON + 500))
    _, samples, complaints = heard(READER, messages)
    assert complaints == []
    known = {each.at: (each.import_mwh, each.export_mwh) for each in samples[1:]}
    assert len(known) == len(steps)
    # The first register is cut to whole mWh, and so is each part's.
    before = [12_345, 12_345]
    for place, step in enumerate(steps):
        found = known[(start + 60 * place) * 1000]
        assert all(abs((value or 0) - due / 10) < 3 for value, due in zip(found, before, strict=True))
        before = [due + more for due, more in zip(before, step, strict=True)]


def test_while_a_device_was_without_power_its_registers_stood_still() -> None:
    first, last = minutes(SECOND - 600, [4], [0]), minutes(SECOND - 60, [2], [0])
    records = {"keys": KEYS, "data": [*as_list(first), *as_list(last)]}
    _, samples, _ = heard(READER, [register(NOON + 210, 106, 0), (ANSWER, answered(records), NOON + 500)])
    assert [(each.at, each.import_mwh) for each in samples[1:]] == [(NOON - 600_000, 100_000), (NOON - 60_000, 104_000)]


def as_list(records: dict[str, object]) -> list[Any]:
    data = records["data"]
    assert isinstance(data, list)
    return data


def test_records_reach_back_to_what_was_known_before_the_silence_and_never_below_it() -> None:
    messages = [register(NOON - 120_000, 100.008, 0), register(NOON + 210, 106, 0)]
    records = minutes(SECOND - 240, [9, 9, 2, 4], [0, 0, 0, 0])
    _, samples, _ = heard(READER, [*messages, (ANSWER, answered(records), NOON + 500)])
    made = [(each.at, each.import_mwh) for each in samples[2:]]
    assert made == [(NOON - 120_000, 100_008), (NOON - 60_000, 102_000)]


def test_records_that_hold_more_than_the_registers_moved_are_told() -> None:
    messages = [register(NOON - 121_000, 104, 0), register(NOON + 210, 106, 0)]
    records = minutes(SECOND - 120, [2, 4], [0, 0])
    _, samples, complaints = heard(READER, [*messages, (ANSWER, answered(records), NOON + 500)])
    assert (len(samples), len(complaints)) == (2, 1)


def test_records_after_the_known_register_are_left_out() -> None:
    records = minutes(SECOND - 60, [1, 50], [0, 0])
    _, samples, _ = heard(READER, [register(NOON + 210, 100, 0), (ANSWER, answered(records), NOON + 500)])
    assert [(each.at, each.import_mwh) for each in samples[1:]] == [(NOON - 60_000, 99_000)]


def test_records_of_a_device_that_is_turned_round_are_turned_too() -> None:
    reader = driver("shelly", Settings(topic=ID, swapped=True))
    records = minutes(SECOND - 60, [1], [2])
    _, samples, _ = heard(reader, [register(NOON + 210, 100, 50), (ANSWER, answered(records), NOON + 500)])
    assert (samples[1].import_mwh, samples[1].export_mwh) == (48_000, 99_000)


GOOD_ROW = [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("result", "word"),
    [
        ({"data": []}, "keys"),
        ({"keys": ["a_max_voltage"], "data": []}, "total_act_energy"),
        ({"keys": KEYS, "data": None}, "list"),
        ({"keys": KEYS, "data": [{"ts": "noon", "period": 60, "values": []}]}, "ts"),
        ({"keys": KEYS, "data": [{"ts": 5, "period": 60, "values": []}]}, "cannot be"),
        ({"keys": KEYS, "data": [{"ts": SECOND - 60, "period": 0, "values": [GOOD_ROW]}]}, "cannot be"),
        ({"keys": KEYS, "data": [{"ts": SECOND - 60, "period": 60, "values": [[1, 0]]}]}, "energy"),
        ({"keys": KEYS, "data": [{"ts": SECOND - 60, "period": 60, "values": [[-1, 0, 0, 0, 0, 0]]}]}, "energy"),
        ({"keys": KEYS, "data": [{"ts": SECOND - 60, "period": 60, "values": [[None] * 6]}]}, "energy"),
        ({"keys": KEYS, "data": [{"ts": SECOND - 60, "period": 60, "values": [GOOD_ROW]}] * 2}, "same minute"),
        ({"keys": KEYS, "data": [{"ts": SECOND - 600, "period": 60, "values": [GOOD_ROW]}]}, "the latest first"),
        ({"keys": KEYS, "data": [{"ts": SECOND - 60, "period": 60, "values": [[999, 0, 0, 0, 0, 0]]}]}, "set back"),
    ],
)
def test_records_that_do_not_fit_are_told_and_give_nothing(result: dict[str, object], word: str) -> None:
    _, samples, complaints = heard(READER, [register(NOON + 210, 100, 0), (ANSWER, answered(result), NOON + 500)])
    assert len(samples) == 1
    assert len(complaints) == 1
    assert word in complaints[0]


def test_records_before_any_register_give_nothing() -> None:
    _, samples, complaints = heard(READER, [(ANSWER, answered(minutes(SECOND - 60, [1], [0])), NOON)])
    assert (samples, len(complaints)) == ([], 1)


def test_an_answer_without_records_gives_nothing_and_no_complaint() -> None:
    assert heard(READER, [(ANSWER, answered({"keys": KEYS, "data": []}), NOON)])[1:] == ([], [])
