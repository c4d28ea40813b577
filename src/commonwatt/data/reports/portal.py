"""What portals export: a row of names, times, and a column per register of a metering point.

    Messstelle;AT0099900…01
    Datum;Zeit von;Zeit bis;Bezug [kWh];Einspeisung [kWh];Status
    01.10.2026;00:00;00:15;0,063;0,000;gemessen

A name says what its column counts (`commonwatt.data.reports.columns`): the register in words or as an OBIS code, the
unit, and the point, unless the lines above, the name of the file or a column of points say that. Without a word for it,
the column of an id is import, or export where whoever asks, or a line such as `OBIS;2.8.0` above, says so. A column of
flags speaks of those between it and the flags before it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from commonwatt.data.reports.block import Block, Rows, first_row, refuse_without_columns
from commonwatt.data.reports.columns import (
    LONGEST,
    POINT,
    Column,
    Meaning,
    directed,
    left_alone,
    point_id,
    says_quality,
    worded,
)
from commonwatt.data.reports.report import Quantity
from commonwatt.data.table import series
from commonwatt.data.timefile import Labels
from commonwatt.data.times import is_time, is_time_of_day
from commonwatt.data.workbook import Sheet
from commonwatt.errors import DataError

KIND: Final = "portal export"
_POINT_WORDS: Final = re.compile(
    r"(?:zähl|mess)(?:punkt|stelle)\w*|meter(?:ing)?[ _]?(?:point)?[ _]?(?:id)?|m[ae]lo(?:[ _-]?id)?"
    r"|ean(?:[ _-]?code)?|point",
    re.IGNORECASE,
)
_DIRECTION_WORDS: Final = re.compile(r"obis|(?:energie)?richtung|(?:energy )?direction|register|kanal", re.IGNORECASE)
_BEGINS: Final = re.compile(r"(?<![^\W_])(?:\w*beginn?|\w*anfang|start|from|von|ab)(?![^\W_])", re.IGNORECASE)
_ENDS: Final = re.compile(r"(?<![^\W_])(?:\w*ende?|bis|until|to)(?![^\W_])", re.IGNORECASE)
_UNITS: Final = re.compile(r"[\[(]?[kM]?Wh?[\])]?", re.IGNORECASE)


def portals(sheet: Sheet, exporting: Collection[str]) -> tuple[Block, ...]:
    """The sheet as such an export, a block for each point where a column has the points; none when it has no times.

    exporting : points whose columns count what they fed in, where no word says it
    """
    found = first_row(sheet)
    if found is None:
        return ()
    first, time = found
    if first == 0:
        raise DataError(f"{sheet.place} must begin with the names of its columns, but begins with a time.")
    names, head = _names(sheet, first)
    points = next((place for place, name in enumerate(names) if place != time and _POINT_WORDS.fullmatch(name)), None)
    if points is None:
        return (_one(sheet, first, head, time, names, exporting, _point_of(sheet, first - head)),)
    blocks = []
    for point, part in _by_point(sheet, first, points).items():
        blocks.append(_one(part, first, head, time, [*names[:points], "", *names[points + 1 :]], exporting, point))
    return tuple(blocks)


def _names(sheet: Sheet, first: int) -> tuple[list[str], int]:
    """What the columns are called, and how many rows say it: a row of units may stand below the names."""
    width = max(map(len, sheet.rows[first - 1 : first + 1]))
    last = [str(cell or "")[:LONGEST] for cell in sheet.rows[first - 1]]
    named = [cell for cell in last if cell]
    if first > 1 and named and all(_UNITS.fullmatch(cell) for cell in named) and len(sheet.rows[first - 2]) > 1:
        above = [str(cell or "")[:LONGEST] for cell in sheet.rows[first - 2]]
        pairs = zip(above, [*last, *[""] * len(above)], strict=False)
        last, rows = [f"{name} [{unit.strip('[]()')}]" if unit else name for name, unit in pairs], 2
    else:
        rows = 1
    return [*last, *[""] * (width - len(last))], rows


def _one(
    sheet: Sheet, first: int, head: int, time: int, names: list[str], exporting: Collection[str], point: str
) -> Block:
    rows = Rows.of(sheet, first, time)
    default = _direction_of(sheet, first - head)
    times, labels = _times(rows, names, time)
    columns: list[Column] = []
    left_out: list[str] = []
    flagged = 0
    for place, name in enumerate(names[: len(rows.cells)]):
        cells = rows.cells[place]
        if place in times or place < time:
            continue
        if says_quality(name):
            columns[flagged:] = [replace(column, quality=cells) for column in columns[flagged:]]
            flagged = len(columns)
        elif not name and all(cell is None for cell in cells):
            continue
        elif why := _not_understood(name):
            left_out.append(f"column '{name}' {why}")
        elif column := _column(sheet, place, name, cells, point, default, exporting):
            columns.append(column)
        else:
            left_out.append(f"column '{name}' says neither import nor export")
    refuse_without_columns(sheet, columns, left_out)
    header_rows = sheet.numbers[first - head : first]
    silent = [column for column in columns if worded(column.header)[0] is None]
    findings = (f"{sheet.place}: {_taken(silent)}.",) if silent and default is None else ()
    named = {place: names[place] for place in times}
    return Block.of(sheet, KIND, header_rows, named, rows, columns, left_out, labels, findings)


def _taken(silent: list[Column]) -> str:
    quantities = dict.fromkeys(column.meaning.quantity for column in silent)
    taken = ", ".join(
        f"{' and '.join(column.point for column in silent if column.meaning.quantity == quantity)} for {quantity}"
        for quantity in quantities
    )
    return f"the names of columns do not say import or export; taken are {taken}"


def _times(rows: Rows, names: list[str], time: int) -> tuple[list[int], Labels | None]:
    """Places of the columns of times, and which end of an interval the only one says."""
    cells = [column[0] for column in rows.cells[time : time + 4]]
    if len(cells) > 1 and is_time_of_day(cells[1]):
        if len(cells) > 3 and is_time(cells[2]) and is_time_of_day(cells[3]):
            return [time, time + 1, time + 2, time + 3], "begin"
        if len(cells) > 2 and is_time_of_day(cells[2]):
            return [time, time + 1, time + 2], "begin"
        return [time, time + 1], _said(names[time + 1]) or _said(names[time])
    if len(cells) > 1 and is_time(cells[1]):
        return [time, time + 1], "begin"
    return [time], _said(names[time])


def _said(name: str) -> Labels | None:
    begins, ends = _BEGINS.search(name), _ENDS.search(name)
    return None if bool(begins) == bool(ends) else "begin" if begins else "end"


def _not_understood(name: str) -> str | None:
    """Why nothing is taken from a column of this name; None when it may count something."""
    meaning, meter, _ = worded(name)
    if left_alone(name):
        return "counts what no bill needs"
    if meter is None:
        return "does not end with its unit, W, kW, MW, Wh, kWh or MWh" if meaning or name else "has no name"
    return None


def _column(
    sheet: Sheet,
    place: int,
    name: str,
    cells: tuple[object, ...],
    point: str,
    default: Quantity | None,
    exporting: Collection[str],
) -> Column | None:
    meaning, meter, rest = worded(name)
    known = POINT.fullmatch(rest) is not None or rest in exporting
    # What is left of a name beside an id that the file says is a word more, not another point.
    at = rest if rest and (known or not POINT.fullmatch(point)) else point
    if meaning is None and (known or not rest):
        meaning = Meaning(default or ("export" if at in exporting else "import"))
    if meaning is None or meter is None:
        return None
    if not at:
        raise DataError(
            f"{sheet.place}: column '{name}' names no metering point, and neither does the file; put the id before it, "
            "into a line above the names such as Zählpunkt;AT0099900…, or into the name of the file."
        )
    return Column(name, place, point_id(at), meaning, meter, series(name, cells), None)


def _point_of(sheet: Sheet, lines: int) -> str:
    """The only point of a file, by the lines above the names or by its own name; "" when neither says it."""
    for row in sheet.rows[:lines]:
        cells = [str(cell) for cell in row if cell is not None]
        for place, cell in enumerate(cells):
            if found := POINT.search(cell):
                return found[0]
            label, _, value = cell.partition(":")
            if _POINT_WORDS.fullmatch(label.strip()) and (
                said := value.strip() or "".join(cells[place + 1 : place + 2])
            ):
                return point_id(said[:LONGEST])
    found = POINT.search(sheet.path.stem.replace("_", " "))
    return found[0] if found else ""


def _direction_of(sheet: Sheet, lines: int) -> Quantity | None:
    """The only register of a file, by the lines above the names."""
    for row in sheet.rows[:lines]:
        label, *said = (str(cell) for cell in row if cell is not None)
        if _DIRECTION_WORDS.match(label):
            return directed(" ".join([label, *said])[:LONGEST])
    return None


def _by_point(sheet: Sheet, first: int, column: int) -> dict[str, Sheet]:
    """The sheet apart for each point that the column names."""
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(sheet.rows[first:], first):
        cell = row[column] if column < len(row) else None
        point = f"{cell:.0f}" if isinstance(cell, float) else str(cell or "")
        groups.setdefault(point, [*range(first)]).append(place)
    return {
        point: replace(
            sheet,
            numbers=tuple(sheet.numbers[place] for place in places),
            rows=tuple(sheet.rows[place] for place in places),
        )
        for point, places in groups.items()
    }
