"""Payloads of meters that people have, to samples of their registers. No clock, socket or file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from commonwatt.errors import ConfigError, Finding
from commonwatt.meter.telegrams.dsmr import Dsmr
from commonwatt.meter.telegrams.esphome import Esphome
from commonwatt.meter.telegrams.homeassistant import HomeAssistant
from commonwatt.meter.telegrams.interface import Driver, Heard, Message, Reads, Settings
from commonwatt.meter.telegrams.preview import Preview, preview
from commonwatt.meter.telegrams.sample import Sample
from commonwatt.meter.telegrams.shelly import Shelly
from commonwatt.meter.telegrams.sunspec import SunSpec
from commonwatt.meter.telegrams.tasmota import Tasmota

DRIVERS: Final[Mapping[str, Callable[[Settings], Driver[Any]]]] = {
    "dsmr": Dsmr,
    "esphome": Esphome,
    "homeassistant": HomeAssistant,
    "shelly": Shelly,
    "sunspec": SunSpec,
    "tasmota": Tasmota,
}
"""Every driver by the name that settings give it."""


def driver(name: str, settings: Settings) -> Driver[Any]:
    """The driver of that name. Raises ConfigError for an unknown one, or settings that it cannot go by."""
    if name not in DRIVERS:
        raise ConfigError("The meter's settings", [Finding("driver", f"is one of {', '.join(DRIVERS)}, not '{name}'")])
    return DRIVERS[name](settings)


__all__ = ["DRIVERS", "Driver", "Heard", "Message", "Preview", "Reads", "Sample", "Settings", "driver", "preview"]
