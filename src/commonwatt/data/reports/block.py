"""A sheet whose columns are understood, before its values are looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Final

import numpy as np

from commonwatt.data.reports.columns import Column
from commonwatt.data.table import Table, series
from commonwatt.data.timefile import Labels
from commonwatt.data.times import is_time, is_time_of_day, run_backwards
from commonwatt.data.workbook import Sheet, letters
from commonwatt.errors import DataError

_TOTALS: Final = re.compile(r"(?:spalten)?summe\b|total\b|sum\b", re.IGNORECASE)
_SUMS: Final = re.compile(
    r"(?:spalten)?summe\b|total|sum\b|gesamt|minim|maxim|mittel|durchschnitt|average|mean\b|data completeness",
    re.IGNORECASE,
)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of values of a sheet, in the order of time.

    numbers : in the file; cells : of each column, None where a row ends before it
    left_out : sums between or below them
    """

    numbers: tuple[int, ...]
    cells: tuple[tuple[object, ...], ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, sheet: Sheet, first: int, time: int) -> Rows:
        """The rows from the place `first` on, whose times are in the column `time`."""
        kept, left_out = [], []
        for number, row in zip(sheet.numbers[first:], sheet.rows[first:], strict=True):
            cell = row[time] if time < len(row) else None
            words = [str(each) for each in row if each is not None]
            # A footnote is alone in its row.
            if (isinstance(cell, str) and _SUMS.match(cell)) or (len(words) == 1 and not is_time(words[0])):
                left_out.append(f"row {number}, '{words[0]}'")
            else:
                kept.append((number, row))
        if run_backwards([_time(row, time) for _, row in kept]):
            kept.reverse()
        cells = tuple(zip_longest(*(row for _, row in kept)))
        return cls(tuple(number for number, _ in kept), cells, tuple(left_out))


@dataclass(frozen=True, eq=False)
class Block:
    """Columns of metering points with their times.

    header_rows : numbers of the rows above the values
    table : times, and the values of `columns` in their order
    left_out : what was not understood or not needed, each with the reason
    labels : what the only column of times says of itself, None when it says nothing
    sums : number and cells of a row that says what the columns add up to, None when there is none
    findings : what a person should know of it
    """

    sheet: Sheet
    kind: str
    header_rows: tuple[int, ...]
    table: Table
    columns: tuple[Column, ...]
    left_out: tuple[str, ...]
    labels: Labels | None
    sums: tuple[int, tuple[object, ...]] | None
    findings: tuple[str, ...]

    @classmethod
    def of(
        cls,
        sheet: Sheet,
        kind: str,
        header_rows: Sequence[int],
        times: dict[int, str],
        rows: Rows,
        columns: Sequence[Column],
        left_out: Sequence[str],
        labels: Labels | None = None,
        findings: tuple[str, ...] = (),
    ) -> Block:
        """Those of the columns that say best what a point counted.

        times : places of the columns of times, and their names
        """
        best, passed_over = _best(columns)
        places = [*times, *(column.place for column in best)]
        table = Table(
            sheet.path,
            (*(name or "time" for name in times.values()), *(column.title for column in best)),
            (*(series(name, rows.cells[place]) for place, name in times.items()), *(column.values for column in best)),
            np.array(rows.numbers, dtype=np.int64),
            sheet.decimal_commas,
            tuple(map(letters, places)) if sheet.workbook else (),
            sheet.name,
        )
        every = (*left_out, *passed_over, *rows.left_out)
        return cls(sheet, kind, tuple(header_rows), table, best, every, labels, _sums(sheet, min(times)), findings)


def _time(row: tuple[object, ...], place: int) -> object:
    """The time of a row, which may stand in two columns."""
    day, clock = (*row[place : place + 2], None, None)[:2]
    return f"{day} {clock}" if is_time_of_day(clock) else day


def first_row(sheet: Sheet, most: int = 3) -> tuple[int, int] | None:
    """Places of the first row of values and of its time, among so many columns; None when there are none.

    Lines above the names may hold times too; those of values follow each other.
    """
    columns = [
        [place for place, row in enumerate(sheet.rows) if column < len(row) and is_time(row[column])]
        for column in range(most)
    ]
    followed = [[place for place, after in pairwise(rows) if after == place + 1] for rows in columns]
    best = max(range(most), key=lambda column: (len(followed[column]), bool(columns[column]), -column))
    return ((followed[best] or columns[best])[0], best) if columns[best] else None


def refuse_without_columns(sheet: Sheet, columns: Sequence[Column], left_out: Sequence[str]) -> None:
    """Raises DataError when nothing was understood."""
    if not columns:
        what = "; ".join(left_out[:3]) or "there is none beside the times"
        raise DataError(f"{sheet.place}: no column says what a metering point took or fed in: {what}.")


def _sums(sheet: Sheet, time: int) -> tuple[int, tuple[object, ...]] | None:
    for number, row in zip(sheet.numbers, sheet.rows, strict=True):
        if time < len(row) and isinstance(row[time], str) and _TOTALS.match(str(row[time])):
            return number, row
    return None


def _best(columns: Sequence[Column]) -> tuple[tuple[Column, ...], list[str]]:
    """Of the columns of one quantity of a point: what takes part rather than all, energy rather than power."""
    best: dict[tuple[str, str], tuple[bool, bool]] = {}
    for column in columns:
        key, rank = (column.point, column.meaning.quantity), (column.meaning.reduced, column.meter.energy)
        best[key] = max(best.get(key, rank), rank)
    kept, passed_over = [], []
    for column in columns:
        wanted = best[column.point, column.meaning.quantity]
        if (column.meaning.reduced, column.meter.energy) == wanted:
            kept.append(column)
        else:
            why = "another column has what takes part of it" if wanted[0] else "another column has its energy"
            passed_over.append(f"column '{column.header}' of {column.point}: {why}")
    return tuple(kept), passed_over
