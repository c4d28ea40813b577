"""What registers say becomes what each slot counted; what cannot be true is set aside with its reason.

A register only rises, so its value at a slot's boundary is known where two samples stand close enough around it, or
where it stands after a silence as it stood before. A slot whose two boundaries are known is metered. What lies between
known boundaries that are further apart is one sum for the utility's bill, never a guess for each slot. Everything thus
adds up: slots and sums are differences between neighbours of one row of values, each rounded down to Wh.

Units: samples at unix ms, registers in mWh; slots start at unix s, energy in Wh.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Protocol

from pydantic import TypeAdapter, ValidationError

from commonwatt.errors import DataError
from commonwatt.plain import plain

IMPORT: Final = "import"
EXPORT: Final = "export"
REGISTERS: Final = (IMPORT, EXPORT)
MOST_MWH: Final = 2**53 - 1
"""Largest value that a register can show [mWh]; it stays exact in JSON wherever that is read."""
MOST_WAITING: Final = 700
"""Boundaries of one register that wait for the other's, and that are made of one silence: a week of quarter-hours."""
_MWH_PER_WH: Final = 1000
_MS_PER_S: Final = 1000
_W_MS_PER_MWH: Final = 3600

# Why a value is set aside, as it goes on after "which".
NO_NUMBER: Final = "is no whole number"
NEGATIVE: Final = "is below zero"
OVERFLOW: Final = "is more than a register shows"
ZERO: Final = "is zero after a higher value"
RESET: Final = "is little after much, as if it counted from zero again"
BACK: Final = "is lower than before"
SPIKE: Final = "is more than the connection carries since the value before"
LATE: Final = "comes after newer ones were counted"
AHEAD: Final = "is of an instant in the future"
TWO_VALUES: Final = "is another value than that of the same instant"
BESIDE: Final = "stands beside a value of the other register that cannot be"


class Sample(Protocol):
    """What a driver makes of a payload: registers at an instant, None where it says nothing of one."""

    @property
    def at(self) -> int:
        """[unix ms]."""

    @property
    def import_mwh(self) -> int | None:
        """What went into the home so far [mWh]."""

    @property
    def export_mwh(self) -> int | None:
        """What went out of it [mWh]."""


@dataclass(frozen=True)
class Rules:
    """How one meter's samples become slots.

    most_w : what the connection carries [W]; a register that rises faster is not believed
    seconds, offset : slots start where the unix time is `offset` more than a multiple of `seconds`
    registers : those that the meter has; the other one counts nothing
    apart : samples around a boundary at most so far apart say its value [ms]
    hold : samples are put in order by their time within this span, so a slot is known this much later [ms]
    ahead : a sample may lie so far in the future, by clocks that differ; it waits until then [ms]
    slack : for samples that were delayed on their way, a register may have risen for so much longer [ms]
    step : how much a register rises at once [mWh]
    """

    most_w: int
    seconds: int = 900
    offset: int = 0
    registers: tuple[str, ...] = REGISTERS
    apart: int = 120_000
    hold: int = 10_000
    ahead: int = 120_000
    slack: int = 10_000
    step: int = 1000

    def carried(self, elapsed: int) -> int:
        """Most that a register can have risen within `elapsed` [ms], in mWh."""
        return self.most_w * (elapsed + self.slack) // _W_MS_PER_MWH + self.step


@dataclass(frozen=True)
class Metered:
    """What a slot [start, unix s] counted into the home and out of it [Wh] >= 0."""

    slot: int
    wh_in: int
    wh_out: int


@dataclass(frozen=True)
class Unassigned:
    """What was counted between two instants [unix ms] that is no slot's [Wh] >= 0: for the utility's bill."""

    begin: int
    end: int
    wh_in: int
    wh_out: int


@dataclass(frozen=True)
class Quarantined:
    """A value of a register that is not believed, nor are the others of its sample.

    at : of the sample [unix ms]; value : [mWh], or the text of what is no number; reason : one of this module's
    """

    at: int
    register: str
    value: int | str
    reason: str

    def __str__(self) -> str:
        return f"The {self.register} register shows {self.value} mWh, which {self.reason}; it is set aside."


@dataclass(frozen=True)
class Made:
    """What new samples led to, each by time. A sample that is in `quarantined` changed nothing else."""

    slots: tuple[Metered, ...] = ()
    unassigned: tuple[Unassigned, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()


@dataclass(frozen=True)
class Series:
    """One register so far. Values are the device's own plus `base`, so that they go on where a meter was replaced.

    base : [mWh]
    at, mwh : the last value that was believed [unix ms, mWh]; None before the first
    first : the first one [unix ms, Wh]
    boundaries : start of a slot [unix s] and value there [Wh], where the other register's is not known yet; by time
    replaced : the next value is another meter's, and what the one before counted last is not known
    """

    base: int = 0
    at: int | None = None
    mwh: int = 0
    first: tuple[int, int] | None = None
    boundaries: tuple[tuple[int, int], ...] = ()
    replaced: bool = False


Values = tuple[int, tuple[int | None, ...]]
"""A sample's instant [unix ms], and its values by register [mWh]."""


@dataclass(frozen=True)
class State:
    """All that has to be kept of one meter between calls and over a restart.

    series : by register, in the order of the rules
    begin, wh : the last boundary at which all registers are known [unix s], and their values there [Wh]
    held : instant [unix ms] and values by register [mWh] of samples that others may still come before
    """

    series: tuple[Series, ...]
    begin: int | None = None
    wh: tuple[int, ...] = ()
    held: tuple[Values, ...] = ()

    @classmethod
    def of(cls, rules: Rules) -> State:
        """A meter's before its first sample."""
        return cls(tuple(Series() for _ in rules.registers))

    def as_text(self) -> str:
        """The state as JSON."""
        return _states().dump_json(self).decode()

    @classmethod
    def from_text(cls, text: str) -> State:
        """The state that `as_text` wrote. Raises DataError."""
        try:
            return _states().validate_json(text, strict=True)
        except ValidationError:
            raise DataError("What was kept of a meter's registers cannot be read; begin it anew.") from None


@cache
def _states() -> TypeAdapter[State]:
    return TypeAdapter(State)


def advance(state: State, samples: Iterable[Sample], rules: Rules, now: int) -> tuple[State, Made]:
    """Take samples, in any order, and say what slots are known by `now` [unix ms] that were not known before.

    Without samples it only counts those that were held back and are due. While nothing vouches for the clock that gives
    `now`, samples are better kept than brought.
    Raises DataError when the state is one of other registers than the rules'.
    """
    if len(state.series) != len(rules.registers):
        raise DataError("What was kept of a meter's registers is of others than it has now; begin it anew.")
    found, quarantined = _values(samples, rules, now)
    return _counted(state, found, quarantined, rules, now - rules.hold)


def replace_meter(
    state: State, rules: Rules, at: int, starts: Sequence[int], ended: Sequence[int] | None = None
) -> tuple[State, Made]:
    """Declare that a new meter counts from `at` [unix ms] on, with its registers at `starts` [mWh].

    starts, ended : by register, in the order of the rules
    ended : what the old one showed at last; without it, what it counted since its last sample is counted by nobody,
        and boundaries in between are known only where samples of both meters stand close enough around them

    Bring samples of the new meter that are in quarantine once more afterwards.
    Raises DataError when values after `at` were counted already, or when there is not one value for each register.
    """
    declared = (starts, starts if ended is None else ended)
    if any(len(values) != len(rules.registers) or any(map(_impossible, values)) for values in declared):
        raise DataError(
            f"A replaced meter has one value [mWh] for each of its registers: {', '.join(rules.registers)}."
        )
    if any(series.at is not None and series.at > at for series in state.series):
        raise DataError("A meter cannot be replaced before the last sample that was counted; name a later instant.")
    state, made = _counted(state, [(at, tuple(ended))] if ended else [], (), rules, at)
    series = tuple(
        one if one.at is None else replace(one, base=one.mwh - start, replaced=one.at < at)
        for one, start in zip(state.series, starts, strict=True)
    )
    return replace(state, series=series), made


def _values(samples: Iterable[Sample], rules: Rules, now: int) -> tuple[list[Values], tuple[Quarantined, ...]]:
    """Instant and values of all samples, without those that no meter can have shown."""
    found: list[Values] = []
    quarantined: list[Quarantined] = []
    for sample in samples:
        shown = {IMPORT: sample.import_mwh, EXPORT: sample.export_mwh}
        values = tuple(shown[register] for register in rules.registers)
        late = AHEAD if sample.at > now + rules.ahead else ""
        reasons = [late or _impossible(value) for value in values]
        if any(reasons):
            quarantined += _set_aside(sample.at, values, reasons, rules)
        else:
            found.append((sample.at, values))
    return found, tuple(quarantined)


def _set_aside(at: int, values: Sequence[object], reasons: Sequence[str], rules: Rules) -> list[Quarantined]:
    """All that a sample shows, where one register at least has a reason."""
    return [
        Quarantined(at, register, value if type(value) is int else plain(repr(value), 40), reason or BESIDE)
        for register, value, reason in zip(rules.registers, values, reasons, strict=True)
        if value is not None
    ]


def _impossible(value: object) -> str:
    """Why a register cannot show this, whatever it showed before, or ""."""
    if value is None:
        return ""
    if type(value) is not int:
        return NO_NUMBER
    return NEGATIVE if value < 0 else OVERFLOW if value > MOST_MWH else ""


def _counted(
    state: State, found: Iterable[Values], quarantined: tuple[Quarantined, ...], rules: Rules, until: int
) -> tuple[State, Made]:
    """All samples up to the instant `until` [unix ms], by time; later ones are held."""
    waiting = sorted({*state.held, *found}, key=_by_time)
    held = tuple(sample for sample in waiting if sample[0] > until)
    series, refused = list(state.series), []
    for at, values in waiting[: len(waiting) - len(held)]:
        reasons = [_objection(one, at, value, rules) for one, value in zip(series, values, strict=True)]
        if any(reasons):
            refused += _set_aside(at, values, reasons, rules)
        else:
            series = [_risen(one, at, value, rules) for one, value in zip(series, values, strict=True)]
    state, slots, unassigned = _known(replace(state, series=tuple(series), held=held), rules)
    return state, Made(slots, unassigned, tuple(sorted((*quarantined, *refused), key=lambda each: each.at)))


def _by_time(sample: Values) -> tuple[int, list[int]]:
    at, values = sample
    return at, [-1 if value is None else value for value in values]


def _objection(series: Series, at: int, value: int | None, rules: Rules) -> str:
    """Why a register cannot show this after what it showed before, or ""."""
    if value is None or series.at is None:
        return ""
    elapsed, risen = at - series.at, value + series.base - series.mwh
    if elapsed < 0:
        return LATE
    if elapsed == 0:
        return TWO_VALUES if risen else ""
    if risen > rules.carried(elapsed):
        return SPIKE
    if risen >= 0:
        return ""
    return ZERO if value == 0 else RESET if value <= rules.carried(elapsed) else BACK


def _risen(series: Series, at: int, value: int | None, rules: Rules) -> Series:
    """The register with one more value that is believed, and with the boundaries that are known by it."""
    if value is None or at == series.at:
        return series
    mwh = value + series.base
    if series.at is None:
        wh = mwh // _MWH_PER_WH
        passed = _boundaries(at - 1, at, rules)
        return replace(series, at=at, mwh=mwh, first=(at, wh), boundaries=tuple((slot, wh) for slot in passed))
    passed, elapsed, risen = _boundaries(series.at, at, rules), at - series.at, mwh - series.mwh
    if elapsed > rules.apart:
        # Nobody knows what stood where in between, unless nothing rose; but a value is known at its own instant.
        still = risen == 0 and not series.replaced
        passed = passed[-MOST_WAITING:] if still else _boundaries(at - 1, at, rules)
    boundaries = series.boundaries
    if passed:
        scale = elapsed * _MWH_PER_WH
        since = [slot * _MS_PER_S - series.at for slot in passed]
        known = [(series.mwh * elapsed + risen * after) // scale for after in since]
        boundaries = (*boundaries, *zip(passed, known, strict=True))
    return replace(series, at=at, mwh=mwh, boundaries=boundaries, replaced=False)


def _boundaries(after: int, until: int, rules: Rules) -> range:
    """Boundaries of slots [unix s] in (after, until] [unix ms]."""
    length = rules.seconds * _MS_PER_S
    first = (after - rules.offset * _MS_PER_S) // length + 1
    last = (until - rules.offset * _MS_PER_S) // length
    return range(rules.offset + first * rules.seconds, rules.offset + last * rules.seconds + 1, rules.seconds)


def _known(state: State, rules: Rules) -> tuple[State, tuple[Metered, ...], tuple[Unassigned, ...]]:
    """What lies between the boundaries at which all registers are known by now."""
    reached = min(-1 if series.at is None else series.at for series in state.series)
    rows = [dict(series.boundaries) for series in state.series]
    slots, unassigned, begin, wh = [], [], state.begin, state.wh
    for boundary in sorted(set(rows[0]).intersection(*rows[1:])):
        values = tuple(row[boundary] for row in rows)
        start, before = (begin * _MS_PER_S, wh) if begin is not None else _origin(state)
        energy = {name: new - old for name, new, old in zip(rules.registers, values, before, strict=True)}
        wh_in, wh_out = energy.get(IMPORT, 0), energy.get(EXPORT, 0)
        if begin == boundary - rules.seconds:
            slots.append(Metered(begin, wh_in, wh_out))
        elif start < boundary * _MS_PER_S:
            unassigned.append(Unassigned(start, boundary * _MS_PER_S, wh_in, wh_out))
        begin, wh = boundary, values
    series = tuple(
        replace(one, boundaries=tuple(each for each in one.boundaries if each[0] * _MS_PER_S > reached)[-MOST_WAITING:])
        for one in state.series
    )
    return replace(state, series=series, begin=begin, wh=wh), tuple(slots), tuple(unassigned)


def _origin(state: State) -> tuple[int, tuple[int, ...]]:
    """The first instant of all registers [unix ms] and the first value of each [Wh]."""
    firsts = [series.first for series in state.series if series.first]
    return min(at for at, _ in firsts), tuple(wh for _, wh in firsts)
