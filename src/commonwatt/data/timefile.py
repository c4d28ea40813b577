"""A file of times and values, CSV or Parquet, checked and brought onto the slots. Nothing is ever filled in.

* The first column is the time at which each interval *begins*, ISO 8601. With a zone ("Z", "+01:00") it is that
  instant; without, it is the community's wall clock. There an hour that the clocks repeat stands twice: the
  first time is summer time, the second standard time. A time that the clocks skip is an error.
* Any constant interval will do.
* A CSV file is separated by commas, or by semicolons and may then have decimal commas.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from commonwatt.community.calendar import Slots
from commonwatt.data.zone import zone_named
from commonwatt.errors import DataError
from commonwatt.units import FloatArray, IntArray


@dataclass(frozen=True)
class TimeFile:
    """A file with its times understood.

    starts : begin of each row's interval, shape (rows,) [unix s]; step : its length [s]
    columns : names of the value columns, as in the file
    """

    path: Path
    zone: ZoneInfo
    table: pl.DataFrame
    starts: IntArray
    step: int

    @classmethod
    def read(cls, path: str | Path, timezone: str, values: str) -> TimeFile:
        """The file `path`. values : what its columns hold, for messages, such as "a column per meter".

        Raises DataError, one sentence that names the file and the place.
        """
        path, zone = Path(path), zone_named(timezone)
        table = _open(path, values)
        starts = _starts(path, table[table.columns[0]], zone)
        return cls(path, zone, table, starts, _constant_step(path, starts, zone))

    @property
    def columns(self) -> list[str]:
        """Names of the value columns."""
        return self.table.columns[1:]

    def on_slots(self, column: str, slots: Slots, most: float, negative: str, too_high: str) -> FloatArray:
        """Mean of the column over each slot, shape (slots.count,), in its own unit; only rows that overlap are checked.

        most : largest value that is believed; negative, too_high : what to say of a value below zero or above it
        Raises DataError when a value is no number, below zero or too high, or a slot is not covered by values.
        """
        needed = (self.starts + self.step > slots.start) & (self.starts < slots.end)
        starts = self.starts[needed]
        values = self._numbers(self.table[column].filter(pl.Series(needed)), starts, most, negative, too_high)
        missing = _slots_without_value(starts[~np.isnan(values)], self.step, slots)
        if len(missing):
            raise self._gap(column, missing, slots)
        return resample(starts, values, self.step, slots)

    def _numbers(self, column: pl.Series, starts: IntArray, most: float, negative: str, too_high: str) -> FloatArray:
        """Values of the column, NaN where there is none."""
        if column.dtype == pl.String:
            column = column.str.strip_chars().replace({"": None})
        elif not column.dtype.is_numeric():
            raise DataError(f"{self.path}: column '{column.name}' holds {column.dtype}, not numbers.")
        numbers = column.cast(pl.Float64, strict=False)
        for wrong, why in (
            (column.is_not_null() & (numbers.is_null() | numbers.is_infinite()), "is not a number"),
            (numbers < 0, negative),
            ((numbers > most) & numbers.is_not_nan(), too_high),
        ):
            first = wrong.arg_max()
            if first is not None and wrong[first]:
                when = _local(int(starts[first]), self.zone)
                raise DataError(f"{self.path}: column '{column.name}' has '{column[first]}' at {when}, which {why}.")
        return numbers.fill_null(np.nan).to_numpy()

    def _gap(self, column: str, missing: IntArray, slots: Slots) -> DataError:
        first = _local(int(slots.starts[missing[0]]), self.zone)
        begin, end = _local(int(self.starts[0]), self.zone), _local(int(self.starts[-1]) + self.step, self.zone)
        return DataError(
            f"{self.path}: column '{column}' lacks values for {len(missing)} of {slots.count} slots, first at {first}; "
            f"the file runs from {begin} to {end}."
        )


def resample(starts: IntArray, values: FloatArray, step: int, slots: Slots) -> FloatArray:
    """Mean of each slot, shape (slots.count,); the total over time (power: energy) is preserved.

    starts : begins of the source's intervals, `step` apart without a gap, covering `slots` [unix s]
    values : their means, same shape, any unit; so is the result
    """
    edges = np.append(starts, starts[-1] + step)
    total = np.concatenate([[0.0], np.cumsum(values * step)])
    slot_edges = np.append(slots.starts, slots.end)
    return np.asarray(np.diff(np.interp(slot_edges, edges, total)) / slots.seconds, dtype=np.float64)


def _open(path: Path, values: str) -> pl.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            table = pl.read_parquet(path)
        elif path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8-sig") as lines:
                separator = ";" if ";" in lines.readline() else ","
            table = pl.read_csv(path, separator=separator, infer_schema=False)
            if separator == ";":
                table = table.with_columns(pl.exclude(table.columns[0]).str.replace(",", ".", literal=True))
        else:
            raise DataError(f"{path} is neither a .csv nor a .parquet file.")
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error).splitlines()[0]
        raise DataError(f"{path} cannot be read: {reason}.") from None
    if table.width < 2 or table.height < 2:
        raise DataError(
            f"{path} needs a column of times, {values} and at least two rows; the columns of a CSV file are separated "
            "by commas or semicolons."
        )
    return table.rename(str.strip)


def _starts(path: Path, times: pl.Series, zone: ZoneInfo) -> IntArray:
    """Begin of each row's interval, strictly increasing, shape (rows,) [unix s]."""
    starts: list[int] = []
    for row, written in enumerate(times.to_list(), start=1):
        time = _time(path, written, row)
        begin = int(time.timestamp()) if time.tzinfo else int(time.replace(tzinfo=zone).timestamp())
        if time.tzinfo is None:
            if datetime.fromtimestamp(begin, zone).replace(tzinfo=None) != time:
                raise DataError(f"{path}: the clocks of {zone.key} skip the time {time:%Y-%m-%d %H:%M}.")
            if starts and begin <= starts[-1]:
                begin = int(time.replace(tzinfo=zone, fold=1).timestamp())
        if starts and begin <= starts[-1]:
            what = "stands twice" if begin in starts else f"comes after {_local(starts[-1], zone)}"
            raise DataError(f"{path}: {_local(begin, zone)} {what}; sort the rows and keep each time once.")
        starts.append(begin)
    return np.array(starts, dtype=np.int64)


def _time(path: Path, written: object, row: int) -> datetime:
    if isinstance(written, datetime):
        return written
    try:
        return datetime.fromisoformat(str(written))
    except ValueError:
        raise DataError(
            f"{path}: the first column must hold times such as 2026-03-01T00:15, but row {row} has '{written}'."
        ) from None


def _constant_step(path: Path, starts: IntArray, zone: ZoneInfo) -> int:
    """The interval of the file [s]; rows may be missing, but none may lie between its ticks."""
    gaps = np.diff(starts)
    step = int(Counter(gaps.tolist()).most_common(1)[0][0])
    off = np.flatnonzero(gaps % step)
    if len(off):
        raise DataError(
            f"{path}: rows are {step / 60:g} min apart, but {_local(int(starts[off[0] + 1]), zone)} does not fit; "
            "the interval must be constant."
        )
    return step


def _slots_without_value(starts: IntArray, step: int, slots: Slots) -> IntArray:
    """Slots that do not lie wholly within intervals that have a value; `starts` are theirs."""
    if not len(starts):
        return np.arange(slots.count)
    edges = np.stack([starts, starts + step], axis=1).ravel()
    seconds_with_value = np.repeat(np.arange(len(starts) + 1) * step, 2)[1:-1]
    slot_edges = np.append(slots.starts, slots.end)
    return np.flatnonzero(np.diff(np.interp(slot_edges, edges, seconds_with_value)) < slots.seconds)


def _local(instant: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(instant, zone).strftime("%Y-%m-%d %H:%M %Z")
