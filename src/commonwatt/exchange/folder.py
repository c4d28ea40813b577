"""The folder of a run: its two files, which belong together, and who may work on them and read them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from commonwatt.errors import StoreError
from commonwatt.exchange.store import Store, in_use
from commonwatt.ledger.opening import LEDGER_FILE

EXCHANGE_FILE: Final = "exchange.sqlite"
_LOCK_FILE: Final = "run.lock"


def open_store(out: Path, *, fresh: bool) -> Store:
    """The store of the run in the folder `out`, both made where they are missing; only their owner can read them.

    fresh : drop the run that the folder holds, first
    Raises StoreError when the folder cannot be used or another process works on its run; nothing is dropped then.
    """
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(out):
            if fresh:
                files = [out / name for name in (EXCHANGE_FILE, LEDGER_FILE)]
                for file in files:
                    _refuse_in_use(file)
                for file in files:
                    remove(file)
            return Store(private(out / EXCHANGE_FILE))
    except OSError as error:
        raise StoreError(f"{out} cannot be used as a folder for the run: {error.strerror}.") from None


@contextmanager
def alone(out: Path, told: str = "is being opened by another process; try again.") -> Iterator[None]:
    """Between a look at the files and their opening no other process may drop or open them.

    Raises StoreError, the folder and what is `told`, where another one is at it.

    SQLite's own lock, on an empty file that stays: it works on every system, and no killed process leaves it behind.
    """
    with closing(sqlite3.connect(private(out / _LOCK_FILE), timeout=5, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error:
            raise StoreError(f"{out} {told}") from None
        yield


def _refuse_in_use(file: Path) -> None:
    """What cannot be read as a database has nobody who works on it."""
    if not file.is_file():
        return
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise StoreError(in_use(str(file), file)) from None


def private(file: Path) -> Path:
    """The file, made empty where it is missing, such that only its owner can read it."""
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    return file


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, also where it is there already."""
    private(file).chmod(0o600)
    file.write_text(text, encoding="utf-8")


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
