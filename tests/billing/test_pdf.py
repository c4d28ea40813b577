"""The page as PDF, opened again by another program."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import bill_cases as cases
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear
from pypdf import PdfReader

from commonwatt import billing
from commonwatt.billing.lines import MemberBill
from commonwatt.billing.pdf import pdf
from commonwatt.billing.sheet import Sheet
from commonwatt.billing.words import money
from commonwatt.community.billing import Billing
from commonwatt.errors import OutputError

FONTS = Path(billing.__file__).parent / "fonts"
EUROPE = (
    "Þórður Æsir Øystein Ångström Łukasz Żółć Dvořák Čapková Ťažký Őze Űrhajó Ğül Şahin İzmir Ĳssel Œuvre Ñandú Çelebi "
    "Ħal Għaxaq Șerban Țară Žydrūnas Ģirts Ķekava Ŵyn Ŷ Ελένη Παπαδόπουλος Щерев Їжакевич Ђорђе Ќосе Ўладзімір Ẑeŭs "
    "Քոչարյան შოთა"
)


def test_the_fonts_come_with_their_licence_and_the_name_that_it_allows() -> None:
    licence = (FONTS / "LICENSE-DejaVu.txt").read_text("utf-8")
    assert "Bitstream Vera Fonts Copyright" in licence
    assert "Arev Fonts Copyright" in licence
    assert "tools/subset_fonts.py" in (FONTS / "NOTICE.txt").read_text("utf-8")
    for file in FONTS.glob("*.ttf"):
        assert file.name.startswith("DejaVu")


def texts(sheet: Sheet) -> list[str]:
    return [page.extract_text() for page in PdfReader(BytesIO(pdf(sheet))).pages]


def test_a_usual_bill_is_one_page_that_says_all() -> None:
    pages = texts(cases.sheet())
    assert len(pages) == 1
    flat = " ".join(pages[0].split())
    for said in (
        "Jürgen Huber",
        "Invoice no. 2026-0001",
        "Credit note no. 2026-0002",
        cases.IMPORT,
        "120.118",
        "0.104064",
        "VAT 20 %",
        "18.00",
        "−9.02",
        "8.98 EUR will be collected",
        "With the community you are",
        "2974 measured",
        "commonwatt verify huber.json --ledger NODE --card CARD",
        "page 1 of 1",
    ):
        assert said in flat


def test_a_long_bill_repeats_the_head_of_its_lines_on_every_page_and_loses_none() -> None:
    pages = texts(cases.sheet(cases.long()))
    with_lines = [page for page in pages if "corrects 2026-0007" in page]
    assert 1 < len(with_lines) <= len(pages) <= 4
    assert all("Metering point" in page for page in with_lines)
    whole = "".join(pages)
    assert all(line.key.point in whole for line in cases.long().lines)
    assert f"page {len(pages)} of {len(pages)}" in pages[-1]


def test_the_same_bill_is_the_same_file_made_on_its_day() -> None:
    sheet = cases.sheet()
    first = pdf(sheet)
    assert first == pdf(sheet)
    made = PdfReader(BytesIO(first)).metadata
    assert made is not None
    assert made.creation_date is not None
    assert made.creation_date.date() == cases.ISSUED
    assert made.title == "Jürgen Huber, October 2026, Lindenhof"


@pytest.mark.parametrize("name", EUROPE.split())
def test_names_of_europe_are_shown_in_their_letters(name: str) -> None:
    page = texts(cases.sheet(party=replace(cases.HUBER, name=name)))[0]
    assert name in page
    assert "cannot show" not in page


def test_letters_that_the_font_lacks_are_told() -> None:
    page = texts(cases.sheet(party=replace(cases.HUBER, name="山田 Anna")))[0]
    assert "?? Anna" in page
    assert "A letter that this document cannot show stands as “?”" in page


def test_nothing_in_a_name_is_taken_for_the_number_of_pages() -> None:
    assert (
        "{nb} **bold** __under__" in texts(cases.sheet(party=replace(cases.HUBER, name="{nb} **bold** __under__")))[0]
    )


@dear(20)
@given(cases.months())
def test_any_bill_is_printed_with_its_total(month: tuple[list[MemberBill], Billing]) -> None:
    bills, community = month
    for own in bills:
        party = own.party if own.documents else cases.HUBER
        pages = texts(cases.sheet(own, party, community))
        assert f"page 1 of {len(pages)}" in pages[0]
        flat = "".join("".join(pages).split())
        assert all(money(abs(paper.gross), "EUR") in flat for paper in own.documents)


@dear(20)
@given(st.text(max_size=60).filter(str.isprintable))
def test_any_name_is_printed(name: str) -> None:
    """A name of the file holds nothing that cannot be seen, such as the end of a line."""
    assert len(texts(cases.sheet(party=replace(cases.HUBER, name=f"[{name}]")))) == 1


def test_a_member_without_lines_has_a_page_too() -> None:
    sheet = replace(cases.sheet(MemberBill("huber", ())), days=(), compared=())
    assert "There is nothing to pay and nothing to receive." in texts(sheet)[0]


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fpdf", None)
    with pytest.raises(OutputError, match=r'pip install "commonwatt\[pdf\]"'):
        pdf(cases.sheet())
