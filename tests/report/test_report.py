"""The report is one sound page that needs nothing else, and its figures are those of the tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest

from commonwatt.exchange.checking import load
from commonwatt.report.metrics import figures
from commonwatt.report.report import report_html, write_report
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation

VILLAGE = Path(__file__).parents[2] / "examples" / "village.toml"
VOID = {"meta", "br"}


class Page(HTMLParser):
    """What a browser would see: the tags, that each closes, the values of <data>, the rows of the homes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.figures: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "data":
            self.figures[dict(attrs)["id"] or ""] = dict(attrs)["value"] or ""
        if tag == "tr":
            self.rows.append([])

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


@pytest.mark.parametrize("run", ["small", "week", "large", "nasty", "silent"])
def test_the_page_is_well_formed_and_needs_nothing_else(run: str, request: pytest.FixtureRequest) -> None:
    text = report_html(request.getfixturevalue(run))
    page = Page(text)
    assert page.open == []
    assert len(text.encode()) < 1_000_000
    assert not {"script", "link", "iframe", "img", "object"} & {tag for tag, _ in page.seen}
    for _, attributes in page.seen:
        assert not {"src", "href", "onload", "onclick"} & attributes.keys()
    assert not re.search(r"url\(|@import", text)
    assert "nan" not in "".join(page.words).lower().split()


def test_headline_figures_are_those_of_the_tables(small: Result) -> None:
    page, found = Page(report_html(small)), figures(small)
    assert int(page.figures["traded"]) == small.slots["local_wh"].sum() == small.trades["settled_wh"].sum()
    assert int(page.figures["saved"]) == found.saved
    assert int(page.figures["imported"]) == found.imported
    assert float(page.figures["self-sufficiency"]) == found.self_sufficiency
    assert float(page.figures["self-consumption"]) == found.self_consumption
    assert float(page.figures["local-share"]) == found.local_share


def test_the_table_has_every_home_and_their_sum(small: Result) -> None:
    head, *rows, last = Page(report_html(small)).rows
    assert [row[0] for row in rows] == small.homes["home"].to_list()
    saved = head.index("saved")
    shown = [float(row[saved].replace("−", "-").replace("–", "0")) for row in rows]
    assert shown == pytest.approx(small.homes["saving"].to_list(), abs=0.005)
    assert float(last[saved]) == pytest.approx(small.homes["saving"].sum(), abs=0.005)
    assert float(last[head.index("used kWh")]) == pytest.approx(small.homes["load_wh"].sum() / 1000, abs=0.05)


def test_names_are_text_and_never_markup(nasty: Result) -> None:
    text = report_html(nasty)
    assert "<script" not in text
    assert nasty.community.name in "".join(Page(text).words)


def test_where_nobody_trades_shares_are_left_open(silent: Result) -> None:
    page = Page(report_html(silent))
    assert page.figures["traded"] == "0"
    assert "Nothing was traded." in page.words


def test_the_licence_of_the_data_is_named_where_they_are_used(small: Result) -> None:
    words = "".join(Page(report_html(small)).words)
    assert "Open Database License" in words
    assert "CityLearn" not in words


def test_without_a_ledger_the_page_says_so(small: Result) -> None:
    assert "no ledger" in report_html(small)


def test_with_a_ledger_the_page_traces_a_delivery_to_its_block(with_ledger: Result) -> None:
    words = "".join(Page(report_html(with_ledger)).words)
    assert "equal to the last digit" in words
    assert re.search(r"block \d+, hash 0x[0-9a-f]{64}", words)


@pytest.mark.parametrize("days", [1, 3])
def test_a_village_of_44_homes_fits_into_a_megabyte(days: int, tmp_path: Path) -> None:
    simulation = Simulation(load(VILLAGE), VILLAGE.parent, date(2026, 6, 15), days, ledger="none")
    write_report(simulation.run(), tmp_path / "made" / "report.html")
    assert (tmp_path / "made" / "report.html").stat().st_size < 1_000_000
