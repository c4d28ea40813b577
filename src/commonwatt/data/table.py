"""A table as exports really come: CSV, Parquet or .xlsx, bounded before it is read, each row with its number.

* A CSV file is UTF-8, with or without a byte order mark, UTF-16 with one, or Windows-1252, separated by commas,
  semicolons or tabulators. Fields may be quoted, blank lines and empty columns at the right end are left out, and a
  first line `sep=;` says the separator.
* A workbook has one sheet that holds anything (`commonwatt.data.workbook`).
* The first row names the columns. Rows of a CSV file or a sheet are numbered as an editor or a spreadsheet does it: the
  names are row 1 and blank lines count. Rows of a Parquet file are numbered from 1.

Where a file has more above the names of its columns, or several sheets, `read_sheets` has its rows as they stand.
"""

from __future__ import annotations

import codecs
import csv
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from commonwatt.data.workbook import MOST_CELLS, Sheet, letters, read_workbook
from commonwatt.errors import DataError
from commonwatt.units import IntArray

MOST_BYTES: Final = 256 * 2**20
"""Largest file that is read [B]; the readings of 1000 homes over a year of quarter hours are less."""
MOST_VALUES: Final = 100_000_000
"""Most values of a Parquet file, which may hold far more than its bytes."""
_MOST_COLUMNS: Final = 10_000
_LONGEST_LINE: Final = 2**20
_QUOTES: Final = {
    "unexpected end of data": "a quote is not closed",
    **{f"'{mark}' expected after '\"'": f"a closing quote is not followed by '{mark}'" for mark in ",;\t"},
}
"""What the words of Python's reader of CSV mean."""
_LINES_LOOKED_AT: Final = 50
"""By so many lines the separator is told; some may stand above the names."""
_ROWS_AT_ONCE: Final = 10_000
"""Texts of Python take ten times the room of a column's."""


@dataclass(frozen=True, eq=False)
class Table:
    """What stands in a file.

    names : of the columns, without spaces around them; they need not differ
    columns : of equal length; text without spaces around it, or numbers or times as Parquet has them; null = empty
    rows : number of each row in the file, shape (rows,)
    decimal_commas : whether numbers may have them
    letters, sheet : what a spreadsheet calls each column and where they stand, empty for other files
    """

    path: Path
    names: tuple[str, ...]
    columns: tuple[pl.Series, ...]
    rows: IntArray
    decimal_commas: bool = False
    letters: tuple[str, ...] = ()
    sheet: str = ""


def read_table(path: Path) -> Table:
    """The table in the file `path`.

    Raises DataError, one sentence, when it is missing, no CSV, Parquet or .xlsx file, or too large.
    """
    reader = {".csv": _csv, ".parquet": _parquet, ".xlsx": _xlsx}.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path} is neither a .csv, a .parquet nor an .xlsx file.")
    with reading(path):
        return reader(path)


def read_sheets(path: Path) -> tuple[Sheet, ...]:
    """The rows of a CSV file, or of the sheets of a workbook, as they stand.

    Raises DataError, one sentence, when it is missing, neither of them, damaged or too large.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".txt", ".xlsx", ".xls"):
        raise DataError(f"{path} is neither a .csv nor an .xlsx file.")
    with reading(path):
        return read_workbook(path) if suffix.startswith(".xl") else (_csv_sheet(path),)


def series(name: str, cells: Sequence[object]) -> pl.Series:
    """A column of cells: numbers or times where it has nothing else, or all as texts."""
    kinds = set(map(type, cells)) - {type(None)}
    if kinds <= {float, int}:
        return pl.Series(name, cells, dtype=pl.Float64)
    if kinds == {datetime}:
        return pl.Series(name, cells, dtype=pl.Datetime("us"))
    return pl.Series(name, [None if cell is None else str(cell) for cell in cells], dtype=pl.String)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What goes wrong while the file `path` is read is a DataError; one that is no `regular_file` is not begun."""
    regular_file(path)
    try:
        yield
    except UnicodeDecodeError:
        raise DataError(f"{path} cannot be read: it is no text in UTF-8 or Windows-1252; save it as UTF-8.") from None
    except (OSError, csv.Error, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"{path} cannot be read: {_reason(error)}.") from None


def regular_file(path: Path, most_bytes: int = MOST_BYTES) -> Path:
    """`path`, when it is a file that can be read to its end. Raises DataError for a folder, a device, a pipe."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {_reason(error)}.") from None
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
        raise DataError(f"{path} cannot be read: it is {what}.")
    if found.st_size > most_bytes:
        raise DataError(f"{path} cannot be read: it has {found.st_size} bytes; at most {most_bytes} are read.")
    return path


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return (isinstance(error, OSError) and error.strerror) or str(error).partition("\n")[0]


def csv_rows(path: Path) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """Separator of a CSV file, and its rows that are not blank, numbered as in the file.

    To be called and gone through within `reading`.
    """
    lines = _lines(path)
    looked_at = list(islice(lines, _LINES_LOOKED_AT))
    blank = next((place for place, line in enumerate(looked_at) if line.strip()), len(looked_at))
    if said := re.fullmatch(r"sep=([,;\t])\s*", "".join(looked_at[blank : blank + 1]), re.IGNORECASE):
        return said[1], _numbered(chain(looked_at[blank + 1 :], lines), said[1], blank + 1)
    separator = _separator(looked_at)
    return separator, _numbered(chain(looked_at[blank:], lines), separator, blank)


def _separator(lines: Sequence[str]) -> str:
    """What most lines are separated by."""
    bare = [re.sub(r'"[^"]*"', "", line) for line in lines if line.strip()]
    return next((mark for mark in ";\t" if 2 * sum(mark in line for line in bare) > len(bare)), ",")


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding=_encoding(path), newline="") as lines:
        for line in lines:
            if len(line) > _LONGEST_LINE:
                raise csv.Error(f"a line has more than {_LONGEST_LINE} characters")
            yield line


def _encoding(path: Path) -> str:
    """How the text is written. Raises UnicodeDecodeError when it is no text."""
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
    for encoding in ("utf-8-sig", "cp1252"):
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            with path.open("rb") as file:
                while block := file.read(_LONGEST_LINE):
                    if b"\0" in block:
                        raise UnicodeDecodeError(encoding, block[:0], 0, 0, "a byte that no text has")
                    decoder.decode(block)
                decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    raise UnicodeDecodeError("cp1252", b"", 0, 0, "no text")


def _numbered(lines: Iterator[str], separator: str, before: int) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=separator, strict=True)
    begun = before
    try:
        for row in reader:
            begun = before + reader.line_num
            if "".join(row).strip():
                yield begun, row
    except csv.Error as error:
        raise csv.Error(f"row {begun + 1}: {_QUOTES.get(str(error), error)}") from None


def _csv_sheet(path: Path) -> Sheet:
    separator, rows = csv_rows(path)
    numbers, held, room = [], [], MOST_CELLS
    for number, row in rows:
        _refuse_many(path, len(row))
        if (room := room - len(row)) < 0:
            raise DataError(f"{path} cannot be read: it has more than {MOST_CELLS} fields.")
        numbers.append(number)
        held.append(tuple(field.strip() or None for field in row))
    return Sheet(path, "", tuple(numbers), tuple(held), decimal_commas=separator != ",")


def _xlsx(path: Path) -> Table:
    sheets = read_workbook(path)
    if len(sheets) > 1:
        names = ", ".join(f"'{sheet.name}'" for sheet in sheets)
        raise DataError(f"{path} has {len(sheets)} sheets, {names}; keep the one with the readings.")
    if not sheets:
        return Table(path, (), (), np.empty(0, dtype=np.int64))
    (sheet,) = sheets
    head, *rows = sheet.rows
    cells = list(zip(*rows, strict=True)) or [()] * len(head)
    kept = [place for place, name in enumerate(head) if name is not None or not place]
    for place in set(range(len(head))) - set(kept):
        if any(cell is not None for cell in cells[place]):
            raise DataError(f"{sheet.place}: column {letters(place)} has values but no name.")
    return Table(
        path,
        tuple(str(head[place] or "") for place in kept),
        tuple(series(str(place), cells[place]) for place in kept),
        np.array(sheet.numbers[1:], dtype=np.int64),
        sheet.decimal_commas,
        tuple(letters(place) for place in kept),
        sheet.name,
    )


def _csv(path: Path) -> Table:
    separator, rows = csv_rows(path)
    _, head = next(rows, (0, []))
    names = [name.strip() for name in head]
    while names and not names[-1]:
        names.pop()
    _refuse_many(path, len(names))
    columns, numbers = _columns(path, names, rows)
    for place, (name, column) in enumerate(zip(names, columns, strict=True)):
        if not name and place and column.null_count() < len(column):
            raise DataError(f"{path}: column {place + 1} has values but no name.")
    kept = [place for place, name in enumerate(names) if name or not place]
    return Table(
        path,
        tuple(names[place] for place in kept),
        tuple(columns[place] for place in kept),
        numbers,
        decimal_commas=separator != ",",
    )


def _columns(path: Path, names: list[str], rows: Iterator[tuple[int, list[str]]]) -> tuple[list[pl.Series], IntArray]:
    numbers: list[int] = []
    schema = {str(place): pl.String for place in range(len(names))}
    blocks = [pl.DataFrame(schema=schema)]
    while block := list(islice(rows, _ROWS_AT_ONCE)):
        numbers += [number for number, _ in block]
        cells = zip(*(_of_width(path, len(names), number, row) for number, row in block), strict=True)
        blocks.append(pl.DataFrame(dict(zip(schema, cells, strict=True)), schema=schema))
    table = pl.concat(blocks).select(pl.all().str.strip_chars().replace("", None))
    return table.get_columns(), np.array(numbers, dtype=np.int64)


def _of_width(path: Path, width: int, number: int, row: list[str]) -> list[str]:
    if any(cell.strip() for cell in row[width:]):
        raise DataError(
            f"{path}: row {number} has {len(row)} values, but the first row names {width} columns; the file must begin "
            "with the names, and decimal commas need semicolons between the columns."
        )
    return [*row[:width], *[""] * (width - len(row))]


def _refuse_many(path: Path, columns: int) -> None:
    if columns > _MOST_COLUMNS:
        raise DataError(f"{path} cannot be read: it has {columns} columns; at most {_MOST_COLUMNS} are read.")


def _parquet(path: Path) -> Table:
    schema = pl.read_parquet_schema(path)
    _refuse_many(path, len(schema))
    for name, kind in schema.items():
        if not (kind.is_numeric() or kind.is_temporal() or kind == pl.String):
            raise DataError(f"{path}: column '{name}' holds {kind}, not numbers.")
    rows = int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
    if rows * len(schema) > MOST_VALUES:
        raise DataError(f"{path} cannot be read: it has {rows * len(schema)} values; at most {MOST_VALUES} are read.")
    table = pl.read_parquet(path, glob=False)
    texts = table.select(pl.col(pl.String))
    if sum(int(column.str.len_bytes().sum()) for column in texts) > MOST_BYTES:
        raise DataError(f"{path} cannot be read: its texts have more than {MOST_BYTES} bytes.")
    table = table.with_columns(pl.col(pl.String).str.strip_chars().replace("", None))
    names = tuple(name.strip() for name in table.columns)
    return Table(path, names, tuple(table.get_columns()), np.arange(1, rows + 1, dtype=np.int64))
