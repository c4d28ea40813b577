"""Metering points, times of membership and the creditor: what the file may say of them."""

from __future__ import annotations

from datetime import date

import pytest

from commonwatt.community.billing import Vat
from commonwatt.community.points import Point, Span
from commonwatt.community.roles import Role
from commonwatt.community.toml import draft, parse
from commonwatt.errors import ConfigError

HEAD = """
[community]
name = "Hill"
currency = "EUR"
timezone = "Europe/Vienna"
[tariff]
retail = "0.28"
feed_in = "0.06"
[market]
by = "registers"
[market.sharing]
mechanism = "sharing-key"
[billing]
creditor = "Hill"
vat = "small business"
iban = "AT61 1904 3002 3457 3201"
"""
ANNA, BEN = (
    '[members.anna]\npoints = [{ import = "A1" }]\n',
    '[members.ben]\npoints = [{ import = "B1", export = "B2" }]\n',
)


def findings(text: str) -> list[str]:
    return [str(finding) for finding in draft(text).findings]


def test_points_and_periods_are_read() -> None:
    text = HEAD + ANNA + BEN + 'from = 2026-10-15\n[members.ben.billing]\nvat = "0.20"\nname = "Ben"\n'
    anna, ben = parse(text, "hill.toml").members
    assert (anna.points, anna.role, anna.spans) == ((Point("A1", None),), Role.CONSUMER, ())
    assert (ben.points, ben.role, ben.spans) == ((Point("B1", "B2"),), Role.PROSUMER, (Span(date(2026, 10, 15), None),))
    assert (ben.party.name, ben.party.vat.status, str(ben.party.vat.rate)) == ("Ben", "taxed", "1/5")
    assert [ben.on(date(2026, 10, day)) for day in (14, 15)] == [False, True]
    assert anna.party.name == "anna"


def test_the_creditor_is_read() -> None:
    billing = parse(HEAD + ANNA, "hill.toml").billing
    assert billing is not None
    assert billing.creditor.iban == "AT611904300234573201"
    assert billing.creditor.vat == Vat("small business", note="No VAT: small business, exempt from VAT.")
    assert (billing.due_days, billing.member_fee, billing.closed) == (14, 0, None)


def test_who_left_and_came_back() -> None:
    times = "periods = [{ until = 2026-03-31 }, { from = 2026-10-01 }]\n"
    (anna,) = parse(HEAD + ANNA + times, "hill.toml").members
    assert [anna.on(date(2026, month, 15)) for month in (3, 4, 9, 10)] == [True, False, False, True]
    assert anna.within(date(2026, 3, 31), date(2026, 4, 30))
    assert not anna.within(date(2026, 4, 1), date(2026, 9, 30))


def test_a_register_may_change_hands() -> None:
    later = BEN.replace('"B1", export = "B2"', '"A1"') + "from = 2026-10-15\n"
    parse(HEAD + ANNA + "until = 2026-10-14\n" + later, "hill.toml")
    told = findings(HEAD + ANNA + later)
    assert told == [
        "members.ben.points: name 'A1', which is anna's at the same time; each register counts for one member"
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("[{ import", "[{}, { import"), "members.anna.points[1]"),
        (
            ('{ import = "A1" }', '{ import = "A1" }, { import = "A1" }'),
            "members.anna.points: name 'A1' more",
        ),
        (('points = [{ import = "A1" }]', "points = []"), "members.anna.points"),
        (('points = [{ import = "A1" }]', 'load = "A1"'), "members.anna.points: is missing"),
        (("[members.anna]\n", '[members.anna]\nload = "A1"\n'), "members.anna.load: does not go with points"),
        (("[members.anna]\n", "[members.anna]\nfrom = 2026-02-01\nuntil = 2026-01-01\n"), "members.anna.until"),
        (("[members.anna]\n", '[members.anna]\nfrom = "2026-02-01"\n'), "members.anna.from"),
        (("[members.anna]\n", "[members.anna]\nperiods = [{}, {}]\n"), "members.anna.periods: have a day in common"),
        (('by = "registers"', 'by = "register"'), "market.by: must be"),
        (('mechanism = "sharing-key"', 'mechanism = "fixed"\ngate = "12:00"'), "market.sharing.gate: does not go with"),
        (("AT61 1904 3002", "AT61 1904 3003"), "billing.iban: 'AT61 1904 3003 3457 3201' has a typing error"),
        (('"small business"', '"small"'), "billing.vat: must be"),
        (('creditor = "Hill"\n', ""), "billing.creditor: is missing"),
        (('vat = "small', 'number = "{year}"\nvat = "small'), "billing.number"),
        (('vat = "small', 'number = "{number.__class__}"\nvat = "small'), "billing.number"),
        (('vat = "small', 'member_fee = 2\nvat = "small'), "billing.member_fee"),
    ],
)
def test_what_is_wrong_is_told_where_it_is(change: tuple[str, str], told: str) -> None:
    text = (HEAD + ANNA).replace(*change, 1)
    with pytest.raises(ConfigError) as error:
        parse(text, "hill.toml")
    assert any(str(finding).startswith(told) for finding in error.value.findings), str(error.value)
