"""What a month's bills say: lines in cents, of each member and register, and the documents that they make.

A cent is the least that is paid in the currency (`units.minor_unit`): a whole yen, a thousandth of a dinar.
A line's net amount is what its energy settled at, rounded half up to a cent; VAT is on the line, rounded half up; the
totals are sums of lines. So every total agrees to the cent with the lines below it, and what is bought and sold among
members differs in sum by the cents that rounding gave or took, which the community's totals say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Final, Literal

import numpy as np

from commonwatt.accounts.registers import Registers
from commonwatt.billing.month import Month
from commonwatt.community.billing import Billing, Party, Vat
from commonwatt.community.model import Community
from commonwatt.exchange import tables
from commonwatt.exchange.books import Books
from commonwatt.units import WH_PER_KWH, minor_unit, paid_text, round_half_up, rounded

Kind = Literal["local energy", "local feed-in", "member fee", "point fee"]
TAKEN: Final[Kind] = "local energy"
FED_IN: Final[Kind] = "local feed-in"
MEMBER_FEE: Final[Kind] = "member fee"
POINT_FEE: Final[Kind] = "point fee"
INVOICE: Final = "Invoice"
CREDIT_NOTE: Final = "Credit note"


@dataclass(frozen=True, order=True)
class Key:
    """What an amount is for. point : name of the register, or of the point of a fee; empty for the member itself"""

    member: str
    kind: Kind
    point: str


@dataclass(frozen=True)
class Amount:
    """wh : [Wh]; cents : net, positive = the member owes

    price : net per kWh [micro-currency], None where there is none
    """

    wh: int
    cents: int
    price: int | None = None


@dataclass(frozen=True)
class Line:
    """A line of a document.

    month : what it is for; wh : energy [Wh], None for a fee; price : net per kWh [micro-currency], None where there is
        no single one
    net, vat, gross : [cents], positive = the member owes
    creditor : whose income it is, by its name; status : its VAT status when the energy was supplied
    corrects : number of the document to which it is the difference; empty where it is none
    """

    key: Key
    month: Month
    wh: int | None
    price: int | None
    net: int
    vat: int
    creditor: str
    status: Vat
    corrects: str = ""

    @property
    def gross(self) -> int:
        """Net and VAT [cents]."""
        return self.net + self.vat


@dataclass(frozen=True)
class Document:
    """An invoice of the community to a member, or a credit note to it for what it fed in.

    title : INVOICE or CREDIT_NOTE; number : unique in the community's books
    issuer : whose supply it is; vat : its status when it supplied what the lines are for
    """

    number: str
    title: str
    issued: date
    due: date
    issuer: Party
    recipient: Party
    vat: Vat
    lines: tuple[Line, ...]

    @property
    def net(self) -> int:
        """Sum of the lines [cents], positive = the member owes."""
        return sum(line.net for line in self.lines)

    @property
    def tax(self) -> int:
        """VAT of the lines [cents]."""
        return sum(line.vat for line in self.lines)

    @property
    def gross(self) -> int:
        """What is to be paid [cents], positive = by the member."""
        return self.net + self.tax


@dataclass(frozen=True)
class MemberBill:
    """All that a member is sent for a month. member : its id"""

    member: str
    documents: tuple[Document, ...]

    @property
    def total(self) -> int:
        """What the member pays, or receives below 0 [cents]."""
        return sum(document.gross for document in self.documents)

    @property
    def party(self) -> Party:
        """The member on its documents, of which it has at least one."""
        first = self.documents[0]
        return first.recipient if first.title == INVOICE else first.issuer

    @property
    def lines(self) -> tuple[Line, ...]:
        """Of all its documents."""
        return tuple(line for document in self.documents for line in document.lines)


def amounts(books: Books, billing: Billing, month: Month) -> dict[Key, Amount]:
    """What a settled month comes to, as the store has it now; nothing for who has neither energy nor fees."""
    community = books.rules.community
    energy = _of_registers(books) if books.rules.registers else _of_members(books)
    return {**energy, **_fees(community, billing, month)}


def _of_registers(books: Books) -> dict[Key, Amount]:
    """Of each register what it shared, whoever shared it."""
    community, registers = books.rules.community, books.rules.registers or Registers.of(())
    wh, worth = (books.shares[name].sum(axis=1).tolist() for name in ("shared", "worth"))
    found = {}
    for place, (owner, name) in enumerate(zip(registers.owner.tolist(), registers.names, strict=True)):
        member, taken = community.members[owner], place < registers.importing
        if wh[place] or member.within(books.rules.start, books.rules.last):
            key = Key(member.id, TAKEN if taken else FED_IN, name)
            found[key] = _amount(wh[place], worth[place] if taken else -worth[place], community)
    return found


def _of_members(books: Books) -> dict[Key, Amount]:
    """Of each member what it bought and what it sold."""
    community = books.rules.community
    bought, sold = np.zeros((2, 2, books.rules.members), dtype=np.int64)
    columns = books.store.last(tables.trades, ("buyer", "seller", "settled", "price"), books.rules.period)
    buyer, seller, wh, price = np.array(columns, dtype=np.int64).reshape(-1, 4).T
    for side, end in ((bought, buyer), (sold, seller)):
        np.add.at(side[0], end, wh)
        np.add.at(side[1], end, wh * price)
    found = {}
    for member in community.members:
        for kind, side, sign in ((TAKEN, bought, 1), (FED_IN, sold, -1)):
            if side[0, member.index]:
                amount = _amount(int(side[0, member.index]), sign * int(side[1, member.index]), community)
                found[Key(member.id, kind, "")] = amount
    return found


def _amount(wh: int, worth: int, community: Community) -> Amount:
    """worth : [unit/1000], positive = the member owes"""
    price = round_half_up(Fraction(abs(worth) * community.unit, wh)) if wh else None
    return Amount(wh, cents(Fraction(worth * community.unit, WH_PER_KWH), community.currency), price)


def _fees(community: Community, billing: Billing, month: Month) -> dict[Key, Amount]:
    """What is owed for being a member, whole months at a time."""
    found = {}
    for member in community.members:
        if not member.within(month.first, month.last):
            continue
        if billing.member_fee:
            found[Key(member.id, MEMBER_FEE, "")] = Amount(0, cents(Fraction(billing.member_fee), community.currency))
        for point in member.points if billing.point_fee else ():
            name = point.draws or point.feeds or ""
            found[Key(member.id, POINT_FEE, name)] = Amount(0, cents(Fraction(billing.point_fee), community.currency))
    return found


def cents(amount: Fraction, currency: str) -> int:
    """An amount [micro-currency] in cents of the currency, or the least that it has, half of one away from zero."""
    return rounded(amount / minor_unit(currency))


def cents_text(cents: int, currency: str) -> str:
    """Decimal text of an amount of a line or a document [cents]."""
    return paid_text(cents * minor_unit(currency), currency)


def line(key: Key, month: Month, amount: Amount, billing: Billing, party: Party, corrects: str = "") -> Line:
    """The line of an amount, with its VAT. party : the member"""
    issuer = party if key.kind == FED_IN else billing.creditor
    wh = amount.wh if key.kind in (TAKEN, FED_IN) else None
    vat = rounded(issuer.vat.rate * amount.cents)
    return Line(key, month, wh, amount.price, amount.cents, vat, issuer.name, issuer.vat, corrects)


def correction(now: Amount | None, sent: Sequence[Line]) -> Amount | None:
    """What an amount differs by from what bills said so far of the same month; None where it does not."""
    owed = now or Amount(0, 0)
    wh, net = owed.wh - sum(each.wh or 0 for each in sent), owed.cents - sum(each.net for each in sent)
    prices = {owed.price, *(each.price for each in sent)} - {None}
    return Amount(wh, net, prices.pop() if len(prices) == 1 and wh else None) if wh or net else None


def bill(
    member: str, lines: Sequence[Line], billing: Billing, party: Party, issued: date, number: int
) -> tuple[MemberBill, int]:
    """The documents that a member's lines make, one for each VAT status, and the next free number.

    number : of the first document, to be put into the community's form of numbers
    """
    found = []
    for chosen in _apart(lines):
        taxed, fed_in = chosen[0].status, chosen[0].key.kind == FED_IN
        issuer, recipient = (party, billing.creditor) if fed_in else (billing.creditor, party)
        name = billing.number.format(year=issued.year, month=issued.month, number=number)
        due, title = issued + timedelta(days=billing.due_days), CREDIT_NOTE if fed_in else INVOICE
        found.append(Document(name, title, issued, due, replace(issuer, vat=taxed), recipient, taxed, tuple(chosen)))
        number += 1
    return MemberBill(member, tuple(found)), number


def _apart(lines: Sequence[Line]) -> Iterable[Sequence[Line]]:
    """Lines by the document that they belong on: invoices first, then credit notes, each of one VAT status.

    What corrects an earlier month bears the VAT of then, also where the status has changed since.
    """
    found: dict[tuple[bool, Vat], list[Line]] = {}
    for each in sorted(lines, key=lambda each: each.key.kind == FED_IN):
        found.setdefault((each.key.kind == FED_IN, each.status), []).append(each)
    return found.values()
