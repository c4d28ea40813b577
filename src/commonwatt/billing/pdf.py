"""A member's page of a month as PDF, for who does not print from a browser; lengths in mm on A4.

The same words and figures as the page in HTML. Same sheet and versions of packages, same bytes: the time of making is
the day of the bill.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unicodedata import normalize

from commonwatt.billing import words
from commonwatt.billing.curve import LEGEND, curve
from commonwatt.billing.lines import Document
from commonwatt.billing.sheet import Sheet
from commonwatt.errors import OutputError

if TYPE_CHECKING:
    from fpdf import FPDF

_FONTS: Final = Path(__file__).parent / "fonts"
_LEFT, _TOP, _RIGHT, _BOTTOM = 16.0, 13.0, 194.0, 281.0
"""Edges of what is printed."""
_WIDTH: Final = _RIGHT - _LEFT
_GAP: Final = 7.0
"""Between two columns."""
_INK, _SOFT, _RULE, _WASH = (26, 34, 48), (89, 99, 115), (213, 218, 225), (230, 241, 248)
_FILLS: Final = {"drawn": (233, 236, 240), "fed": (233, 236, 240), "bought": (0, 114, 178), "sold": (173, 116, 0)}
_COLUMNS: Final = (39.0, 52.0, 18.0, 20.0, 17.0, 15.0, 17.0)
"""Widths of a document's, as `words.HEAD` has them."""
_CURVE: Final = 32.0
"""Height of the bars of the month's curve."""


def pdf(sheet: Sheet) -> bytes:
    """The whole page; further ones where the lines do not fit.

    A letter that the embedded font does not have, which has those of Europe, stands as "?", and the page says so.
    Raises OutputError where the package that writes PDF is not installed.
    """
    page = _Paper(*_empty(sheet))
    month = f"{sheet.month.first:%B %Y}"
    _letterhead(page, sheet, month)
    _balance(page, sheet, month)
    for paper in sheet.bill.documents:
        _document(page, sheet, paper)
    _energy(page, sheet)
    _ends(page, sheet)
    if page.unknown:
        page.gap(2)
        page.text("A letter that this document cannot show stands as “?”: the page in HTML shows it.", 7.5, soft=True)
    page.number()
    return bytes(page.pdf.output())


def _empty(sheet: Sheet) -> tuple[FPDF, frozenset[int]]:
    """A document with an empty page, and the letters that both of its fonts have."""
    try:
        from fpdf import FPDF
        from fpdf.fonts import TTFFont
    except ImportError:
        raise OutputError('A PDF needs a further package; install it with: pip install "commonwatt[pdf]"') from None
    made = FPDF(format="A4")
    for style, name in (("", "DejaVuSansCondensed"), ("B", "DejaVuSansCondensed-Bold")):
        made.add_font("page", style, _FONTS / f"{name}.ttf")
    issued = sheet.bill.documents[0].issued if sheet.bill.documents else sheet.month.last
    made.set_creation_date(datetime.combine(issued, time(), UTC))
    made.set_lang("en")
    made.set_title(f"{sheet.member.name}, {sheet.month.first:%B %Y}, {sheet.community}")
    # The number of pages is written last, so that no text of a file stands for it.
    made.alias_nb_pages(None)  # type: ignore[arg-type]
    made.c_margin = 0
    made.set_margins(_LEFT, _TOP, 210 - _RIGHT)
    made.set_auto_page_break(auto=True, margin=297 - _BOTTOM)
    made.add_page()
    letters = [frozenset(font.cmap) for font in made.fonts.values() if isinstance(font, TTFFont)]
    return made, frozenset.intersection(*letters)


class _Paper:
    """Writes from above to below. letters : that the fonts have; unknown : whether another one was replaced"""

    def __init__(self, made: FPDF, letters: frozenset[int]) -> None:
        self.pdf = made
        self.unknown = False
        self._letters = letters

    def text(self, content: str, size: float, *, bold: bool = False, soft: bool = False, right: bool = False) -> None:
        """A paragraph between the margins."""
        self._style(size, bold=bold, soft=soft)
        self.pdf.multi_cell(
            0, size * 0.48, self.shown(content), align="R" if right else "L", new_x="LMARGIN", new_y="NEXT"
        )

    def shown(self, content: str) -> str:
        """A text in the letters that the font has."""
        composed = normalize("NFC", content)
        known = "".join(each if ord(each) in self._letters or each == "\n" else "?" for each in composed)
        self.unknown |= known != composed
        return known

    def gap(self, height: float) -> None:
        """Nothing, for so long."""
        self.pdf.set_y(self.pdf.get_y() + height)

    def keep(self, height: float) -> None:
        """Begin a new page unless so much has room."""
        if self.pdf.will_page_break(height):
            self.pdf.add_page()

    @contextmanager
    def column(self, left: float, right: float) -> Iterator[None]:
        """Write between these edges alone."""
        self.pdf.set_left_margin(left)
        self.pdf.set_right_margin(210 - right)
        self.pdf.set_x(left)
        yield
        self.pdf.set_left_margin(_LEFT)
        self.pdf.set_right_margin(210 - _RIGHT)
        self.pdf.set_x(_LEFT)

    def table(
        self,
        rows: Sequence[Sequence[str]],
        widths: Sequence[float],
        figures: int,
        *,
        head: bool = True,
        last: bool = True,
    ) -> None:
        """Rows with rules between them; the head again on each page, the last one a sum, figures from a column on."""
        from fpdf.enums import CellBordersLayout, TableBordersLayout
        from fpdf.fonts import FontFace

        self._style(8)
        self.pdf.set_draw_color(_RULE)
        self.pdf.set_fill_color(255)
        soft, bold, small = (
            FontFace(emphasis="", color=_SOFT, size_pt=7.5),
            FontFace(emphasis="BOLD"),
            FontFace(size_pt=7),
        )
        align = tuple("RIGHT" if place >= figures else "LEFT" for place in range(len(widths)))
        with self.pdf.table(
            col_widths=tuple(widths),
            width=sum(widths),
            align="LEFT",
            text_align=align,
            first_row_as_headings=head,
            headings_style=soft,
            borders_layout=TableBordersLayout.NONE,
            line_height=3.7,
            padding=(0.5, 0.8, 0.5, 0),
        ) as made:
            for place, cells in enumerate(rows):
                row = made.row()
                for column, cell in enumerate(cells):
                    plain = small if column and column < figures and place else None
                    row.cell(
                        self.shown(cell),
                        style=bold if last and place == len(rows) - 1 else plain,
                        border=CellBordersLayout.TOP if place or not head else CellBordersLayout.NONE,
                    )
        self.pdf.set_x(self.pdf.l_margin)

    def number(self) -> None:
        """Count the pages at their foot."""
        self.pdf.set_auto_page_break(auto=False)
        count = len(self.pdf.pages)
        for place in range(1, count + 1):
            self.pdf.page = place
            # A font is written to a page only when it changes, and this page ended with another one.
            self.pdf.set_font_size(1)
            self._style(7.5, soft=True)
            self.pdf.set_xy(_LEFT, _BOTTOM + 4)
            self.pdf.cell(_WIDTH, 4, f"page {place} of {count}", align="R")

    def _style(self, size: float, *, bold: bool = False, soft: bool = False) -> None:
        self.pdf.set_font("page", "B" if bold else "", size)
        self.pdf.set_text_color(_SOFT if soft else _INK)


def _letterhead(page: _Paper, sheet: Sheet, month: str) -> None:
    """Who bills, whom, and when."""
    name, *rest = words.address(sheet.billing.creditor)
    top = page.pdf.get_y()
    with page.column(_LEFT, _LEFT + _WIDTH * 0.6):
        page.text(name, 10, bold=True)
        low = page.pdf.get_y()
    page.pdf.set_y(top)
    with page.column(_LEFT + _WIDTH * 0.62, _RIGHT):
        page.text(" · ".join(rest), 8, soft=True, right=True)
    low = max(low, page.pdf.get_y()) + 1.5
    page.pdf.set_draw_color(_RULE)
    page.pdf.line(_LEFT, low, _RIGHT, low)
    page.pdf.set_y(low + 6)
    facts = [f"Community {sheet.community}", f"Month {month}", f"Member {sheet.bill.member}"]
    if sheet.bill.documents:
        facts.append(f"Date {words.day(sheet.bill.documents[0].issued)}")
    ends = []
    for left, right, lines in (
        (_LEFT, _LEFT + _WIDTH * 0.55, words.address(sheet.member)),
        (_LEFT + _WIDTH * 0.57, _RIGHT, facts),
    ):
        page.pdf.set_y(low + 6)
        with page.column(left, right):
            for each in lines:
                page.text(each, 9, right=left > _LEFT)
            ends.append(page.pdf.get_y())
    page.pdf.set_y(max(*ends, low + 24) + 2)


def _balance(page: _Paper, sheet: Sheet, month: str) -> None:
    """The sentence that matters most, and the documents that lead to it."""
    page.text(f"Bill for {month}", 16, bold=True)
    page.gap(1)
    top = page.pdf.get_y()
    page.pdf.set_fill_color(_WASH)
    page.pdf.set_font("page", "", 10.5)
    page.pdf.set_text_color(_INK)
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
    page.pdf.set_fill_color(_FILLS["bought"])
    page.pdf.rect(_LEFT, top, 1, page.pdf.get_y() - top, style="F")
    page.gap(1.5)
    if rows := words.account(sheet):
        with page.column(_RIGHT - 75, _RIGHT):
            page.table(rows, (45, 30), 1, head=False)


def _document(page: _Paper, sheet: Sheet, paper: Document) -> None:
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


def _energy(page: _Paper, sheet: Sheet) -> None:
    """What the meters counted and what of it was shared, in sums and day by day."""
    page.gap(3)
    page.keep(_CURVE + 18)
    page.text("Your energy [kWh]", 10, bold=True)
    top, wide = page.pdf.get_y(), _WIDTH * 0.34
    with page.column(_LEFT, _LEFT + wide):
        page.table(words.energy(sheet), (wide * 0.45, wide * 0.34, wide * 0.21), 1, head=False, last=False)
    _curve(page, sheet, _LEFT + wide + _GAP + 8, top + 1)
    page.pdf.set_y(top + _CURVE + 9)


def _curve(page: _Paper, sheet: Sheet, left: float, top: float) -> None:
    """The month's curve, with its numbers on the left and below."""
    made, drawn = page.pdf, curve(sheet.days, _RIGHT - left, _CURVE)
    made.set_font("page", "", 6)
    made.set_text_color(_SOFT)
    made.set_line_width(0.15)
    made.set_draw_color(_RULE)
    for y, label in drawn.ticks:
        made.line(left, top + y, _RIGHT, top + y)
        made.set_xy(left - 12, top + y - 1.5)
        made.cell(11, 3, label, align="R")
    made.set_draw_color(_SOFT)
    for bar in drawn.bars:
        made.set_fill_color(_FILLS[bar.kind])
        made.rect(left + bar.x, top + bar.y, bar.width, bar.height, style="DF" if bar.kind in ("drawn", "fed") else "F")
    made.set_draw_color(_INK)
    made.line(left, top + drawn.zero, _RIGHT, top + drawn.zero)
    for x, label in drawn.days:
        made.set_xy(left + x - 4, top + _CURVE + 0.3)
        made.cell(8, 3, label, align="C")
    _legend(page, left, top + _CURVE + 4)
    made.set_line_width(0.2)


def _legend(page: _Paper, left: float, top: float) -> None:
    """Of the fills; that of the two outlines is one."""
    made = page.pdf
    for kind, label in (
        ("drawn", f"↑ {LEGEND['drawn']}, ↓ {LEGEND['fed']}"),
        ("bought", LEGEND["bought"]),
        ("sold", LEGEND["sold"]),
    ):
        made.set_fill_color(_FILLS[kind])
        made.set_draw_color(_SOFT)
        made.rect(left, top, 2.2, 2.2, style="DF" if kind == "drawn" else "F")
        made.set_xy(left + 2.8, top - 0.4)
        made.cell(30, 3, label)
        left += (_RIGHT - left) / 3 if kind == "drawn" else 34


def _ends(page: _Paper, sheet: Sheet) -> None:
    """The comparison, how the readings were obtained, and how to check it all."""
    compared, half = words.comparison(sheet), (_WIDTH - _GAP) / 2
    page.gap(2)
    page.keep(max(45, 32 + 5 * len(compared.rows if compared else ())))
    top, ends = page.pdf.get_y(), []
    if compared:
        with page.column(_LEFT, _LEFT + half):
            page.text("Alone, and with the community", 10, bold=True)
            head = (f"Estimated, {sheet.currency}", "Alone", "With the community")
            page.table([head, *compared.rows], (half * 0.5, half * 0.2, half * 0.3), 1)
            page.text(compared.verdict, 8.5)
            page.text(words.ESTIMATED, 7.5, soft=True)
            ends.append(page.pdf.get_y())
    sentence, root, commands = words.check(sheet)
    page.pdf.set_y(top)
    with page.column(_RIGHT - half if compared else _LEFT, _RIGHT):
        page.text("How it was measured, how to check it", 10, bold=True)
        page.text(words.readings(sheet), 7.5)
        page.text(sentence, 7.5)
        page.gap(1)
        page.text("\n".join((f"root {root}", *commands)), 7.5)
        ends.append(page.pdf.get_y())
    page.pdf.set_y(max(ends))
