"""Bills as files, one for each member.

Sheets and proofs are many times what a bill says, so each slot is read once for all files before the next one is looked
at. A file is there when it is whole: until then its name ends in `.part`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Final

from commonwatt.accounts.document import Anchored
from commonwatt.exchange.bills import anchor_of
from commonwatt.exchange.books import Books
from commonwatt.exchange.files import private
from commonwatt.exchange.sheets import ascii_json, day_files

_HELD: Final = 1 << 24
"""Bytes that are in memory before they are added to the files."""
_PACKED_HELD: Final = 1 << 25
"""The same where files are packed: each part is packed by itself, and the larger it is, the better."""


def write_bills(books: Books, bundle: Anchored, folder: Path, *, packed: bool = False) -> None:
    """Write every member's bill with its sheets and proofs into the folder, which is made where it is missing.

    packed : whether they are packed (gzip), their names ending in `.json.gz`
    Raises OSError when a file cannot be written; a bill that was there before is still there then.
    """
    for _ in written_days(books, bundle, folder, packed=packed):
        pass


def written_days(books: Books, bundle: Anchored, folder: Path, *, packed: bool = False) -> Iterator[date]:
    """As `write_bills`, day by day; the bills are there when the last one is done."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ending = ".gz" if packed else ""
    names = [bill_name(each["member"]["index"], each["member"]["id"]) + ending for each in bundle.contents]
    parts = [folder / f"{name}.part" for name in names]
    held: list[list[bytes]] = []
    for member, (part, content) in enumerate(zip(parts, bundle.contents, strict=True)):
        part.unlink(missing_ok=True)  # others may be able to read what is there
        private(part).touch()
        head = ascii_json({"content": content, "anchor": anchor_of(bundle, member)})
        held.append([head[:-1] + b',"days":['])
    size, most = sum(len(own[0]) for own in held), _PACKED_HELD if packed else _HELD
    before = b""
    for day, of_day in books.days():
        for piece in day_files(day, of_day):
            for own, added in zip(held, piece, strict=True):
                own.append(before + added)
                size += len(added)
            before = b""
            if size > most:
                _add(parts, held, packed=packed)
                size = 0
        before = b","
        yield day
    for own in held:
        own.append(b"]}\n")
    _add(parts, held, packed=packed)
    for part, name in zip(parts, names, strict=True):
        part.replace(folder / name)


def _add(parts: Sequence[Path], held: Sequence[list[bytes]], *, packed: bool) -> None:
    """Add what is held to the files."""
    for part, own in zip(parts, held, strict=True):
        with part.open("ab") as file:
            if packed:
                file.write(packed_bytes(own))
            else:
                file.writelines(own)
        own.clear()


def packed_bytes(parts: Sequence[bytes]) -> bytes:
    """These parts of a file, packed by gzip; several of such behind each other are one file."""
    # Most of a bill are hashes and signatures, in which a few letters that came before are none worth naming.
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 8, zlib.Z_FILTERED)
    return b"".join([*map(packer.compress, parts), packer.flush()])


def bill_name(index: int, member: str) -> str:
    """File name of a member's bill; ids that are no plain file names get their number instead, as no id can begin."""
    return f"{member}.json" if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", member) else f"_{index}.json"
