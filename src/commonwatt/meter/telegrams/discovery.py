"""Home Assistant finds a home's counters and its switch by itself, from one message that the broker keeps.

Each home has a prefix of its own for discovery, below its meter's address, because it may hear nothing of others.

Source: Home Assistant documentation, pages MQTT (device discovery), MQTT Sensor and MQTT Switch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

COUNTERS: Final[Mapping[str, str]] = {
    "import": "Energy from the grid",
    "export": "Energy to the grid",
    "bought": "Energy bought from neighbours",
    "sold": "Energy sold to neighbours",
}
"""Every counter [Wh] and what it is called."""
ON, OFF = "ON", "OFF"


@dataclass(frozen=True)
class Home:
    """A home's place at the broker.

    address : of its meter, as in the topics `cw/<address>/...`
    name : what people call it
    version : of the software that publishes
    """

    address: str
    name: str
    version: str

    @property
    def identity(self) -> str:
        """The name that is the same for ever, of letters, digits and underscores."""
        return f"commonwatt_{self.address}"

    @property
    def place(self) -> str:
        """Where the description is, below the discovery's prefix."""
        return f"device/{self.identity}/config"


def discovery(home: Home) -> dict[str, Any]:
    """The message by which Home Assistant makes one device of four counters and the switch of automatic trade."""
    counters = {name: _counter(home, name, title) for name, title in COUNTERS.items()}
    return {
        "dev": {"ids": [home.identity], "name": home.name, "mf": "Commonwatt", "sw": home.version},
        "o": {"name": "commonwatt", "sw": home.version},
        "qos": 1,
        "cmps": {**counters, "auto": _switch(home)},
    }


def _counter(home: Home, name: str, title: str) -> dict[str, object]:
    # Home Assistant takes a total that falls for a meter that was changed: none may.
    return {
        "p": "sensor",
        "name": title,
        "unique_id": f"{home.identity}_{name}",
        "default_entity_id": f"sensor.{home.identity}_{name}",
        "state_topic": f"cw/{home.address}/total/{name}",
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
        "command_topic": f"cw/{home.address}/auto",
        "state_topic": f"cw/{home.address}/auto/state",
        "payload_on": ON,
        "payload_off": OFF,
    }
