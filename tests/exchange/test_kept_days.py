"""Days that are over and done go out of the store into Parquet files: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from changing_cases import BILL_AFTER, DAY, MONTH, Changing
from enrolled_cases import HOUR

from commonwatt.errors import StoreError
from commonwatt.exchange import kept, tables
from commonwatt.exchange.kept import TABLES, keep_day, read
from commonwatt.exchange.store import Store

KEEP = 10 * DAY
Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two days that are billed and anchored."""
    found = Changing(tmp_path_factory.mktemp("billed"))
    found.change()
    found.run(found.end)
    found.bill(found.end + BILL_AFTER)
    found.close()
    return found.folder


@pytest.fixture
def old(billed: Path, tmp_path: Path) -> Iterator[Changing]:
    found = Changing(shutil.copytree(billed, tmp_path / "old"))
    yield found
    found.close()


def in_store(store: Store) -> Rows:
    return {table.name: [tuple(row) for row in store.rows(table)] for table in TABLES}


def in_files(folder: Path) -> Rows:
    return {table.name: sorted(read(folder, table.name, MONTH).rows()) for table in TABLES}


def test_a_day_goes_when_it_is_old_billed_and_past_corrections_and_is_read_back_whole(old: Changing) -> None:
    folder, before = old.folder / "kept", in_store(old.store)
    others = [table for table in tables.metadata.sorted_tables if table not in TABLES and table is not tables.run]
    stays = {table.name: [tuple(row) for row in old.store.rows(table)] for table in others}
    end = old.start + DAY
    assert not keep_day(old.exchange, folder, KEEP, end + KEEP - 1)
    # As long as something may be corrected nothing goes, however little is to be kept.
    assert not keep_day(old.exchange, folder, 0, end + old.rules.community.ledger.corrections - 1)
    assert keep_day(old.exchange, folder, KEEP, end + KEEP)
    assert not keep_day(old.exchange, folder, KEEP, end + KEEP)
    left = in_store(old.store)
    assert {row[0] for row in left["readings"]} == {*range(end, old.end, HOUR)}
    assert keep_day(old.exchange, folder, KEEP, old.end + KEEP)
    assert not keep_day(old.exchange, folder, KEEP, old.end + 10 * KEEP)
    assert {name: sorted(rows) for name, rows in before.items()} == in_files(folder)
    assert not any(in_store(old.store).values())
    assert stays == {table.name: [tuple(row) for row in old.store.rows(table)] for table in others}
    readings = read(folder, "readings", MONTH)
    assert readings.schema["signature"] == pl.Binary
    assert len(readings) > 200
    assert all(file.stat().st_mode & 0o077 == 0 for file in (folder / MONTH).iterdir())


def test_who_asks_for_what_was_taken_out_is_told_where_it_is(old: Changing) -> None:
    slot = old.start + 20 * HOUR
    assert old.exchange.recalled(slot, 0)
    keep_day(old.exchange, old.folder / "kept", KEEP, old.start + DAY + KEEP)
    for ask in (lambda: old.exchange.recalled(slot, 0), lambda: old.exchange.books.charges):
        with pytest.raises(StoreError, match="is in the files of 2026-06 among the exchange's kept months"):
            ask()
    assert old.exchange.recalled(old.start + DAY, 0)
    with pytest.raises(StoreError, match="no rows of 'readings'"):
        read(old.folder / "kept", "readings", "2026-07")


def test_the_exchange_opens_and_goes_on_without_them(old: Changing) -> None:
    balances = old.client.balances().tolist()
    while keep_day(old.exchange, old.folder / "kept", KEEP, old.end + KEEP):
        pass
    old.close()
    old.open()
    assert old.live.advance(old.end + KEEP) == []
    assert old.live.behind == old.live.trouble == ""
    assert not old.months.advance(old.end + KEEP)
    assert old.client.balances().tolist() == balances


class Killed(BaseException):
    """As when the process is gone."""


@pytest.mark.parametrize("files", [0, 3, len(TABLES)])
def test_who_is_killed_meanwhile_loses_nothing_and_doubles_nothing(
    old: Changing, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, before, write, now = old.folder / "kept", in_store(old.store), kept._write, old.start + DAY + KEEP
    done: list[int] = []

    def killed(*given: Any) -> int:
        if len(done) == files:
            raise Killed
        done.append(write(*given))
        return done[-1]

    def no_more(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(kept, "_write", killed)
        patch.setattr(kept, "set_values", no_more)  # the last of the transaction
        with pytest.raises(Killed):
            keep_day(old.exchange, folder, KEEP, now)
    old.close()
    old.open()
    assert in_store(old.store) == before
    assert keep_day(old.exchange, folder, KEEP, now)
    assert keep_day(old.exchange, folder, KEEP, old.end + KEEP)
    assert {name: sorted(rows) for name, rows in before.items()} == in_files(folder)


def test_a_file_that_does_not_hold_what_was_written_costs_nothing(
    old: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, read_parquet = in_store(old.store), pl.read_parquet
    with monkeypatch.context() as patch:
        patch.setattr(pl, "read_parquet", lambda file: read_parquet(file).head(1))
        with pytest.raises(StoreError, match="does not hold what was written"):
            keep_day(old.exchange, old.folder / "kept", KEEP, old.start + DAY + KEEP)
    assert in_store(old.store) == before


def test_what_is_not_billed_stays(tmp_path: Path) -> None:
    young = Changing(tmp_path)
    young.run(young.start + 5 * HOUR)
    assert not keep_day(young.exchange, tmp_path / "kept", KEEP, young.end + 10 * KEEP)
    young.close()
