"""What stands on a member's page, in words and figures, whatever it is printed on.

A document is told from its issuer's side: what an invoice asks for and what a credit note grants is positive, so that a
bill is its invoices less its credit notes.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Final

from commonwatt.billing.lines import (
    CREDIT_NOTE,
    FED_IN,
    MEMBER_FEE,
    POINT_FEE,
    TAKEN,
    Document,
    Line,
    cents,
    cents_text,
)
from commonwatt.billing.sepa import obstacle_to_debit
from commonwatt.billing.sheet import Sheet
from commonwatt.community.billing import Party
from commonwatt.units import decimal_text, price_text, round_half_up

HEAD: Final = ("What for", "Metering point", "kWh", "Price per kWh", "Net", "VAT", "Gross")
"""Columns of a document's lines; figures from the third on."""
NONE: Final = "–"
_LABELS: Final = {
    TAKEN: "From the community",
    FED_IN: "To the community",
    MEMBER_FEE: "Membership fee",
    POINT_FEE: "Metering point fee",
}


@dataclass(frozen=True)
class Words:
    """A document as it is read.

    heading : such as "Invoice no. 2026-0001"; facts : when, from whom, to whom
    rows : cells as HEAD has them; sums : the last three of them, in all
    notes : sentences below it
    """

    heading: str
    facts: str
    rows: tuple[tuple[str, ...], ...]
    sums: tuple[str, str, str]
    notes: tuple[str, ...]


def document(sheet: Sheet, paper: Document) -> Words:
    """An invoice or a credit note of the page."""
    sign = -1 if paper.title == CREDIT_NOTE else 1
    notes = [paper.vat.note] if paper.vat.note else []
    if paper.title == CREDIT_NOTE:
        notes.append(f"Self-billing: {paper.recipient.name} makes this out for {paper.issuer.name}.")
    if sign * paper.gross < 0:
        notes.append(f"The sum is below zero: {paper.issuer.name} owes it to {paper.recipient.name}.")
    if any(line.corrects for line in paper.lines):
        notes.append("What corrects a document is the difference to what that one, and those after it, said.")
    return Words(
        f"{paper.title} no. {paper.number}",
        f"{day(paper.issued)}, due {day(paper.due)}, from {paper.issuer.name} to {paper.recipient.name}",
        tuple(_row(line, sheet, sign) for line in paper.lines),
        _amounts(paper, sheet, sign),
        tuple(notes),
    )


def _amounts(said: Document | Line, sheet: Sheet, sign: int) -> tuple[str, str, str]:
    """Net, VAT and gross."""
    tax = said.tax if isinstance(said, Document) else said.vat
    net, vat, gross = (money(sign * amount, sheet.currency) for amount in (said.net, tax, said.gross))
    return net, vat, gross


def _row(line: Line, sheet: Sheet, sign: int) -> tuple[str, ...]:
    label = _LABELS[line.key.kind]
    if line.corrects or line.month != sheet.month:
        label += f", {line.month.first:%B %Y}{f', corrects {line.corrects}' if line.corrects else ''}"
    energy = NONE if line.wh is None else kwh(line.wh)
    price = NONE if line.price is None else price_text(line.price)
    return (label, line.key.point or NONE, energy, price, *_amounts(line, sheet, sign))


def head(paper: Document, currency: str) -> tuple[str, ...]:
    """HEAD with what the amounts are in and the rate of tax."""
    rate = f"VAT {price_text(round_half_up(paper.vat.rate * 100 * 10**6)).removesuffix('.00')} %"
    return (*HEAD[:4], f"Net {currency}", rate if paper.vat.rate else "VAT", f"Gross {currency}")


def balance(sheet: Sheet) -> str:
    """The sentence that matters most: who pays how much, when and how."""
    total, creditor, member = sheet.bill.total, sheet.billing.creditor, sheet.member
    if not total:
        return "There is nothing to pay and nothing to receive."
    amount = f"{money(abs(total), sheet.currency)} {sheet.currency}"
    when = day(max(paper.due for paper in sheet.bill.documents))
    if total < 0:
        if member.iban is None:
            return f"You receive {amount} by {when}: please tell {creditor.name} your IBAN."
        return f"You receive {amount} by {when} on your account {iban(member.iban)}."
    if not obstacle_to_debit(member, sheet.billing, sheet.currency) and member.iban:
        return (
            f"{amount} will be collected from your account {iban(member.iban)} on {when}, by SEPA direct debit under "
            f"your mandate {member.mandate} (creditor identifier {sheet.billing.creditor_id})."
        )
    if creditor.iban is None:
        return f"Please pay {amount} to {creditor.name} by {when}."
    bank = f", BIC {creditor.bic}" if creditor.bic else ""
    numbers = " ".join(paper.number for paper in sheet.bill.documents)
    return f"Please pay {amount} by {when} to IBAN {iban(creditor.iban)}{bank}, with the reference {numbers}."


def account(sheet: Sheet) -> tuple[tuple[str, str], ...]:
    """How the documents come to the balance: name and amount of each, then of the balance; none for a single one."""
    papers = sheet.bill.documents
    if len(papers) < 2:
        return ()
    rows = [(f"{paper.title} {paper.number}", money(paper.gross, sheet.currency)) for paper in papers]
    last = "To pay" if sheet.bill.total >= 0 else "To receive"
    return (*rows, (last, f"{money(abs(sheet.bill.total), sheet.currency)} {sheet.currency}"))


def energy(sheet: Sheet) -> tuple[tuple[str, str, str], ...]:
    """Name, kWh and part of it, of what was drawn and fed in, each with what was shared."""
    sums = {name: sum(getattr(each, name) for each in sheet.days) for name in ("drawn", "bought", "fed", "sold")}
    rows = [("From the grid", kwh(sums["drawn"]), "")]
    rows.append(("of it shared", kwh(sums["bought"]), _part(sums["bought"], sums["drawn"])))
    rows.append(("To the grid", kwh(sums["fed"]), ""))
    rows.append(("of it shared", kwh(sums["sold"]), _part(sums["sold"], sums["fed"])))
    return tuple(rows)


@dataclass(frozen=True)
class Comparison:
    """Rows of name, alone and with the community; the last is the sum. verdict : what it comes to, a sentence"""

    rows: tuple[tuple[str, str, str], ...]
    verdict: str


ESTIMATED: Final = (
    "For comparison only. Your utility and your grid company send their own bills; their lines are estimated here from "
    "the tariff in the community's file, and are no part of what this page asks for."
)


def comparison(sheet: Sheet) -> Comparison | None:
    """What the month would have cost alone, and what it costs with the community; None where there is nothing to say.

    Each line is rounded to a cent first, so that the sums are those of the lines.
    """
    if not sheet.compared:
        return None
    currency = sheet.currency
    own = sum(line.gross for line in sheet.bill.lines if not line.corrects and line.month == sheet.month)
    lines = [
        (
            each.name[:1].upper() + each.name[1:],
            cents(Fraction(each.alone), currency),
            cents(Fraction(each.shared), currency),
        )
        for each in sheet.compared
    ]
    lines.append(("This bill, without corrections", 0, own))
    alone, shared = sum(line[1] for line in lines), sum(line[2] for line in lines)
    lines.append(("In all", alone, shared))
    rows = [(name, money(left, currency), money(right, currency)) for name, left, right in lines]
    apart = f"{money(abs(alone - shared), currency)} {currency}"
    if alone == shared:
        return Comparison(tuple(rows), "The community made no difference.")
    better = "better" if shared < alone else "worse"
    return Comparison(tuple(rows), f"With the community you are {apart} {better} off than alone.")


def readings(sheet: Sheet) -> str:
    """How the meters' values were obtained."""
    told = ", ".join(f"{count} {word}" for word, count in sheet.readings if count)
    return f"Readings: {told}." if told else "There are no readings."


def check(sheet: Sheet) -> tuple[str, str, tuple[str, ...]]:
    """How to check the page: a sentence, the root of the month's bills, commands."""
    file = shlex.quote(sheet.file or f"{sheet.bill.member}.json")
    sentence = (
        "Every figure here follows from the file that comes with this page. All bills of the month have one root, the "
        "same for every member: compare it with a neighbour's, or check the file with a node of the community and your "
        "membership card."
    )
    commands = f"commonwatt show {file}", f"commonwatt verify {file} --ledger NODE --card CARD"
    return sentence, f"0x{sheet.root.hex()}", commands


def address(party: Party) -> tuple[str, ...]:
    """Name and address, and what a tax office knows it by."""
    return (party.name, *party.address, *([f"VAT no. {party.vat_id}"] if party.vat_id else []))


def money(amount: int, currency: str) -> str:
    """An amount [cents] with the decimals of its currency, and a minus that is as wide as a digit."""
    return cents_text(amount, currency).replace("-", "−")


def kwh(wh: int) -> str:
    """Energy with three decimals."""
    return decimal_text(wh * 1000, 3).replace("-", "−")


def day(when: date) -> str:
    """Such as 1 October 2026."""
    return f"{when.day} {when:%B %Y}"


def iban(digits: str) -> str:
    """In groups of four."""
    return " ".join(digits[place : place + 4] for place in range(0, len(digits), 4))


def _part(some: int, whole: int) -> str:
    return f"{round_half_up(Fraction(100 * some, whole))} %" if whole else ""
