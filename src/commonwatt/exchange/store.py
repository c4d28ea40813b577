"""The exchange's own store.

SQLAlchemy Core on SQLite or PostgreSQL. Everything that one event of the market day produces is written in one
transaction, before the ledger is told; whichever of store and chain is ahead after a crash, (slot, revision) reconciles
them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, Table, func, inspect, select

from commonwatt.community.calendar import Slots
from commonwatt.errors import StoreError
from commonwatt.exchange import tables
from commonwatt.exchange.database import Memory, opened
from commonwatt.exchange.statements import copying, insertion, selection, selection_of_last
from commonwatt.units import IntArray

VERSION: Final = "9"


class Store:
    """What the exchange keeps: in the file `target`, on the server postgresql://…, or in memory when it is None.

    One process writes to it, and its threads may read what was committed. With `read_only` any other process reads
    that too, beside the one that writes.

    Every method raises StoreError when this is no store, of another version, in use, damaged, out of reach, or when it
    cannot be written.
    """

    def __init__(self, target: Path | str | None, *, read_only: bool = False) -> None:
        self._closed = self._gone = False
        self._database = opened(target, read_only=read_only)
        try:
            with self._usable():
                self._database.prepare()
            found = self.values().get("version", VERSION)
            if found != VERSION:
                raise StoreError(f"{self._database.name} was written by another version ({found}) of Commonwatt.")
        except BaseException:
            self._database.close()
            raise

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Whatever the database reports becomes one sentence."""
        if self._gone:
            raise StoreError("The run is closed, and with it what was in memory; read its figures before.")
        try:
            yield
        except self._database.failures as error:
            raise self._database.explain(error) from error

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All or nothing. One at a time: threads wait for each other."""
        writes = self._database.writes
        if writes is None:
            raise StoreError(f"{self._database.name} is open for reading only.")
        if self._closed:
            raise StoreError(f"{self._database.name} was closed here; open it again before you write to it.")
        with self._usable(), writes.begin() as connection:
            yield connection

    def require_session(self) -> None:
        """Raise StoreError where nothing can be written any more before the store is opened again."""
        with self._usable():
            self._database.require_session()

    def values(self) -> dict[str, str]:
        """What the run is about: key and value."""
        with self._reading() as connection:
            return {row.key: row.value for row in connection.execute(select(tables.run))}

    def rows(self, table: Table, **equal: int) -> list[Any]:
        """Rows of a table in the order of its key, where the named columns have these values."""
        query = select(table).where(*_are(table, equal)).order_by(*table.primary_key.columns)
        with self._reading() as connection:
            return list(connection.execute(query))

    def columns(
        self, table: Table, names: Sequence[str], slots: Slots | None = None, **equal: int
    ) -> list[tuple[Any, ...]]:
        """These columns of all rows, or of those of some slots, or where named columns have these values, in the order
        of the key."""
        values = (*map(int, equal.values()), *(_ends(slots) if slots else ()))
        with self._reading() as connection:
            query = selection(table, tuple(names), tuple(equal), connection.dialect.name, within=slots is not None)
            return _tuples(connection, query, values)

    def last(self, table: Table, names: Sequence[str], slots: Slots, **either: int) -> list[tuple[Any, ...]]:
        """These columns of a table that is kept by slot and revision: of each settled slot, its last revision's, all
        rows or those in which one of the columns `either` has its value."""
        with self._reading() as connection:
            query = selection_of_last(table, tuple(names), tuple(either), connection.dialect.name)
            return _tuples(connection, query, (*_ends(slots), *map(int, either.values())))

    def most(self, table: Table, column: str) -> int | None:
        """The largest value of a column; None where there is no row."""
        with self._reading() as connection:
            found: int | None = connection.execute(select(func.max(table.c[column]))).scalar_one()
            return found

    def has(self, table: Table) -> bool:
        """Whether the table is there; one that an earlier version wrote, and that is only read, may be without it."""
        with self._reading() as connection:
            return inspect(connection).has_table(table.name)

    def ask(self, query: Select[Any]) -> list[Any]:
        """The rows that a query finds."""
        with self._reading() as connection:
            return list(connection.execute(query))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._usable(), self._database.reads.connect() as connection:
            yield connection

    def let_go(self) -> None:
        """Read everything into memory and release where it was; what is written after that, is written there alone."""
        with self._usable():
            memory = self._database.into_memory()
        if memory is not self._database:
            self._database.close()
            self._database = memory

    def close(self) -> None:
        """Release the file or the server, which can still be read then, or the memory, with what was there."""
        self._database.close()
        self._closed, self._gone = True, isinstance(self._database, Memory)


def set_values(connection: Connection, values: Mapping[str, str]) -> None:
    """Write what the run is about; a key that is there already gets the new value."""
    for row in values.items():
        put(connection, tables.run, row)


def add(connection: Connection, table: Table, rows: Iterable[Sequence[object]]) -> None:
    """Insert rows given in the order of the table's columns; a key that is there already is an error."""
    given = [tuple(row) for row in rows]
    if not given:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(insertion(table, "sqlite"), given)
        return
    # A server takes rows one by one at seven times the price.
    with _driver(connection).cursor().copy(copying(table)) as copy:
        for row in given:
            copy.write_row(row)


def put(connection: Connection, table: Table, row: Sequence[object]) -> None:
    """Write a row, in the order of the table's columns, in place of the one with its key."""
    put_all(connection, table, [row])


def put_all(connection: Connection, table: Table, rows: Iterable[Sequence[object]]) -> None:
    """The same for rows that have different keys."""
    if given := [tuple(row) for row in rows]:
        connection.exec_driver_sql(insertion(table, connection.dialect.name, replacing=True), given)


def drop(connection: Connection, table: Table, **equal: int) -> None:
    """Delete the rows in which the named columns have these values."""
    connection.execute(table.delete().where(*_are(table, equal)))


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


def _ends(slots: Slots) -> tuple[int, int]:
    return int(slots.start), int(slots.end)


def _are(table: Table, equal: Mapping[str, int]) -> Iterator[ColumnElement[bool]]:
    # As integers: no column is boolean, and a server does not compare the two.
    return (table.c[column] == int(value) for column, value in equal.items())


def _tuples(connection: Connection, query: str, values: tuple[int, ...]) -> list[tuple[Any, ...]]:
    """The rows as the driver has them; SQLAlchemy would copy each."""
    rows: list[tuple[Any, ...]] = _driver(connection).execute(query, values).fetchall()
    return rows


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
