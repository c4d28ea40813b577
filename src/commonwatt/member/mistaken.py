"""What a file is that somebody took for a bill, and which one to give in its place."""

from __future__ import annotations

import os
from codecs import getincrementaldecoder
from pathlib import Path
from typing import Final

from commonwatt.member.beside import bills_near
from commonwatt.records import strict_json

_LONGEST: Final = 1 << 20
"""Bytes of a file that is looked at whole; longer JSON is judged by its beginning."""
_BEGINNINGS: Final = (
    (b"%PDF-", "a PDF to read and print"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"SQLite format 3\0", "a database, such as a chain's file"),
    (b"PK", "an Excel file or another archive"),
    (b"\x1f\x8b", "a packed file"),
)
_NAMES: Final = {
    ".csv": "a table",
    ".htm": "a page to read and print",
    ".html": "a page to read and print",
    ".key": "the file of a key",
    ".svg": "a picture",
    ".toml": "a community's file or another with settings",
    ".txt": "a text",
}
_WHERE: Final = "a bill is the .json file of a member in the folder bills of a run or a month"


def mistaken(file: Path) -> str | None:
    """A sentence: what the file is, that it is no bill, and which file is one. None where it may be meant as a bill."""
    what = _what(file)
    return None if what is None else f"{file} is no bill but {what}: {_instead(file)}."


def _what(file: Path) -> str | None:
    if file.is_dir():
        return "a folder"
    if not file.is_file():  # what comes through a pipe is gone once it was read
        return None
    try:
        with file.open("rb") as opened:
            begins = opened.read(_LONGEST)
    except OSError:
        return None
    if not begins:
        return "an empty file"
    if file.name.endswith(".json.gz"):  # what is wrong with it, whoever unpacks it has said
        return None
    by_content = (what for start, what in _BEGINNINGS if begins.startswith(start))
    if what := next(by_content, _NAMES.get(file.suffix.lower())):
        return what
    try:
        text = getincrementaldecoder("utf-8-sig")().decode(begins).lstrip()
    except UnicodeDecodeError:
        return "a file without text"
    if text.lower().startswith(("<!doctype html", "<html")):
        return _NAMES[".html"]
    return _of_json(begins) if text.startswith(("{", "[")) else "a text"


def _of_json(begins: bytes) -> str | None:
    """None for what has a bill's parts, and for what breaks off: it may have been one."""
    try:
        given = strict_json.loads(begins, _LONGEST, fractions=True)
    except ValueError:
        return None
    if isinstance(given, dict) and "content" in given:
        return None
    is_card = isinstance(given, dict) and str(given.get("format")).startswith("commonwatt-card/")
    return "a membership card" if is_card else "JSON of another kind"


def _instead(file: Path) -> str:
    bills = [bill if file.is_absolute() else Path(os.path.relpath(bill)) for bill in bills_near(file)]
    if not bills:
        return _WHERE
    return f"give {bills[0]}" if len(bills) == 1 else f"give one of the {len(bills)} bills, such as {bills[0]}"
