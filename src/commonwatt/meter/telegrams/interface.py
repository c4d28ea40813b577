"""What every driver is: settings and messages in, samples and complaints out.

A driver keeps no clock, no connection and no memory: what it has to remember between two messages is its state, which
`read` takes and gives back. A message that is not understood is a complaint, one sentence, and changes nothing.

Who connects a driver hands it no message that the broker marks as retained: such a one is older than its arrival.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Generic, NamedTuple, NoReturn, Protocol, TypeVar

from commonwatt.errors import ConfigError, Finding
from commonwatt.meter.telegrams.figures import ENERGY_UNITS, POWER_UNITS, power, register
from commonwatt.meter.telegrams.sample import Sample, quoted

State = TypeVar("State")


@dataclass(frozen=True)
class Settings:
    """How one device is read; each driver says which of these it knows, and what it takes without them.

    topic : the device's name at the broker
    import_from, export_from, power_from : where the device has the registers and the power
    unit, power_unit : of these figures, where the device does not say
    channel : which of several meters in one device
    swapped : the device counts as export what flows into the home: both registers change places, and power its sign
    power_reversed : power alone has the other sign
    winter_minutes : what local winter time is ahead of UTC [min], for telegrams in local time
    """

    topic: str = ""
    import_from: str = ""
    export_from: str = ""
    power_from: str = ""
    unit: str = "kWh"
    power_unit: str = "W"
    channel: str = ""
    swapped: bool = False
    power_reversed: bool = False
    winter_minutes: int = 60

    def __post_init__(self) -> None:
        findings = [
            Finding(key, f"is '{value}', and has to be one of {', '.join(known)}")
            for key, value, known in (("unit", self.unit, ENERGY_UNITS), ("power_unit", self.power_unit, POWER_UNITS))
            if value not in known
        ]
        if not -720 <= self.winter_minutes <= 840:
            findings.append(Finding("winter_minutes", f"is from -720 to 840, not {self.winter_minutes}"))
        if wild := sorted(set(self.topic) & set("#+\0")):
            findings.append(Finding("topic", f"is one device's, without '{wild[0]}'"))
        if findings:
            raise ConfigError("The meter's settings", findings)

    def need(self, driver: str, **keys: str) -> None:
        """Raises ConfigError for each setting without which `driver` reads nothing; `keys` say what it is."""
        findings = [Finding(key, f"is missing: {meaning}") for key, meaning in keys.items() if not getattr(self, key)]
        if findings:
            raise ConfigError(f"The settings of the {driver} meter", findings)

    def need_register(self, driver: str, meaning: str) -> None:
        """Raises ConfigError unless one register at least is named; `meaning` says by what."""
        if not (self.import_from or self.export_from):
            self.need(driver, import_from=meaning, export_from=meaning)

    def refuse(self, key: str, message: str) -> NoReturn:
        """Raises ConfigError for a setting that this driver cannot go by."""
        raise ConfigError("The meter's settings", [Finding(key, message)])

    def sample_of(self, name: str, figure: Decimal, at: int) -> Sample:
        """The sample of one figure alone, which is the register or the power that settings take from `name`.

        Raises Unreadable where it is none such.
        """
        brought = register(figure, quoted(name), self.unit) if name == self.import_from else None
        taken = register(figure, quoted(name), self.unit) if name == self.export_from else None
        flow = power(figure, quoted(name), self.power_unit) if name == self.power_from else None
        return Sample(at, brought, taken, flow)

    def oriented(self, sample: Sample) -> Sample:
        """The sample as seen from the home: positive and import = into it."""
        sign = -1 if self.swapped != self.power_reversed else 1
        power = None if sample.power_mw is None else sign * sample.power_mw
        if not self.swapped:
            return replace(sample, power_mw=power)
        return replace(sample, import_mwh=sample.export_mwh, export_mwh=sample.import_mwh, power_mw=power)


@dataclass(frozen=True)
class Reads:
    """What a driver takes from its device, in words that stand on the device's own pages.

    import_from, export_from, power_from : names of the figures, before settings swap them; "" where it reads none
    unit : of the registers
    step : what to set on a device that reports too seldom
    """

    import_from: str
    export_from: str
    power_from: str
    unit: str
    step: str


class Message(NamedTuple):
    """One recorded message of a device: where it came, what it was, when it came [unix ms]."""

    topic: str
    payload: bytes
    at: int


@dataclass(frozen=True)
class Presence:
    """Whether a device is there, by its last will and its messages; None before it said anything."""

    online: bool | None = None


class Heard(NamedTuple, Generic[State]):
    """What one message was: the driver's next state, the samples in it, and complaints of one sentence each."""

    state: State
    samples: tuple[Sample, ...] = ()
    complaints: tuple[str, ...] = ()


class Driver(Protocol[State]):
    """Reads one kind of device. States are plain frozen values of the driver's own, begun by `begin`."""

    @property
    def settings(self) -> Settings:
        """How this device is read."""
        ...

    def topics(self) -> tuple[str, ...]:
        """What to subscribe to at the broker; empty for a device that is asked."""
        ...

    def begin(self) -> State:
        """The state before the first message."""
        ...

    def read(self, state: State, topic: str, payload: bytes, at: int) -> Heard[State]:
        """What a message says that came at `at` [unix ms]. Never raises, whatever the bytes are."""
        ...

    def reads(self) -> Reads:
        """Which figures those are."""
        ...


def stranger(topic: str) -> str:
    """The complaint of a message that came to a topic that the driver did not ask for."""
    return f"A message came to '{quoted(topic, 80)}', where nothing of this device is read."
