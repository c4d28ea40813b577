"""Shelly, second generation and later: status as partial overlays, energy in Wh, the device's own clock if it is set.

Source: Shelly API documentation for Gen2 devices, pages Notifications, MQTT, EMData, EM1Data, EM, Switch and PM1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from commonwatt.meter.telegrams import minutes
from commonwatt.meter.telegrams.figures import Unreadable, from_json, mapping, power, register, text
from commonwatt.meter.telegrams.interface import Heard, Reads, Settings, stranger
from commonwatt.meter.telegrams.sample import Sample, at_own_time, quoted

Status = Mapping[str, object]


@dataclass(frozen=True)
class Fields:
    """Where a kind of component has its figures, as paths; `companion` is the component that has the power.

    `gross` says that the register of import counts what flows out as well.
    """

    brought: str
    taken: str
    companion: str
    power: str
    gross: bool = False


_SWITCH: Final = Fields("aenergy.total", "ret_aenergy.total", "", "apower", gross=True)
KINDS: Final[Mapping[str, Fields]] = {
    "emdata": Fields("total_act", "total_act_ret", "em", "total_act_power"),
    "em1data": Fields("total_act_energy", "total_act_ret_energy", "em1", "act_power"),
    "pm1": _SWITCH,
    "switch": _SWITCH,
}
_PRESENCE: Final = {"true": True, "false": False}


@dataclass(frozen=True)
class Overlay:
    """What is known of the device: its components, whether it is online, and what records of the past hang on."""

    status: Mapping[str, Status] = field(default_factory=dict)
    online: bool | None = None
    known: minutes.Known = field(default_factory=minutes.Known)


@dataclass(frozen=True)
class Shelly:
    """Reads one component, such as `emdata:0` (without a channel), `em1data:1`, `switch:0` or `pm1:0`.

    A notification says what changed and leaves out the rest, which is as it was; a sample has registers only where the
    notification brought one of them. `aenergy.total` counts both directions, so import is it less `ret_aenergy.total`.
    """

    settings: Settings

    def __post_init__(self) -> None:
        self.settings.need(
            "Shelly", topic="the device's MQTT prefix, usually its id, such as shellypro3em-0123456789ab"
        )
        kind, _, number = self._component.partition(":")
        if kind not in KINDS or not (number.isascii() and number.isdigit()):
            self.settings.refuse("channel", f"is a component such as {', '.join(f'{each}:0' for each in KINDS)}")

    def topics(self) -> tuple[str, ...]:
        """Notifications, full status where the device publishes it, last will, and answers to `ask`."""
        given = self.settings.topic
        status = tuple(f"{given}/status/{each}" for each in (self._component, self._companion) if each)
        return (f"{given}/events/rpc", *dict.fromkeys(status), f"{given}/online", f"{self._caller}/rpc")

    def begin(self) -> Overlay:
        """Nothing is known of the device."""
        return Overlay()

    def resumed(self, last: Sample) -> Overlay:
        """The state of a device of which nothing is known but its last sample: what it counted since is missing."""
        return Overlay(known=minutes.Known(last))

    @property
    def keeps_records(self) -> bool:
        """Whether the component can be asked for its minutes."""
        return self._component.partition(":")[0] in minutes.METHODS

    @property
    def asked_at(self) -> tuple[str, ...]:
        """The topics on which the device is asked."""
        return (f"{self.settings.topic}/rpc",) if self.keeps_records else ()

    def read(self, state: Overlay, topic: str, payload: bytes, at: int) -> Heard[Overlay]:
        """Samples of a notification, of a full status, or, of an answer, those of the past."""
        given = self.settings.topic
        try:
            if topic == f"{given}/online":
                return Heard(replace(state, online=_PRESENCE.get(text(payload), state.online)))
            if topic == f"{given}/events/rpc":
                return self._notified(state, mapping(from_json(payload), "The notification"), at)
            if topic == f"{self._caller}/rpc":
                return self._answered(state, mapping(from_json(payload), "The answer"), at)
            if topic.startswith(f"{given}/status/") and topic in self.topics():
                component = topic.removeprefix(f"{given}/status/")
                return self._changed(state, {component: mapping(from_json(payload), component)}, None, at)
            return Heard(state, (), (stranger(topic),))
        except Unreadable as error:
            return Heard(state, (), (str(error),))

    def reads(self) -> Reads:
        """Figures of the component, and of the one that has its power."""
        found = self._fields
        brought = f"{found.brought} - {found.taken}" if found.gross else found.brought
        where = self._companion or self._component
        names = (f"{self._component} {brought}", f"{self._component} {found.taken}", f"{where} {found.power}")
        return Reads(
            *names, "Wh", "switch on 'RPC status notifications over MQTT'; the device then reports each minute"
        )

    def ask(self, number: int, since: int, until: int) -> tuple[str, bytes]:
        """Topic and payload that ask the device for its minute records from `since` to `until` [unix s].

        Ask backwards from the latest sample, an hour at a time: each answer hangs on the samples after it. `number` is
        the request's own. Raises ConfigError for components that keep no records.
        """
        kind, _, component = self._component.partition(":")
        if not self.keeps_records:
            self.settings.refuse("channel", f"has to be one of {', '.join(minutes.METHODS)} for records of the past")
        return f"{self.settings.topic}/rpc", minutes.request(kind, number, self._caller, int(component), since, until)

    @property
    def _component(self) -> str:
        return self.settings.channel or "emdata:0"

    @property
    def _fields(self) -> Fields:
        return KINDS[self._component.partition(":")[0]]

    @property
    def _companion(self) -> str:
        companion = self._fields.companion
        return f"{companion}:{self._component.partition(':')[2]}" if companion else ""

    @property
    def _caller(self) -> str:
        return f"commonwatt/{self.settings.topic}"

    def _notified(self, state: Overlay, frame: Status, at: int) -> Heard[Overlay]:
        method = frame.get("method")
        if method == "NotifyEvent":
            return Heard(state)
        if method not in ("NotifyStatus", "NotifyFullStatus"):
            raise Unreadable(f"The notification's method is '{quoted(method)}', which is none that is known.")
        params = mapping(frame.get("params"), "The notification's params")
        own = [each for each in dict.fromkeys((self._component, self._companion)) if each in params]
        changes = {each: mapping(params[each], each) for each in own}
        return self._changed(state, changes, _own_time(params.get("ts")), at, full=method == "NotifyFullStatus")

    def _changed(
        self, state: Overlay, changes: Mapping[str, Status], own: int | None, at: int, *, full: bool = False
    ) -> Heard[Overlay]:
        """The state with the changes laid over it, and the sample of what they touched."""
        status = {**state.status, **{each: _laid(state.status.get(each, {}), changes[each], full) for each in changes}}
        found, here = self._fields, status.get(self._component, {})
        brought, taken = (self._figure(here, path) for path in (found.brought, found.taken))
        flow = self._figure(status.get(self._companion or self._component, {}), found.power)
        # All figures are read before any is used, so that a message with one that is wrong changes nothing.
        registers = self._registers(brought, taken)
        power_mw = None if flow is None else power(flow, found.power, "W")
        if not any(_touched(changes.get(self._component, {}), path) for path in (found.brought, found.taken)):
            registers = (None, None)
        if registers == (None, None) and not _touched(changes.get(self._companion or self._component, {}), found.power):
            return Heard(replace(state, status=status, online=True))
        sample, said = at_own_time(self.settings.oriented(Sample(at, *registers, power_mw)), own, at)
        return Heard(Overlay(status, online=True, known=state.known.after(sample)), (sample,), said)

    def _registers(self, brought: object, taken: object) -> tuple[int | None, int | None]:
        found = self._fields
        out = None if taken is None else register(taken, found.taken, "Wh")
        both = None if brought is None else register(brought, found.brought, "Wh")
        if not found.gross or both is None or out is None:
            return both, out
        if both < out:
            raise Unreadable(f"{found.brought} is less than {found.taken}, although it counts that as well.")
        return both - out, out

    def _figure(self, status: Status, path: str) -> object:
        """What is at a path of a component's status; None where nothing is."""
        found: object = status
        for key in path.split("."):
            if found is None:
                return None
            found = mapping(found, path).get(key)
        return found

    def _answered(self, state: Overlay, frame: Status, at: int) -> Heard[Overlay]:
        if "error" in frame:
            raise Unreadable(f"The device refused to give its records: '{quoted(frame['error'], 120)}'.")
        result = frame.get("result")
        known, past = minutes.registers(
            mapping(result, "The answer's result"), state.known, swapped=self.settings.swapped
        )
        return Heard(replace(state, known=known), tuple(replace(each, arrived=at) for each in past))


def _laid(before: Status, change: Status, full: bool) -> Status:
    """A status with a change over it; what is null is gone."""
    merged = change if full else {**before, **change}
    return {key: value for key, value in merged.items() if value is not None}


def _touched(change: Status, path: str) -> bool:
    return path.split(".")[0] in change and change[path.split(".")[0]] is not None


def _own_time(value: object) -> int | None:
    """The device's time [unix ms]; None before it has asked a time server. Raises Unreadable for what is no time."""
    if value is None:
        return None
    if not isinstance(value, Decimal):
        raise Unreadable(f"The notification's time is '{quoted(value)}', which is no number.")
    return int(value * 1000) if abs(value) < 10**12 else None
