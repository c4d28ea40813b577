"""What a bill says, in words and figures that the terminal and the page share. Energy in kWh, money to the cent."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Final

from commonwatt.accounts.document import CORRECTED, NOT_MEASURED
from commonwatt.member.beside import card_beside, chain_beside
from commonwatt.member.summary import Charge, Large, Summary
from commonwatt.plain import many, plain
from commonwatt.units import decimal_text, minor_unit, paid_text, price_text, rounded

NAME: Final = 40
"""Letters of a name that are shown."""
_SPANS: Final = {900: "quarter hour", 1800: "half hour", 3600: "hour"}
_COUNTS: Final = ("no", "one", "two", "three", "four", "five")


def name(text: str) -> str:
    """A name that others chose, short and without anything that steers a terminal."""
    shown = plain(text, NAME)
    return shown if len(shown) <= NAME else f"{shown[: NAME - 1]}…"


def kwh(wh: int) -> str:
    """Energy [Wh] in kWh, exactly.

    >>> kwh(12_345_678), kwh(-5)
    ('12 345.678', '−0.005')
    """
    whole, rest = divmod(abs(wh), 1000)
    return f"{'−' if wh < 0 else ''}{whole:,}.{rest:03d}".replace(",", " ")


def money(bill: Summary, amount: int) -> str:
    """Money [micro-currency] to the cent, or the least that the bill's currency has."""
    return paid_text(amount, bill.currency).replace("-", "−")


def price(charge: Charge) -> str:
    """A line's price per kWh; that of several is rounded to a hundredth of a cent."""
    if charge.price is None:
        return ""
    return f"ø {decimal_text(charge.price, 4)}" if charge.mean else price_text(charge.price)


def period(bill: Summary) -> str:
    """The days of a bill on the member's calendar, such as "1 to 31 October 2026", or its hours."""
    start, end = bill.local(bill.start), bill.local(bill.end)
    if any((each.hour, each.minute, each.second) != (0, 0, 0) for each in (start, end)):
        same = start.date() == end.date()
        return f"{_day(start)} {start.year}, {start:%H:%M} to {'' if same else f'{_day(end)} {end.year}, '}{end:%H:%M}"
    last = end - timedelta(days=1)
    if start.date() == last.date():
        return f"{_day(start)} {start.year}"
    opening = _day(start) if start.year != last.year or start.month != last.month else f"{start.day}"
    return f"{opening}{f' {start.year}' if start.year != last.year else ''} to {_day(last)} {last.year}"


def clock(bill: Summary, instant: int) -> str:
    """The start of a slot; with the offset from UTC in the hour that the clock shows twice."""
    at = bill.local(instant)
    twice = at.replace(fold=0).utcoffset() != at.replace(fold=1).utcoffset()
    offset = f"{at:%z}" if twice else ""
    return f"{at:%a} {_day(at)} {at:%H:%M}{offset}"


def span(bill: Summary, count: int) -> str:
    """So many slots, such as "96 quarter hours"."""
    return many(count, _span(bill))


def verdict(bill: Summary) -> str:
    """What is owed, and what it would be with the utility alone."""
    currency = name(bill.currency)
    said = f"{name(bill.member)} {_owes(bill.total)} {money(bill, abs(bill.total))} {currency}."
    if bill.on_account:
        said = f"{said} The utility and the grid company bill the rest themselves."
    alone = f"With the utility alone it would {'owe' if bill.alone >= 0 else 'receive'} {money(bill, abs(bill.alone))}"
    if not (difference := saved(bill)):
        return f"{said} {alone}: the same."
    return f"{said} {alone}: {money(bill, abs(difference))} {currency} {'saved' if difference > 0 else 'lost'}."


def saved(bill: Summary) -> int:
    """Between the two amounts as they are shown, so that the three agree [micro-currency]."""
    return _cents(bill, bill.alone) - _cents(bill, bill.total)


def energies(bill: Summary) -> list[tuple[str, int, int]]:
    """Rows of energy: what, in and out [Wh]."""
    rows = [
        ("by the meter", bill.counted_in, bill.counted_out),
        ("with neighbours", bill.sum("bought"), bill.sum("sold")),
        ("with the utility", bill.sum("imported"), bill.sum("exported")),
    ]
    own = bill.sum("own")
    return [*rows, ("from own plants", own, 0)] if own else rows


def largest_title(bill: Summary) -> str:
    """Above the largest slots."""
    count = len(bill.largest)
    return f"The {_COUNTS[count]} {_span(bill)}{'' if count == 1 else 's'} with most energy"


def parts(large: Large, most: int = 3) -> str:
    """From whom, or to whom, the energy of a slot was."""
    shown, rest = large.parts[:most], large.parts[most:]
    words = [f"{name(who)} {kwh(wh)}" for who, wh in shown]
    if rest:
        words.append(f"{many(len(rest), 'other')} {kwh(sum(wh for _, wh in rest))}")
    return f"{'from' if large.into else 'to'} {', '.join(words)}"


def measured(bill: Summary) -> str:
    """Which slots were not measured in time, and whether the operators' box signed for the meter."""
    told = _measured(bill)
    return f"{told} The operators' box signed for the meter, which cannot sign." if bill.box_signs else told


def _measured(bill: Summary) -> str:
    if bill.on_account and bill.marked:
        marked = ", ".join(f"{count} values {name(word)}" for word, count in bill.marked)
        return f"Of {span(bill, len(bill.moved))}: {marked}."
    corrected, missing = bill.slots(CORRECTED), bill.slots(NOT_MEASURED)
    if not corrected + missing:
        return f"All {span(bill, len(bill.moved))} were measured in time."
    told = [f"{span(bill, corrected)} corrected by readings that came late"] if corrected else []
    if missing:
        told.append(f"{span(bill, missing)} not measured, in which nothing of this home settled")
    return f"Of {span(bill, len(bill.moved))}: {', '.join(told)}."


def plants(bill: Summary) -> Iterator[str]:
    """What the member has of its plants, or the owners of the plant that the bill is of."""
    currency = name(bill.currency)
    for each in bill.plants:
        cost = f", costs of {money(bill, each.costs)} {currency}" if each.costs else ""
        rest = "cost" if each.earned < 0 else "earned"
        yield (
            f"Plant {name(each.plant)}: {each.weight} of {each.of} parts are yours, {kwh(each.share)} kWh; you used "
            f"{kwh(each.taken)} kWh of it, and the rest {rest} you {money(bill, abs(each.earned))} {currency}{cost}."
        )
    if bill.owners:
        told = (
            f"{name(each.name)} ({each.weight} of {each.of}) {_owes(each.amount)} {money(bill, abs(each.amount))}"
            for each in bill.owners[:NAME]
        )
        yield f"Its owners, {currency}: {'; '.join(told)}."


def how_to_check(bill: Path) -> tuple[str, str]:
    """What to type to have the bill in this file checked, and what it is, with the chain and the card beside it."""
    command = f"commonwatt verify {shlex.quote(plain(bill))}"
    if not chain_beside(bill).is_file():
        return "Check it with a node of your community and your membership card", f"{command} --ledger NODE --card CARD"
    if card := card_beside(bill):
        named = card if bill.is_absolute() else os.path.relpath(card)
        return "Check it", f"{command} --card {shlex.quote(plain(named))}"
    return "Check it", command


def checks(bill: Summary, file: Path) -> list[tuple[str, str]]:
    """Who checked what, and how to have it checked. file : of the bill"""
    proof = bill.proof
    here = (
        "Checked here",
        "that the content is under the root of all bills that the file names. Anybody could make both.",
    )
    if bill.on_account and proof.chain is not None:
        return [
            ("The grid company says", "what the meters counted; the operators say prices and fees."),
            here,
            (
                "verify proves",
                "by the chain, that the operators anchored these figures, that your share of every slot is the rule's, "
                "and that all adds up.",
            ),
            how_to_check(file),
        ]
    if proof.chain is None:
        return [
            ("The operators say", "all of this: the bill was made without a ledger, and nothing proves it."),
            (here[0], f"{here[1]} Compare it with the root that was published."),
            ("Root of all bills", proof.root),
        ]
    return [
        ("The exchange says", "all figures above, and who traded with whom."),
        here,
        (
            "verify proves",
            "by the chain, that the operators anchored these figures, that each trade was settled and within what you "
            "signed, that the readings are your meter's, and that all adds up.",
        ),
        (
            "Nobody proves",
            "that the meter counts rightly. The utility's prices, levies and VAT are the operators' word, unless you "
            "give verify the community's file.",
        ),
        how_to_check(file),
    ]


def cents_differ(bill: Summary) -> bool:
    """Whether the lines, each rounded to the cent, come to another sum than the total does."""
    return sum(_cents(bill, each.amount) for each in bill.charges) != _cents(bill, bill.total)


def _cents(bill: Summary, amount: int) -> int:
    """Money to the cent, as it is shown [micro-currency]."""
    least = minor_unit(bill.currency)
    return rounded(Fraction(amount, least)) * least


def _owes(amount: int) -> str:
    return "owes" if amount >= 0 else "receives"


def _span(bill: Summary) -> str:
    return _SPANS.get(bill.slot_seconds, f"{bill.slot_seconds / 60:g}-minute slot")


def _day(at: datetime) -> str:
    return f"{at.day} {at:%B}"
