"""Who bills a community's members, what for, and what a bill has to say by law."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field

from commonwatt.community.table import Name, Table
from commonwatt.units import MICRO, micro

_MOST_FEE: Final = 10**6 * MICRO
STATUSES: Final = {
    "none": "No VAT: the issuer is no business.",
    "small business": "No VAT: small business, exempt from VAT.",
    "reverse charge": "Reverse charge: VAT is owed by the recipient.",
}
"""What a document says instead of VAT, by the status of whom it is from."""


@dataclass(frozen=True)
class Vat:
    """Whether somebody's supplies bear VAT. status : a word of STATUSES, or "taxed"; rate : of the net amount"""

    status: str = "none"
    rate: Fraction = Fraction(0)
    note: str = STATUSES["none"]


@dataclass(frozen=True)
class Party:
    """Somebody on a bill.

    name, address : as on an envelope; iban : of its account, without spaces; vat_id : of its VAT registration
    mandate, mandate_date : reference and day of its SEPA direct debit mandate
    """

    name: str
    address: tuple[str, ...] = ()
    iban: str | None = None
    bic: str | None = None
    vat_id: str | None = None
    vat: Vat = field(default_factory=Vat)
    mandate: str | None = None
    mandate_date: date | None = None


@dataclass(frozen=True)
class Billing:
    """The community as a creditor. Amounts are net, in micro-currency, whatever the community's unit.

    creditor_id : its SEPA creditor identifier
    due_days : from the date of a bill to when it is due
    member_fee : of each member and month; point_fee : of each metering point and month
    number : of a document, with {year}, {month} and {number}, which counts on over the months
    closed : the last day whose bills nothing changes any more; None = none
    """

    creditor: Party
    creditor_id: str | None = None
    due_days: int = 14
    member_fee: int = 0
    point_fee: int = 0
    number: str = "{year}-{number:04}"
    closed: date | None = None


def _iban(value: str) -> str:
    """Raises ValueError where the check digits (ISO 13616, modulo 97) do not fit."""
    iban = value.replace(" ", "").upper()
    if not re.fullmatch("[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}", iban):
        raise ValueError(f"'{value}' is not an IBAN, such as \"AT61 1904 3002 3457 3201\"")
    digits = "".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])
    if int(digits) % 97 != 1:
        raise ValueError(f"'{value}' has a typing error: its check digits do not fit")
    return iban


def _bic(value: str) -> str:
    bic = value.replace(" ", "").upper()
    if not re.fullmatch("[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?", bic):
        raise ValueError(f"'{value}' is not a BIC, such as \"BKAUATWW\"")
    return bic


def _creditor_id(value: str) -> str:
    """Raises ValueError where the check digits do not fit; the three letters behind them do not count (EPC262-08)."""
    creditor = value.replace(" ", "").upper()
    if not re.fullmatch("[A-Z]{2}[0-9]{2}[A-Z0-9]{4,31}", creditor):
        raise ValueError(f"'{value}' is not a creditor identifier, such as \"AT61ZZZ01234567890\"")
    digits = "".join(str(int(letter, 36)) for letter in creditor[7:] + creditor[:4])
    if int(digits) % 97 != 1:
        raise ValueError(f"'{value}' has a typing error: its check digits do not fit")
    return creditor


def _mandate(value: str) -> str:
    """As it was signed, so that it cannot be written in other letters."""
    if not re.fullmatch(r"[a-zA-Z0-9/\-?:().,'+ ]{1,35}", value) or "//" in f"/{value}/":
        raise ValueError(f"'{value}' is not the reference of a mandate: at most 35 of A-Z a-z 0-9 / - ? : ( ) . , ' +")
    return value


def _fee(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(f'must be an amount of money in quotes, such as "2.00", not {value}')
    return micro(value, 0, _MOST_FEE)


def _vat(value: object) -> Vat:
    if isinstance(value, str) and value in STATUSES:
        return Vat(value, note=STATUSES[value])
    if isinstance(value, str) and re.fullmatch(r"0\.[0-9]{1,6}", value):
        return Vat("taxed", Fraction(micro(value, 0), MICRO), "")
    words = ", ".join(f'"{status}"' for status in STATUSES)
    raise ValueError(f'must be {words} or a rate such as "0.20", not {value!r}')


def _number(value: str) -> str:
    if not re.fullmatch(r"([^{}]|\{year\}|\{month(:02)?\}|\{number(:0[1-9])?\})+", value) or "{number" not in value:
        raise ValueError(f"'{value}' holds {{number}}, and nothing else in braces but {{year}} and {{month:02}}")
    if len(value.format(year=2026, month=12, number=99_999)) > _LONGEST_NUMBER:
        raise ValueError(f"'{value}' makes numbers of more than {_LONGEST_NUMBER} letters")
    return value


_LONGEST_NUMBER: Final = 35
"""Of a document's number: SEPA messages have room for so many letters."""
_DEFAULT = Billing(Party(""))

Iban = Annotated[str, AfterValidator(_iban)]
Bic = Annotated[str, AfterValidator(_bic)]
CreditorId = Annotated[str, AfterValidator(_creditor_id)]
Mandate = Annotated[str, AfterValidator(_mandate)]
Fee = Annotated[int, BeforeValidator(_fee)]
VatStatus = Annotated[Vat, BeforeValidator(_vat)]
Address = Annotated[list[Name], Field(max_length=6, default_factory=list)]


class PartyTable(Table):
    """A member on its bills."""

    name: Name | None = None
    address: Address
    iban: Iban | None = None
    bic: Bic | None = None
    vat_id: Name | None = None
    vat: VatStatus = Vat()
    mandate: Mandate | None = None
    mandate_date: date | None = None


class BillingTable(Table):
    """The creditor and its fees."""

    creditor: Annotated[Name, Field(description="who the bills are from")]
    address: Address
    iban: Iban | None = None
    bic: Bic | None = None
    vat_id: Name | None = None
    vat: Annotated[VatStatus, Field(description='"none", "small business", "reverse charge" or a rate such as "0.20"')]
    creditor_id: CreditorId | None = None
    due_days: Annotated[int, Field(ge=0, le=365)] = _DEFAULT.due_days
    member_fee: Fee = _DEFAULT.member_fee
    point_fee: Fee = _DEFAULT.point_fee
    number: Annotated[Name, AfterValidator(_number)] = _DEFAULT.number
    closed: date | None = None


def billing_of(table: BillingTable) -> Billing:
    """The creditor that the file describes."""
    creditor = Party(table.creditor, tuple(table.address), table.iban, table.bic, table.vat_id, table.vat, None, None)
    return Billing(
        creditor,
        table.creditor_id,
        table.due_days,
        table.member_fee,
        table.point_fee,
        table.number,
        table.closed,
    )


def party_of(table: PartyTable | None, id_: str) -> Party:
    """A member as its bills name it; without a table by its name in the file."""
    if table is None:
        return Party(id_)
    return Party(
        table.name or id_,
        tuple(table.address),
        table.iban,
        table.bic,
        table.vat_id,
        table.vat,
        table.mandate,
        table.mandate_date,
    )
