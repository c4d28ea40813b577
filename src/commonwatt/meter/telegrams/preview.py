"""What a driver understood of recorded messages, before anybody saves its settings: which register is which, in what
unit and which way round, the last sample, and what is missing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import gcd
from statistics import median
from typing import Any, Final

from commonwatt.meter.telegrams.interface import Driver, Message, Reads
from commonwatt.meter.telegrams.sample import Sample, moment, quoted
from commonwatt.plain import many

SLOW: Final = 60
"""Seconds between two samples beyond which a device is asked to report more often."""
TOO_SLOW: Final = 120
"""Seconds between two samples beyond which no register is known at the boundary of a slot."""
COARSE: Final = 10_000
"""Steps of a register [mWh] beyond which a slot's energy is mostly rounding: 10 Wh."""
_STEADY: Final = 20_000
"""Power [mW] below which its sign says nothing."""
_HUGE: Final = 10**12
"""A register [mWh] that a home fills in a century: 1 GWh."""
_MOST_MW: Final = 10**8
"""Mean power [mW] that no home has: 100 kW."""
_WIDTH: Final = 110


@dataclass(frozen=True)
class Preview:
    """What was understood.

    messages, samples : how many came, how many samples they gave
    import_from, export_from, power_from, unit : which figure of the device is which, settings applied
    sign : "import", "export" or "unknown": the way that energy flows while the device's power, settings applied, is
        positive, as the registers show it; it should be import
    seconds : median time between two samples of the same register; None for less than two
    dated : whether the device says when
    last : the last sample of each register and of power, in one; None without any
    missing, warnings : sentences
    complaints : what was not understood, with how often
    """

    messages: int
    samples: int
    import_from: str
    export_from: str
    power_from: str
    unit: str
    sign: str
    seconds: int | None
    dated: bool
    last: Sample | None
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    complaints: tuple[tuple[str, int], ...]

    @property
    def ready(self) -> bool:
        """Whether slots can be made of it."""
        return self.last is not None and not self.missing

    def data(self) -> dict[str, Any]:
        """All of it as plain values, fit for JSON."""
        return {**asdict(self), "complaints": [list(each) for each in self.complaints], "ready": self.ready}

    def text(self) -> str:
        """All of it as a person reads it, on one screen."""
        lines = [f"{many(self.messages, 'message')}, {many(self.samples, 'sample')}"]
        if self.last is not None:
            lines += [*_registers(self, self.last), f"  positive  {_SIGNS[self.sign]}", *_times(self, self.last)]
        lines += [f"Missing: {each}" for each in self.missing]
        lines += [f"Look at: {each}" for each in self.warnings]
        lines += [f"Not understood ({count} times): {sentence}" for sentence, count in self.complaints]
        return "\n".join(quoted(line, _WIDTH) for line in lines)


_SIGNS: Final = {
    "import": "power is energy into the home, as the registers show",
    "export": "power is energy OUT of the home, as the registers show",
    "unknown": "power: not to be told from these messages",
}
_MOST_COMPLAINTS: Final = 5


def preview(driver: Driver[Any], messages: Sequence[Message]) -> Preview:
    """What `driver` understands of messages that were recorded from one device, in the order in which they came."""
    samples, complaints = _heard(driver, messages)
    reads = driver.reads()
    brought, taken = reads.import_from, reads.export_from
    if driver.settings.swapped:
        brought, taken = taken, brought
    seconds = _seconds(samples)
    last = _last(samples)
    sign = _sign(samples)
    return Preview(
        messages=len(messages),
        samples=len(samples),
        import_from=brought,
        export_from=taken,
        power_from=reads.power_from,
        unit=reads.unit,
        sign=sign,
        seconds=seconds,
        dated=bool(samples) and all(each.dated for each in samples),
        last=last,
        missing=_missing(last, seconds, reads),
        warnings=_warnings(samples, last, seconds, sign, reads),
        complaints=tuple(complaints.most_common(_MOST_COMPLAINTS)),
    )


def _heard(driver: Driver[Any], messages: Sequence[Message]) -> tuple[list[Sample], Counter[str]]:
    state = driver.begin()
    samples: list[Sample] = []
    complaints: Counter[str] = Counter()
    for message in messages:
        state, more, said = driver.read(state, *message)
        samples.extend(more)
        complaints.update(said)
    return samples, complaints


def _of(samples: Sequence[Sample], register: str) -> list[tuple[int, int]]:
    """Instant [unix ms] and value of each sample that has the register, in the order of time."""
    found = ((each.at, getattr(each, register)) for each in samples)
    return sorted((at, value) for at, value in found if value is not None)


def _last(samples: Sequence[Sample]) -> Sample | None:
    if not samples:
        return None
    values = {name: _of(samples, name) for name in ("import_mwh", "export_mwh", "power_mw")}
    latest = {name: known[-1][1] if known else None for name, known in values.items()}
    end = max(samples, key=lambda each: each.at)
    return Sample(end.at, latest["import_mwh"], latest["export_mwh"], latest["power_mw"], end.arrived, end.dated)


def _seconds(samples: Sequence[Sample]) -> int | None:
    gaps = []
    for register in ("import_mwh", "export_mwh"):
        known = _of(samples, register)
        gaps.append([(later[0] - earlier[0]) // 1000 for earlier, later in pairwise(known)])
    spread = [median(each) for each in gaps if each]
    return int(max(spread)) if spread else None


def _sign(samples: Sequence[Sample]) -> str:
    """Which way energy flows while power is positive: by each step of a register, with the power known at its end."""
    powers = _of(samples, "power_mw")
    votes = 0
    for register, way in (("import_mwh", 1), ("export_mwh", -1)):
        for (_, before), (at, after) in pairwise(_of(samples, register)):
            place = bisect_right(powers, at, key=lambda known: known[0])
            power = powers[place - 1][1] if place else 0
            if after > before and abs(power) >= _STEADY:
                votes += way if power > 0 else -way
    return "import" if votes > 0 else "export" if votes < 0 else "unknown"


def _mean_power(known: Sequence[tuple[int, int]]) -> int:
    """The power [mW] at which a register moved, from its instants [unix ms] and values [mWh]; 0 for less than 10 s."""
    if not known or known[-1][0] - known[0][0] < 10_000:
        return 0
    return (known[-1][1] - known[0][1]) * 3_600_000 // (known[-1][0] - known[0][0])


def _missing(last: Sample | None, seconds: int | None, reads: Reads) -> tuple[str, ...]:
    if last is None:
        return ("no sample was understood; see below, and check the topic",)
    missing = []
    if last.import_mwh is None:
        missing.append("the register of import: what the home takes from the grid is not known")
    if seconds is None:
        missing.append("a second sample: leave the recording on for some minutes")
    elif seconds > TOO_SLOW:
        missing.append(f"samples every {TOO_SLOW} s at most, not {seconds} s; {reads.step}")
    return tuple(missing)


def _warnings(
    samples: Sequence[Sample], last: Sample | None, seconds: int | None, sign: str, reads: Reads
) -> tuple[str, ...]:
    if last is None:
        return ()
    warnings = []
    if last.export_mwh is None:
        warnings.append("no register of export; right only for a home that feeds nothing into the grid")
    if sign == "export":
        warnings.append("power runs against the registers: set power_reversed, or swapped if the registers are wrong")
    if seconds is not None and SLOW < seconds <= TOO_SLOW:
        warnings.append(f"samples come every {seconds} s; {reads.step}")
    for name, word in (("import_mwh", "import"), ("export_mwh", "export")):
        values = [value for _, value in _of(samples, name)]
        if (mean := _mean_power(_of(samples, name))) > _MOST_MW:
            warnings.append(
                f"the register of {word} moves as at {_watts(mean)}, more than a home takes; look at the unit"
            )
        if values and values[-1] >= _HUGE:
            warnings.append(
                f"the register of {word} is {_energy(values[-1])}, more than a home ever uses; look at the unit"
            )
        if any(later < earlier for earlier, later in pairwise(values)):
            warnings.append(f"the register of {word} went backwards, which no meter's does")
        elif len(set(values)) >= 3 and (step := gcd(*(later - values[0] for later in values))) > COARSE:
            warnings.append(f"the register of {word} moves in steps of {step // 1000} Wh, which is coarse for a slot")
    return tuple(warnings)


def _registers(told: Preview, last: Sample) -> list[str]:
    rows = (("import", last.import_mwh, told.import_from), ("export", last.export_mwh, told.export_from))
    lines = [f"  {word}    {_energy(value):>16}   from {name}" for word, value, name in rows if value is not None]
    if last.power_mw is not None:
        lines.append(f"  power     {_watts(last.power_mw):>16}   from {told.power_from}")
    return lines


def _times(told: Preview, last: Sample) -> list[str]:
    clock = "by the device's clock" if told.dated else "by the time of arrival; the device says no time"
    pace = "" if told.seconds is None else f", a sample every {told.seconds} s"
    return [f"  last      {moment(last.at)}, {clock}{pace}"]


def _energy(mwh: int) -> str:
    return f"{mwh // 1_000_000}.{mwh // 1000 % 1000:03d} kWh"


def _watts(mw: int) -> str:
    return f"{'-' if mw < 0 else ''}{abs(mw) // 1000} W"
