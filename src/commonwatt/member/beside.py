"""What lies beside a bill where a run or a month wrote it: the chain's file, and the member's card."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CARD: Final = "my-community.json"
"""As `commonwatt card` names the file unless it is told otherwise."""


def chain_beside(document: Path) -> Path:
    """The chain's file above the document: that of a run, or of the books of months settled after the fact.

    Where there is none, the place where a run's would be.
    """
    above = document.resolve().parent.parent
    files = (above / "ledger.sqlite", above / "books/ledger.sqlite", above.parent / "books/ledger.sqlite")
    return next((file for file in files if file.exists()), files[0])


def card_beside(bill: Path) -> Path | None:
    """The card of the bill's member: `CARD` in the bill's folder, or the one that was written with the bills.

    None where there is neither.
    """
    folder = bill.resolve().parent
    # Bills of an earlier month are a folder deeper than the cards.
    name = bill.name.removesuffix(".gz")
    cards = (folder / CARD, *(above / "cards" / name for above in (folder.parent, folder.parent.parent)))
    return next((card for card in cards if card.is_file()), None)


def bills_near(file: Path) -> list[Path]:
    """Bills that belong to a file or a folder that is none: of the same name if there is one, else all of its run."""
    found = file.resolve()
    folders = (found, found / "bills", found.parent, found.parent / "bills", found.parent.parent / "bills")
    near = [bills_in(folder) for folder in folders if folder.is_dir() and folder.name == "bills"]
    every = next((bills for bills in near if bills), [])
    return [bill for bill in every if _stem(bill) == _stem(found)] or every


def bills_in(folder: Path) -> list[Path]:
    """The bills in a folder, packed or not."""
    return sorted([*folder.glob("*.json"), *folder.glob("*.json.gz")])


def _stem(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).stem
