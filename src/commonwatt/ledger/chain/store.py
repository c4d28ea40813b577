"""Bytes to bytes in one SQLite file, whole batches at a time.

Between two batches the writer keeps SQLite's write lock. That is what refuses a second writer, in any process
and on any system, and what a killed process cannot leave behind; readers are not hindered (WAL).
A killed process loses nothing that `commit` returned for. A power cut may lose the last batches, but
never part of one (SQLite, `synchronous=NORMAL`), unless the store is told to be durable.
"""

from __future__ import annotations

import os
import sqlite3
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.trie import KEPT, Nodes
from commonwatt.proof.keccak import keccak

# Marks the file as a chain of ours (PRAGMA application_id, "CWcn").
_APPLICATION = 0x4357636E
_HASH_LENGTH = 32
# Entries beside the tries' nodes: headers of 600 bytes, codes of 24 KiB at most.
_CACHED = 1 << 12


class Store:
    """A key-value file.

    A 32-byte key is the keccak hash of its value, as in Ethereum's tries; each such value is checked when
    it is read from the file, so damage is noticed and never computed with.

    `durable` keeps a committed batch through a power cut too, at the price of waiting for the disk each time.
    `kept` is how many nodes of tries stay decoded in memory, 0.5 kB each or so.

    Raises LedgerError when the file is missing, foreign, damaged, or open for writing elsewhere.
    """

    def __init__(self, path: Path | None, *, read_only: bool = False, durable: bool = False, kept: int = KEPT) -> None:
        self._name = str(path) if path else "the chain in memory"
        self.read_only = read_only
        self._durable = durable
        self._version = 0
        self._pending: dict[bytes, bytes | None] = {}
        self._cache: OrderedDict[bytes, bytes] = OrderedDict()
        self.nodes = Nodes(self._node, kept)
        """The nodes of all tries in the file, decoded."""
        if path is not None and read_only and not path.is_file():
            raise LedgerError(f"There is no chain at {path}.")
        try:
            self._file = _connect(path, read_only=read_only)
            try:
                self._prepare()
            except BaseException:
                self._file.close()
                raise
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        if key in self._pending:
            return self._pending[key]
        value = self._cache.get(key)
        if value is not None:
            self._cache.move_to_end(key)
            return value
        value = self._read(key)
        if value is not None and len(key) == _HASH_LENGTH:
            self._cache[key] = value
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return value

    def _node(self, key: bytes) -> bytes | None:
        return self._pending[key] if key in self._pending else self._read(key)

    def _read(self, key: bytes) -> bytes | None:
        """A value of the file."""
        try:
            row = self._file.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._explain(error) from error
        if row is None:
            return None
        if len(key) == _HASH_LENGTH and keccak(row[0]) != key:
            raise LedgerError(f"{self._name} is damaged: entry {key.hex()} does not have its hash.")
        return bytes(row[0])

    def keys(self, prefix: bytes) -> list[bytes]:
        """Keys of the file that begin with `prefix`, as of the last commit."""
        return [key for (key,) in self._within("SELECT key FROM entries WHERE key >= ? AND key < ?", prefix)]

    def count(self, prefix: bytes) -> int:
        """How many keys of the file begin with `prefix`, as of the last commit."""
        ((count,),) = self._within("SELECT count(*) FROM entries WHERE key >= ? AND key < ?", prefix)
        return int(count)

    def _within(self, statement: str, prefix: bytes) -> list[tuple[Any]]:
        try:
            return self._file.execute(statement, (prefix, prefix[:-1] + bytes([prefix[-1] + 1]))).fetchall()
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set a value, or remove it with None; seen at once, kept with the next `commit`."""
        self._pending[key] = value

    def commit(self) -> None:
        """Write everything that was put since the last commit, or nothing of it.

        Raises LedgerError when the file cannot be written (disk full, say); the batch is then dropped.
        """
        if self.read_only:
            raise LedgerError(f"{self._name} is open for reading only.")
        pending, self._pending = self._pending, {}
        removed = [(key,) for key, value in pending.items() if value is None]
        given = [(key, value) for key, value in pending.items() if value is not None]
        try:
            if not self._file.in_transaction:  # an earlier commit failed and gave the lock back
                self._lock()
            self._file.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", given)
            self._file.executemany("DELETE FROM entries WHERE key = ?", removed)
            self._file.execute("COMMIT")
            self._lock()
        except sqlite3.Error as error:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            raise self._explain(error) from error

    def discard(self) -> None:
        """Forget what was put since the last commit."""
        self._pending.clear()

    def hold(self) -> None:
        """Let a reader see the file as it is now until it is closed, whatever the writer does meanwhile."""
        try:
            self._file.execute("BEGIN")
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def take(self) -> dict[bytes, bytes | None]:
        """What was put since the last commit; the store forgets it. Who wants it kept puts it again."""
        pending, self._pending = self._pending, {}
        return pending

    def let_go(self) -> None:
        """Read the whole file into memory and let go of it; what is not committed is lost."""
        self._pending.clear()
        memory = _open(":memory:")
        try:
            if self._file.in_transaction:  # the writer's, with nothing in it
                self._file.execute("ROLLBACK")
            self._file.backup(memory)
        except sqlite3.Error as error:
            memory.close()
            raise self._explain(error) from error
        self._file.close()
        self._file, self._version = memory, 0
        if not self.read_only:
            self._lock()

    def close(self) -> None:
        """Let go of the file; what is not committed is lost."""
        self._pending.clear()
        self._file.close()

    def _prepare(self) -> None:
        (application,) = self._file.execute("PRAGMA application_id").fetchone()
        empty = not self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != _APPLICATION and not (empty and application == 0 and not self.read_only):
            raise LedgerError(f"{self._name} is not a chain of Commonwatt.")
        if self.read_only:
            return
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
        self._lock()
        self._file.execute(f"PRAGMA application_id = {_APPLICATION}")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
        )

    def _lock(self) -> None:
        """Take the write lock again; refuses for good once somebody else has written in the moment between."""
        self._file.execute("BEGIN IMMEDIATE")
        (version,) = self._file.execute("PRAGMA data_version").fetchone()
        if version != (self._version or version):
            self._file.execute("ROLLBACK")
            raise LedgerError(f"{self._name} was changed by another process; open it again.")
        self._version = version

    def _explain(self, error: sqlite3.Error) -> LedgerError:
        if "locked" in str(error):
            return LedgerError(f"{self._name} is open in another process, which must stop first.")
        return LedgerError(f"{self._name} cannot be used as a chain: {error}.")


def _connect(path: Path | None, *, read_only: bool) -> sqlite3.Connection:
    if path is None:
        return _open(":memory:")
    name = path.absolute().as_uri()
    if not read_only:
        with suppress(OSError):  # SQLite says it better
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # balances are nobody else's business
        return _open(f"{name}?mode=rwc")
    reader = _open(f"{name}?mode=ro")
    log = path.with_name(f"{path.name}-wal")
    try:
        reader.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        # Even a reader of a log writes beside the file, unless it is told that nobody can. Where nothing can be
        # written that is so, and without a log the file is complete.
        reader.close()
        if log.exists() and log.stat().st_size:
            raise
        return _open(f"{name}?mode=ro&immutable=1")
    return reader


def _open(uri: str) -> sqlite3.Connection:
    # timeout 0: the writer never lets go of the lock for others, so waiting for it is pointless.
    # Any thread may use the connection, one at a time.
    return sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
