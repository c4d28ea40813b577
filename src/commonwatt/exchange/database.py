"""Where a store is: in memory, in an SQLite file or on a PostgreSQL server, and how each is opened, for the one who
writes and for any number of readers beside.

Whoever writes holds a lock for as long as the database is open, and writes through one connection. A process that is
killed lets go of it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from commonwatt.errors import StoreError
from commonwatt.exchange import tables
from commonwatt.exchange.files import lock

# Marks a file as a store of ours (PRAGMA application_id, "CWex"), and on a server the lock as that of a store.
_APPLICATION: Final = 0x43576578
_WAIT: Final = 1.0
"""How long one waits for a store that somebody else is just writing to [s]."""
_PAUSE: Final = 0.05

_open_here: set[tuple[int, str]] = set()
"""What stores of this process write to, by the process: a forked one inherits what is no longer true of it."""


class Database(ABC):
    """What all of them have.

    name : for sentences, without a password
    reads : each of its connections sees what was committed; writes : has one connection; None where one only reads
    failures : the errors in which it reports something
    """

    name: str
    reads: Engine
    writes: Engine | None = None
    failures: tuple[type[Exception], ...] = (SQLAlchemyError, sqlite3.Error)

    def prepare(self) -> None:
        """Make the tables that are missing. Raises StoreError when what is there is no store of ours."""
        if self.writes:
            with self.writes.begin() as connection:
                self._refuse_another(connection)
                tables.metadata.create_all(connection)
        else:
            with self.reads.connect() as connection:
                self._refuse_another(connection)

    @abstractmethod
    def _refuse_another(self, connection: Connection) -> None:
        """Raise StoreError when what is there is no store of ours."""

    def require_session(self) -> None:  # noqa: B027 (only a server has any)
        """Raise an error where what writes to it has ended, so that it has to be opened again."""

    @abstractmethod
    def into_memory(self) -> Memory:
        """All that is here now, in memory."""

    def explain(self, error: Exception) -> StoreError:
        """What the database reports, as one sentence."""
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        said = " ".join(str(cause).partition("\n")[0].split()).rstrip(".")  # what follows are hints
        return StoreError(f"{self.name} cannot be used as an exchange's store: {said}.")

    def close(self) -> None:
        """Release it, and who writes last of all: SQLite then puts the log back into the file."""
        self.reads.dispose()
        if self.writes:
            self.writes.dispose()


class Memory(Database):
    """In memory: one connection for all, which threads use in turn."""

    name = "the store in memory"

    def __init__(self) -> None:
        self.reads = self.writes = _writing(":memory:", _configure)

    def _refuse_another(self, connection: Connection) -> None:
        """What is in memory is ours."""

    def into_memory(self) -> Memory:
        return self


class File(Database):
    """An SQLite file with a log beside it (WAL): readers see what was committed, and hinder nobody."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.name, self._path = str(path), path.resolve()
        self._lock: sqlite3.Connection | None = None
        if read_only:
            if not path.is_file():
                raise StoreError(f"There is no store at {path}.")
        else:
            self._lock = lock(lock_of(self._path), _WAIT)
            if self._lock is None:
                raise StoreError(in_use(self.name, self._path))
            _open_here.add((os.getpid(), str(self._path)))
            self.writes = _writing(str(self._path), self._begin)
        self.reads = create_engine(
            "sqlite://", creator=self._connect_to_read, poolclass=QueuePool, max_overflow=-1,
            isolation_level="AUTOCOMMIT", hide_parameters=True,
        )  # fmt: skip

    def _connect_to_read(self) -> sqlite3.Connection:
        address = f"{self._path.as_uri()}?mode=ro"
        return sqlite3.connect(address, uri=True, timeout=_WAIT, check_same_thread=False)

    def _begin(self, connection: sqlite3.Connection) -> None:
        empty = _is_empty(connection)
        if not empty and not _is_ours(connection):
            raise StoreError(f"{self.name} is not an exchange's store.")
        connection.execute("PRAGMA journal_mode=WAL")
        if empty:
            # Before the first table: a process killed among the tables leaves a store and not a stranger's file.
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        _configure(connection)

    def _refuse_another(self, connection: Connection) -> None:
        if not _is_ours(_driver(connection)):
            raise StoreError(f"{self.name} is not an exchange's store.")

    def into_memory(self) -> Memory:
        memory = Memory()
        with self.reads.connect() as here, memory.reads.connect() as copy:
            _driver(here).backup(_driver(copy))
        return memory

    def explain(self, error: Exception) -> StoreError:
        cause = error.orig if isinstance(error, DBAPIError) else error
        return StoreError(in_use(self.name, self._path)) if "locked" in str(cause) else super().explain(error)

    def close(self) -> None:
        super().close()
        if self._lock:
            self._lock.close()
            self._lock = None
            _open_here.discard((os.getpid(), str(self._path)))


class Server(Database):
    """A PostgreSQL database, or the schema of it that the address names as its search path.

    The session that writes holds the lock, so what is written is always written under it. When that session is lost,
    another process may have written since: it is not replaced, and the store has to be opened again.
    """

    def __init__(self, address: str, *, read_only: bool) -> None:
        url = _understood(address)
        self.name = str(URL.create("postgresql", url.username, None, url.host, url.port, url.database))
        passwords = (url.password, *url.normalized_query.get("password", ()))
        self._secrets = [str(secret) for secret in passwords if secret]
        self._begun = self._holds = False
        # Readers notice a server that was started anew before they ask it.
        self.reads = _server(url, self._begin_to_read, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
        self.failures = (SQLAlchemyError, self.reads.dialect.loaded_dbapi.Error)
        if not read_only:
            self.writes = _server(url, self._begin_to_write, pool_size=1, max_overflow=0)

    def _begin_to_read(self, connection: Any) -> None:
        connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")

    def _begin_to_write(self, connection: Any) -> None:
        if self._begun:
            raise StoreError(f"The session that wrote to {self.name} has ended; open the store again.")
        _adapt(connection)
        # What the ledger is told must never be lost; and the session lasts, however long nothing happens.
        connection.execute("SET synchronous_commit = on")
        connection.execute("SET idle_session_timeout = 0")
        question = "SELECT pg_try_advisory_lock(%s, current_schema()::regnamespace::oid::integer)"
        deadline = time.monotonic() + _WAIT  # a process that was killed is let go of a moment later
        while connection.execute(question, (_APPLICATION,)).fetchone() == (False,):
            if time.monotonic() > deadline:
                raise StoreError(in_use(self.name, self.name))
            time.sleep(_PAUSE)
        self._begun = self._holds = True
        _open_here.add((os.getpid(), self.name))

    def require_session(self) -> None:
        if self.writes:
            with self.writes.connect() as connection:
                connection.exec_driver_sql("SELECT 1")

    def _refuse_another(self, connection: Connection) -> None:
        found = inspect(connection)
        names = found.get_table_names()
        run = {column["name"] for column in found.get_columns("run")} if "run" in names else set()
        if run != set(tables.run.columns.keys()) and (names or not self.writes):
            raise StoreError(f"{self.name} is not an exchange's store.")

    def into_memory(self) -> Memory:
        memory, found = Memory(), MetaData()
        with self.reads.connect() as here, memory.reads.begin() as copy:
            found.reflect(here)
            for table in found.sorted_tables:
                for column in table.columns:
                    column.type = column.type.as_generic()
                table.create(copy)
                if rows := [dict(row) for row in here.execute(table.select()).mappings()]:
                    copy.execute(table.insert(), rows)
        return memory

    def explain(self, error: Exception) -> StoreError:
        said = str(super().explain(error))
        for secret in self._secrets:
            said = said.replace(secret, "***")
        return StoreError(said)

    def close(self) -> None:
        super().close()
        if self._holds:
            self._holds = False
            _open_here.discard((os.getpid(), self.name))


def opened(target: Path | str | None, *, read_only: bool) -> Database:
    """The database: None = in memory, postgresql://… = on a server, else a file.

    Raises StoreError when somebody else writes to it, and when there is none to read.
    """
    if target is None:
        return Memory()
    if isinstance(target, str) and "://" in target:
        return Server(target, read_only=read_only)
    try:
        return File(Path(target), read_only=read_only)
    except OSError as error:
        raise StoreError(f"{target} cannot be used as an exchange's store: {error.strerror}.") from None


def lock_of(file: Path) -> Path:
    """The lock that whoever writes to the file holds."""
    return file.with_name(f"{file.name}.lock")


def in_use(name: str, place: Path | str) -> str:
    """What to say of a file or a server that cannot be used because somebody writes to it."""
    resolved = str(place.resolve()) if isinstance(place, Path) else place
    if (os.getpid(), resolved) in _open_here:
        return f"{name} is open in this process; close what has it open, such as an earlier run, first."
    return f"{name} is open in another process, which must stop first."


def _writing(file: str, begin: Callable[[sqlite3.Connection], None]) -> Engine:
    """One connection to SQLite, whose transactions include the making of tables."""
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(file, timeout=_WAIT, check_same_thread=False),
        poolclass=QueuePool, pool_size=1, max_overflow=0, hide_parameters=True,
    )  # fmt: skip
    _on_connect(engine, begin)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _on_connect(engine: Engine, begin: Callable[[Any], None]) -> None:
    """Begin each connection so; one that cannot begin is closed."""

    def connected(connection: Any, _: object) -> None:
        try:
            begin(connection)
        except BaseException:
            connection.close()
            raise

    event.listen(engine, "connect", connected)


def _configure(connection: sqlite3.Connection) -> None:
    # Transactions begin where SQLAlchemy begins them; the driver would begin at the first row.
    connection.isolation_level = None
    # FULL: what the ledger is told must never be lost from this file, even when the power fails.
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _is_empty(connection: sqlite3.Connection) -> bool:
    (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    return not count and not application


def _is_ours(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA application_id").fetchone() == (_APPLICATION,))


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def _understood(address: str) -> URL:
    """The address of a server. Raises StoreError, without the address, which may hold a password."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername != "postgresql":
        raise StoreError(
            "A store is a file, or on a server whose address reads postgresql://USER:PASSWORD@HOST/DATABASE, with %40 "
            "for @ in a password."
        )
    return url.set(drivername="postgresql+psycopg")


def _server(url: URL, begin: Callable[[Any], None], **options: Any) -> Engine:
    """Connections to PostgreSQL, each begun so."""
    try:
        engine = create_engine(url, paramstyle="format", hide_parameters=True, **options)
    except ModuleNotFoundError:
        raise StoreError(
            'A store on a server needs a further package; install it with: pip install "commonwatt[live]"'
        ) from None

    def begun(connection: Any) -> None:
        begin(connection)
        connection.commit()

    _on_connect(engine, begun)
    return engine


def _adapt(connection: Any) -> None:
    """What is true is 1 in a column of integers, as in SQLite; no column of ours is boolean."""
    from psycopg import postgres
    from psycopg.adapt import Dumper

    class Truth(Dumper):
        oid = postgres.types["int8"].oid

        def dump(self, obj: bool) -> bytes:
            return b"1" if obj else b"0"

    connection.adapters.register_dumper(bool, Truth)
