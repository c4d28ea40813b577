"""Two processes and one folder: one of them works there, the other one is told so and spoils nothing."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from exchange_cases import START, Forks, short_days, snapshot, until, written

from commonwatt.errors import StoreError
from commonwatt.exchange.folder import open_store
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.report.outputs import write_outputs
from commonwatt.simulation.api import simulate

POSIX = pytest.mark.skipif(os.name != "posix", reason="files have no such modes here")


@pytest.fixture(autouse=True)
def _short() -> Iterator[None]:
    with short_days():
        yield


def test_a_fresh_run_beside_a_running_one_is_refused_and_harms_nothing(forks: Forks, tmp_path: Path) -> None:
    file, out, pause, said = written(tmp_path), tmp_path / "out", tmp_path / "pause", tmp_path / "said.json"
    undisturbed = simulate(file, START, 1)
    expected = snapshot(undisturbed)
    undisturbed.close()
    running = forks({"file": str(file), "out": str(out), "said": str(said), "pause": str(pause), "beside": True})
    until(pause.exists)
    before = {path.name: path.stat().st_ino for path in out.iterdir()}
    for fresh in (True, False):
        with pytest.raises(StoreError, match="open in another process, which must stop first"):
            simulate(file, START, 1, out=out, fresh=fresh)
    assert {path.name: path.stat().st_ino for path in out.iterdir()} == before
    pause.unlink()
    assert forks(running)["code"] == 0
    assert json.loads(said.read_text()).items() >= expected.items()
    again = simulate(file, START, 1, out=out, fresh=True)
    assert snapshot(again) == expected
    again.close()


def test_of_two_fresh_runs_at_once_each_ends_whole_or_is_refused(forks: Forks, tmp_path: Path) -> None:
    file, out, said = written(tmp_path), tmp_path / "out", [tmp_path / "one.json", tmp_path / "other.json"]
    simulate(file, START, 1, out=out).close()
    order = {"file": str(file), "out": str(out), "fresh": True, "beside": True}
    both = [forks({**order, "said": str(each)}) for each in said]
    codes = [forks(each)["code"] for each in both]
    told = [json.loads(each.read_text()) for each in said]
    assert 0 in codes
    kept = simulate(file, START, 1, out=out)
    for code, each in zip(codes, told, strict=True):
        assert "another process" in each["refused"] if code else each.items() >= snapshot(kept).items()
    kept.close()


def test_a_chain_that_somebody_writes_to_is_not_dropped(tmp_path: Path) -> None:
    file, out = written(tmp_path), tmp_path / "out"
    simulate(file, START, 1, out=out).close()
    (out / "exchange.sqlite").unlink()
    with EmbeddedChain(out / "ledger.sqlite") as chain:
        head = chain.head
        with pytest.raises(StoreError, match=r"ledger\.sqlite is open in another process"):
            simulate(file, START, 1, out=out, fresh=True)
        assert chain.seal(head.timestamp + 1).parent == head.hash


def test_a_run_that_another_version_began_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """Version 5 kept orders that agents had signed one by one."""
    file, out = written(tmp_path), tmp_path / "out"
    simulate(file, START, 1, out=out).close()
    with closing(sqlite3.connect(out / "exchange.sqlite")) as store, store:
        store.execute("UPDATE run SET value = '5' WHERE key = 'version'")
    before = (out / "ledger.sqlite").read_bytes()
    with pytest.raises(StoreError, match=r"exchange.sqlite was written by another version \(5\) of Commonwatt\.$"):
        simulate(file, START, 1, out=out)
    assert (out / "ledger.sqlite").read_bytes() == before
    simulate(file, START, 1, out=out, fresh=True).close()


def test_what_is_no_database_is_dropped(tmp_path: Path) -> None:
    file, out = written(tmp_path), tmp_path / "out"
    out.mkdir()
    (out / "exchange.sqlite").write_bytes(b"SQLite format 3\0" + b"damaged" * 1000)
    (out / "ledger.sqlite").write_text("nothing of the kind", "utf-8")
    simulate(file, START, 1, out=out, fresh=True).close()


@POSIX
def test_only_their_owner_can_read_what_holds_members_data(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        out = tmp_path / "out"
        result = simulate(written(tmp_path), START, 1, out=out)
        write_outputs(result, out)
        bill = out / "bills" / "sun.json"
        bill.chmod(0o644)
        begun = out / "bills" / "sun.json.part"
        begun.touch(0o644)
        write_outputs(result, out)
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [out, *out.rglob("*")]}
        result.close()
    finally:
        os.umask(old)
    assert modes[out] == modes[out / "bills"] == modes[out / "tables"] == 0o700
    assert modes[bill] == 0o600
    private = [path for path in modes if path.suffix in (".sqlite", ".html") or path.parent.name == "bills"]
    assert len(private) == 8
    assert {modes[path] for path in private} == {0o600}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(StoreError, match="cannot be used as a folder"):
        open_store(tmp_path / "file" / "out", fresh=True)
