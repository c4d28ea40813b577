"""Home Assistant finds a home's counters and its switch by itself: one retained message, and totals that only grow.

Home Assistant takes a total that falls for a meter that was changed and counts it anew, so none is told that is zero or
less than one told before.

Source: Home Assistant documentation, pages MQTT (device discovery), MQTT Sensor and MQTT Switch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

COUNTERS: Final[Mapping[str, str]] = {
    "import": "Energy from the grid",
    "export": "Energy to the grid",
    "bought": "Energy bought from neighbours",
    "sold": "Energy sold to neighbours",
}
"""Every counter [Wh] and what it is called."""
STATUS: Final = "homeassistant/status"
"""Where Home Assistant says that it is there."""
ON, OFF = "ON", "OFF"


class Publish(NamedTuple):
    """One message to be published, with quality of service 1."""

    topic: str
    payload: bytes
    retain: bool


@dataclass(frozen=True)
class Home:
    """A home's place at the broker.

    address : of its meter, as in the topics `cw/<address>/...`
    name : what people call it
    version : of the software that publishes
    prefix : of Home Assistant's discovery
    """

    address: str
    name: str
    version: str
    prefix: str = "homeassistant"

    @property
    def identity(self) -> str:
        """The name that is the same for ever, of letters, digits and underscores."""
        return "commonwatt_" + re.sub(r"[^a-z0-9]+", "_", self.address.lower())

    def topic(self, last: str) -> str:
        """One of the home's own topics."""
        return f"cw/{self.address}/{last}"


@dataclass(frozen=True)
class Told:
    """The totals [Wh] that Home Assistant was told, by counter. It outlives restarts, or totals could seem to fall."""

    totals: Mapping[str, int] = field(default_factory=dict)


def discovery(home: Home) -> Publish:
    """The message by which Home Assistant makes one device of four counters and the switch of automatic trade."""
    counters = {name: _counter(home, name, title) for name, title in COUNTERS.items()}
    payload = {
        "dev": {"ids": [home.identity], "name": home.name, "mf": "Commonwatt", "sw": home.version},
        "o": {"name": "commonwatt", "sw": home.version},
        "availability_topic": home.topic("status"),
        "payload_available": "online",
        "payload_not_available": "offline",
        "qos": 1,
        "cmps": {**counters, "auto": _switch(home)},
    }
    return Publish(f"{home.prefix}/device/{home.identity}/config", json.dumps(payload).encode(), retain=True)


def totals(home: Home, told: Told, now: Mapping[str, int]) -> tuple[Told, tuple[Publish, ...]]:
    """What was told afterwards, and a message for each counter [Wh] of `now` that grew.

    A total that is zero, or not more than what was told, is kept back: after a correction downwards it is told again
    as soon as it has caught up.
    """
    grown = {name: now[name] for name in COUNTERS if now.get(name, 0) > told.totals.get(name, 0)}
    messages = tuple(_total(home, name, wh) for name, wh in grown.items())
    return Told({**told.totals, **grown}), messages


def greeted(home: Home, told: Told, topic: str, payload: bytes, *, auto: bool) -> tuple[Publish, ...]:
    """What is published when Home Assistant says that it is there: everything anew. Nothing for any other message."""
    if topic != f"{home.prefix}/status" or payload.strip() != b"online":
        return ()
    told_before = tuple(_total(home, name, wh) for name, wh in told.totals.items())
    return (discovery(home), *told_before, switch_state(home, auto=auto))


def switch_state(home: Home, *, auto: bool) -> Publish:
    """Whether the home trades by itself."""
    return Publish(home.topic("auto/state"), (ON if auto else OFF).encode(), retain=True)


def switched(home: Home, topic: str, payload: bytes) -> bool | None:
    """Whether a message switches automatic trade on or off; None for any other."""
    if topic != home.topic("auto"):
        return None
    return {ON.encode(): True, OFF.encode(): False}.get(payload.strip())


def _total(home: Home, name: str, wh: int) -> Publish:
    return Publish(home.topic(f"total/{name}"), str(wh).encode(), retain=True)


def _counter(home: Home, name: str, title: str) -> dict[str, object]:
    return {
        "p": "sensor",
        "name": title,
        "unique_id": f"{home.identity}_{name}",
        "default_entity_id": f"sensor.{home.identity}_{name}",
        "state_topic": home.topic(f"total/{name}"),
        "device_class": "energy",
        "state_class": "total_increasing",
        "unit_of_measurement": "Wh",
    }


def _switch(home: Home) -> dict[str, object]:
    return {
        "p": "switch",
        "name": "Trade automatically",
        "unique_id": f"{home.identity}_auto",
        "default_entity_id": f"switch.{home.identity}_auto",
        "command_topic": home.topic("auto"),
        "state_topic": home.topic("auto/state"),
        "payload_on": ON,
        "payload_off": OFF,
    }
