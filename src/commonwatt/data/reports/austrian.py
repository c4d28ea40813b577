"""The report of an Austrian energy community, as grid companies, the portal of EDA and eegfaktura write it.

    MeteringpointID    AT0099900…01       AT0099900…01    …    AT0099900…09
    Energy direction   CONSUMPTION        CONSUMPTION          GENERATION
    Period start       01.10.2026 00:00:00
    Period end         31.10.2026 23:45:00
    Metercode          Gesamtverbrauch …  Anteil …             Gesamte …
    01.10.2026 00:00:00         0.063000        0.012345            0.000000

The first cell of a row names it, and rows may stand in any order and among others. A code is a code (`1-1:2.9.0 G.03`)
or its words. A column without a metering point, or with "MM" in its place, says how the values at its left were
obtained; one of "TOTAL" is the sum of others. All is kWh of intervals unless the code says another unit.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from commonwatt.data.headers import MeterName, meter_name
from commonwatt.data.reports.block import Block, Rows, first_row, refuse_without_columns
from commonwatt.data.reports.columns import LONGEST, Column, coded, point_id
from commonwatt.data.table import series
from commonwatt.data.timefile import Labels
from commonwatt.data.workbook import Sheet
from commonwatt.errors import DataError

KIND: Final = "Austrian report"
_ROWS: Final = {
    "point": ("meteringpointid", "meteringpoint", "zählpunkt", "zählpunktnummer"),
    "direction": ("energydirection", "energierichtung"),
    "code": ("metercode", "obiscode"),
}
_KWH: Final = MeterName("", per_unit=1.0, energy=True, register=False)


def austrian(sheet: Sheet) -> Block | None:
    """The sheet as such a report; None when it is none. Raises DataError when it is one that cannot be read."""
    head = _head(sheet)
    found = first_row(sheet, most=1)
    if head is None:
        return None
    if found is None:
        raise DataError(f"{sheet.place} holds no readings: below its header no row begins with a time.")
    first, _ = found
    rows = Rows.of(sheet, first, 0)
    columns: list[Column] = []
    left_out: list[str] = []
    for place in range(1, max(map(len, head.values()))):
        point, direction, code = (_cell(head.get(name, ()), place) for name in _ROWS)
        cells = rows.cells[place] if place < len(rows.cells) else (None,) * len(rows.numbers)
        if not code and (not point or isinstance(next((cell for cell in cells if cell), ""), str)):
            if columns and place == columns[-1].place + 1:
                columns[-1] = replace(columns[-1], quality=cells)
        elif (meaning := coded(code, direction)) and point.casefold() != "total":
            meter = meter_name(code) or _KWH
            columns.append(Column(code, place, point_id(point), meaning, meter, series(code, cells), None))
        else:
            left_out.append(f"column '{code}' of {point}")
    refuse_without_columns(sheet, columns, left_out)
    # The form has the begins of intervals; a report that does not begin with a day may be of another mind.
    labels: Labels | None = "begin" if re.search(r"\b00:00|^\S+$", str(rows.cells[0][0])) else None
    return Block.of(sheet, KIND, sheet.numbers[:first], {0: "time"}, rows, columns, left_out, labels)


def _head(sheet: Sheet) -> dict[str, tuple[object, ...]] | None:
    """The rows that say what columns are, by what they say; None when it is another form."""
    head: dict[str, tuple[object, ...]] = {}
    numbers: dict[str, int] = {}
    labelled: set[str] = set()
    for number, row in zip(sheet.numbers, sheet.rows, strict=True):
        label = re.sub(r"[\W_]", "", str(row[0])).casefold()
        labelled.add(label)
        name = next((name for name, labels in _ROWS.items() if label in labels), None)
        if name in head and label in ("meteringpointid", "metercode") and {"point", "code"} <= {*head}:
            raise DataError(
                f"{sheet.place} has two headers: rows {numbers[name]} and {number} both begin with '{row[0]}'; put "
                "each report into a sheet or a file of its own."
            )
        if name and name not in head:
            head[name], numbers[name] = row, number
    named = {"meteringpointid", "metercode"} & labelled
    if len(named) == 1:
        lacking = "Metercode" if "meteringpointid" in named else "MeteringpointID"
        raise DataError(f"{sheet.place} is the report of an energy community, but no row begins with '{lacking}'.")
    return head if named or {*_ROWS} <= {*head} else None


def _cell(row: tuple[object, ...], place: int) -> str:
    return str(row[place] or "")[:LONGEST].strip() if place < len(row) else ""
