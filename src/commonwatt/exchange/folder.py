"""The folder of a run: its two files, which belong together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from commonwatt.errors import StoreError

EXCHANGE_FILE: Final = "exchange.sqlite"
LEDGER_FILE: Final = "ledger.sqlite"


def make_folder(out: Path, *, fresh: bool) -> None:
    """Make the folder, and when `fresh` drop the run that it holds. Raises StoreError when it cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if fresh:
            for name in (EXCHANGE_FILE, LEDGER_FILE):
                remove(out / name)
    except OSError as error:
        raise StoreError(f"{out} cannot be used as a folder for the run: {error.strerror}.") from None


def remove(file: Path) -> None:
    """Delete a database with what SQLite keeps beside it."""
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()


def refuse_half_a_run(ledger: Path, values: Mapping[str, str]) -> None:
    """Store and ledger go together; neither is made anew beside the other."""
    if ledger.exists() and not values:
        raise StoreError(
            f"{ledger} is there without its {EXCHANGE_FILE}; put that back, choose another folder or start it afresh."
        )
    if "settlement" in values and not ledger.exists():
        raise StoreError(f"{ledger} is missing; put it back, choose another folder or start the run afresh.")
