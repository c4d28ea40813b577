"""The user's own measurements: a CSV or Parquet file, checked and brought onto the slots. Nothing is ever filled in.

    timestamp,home1 [kWh],home2_kw
    2026-03-01T00:00,0.12,0.4
    2026-03-01T00:15,0.10,0.3

* The first column is the time at which each interval *begins*, ISO 8601. With a zone ("Z", "+01:00") it is that
  instant; without, it is the community's wall clock. There an hour that the clocks repeat stands twice: the
  first time is summer time, the second standard time. A time that the clocks skip is an error.
* Every other column is one meter: kW (average of the interval) or kWh (in the interval), said by the end of its
  name (`[kW]`, `[kWh]`, `_kw`, `_kwh`) or by the argument `unit`. All values are >= 0: load and generation have a
  column each.
* Any constant interval will do; energy is preserved when it is spread or summed over the slots.
* A CSV file separated by semicolons may have decimal commas.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from commonwatt.community.calendar import Slots
from commonwatt.data.zone import zone_named
from commonwatt.errors import DataError
from commonwatt.units import FloatArray, IntArray

Unit = Literal["kW", "kWh"]

UNIT_ENDING: Final = re.compile(r"(?:\s*\[(kwh?)\]|_(kwh?))$", re.IGNORECASE)


@dataclass(frozen=True)
class MeterFile:
    """What was read from a meter file.

    columns : names of the meters, without the unit
    kw : average power of each slot, shape (columns, slots) [kW], >= 0
    """

    columns: tuple[str, ...]
    kw: FloatArray


def read_meter_file(path: str | Path, slots: Slots, timezone: str, *, unit: Unit | None = None) -> MeterFile:
    """The meters of the file `path` on `slots`.

    timezone : IANA name of the community's time zone, for times without a zone and for messages
    unit : of the columns whose name does not say it

    Only rows that overlap `slots` are checked for values. Raises DataError, one sentence that names the file, the
    column and the first place in local time, when: the file is missing or no CSV or Parquet file; a unit is not known;
    a time cannot be read, is skipped by the clocks, occurs twice or goes backwards; the interval is not constant; a
    value is not a number or negative; a slot is not covered by values.
    """
    path, zone = Path(path), zone_named(timezone)
    table = _open(path)
    meters = _meters(path, table.columns[1:], unit)
    starts = _starts(path, table[table.columns[0]], zone)
    step = _constant_step(path, starts, zone)
    needed = (starts + step > slots.start) & (starts < slots.end)
    kw = np.empty((len(meters), slots.count))
    for position, (column, (_, is_kwh)) in enumerate(zip(table.columns[1:], meters, strict=True)):
        values = _numbers(path, table[column].filter(pl.Series(needed)), starts[needed], zone)
        missing = _slots_without_value(starts[needed][~np.isnan(values)], step, slots)
        if len(missing):
            raise _gap(path, column, missing, slots, (int(starts[0]), int(starts[-1]) + step), zone)
        kw[position] = resample(starts[needed], values * (3600 / step if is_kwh else 1), step, slots)
    return MeterFile(tuple(name for name, _ in meters), kw)


def resample(starts: IntArray, kw: FloatArray, step: int, slots: Slots) -> FloatArray:
    """Average power of each slot, shape (slots.count,) [kW]; energy is preserved.

    starts : begins of the source's intervals, `step` apart without a gap, covering `slots` [unix s]
    kw : their average power, same shape [kW]
    """
    edges = np.append(starts, starts[-1] + step)
    energy = np.concatenate([[0.0], np.cumsum(kw * step)])
    slot_edges = np.append(slots.starts, slots.end)
    return np.asarray(np.diff(np.interp(slot_edges, edges, energy)) / slots.seconds, dtype=np.float64)


def _open(path: Path) -> pl.DataFrame:
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
        raise DataError(f"{path} needs a column of times, a column per meter and at least two rows.")
    return table.rename(str.strip)


def _meters(path: Path, columns: list[str], unit: Unit | None) -> list[tuple[str, bool]]:
    """Name of each column without its unit, and whether it counts kWh."""
    if unit not in (None, "kW", "kWh"):
        raise DataError(f"The unit of a meter file is kW or kWh, not '{unit}'.")
    meters = []
    for column in columns:
        column = re.sub(r"_duplicated_\d+$", "", column)  # what polars adds to a name that occurs again
        ending = UNIT_ENDING.search(column)
        said = (ending[1] or ending[2]) if ending else unit
        if said is None:
            raise DataError(
                f"{path}: column '{column}' does not say whether it is kW or kWh; rename it '{column}_kwh' or "
                f"'{column}_kw', or give the unit of the file."
            )
        meters.append((column[: ending.start()] if ending else column, said.lower() == "kwh"))
    for name, count in Counter(name for name, _ in meters).items():
        if count > 1:
            raise DataError(f"{path}: the meter '{name}' has {count} columns; each needs a name of its own.")
    return meters


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


def _numbers(path: Path, column: pl.Series, starts: IntArray, zone: ZoneInfo) -> FloatArray:
    """Values of the column, NaN where there is none."""
    if column.dtype == pl.String:
        column = column.str.strip_chars().replace({"": None})
    elif not column.dtype.is_numeric():
        raise DataError(f"{path}: column '{column.name}' holds {column.dtype}, not numbers.")
    numbers = column.cast(pl.Float64, strict=False)
    for wrong, why in (
        (column.is_not_null() & (numbers.is_null() | numbers.is_infinite()), "is not a number"),
        (numbers < 0, "is negative; load and generation need a column each, both positive"),
    ):
        first = wrong.arg_max()
        if first is not None and wrong[first]:
            when = _local(int(starts[first]), zone)
            raise DataError(f"{path}: column '{column.name}' has '{column[first]}' at {when}, which {why}.")
    return numbers.fill_null(np.nan).to_numpy()


def _slots_without_value(starts: IntArray, step: int, slots: Slots) -> IntArray:
    """Slots that do not lie wholly within intervals that have a value; `starts` are theirs."""
    if not len(starts):
        return np.arange(slots.count)
    edges = np.stack([starts, starts + step], axis=1).ravel()
    seconds_with_value = np.repeat(np.arange(len(starts) + 1) * step, 2)[1:-1]
    slot_edges = np.append(slots.starts, slots.end)
    return np.flatnonzero(np.diff(np.interp(slot_edges, edges, seconds_with_value)) < slots.seconds)


def _gap(path: Path, column: str, missing: IntArray, slots: Slots, runs: tuple[int, int], zone: ZoneInfo) -> DataError:
    first = _local(int(slots.starts[missing[0]]), zone)
    return DataError(
        f"{path}: column '{column}' lacks values for {len(missing)} of {slots.count} slots, first at {first}; "
        f"the file runs from {_local(runs[0], zone)} to {_local(runs[1], zone)}."
    )


def _local(instant: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(instant, zone).strftime("%Y-%m-%d %H:%M %Z")
