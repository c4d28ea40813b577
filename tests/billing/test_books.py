"""The books over the months: whose file a month goes by, what is begun anew, what is lost, and two at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from month_cases import (
    COMMUNITY,
    NOVEMBER,
    NOW,
    OCTOBER,
    community,
    counted,
    settled,
    write_export,
)

from commonwatt.billing.archive import Archive
from commonwatt.billing.run import Billed, settle_month, understand
from commonwatt.errors import StoreError
from commonwatt.exchange.bills import anchor_of
from commonwatt.member import on_account


def corrected_november(folder: Path, text: str) -> Billed:
    """A November by this file, whose bills correct October's."""
    values = counted(OCTOBER, 1)
    settled(folder, OCTOBER, [write_export(folder / "a.csv", OCTOBER, values)])
    resent = {name: values[name] // 2 for name in ("A1", "P2")}
    settled(folder, OCTOBER, [write_export(folder / "b.csv", OCTOBER, resent)])
    return settled(folder, NOVEMBER, [write_export(folder / "c.csv", NOVEMBER, counted(NOVEMBER, 2))], text)


def test_a_correction_bears_the_vat_of_its_month(tmp_path: Path) -> None:
    november = corrected_november(tmp_path, COMMUNITY.replace('vat = "0.20"', 'vat = "0.10"'))
    (plant,) = (bill for bill in november.issued.bills if bill.member == "plant")
    assert [(paper.title, str(paper.vat.rate)) for paper in plant.documents] == [
        ("Invoice", "0"),
        ("Credit note", "1/10"),
        ("Credit note", "1/5"),
    ]
    assert [bool(line.corrects) for paper in plant.documents[1:] for line in paper.lines] == [False, True]
    assert november.contents is not None
    for content, way in zip(november.contents.contents[1:], range(1, 9), strict=False):
        paged = {"content": november.contents.contents[0], "siblings": anchor_of(november.contents, 0)["siblings"]}
        adds_up_alone({"content": content, "anchor": anchor_of(november.contents, way), "page": paged})


def adds_up_alone(document: dict[str, object]) -> None:
    """Its receiver can check it."""
    on_account.adds_up(on_account.whole(json.loads(json.dumps(document))))


def test_a_file_that_came_before_is_not_taken_for_a_newer_one(tmp_path: Path) -> None:
    values = counted(OCTOBER, 1)
    first = write_export(tmp_path / "a.csv", OCTOBER, values)
    settled(tmp_path, OCTOBER, [first])
    resent = write_export(tmp_path / "b.csv", OCTOBER, {"A1": values["A1"] // 2})
    assert settled(tmp_path, OCTOBER, [resent]).revised
    for files in ([first], [resent], []):
        assert settled(tmp_path, OCTOBER, files).revised == ()


def test_what_did_not_come_to_bills_is_begun_anew_by_the_file_as_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("commonwatt.billing.archive.Shelf.issue", killed)
        with pytest.raises(Killed):
            settled(tmp_path, OCTOBER, [export])
    dearer = COMMUNITY.replace('"0.1107"', '"0.1500"').replace('member_fee = "2.00"', 'member_fee = "3.00"')
    lines = [line for bill in settled(tmp_path, OCTOBER, [export], dearer).issued.bills for line in bill.lines]
    assert {line.price for line in lines if line.wh} == {150_000}
    november = settled(tmp_path, NOVEMBER, [write_export(tmp_path / "c.csv", NOVEMBER, counted(NOVEMBER, 2))], dearer)
    assert not [line for bill in november.issued.bills for line in bill.lines if line.corrects]


def test_a_month_that_is_lost_is_not_paid_back(tmp_path: Path) -> None:
    """By net, too, where an empty store would look like a month without trade."""
    text = COMMUNITY.replace('by = "registers"', 'by = "net"')
    settled(tmp_path, OCTOBER, [write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))], text)
    (tmp_path / "books/2026-10/settled.sqlite").unlink()
    november = [write_export(tmp_path / "c.csv", NOVEMBER, counted(NOVEMBER, 2))]
    with pytest.raises(StoreError, match="settle 2026-10 again first"):
        settled(tmp_path, NOVEMBER, november, text)
    settled(tmp_path, OCTOBER, [], text)
    bills = settled(tmp_path, NOVEMBER, november, text).issued.bills
    assert not [line for bill in bills for line in bill.lines if line.corrects]


def test_the_books_keep_the_mechanism_that_a_month_went_by(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "docs/mechanisms/own.md"
    source = folder.read_text(encoding="utf-8").split("source = '''")[1].split("'''")[0]
    (tmp_path / "half.py").write_text("\n".join(line[4:] for line in source.splitlines()))
    text = COMMUNITY.replace('"sharing-key"\nprice = "0.1107"', '"half.py:HALF"')
    values = counted(OCTOBER, 1)
    settled(tmp_path, OCTOBER, [write_export(tmp_path / "a.csv", OCTOBER, values)], text)
    (tmp_path / "half.py").unlink()
    resent = write_export(tmp_path / "b.csv", OCTOBER, {"A1": values["A1"] // 2})
    assert settled(tmp_path, OCTOBER, [resent]).revised


def test_two_at_once_give_no_number_twice(tmp_path: Path) -> None:
    october = [write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))]
    with Archive(tmp_path / "books").alone(), pytest.raises(StoreError, match="another process settles by"):
        settled(tmp_path, OCTOBER, october)
    archive, file = Archive(tmp_path / "books"), community(tmp_path)
    before = understand(file, OCTOBER, october, archive, None)
    settled(tmp_path, OCTOBER, october)
    with pytest.raises(StoreError, match="Other readings of 2026-10 came meanwhile"):
        settle_month(before, october, archive, OCTOBER.last, NOW)


def test_books_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    files = [write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))]
    (tmp_path / "books").mkdir()
    (tmp_path / "books/2026-10").write_text("no folder")
    with pytest.raises(StoreError, match=r"The books in .* cannot be used: "):
        settled(tmp_path, OCTOBER, files)
