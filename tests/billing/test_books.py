"""The books over the months: whose file a month goes by, what is begun anew, what is lost, and two at once."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from month_cases import (
    COMMUNITY,
    DECEMBER,
    NOVEMBER,
    NOW,
    OCTOBER,
    October,
    community,
    counted,
    settled,
    write_export,
)

from commonwatt.billing.archive import Archive
from commonwatt.billing.outputs import write
from commonwatt.billing.run import Billed, settle_month, understand
from commonwatt.errors import StoreError
from commonwatt.exchange.bills import anchor_of
from commonwatt.member import on_account


def corrected_november(folder: Path, october_by: October, text: str) -> Billed:
    """A November by this file, whose bills correct October's."""
    values = counted(OCTOBER, 1)
    october_by()
    resent = {name: values[name] // 2 for name in ("A1", "P2")}
    settled(folder, OCTOBER, [write_export(folder / "b.csv", OCTOBER, resent)])
    return settled(folder, NOVEMBER, [write_export(folder / "c.csv", NOVEMBER, counted(NOVEMBER, 2))], text)


def test_a_correction_bears_the_vat_of_its_month(tmp_path: Path, october_by: October) -> None:
    november = corrected_november(tmp_path, october_by, COMMUNITY.replace('vat = "0.20"', 'vat = "0.10"'))
    (plant,) = (bill for bill in november.issued.bills if bill.member == "plant")
    assert [(paper.title, str(paper.vat.rate)) for paper in plant.documents] == [
        ("Invoice", "0"),
        ("Credit note", "1/10"),
        ("Credit note", "1/5"),
    ]
    assert [bool(line.corrects) for paper in plant.documents[1:] for line in paper.lines] == [False, True]
    for content, way in zip(november.contents.contents[1:], range(1, 9), strict=False):
        paged = {"content": november.contents.contents[0], "siblings": anchor_of(november.contents, 0)["siblings"]}
        adds_up_alone({"content": content, "anchor": anchor_of(november.contents, way), "page": paged})


def adds_up_alone(document: dict[str, object]) -> None:
    """Its receiver can check it."""
    on_account.adds_up(on_account.whole(json.loads(json.dumps(document))))


def test_a_file_that_came_before_is_not_taken_for_a_newer_one(tmp_path: Path, october_by: October) -> None:
    values = counted(OCTOBER, 1)
    first = tmp_path / "a.csv"
    october_by()
    resent = write_export(tmp_path / "b.csv", OCTOBER, {"A1": values["A1"] // 2})
    assert settled(tmp_path, OCTOBER, [resent]).revised
    for files in ([first], [resent], []):
        assert settled(tmp_path, OCTOBER, files).revised == ()


def papers(folder: Path) -> dict[str, bytes]:
    """All bills of a folder, by name."""
    return {file.name: file.read_bytes() for file in sorted((folder / "bills").iterdir())}


@pytest.mark.parametrize("by", ["registers", "net"])
def test_bills_that_were_sent_stay_on_every_paper(tmp_path: Path, october_by: October, by: str) -> None:
    """Page and file of a bill say the same of the month, also where it was settled anew since."""
    text = COMMUNITY.replace('by = "registers"', f'by = "{by}"')
    values = counted(OCTOBER, 1)
    first = october_by(text)
    write(first, tmp_path / "sent", pdf=True)
    sent = papers(tmp_path / "sent")
    assert len(sent) == 4 * 3
    resent = write_export(tmp_path / "b.csv", OCTOBER, {"A1": values["A1"] // 2})
    again = settled(tmp_path, OCTOBER, [resent], text)
    assert again.revised
    write(again, tmp_path / "again", pdf=True)
    assert papers(tmp_path / "again") == sent
    for sheet, content in zip(again.sheets, again.contents.contents[1:], strict=True):
        assert sheet.bill.total == content["payable"]
        flows = content.get("netted", content["registers"])
        for direction, name in (("import", "bought"), ("export", "sold")):
            shared = sum(sum(each["shared"]) for each in flows if each["direction"] == direction)
            assert shared == sum(getattr(day, name) for day in sheet.days)


def test_bills_that_are_not_as_they_were_sent_are_told(tmp_path: Path, october_by: October) -> None:
    october_by()
    file = tmp_path / "books/2026-10/bills.json"
    whole, resent = file.read_text(), write_export(tmp_path / "b.csv", OCTOBER, {"A1": counted(OCTOBER, 1)["A1"] // 2})
    for damaged in (whole.replace('"payable":', '"payable":1'), whole[:-1], "7", "[]", ""):
        file.write_text(damaged)
        with pytest.raises(StoreError, match=r"bills\.json is missing, or not as it was sent; put it back"):
            settled(tmp_path, OCTOBER, [resent])
    # Nothing was kept of what came meanwhile.
    file.write_text(whole)
    again = settled(tmp_path, OCTOBER, [])
    assert (again.new, again.revised) == (False, ())


def test_every_revision_is_told(tmp_path: Path, october_by: October, monkeypatch: pytest.MonkeyPatch) -> None:
    values = counted(OCTOBER, 1)
    october_by()
    for part, name in ((2, "b.csv"), (4, "c.csv")):
        less = write_export(tmp_path / name, OCTOBER, {"A1": values["A1"] // part}, slice(96, 120))
        if part == 4:
            # Killed before the slots are settled anew, it goes on with the next one.
            with monkeypatch.context() as patched:
                patched.setattr("commonwatt.billing.month.AfterTheFact.correct", None)
                with pytest.raises(TypeError):
                    settled(tmp_path, OCTOBER, [less])
        billed = settled(tmp_path, OCTOBER, [less] if part == 2 else [])
    write(billed, tmp_path / "out")
    table = list(csv.DictReader((tmp_path / "out/corrections.csv").read_text().splitlines()))
    assert {row["revision"] for row in table} == {"1", "2"}
    slots = {(row["time"], row["revision"]) for row in table}
    moved = (values["A1"] > 1) & (values["B2"] + values["P2"] > 0)
    assert len({time for time, _ in slots}) == moved[96:120].sum()
    for time, revision in slots:
        own = {row["member"]: row for row in table if (row["time"], row["revision"]) == (time, revision)}
        assert abs(sum(float(row["difference"]) for row in own.values())) < 1e-6
        anna = own["anna"]
        assert float(anna["difference"]) == pytest.approx(float(anna["money"]) - float(anna["money before"]))
        later = [row for row in table if (row["member"], row["time"], row["revision"]) == ("anna", time, "2")]
        if revision == "1" and later:
            # What was before the second is what the first one came to.
            assert later[0]["money before"] == anna["money"]
            assert later[0]["bought before"] == anna["bought"]
    # Also where nothing came since.
    write(settled(tmp_path, OCTOBER, []), tmp_path / "more")
    assert (tmp_path / "more/corrections.csv").read_bytes() == (tmp_path / "out/corrections.csv").read_bytes()


def test_what_is_corrected_of_a_closed_month_is_on_no_bill(tmp_path: Path, october_by: October) -> None:
    values = counted(OCTOBER, 1)
    october_by()
    settled(tmp_path, OCTOBER, [write_export(tmp_path / "b.csv", OCTOBER, {"A1": values["A1"] // 2})])
    closed = COMMUNITY.replace('vat = "small business"', 'vat = "small business"\nclosed = 2026-10-31')
    november = [write_export(tmp_path / "c.csv", NOVEMBER, counted(NOVEMBER, 2))]
    billed = settled(tmp_path, NOVEMBER, november, closed)
    lines = [line for bill in billed.issued.bills for line in bill.lines]
    assert {line.month for line in lines} == {NOVEMBER}
    (told,) = billed.notes
    assert told == (
        "2026-10 is closed: [billing] closed = 2026-10-31. What was settled anew since its bills is on no bill: "
        "6 lines of 4 members."
    )
    # Where it is closed no more, the next bills have it.
    december = settled(tmp_path, DECEMBER, [write_export(tmp_path / "d.csv", DECEMBER, counted(DECEMBER, 3))])
    carried = [line for bill in december.issued.bills for line in bill.lines if line.corrects]
    assert (len(carried), december.notes) == (6, ())


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


def test_a_month_that_is_lost_is_not_paid_back(tmp_path: Path, october_by: October) -> None:
    """By net, too, where an empty store would look like a month without trade."""
    text = COMMUNITY.replace('by = "registers"', 'by = "net"')
    october_by(text)
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
