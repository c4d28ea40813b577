"""The month for accountants: every line of every bill as a row, and the sums that a bookkeeper compares."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Final

from commonwatt.billing.lines import CREDIT_NOTE, FED_IN, TAKEN, Line, MemberBill, cents_text
from commonwatt.units import decimal_text, price_text

COLUMNS: Final = (
    "member", "point", "line", "kWh", "price", "net", "VAT", "gross", "creditor", "document", "month"
)  # fmt: skip
"""Of charges.csv."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet takes for a formula, and would run."""


@dataclass(frozen=True)
class Income:
    """What somebody is owed for its supplies [cents], below 0 where corrections took more back than was added.

    member : its id, empty for the community
    """

    creditor: str
    member: str
    net: int
    vat: int

    @property
    def gross(self) -> int:
        """Net and VAT [cents]."""
        return self.net + self.vat


@dataclass(frozen=True)
class Totals:
    """The sums of a month's bills, each [cents].

    invoices : gross, of all invoices; credit_notes : gross, of all credit notes, positive = members receive
    rounding : what members owe for local energy less what they receive for it, both net; each line is rounded to a
        cent, so that this is some cents off 0. The community keeps them, or bears them below 0
    incomes : of each creditor, the community first, then the members in the order of their bills
    """

    invoices: int
    credit_notes: int
    rounding: int
    incomes: tuple[Income, ...]

    @property
    def balance(self) -> int:
        """What all members together pay: the sum of their bills."""
        return self.invoices - self.credit_notes


def charges_csv(bills: Sequence[MemberBill], currency: str) -> str:
    """A row for each line, in the order of the bills: kWh with three decimals, prices with two to six, money with as
    many as the currency has.

    Amounts are positive where the member owes, so that credit lines are negative and a column's sum is that of the
    bills. Energy is positive on both sides, and signed where it corrects an earlier bill, whose `line` says so.
    Names that a spreadsheet would run as a formula, those that begin with = + - or @, stand behind an apostrophe.
    """
    file = StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(COLUMNS)
    for bill in bills:
        for document in bill.documents:
            table.writerows(_row(line, document.number, currency) for line in document.lines)
    return file.getvalue()


def _row(line: Line, number: str, currency: str) -> tuple[str, ...]:
    """Its cells, one for each of COLUMNS."""
    return (
        harmless(line.key.member),
        harmless(line.key.point),
        f"{line.key.kind}, correction" if line.corrects else line.key.kind,
        "" if line.wh is None else decimal_text(line.wh * 1000, 3),
        "" if line.price is None else price_text(line.price),
        *(cents_text(cents, currency) for cents in (line.net, line.vat, line.gross)),
        harmless(line.creditor),
        harmless(number),
        str(line.month),
    )


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula.

    >>> harmless("=1+1"), harmless("Huber-Bauer")
    ("'=1+1", 'Huber-Bauer')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def totals(bills: Sequence[MemberBill]) -> Totals:
    """The sums of the bills, to the cent: `invoices` less `credit_notes` is the sum of their totals."""
    documents = [(bill.member, document) for bill in bills for document in bill.documents]
    notes = [(member, each) for member, each in documents if each.title == CREDIT_NOTE]
    invoices = [each for _, each in documents if each.title != CREDIT_NOTE]
    lines = [line for bill in bills for line in bill.lines]
    incomes = [Income(each.issuer.name, member, -each.net, -each.tax) for member, each in notes]
    if invoices:
        net, vat = sum(each.net for each in invoices), sum(each.tax for each in invoices)
        incomes.insert(0, Income(invoices[0].issuer.name, "", net, vat))
    return Totals(
        sum(each.gross for each in invoices),
        -sum(each.gross for _, each in notes),
        sum(line.net for line in lines if line.key.kind in (TAKEN, FED_IN)),
        tuple(incomes),
    )
