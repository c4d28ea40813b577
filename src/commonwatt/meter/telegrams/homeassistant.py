"""Home Assistant's statestream: any sensor it knows, one topic for each state and each attribute.

Source: Home Assistant documentation, page MQTT Statestream. States come as bare text and, as that page has it, as JSON
text in quotes; both are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from commonwatt.meter.telegrams.figures import ENERGY_UNITS, POWER_UNITS, Unreadable, decimal, text
from commonwatt.meter.telegrams.interface import Heard, Reads, Settings, stranger
from commonwatt.meter.telegrams.sample import at_arrival, quoted

_NOTHING = ("unknown", "unavailable", "none", "")


@dataclass(frozen=True)
class Units:
    """The unit of each sensor, as far as Home Assistant said it."""

    known: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HomeAssistant:
    """Reads `<topic>/sensor/<name>/state`, and `.../unit_of_measurement` where attributes are published.

    A unit that is not that of the settings stops the sensor: between kWh and Wh nobody should guess.
    """

    settings: Settings

    def __post_init__(self) -> None:
        self.settings.need("Home Assistant", topic="the base_topic of mqtt_statestream")
        self.settings.need_register("Home Assistant", "a sensor, such as sensor.meter_energy_import")

    def topics(self) -> tuple[str, ...]:
        """State and unit of each sensor of the settings."""
        return tuple(
            f"{self._topic(name)}/{last}" for name in self._named() for last in ("state", "unit_of_measurement")
        )

    def begin(self) -> Units:
        """No unit is known."""
        return Units()

    def read(self, state: Units, topic: str, payload: bytes, at: int) -> Heard[Units]:
        """One sample for a state, none for a unit."""
        try:
            said = _bare(text(payload))
            for name in self._named():
                if topic == f"{self._topic(name)}/unit_of_measurement":
                    units = Units({**state.known, name: said})
                    return Heard(units, (), self._contradiction(units, name))
                if topic == f"{self._topic(name)}/state":
                    return self._state(state, name, said, at)
            return Heard(state, (), (stranger(topic),))
        except Unreadable as error:
            return Heard(state, (), (str(error),))

    def reads(self) -> Reads:
        """Those of the settings."""
        given = self.settings
        chosen = (given.import_from, given.export_from, given.power_from)
        return Reads(*chosen, given.unit, "let the sensor's own integration report every 10 to 60 s")

    def _state(self, units: Units, name: str, said: str, at: int) -> Heard[Units]:
        if contradiction := self._contradiction(units, name):
            return Heard(units, (), contradiction)
        if said.lower() in _NOTHING:
            raise Unreadable(f"{quoted(name)} is {said.lower() or 'empty'} in Home Assistant.")
        sample = self.settings.sample_of(name, decimal(said, quoted(name)), at)
        return Heard(units, (at_arrival(self.settings.oriented(sample), at),))

    def _contradiction(self, units: Units, name: str) -> tuple[str, ...]:
        is_power = name == self.settings.power_from
        key, due = ("power_unit", self.settings.power_unit) if is_power else ("unit", self.settings.unit)
        said = units.known.get(name, due)
        if said == due:
            return ()
        if said in (POWER_UNITS if is_power else ENERGY_UNITS):
            return (f"{quoted(name)} is in {said}; set {key} to '{said}', which is '{due}' now.",)
        return (f"{quoted(name)} is in '{quoted(said)}', which is no unit of {'power' if is_power else 'energy'}.",)

    def _named(self) -> tuple[str, ...]:
        given = self.settings
        return tuple(name for name in (given.import_from, given.export_from, given.power_from) if name)

    def _topic(self, name: str) -> str:
        return f"{self.settings.topic}/sensor/{name.removeprefix('sensor.')}"


def _bare(said: str) -> str:
    return said[1:-1].strip() if len(said) >= 2 and said[0] == said[-1] == '"' else said
