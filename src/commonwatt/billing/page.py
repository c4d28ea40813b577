"""A member's page of a month as HTML: one file that needs no other, without scripts, for a screen and for paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Final
from unicodedata import bidirectional

from commonwatt.billing import words
from commonwatt.billing.curve import LEGEND, Curve, curve
from commonwatt.billing.lines import Document
from commonwatt.billing.sheet import Sheet

_WIDTH, _HEIGHT = 400.0, 88.0
"""Of the curve, in user units."""
_LEFT, _BELOW = 24.0, 24.0
"""Room for its numbers on the left, for days and legend below."""
# No script, no font, no picture from elsewhere, whatever a name in a file tries.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def html(sheet: Sheet) -> str:
    """The whole page. One sheet of A4 where the lines fit, else as many as they need, with their head on each."""
    month = f"{sheet.month.first:%B %Y}"
    body = [
        _letterhead(sheet, month),
        f"<h1>Bill for {month}</h1>",
        _balance(sheet),
        *(_document(sheet, paper) for paper in sheet.bill.documents),
        _energy(sheet, month),
        _ends(sheet),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(f'{sheet.member.name}, {month}, {sheet.community}')}</title>"
        f"<style>{_style()}</style></head>\n<body><main>{_joined(body)}</main></body></html>\n"
    )


@cache
def _style() -> str:
    return (Path(__file__).parent / "page.css").read_text("utf-8")


def _letterhead(sheet: Sheet, month: str) -> str:
    """Who bills, whom, and when."""
    creditor = sheet.billing.creditor
    name, *rest = words.address(creditor)
    facts = [("Community", sheet.community), ("Month", month), ("Member", sheet.bill.member)]
    if sheet.bill.documents:
        facts.append(("Date", words.day(sheet.bill.documents[0].issued)))
    return (
        f'<div class="from"><p><b>{_name(name)}</b></p><p class="small soft r">{_name(" · ".join(rest))}</p></div>'
        f'<div class="to"><address>{_lines(words.address(sheet.member))}</address>{_pairs(facts)}</div>'
    )


def _balance(sheet: Sheet) -> str:
    said = f'<p class="say">{escape(words.balance(sheet))}</p>'
    rows = words.account(sheet)
    if not rows:
        return said
    cells = [_row([name, amount], last=place == len(rows) - 1, figures=1) for place, (name, amount) in enumerate(rows)]
    return f'{said}<table class="account"><tbody>{_joined(cells)}</tbody></table>'


def _document(sheet: Sheet, paper: Document) -> str:
    """An invoice or a credit note: parties, lines, sums, what the law wants said."""
    told = words.document(sheet, paper)
    rows = [_row(cells, figures=2) for cells in told.rows]
    rows.append(_row(["In all", "", "", "", *told.sums], last=True, figures=2))
    notes = f'<p class="small soft">{escape(" ".join(told.notes))}</p>' if told.notes else ""
    return (
        f'<section><h2>{escape(told.heading)}</h2><p class="small soft">{_name(told.facts)}</p>'
        f'<div class="scroll"><table>{_head(words.head(paper, sheet.currency), 2)}'
        f"<tbody>{_joined(rows)}</tbody></table></div>{notes}</section>"
    )


def _energy(sheet: Sheet, month: str) -> str:
    """What the meters counted and what of it was shared, in sums and day by day."""
    rows = [_row(cells, figures=1) for cells in words.energy(sheet)]
    return (
        '<section class="whole"><h2>Your energy [kWh]</h2>'
        f'<div class="pair"><table><tbody>{_joined(rows)}</tbody></table>'
        f"<figure>{svg(sheet, month)}</figure></div></section>"
    )


def _ends(sheet: Sheet) -> str:
    """The comparison, how the readings were obtained, and how to check it all."""
    sentence, root, commands = words.check(sheet)
    compared = words.comparison(sheet)
    left = ""
    if compared:
        last = len(compared.rows) - 1
        rows = [_row(cells, last=place == last, figures=1) for place, cells in enumerate(compared.rows)]
        head = _head([f"Estimated, {sheet.currency}", "Alone", "With the community"], 1)
        left = (
            '<div class="whole"><h2>Alone, and with the community</h2>'
            f"<table>{head}<tbody>{_joined(rows)}</tbody></table>"
            f"<p>{escape(compared.verdict)}</p></div>"
        )
    right = (
        '<div class="whole"><h2>How it was measured, how to check it</h2>'
        f'<p class="small">{escape(words.readings(sheet))}</p><p class="small">{escape(sentence)}</p>'
        f"<pre>{escape(chr(10).join((f'root {root}', *commands)))}</pre></div>"
    )
    below = f'<p class="small soft">{escape(words.ESTIMATED)}</p>' if compared else ""
    return f'<section class="halves">{left}{right}</section>{below}'


def svg(sheet: Sheet, month: str) -> str:
    """The month's curve, with a title and a description for who does not see it."""
    drawn = curve(sheet.days, _WIDTH - _LEFT, _HEIGHT)
    sums = "; ".join(f"{name}: {amount} kWh" for name, amount, _ in words.energy(sheet))
    return (
        f'<svg viewBox="0 -6 {_WIDTH:g} {_HEIGHT + _BELOW + 6:g}" role="img" aria-labelledby="curve-title curve-desc">'
        f'<title id="curve-title">Energy of each day of {escape(month)}</title>'
        '<desc id="curve-desc">Bars upwards for energy from the grid, downwards for energy to the grid, solid what the '
        f"community shared of it. {escape(sums)}.</desc>"
        f'<g transform="translate({_LEFT:g} 0)">{_bars(drawn)}</g>{_legend()}</svg>'
    )


def _bars(drawn: Curve) -> str:
    parts = [
        f'<path class="grid" d="M0 {y:.1f}H{drawn.width:g}"/>'
        f'<text x="-4" y="{y + 2.6:.1f}" text-anchor="end">{text}</text>'
        for y, text in drawn.ticks
    ]
    parts += [
        f'<rect class="{bar.kind}" x="{bar.x:.2f}" y="{bar.y:.2f}" width="{bar.width:.2f}" height="{bar.height:.2f}"/>'
        for bar in drawn.bars
    ]
    parts.append(f'<path class="zero" d="M0 {drawn.zero:.1f}H{drawn.width:g}"/>')
    parts += [
        f'<text x="{x:.1f}" y="{drawn.height + 8.5:g}" text-anchor="middle">{text}</text>' for x, text in drawn.days
    ]
    return _joined(parts)


def _legend() -> str:
    """Of the four fills; those of the two outlines are one."""
    shown = {"drawn": f"↑ {LEGEND['drawn']}, ↓ {LEGEND['fed']}", "bought": LEGEND["bought"], "sold": LEGEND["sold"]}
    step, y = (_WIDTH - _LEFT) / len(shown), _HEIGHT + 14
    return _joined(
        f'<rect class="{kind}" x="{_LEFT + place * step:.1f}" y="{y:g}" width="7" height="7"/>'
        f'<text x="{_LEFT + place * step + 10:.1f}" y="{y + 6.3:g}">{escape(text)}</text>'
        for place, (kind, text) in enumerate(shown.items())
    )


def _head(names: Sequence[str], figures: int) -> str:
    """A table's head; columns from `figures` on hold numbers."""
    cells = (f'<th scope="col"{_right(place >= figures)}>{escape(name)}</th>' for place, name in enumerate(names))
    return f"<thead><tr>{_joined(cells)}</tr></thead>"


def _row(cells: Sequence[str], figures: int, *, last: bool = False) -> str:
    written = []
    for place, cell in enumerate(cells):
        kind = ' class="point"' if figures == 2 and place == 1 else _right(place >= figures)
        written.append(f"<td{kind}>{_name(cell)}</td>")
    kind = ' class="sum"' if last else ""
    return f"<tr{kind}>{_joined(written)}</tr>"


def _right(figure: bool) -> str:
    return ' class="r"' if figure else ""


def _pairs(facts: Sequence[tuple[str, str]]) -> str:
    return f'<dl class="kv">{_joined(f"<dt>{escape(name)}</dt><dd>{_name(value)}</dd>" for name, value in facts)}</dl>'


def _lines(texts: Iterable[str]) -> str:
    return "<br>".join(map(_name, texts))


def _name(text: str) -> str:
    """A text from a file, which may be written from right to left without turning what stands beside it."""
    turns = any(bidirectional(letter) in ("R", "AL") for letter in text)
    return f"<bdi>{escape(text)}</bdi>" if turns else escape(text)


def _joined(parts: Iterable[str]) -> str:
    return "".join(parts)
