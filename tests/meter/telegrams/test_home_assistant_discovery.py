"""What Home Assistant is told: one message that it takes a device from."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from commonwatt.meter.telegrams.discovery import COUNTERS, Home, discovery

HOME = Home("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "Linden 7", "0.1.0")


def config() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(discovery(HOME)))
    return found


def test_one_message_makes_the_whole_device() -> None:
    assert re.fullmatch(r"device/[a-z0-9_]+/config", HOME.place)
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
    assert part["state_topic"] == f"cw/{HOME.address}/total/{name}"


def test_the_switch_commands_and_shows_automatic_trade() -> None:
    part = config()["cmps"]["auto"]
    assert (part["command_topic"], part["state_topic"]) == (f"cw/{HOME.address}/auto", f"cw/{HOME.address}/auto/state")
    assert (part["payload_on"], part["payload_off"]) == ("ON", "OFF")
