"""Bills as files, one for each member.

Proofs are many times what is known of a slot, so each slot is read once and its proofs go into all the files before the
next one is looked at. A file is there when it is whole: until then its name ends in `.part`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic_core import to_json

from commonwatt.accounts.document import Anchored
from commonwatt.exchange.bills import anchor_of, slot_proofs
from commonwatt.exchange.books import Books
from commonwatt.exchange.files import private

_HELD: Final = 1 << 24
"""Bytes of proofs that are in memory before they are added to the files."""


def write_bills(books: Books, bundle: Anchored, folder: Path) -> None:
    """Write every member's bill with its proofs into the folder, which is made where it is missing.

    Raises OSError when a file cannot be written; a bill that was there before is still there then.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = [bill_name(each["member"]["index"], each["member"]["id"]) for each in bundle.contents]
    parts = [folder / f"{name}.part" for name in names]
    for member, (part, content) in enumerate(zip(parts, bundle.contents, strict=True)):
        head = to_json({"content": content, "anchor": anchor_of(bundle, member)}, ensure_ascii=True)
        part.unlink(missing_ok=True)  # others may be able to read what is there
        private(part).write_bytes(head[:-1] + b',"proofs":')
    held: list[list[bytes]] = [[] for _ in parts]
    size, before = 0, b"{"
    for slot, shown in slot_proofs(books):
        for member, own in enumerate(held):
            proof = to_json(shown.of(member) if shown else None, ensure_ascii=True)
            own.append(b'%b"%d":%b' % (before, slot, proof))
            size += len(proof)
        before = b","
        if size > _HELD:
            _add(parts, held)
            size = 0
    _add(parts, held, b"}}\n")
    for part, name in zip(parts, names, strict=True):
        part.replace(folder / name)


def _add(parts: Sequence[Path], held: Sequence[list[bytes]], end: bytes = b"") -> None:
    """Add what is held to the files."""
    for part, own in zip(parts, held, strict=True):
        with part.open("ab") as file:
            file.writelines([*own, end])
        own.clear()


def bill_name(index: int, member: str) -> str:
    """File name of a member's bill; ids that are no plain file names get their number instead, as no id can begin."""
    return f"{member}.json" if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", member) else f"_{index}.json"
