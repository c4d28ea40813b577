"""Reports of metering points as files, in any dress that the reader knows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import xlsxwriter

from commonwatt.community.calendar import Slots

VIENNA = "Europe/Vienna"
ZONE = ZoneInfo(VIENNA)
POINT = "AT0099900000000000000000000000001"
OTHER = "AT0099900000000000000000000000002"
Cell = str | float | datetime | None
Columns = Mapping[tuple[str, str], Sequence[tuple[int, str] | None]]
"""Values [mWh] with their flags on the slots, of a point and a quantity."""

WORDS = {
    "import": "Gesamtverbrauch lt. Messung (bei Teilnahme gem. Erzeugung) [KWH]",
    "G.02": "Anteil gemeinschaftliche Erzeugung [KWH]",
    "G.03": "Eigendeckung gemeinschaftliche Erzeugung [KWH]",
    "export": "Gesamte gemeinschaftliche Erzeugung [KWH]",
    "P.01": "Gesamt/Überschusserzeugung, Gemeinschaftsüberschuss [KWH]",
}
CODES = {
    "import": "1-1:1.9.0 G.01",
    "G.02": "1-1:2.9.0 G.02",
    "G.03": "1-1:2.9.0 G.03",
    "export": "1-1:2.9.0 G.01T",
    "P.01": "1-1:2.9.0 P.01T",
}
PORTAL_WORDS = {
    "import": ("Bezug", "import", "1-1:1.29.0", "Verbrauch"),
    "export": ("Einspeisung", "export", "1-1:2.29.0*255", "Erzeugung"),
    "G.02": ("G.02", "Ideeller Anteil", "share", "Anteil"),
    "G.03": ("G.03", "Eigendeckung", "coverage", "Eigendeckung"),
    "P.01": ("P.01", "Überschuss", "surplus", "Überschuss"),
}


@dataclass(frozen=True)
class Dress:
    """How a report is written.

    austrian : with the rows of that form, in the order of `order`; else as a portal
    workbook : .xlsx; else CSV
    times : "text", "date" (cells of a workbook), "zoned", or "apart" (date beside time of day)
    labels : "begin", "end" or "both"
    flags : whether each column has one of flags beside it
    unit : of a portal's values; words : which of the names
    """

    austrian: bool = True
    workbook: bool = True
    times: str = "text"
    labels: str = "begin"
    flags: bool = True
    unit: str = "kWh"
    words: int = 0
    order: tuple[int, ...] = (0, 1, 2, 3, 4)
    separator: str = ";"
    encoding: str = "utf-8"
    backwards: bool = False


def write(path: Path, rows: Sequence[Sequence[Cell]], dress: Dress = Dress()) -> Path:
    """The rows as a file; numbers in a CSV file have decimal commas unless commas separate."""
    if dress.workbook:
        return write_workbook(path, {"Blatt": rows})
    text = io.StringIO()
    csv.writer(text, delimiter=dress.separator).writerows([[_text(cell, dress) for cell in row] for row in rows])
    path.write_bytes(text.getvalue().encode(dress.encoding))
    return path


def write_workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[Cell]]]) -> Path:
    """The rows of each sheet as a workbook; times are cells of dates."""
    book = xlsxwriter.Workbook(str(path), {"default_date_format": "dd.mm.yyyy hh:mm"})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for place, row in enumerate(rows):
            for column, cell in enumerate(row):
                if cell is not None:
                    sheet.write(place, column, cell)
    book.close()
    return path


def dressed(columns: Columns, slots: Slots, dress: Dress) -> list[list[Cell]]:
    """Rows of a report of these columns."""
    values = [_values(start, place, columns, slots, dress) for place, start in enumerate(slots.starts.tolist())]
    if dress.backwards:
        values.reverse()
    return [*(_form if dress.austrian else _names)(columns, dress), *values]


def _form(columns: Columns, dress: Dress) -> list[list[Cell]]:
    def row(label: str, cells: Sequence[str], beside: str = "") -> list[Cell]:
        return [label, *(each for cell in cells for each in ((cell, beside) if dress.flags else (cell,)))]

    taking = [quantity in ("import", "G.02", "G.03") for _, quantity in columns]
    names = CODES if dress.words else WORDS
    rows = [
        row("MeteringpointID", [point for point, _ in columns], "MM"),
        row("Energy direction", ["CONSUMPTION" if takes else "GENERATION" for takes in taking]),
        row("Period start", ["01.10.2026 00:00:00"] * len(columns)),
        row("Data Completeness", ["100 %"] * len(columns)),
        row("Metercode", [names[quantity] for _, quantity in columns]),
    ]
    return [rows[place] for place in dress.order]


def _names(columns: Columns, dress: Dress) -> list[list[Cell]]:
    ends = ["von", "bis"] if dress.labels == "both" else [""]
    parts = ["Datum", "Zeit"] if dress.times == "apart" else ["Zeitstempel"]
    head: list[Cell] = [f"{part} {end}" for end in ends for part in parts]
    for point, quantity in columns:
        head.append(f"{point} {PORTAL_WORDS[quantity][dress.words]} [{dress.unit}]")
        if dress.flags:
            head.append("Status")
    return [["Netz Fiktiv"], ["erstellt am", "02.10.2026 11:00"], head]


def _values(start: int, place: int, columns: Columns, slots: Slots, dress: Dress) -> list[Cell]:
    edges = {"begin": [start], "end": [start + slots.seconds], "both": [start, start + slots.seconds]}
    cells: list[Cell] = [cell for edge in edges[dress.labels] for cell in _time(edge, dress)]
    per_kwh = {"kWh": 1.0, "Wh": 1000.0, "kW": 4.0}["kWh" if dress.austrian else dress.unit]
    for column in columns.values():
        value = column[place]
        cells.append(None if value is None else value[0] * per_kwh / 1e6)
        if dress.flags:
            cells.append(None if value is None else value[1])
    return cells


def _time(instant: int, dress: Dress) -> list[Cell]:
    here = datetime.fromtimestamp(instant, ZONE)
    if dress.times == "zoned":
        return [here.isoformat()]
    if dress.times == "apart":
        return [f"{here:%d.%m.%Y}", f"{here:%H:%M}"]
    if dress.times == "date":
        return [here.replace(tzinfo=None, fold=0)]
    return [f"{here:%d.%m.%Y %H:%M:%S}"]


def _text(cell: Cell, dress: Dress) -> str:
    if isinstance(cell, float):
        text = f"{cell:.6f}"
        return text if dress.separator == "," else text.replace(".", ",")
    return f"{cell:%d.%m.%Y %H:%M}" if isinstance(cell, datetime) else cell or ""
