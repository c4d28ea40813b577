"""What only a file does to a store: it is copied while it is in use, and found in the hands of others."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from commonwatt.errors import StoreError
from commonwatt.exchange import tables
from commonwatt.exchange.files import private
from commonwatt.exchange.folder import open_store
from commonwatt.exchange.store import Store, add, put


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a store?#%20 & more.sqlite"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    made = Store(file)
    yield made
    made.close()


def write(store: Store, number: int) -> None:
    with store.transaction() as connection:
        put(connection, tables.settled, (0, number))
        add(connection, tables.caps, [(number, bytes(5000))])


def vacuum(source: Path, copy: Path) -> None:
    with closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as database:
        database.execute("VACUUM INTO ?", (str(copy),))


def back_up(source: Path, copy: Path) -> None:
    with (
        closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as database,
        closing(sqlite3.connect(copy)) as to,
    ):
        database.backup(to, pages=1)


@pytest.mark.parametrize("copied", [vacuum, back_up])
def test_a_copy_that_is_made_between_and_in_transactions_has_whole_ones(
    store: Store, file: Path, tmp_path: Path, copied: Callable[[Path, Path], None]
) -> None:
    for number in range(20):
        write(store, number)
    copied(file, tmp_path / "between.sqlite")
    with store.transaction() as connection:
        put(connection, tables.settled, (0, 20))
        copied(file, tmp_path / "within.sqlite")
    write(store, 21)
    for name in ("between.sqlite", "within.sqlite"):
        copy = Store(tmp_path / name)
        assert copy.columns(tables.settled, ("revision",)) == [(19,)]
        assert len(copy.rows(tables.caps)) == 20
        write(copy, 22)
        copy.close()


def test_what_is_closed_is_one_file_and_a_lock(store: Store, file: Path) -> None:
    write(store, 1)
    reader = Store(file, read_only=True)
    assert reader.columns(tables.settled, ("revision",)) == [(1,)]
    reader.close()
    store.close()
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name, f"{file.name}.lock"]
    assert (file.parent / f"{file.name}.lock").stat().st_size == 0


def test_a_writer_that_closes_beside_a_reader_loses_nothing(store: Store, file: Path) -> None:
    write(store, 1)
    reader = Store(file, read_only=True)
    store.close()
    assert reader.columns(tables.settled, ("revision",)) == [(1,)]
    again = Store(file)
    write(again, 2)
    assert reader.columns(tables.settled, ("revision",)) == [(2,)]
    again.close()
    reader.close()


@pytest.mark.skipif(os.name != "posix", reason="files have no such modes here")
def test_only_their_owner_can_read_a_store_and_its_lock(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        store = open_store(tmp_path / "out", fresh=False)
        write(store, 1)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
        store.close()
    finally:
        os.umask(old)
    assert {"exchange.sqlite", "exchange.sqlite-wal", "exchange.sqlite.lock", "run.lock"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_look_at_a_file_from_the_same_process_does_not_lose_its_lock(store: Store, file: Path) -> None:
    """Closing any handle of a file drops a process's locks on it."""
    with pytest.raises(StoreError, match="is open in this process"):
        Store(file)
    private(file)
    child = os.fork()
    if not child:
        try:
            Store(file)
        except StoreError as error:
            os._exit(0 if "is open in another process" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_begun_run_is_not_dropped_while_it_is_open(tmp_path: Path) -> None:
    store = open_store(tmp_path / "out", fresh=False)
    write(store, 1)
    before = (tmp_path / "out" / "exchange.sqlite").stat().st_ino
    for fresh in (True, False):
        with pytest.raises(StoreError, match="is open in this process"):
            open_store(tmp_path / "out", fresh=fresh)
    assert (tmp_path / "out" / "exchange.sqlite").stat().st_ino == before
    store.close()
    anew = open_store(tmp_path / "out", fresh=True)
    assert anew.rows(tables.settled) == []
    anew.close()


def test_a_database_of_somebody_else_is_refused_and_left_as_it_is(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE bookmarks (address)")
    before = file.read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"is not an exchange's store\.$"):
            Store(file, read_only=read_only)
    assert file.read_bytes() == before


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be used as an exchange's store: No such file or directory\.$"):
        Store(tmp_path / "none" / "store.sqlite")


def test_a_store_that_is_read_only_is_never_made(file: Path) -> None:
    private(file)
    with pytest.raises(StoreError, match=r"is not an exchange's store\.$"):
        Store(file, read_only=True)
    assert file.stat().st_size == 0
    assert [path.name for path in file.parent.iterdir()] == [file.name]
