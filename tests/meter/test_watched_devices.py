"""A device's messages become slots that are due, whatever is cut off in between; a silence is filled or given up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram_cases import ID, NOON, answered, minutes, notified

from commonwatt.errors import DataError
from commonwatt.meter.device import Ask, Kept, Watched, hear
from commonwatt.meter.slots import Metered, Rules, State
from commonwatt.meter.telegrams import Driver, Message, Settings, driver

RULES = Rules(most_w=20_000)
PLUG, CLAMP = driver("tasmota", Settings(topic="plug")), driver("shelly", Settings(topic=ID))
START = NOON // 1000


def said(at: int, wh: int) -> Message:
    """A plug's telemetry at a time [unix ms]."""
    return Message("tele/plug/SENSOR", b'{"ENERGY": {"Total": %d.%03d, "ExportActive": 0}}' % divmod(wh, 1000), at)


def notify(at: int, wh: float) -> Message:
    params = {"ts": at / 1000, "emdata:0": {"total_act": wh, "total_act_ret": 0}}
    return Message(f"{ID}/events/rpc", notified(params), at)


def begun(device: Driver[Any], text: str = "") -> Watched:
    return Watched.of(Kept.from_text(text) if text else Kept(State.of(RULES)), device)


@given(
    steps=st.lists(st.integers(0, 300), min_size=40, max_size=80),
    cuts=st.sets(st.integers(1, 79), max_size=6),
    together=st.integers(1, 5),
)
def test_where_it_is_cut_off_and_begun_again_changes_no_slot(steps: list[int], cuts: set[int], together: int) -> None:
    messages = [said(NOON + 60_000 * place, 10_000 + sum(steps[:place])) for place in range(len(steps))]
    whole, _ = hear(begun(PLUG), PLUG, RULES, messages, messages[-1].at + 20_000)
    watched = begun(PLUG)
    for place in range(0, len(messages), together):
        batch = messages[place : place + together]
        watched, _ = hear(watched, PLUG, RULES, batch, batch[-1].at)
        if cuts.intersection(range(place, place + together)):
            watched = begun(PLUG, watched.kept.as_text())
    watched, _ = hear(watched, PLUG, RULES, [], messages[-1].at + 20_000)
    assert watched.kept == whole.kept
    assert len(whole.kept.due) >= 2


def test_a_slot_is_due_until_it_is_stored() -> None:
    messages = [said(NOON + 60_000 * place, place) for place in range(40)]
    watched, _ = hear(begun(PLUG), PLUG, RULES, messages, NOON + 60_000 * 40)
    first, second = Metered(START, 15, 0), Metered(START + 900, 15, 0)
    assert watched.kept.due == (first, second)
    again, _ = hear(begun(PLUG, watched.kept.without([first]).as_text()), PLUG, RULES, [], NOON + 60_000 * 41)
    assert again.kept.due == (second,)


def test_what_an_operator_lets_begin_anew_keeps_what_is_due() -> None:
    watched, _ = hear(begun(PLUG), PLUG, RULES, [said(NOON + 60_000 * n, n) for n in range(20)], NOON + 1_300_000)
    kept = watched.kept.under(RULES, 0)
    assert kept is watched.kept
    kept = kept.under(RULES, START)
    assert (kept.state, kept.due, kept.anew) == (State.of(RULES), watched.kept.due, START)


@pytest.mark.parametrize("text", ["", "{}", '{"state": 1}', "[]"])
def test_what_cannot_be_read_is_told(text: str) -> None:
    with pytest.raises(DataError, match="begin anew"):
        Kept.from_text(text)


def answer(asks: tuple[Ask, ...], at: int, counts: float) -> list[Message]:
    """What a clamp says that counted so much in each minute."""
    from json import loads

    found = []
    for _, payload in asks:
        params = loads(payload)["params"]
        values = [counts] * ((params["end_ts"] - params["ts"]) // 60)
        found.append(Message(f"commonwatt/{ID}/rpc", answered(minutes(params["ts"], values, [0.0] * len(values))), at))
    return found


@given(hours=st.integers(1, 30), restarts=st.booleans())
def test_a_silence_is_filled_from_the_devices_minutes(hours: int, restarts: bool) -> None:
    back = NOON + 3_600_000 * hours
    before = [notify(NOON - 60_000, 999.0), notify(NOON, 1000.0)]
    watched, _ = hear(begun(CLAMP), CLAMP, RULES, before, NOON + 20_000)
    if restarts:
        watched = begun(CLAMP, watched.kept.as_text())
    watched, asks = hear(watched, CLAMP, RULES, [notify(back, 1000.0 + 60 * hours)], back)
    rounds = 0
    while asks:
        assert watched.kept.due == ()  # nothing is counted before all of it is there
        watched, asks = hear(watched, CLAMP, RULES, answer(asks, back, 1.0), back)
        rounds += 1
    assert rounds == hours
    watched, _ = hear(watched, CLAMP, RULES, [], back + 20_000)
    assert watched.kept.due == tuple(Metered(START + 900 * place, 15, 0) for place in range(4 * hours))
    assert watched.kept.refused == 0


def test_a_device_that_does_not_answer_holds_nothing_up_for_long() -> None:
    watched, _ = hear(begun(CLAMP), CLAMP, RULES, [notify(NOON, 1000.0)], NOON + 20_000)
    at, asked = NOON + 3_600_000, 0
    watched, asks = hear(watched, CLAMP, RULES, [notify(at, 1060.0)], at)
    while watched.filling:
        asked += len(asks)
        at += 5_000
        watched, asks = hear(watched, CLAMP, RULES, [notify(at, 1060.0)], at)
    assert asked == 3
    assert at <= NOON + 3_600_000 + 60_000
    watched, _ = hear(watched, CLAMP, RULES, [notify(at + 60_000, 1061.0)], at + 90_000)
    assert watched.filling is None
    assert watched.kept.state.series[0].mwh == 1_061_000
