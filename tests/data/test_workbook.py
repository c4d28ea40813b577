"""Workbooks that unfold: bounded by what they hold, not by what they say."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from report_files import Cell, write_workbook

from commonwatt.community.calendar import Slots
from commonwatt.data import read_meter_file, workbook
from commonwatt.data.table import read_sheets, read_table
from commonwatt.errors import DataError

ROWS: list[list[Cell]] = [["time", "a [kWh]"], ["2026-03-02T00:00", 0.5], ["2026-03-02T00:15", 0.25]]


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_sheets(path)
    return str(caught.value).removeprefix(str(path))


def with_sheet(path: Path, cells: str) -> Path:
    """A workbook whose sheet holds this."""
    write_workbook(path, {"Blatt": ROWS})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/worksheets/sheet1.xml"] = f"<worksheet><sheetData>{cells}</sheetData></worksheet>".encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def test_a_part_that_unfolds_is_not_unfolded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_sheet(tmp_path / "bomb.xlsx", " " * 20_000_000)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(workbook, "MOST_UNFOLDED", 10_000_000)
    assert refusal(path) == " cannot be read: it unfolds to more than 10000000 bytes."


FAR = {
    "a cell": '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
    "a row and a column": '<row r="1"><c r="XFD1"><v>1</v></c></row><row r="1048576"><c><v>1</v></c></row>',
    "in single quotes": "<row r='1'><c r='XFD1'><v>1</v></c></row><row r='1048576'><c r='A1048576'><v>1</v></c></row>",
    "with a prefix": '<x:row r="1"><x:c t="n" r="XFD1"/></x:row><x:row r="1048576"><x:c r="A1048576"/></x:row>',
    "cells without places": f'<row r="1048576">{"<c><v>1</v></c>" * 16384}</row>',
}


@pytest.mark.parametrize("what", FAR)
def test_a_cell_far_away_makes_no_large_sheet(tmp_path: Path, what: str) -> None:
    assert refusal(with_sheet(tmp_path / "far.xlsx", FAR[what])) == (
        " cannot be read: a sheet reaches over 1048576 rows and 16384 columns; at most 20000000 cells are read."
    )


def test_sheets_that_are_hidden_or_empty_are_passed_over(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "m.xlsx", {"Leer": [], "Blatt": ROWS})
    assert [(sheet.name, sheet.numbers) for sheet in read_sheets(path)] == [("Blatt", (1, 2, 3))]


def test_a_meter_file_may_be_a_workbook(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "m.xlsx", {"Blatt": ROWS})
    table = read_table(path)
    assert (table.names, table.letters, table.rows.tolist()) == (("time", "a [kWh]"), ("A", "B"), [2, 3])
    meters = read_meter_file(path, Slots(1772406000, 2), "Europe/Berlin")
    assert meters.named("a").tolist() == [2.0, 1.0]


def test_a_meter_file_of_several_sheets_is_told(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "m.xlsx", {"Blatt": ROWS, "Mehr": ROWS})
    with pytest.raises(DataError, match=r"has 2 sheets, 'Blatt', 'Mehr'; keep the one with the readings\.$"):
        read_table(path)


def test_a_column_of_a_sheet_without_a_name_is_told(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "m.xlsx", {"Blatt": [["time", None, "a [kWh]"], ["2026-03-02T00:00", 7.0, 0.5]]})
    with pytest.raises(DataError, match=r"sheet 'Blatt': column B has values but no name\.$"):
        read_table(path)
