"""ESPHome: one topic for each sensor, the figure as plain text, without unit or time.

Source: ESPHome documentation, pages MQTT Client Component and Sensor Component.
"""

from __future__ import annotations

from dataclasses import dataclass

from commonwatt.meter.telegrams.figures import Unreadable, decimal, text
from commonwatt.meter.telegrams.interface import Heard, Presence, Reads, Settings, stranger
from commonwatt.meter.telegrams.sample import at_arrival, quoted

_PRESENCE = {"online": True, "offline": False}


@dataclass(frozen=True)
class Esphome:
    """Reads `<topic>/sensor/<name>/state`. Its state is whether the node is there.

    Each message is one figure, so each sample has one: what the other register was at that instant nobody said.
    """

    settings: Settings

    def __post_init__(self) -> None:
        self.settings.need("ESPHome", topic="the node's topic_prefix, usually its name")
        self.settings.need_register("ESPHome", "the object id of the sensor")

    def topics(self) -> tuple[str, ...]:
        """The sensors of the settings, and the node's last will."""
        return (*(self._topic(name) for name in self._named()), f"{self.settings.topic}/status")

    def begin(self) -> Presence:
        """Nothing is known of the node."""
        return Presence()

    def read(self, state: Presence, topic: str, payload: bytes, at: int) -> Heard[Presence]:
        """One sample for a sensor's message, none for the last will."""
        given = self.settings
        try:
            said = text(payload)
            if topic == f"{given.topic}/status":
                return Heard(Presence(_PRESENCE.get(said, state.online)))
            for name in self._named():
                if topic == self._topic(name):
                    sample = given.sample_of(name, decimal(said, f"Sensor {quoted(name)}"), at)
                    return Heard(Presence(online=True), (at_arrival(given.oriented(sample), at),))
            return Heard(state, (), (stranger(topic),))
        except Unreadable as error:
            return Heard(state, (), (str(error),))

    def reads(self) -> Reads:
        """Those of the settings."""
        given = self.settings
        chosen = (given.import_from, given.export_from, given.power_from)
        return Reads(*chosen, given.unit, "set the sensors' update_interval to 10s to 60s")

    def _named(self) -> tuple[str, ...]:
        given = self.settings
        return tuple(name for name in (given.import_from, given.export_from, given.power_from) if name)

    def _topic(self, name: str) -> str:
        return f"{self.settings.topic}/sensor/{name}/state"
