"""Paper of A4 that is written from above to below, as PDF; lengths in mm.

Same words and versions of packages, same bytes: the time of making is the day that is said of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unicodedata import normalize

from commonwatt.billing.curve import LEGEND, curve
from commonwatt.billing.sheet import Day
from commonwatt.errors import OutputError

if TYPE_CHECKING:
    from fpdf import FPDF

_FONTS: Final = Path(__file__).parent / "fonts"
LEFT, RIGHT = 16.0, 194.0
"""Edges of what is printed."""
_TOP, _BOTTOM = 13.0, 281.0
WIDTH: Final = RIGHT - LEFT
GAP: Final = 7.0
"""Between two columns."""
INK, SOFT, RULE, WASH = (26, 34, 48), (89, 99, 115), (213, 218, 225), (230, 241, 248)
FILLS: Final = {"drawn": (233, 236, 240), "fed": (233, 236, 240), "bought": (0, 114, 178), "sold": (173, 116, 0)}
CURVE: Final = 32.0
"""Height of the bars of a curve."""


class Paper:
    """Writes from above to below, on further pages where it does not fit.

    title, made_on : what the document says of itself; unknown : whether a letter was replaced that the font has not
    Raises OutputError where the package that writes PDF is not installed.
    """

    def __init__(self, title: str, made_on: date) -> None:
        self.pdf, self._letters = _empty(title, made_on)
        self.unknown = False

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
        self.pdf.set_left_margin(LEFT)
        self.pdf.set_right_margin(210 - RIGHT)
        self.pdf.set_x(LEFT)

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
        self.pdf.set_draw_color(RULE)
        self.pdf.set_fill_color(255)
        soft, bold, small = (
            FontFace(emphasis="", color=SOFT, size_pt=7.5),
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

    def _number(self) -> None:
        """Count the pages at their foot."""
        self.pdf.set_auto_page_break(auto=False)
        count = len(self.pdf.pages)
        for place in range(1, count + 1):
            self.pdf.page = place
            # A font is written to a page only when it changes, and this page ended with another one.
            self.pdf.set_font_size(1)
            self._style(7.5, soft=True)
            self.pdf.set_xy(LEFT, _BOTTOM + 4)
            self.pdf.cell(WIDTH, 4, f"page {place} of {count}", align="R")

    def _style(self, size: float, *, bold: bool = False, soft: bool = False) -> None:
        self.pdf.set_font("page", "B" if bold else "", size)
        self.pdf.set_text_color(SOFT if soft else INK)

    def finished(self) -> bytes:
        """The document, its pages numbered. A letter that the embedded font does not have, which has those of Europe,
        stands as "?", and the last page says so."""
        if self.unknown:
            self.gap(2)
            self.text(
                "A letter that this document cannot show stands as “?”: the page in HTML shows it.", 7.5, soft=True
            )
        self._number()
        return bytes(self.pdf.output())


def require_pdf() -> None:
    """Raise OutputError where the package that writes PDF is not installed."""
    try:
        import fpdf  # noqa: F401 (it is only asked whether it is there)
    except ImportError:
        raise OutputError('A PDF needs a further package; install it with: pip install "commonwatt[pdf]"') from None


def _empty(title: str, made_on: date) -> tuple[FPDF, frozenset[int]]:
    """A document with an empty page, and the letters that both of its fonts have."""
    require_pdf()
    from fpdf import FPDF
    from fpdf.fonts import TTFFont

    made = FPDF(format="A4")
    for style, name in (("", "DejaVuSansCondensed"), ("B", "DejaVuSansCondensed-Bold")):
        made.add_font("page", style, _FONTS / f"{name}.ttf")
    made.set_creation_date(datetime.combine(made_on, time(), UTC))
    made.set_lang("en")
    made.set_title(title)
    # The number of pages is written last, so that no text of a file stands for it.
    made.alias_nb_pages(None)  # type: ignore[arg-type]
    made.c_margin = 0
    made.set_margins(LEFT, _TOP, 210 - RIGHT)
    made.set_auto_page_break(auto=True, margin=297 - _BOTTOM)
    made.add_page()
    letters = [frozenset(font.cmap) for font in made.fonts.values() if isinstance(font, TTFFont)]
    return made, frozenset.intersection(*letters)


def draw_curve(page: Paper, days: Sequence[Day], left: float, top: float) -> None:
    """The curve of these days up to the right edge, with its numbers on the left and below."""
    made, drawn = page.pdf, curve(days, RIGHT - left, CURVE)
    made.set_font("page", "", 6)
    made.set_text_color(SOFT)
    made.set_line_width(0.15)
    made.set_draw_color(RULE)
    for y, label in drawn.ticks:
        made.line(left, top + y, RIGHT, top + y)
        made.set_xy(left - 12, top + y - 1.5)
        made.cell(11, 3, label, align="R")
    made.set_draw_color(SOFT)
    for bar in drawn.bars:
        made.set_fill_color(FILLS[bar.kind])
        made.rect(left + bar.x, top + bar.y, bar.width, bar.height, style="DF" if bar.kind in ("drawn", "fed") else "F")
    made.set_draw_color(INK)
    made.line(left, top + drawn.zero, RIGHT, top + drawn.zero)
    for x, label in drawn.days:
        made.set_xy(left + x - 4, top + CURVE + 0.3)
        made.cell(8, 3, label, align="C")
    _legend(page, left, top + CURVE + 4)
    made.set_line_width(0.2)


def _legend(page: Paper, left: float, top: float) -> None:
    """Of the fills; that of the two outlines is one."""
    made = page.pdf
    for kind, label in (
        ("drawn", f"↑ {LEGEND['drawn']}, ↓ {LEGEND['fed']}"),
        ("bought", LEGEND["bought"]),
        ("sold", LEGEND["sold"]),
    ):
        made.set_fill_color(FILLS[kind])
        made.set_draw_color(SOFT)
        made.rect(left, top, 2.2, 2.2, style="DF" if kind == "drawn" else "F")
        made.set_xy(left + 2.8, top - 0.4)
        made.cell(30, 3, label)
        left += (RIGHT - left) / 3 if kind == "drawn" else 34
