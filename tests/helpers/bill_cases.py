"""Bills of a fictional energy community, and random ones, as `commonwatt.billing` makes them from amounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

from hypothesis import strategies as st

from commonwatt.billing.lines import FED_IN, MEMBER_FEE, POINT_FEE, TAKEN, Amount, Key, MemberBill, bill, line
from commonwatt.billing.month import Month
from commonwatt.billing.sheet import Compared, Day, Sheet
from commonwatt.community.billing import STATUSES, Billing, Party, Vat

OCTOBER, SEPTEMBER = Month(2026, 10), Month(2026, 9)
ISSUED = date(2026, 11, 14)
AUSTRIAN, GERMAN, DUTCH = "AT611904300234573201", "DE89370400440532013000", "NL91ABNA0417164300"
"""Published examples of account numbers."""

CREDITOR = Party(
    "Energiegemeinschaft Lindenhof",
    ("Schulgasse 1", "4020 Linz"),
    AUSTRIAN,
    "BKAUATWW",
    "ATU12345678",
    Vat("taxed", Fraction(1, 5), ""),
)
BILLING = Billing(CREDITOR, "AT61ZZZ01234567890", member_fee=2_000_000, point_fee=500_000)
HUBER = Party(
    "Jürgen Huber",
    ("Am Rain 7", "4020 Linz"),
    GERMAN,
    vat=Vat("small business", note=STATUSES["small business"]),
    mandate="M-2026-001",
    mandate_date=date(2026, 9, 1),
)
IMPORT, EXPORT = "AT0031000000000000000000000012345", "AT0031000000000000000000000067890"
_ENERGY = ((TAKEN, IMPORT, Amount(120_118, 1250, 104_064)), (FED_IN, EXPORT, Amount(100_250, -902, 90_000)))
_FEES = ((MEMBER_FEE, "", Amount(0, 200)), (POINT_FEE, IMPORT, Amount(0, 50)))


def made(party: Party, amounts: Sequence[tuple[Key, Month, Amount, bool]], billing: Billing = BILLING) -> MemberBill:
    """A member's bill of amounts: key, month, amount, whether it corrects an earlier bill."""
    lines = [
        line(key, month, amount, billing, party, "2026-0007" if fix else "") for key, month, amount, fix in amounts
    ]
    member = amounts[0][0].member if amounts else "nobody"
    return bill(member, lines, billing, party, ISSUED, 1)[0]


def usual(party: Party = HUBER, member: str = "huber") -> MemberBill:
    """Of a prosumer with fees."""
    return made(party, [(Key(member, kind, point), OCTOBER, each, False) for kind, point, each in (*_ENERGY, *_FEES)])


def long(points: int = 20) -> MemberBill:
    """Of a member with many metering points, whose last three months were corrected."""
    found = []
    for place in range(points):
        key = Key("huber", TAKEN, f"{IMPORT[:-4]}{place:04}")
        found.append((key, OCTOBER, Amount(10_000 + place, 110 + place, 110_000), False))
        found += [(key, Month(2026, month), Amount(-250, -3, 110_000), True) for month in (7, 8, 9)]
    return made(HUBER, found)


def sheet(own: MemberBill | None = None, party: Party = HUBER, billing: Billing = BILLING) -> Sheet:
    """A page of October."""
    days = tuple(
        Day(date(2026, 10, 1) + timedelta(place), 9000 + 400 * place % 5000, 300 * (place % 9), 4000, 200 * (place % 9))
        for place in range(31)
    )
    compared = (
        Compared("Utility: energy", 61_234_567, 42_100_000),
        Compared("Utility: feed-in", -4_104_000, -1_368_000),
        Compared("Grid company: network fee", 12_000_000, 9_500_000),
        Compared("Grid company: metering", 2_400_000, 2_400_000),
        Compared("Levy: renewables", 1_234_500, 812_345),
        Compared("VAT on these", 14_553_013, 10_688_869),
    )
    return Sheet(
        "Lindenhof",
        "EUR",
        OCTOBER,
        party,
        usual(party) if own is None else own,
        days,
        compared,
        (("measured", 2974), ("substituted", 6)),
        bytes(range(32)),
        billing,
    )


@st.composite
def parties(draw: st.DrawFn) -> Party:
    """A member with or without an account, a mandate and VAT."""
    name = draw(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=30))
    vat = draw(st.sampled_from([*(Vat(status, note=note) for status, note in STATUSES.items()), CREDITOR.vat]))
    mandate = draw(st.sampled_from([(None, None), ("M-1", None), ("M-1", date(2026, 1, 2))]))
    return Party(name, ("Am Rain 7",), draw(st.sampled_from([None, GERMAN, DUTCH])), None, None, vat, *mandate)


@st.composite
def months(draw: st.DrawFn) -> tuple[list[MemberBill], Billing]:
    """All bills of a random month, with corrections of the month before, and the community that they are from."""
    vat = draw(st.sampled_from([Vat(), Vat("taxed", Fraction(draw(st.integers(1, 999_999)), 10**6), "")]))
    billing = replace(BILLING, creditor=replace(CREDITOR, vat=vat))
    bills, number = [], 1
    for place, party in enumerate(draw(st.lists(parties(), min_size=1, max_size=5))):
        lines = [
            line(
                Key(f"m{place}", kind, point),
                month,
                Amount(wh, cents, price),
                billing,
                party,
                corrects=month != OCTOBER,
            )
            for kind, point, month, wh, cents, price in draw(st.lists(_AMOUNTS, max_size=6))
        ]
        found, number = bill(f"m{place}", lines, billing, party, ISSUED, number)
        bills.append(found)
    return bills, billing


_AMOUNTS = st.tuples(
    st.sampled_from([TAKEN, FED_IN, MEMBER_FEE, POINT_FEE]),
    st.sampled_from(["", IMPORT, "=1+1", '"a",b']),
    st.sampled_from([OCTOBER, SEPTEMBER]),
    st.integers(-(10**7), 10**7),
    st.integers(-(10**6), 10**6),
    st.none() | st.integers(0, 10**7),
)
