"""The report of an Austrian energy community, written: what `austrian` reads, as a CSV file with decimal commas.

Times are the local begins of intervals; the hour that the clock shows twice in autumn stands there twice.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from commonwatt.community.calendar import Slots
from commonwatt.data.reports.report import BoolArray, Quantity
from commonwatt.units import IntArray, decimal_text

_CONSUMPTION, _GENERATION = "CONSUMPTION", "GENERATION"
_WORDS: Final[dict[Quantity, tuple[str, str]]] = {
    "import": (_CONSUMPTION, "Gesamtverbrauch lt. Messung (bei Teilnahme gem. Erzeugung) [KWH]"),
    "G.02": (_CONSUMPTION, "Anteil gemeinschaftliche Erzeugung [KWH]"),
    "G.03": (_CONSUMPTION, "Eigendeckung gemeinschaftliche Erzeugung [KWH]"),
    "export": (_GENERATION, "Gesamte gemeinschaftliche Erzeugung [KWH]"),
    "P.01": (_GENERATION, "Gesamt/Überschusserzeugung, Gemeinschaftsüberschuss [KWH]"),
}
"""Direction and Metercode of each, in the words of the portals."""


@dataclass(frozen=True, eq=False)
class FormColumn:
    """One quantity of one point. name : whose; wh : shape (slots,) [Wh]; there : whether there is a value"""

    point: str
    name: str
    quantity: Quantity
    wh: IntArray
    there: BoolArray


def write_form(path: Path, columns: Sequence[FormColumn], slots: Slots, zone: ZoneInfo) -> None:
    """Write the columns, each on all slots, to a file. Raises OSError when it cannot be written."""
    times = [f"{datetime.fromtimestamp(start, zone):%d.%m.%Y %H:%M:%S}" for start in slots.starts.tolist()]
    said = [_WORDS[column.quantity] for column in columns]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\n")
        writer.writerow(["MeteringpointID", *(column.point for column in columns)])
        writer.writerow(["Name", *(column.name for column in columns)])
        writer.writerow(["Energy direction", *(direction for direction, _ in said)])
        writer.writerow(["Period start", *(times[0] for _ in columns)])
        writer.writerow(["Period end", *(times[-1] for _ in columns)])
        writer.writerow(["Metercode", *(code for _, code in said)])
        for place, time in enumerate(times):
            writer.writerow([time, *(_cell(column, place) for column in columns)])


def _cell(column: FormColumn, place: int) -> str:
    """Energy in kWh; nothing where there is no value."""
    return decimal_text(int(column.wh[place]) * 1000, 6).replace(".", ",") if column.there[place] else ""
