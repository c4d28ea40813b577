"""The folder of a run: its two files, which belong together, and who may work on them and read them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from commonwatt.errors import StoreError
from commonwatt.exchange.database import in_use, lock_of
from commonwatt.exchange.files import lock, private
from commonwatt.exchange.store import Store
from commonwatt.ledger.opening import LEDGER_FILE

EXCHANGE_FILE: Final = "exchange.sqlite"
CHAIN: Final = "chain"
"""Folder of the chain that a living exchange runs itself."""
KEY_FILE: Final = "operator.key"
_LOCK_FILE: Final = "run.lock"


def open_store(out: Path, *, fresh: bool, database: str | None = None) -> Store:
    """The store of the run in the folder `out`, both made where they are missing; only their owner can read them.

    fresh : drop the run that the folder holds, first
    database : the server postgresql://… that has the store; None = a file in the folder
    Raises StoreError when the folder cannot be used or another process works on its run; nothing is dropped then.
    """
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(out):
            if fresh:
                _drop(out / EXCHANGE_FILE, out / LEDGER_FILE)
            return Store(database or private(out / EXCHANGE_FILE))
    except OSError as error:
        raise StoreError(f"{out} cannot be used as a folder for the run: {error.strerror}.") from None


@contextmanager
def alone(out: Path, told: str = "is being opened by another process; try again.") -> Iterator[None]:
    """Between a look at the files and their opening no other process may drop or open them.

    Raises StoreError, the folder and what is `told`, where another one is at it.
    """
    held = lock(out / _LOCK_FILE, wait=5)
    if held is None:
        raise StoreError(f"{out} {told}")
    with closing(held):
        yield


def _drop(store: Path, ledger: Path) -> None:
    """Delete both files. Raises StoreError where somebody works on one of them; nothing is deleted then."""
    held = lock(lock_of(store))
    if held is None:
        raise StoreError(in_use(str(store), store))
    with closing(held):
        for file in (store, ledger):
            _refuse_in_use(file)
        for file in (store, ledger):
            remove(file)


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


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, also where it is there already."""
    private(file).chmod(0o600)
    file.write_text(text, encoding="utf-8")


def remove(file: Path) -> None:
    """Delete a database with what SQLite keeps beside it."""
    for part in ("", "-wal", "-shm", "-journal"):
        file.with_name(f"{file.name}{part}").unlink(missing_ok=True)


def refuse_half_a_run(ledger: Path, values: Mapping[str, str]) -> None:
    """Store and ledger go together; neither is made anew beside the other."""
    if ledger.exists() and not values:
        raise StoreError(
            f"{ledger} is there without its {EXCHANGE_FILE}; put that back, choose another folder or start it afresh."
        )
    if "settlement" in values and not ledger.exists():
        raise StoreError(f"{ledger} is missing; put it back, choose another folder or start the run afresh.")
