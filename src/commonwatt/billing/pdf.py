"""A member's page of a month as PDF, for who does not print from a browser; lengths in mm on A4.

The same words and figures as the page in HTML. Same sheet and versions of packages, same bytes: the time of making is
the day of the bill.
"""

from __future__ import annotations

from typing import Final

from commonwatt.billing import words
from commonwatt.billing.lines import Document
from commonwatt.billing.paper import CURVE, FILLS, GAP, INK, LEFT, RIGHT, RULE, WASH, WIDTH, Paper, draw_curve
from commonwatt.billing.sheet import Sheet

_COLUMNS: Final = (39.0, 52.0, 18.0, 20.0, 17.0, 15.0, 17.0)
"""Widths of a document's, as `words.HEAD` has them."""


def pdf(sheet: Sheet) -> bytes:
    """The whole page; further ones where the lines do not fit.

    Raises OutputError where the package that writes PDF is not installed.
    """
    month = f"{sheet.month.first:%B %Y}"
    issued = sheet.bill.documents[0].issued if sheet.bill.documents else sheet.month.last
    page = Paper(f"{sheet.member.name}, {month}, {sheet.community}", issued)
    _letterhead(page, sheet, month)
    _balance(page, sheet, month)
    for paper in sheet.bill.documents:
        _document(page, sheet, paper)
    _energy(page, sheet)
    _ends(page, sheet)
    return page.finished()


def _letterhead(page: Paper, sheet: Sheet, month: str) -> None:
    """Who bills, whom, and when."""
    name, *rest = words.address(sheet.billing.creditor)
    top = page.pdf.get_y()
    with page.column(LEFT, LEFT + WIDTH * 0.6):
        page.text(name, 10, bold=True)
        low = page.pdf.get_y()
    page.pdf.set_y(top)
    with page.column(LEFT + WIDTH * 0.62, RIGHT):
        page.text(" · ".join(rest), 8, soft=True, right=True)
    low = max(low, page.pdf.get_y()) + 1.5
    page.pdf.set_draw_color(RULE)
    page.pdf.line(LEFT, low, RIGHT, low)
    page.pdf.set_y(low + 6)
    facts = [f"Community {sheet.community}", f"Month {month}", f"Member {sheet.bill.member}"]
    if sheet.bill.documents:
        facts.append(f"Date {words.day(sheet.bill.documents[0].issued)}")
    ends = []
    for left, right, lines in (
        (LEFT, LEFT + WIDTH * 0.55, words.address(sheet.member)),
        (LEFT + WIDTH * 0.57, RIGHT, facts),
    ):
        page.pdf.set_y(low + 6)
        with page.column(left, right):
            for each in lines:
                page.text(each, 9, right=left > LEFT)
            ends.append(page.pdf.get_y())
    page.pdf.set_y(max(*ends, low + 24) + 2)


def _balance(page: Paper, sheet: Sheet, month: str) -> None:
    """The sentence that matters most, and the documents that lead to it."""
    page.text(f"Bill for {month}", 16, bold=True)
    page.gap(1)
    top = page.pdf.get_y()
    page.pdf.set_fill_color(WASH)
    page.pdf.set_font("page", "", 10.5)
    page.pdf.set_text_color(INK)
    page.pdf.multi_cell(
        0,
        5.2,
        page.shown(words.balance(sheet)),
        fill=True,
        align="L",
        padding=(2, 3, 2, 4),
        new_x="LMARGIN",
        new_y="NEXT",
    )
    page.pdf.set_fill_color(FILLS["bought"])
    page.pdf.rect(LEFT, top, 1, page.pdf.get_y() - top, style="F")
    page.gap(1.5)
    if rows := words.account(sheet):
        with page.column(RIGHT - 75, RIGHT):
            page.table(rows, (45, 30), 1, head=False)


def _document(page: Paper, sheet: Sheet, paper: Document) -> None:
    """An invoice or a credit note: parties, lines, sums, what the law wants said."""
    told = words.document(sheet, paper)
    page.gap(3)
    page.keep(25)
    page.text(told.heading, 10, bold=True)
    page.text(told.facts, 7.5, soft=True)
    page.gap(0.5)
    rows = [words.head(paper, sheet.currency), *told.rows, ("In all", "", "", "", *told.sums)]
    page.table(rows, _COLUMNS, 2)
    if told.notes:
        page.text(" ".join(told.notes), 7.5, soft=True)


def _energy(page: Paper, sheet: Sheet) -> None:
    """What the meters counted and what of it was shared, in sums and day by day."""
    page.gap(3)
    page.keep(CURVE + 18)
    page.text("Your energy [kWh]", 10, bold=True)
    top, wide = page.pdf.get_y(), WIDTH * 0.34
    with page.column(LEFT, LEFT + wide):
        page.table(words.energy(sheet), (wide * 0.45, wide * 0.34, wide * 0.21), 1, head=False, last=False)
    draw_curve(page, sheet.days, LEFT + wide + GAP + 8, top + 1)
    page.pdf.set_y(top + CURVE + 9)


def _ends(page: Paper, sheet: Sheet) -> None:
    """The comparison, how the readings were obtained, and how to check it all."""
    compared, half = words.comparison(sheet), (WIDTH - GAP) / 2
    page.gap(2)
    page.keep(max(45, 32 + 5 * len(compared.rows if compared else ())))
    top, ends = page.pdf.get_y(), []
    if compared:
        with page.column(LEFT, LEFT + half):
            page.text("Alone, and with the community", 10, bold=True)
            head = (f"Estimated, {sheet.currency}", "Alone", "With the community")
            page.table([head, *compared.rows], (half * 0.5, half * 0.2, half * 0.3), 1)
            page.text(compared.verdict, 8.5)
            page.text(words.ESTIMATED, 7.5, soft=True)
            ends.append(page.pdf.get_y())
    sentence, root, commands = words.check(sheet)
    page.pdf.set_y(top)
    with page.column(RIGHT - half if compared else LEFT, RIGHT):
        page.text("How it was measured, how to check it", 10, bold=True)
        page.text(words.readings(sheet), 7.5)
        page.text(sentence, 7.5)
        page.gap(1)
        page.text("\n".join((f"root {root}", *commands)), 7.5)
        ends.append(page.pdf.get_y())
    page.pdf.set_y(max(ends))
