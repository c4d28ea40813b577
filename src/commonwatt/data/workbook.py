"""A workbook of a spreadsheet, .xlsx, as rows of cells, bounded before it is unfolded.

What the archive holds is unfolded here, within bounds, and only that is given to the reader of cells: an archive that
says less of itself than it holds, or one cell a million columns away, takes no more room than that.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Final

from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from commonwatt.errors import DataError

MOST_UNFOLDED: Final = 256 * 2**20
"""Most bytes that the parts of a workbook have when they are unfolded; 200 metering points over a month have 130 MB."""
MOST_CELLS: Final = 20_000_000
"""Most cells of a sheet, empty ones between others included."""
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How a file begins in which older programs keep workbooks, and newer ones those with a password."""
_PLACE: Final = re.compile(rb"<(?:\w+:)?(?:c|row)\s[^<>]*?\br=[\"']([A-Z]{0,3})([0-9]{1,7})[\"']")
_CELL: Final = re.compile(rb"<(?:\w+:)?c[\s/>]")
_ROW: Final = re.compile(rb"<(?:\w+:)?row[\s/>]")


@dataclass(frozen=True, eq=False)
class Sheet:
    """Rows of cells as they stand in a file, a CSV file or a sheet of a workbook, blank rows left out.

    name : of the sheet, "" where a file has only one
    numbers : of each row in the file, from 1
    rows : cells, each text without spaces around it, a number, a time, or None
    decimal_commas : whether numbers in texts may have them
    """

    path: Path
    name: str
    numbers: tuple[int, ...]
    rows: tuple[tuple[object, ...], ...]
    decimal_commas: bool

    @property
    def workbook(self) -> bool:
        """Whether a spreadsheet shows its cells by letter and number."""
        return self.path.suffix.lower() == ".xlsx"

    @property
    def place(self) -> str:
        """The file and the sheet, for messages."""
        return f"{self.path}, sheet '{self.name}'" if self.name else str(self.path)


def letters(column: int) -> str:
    """What a spreadsheet calls a column, counted from 0.

    >>> letters(0), letters(25), letters(26), letters(701), letters(702)
    ('A', 'Z', 'AA', 'ZZ', 'AAA')
    """
    rest, last = divmod(column, 26)
    return (letters(rest - 1) if rest else "") + chr(ord("A") + last)


def read_workbook(path: Path) -> tuple[Sheet, ...]:
    """The sheets of the workbook `path` that are shown and hold anything.

    Raises DataError, one sentence, when it is no workbook of this kind, has a password, is damaged or too large.
    """
    with path.open("rb") as file:
        if file.read(8) == _OLE:
            raise DataError(
                f"{path} cannot be read: it is a workbook of the old kind, .xls, or one with a password; save it as "
                ".xlsx without a password."
            )
    try:
        workbook = CalamineWorkbook.from_filelike(BytesIO(_unfolded(path)))
        sheets = [
            _sheet(path, each.name, workbook.get_sheet_by_name(each.name).to_python(skip_empty_area=False))
            for each in workbook.sheets_metadata
            if each.typ == SheetTypeEnum.WorkSheet and each.visible == SheetVisibleEnum.Visible
        ]
    except (CalamineError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read: it is no .xlsx workbook, or a damaged one.") from error
    except BaseException as error:
        # What a Rust library did not expect, it raises as no Exception of Python.
        if type(error).__name__ == "PanicException":
            raise DataError(f"{path} cannot be read: it is a damaged workbook.") from error
        raise
    return tuple(sheet for sheet in sheets if sheet.rows)


def _unfolded(path: Path) -> bytes:
    """The same archive with its parts as they are unfolded."""
    room, plain, names = MOST_UNFOLDED, BytesIO(), set[str]()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(plain, "w", zipfile.ZIP_STORED) as copy:
        for part in archive.infolist():
            if part.filename in names or not part.filename.endswith((".xml", ".rels")):
                continue
            names.add(part.filename)
            with archive.open(part) as file:
                content = file.read(room + 1)
            room -= len(content)
            if room < 0:
                raise DataError(f"{path} cannot be read: it unfolds to more than {MOST_UNFOLDED} bytes.")
            _refuse_wide(path, content)
            copy.writestr(part.filename, content)
    return plain.getvalue()


def _refuse_wide(path: Path, content: bytes) -> None:
    """Cells far away from the others make a sheet of as many empty ones."""
    places = _PLACE.findall(content)
    named = max((_column(name) for name in {name for name, _ in places}), default=0)
    # A cell that names no place stands beside the one before it.
    width = max(named, *(len(_CELL.findall(row)) for row in _ROW.split(content)))
    height = max((int(row) for row in {row for _, row in places}), default=0)
    if width * height > MOST_CELLS:
        raise DataError(
            f"{path} cannot be read: a sheet reaches over {height} rows and {width} columns; at most {MOST_CELLS} "
            "cells are read."
        )


def _column(name: bytes) -> int:
    place = 0
    for letter in name:
        place = place * 26 + letter - ord("A") + 1
    return place


def _sheet(path: Path, name: str, rows: Sequence[Sequence[object]]) -> Sheet:
    cells = ((number, tuple(map(_cell, row))) for number, row in enumerate(rows, 1))
    held = [(number, row) for number, row in cells if any(cell is not None for cell in row)]
    return Sheet(path, name, tuple(number for number, _ in held), tuple(row for _, row in held), decimal_commas=True)


def _cell(cell: object) -> object:
    if isinstance(cell, float):
        return cell
    if isinstance(cell, str):
        return cell.strip() or None
    if isinstance(cell, datetime):
        # A spreadsheet counts days in binary fractions, so that a quarter of an hour may miss some microseconds.
        return (cell + timedelta(microseconds=500_000)).replace(microsecond=0)
    return cell
