"""The exchange's own file.

SQLAlchemy Core on SQLite. Everything that one event of the market day produces is written in one transaction, before
the ledger is told; whichever of the two files is ahead after a crash, (slot, revision) reconciles them.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from sqlalchemy import (
    Connection,
    Engine,
    Select,
    Table,
    create_engine,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from commonwatt.community.calendar import Slots
from commonwatt.errors import StoreError
from commonwatt.exchange import tables
from commonwatt.units import IntArray

VERSION: Final = "8"
# Marks the file as a store of ours (PRAGMA application_id, "CWex").
_APPLICATION: Final = 0x43576578

_open_here: set[tuple[int, Path]] = set()
"""The files that stores have open, resolved, by the process: a forked one inherits what is no longer true of it."""


class Store:
    """The exchange's file, or memory when `path` is None. One process has it open, nobody else beside it.

    Every method raises StoreError when the file is no store, of another version, in use, damaged, or when it cannot be
    written.
    """

    def __init__(self, path: Path | None) -> None:
        self._name = str(path) if path else "the store in memory"
        self._path = path.resolve() if path else None
        self._gone = False
        self._engine = _engine(path)
        try:
            self._prepare()
        except BaseException:
            self._engine.dispose()
            raise
        if self._path:
            _open_here.add((os.getpid(), self._path))

    def _prepare(self) -> None:
        with self._usable(), self._engine.connect() as connection:
            application = connection.exec_driver_sql("PRAGMA application_id").scalar()
            empty = not connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
            if application != _APPLICATION and not (empty and application == 0):
                raise StoreError(f"{self._name} is not an exchange's store.")
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            if empty:
                # Before the first table: a process killed among the tables leaves a store and not a stranger's file.
                connection.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION}")
        with self.transaction() as connection:
            tables.metadata.create_all(connection)
        found = self.values().get("version", VERSION)
        if found != VERSION:
            raise StoreError(f"{self._name} was written by another version ({found}) of Commonwatt.")

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Whatever the database reports becomes one sentence."""
        if self._gone:
            raise StoreError("The run is closed, and with it what was in memory; read its figures before.")
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if "locked" in str(cause):
                raise StoreError(in_use(self._name, self._path)) from error
            raise StoreError(f"{self._name} cannot be used as an exchange's store: {cause}.") from error

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All or nothing."""
        with self._usable(), self._engine.begin() as connection:
            yield connection

    def values(self) -> dict[str, str]:
        """What the run is about: key and value."""
        with self._usable(), self._engine.connect() as connection:
            return {row.key: row.value for row in connection.execute(select(tables.run))}

    def rows(self, table: Table, **equal: int) -> list[Any]:
        """Rows of a table in the order of its key, where the named columns have these values."""
        query = select(table).order_by(*table.primary_key.columns)
        for column, value in equal.items():
            query = query.where(table.c[column] == value)
        with self._usable(), self._engine.connect() as connection:
            return list(connection.execute(query))

    def columns(
        self, table: Table, names: Sequence[str], slots: Slots | None = None, **equal: int
    ) -> list[tuple[Any, ...]]:
        """These columns of all rows, or of those of some slots, or where named columns have these values, in the order
        of the key."""
        wanted = ", ".join(f'"{name}"' for name in names)
        keys = ", ".join(f'"{key.name}"' for key in table.primary_key.columns)
        where = " AND ".join(["1", *(f'"{name}" = ?' for name in equal), *(["slot >= ? AND slot < ?"] * bool(slots))])
        query = f'SELECT {wanted} FROM "{table.name}" WHERE {where} ORDER BY {keys}'  # noqa: S608
        return self._tuples(query, [*equal.values(), *((slots.start, slots.end) if slots else ())])

    def last(self, table: Table, names: Sequence[str], slots: Slots) -> list[tuple[Any, ...]]:
        """These columns of a table that is kept by slot and revision: of each settled slot, its last revision's."""
        wanted = ", ".join(f'"{table.name}"."{name}"' for name in names)
        keys = ", ".join(f'"{table.name}"."{key.name}"' for key in table.primary_key.columns)
        query = (
            f'SELECT {wanted} FROM settled JOIN "{table.name}" '  # noqa: S608
            f'ON settled.slot = "{table.name}".slot AND settled.revision = "{table.name}".revision '
            f"WHERE settled.slot >= ? AND settled.slot < ? ORDER BY {keys}"
        )
        return self._tuples(query, (slots.start, slots.end))

    def most(self, table: Table, column: str) -> int | None:
        """The largest value of a column; None where there is no row."""
        with self._usable(), self._engine.connect() as connection:
            found: int | None = connection.execute(select(func.max(table.c[column]))).scalar_one()
            return found

    def ask(self, query: Select[Any]) -> list[Any]:
        """The rows that a query finds."""
        with self._usable(), self._engine.connect() as connection:
            return list(connection.execute(query))

    def _tuples(self, query: str, values: Sequence[int] = ()) -> list[tuple[Any, ...]]:
        """The rows as the driver has them; SQLAlchemy would copy each."""
        with self._usable(), self._engine.connect() as connection:
            rows: list[tuple[Any, ...]] = cast("Any", connection.connection).execute(query, values).fetchall()
            return rows

    def let_go(self) -> None:
        """Read the whole file into memory and release it; what is written after that, is written there alone."""
        if self._path is None:
            return
        memory = _engine(None)
        with self._usable(), self._engine.connect() as file, memory.connect() as copy:
            cast("Any", file.connection.driver_connection).backup(copy.connection.driver_connection)
        self.close()
        self._engine, self._path = memory, None

    def close(self) -> None:
        """Release the file, or the memory, and with it what was there."""
        self._engine.dispose()
        if self._path:
            _open_here.discard((os.getpid(), self._path))
        self._gone = self._path is None


def in_use(name: str, path: Path | None) -> str:
    """What to say of a file that cannot be used because somebody has it open."""
    if path and (os.getpid(), path.resolve()) in _open_here:
        return f"{name} is open in this process; close what has it open, such as an earlier run, first."
    return f"{name} is open in another process, which must stop first."


def _engine(path: Path | None) -> Engine:
    """One connection to the file, or to a database in memory."""
    url = f"sqlite:///{path}" if path else "sqlite://"
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False, "timeout": 1})
    event.listen(engine, "connect", _configure)
    return engine


def set_values(connection: Connection, values: Mapping[str, str]) -> None:
    """Write what the run is about; a key that is there already gets the new value."""
    for key, value in values.items():
        connection.execute(insert(tables.run).prefix_with("OR REPLACE"), {"key": key, "value": value})


def add(connection: Connection, table: Table, rows: Iterable[Sequence[object]]) -> None:
    """Insert rows given in the order of the table's columns; a key that is there already is an error."""
    rows = list(rows)
    if rows:
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        marks = ", ".join("?" * len(table.columns))
        statement = f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})'  # noqa: S608
        connection.exec_driver_sql(statement, [tuple(row) for row in rows])


def put(connection: Connection, table: Table, row: Sequence[object]) -> None:
    """Write a row, in the order of the table's columns, in place of the one with its key."""
    marks = ", ".join("?" * len(row))
    connection.exec_driver_sql(f'INSERT OR REPLACE INTO "{table.name}" VALUES ({marks})', tuple(row))  # noqa: S608


def drop(connection: Connection, table: Table, **equal: int) -> None:
    """Delete the rows in which the named columns have these values."""
    connection.execute(table.delete().where(*(table.c[column] == value for column, value in equal.items())))


def following(connection: Connection, table: Table, column: str) -> int:
    """One more than the largest value of a column; 0 for the first."""
    last = connection.execute(select(func.max(table.c[column]))).scalar_one()
    return 0 if last is None else int(last) + 1


def note(connection: Connection, time: int, entries: Sequence[tuple[str, Mapping[str, object]]]) -> None:
    """Append what was done at `time` [unix s] to the journal."""
    first = following(connection, tables.journal, "number")
    lines = [(first + place, time, what, json.dumps(dict(detail))) for place, (what, detail) in enumerate(entries)]
    add(connection, tables.journal, lines)


def arrays(rows: Sequence[Sequence[int]], names: Sequence[str], members: int, slots: Slots) -> dict[str, IntArray]:
    """Rows of (slot, member, value of each name), as arrays of shape (members, slots); 0 where there is no row."""
    found = np.array(rows, dtype=np.int64).reshape(-1, 2 + len(names)).T
    place, whole = (
        (found[0] - slots.start) // slots.seconds,
        np.zeros((len(names), members, slots.count), dtype=np.int64),
    )
    whole[:, found[1], place] = found[2:]
    return dict(zip(names, whole, strict=True))


def blobs(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> dict[str, IntArray]:
    """Rows whose values hold an array of int64 each, side by side: each name's shape (values, rows)."""
    return {
        name: np.stack([np.frombuffer(row[place], dtype=np.int64) for row in rows], axis=1)
        for place, name in enumerate(names)
    }


def _configure(connection: Any, _: object) -> None:
    # EXCLUSIVE, before the first access: two processes must not work on one run. A killed process lets go of the lock.
    # FULL: what the ledger is told must never be lost from this file, even when the power fails.
    for pragma in ("locking_mode=EXCLUSIVE", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
