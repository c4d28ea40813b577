"""The user's own measurements: a CSV or Parquet file, checked and brought onto the slots. Nothing is ever filled in.

    timestamp,home1 [kWh],home2_kw
    2026-03-01T00:00,0.12,0.4
    2026-03-01T00:15,0.10,0.3

* Times, intervals and separators are those of every `commonwatt.data.timefile`. The interval is constant and no longer
  than a slot: what was counted over an hour says nothing of its quarters. Energy is preserved when it is summed.
* Every column beside the times is one meter. Its name says the unit (`commonwatt.data.headers`): W, kW or MW (mean of
  the interval), or Wh, kWh or MWh (in the interval). All values are from 0 to 1 000 000 kW; load and generation have a
  column each.
* Several files are one, where no meter is in two of them.
* A register shows what a meter has counted since it was made. A column whose name says so is one, and its differences
  are the energy; any other energy that only rises is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np

from commonwatt.community.calendar import Slots
from commonwatt.community.model import OwnMeters
from commonwatt.data.headers import REGISTER_WORDS, MeterName, meter_name, renamed
from commonwatt.data.timefile import Labels, TimeFile, steady
from commonwatt.errors import DataError
from commonwatt.units import FloatArray

Unit = Literal["W", "kW", "MW", "Wh", "kWh", "MWh"]
_UNITS: Final = "W, kW, MW, Wh, kWh or MWh"

MOST_KW: Final = 1_000_000
"""Highest power that a meter can have counted [kW]."""
_RISES_OF_A_REGISTER: Final = 24
NEGATIVE: Final = "is negative; load and generation need a column each, both positive"
FALLS: Final = "is less than the one before; a register never falls"
TOO_HIGH: Final = f"is more than {MOST_KW} kW"


@dataclass(frozen=True)
class MeterFile:
    """What was read from a meter file.

    columns : names of the meters, without the unit; headers : as they stand in the file
    kw : average power of each slot, shape (columns, slots) [kW], >= 0
    """

    columns: tuple[str, ...]
    headers: tuple[str, ...]
    kw: FloatArray

    def named(self, name: str) -> FloatArray:
        """Power of the meter `name`, with or without its unit, shape (slots,) [kW]. Raises ValueError for none."""
        place = (self.columns if name in self.columns else self.headers).index(name)
        return np.asarray(self.kw[place], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Meters:
    """A meter file whose names, times and intervals are understood; its values are looked at slot by slot."""

    file: TimeFile
    meters: tuple[MeterName, ...]

    @classmethod
    def open(
        cls, path: str | Path, timezone: str, slot_seconds: int, *, unit: Unit | None = None, labels: Labels = "begin"
    ) -> Meters:
        """The meters of the file `path`; the arguments and errors are those of `read_meter_file`."""
        file = TimeFile.read(path, timezone, "a column per meter", steady, labels)
        opened = cls(file, _meters(file, unit))
        if len(np.unique(file.ends - file.starts)) > 1:
            raise DataError(f"{file.path}: not all intervals are {opened.step / 60:g} min long; they must be constant.")
        if opened.step > slot_seconds:
            raise DataError(
                f"{file.path}: rows are {opened.step / 60:g} min apart, the community's slots {slot_seconds / 60:g} "
                "min; energy is not spread over slots, so take longer slots or finer readings."
            )
        for column, meter in enumerate(opened.meters):
            if meter.energy and not meter.register and only_rises(file.numbers(column)):
                raise DataError(
                    f"{file.path}: column '{file.names[column]}' keeps rising, as the register of a meter does; if its "
                    f"differences are the energy, say so in its name with {REGISTER_WORDS}, or give kW instead."
                )
        return opened

    def only(self, wanted: Collection[str]) -> Meters:
        """The meters that are wanted, by their names with or without a unit; nothing is asked of the others' values."""
        file = self.file
        kept = [
            place
            for place, (meter, header) in enumerate(zip(self.meters, file.names, strict=True))
            if meter.name in wanted or header in wanted
        ]
        read = replace(
            file,
            names=tuple(file.names[place] for place in kept),
            columns=tuple(file.columns[place] for place in kept),
            letters=tuple(file.letters[place] for place in kept if file.letters),
        )
        return Meters(read, tuple(self.meters[place] for place in kept))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the meters."""
        return tuple(meter.name for meter in self.meters)

    @property
    def begin(self) -> int:
        """From when on every one of the meters has values [unix s]; where one has none, that of the file."""
        there = (~np.isnan(self.file.numbers(column)) for column in range(len(self.meters)))
        # What a register counted is known from its first reading on, which may be the end of a row's interval.
        late = [self.step if meter.register and self.file.labels == "end" else 0 for meter in self.meters]
        return max(int(self.file.starts[each.argmax()]) + by for each, by in zip(there, late, strict=True))

    @property
    def step(self) -> int:
        """Length of an interval [s]."""
        return int(self.file.ends[0] - self.file.starts[0])

    def slots(self, seconds: int) -> Slots:
        """All slots of this length for which the file holds energy; one row of a register only bounds an interval."""
        whole = self.file.slots(seconds)
        bare = any(meter.register for meter in self.meters) * -(-self.step // seconds)
        start = whole.start + (bare * seconds if self.file.labels == "end" else 0)
        return Slots(start, max(0, whole.count - bare), seconds)

    def on_slots(self, slots: Slots) -> FloatArray:
        """Average power of each slot, shape (meters, slots.count) [kW]; only rows that matter for them are checked."""
        kw = np.empty((len(self.meters), slots.count))
        for column, meter in enumerate(self.meters):
            kw_per_unit = meter.per_unit * (3600 / self.step if meter.energy else 1)
            most = MOST_KW / kw_per_unit
            means = self._register(column, slots, most) if meter.register else self._means(column, slots, most)
            kw[column] = kw_per_unit * means
        return kw

    def _means(self, column: int, slots: Slots, most: float) -> FloatArray:
        file = self.file
        needed = (file.ends > slots.start) & (file.starts < slots.end)
        values = file.checked(column, needed, most, NEGATIVE, TOO_HIGH)
        return file.covering(column, file.starts[needed], file.ends[needed], values, slots)

    def _register(self, column: int, slots: Slots, most: float) -> FloatArray:
        """As `_means`, of the differences to the next row; where that is missing, so is the energy."""
        file = self.file
        # What a register shows at the end of an interval is known by the row whose time is that end.
        by_end = file.labels == "end"
        before, after = (self.step, 0) if by_end else (0, self.step)
        needed = (file.ends > slots.start - before) & (file.starts < slots.end + after)
        shown = file.checked(column, needed, np.inf, NEGATIVE, TOO_HIGH)
        starts, ends = file.starts[needed], file.ends[needed]
        energy = np.where(starts[1:] == ends[:-1], np.diff(shown), np.nan)
        for wrong, why in ((energy < 0, FALLS), (energy > most, TOO_HIGH)):
            if wrong.any():
                row = int(wrong.argmax()) + 1
                raise file.wrong(column, shown[row], int(starts[row]), why)
        kept = slice(1, None) if by_end else slice(None, -1)
        return file.covering(column, starts[kept], ends[kept], energy, slots)


def open_meters(
    files: Sequence[OwnMeters], folder: Path, timezone: str, slot_seconds: int, wanted: Collection[str] | None = None
) -> tuple[Meters, ...]:
    """The meters of each of the files, relative to `folder`.

    wanted : names of those that matter, with or without their units, and no file without one; None = all
    Raises DataError when one is in two of them, and as `read_meter_file`.
    """
    opened = tuple(Meters.open(folder / each.path, timezone, slot_seconds, labels=each.labels) for each in files)
    first: dict[str, Path] = {}
    for meters in opened:
        path = meters.file.path
        for name in meters.names:
            if name in first:
                raise DataError(f"{path}: the meter '{name}' is in {first[name]} too; each needs a name of its own.")
            first[name] = path
    if wanted is None:
        return opened
    return tuple(meters for every in opened if (meters := every.only(wanted)).meters)


def read_meter_files(
    files: Sequence[OwnMeters], folder: Path, slots: Slots, timezone: str, wanted: Collection[str] | None = None
) -> MeterFile:
    """The meters of all the files, relative to `folder`, on `slots`; `wanted` and DataError as of `open_meters`."""
    opened = open_meters(files, folder, timezone, slots.seconds, wanted)
    return MeterFile(
        tuple(name for meters in opened for name in meters.names),
        tuple(name for meters in opened for name in meters.file.names),
        np.concatenate([np.empty((0, slots.count)), *(meters.on_slots(slots) for meters in opened)]),
    )


def read_meter_file(
    path: str | Path, slots: Slots, timezone: str, *, unit: Unit | None = None, labels: Labels = "begin"
) -> MeterFile:
    """The meters of the file `path` on `slots`.

    timezone : IANA name of the community's time zone, for times without a zone and for messages
    unit : of the columns whose name does not say it
    labels : which end of an interval a row's time is, where it has only one

    Only rows that overlap `slots` are checked for values. Raises DataError, one sentence that names the file, the
    column and the first place in local time, when: the file is missing or no CSV or Parquet file; a unit is not known;
    a time cannot be read, is skipped by the clocks, occurs twice or goes backwards; the interval is not constant, or
    longer than a slot; a column looks like a register and is not called one; a value is not a number, negative or above
    `MOST_KW`; a slot is not covered by values.
    """
    meters = Meters.open(path, timezone, slots.seconds, unit=unit, labels=labels)
    return MeterFile(meters.names, meters.file.names, meters.on_slots(slots))


def _meters(file: TimeFile, unit: Unit | None) -> tuple[MeterName, ...]:
    """Each column by its name."""
    if unit not in (None, *get_args(Unit)):
        raise DataError(f"The unit of a meter file is {_UNITS}, not '{unit}'.")
    meters = []
    for header in file.names:
        if (meter := meter_name(header, unit)) is None:
            names = " or ".join(f"'{name}'" for name in renamed(header))
            raise DataError(
                f"{file.path}: column '{header}' does not end with its unit, {_UNITS}; rename it {names}, or leave it "
                "out."
            )
        meters.append(meter)
    for name, count in Counter(meter.name for meter in meters).items():
        if count > 1:
            raise DataError(f"{file.path}: the meter '{name}' has {count} columns; each needs a name of its own.")
    return tuple(meters)


def only_rises(values: FloatArray) -> bool:
    """Whether values look like those of a register: they rise again and again and as good as never fall.

    A few rises are enough when each is small against where the register stands.
    """
    values = values[np.isfinite(values)]
    changes = np.diff(values)
    rises, falls = changes[changes > 0], int((changes < 0).sum())
    if 100 * falls > len(rises):
        return False
    stands = float(values.min()) if len(rises) else 0.0
    return len(rises) >= _RISES_OF_A_REGISTER or (len(rises) >= 3 and stands > 100 * float(rises.max()))
