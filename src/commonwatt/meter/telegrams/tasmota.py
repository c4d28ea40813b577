"""Tasmota: one JSON message in each telemetry period, energy in kWh, time without a zone.

Source: Tasmota documentation, pages MQTT, Commands (TelePeriod, SetOption129) and Smart Meter Interface.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from commonwatt.meter.telegrams.figures import Unreadable, from_json, mapping, power, register, text
from commonwatt.meter.telegrams.interface import Heard, Presence, Reads, Settings, stranger
from commonwatt.meter.telegrams.sample import Sample, at_arrival, quoted

IMPORT, EXPORT, POWER = "ENERGY.Total", "ENERGY.ExportActive", "ENERGY.Power"
_PRESENCE = {"Online": True, "Offline": False}


@dataclass(frozen=True)
class Tasmota:
    """Reads `tele/<topic>/SENSOR`. Its state is whether the device is there.

    Where figures are is a path such as `SML.Total_in`; without one, that of Tasmota's own energy meters. Of a list, one
    figure per channel or phase, `channel` takes one, counted from 0; without it they are added up. `Time` is local and
    without a zone, so the time of arrival counts.
    """

    settings: Settings

    def __post_init__(self) -> None:
        self.settings.need("Tasmota", topic="the device's Topic, as in its MQTT settings")
        if self.settings.channel and not _counts(self.settings.channel):
            self.settings.refuse("channel", "is a number from 0 to 7, such as 1 for the second channel")

    def topics(self) -> tuple[str, ...]:
        """Telemetry and last will; a topic with `%prefix%` is a FullTopic of the device."""
        return self._topic("SENSOR"), self._topic("LWT")

    def begin(self) -> Presence:
        """Nothing is known of the device."""
        return Presence()

    def read(self, state: Presence, topic: str, payload: bytes, at: int) -> Heard[Presence]:
        """One sample for a message of telemetry, none for the last will."""
        try:
            if topic == self._topic("LWT"):
                return Heard(Presence(_present(text(payload))))
            if topic != self._topic("SENSOR"):
                return Heard(state, (), (stranger(topic),))
            return Heard(Presence(online=True), (self._sample(payload, at),))
        except Unreadable as error:
            return Heard(state, (), (str(error),))

    def reads(self) -> Reads:
        """Those of Tasmota's own meters, or of the settings."""
        given = self.settings
        chosen = (given.import_from or IMPORT, given.export_from or EXPORT, given.power_from or POWER)
        return Reads(*chosen, given.unit, "set TelePeriod to a figure from 10 to 60, such as 'TelePeriod 30'")

    def _topic(self, last: str) -> str:
        given = self.settings.topic
        return f"{given.replace('%prefix%', 'tele')}/{last}" if "%prefix%" in given else f"tele/{given}/{last}"

    def _sample(self, payload: bytes, at: int) -> Sample:
        message, given = from_json(payload), self.settings
        brought = self._register(message, given.import_from, IMPORT)
        taken = self._register(message, given.export_from, EXPORT)
        flow = self._figure(message, given.power_from, POWER, power, given.power_unit)
        if brought is None and taken is None:
            raise Unreadable(f"The message has no {self.reads().import_from}.")
        return at_arrival(given.oriented(Sample(at, brought, taken, flow)), at)

    def _register(self, message: object, wanted: str, usual: str) -> int | None:
        return self._figure(message, wanted, usual, register, self.settings.unit)

    def _figure(
        self, message: object, wanted: str, usual: str, read: Callable[[object, str, str], int], unit: str
    ) -> int | None:
        """The figure at the path; None where it is absent and nobody asked for it."""
        path = wanted or usual
        found: object = message
        for place, key in enumerate(path.split(".")):
            part = mapping(found, ".".join(path.split(".")[:place]) or "The message")
            if key not in part:
                if wanted:
                    raise Unreadable(f"The message has no {quoted(path)}.")
                return None
            found = part[key]
        if not isinstance(found, list):
            if self.settings.channel:
                raise Unreadable(f"{path} is one figure for all channels; SetOption129 1 gives one for each.")
            return read(found, path, unit)
        return self._of_channels([read(each, path, unit) for each in found], path)

    def _of_channels(self, figures: list[int], path: str) -> int:
        if not figures:
            raise Unreadable(f"{path} is an empty list.")
        if not self.settings.channel:
            return sum(figures)
        place = int(self.settings.channel)
        if place >= len(figures):
            raise Unreadable(f"{path} has {len(figures)} channels, so none with number {place}.")
        return figures[place]


def _counts(channel: str) -> bool:
    return len(channel) == 1 and channel in "01234567"


def _present(word: str) -> bool:
    if word not in _PRESENCE:
        raise Unreadable(f"The device's last will is '{quoted(word)}', neither Online nor Offline.")
    return _PRESENCE[word]
