"""Files of bills hold what the bills hold, however little is in memory, and come whole or not at all."""

from __future__ import annotations

import gzip
import json
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from commonwatt.exchange import bill_files
from commonwatt.exchange.bill_files import bill_name, write_bills
from commonwatt.exchange.bills import proven
from commonwatt.exchange.proofs import SlotProof
from commonwatt.member.document import read_whole
from commonwatt.simulation.result import Result


@pytest.fixture(scope="module")
def whole(run: Result) -> list[dict[str, Any]]:
    """All bills of the day as their files have them."""
    return list(proven(run.books, run.bills))


@pytest.mark.parametrize("held", [0, 1 << 24])
def test_files_hold_the_bills(
    run: Result, whole: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(bill_files, "_HELD", held)
    write_bills(run.books, run.bills, tmp_path / "bills")
    files = sorted((tmp_path / "bills").iterdir())
    assert [file.name for file in files] == sorted(f"{member.id}.json" for member in run.community.members)
    for bill in whole:
        file = tmp_path / "bills" / f"{bill['content']['member']['id']}.json"
        text = file.read_text("utf-8")
        assert json.loads(text) == bill
        assert text.isascii()
        assert (text.count("\n"), text.count(" ")) == (1, json.dumps(bill, separators=(",", ":")).count(" "))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("held", [0, 1 << 24])
def test_packed_files_hold_the_same(
    run: Result, whole: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(bill_files, "_PACKED_HELD", held)
    write_bills(run.books, run.bills, tmp_path, packed=True)
    assert len(list(tmp_path.iterdir())) == len(whole)
    for bill in whole:
        file = tmp_path / f"{bill['content']['member']['id']}.json.gz"
        assert json.loads(gzip.decompress(file.read_bytes())) == bill
        assert read_whole(file) == bill
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_of_a_day_no_more_than_a_slot_is_in_memory(
    run: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held goes into the files as soon as it is too much, also within a day."""
    pieces: list[int] = []
    right = bill_files._add

    def added(parts: Sequence[Path], held: Sequence[list[bytes]], *, packed: bool) -> None:
        pieces.append(len(held[0]))
        right(parts, held, packed=packed)

    monkeypatch.setattr(bill_files, "_add", added)
    monkeypatch.setattr(bill_files, "_HELD", 0)
    write_bills(run.books, run.bills, tmp_path)
    assert len(pieces) >= 2 * run.period.count
    assert max(pieces) <= 2


def test_a_bill_that_was_there_stays_until_the_new_one_is_whole(
    run: Result, whole: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, calls = tmp_path / "roof.json", iter(range(5 * 4))
    old.write_text("{}", "utf-8")
    right = SlotProof.of

    def full(self: SlotProof, member: int) -> dict[str, Any]:
        if next(calls, None) is None:
            raise OSError(28, "No space left on device", str(tmp_path))
        return right(self, member)

    monkeypatch.setattr(bill_files, "_HELD", 0)
    with monkeypatch.context() as patch:
        patch.setattr(SlotProof, "of", full)
        with pytest.raises(OSError, match="No space left"):
            write_bills(run.books, run.bills, tmp_path)
    assert old.read_text("utf-8") == "{}"
    assert [file.name for file in tmp_path.glob("*.json")] == ["roof.json"]
    write_bills(run.books, run.bills, tmp_path)
    assert json.loads(old.read_text("utf-8")) == whole[1]
    assert list(tmp_path.glob("*.part")) == []


def test_each_slot_is_read_once(run: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    right = SlotProof.stored.__func__  # type: ignore[attr-defined]

    def stored(cls: type[SlotProof], /, store: object, slot: int, mandates: object, **more: object) -> SlotProof:
        read.append(slot)
        return right(cls, store, slot, mandates, **more)  # type: ignore[no-any-return]

    monkeypatch.setattr(SlotProof, "stored", classmethod(stored))
    write_bills(run.books, run.bills, tmp_path)
    assert read == run.period.starts.tolist()


def test_an_id_that_is_no_file_name_is_a_number() -> None:
    assert [bill_name(7, name) for name in ("home-07", "../x", "_7", "ä", "", ".json")] == [
        "home-07.json",
        *["_7.json"] * 5,
    ]
