"""A bill as one page to print. It holds everything itself: no script, no font, no picture from elsewhere.

Names come from files that others wrote: each is escaped, and the page forbids itself all but its own style.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from commonwatt.member.summary import Summary
from commonwatt.report.bill import words
from commonwatt.report.bill.curve import caption, curve
from commonwatt.report.bill.words import kwh, money, name
from commonwatt.report.svg import STYLE

CSS: Final = Path(__file__).with_name("page.css")
_ALLOWED: Final = "default-src 'none'; style-src 'unsafe-inline'"


def bill_page(bill: Summary, file: Path) -> str:
    """The whole page. file : of the bill, for the command that checks it"""
    title = escape(f"Bill of {name(bill.member)}, {words.period(bill)}")
    where = escape(f"{name(bill.community)}, {name(bill.timezone)}")
    sections = [
        f"<header><h1>{title}</h1><p class='soft'>{where}</p></header>",
        _figures(bill),
        _card(escape(caption(bill)), f"<figure>{curve(bill)}</figure>"),
        f"<div class='halves'>{_charges(bill)}<div class='stack'>{_energy(bill)}{_plants(bill)}</div></div>",
        _largest(bill),
        _checks(bill, file),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_ALLOWED}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="generator" content="Commonwatt"><title>{title}</title>'
        f"<style>{STYLE}{CSS.read_text(encoding='utf-8')}</style></head>\n<body><main>\n"
        + "\n".join(sections)
        + "\n</main></body></html>\n"
    )


def _card(title: str, content: str) -> str:
    """title, content : markup"""
    return f"<section class='card'><h2>{title}</h2>{content}</section>" if content else ""


def _figures(bill: Summary) -> str:
    currency = escape(name(bill.currency))
    figures = (
        ("to pay" if bill.total >= 0 else "to receive", abs(bill.total), ""),
        (
            "with the utility alone, to pay" if bill.alone >= 0 else "with the utility alone, to receive",
            abs(bill.alone),
            "",
        ),
        ("saved", words.saved(bill), " gain" if words.saved(bill) > 0 else ""),
    )
    return "<dl class='figures'>" + "".join(
        f"<div class='card{more}'><dt>{title}</dt><dd>{money(bill, amount)} <small>{currency}</small></dd></div>"
        for title, amount, more in figures
    ) + "</dl>"  # fmt: skip


def _charges(bill: Summary) -> str:
    currency = name(bill.currency)
    rows = [
        _row(
            [words.name(each.name)],
            ["" if each.wh is None else kwh(each.wh), words.price(each), money(bill, each.amount)],
        )
        for each in bill.charges
    ]
    note = " (the lines are rounded)" if words.cents_differ(bill) else ""
    rows.append(_row([f"total{note}"], ["", "", money(bill, bill.total)], " class='sum'"))
    rows.append(_row(["with the utility alone"], ["", "", money(bill, bill.alone)], " class='soft'"))
    head = ["", "kWh", f"{currency}/kWh", currency]
    return _card("What it comes to; − is received", _table(head, rows))


def _energy(bill: Summary) -> str:
    rows = [_row([what], [kwh(into), kwh(out)]) for what, into, out in words.energies(bill)]
    told = f"<p class='small soft'>{escape(words.measured(bill))}</p>"
    return _card("Energy, kWh", _table(["", "in", "out"], rows) + told)


def _plants(bill: Summary) -> str:
    return _card("Plants", "".join(f"<p class='small'>{escape(each)}</p>" for each in words.plants(bill)))


def _largest(bill: Summary) -> str:
    if not bill.largest:
        return ""
    rows = [
        f"<tr><td>{escape(words.clock(bill, each.start))}</td>"
        f"<td class='r'>{kwh(each.wh)} {'in' if each.into else 'out'}</td><td>{escape(words.parts(each))}</td></tr>"
        for each in bill.largest
    ]
    return _card(words.largest_title(bill), f"<table>{''.join(rows)}</table>")


def _checks(bill: Summary, file: Path) -> str:
    items = [
        f"<li><b>{escape(label)}</b> {f'<code>{escape(said)}</code>' if _is_command(said) else escape(said)}</li>"
        for label, said in words.checks(bill, file)
    ]
    where = "".join(f"<p class='small soft'>{escape(line)}</p>" for line in _places(bill))
    return _card("Who checked what", f"<ul class='checks'>{''.join(items)}</ul>{where}")


def _places(bill: Summary) -> Iterator[str]:
    proof = bill.proof
    if proof.chain is not None:
        yield f"Chain {proof.chain}, Settlement {proof.settlement}, your account {proof.account}."
        yield f"Root of all bills {proof.root}."


def _is_command(said: str) -> bool:
    return said.startswith("commonwatt ")


def _table(head: Sequence[str], rows: Sequence[str]) -> str:
    heads = "".join(
        f"<th{' class=r' if place else ''} scope='col'>{escape(each)}</th>" for place, each in enumerate(head)
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(texts: Sequence[str], figures: Sequence[str], attributes: str = "") -> str:
    cells = "".join(f"<td>{escape(each)}</td>" for each in texts)
    return f"<tr{attributes}>{cells}{''.join(f'<td class=r>{escape(each)}</td>' for each in figures)}</tr>"
