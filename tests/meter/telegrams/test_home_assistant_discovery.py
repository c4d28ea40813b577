"""What Home Assistant is told: one message that it takes a device from, and totals that never fall."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.meter.telegrams.discovery import (
    COUNTERS,
    STATUS,
    Home,
    Told,
    discovery,
    greeted,
    switch_state,
    switched,
    totals,
)

HOME = Home("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "Linden 7", "0.1.0")
TOTALS = st.dictionaries(st.sampled_from(sorted(COUNTERS)), st.integers(0, 10**12))


def config() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(discovery(HOME).payload)
    return data


def test_one_retained_message_makes_the_whole_device() -> None:
    message = discovery(HOME)
    assert message.retain
    assert re.fullmatch(r"homeassistant/device/[a-z0-9_]+/config", message.topic)
    assert set(config()) >= {"dev", "o", "cmps"}
    assert config()["o"]["name"] == "commonwatt"
    assert config()["dev"]["ids"] == [HOME.identity]


def test_every_component_has_a_platform_an_identity_and_an_entity_of_its_own() -> None:
    parts = config()["cmps"]
    assert set(parts) == {"import", "export", "bought", "sold", "auto"}
    assert len({part["unique_id"] for part in parts.values()}) == len(parts)
    for part in parts.values():
        assert re.fullmatch(rf"{part['p']}\.[a-z0-9_]+", part["default_entity_id"])
        assert "object_id" not in part


@pytest.mark.parametrize("name", COUNTERS)
def test_a_counter_is_energy_that_only_grows(name: str) -> None:
    part = config()["cmps"][name]
    kind = (part["device_class"], part["state_class"], part["unit_of_measurement"])
    assert kind == ("energy", "total_increasing", "Wh")
    _, messages = totals(HOME, Told(), {name: 5})
    assert [(each.topic, each.payload) for each in messages] == [(part["state_topic"], b"5")]


def test_the_switch_commands_and_shows_automatic_trade() -> None:
    part = config()["cmps"]["auto"]
    assert part["command_topic"] == f"cw/{HOME.address}/auto"
    assert switched(HOME, part["command_topic"], part["payload_on"].encode()) is True
    assert switched(HOME, part["command_topic"], part["payload_off"].encode()) is False
    assert switch_state(HOME, auto=True) == (part["state_topic"], part["payload_on"].encode(), True)


@pytest.mark.parametrize(
    ("last", "payload"), [("auto", b"on"), ("auto", b""), ("auto", b"\xff"), ("auto/state", b"ON")]
)
def test_no_other_message_switches_anything(last: str, payload: bytes) -> None:
    assert switched(HOME, HOME.topic(last), payload) is None


@given(reports=st.lists(TOTALS, max_size=20))
def test_no_total_that_is_told_is_zero_or_less_than_before(reports: list[dict[str, int]]) -> None:
    told = Told()
    heard: dict[str, list[int]] = {}
    for now in reports:
        told, messages = totals(HOME, told, now)
        for message in messages:
            heard.setdefault(message.topic, []).append(int(message.payload))
    for values in heard.values():
        assert values[0] > 0
        assert values == sorted(set(values))
    highest = {name: max(now.get(name, 0) for now in reports) for name in COUNTERS} if reports else {}
    assert dict(told.totals) == {name: wh for name, wh in highest.items() if wh}


def test_everything_is_told_anew_when_home_assistant_comes() -> None:
    told, _ = totals(HOME, Told(), {"import": 7, "export": 0})
    messages = greeted(HOME, told, STATUS, b"online", auto=False)
    assert messages[0] == discovery(HOME)
    assert [(each.topic, each.payload) for each in messages[1:]] == [
        (HOME.topic("total/import"), b"7"),
        (HOME.topic("auto/state"), b"OFF"),
    ]


@pytest.mark.parametrize(("topic", "payload"), [(STATUS, b"offline"), (STATUS, b""), ("other/status", b"online")])
def test_nothing_is_told_for_any_other_message(topic: str, payload: bytes) -> None:
    assert greeted(HOME, Told({"import": 7}), topic, payload, auto=True) == ()


def test_another_discovery_prefix_is_kept_throughout() -> None:
    home = Home("0xAB", "Linden 8", "0.1.0", prefix="ha")
    assert discovery(home).topic == "ha/device/commonwatt_0xab/config"
    assert greeted(home, Told(), "ha/status", b"online", auto=True)[0] == discovery(home)
    assert greeted(home, Told(), STATUS, b"online", auto=True) == ()
