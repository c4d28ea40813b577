"""The page of a comparison: self-contained, well-formed, with every figure, and safe against names."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_runs import EXAMPLES, NASTY
from svg_cases import check_svg

from commonwatt.study.compare.claims import Claim
from commonwatt.study.compare.comparison import Comparison, compare
from commonwatt.study.compare.plots import (
    bills_svg,
    distances_svg,
    imports_svg,
    losses_svg,
    peaks_svg,
    prices_svg,
    savings_svg,
)
from commonwatt.study.compare.report import PAGE, TABLE, comparison_html, write_comparison
from commonwatt.study.compare.table import columns

WINDY = Path(__file__).parents[1] / "simulation" / "cases" / "windy-day" / "community.toml"
PLOTS = (bills_svg, savings_svg, prices_svg, peaks_svg, imports_svg, losses_svg, distances_svg)
CLAIM = Claim("Speed", "low", "high", "idle", "a day", ("design", "orders"), (("uniform", 12345), ("sdr", None)), "no")


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(EXAMPLES / "village.toml", "2026-06-15", 1, ["uniform", "uniform+sdr", "mid-market"])


@pytest.fixture(params=["plain", "nasty", "alone", "moved", "many", "days", "windy"])
def any_found(request: pytest.FixtureRequest, found: Comparison) -> Comparison:
    """Names that try to be markup, no design at all, a design that moves energy and loses, many homes, a week, prices
    below zero.
    """
    if request.param == "windy":
        return compare(WINDY, "2026-03-12", 1, ["uniform", "mid-market", "bilateral"])
    baseline, first, *others = found.rows
    if request.param == "nasty":
        return replace(
            found, community=NASTY, homes=(NASTY, *found.homes[1:]), rows=(baseline, replace(first, design=NASTY))
        )
    if request.param == "alone":
        return replace(found, rows=(baseline,), left_out={"x": NASTY}, wires=None)
    if request.param == "moved":
        lost = tuple(-saved for saved in first.saved_by_home)
        kw = tuple(value / 2 for value in first.import_kw_by_slot)
        moved = replace(first, bill=-first.bill, saved_by_home=lost, import_kw_by_slot=kw, peak_kw=9.0, losses_kwh=None)
        return replace(found, rows=(baseline, moved, *others))
    if request.param == "many":
        rows = [replace(row, saved_by_home=row.saved_by_home * 20) for row in found.rows]
        return replace(found, homes=found.homes * 20, rows=tuple(rows))
    if request.param == "days":
        week = [f"2026-06-{15 + day}T{moment[11:]}" for day in range(7) for moment in found.clock]
        rows = [
            replace(row, price_by_slot=row.price_by_slot * 7, import_kw_by_slot=row.import_kw_by_slot * 7)
            for row in found.rows
        ]
        return replace(found, clock=tuple(week), rows=tuple(rows), ceiling=found.ceiling * 7, floor=found.floor * 7)
    return found


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("width", [960, 360])
def test_every_plot_is_sound(plot: Callable[..., str], width: int, any_found: Comparison) -> None:
    check_svg(plot(any_found, width))
    assert "<style" not in plot(any_found, width, standalone=False)


class Page(HTMLParser):
    """Tags that are opened and closed, what they load, and the cells of the table of designs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.rows: list[list[str]] = []
        self.table = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.loads += [value or "" for key, value in attrs if key in ("src", "href", "onclick", "onload")]
        if tag == "table":
            self.table = dict(attrs).get("id") or ""
        if tag == "tr" and self.table == "designs":
            self.rows.append([])

    def handle_startendtag(self, tag: str, _: Any) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.table = "" if tag == "table" else self.table

    def handle_data(self, data: str) -> None:
        if self.table == "designs" and self.open[-1] in ("th", "td"):
            self.rows[-1].append(data)


def test_the_page_holds_everything_itself(any_found: Comparison) -> None:
    text = comparison_html(replace(any_found, claims=(CLAIM,)))
    page = Page(text)
    assert page.open == []
    assert page.loads == []
    assert "script" not in page.tags
    assert len(text.encode()) < 1_000_000
    shown = columns(any_found)
    assert page.rows[0] == [column.head for column in shown]
    assert page.rows[1:] == [[column.shown(row) for column in shown] for row in any_found.rows]


def test_claims_stand_beside_what_came_out(found: Comparison) -> None:
    text = comparison_html(replace(found, claims=(CLAIM,)))
    for part in (
        "auction low, scheduling high",
        "<td class='words'>uniform</td><td>12 345</td>",
        "<td>–</td>",
        "put to the test",
    ):
        assert part in text
    assert "put to the test" not in comparison_html(found)


def test_what_no_design_changes_is_a_sentence_and_what_one_does_a_plot(found: Comparison) -> None:
    same = comparison_html(found)
    assert "No design here changes it" in same
    assert "kWh under every design" in same
    baseline, first, *_ = found.rows
    moved = replace(first, import_kw_by_slot=tuple(0.0 for _ in found.clock), peak_kw=0.0, losses_kwh=1.0)
    changed = comparison_html(replace(found, rows=(baseline, moved)))
    assert "No design here changes it" not in changed
    assert "Network use: losses" in changed


def test_a_broken_proof_is_named(found: Comparison) -> None:
    assert "all hold" in comparison_html(found)
    rows = (found.rows[0], replace(found.rows[1], holding=0))
    assert "some do not hold, in uniform." in comparison_html(replace(found, rows=rows))


def test_page_and_table_are_written(found: Comparison, tmp_path: Path) -> None:
    page = write_comparison(found, tmp_path / "new" / "folder")
    assert page == tmp_path / "new" / "folder" / PAGE
    assert page.read_text(encoding="utf-8") == comparison_html(found)
    with (page.parent / TABLE).open(encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == 1 + len(found.rows)
