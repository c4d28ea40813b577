"""A bill as lines for a terminal: at most 40 of them, at most 96 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from commonwatt.member.summary import Charge, Summary
from commonwatt.report.bill import words
from commonwatt.report.bill.words import kwh, money, name

WIDTH: Final = 96
LINES: Final = 40
_LABEL: Final = 36
_CURRENCY: Final = 9
_FEWEST: Final = 3
"""Lines of charges that are shown whatever else there is."""


def bill_lines(bill: Summary, file: Path) -> list[str]:
    """The bill in lines. file : its name, for the command that checks it"""
    opening = [
        *_wrapped(
            f"{name(bill.member)} in {name(bill.community)}: bill of {words.period(bill)} "
            f"({words.span(bill, len(bill.moved))}, {name(bill.timezone)})"
        ),
        *_wrapped(words.verdict(bill)),
        "",
        *_energies(bill),
        "",
    ]
    closing = [*_sums(bill), "", *_largest(bill), *_wrapped(words.measured(bill)), *_plants(bill), *_checks(bill, file)]
    room = max(LINES - len(opening) - len(closing) - 1, _FEWEST)
    return [*opening, *_charges(bill, room), *closing]


def _energies(bill: Summary) -> Iterator[str]:
    yield f"{'kWh':{_LABEL}}{'in':>14}{'out':>14}"
    for what, into, out in words.energies(bill):
        yield f"{what:{_LABEL}}{kwh(into):>14}{kwh(out):>14}"


def _charges(bill: Summary, room: int) -> Iterator[str]:
    """The lines of the bill; where there are more than have room, the smallest are one."""
    currency, charges = name(bill.currency)[:_CURRENCY], list(bill.charges)
    yield f"{'charges (− is received)':{_LABEL}}{'kWh':>14}{f'{currency}/kWh':>14}{currency:>14}"
    if len(charges) > room:
        small = sorted(charges, key=lambda each: abs(each.amount))[: len(charges) - room + 1]
        charges = [each for each in charges if each not in small]
        rest = Charge(f"{len(small)} smaller lines", None, None, mean=False, amount=sum(each.amount for each in small))
        charges.append(rest)
    for each in charges:
        energy = "" if each.wh is None else kwh(each.wh)
        label = words.name(each.name)[: _LABEL - 1]
        yield f"{label:{_LABEL}}{energy:>14}{words.price(each):>14}{money(bill, each.amount):>14}"


def _sums(bill: Summary) -> Iterator[str]:
    sums = (("total", bill.total), ("with the utility alone", bill.alone), ("saved", words.saved(bill)))
    for what, amount in sums:
        note = " (the lines are rounded)" if what == "total" and words.cents_differ(bill) else ""
        yield f"{what + note:{_LABEL + 28}}{money(bill, amount):>14}"


def _largest(bill: Summary) -> Iterator[str]:
    if bill.largest:
        yield words.largest_title(bill)
    for each in bill.largest:
        way = "in" if each.into else "out"
        told = f"{words.clock(bill, each.start):24}{kwh(each.wh):>9} {way:4}{words.parts(each, 2)}"
        yield told if len(told) <= WIDTH else f"{told[: WIDTH - 1]}…"


def _plants(bill: Summary) -> list[str]:
    """Two plants at most, each on two lines at most."""
    told = [_wrapped(each, 2) for each in words.plants(bill)]
    more = [f"And {len(told) - 2} further plants; --json or --html has them."] if len(told) > 2 else []
    return [*(line for each in told[:2] for line in each), *more]


def _checks(bill: Summary, file: Path) -> Iterator[str]:
    for label, said in words.checks(bill, file):
        if said.startswith("commonwatt "):  # to be copied as one line
            yield f"{label}: {said}"
        else:
            yield from _wrapped(f"{label} {said}", 2)


def _wrapped(text: str, most: int = 2) -> list[str]:
    return textwrap.wrap(text, WIDTH, max_lines=most, placeholder=" …", break_on_hyphens=False)
