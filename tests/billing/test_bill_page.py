"""The page is whole by itself: well-formed, without scripts, and no name of a file can change it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import bill_cases as cases
import pytest
from hypothesis import given
from hypothesis import strategies as st
from svg_cases import check_svg

from commonwatt.billing.lines import MemberBill
from commonwatt.billing.page import html
from commonwatt.billing.words import money
from commonwatt.community.billing import Billing, Party

VOID = {"meta", "br"}


class Reader(HTMLParser):
    """What a browser takes from a page: its tags, which must close as they opened, and the text that is seen."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.parts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    @property
    def seen(self) -> str:
        return " ".join(" ".join(self.parts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and "title" not in self.open:
            self.parts.append(data)


@pytest.fixture(scope="module")
def usual() -> str:
    return html(cases.sheet())


def test_it_says_what_a_bill_has_to_say(usual: str) -> None:
    seen = Reader(usual).seen
    for said in (
        "Energiegemeinschaft Lindenhof",
        "Schulgasse 1",
        "VAT no. ATU12345678",
        "Jürgen Huber",
        "Am Rain 7",
        "Bill for October 2026",
        "Invoice no. 2026-0001",
        "Credit note no. 2026-0002",
        "14 November 2026, due 28 November 2026",
        "VAT 20 %",
        "0.104064",
        "120.118",
        "8.98 EUR will be collected",
        "No VAT: small business, exempt from VAT.",
        "Self-billing",
        "no part of what this page asks for",
        "2974 measured, 6 substituted",
        "0x000102",
        "commonwatt verify huber.json --ledger NODE --card CARD",
    ):
        assert said in seen


def test_it_needs_no_other_file_and_runs_nothing(usual: str) -> None:
    reader = Reader(usual)
    assert not {"script", "link", "img", "iframe", "object", "a"} & set(reader.tags)
    assert not any(name.startswith("on") or name in ("src", "href") for name, _ in reader.attributes)
    assert not re.search(r"url\(|@import|https?:", usual)


def test_the_curve_is_named_and_described(usual: str) -> None:
    found = re.search(r"<svg.*?</svg>", usual, re.DOTALL)
    assert found
    check_svg(found[0])
    assert "From the grid: 345.000 kWh" in found[0]


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_names_are_text_whatever_they_hold(name: str, street: str) -> None:
    party = Party(f"[{name}]", (f"[{street}]",))
    plain, named = Reader(html(cases.sheet())), Reader(html(cases.sheet(party=party)))
    assert set(named.tags) - {"bdi"} <= set(plain.tags)
    assert {key for key, _ in named.attributes} <= {key for key, _ in plain.attributes}


@given(cases.months())
def test_any_bill_is_well_formed_and_shows_its_sums(month: tuple[list[MemberBill], Billing]) -> None:
    bills, billing = month
    for own in bills:
        party = own.party if own.documents else cases.HUBER
        seen = Reader(html(cases.sheet(own, party, billing))).seen
        assert f"{money(abs(own.total), 'EUR')} EUR" in seen or not own.total
        assert all(paper.number in seen and money(abs(paper.gross), "EUR") in seen for paper in own.documents)


@pytest.mark.parametrize("nasty", ["</style><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "<b>&amp;"])
def test_markup_in_names_is_shown_as_it_was_written(nasty: str) -> None:
    party = replace(cases.HUBER, name=nasty, address=(nasty,))
    sheet = replace(cases.sheet(party=party), community=nasty)
    reader = Reader(html(sheet))
    assert reader.seen.count(nasty) >= 3
    assert not {"script", "img"} & set(reader.tags)


def test_a_name_from_right_to_left_turns_nothing_beside_it() -> None:
    assert "<bdi>דנה</bdi>" in html(cases.sheet(party=replace(cases.HUBER, name="דנה")))


def test_long_bills_repeat_their_head_and_break_between_lines() -> None:
    text = html(cases.sheet(cases.long()))
    assert Reader(text).tags.count("tr") > 80
    assert "thead { display: table-header-group }" in text
    assert "tr { break-inside: avoid }" in text


def test_a_member_without_lines_has_a_page_too() -> None:
    sheet = replace(cases.sheet(MemberBill("huber", ())), days=(), compared=())
    seen = Reader(html(sheet)).seen
    assert "There is nothing to pay and nothing to receive." in seen
    assert "Alone" not in seen
