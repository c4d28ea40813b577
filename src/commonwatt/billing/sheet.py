"""All that stands on a member's printed page of a month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from commonwatt.billing.lines import MemberBill
from commonwatt.billing.month import Month
from commonwatt.community.billing import Billing, Party


@dataclass(frozen=True)
class Day:
    """A local day of the curve, each [Wh] >= 0.

    drawn, fed : by the meters; bought, sold : of it, within the community
    """

    day: date
    drawn: int
    fed: int
    bought: int
    sold: int


@dataclass(frozen=True)
class Compared:
    """A line of what others bill, for comparison alone: of the utility or the grid company.

    alone, shared : without and with the community [micro-currency], positive = the member owes
    """

    name: str
    alone: int
    shared: int


@dataclass(frozen=True)
class Sheet:
    """A member's page.

    days : those of the month, in order; 0 before and after its membership
    compared : what the utility and the grid company bill, by its tariff in the file, none of it part of the total
    readings : how values were obtained: words such as "measured", and how many of those of the member's registers
    root : of all bills of the month, 32 bytes; with it and the file beside, anybody can check the page's figures
    billing : whom the bills are from
    file : name of the bill that the page can be checked with; empty = the member's id
    """

    community: str
    currency: str
    month: Month
    member: Party
    bill: MemberBill
    days: tuple[Day, ...]
    compared: tuple[Compared, ...]
    readings: tuple[tuple[str, int], ...]
    root: bytes
    billing: Billing
    file: str = ""
