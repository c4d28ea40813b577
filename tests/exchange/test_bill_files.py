"""Files of bills hold what the bills hold, however little is in memory, and come whole or not at all."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from commonwatt.exchange import bill_files
from commonwatt.exchange.bill_files import bill_name, write_bills
from commonwatt.exchange.proofs import SlotProof
from commonwatt.simulation.result import Result


@pytest.mark.parametrize("held", [0, 1 << 24])
def test_files_hold_the_bills(
    run: Result, bills: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(bill_files, "_HELD", held)
    write_bills(run.books, run.bills, tmp_path / "bills")
    files = sorted((tmp_path / "bills").iterdir())
    assert [file.name for file in files] == sorted(f"{member.id}.json" for member in run.community.members)
    for bill in bills:
        file = tmp_path / "bills" / f"{bill['content']['member']['id']}.json"
        text = file.read_text("utf-8")
        assert json.loads(text) == bill
        assert text == json.dumps(bill, separators=(",", ":")) + "\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_bill_that_was_there_stays_until_the_new_one_is_whole(
    run: Result, bills: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    assert json.loads(old.read_text("utf-8")) == bills[1]
    assert list(tmp_path.glob("*.part")) == []


def test_each_slot_is_read_once(run: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    right = SlotProof.stored.__func__  # type: ignore[attr-defined]

    def stored(cls: type[SlotProof], store: object, slot: int, mandates: object) -> SlotProof:
        read.append(slot)
        return right(cls, store, slot, mandates)  # type: ignore[no-any-return]

    monkeypatch.setattr(SlotProof, "stored", classmethod(stored))
    write_bills(run.books, run.bills, tmp_path)
    assert read == run.period.starts.tolist()


def test_an_id_that_is_no_file_name_is_a_number() -> None:
    assert [bill_name(7, name) for name in ("home-07", "../x", "_7", "ä", "", ".json")] == [
        "home-07.json",
        *["_7.json"] * 5,
    ]
