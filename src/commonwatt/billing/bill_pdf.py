"""A bill of a market as PDF: the same words and figures as its page in HTML (`report.bill.page`); lengths in mm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from commonwatt.billing.paper import CURVE, LEFT, Paper, draw_curve
from commonwatt.billing.sheet import Day
from commonwatt.member.summary import Moved, Summary
from commonwatt.report.bill import words
from commonwatt.report.bill.words import kwh, money, name

_CHARGES = (94.0, 28.0, 28.0, 28.0)
_ENERGY = (122.0, 28.0, 28.0)
_LARGEST = (48.0, 30.0, 100.0)


def bill_pdf(bill: Summary, file: Path) -> bytes:
    """The whole page; further ones where it does not fit. file : of the bill, for the command that checks it

    Raises OutputError where the package that writes PDF is not installed.
    """
    title = f"Bill of {name(bill.member)}, {words.period(bill)}"
    page = Paper(title, bill.local(bill.end).date())
    page.text(title, 16, bold=True)
    page.text(f"{name(bill.community)}, {name(bill.timezone)}", 8, soft=True)
    page.gap(2)
    page.text(words.verdict(bill), 10.5)
    _curve(page, bill)
    _table(page, "What it comes to; − is received", _charges(bill), _CHARGES, last=False)
    _table(page, "Energy, kWh", _energy(bill), _ENERGY, last=False)
    page.text(words.measured(bill), 7.5, soft=True)
    for told in words.plants(bill):
        page.text(told, 8)
    if bill.largest:
        _table(page, words.largest_title(bill), [*_largest(bill)], _LARGEST, figures=3, head=False, last=False)
    _checks(page, bill, file)
    return page.finished()


def _curve(page: Paper, bill: Summary) -> None:
    page.gap(3)
    page.keep(CURVE + 16)
    page.text("Energy of each day, kWh", 10, bold=True)
    top = page.pdf.get_y() + 1
    draw_curve(page, days(bill), LEFT + 12, top)
    page.pdf.set_xy(LEFT, top + CURVE + 8)


def days(bill: Summary) -> list[Day]:
    """The local days of a bill; what its own plants supplied is from the community."""
    found: dict[date, list[Moved]] = {}
    for each in bill.moved:
        found.setdefault(bill.local(each.start).date(), []).append(each)
    return [
        Day(
            day,
            sum(each.into for each in moved),
            sum(each.out for each in moved),
            sum(each.bought + each.own for each in moved),
            sum(each.sold for each in moved),
        )
        for day, moved in found.items()
    ]


def _charges(bill: Summary) -> list[tuple[str, ...]]:
    currency = name(bill.currency)
    note = " (the lines are rounded)" if words.cents_differ(bill) else ""
    return [
        ("", "kWh", f"{currency}/kWh", currency),
        *(
            (name(each.name), "" if each.wh is None else kwh(each.wh), words.price(each), money(bill, each.amount))
            for each in bill.charges
        ),
        (f"total{note}", "", "", money(bill, bill.total)),
        ("with the utility alone", "", "", money(bill, bill.alone)),
    ]


def _energy(bill: Summary) -> list[tuple[str, ...]]:
    return [("", "in", "out"), *((what, kwh(into), kwh(out)) for what, into, out in words.energies(bill))]


def _largest(bill: Summary) -> Iterator[tuple[str, ...]]:
    for each in bill.largest:
        yield words.clock(bill, each.start), f"{kwh(each.wh)} {'in' if each.into else 'out'}", words.parts(each)


def _table(
    page: Paper,
    title: str,
    rows: Sequence[Sequence[str]],
    widths: Sequence[float],
    figures: int = 1,
    *,
    head: bool = True,
    last: bool = True,
) -> None:
    page.gap(3)
    page.keep(20)
    page.text(title, 10, bold=True)
    page.gap(0.5)
    page.table(rows, widths, figures, head=head, last=last)


def _checks(page: Paper, bill: Summary, file: Path) -> None:
    page.gap(3)
    page.keep(35)
    page.text("Who checked what", 10, bold=True)
    for label, said in words.checks(bill, file):
        page.text(f"{label}{':' if said.startswith('commonwatt ') else ''} {said}", 7.5)
    proof = bill.proof
    if proof.chain is not None:
        page.text(f"Chain {proof.chain}, Settlement {proof.settlement}, your account {proof.account}.", 7.5, soft=True)
        page.text(f"Root of all bills {proof.root}.", 7.5, soft=True)
