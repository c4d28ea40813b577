"""A file of times and values, checked and brought onto the slots. Nothing is ever filled in.

The first column is the time at which each interval *begins* (`commonwatt.data.times`), and a second one of times, if
there is one, at which it ends; or the only one is the time at which it ends, where whoever asks says so. Dates with the
time of day in a column of its own are such times too. How a table is written: `commonwatt.data.table`. Numbers have
decimal points, or decimal commas in a file with semicolons; a file has one kind of decimal mark, and no mark of
thousands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from commonwatt.community.calendar import Slots
from commonwatt.data.table import Table, read_table
from commonwatt.data.times import TimeColumn, is_time, is_time_of_day, local
from commonwatt.data.zone import zone_named
from commonwatt.errors import DataError, GapError
from commonwatt.units import FloatArray, IntArray

Ends = Callable[[TimeColumn, IntArray], IntArray]
"""From the begins of the intervals to their ends."""
Labels = Literal["begin", "end"]
"""What the time of a row says of its interval, where it says only one."""

_GROUPED: Final = r"^[1-9][0-9]{0,2}[.,][0-9]{3}$"
_WHOLE_HUNDREDS: Final = r"^[1-9][0-9]{2,}$"


@dataclass(frozen=True, eq=False)
class TimeFile:
    """A file with its times understood.

    names, columns : of the values
    starts, ends : of each row's interval, shape (rows,) [unix s]
    labels : which of the two a row's time is; "begin" where it says both
    rows : number of each row in the file, shape (rows,)
    letters, sheet : what a spreadsheet calls the columns and where they stand, empty for other files
    """

    path: Path
    zone: ZoneInfo
    names: tuple[str, ...]
    columns: tuple[pl.Series, ...]
    starts: IntArray
    ends: IntArray
    decimal_commas: bool
    labels: Labels
    rows: IntArray
    letters: tuple[str, ...]
    sheet: str

    @classmethod
    def read(cls, path: str | Path, timezone: str, values: str, ends: Ends, labels: Labels = "begin") -> TimeFile:
        """The file `path`.

        values : what its columns hold, for messages, such as "a column per meter"
        ends : where a row's interval ends, when no column says it
        labels : what the only column of times says

        Raises DataError, one sentence that names the file and the place.
        """
        return cls.of(read_table(Path(path)), timezone, values, ends, labels)

    @classmethod
    def of(cls, table: Table, timezone: str, values: str, ends: Ends, labels: Labels = "begin") -> TimeFile:
        """As `read`, of a table whose first row is the first one of values."""
        path, zone = table.path, zone_named(timezone)
        if len(table.names) < 2 or len(table.rows) < 2:
            raise DataError(
                f"{path} needs a column of times, {values} and at least two rows; the columns of a CSV file are "
                "separated by commas, semicolons or tabulators."
            )
        if is_time(table.names[0]):
            raise DataError(f"{path} must begin with the names of its columns, but begins with '{table.names[0]}'.")
        table = _dated(table)
        times = TimeColumn(path, table.rows.tolist(), zone)
        told = len(table.names) > 2 and is_time(table.columns[1][0])
        by_end = labels == "end" and not told
        starts = replace(times, ends=by_end).instants(table.columns[0])
        until = _told_ends(times, starts, table.columns[1]) if told else ends(times, starts)
        if by_end:
            starts, until = 2 * starts - until, starts
        names, columns = table.names[1 + told :], table.columns[1 + told :]
        commas, letters = _has_commas(table, names, columns), table.letters[1 + told :]
        saying: Labels = "end" if by_end else "begin"
        return cls(path, zone, names, columns, starts, until, commas, saying, table.rows, letters, table.sheet)

    def slots(self, seconds: int) -> Slots:
        """All slots of this length from the file's begin to its end."""
        return Slots(int(self.starts[0]), int(self.ends[-1] - self.starts[0]) // seconds, seconds)

    def numbers(self, column: int) -> FloatArray:
        """All values of the column, NaN where there is no number, shape (rows,)."""
        return self._cast(self.columns[column]).fill_null(np.nan).to_numpy()

    def checked(
        self,
        column: int,
        needed: NDArray[np.bool_],
        most: float,
        too_low: str,
        too_high: str,
        *,
        least: float = 0.0,
    ) -> FloatArray:
        """Values of the rows that are `needed`, NaN where there is none.

        needed : shape (rows,), whether the row is; least, most : smallest and largest value that is believed
        too_low, too_high : what to say of a value below `least` or above `most`
        Raises DataError when a value is no number, too low or too high.
        """
        written = self.columns[column].filter(pl.Series(needed))
        if self.letters and written.dtype.is_temporal():
            written = written.cast(pl.String)
        if not (written.dtype.is_numeric() or written.dtype == pl.String):
            raise DataError(f"{self.path}: column '{self.names[column]}' holds {written.dtype}, not numbers.")
        numbers = self._cast(written)
        for wrong, why in (
            (written.is_not_null() & (numbers.is_null() | numbers.is_infinite()), "is not a number"),
            (numbers < least, too_low),
            ((numbers > most) & numbers.is_not_nan(), too_high),
        ):
            first = wrong.arg_max()
            if first is not None and wrong[first]:
                comma = numbers[first] is None and "," in str(written[first]) and not self.decimal_commas
                hint = "; decimal commas need semicolons between the columns" if comma else ""
                raise self.wrong(column, written[first], int(self.starts[needed][first]), why + hint)
        return numbers.fill_null(np.nan).to_numpy()

    def wrong(self, column: int, value: object, start: int, why: str) -> DataError:
        """What to raise for the value of the interval that begins at `start`."""
        row = self.rows[np.searchsorted(self.starts, start)]
        cell = f" in cell {self.letters[column]}{row} of sheet '{self.sheet}'" if self.letters else ""
        return DataError(
            f"{self.path}: column '{self.names[column]}' has '{value}'{cell} at {local(start, self.zone)}, which {why}."
        )

    def covering(self, column: int, starts: IntArray, ends: IntArray, values: FloatArray, slots: Slots) -> FloatArray:
        """Mean over each slot, shape (slots.count,), of the column's `values` on intervals that reach over the slots.

        Raises GapError when a slot is not covered by intervals with a value.
        """
        there = ~np.isnan(values)
        missing = _slots_without_value(starts[there], ends[there], slots)
        if len(missing):
            first = local(int(slots.starts[missing[0]]), self.zone)
            begin, end = local(int(self.starts[0]), self.zone), local(int(self.ends[-1]), self.zone)
            raise GapError(
                f"{self.path}: column '{self.names[column]}' lacks values for {len(missing)} of {slots.count} slots, "
                f"first at {first}; the file runs from {begin} to {end}."
            )
        return resample(np.append(starts, ends[-1]), values, slots)

    def _cast(self, column: pl.Series) -> pl.Series:
        if column.dtype == pl.String and self.decimal_commas:
            column = column.str.replace_all(",", ".", literal=True)
        return column.cast(pl.Float64, strict=False)


def resample(edges: IntArray, values: FloatArray, slots: Slots) -> FloatArray:
    """Mean of each slot, shape (slots.count,); the total over time (power: energy) is preserved.

    edges : begins of the source's intervals and the end of the last, covering `slots`, shape (intervals + 1,) [unix s]
    values : their means, shape (intervals,), any unit; so is the result
    """
    total = np.concatenate([[0.0], np.cumsum(values * np.diff(edges))])
    slot_edges = np.append(slots.starts, slots.end)
    return np.asarray(np.diff(np.interp(slot_edges, edges, total)) / slots.seconds, dtype=np.float64)


def steady(times: TimeColumn, starts: IntArray) -> IntArray:
    """Ends of intervals that are all equally long; rows may be missing, but none may lie between the others' ticks."""
    gaps = np.diff(starts)
    step = int(Counter(gaps.tolist()).most_common(1)[0][0])
    off = np.flatnonzero(gaps % step)
    if len(off):
        raise DataError(
            f"{times.path}: rows are {step / 60:g} min apart, but {times.local(int(starts[off[0] + 1]))} does not fit; "
            "the interval must be constant."
        )
    return np.asarray(starts + step, dtype=np.int64)


def until_the_next(_: TimeColumn, starts: IntArray) -> IntArray:
    """Ends of intervals of any length.

    Where most are as long as the next one, one that is at least twice as long as both beside it lacks a row.
    """
    gaps = np.diff(starts)
    if np.count_nonzero(gaps[1:] == gaps[:-1]) * 2 <= len(gaps):
        return np.append(starts[1:], starts[-1] + gaps[-1])
    beside = np.maximum(np.append(0, gaps[:-1]), np.append(gaps[1:], 0))
    hole = (gaps >= 2 * beside) & (beside > 0)
    lengths = np.where(hole, beside, gaps)
    return np.asarray(starts + np.append(lengths, lengths[-1]), dtype=np.int64)


def _dated(table: Table) -> Table:
    """The table with dates and times of day in one column; a time of day alone at which intervals end is left out."""
    if not is_time_of_day(table.columns[1][0]):
        return table
    both = len(table.columns) > 3 and is_time(table.columns[2][0]) and is_time_of_day(table.columns[3][0])
    kept = [0, 2] if both else [0]
    first = 4 if both else 2 + (len(table.columns) > 2 and is_time_of_day(table.columns[2][0]))
    joined = tuple(_joined(table.columns[place], table.columns[place + 1]) for place in kept)
    return replace(
        table,
        names=(*(table.names[place] for place in kept), *table.names[first:]),
        columns=(*joined, *table.columns[first:]),
        letters=(*(table.letters[place] for place in kept), *table.letters[first:]) if table.letters else (),
    )


def _joined(days: pl.Series, clock: pl.Series) -> pl.Series:
    if days.dtype.is_temporal():
        days = days.dt.strftime("%Y-%m-%d")
    return pl.select(pl.concat_str(days, pl.lit(" "), clock.cast(pl.String))).to_series()


def _told_ends(times: TimeColumn, starts: IntArray, column: pl.Series) -> IntArray:
    ends = replace(times, ends=True).instants(column)
    # Exports may count until the last second, or the last minute of intervals of five minutes and more.
    lengths = ends - starts
    ends += np.select([lengths % 60 == 59, lengths % 300 == 240], [1, 60], 0)
    wrong = np.flatnonzero((ends <= starts) | np.append(ends[:-1] > starts[1:], False))
    if len(wrong):
        begin, end = (times.local(int(instants[wrong[0]])) for instants in (starts, ends))
        raise DataError(f"{times.path}: the interval from {begin} to {end} does not end before the next one begins.")
    return ends


def _has_commas(table: Table, names: tuple[str, ...], columns: tuple[pl.Series, ...]) -> bool:
    """Whether numbers have decimal commas. Raises DataError when a mark may be one of thousands."""
    texts = [(name, column) for name, column in zip(names, columns, strict=True) if column.dtype == pl.String]
    commas = table.decimal_commas and any(column.str.contains(",", literal=True).any() for _, column in texts)
    for name, column in texts:
        marked = column.str.contains("[.,]").fill_null(value=False)
        doubtful = column.str.contains(_WHOLE_HUNDREDS).any() and column.filter(marked).str.contains(_GROUPED).all()
        wrong = column.str.contains(".", literal=True).fill_null(value=False) if commas else marked
        first = wrong.arg_max()
        if (commas or doubtful) and first is not None and wrong[first]:
            raise DataError(
                f"{table.path}: row {table.rows[first]} has '{column[first]}' in column '{name}', of which the mark "
                "may be one of thousands; write numbers with one kind of decimal mark and without thousands."
            )
    return commas


def _slots_without_value(starts: IntArray, ends: IntArray, slots: Slots) -> IntArray:
    """Slots that do not lie wholly within intervals that have a value."""
    if not len(starts):
        return np.arange(slots.count)
    edges = np.stack([starts, ends], axis=1).ravel()
    seconds_with_value = np.append(0, np.cumsum(ends - starts))
    slot_edges = np.append(slots.starts, slots.end)
    covered = np.interp(slot_edges, edges, np.repeat(seconds_with_value, 2)[1:-1])
    return np.flatnonzero(np.diff(covered) < slots.seconds)
