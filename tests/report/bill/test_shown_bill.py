"""A bill as a person sees it: on one screen, on one page, whatever names it holds."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from by_slot import anchored, by_day, proven
from exchange_cases import SOURCE
from report_runs import NASTY
from shell import Shell

from commonwatt.accounts.document import CORRECTED, NOT_MEASURED
from commonwatt.exchange.bills import anchor_of
from commonwatt.member.summary import Charge, Large, Moved, Owned, Summary, summary
from commonwatt.report.bill import words
from commonwatt.report.bill.curve import curve
from commonwatt.report.bill.page import bill_page
from commonwatt.report.bill.text import LINES, WIDTH, bill_lines
from commonwatt.simulation.result import Result
from commonwatt.units import decimal_text

EVIL = "\x1b[2J\u202e<script>alert(1)</script>\n\"'&"
BERLIN = "Europe/Berlin"
Bill = dict[str, Any]


def of_result(result: Result, folder: Path) -> Iterator[Summary]:
    """The summaries of all bills of a run without a ledger."""
    for member, bill in enumerate(proven(result.books, result.bills)):
        file = folder / f"{member}.json"
        file.write_text(json.dumps(by_day(bill)))
        yield summary(file)


def fits(lines: list[str]) -> bool:
    command = [line for line in lines if line.startswith("Check it")]
    return len(lines) <= LINES and all(
        len(line) <= WIDTH and line.isprintable() for line in lines if line not in command
    )


@pytest.fixture
def plain(tmp_path: Path, bills: list[Bill]) -> Summary:
    (tmp_path / "bill.json").write_text(json.dumps(by_day(bills[2])), "utf-8")
    return summary(tmp_path / "bill.json")


def test_every_bill_is_one_screen(
    bills: list[Bill], shared_day: Result, small: Result, week: Result, tmp_path: Path
) -> None:
    shown = [*of_result(small, tmp_path), *of_result(week, tmp_path)]
    for bill in [*bills, *proven(shared_day.books, shared_day.bills)]:
        (tmp_path / "bill.json").write_text(json.dumps(by_day(bill)), "utf-8")
        shown.append(summary(tmp_path / "bill.json"))
    assert len(shown) > 25
    for each in shown:
        lines = bill_lines(each, Path("bills/home.json"))
        assert fits(lines), lines
        assert lines[0].startswith(f"{each.member} in {each.community}: bill of ")
        assert sum(line.startswith("total") for line in lines) == 1


def test_a_bill_of_everything_at_once_is_one_screen(plain: Summary) -> None:
    long = "W" * 500
    charges = tuple(Charge(f"{long}{number}", 10**12, 10**9, mean=True, amount=10**15) for number in range(100))
    parts = tuple((long, 10**9) for _ in range(50))
    largest = tuple(Large(plain.start, into=True, wh=10**12, parts=parts) for _ in range(5))
    plants = tuple(Owned(long, 1, 3, 10**9, 10**9, 10**12, 10**12) for _ in range(20))
    crowded = replace(
        plain, member=long, community=long, currency=long, charges=charges, largest=largest, plants=plants,
        moved=tuple(replace(each, own=1, metered=CORRECTED) for each in plain.moved),
    )  # fmt: skip
    lines = bill_lines(crowded, Path("bill.json"))
    assert len(lines) <= LINES
    assert any("smaller lines" in line for line in lines)
    smaller = [charge for charge in charges if charge.name not in "".join(lines)]
    assert smaller
    assert bill_page(crowded, Path("bill.json")).count("<tr") > 100


def test_the_screen_tells_who_checked_what(plain: Summary, small: Result, tmp_path: Path) -> None:
    told = "\n".join(bill_lines(plain, Path("bills/flat.json")))
    for words_ in ("The exchange says", "Checked here", "verify proves", "Nobody proves"):
        assert words_ in told
    assert told.endswith(": commonwatt verify bills/flat.json --ledger NODE --card CARD")
    (first, *_) = of_result(small, tmp_path)
    told = "\n".join(bill_lines(first, Path("bill.json")))
    assert "made without a ledger, and nothing proves it" in told
    assert first.proof.root in told
    assert "verify" not in told


def run_in(folder: Path, finished: Path, bills: list[Bill]) -> Path:
    """The folder of a run, as it is written, with a bill for each member by its name."""
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("bills"))
    (folder / "bills").mkdir()
    for bill in bills:
        (folder / "bills" / f"{bill['content']['member']['id']}.json").write_text(json.dumps(by_day(bill)), "utf-8")
    return folder


def test_the_command_that_checks_a_bill_works_as_it_is_printed(
    said: Shell, finished: Path, bills: list[Bill], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the folder of the run, from that of the bills, and with a card that the member has itself."""
    run = run_in(tmp_path / "a run", finished, bills)
    absolute = run / "bills" / "flat.json"
    for folder, bill in ((tmp_path, "a run/bills/flat.json"), (run / "bills", "flat.json"), (tmp_path, absolute)):
        monkeypatch.chdir(folder)
        command = said("show", bill).out.splitlines()[-1].removeprefix("Check it: ")
        assert command.startswith("commonwatt verify ")
        assert command.count("cards/flat.json") == 1
        checked = said(*shlex.split(command)[1:], "--no-remember")
        assert (checked.code, checked.err) == (0, "")
        assert "is proved by the chain under the contracts of your card" in checked.out
    earlier = run / "2026-05"  # where settling the next month puts those of the month before
    shutil.copytree(run / "bills", earlier / "bills")
    (run / "books").mkdir()
    shutil.copy(run / "ledger.sqlite", run / "books")
    assert said("show", earlier / "bills" / "flat.json").out.splitlines()[-1].endswith("cards/flat.json'")
    (run / "cards" / "flat.json").rename(run / "bills" / "my-community.json")
    assert said("show", bill).out.splitlines()[-1].endswith("/bills/my-community.json'")
    (run / "bills" / "my-community.json").unlink()
    assert said("show", bill).out.splitlines()[-1].endswith("/bills/flat.json'")


def test_a_file_that_is_no_bill_is_called_what_it_is(
    said: Shell, finished: Path, bills: list[Bill], tmp_path: Path
) -> None:
    run = run_in(tmp_path / "run", finished, bills)
    where = "a bill is the .json file of a member in the folder bills of a run or a month."
    folder = run / "bills"
    several = f"give one of the 5 bills, such as {folder / 'flat.json'}."
    own = f"give {folder / 'flat.json'}."
    cases: list[tuple[Path, bytes, str, str]] = [
        (run / "report.html", b"<!doctype html><p>", "a page to read and print", several),
        (folder / "flat.html", b"<!doctype html><p>", "a page to read and print", own),
        (folder / "flat.pdf", b"%PDF-1.7 \xff", "a PDF to read and print", own),
        (tmp_path / "photo", b"\x89PNG\r\n\x1a\n\0", "a picture", where),
        (tmp_path / "meters.csv", b"time,load\n", "a table", where),
        (tmp_path / "meters.xlsx", b"PK\x03\x04\0", "an Excel file or another archive", where),
        (tmp_path / "page", b" <HTML>", "a page to read and print", where),
        (tmp_path / "letter", "Dear Müller".encode(), "a text", where),
        (tmp_path / "letter.json", "Müller".encode("latin-1"), "a file without text", where),
        (tmp_path / "void.json", b"", "an empty file", where),
        (tmp_path / "list.json", b"[1.5]", "JSON of another kind", where),
    ]
    for file, content, _, _ in cases:
        file.write_bytes(content)
    there = [
        (run, "a folder", several),
        (folder, "a folder", several),
        (tmp_path, "a folder", where),
        (run / "ledger.sqlite", "a database, such as a chain's file", several),
        (run / "cards" / "flat.json", "a membership card", own),
    ]
    for file, what, instead in [*((file, what, instead) for file, _, what, instead in cases), *there]:
        told = said("show", file)
        assert (told.code, told.out) == (8, "")
        assert told.err == f"{file} is no bill but {what}: {instead}\n"
    cut = tmp_path / "cut.json"
    cut.write_bytes((folder / "flat.json").read_bytes()[:-100])
    assert (
        said("show", cut).err == f"{cut} is no bill and no excerpt of one: it breaks off in line 1, before its end.\n"
    )


def test_slots_without_a_reading_in_time_are_counted(plain: Summary) -> None:
    first, second, *others = plain.moved
    late = (replace(first, metered=CORRECTED), replace(second, metered=NOT_MEASURED), *others)
    assert "All 8 hours were measured in time." in bill_lines(plain, Path())
    told = words.measured(replace(plain, moved=late))
    assert told == (
        "Of 8 hours: 1 hour corrected by readings that came late, 1 hour not measured, in which nothing of this home "
        "settled."
    )


def test_a_share_that_costs_says_so(plain: Summary) -> None:
    for earned, told in ((1_490_000, "the rest earned you 1.49 EUR."), (-1_490_000, "the rest cost you 1.49 EUR.")):
        (line,) = words.plants(replace(plain, plants=(Owned("roof", 2, 3, 57_172, 11_436, earned, 0),)))
        assert line.endswith(told)


def test_amounts_agree_as_they_are_shown(plain: Summary) -> None:
    owes = replace(plain, total=20_084_999, alone=37_395_001)
    assert words.verdict(owes) == "flat owes 20.08 EUR. With the utility alone it would owe 37.40: 17.32 EUR saved."
    gets = replace(plain, total=-2_000_000, alone=-2_500_000)
    assert words.verdict(gets) == "flat receives 2.00 EUR. With the utility alone it would receive 2.50: 0.50 EUR lost."
    same = replace(plain, total=4_000, alone=-4_000)
    assert words.verdict(same) == "flat owes 0.00 EUR. With the utility alone it would receive 0.00: the same."


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        ("2026-06-14T22:00", "2026-06-15T22:00", "15 June 2026"),
        ("2026-09-30T22:00", "2026-10-31T23:00", "1 to 31 October 2026"),
        ("2026-10-24T22:00", "2026-10-25T23:00", "25 October 2026"),
        ("2026-05-29T22:00", "2026-06-02T22:00", "30 May to 2 June 2026"),
        ("2026-12-30T23:00", "2027-01-01T23:00", "31 December 2026 to 1 January 2027"),
        ("2026-06-15T05:00", "2026-06-15T13:00", "15 June 2026, 07:00 to 15:00"),
        ("2026-06-15T05:00", "2026-06-16T13:00", "15 June 2026, 07:00 to 16 June 2026, 15:00"),
    ],
)
def test_a_period_is_told_in_local_days(plain: Summary, start: str, end: str, told: str) -> None:
    first, last = (int(datetime.fromisoformat(each).replace(tzinfo=UTC).timestamp()) for each in (start, end))
    assert words.period(replace(plain, start=first, end=last)) == told


def test_the_hour_that_the_clock_shows_twice_is_told_apart(plain: Summary) -> None:
    first = int(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp())
    told = [words.clock(plain, first + 3600 * hour) for hour in range(3)]
    assert told == ["Sun 25 October 02:30+0200", "Sun 25 October 02:30+0100", "Sun 25 October 03:30"]


class _Tags(HTMLParser):
    """The tags of a page, each of which has to be closed, and its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(page: str) -> _Tags:
    tags = _Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    return tags


def test_names_are_names_and_no_markup(nasty: Result, bills: list[Bill], tmp_path: Path) -> None:
    evil = copy.deepcopy(bills[2])
    content = evil["content"]
    content["member"]["id"] = content["community"] = content["currency"] = EVIL
    for charge in content["charges"]:
        if charge["name"] == "concession_fee":
            charge["name"] = EVIL
    content["tariff"]["levies"][1]["name"] = EVIL
    evil["anchor"] = anchor_of(anchored([content]), 0)
    (tmp_path / "evil.json").write_text(json.dumps(by_day(evil)), "utf-8")
    for bill in (summary(tmp_path / "evil.json"), *of_result(nasty, tmp_path)):
        page = bill_page(bill, Path(f"{NASTY}.json"))
        tags = parsed(page)
        assert "script" not in tags.seen
        assert not [name for name, _ in tags.attributes if name.startswith("on") or name in ("src", "href")]
        assert "<script" not in page
        assert "\x1b" not in page
        assert "\u202e" not in page
        assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
        assert fits(bill_lines(bill, Path(f"{EVIL}.json")))


def test_a_page_holds_everything_itself(plain: Summary, week: Result, tmp_path: Path) -> None:
    for bill in (plain, *of_result(week, tmp_path)):
        page = bill_page(bill, Path("bill.json"))
        tags = parsed(page)
        assert not {"script", "img", "link", "iframe", "object", "a"} & set(tags.seen)
        assert "url(" not in page
        assert re.findall(r"https?://", page) == []
        assert tags.seen.count("h1") == 1
        for charge in bill.charges:
            assert f"<td>{words.name(charge.name)}</td>" in page


def test_the_curve_shows_each_slot_or_each_day(plain: Summary, week: Result, tmp_path: Path) -> None:
    assert "<title>Energy of each hour, kWh</title>" in curve(plain)
    (first, *_) = of_result(week, tmp_path)
    assert "<title>Energy of each day, kWh</title>" in curve(first)
    nothing = replace(plain, moved=tuple(Moved(each.start, 0, 0, 0, 0, 0, each.metered) for each in plain.moved))
    assert "<svg" in curve(nothing)


def test_a_terminal_of_few_letters_shows_a_minus_all_the_same(bills: list[Bill], tmp_path: Path) -> None:
    (tmp_path / "roof.json").write_text(json.dumps(by_day(bills[1])), "utf-8")
    command = [sys.executable, "-m", "commonwatt.cli", "show", str(tmp_path / "roof.json")]
    few = {**os.environ, "PYTHONPATH": SOURCE, "PYTHONIOENCODING": "ascii"}
    told = subprocess.run(command, env=few, capture_output=True, text=True, check=True).stdout
    (total,) = [line for line in told.splitlines() if line.startswith("total")]
    assert total.split()[-1] == decimal_text(bills[1]["content"]["total"], 2)
    assert total.split()[-1].startswith("-")


def test_the_command_shows_writes_and_refuses(said: Shell, bills: list[Bill], tmp_path: Path) -> None:
    bill, page, figures = tmp_path / "flat.json", tmp_path / "flat.html", tmp_path / "figures.json"
    bill.write_text(json.dumps(by_day(bills[2])), "utf-8")
    told = said("show", bill, "--html", page, "--json", figures)
    assert told.code == 0, told.err
    assert fits(told.out.splitlines())
    assert parsed(page.read_text("utf-8")).seen
    assert page.stat().st_mode & 0o777 == 0o600
    assert json.loads(figures.read_text("utf-8"))["total"] == bills[2]["content"]["total"]
    only = said("show", bill, "--json", "-")
    assert json.loads(only.out)["member"] == "flat"
    # The bill is not taken for a page, nor overwritten by one.
    before = bill.read_bytes()
    refused = said("show", bill, "--html", bill)
    assert (refused.code, "ends in .html" in refused.err, bill.read_bytes()) == (2, True, before)
    assert said("show", bill, "--html", tmp_path / "none" / "flat.html").code == 9
    assert said("show", tmp_path / "none.json").code == 8
    bill.write_text("Dear customer,", "utf-8")
    refused = said("show", bill, "--html", page)
    assert (refused.code, "is no bill" in refused.err) == (8, True)
    assert parsed(page.read_text("utf-8")).seen
