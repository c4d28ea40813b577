"""What only a server does to a store: it asks for passwords, holds others' tables, goes away and comes back."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from exchange_cases import START, all_rows, begin, short_days, written
from services import Postgres

from commonwatt.errors import StoreError
from commonwatt.exchange import tables
from commonwatt.exchange.checking import load
from commonwatt.exchange.store import Store, put
from commonwatt.simulation.simulation import Simulation


@pytest.fixture
def own() -> Iterator[Postgres]:
    """A server that no other test has, to be killed."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def rows_of(server: Postgres, database: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, by table, with the values that `all_rows` has of a file."""
    names = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database)
    return {str(name): server.execute(f'SELECT * FROM "{name}" ORDER BY 1, 2', database) for (name,) in names}  # noqa: S608


def on_server(monkeypatch: pytest.MonkeyPatch, url: str, folder: Path, ledger: str) -> Simulation:
    """A run that keeps its chain in memory, where it has one, and its store on the server."""
    monkeypatch.setattr("commonwatt.simulation.simulation.Store", lambda _: Store(url))
    return Simulation(load(written(folder)), folder, date.fromisoformat(START), 1, ledger=ledger)


def test_a_day_on_a_server_leaves_the_rows_that_it_leaves_in_a_file(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with short_days():
        filed = begin(tmp_path)
        filed.run()
        filed.close()
        database = postgres.new()
        served = on_server(monkeypatch, postgres.url(database), tmp_path, "embedded")
        served.run()
        served.close()
    found, expected = rows_of(postgres, database), all_rows(tmp_path / "out")
    assert found.keys() == expected.keys()
    assert sum(map(len, found.values())) > 200
    for name, rows in expected.items():
        assert sorted(found[name]) == sorted(rows), name


def test_a_run_on_a_server_goes_on_where_it_ended(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole, parted = postgres.new(), postgres.new()
    with short_days():
        at_once = on_server(monkeypatch, postgres.url(whole), tmp_path, "none")
        at_once.run()
        at_once.close()
        while True:
            run = on_server(monkeypatch, postgres.url(parted), tmp_path, "none")
            if not (run.advance() and run.advance()):
                break
            run.close()
        run.run()
        run.close()
    assert rows_of(postgres, parted) == rows_of(postgres, whole)


def test_a_password_is_asked_for_and_never_told(postgres: Postgres) -> None:
    database = postgres.new()
    Store(postgres.url(database, "guarded", "hush")).close()
    for address in (
        postgres.url(database, "guarded", "hush-hush"),
        f"{postgres.url(database, 'guarded')}&password=hush-hush",
        postgres.url("none", "guarded", "hush-hush"),
    ):
        for read_only in (False, True):
            with pytest.raises(StoreError) as refused:
                Store(address, read_only=read_only)
            assert str(refused.value).startswith("postgresql://guarded@/")
            assert "password authentication failed" in str(refused.value)
            assert "hush" not in str(refused.value)
            assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "mysql://me:hush@here/store",
        "postgresql://me:hush@here:port/store",
        "://hush",
        "sqlite:///hush.sqlite",
        "http://hush",
    ],
)
def test_an_address_that_is_none_is_told_without_what_may_be_a_password(address: str) -> None:
    with pytest.raises(StoreError, match=r"reads postgresql://USER:PASSWORD@HOST/DATABASE") as refused:
        Store(address)
    assert "hush" not in str(refused.value)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"postgresql:///store cannot be used as an exchange's store: .*No such file"):
        Store(f"postgresql:///store?host={tmp_path}")


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r'pip install "commonwatt\[live\]"'):
        Store("postgresql:///store")


@pytest.mark.parametrize(
    "made", ["CREATE TABLE bookmarks (address text, title text)", "CREATE TABLE run (id integer, name text)"]
)
def test_a_database_of_somebody_else_is_refused_and_left_as_it_is(postgres: Postgres, made: str) -> None:
    database = postgres.new()
    postgres.execute(made, database)
    before = rows_of(postgres, database)
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"is not an exchange's store\.$"):
            Store(postgres.url(database), read_only=read_only)
    assert rows_of(postgres, database) == before


def test_each_schema_has_its_own_store_and_its_own_writer(postgres: Postgres) -> None:
    database = postgres.new()
    stores = []
    for number, name in enumerate(("north", "south")):
        postgres.execute(f"CREATE SCHEMA {name}", database)
        store = Store(f"{postgres.url(database)}&options=-csearch_path%3D{name}")
        with store.transaction() as connection:
            put(connection, tables.settled, (0, number))
        stores.append(store)
    assert [store.columns(tables.settled, ("revision",)) for store in stores] == [[(0,)], [(1,)]]
    for store in stores:
        store.close()


def test_when_the_server_goes_away_readers_find_it_again_and_the_writer_opens_anew(own: Postgres) -> None:
    url = own.url(own.new())
    writer, reader = Store(url), Store(url, read_only=True)
    writer.require_session()
    with writer.transaction() as connection:
        put(connection, tables.settled, (0, 1))
    assert reader.columns(tables.settled, ("revision",)) == [(1,)]

    def cut_off() -> None:
        with writer.transaction() as connection:
            put(connection, tables.settled, (0, 2))
            own.kill()

    with pytest.raises(StoreError, match=r"postgresql://postgres@/store1 cannot be used"):
        cut_off()
    for store in (reader, writer):
        with pytest.raises(StoreError, match=r"^postgresql://postgres@/store1 cannot be used as an [^?\n]*\.$"):
            store.columns(tables.settled, ("revision",))
    own.start()
    reader.require_session()
    with pytest.raises(StoreError, match="has ended; open the store again"):
        writer.require_session()
    assert reader.columns(tables.settled, ("revision",)) == writer.columns(tables.settled, ("revision",)) == [(1,)]
    # Another process may have written meanwhile.
    ended = "The session that wrote to postgresql://postgres@/store1 has ended; open the store again."
    with pytest.raises(StoreError, match=re.escape(ended)), writer.transaction():
        raise AssertionError
    writer.close()
    again = Store(url)
    with again.transaction() as connection:
        put(connection, tables.settled, (0, 2))
    assert reader.columns(tables.settled, ("revision",)) == [(2,)]
    again.close()
    reader.close()
