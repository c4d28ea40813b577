"""Bills at prices of either sign: what the exchange writes is believed, and nothing that was changed in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from by_slot import contents as contents_of
from by_slot import proven, require_amounts, verify_bill
from exchange_cases import begin, exchange_of, short_days
from hypothesis import given
from hypothesis import strategies as st
from plant_owners import BARN, FLAT, ROOF, SHOP, SUN, TEXT

from commonwatt.accounts.charges import charges
from commonwatt.accounts.document import Part, charge_lines, grid_amount, tariff_terms, tariffs
from commonwatt.community.tariff import Flat, Levy, Tariff, slot_prices
from commonwatt.errors import VerificationError
from commonwatt.member.shares import as_divided
from commonwatt.member.terms import Terms
from commonwatt.simulation.result import Result
from commonwatt.units import MAX_PRICE, payment

Content = dict[str, Any]
of_the_utility = st.one_of(st.integers(-2_000_000, 2_000_000), st.sampled_from([-MAX_PRICE, MAX_PRICE]))
SLOT = st.tuples(
    st.integers(-20_000, 20_000), st.integers(-5_000, 5_000), st.integers(0, 300_000), of_the_utility, of_the_utility
)
"""What met the utility and what neighbours exchanged [Wh], at which price; the utility's two prices."""


@st.composite
def contents(draw: st.DrawFn) -> Content:
    rows = draw(st.lists(SLOT, min_size=1, max_size=5))
    vat = Fraction(draw(st.integers(0, 99)), 100)
    fees = (draw(st.integers(0, 50_000)), draw(st.integers(0, 50_000)))
    tariff = Tariff(Flat(0), Flat(0), fees[0], (Levy("levy", fees[1], draw(st.booleans())),), vat=vat)
    grid, local, price, retail, feed_in = np.array(rows).T
    credit = [-payment(wh, each) for wh, each in zip(local.tolist(), price.tolist(), strict=True)]
    prices = slot_prices(tariff, retail, feed_in)
    found = charges(tariff, prices, grid[None], local[None], np.array([credit]))
    alone = charges(tariff, prices, (grid + local)[None], 0 * grid[None], 0 * grid[None])
    slots = [
        {
            "slot": number,
            "trades": [
                {"buyer": 0 if wh > 0 else 1, "seller": 1, "settledWh": abs(wh), "payment": payment(abs(wh), each)}
            ],
            "prices": {"retail": asked, "feedIn": paid},
            "grid": {"wh": met, "amount": grid_amount(met, asked, paid)},
        }
        for number, (met, wh, each, asked, paid) in enumerate(rows)
    ]
    return {
        "period": {"from": 0, "until": len(rows)},
        "member": {"index": 0},
        **tariffs([Part(0, len(rows), None, tariff_terms(tariff))]),
        "slots": slots,
        "charges": charge_lines(found, 0),
        "total": int(found.total[0]),
        "withoutMarket": int(alone.total[0]),
    }


@given(contents())
def test_what_the_exchange_adds_up_the_member_adds_up(content: Content) -> None:
    require_amounts(content)


@given(contents(), st.data())
def test_no_amount_can_be_changed(content: Content, data: st.DataObject) -> None:
    amounts = [
        (content, "total"),
        (content, "withoutMarket"),
        *((line, "amount") for line in content["charges"]),
        *((line["grid"], "amount") for line in content["slots"]),
    ]
    table, key = data.draw(st.sampled_from(range(len(amounts))).map(amounts.__getitem__))
    table[key] += data.draw(st.sampled_from([-1, 1, -1000, 1000])) if data.draw(st.booleans()) else -2 * table[key] or 1
    with pytest.raises(VerificationError, match=r"not (what the slots add up to|the sum of|energy times price)"):
        require_amounts(content)


@given(contents(), st.sampled_from(["retail", "feedIn"]), st.sampled_from([-1, 1]))
def test_prices_beyond_the_bounds_are_refused(content: Content, name: str, sign: int) -> None:
    content["slots"][-1]["prices"][name] = sign * (MAX_PRICE + 1)
    with pytest.raises(VerificationError, match="A price is out of bounds"):
        require_amounts(content)


@pytest.mark.parametrize("name", ["networkFee", "levy"])
def test_fees_are_not_below_zero(name: str) -> None:
    tariff = Tariff(Flat(0), Flat(0), 0, (Levy("levy", 0),))
    parts = tariffs([Part(0, 1, None, tariff_terms(tariff))])
    content = {"period": {"from": 0, "until": 1}, **parts, "slots": [], "member": {"index": 0}}
    if name == "levy":
        content["tariff"]["levies"][0]["price"] = -1
    else:
        content["tariff"]["networkFee"] = -1
    with pytest.raises(VerificationError, match="A price is out of bounds"):
        require_amounts(content)


# Plants of several owners, on a chain

WINDY = TEXT.replace(
    'feed_in = "0.08"',
    'feed_in = [{ from = "00:00", price = "0.08" }, { from = "09:00", price = "-0.067" }, '
    '{ from = "13:00", price = "0.08" }]',
).replace(
    'retail = "0.27"',
    'retail = [{ from = "00:00", price = "0.27" }, { from = "11:00", price = "-0.05" }, '
    '{ from = "12:00", price = "0.27" }]',
)


@pytest.fixture(scope="module")
def windy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    folder = tmp_path_factory.mktemp("windy")
    with short_days():
        simulation = begin(folder, WINDY)
    while simulation.advance():
        pass
    result = simulation.run()
    yield result
    result.close()


def shares_of(content: Content) -> list[Any]:
    return [(line, share) for line in content["slots"] for share in line.get("shares", [])]


def test_owners_pay_for_what_their_plants_cannot_get_rid_of_and_bills_prove_it(windy: Result) -> None:
    client, files = exchange_of(windy).client, Terms(windy.community, Path())
    bills = [json.loads(json.dumps(bill)) for bill in proven(windy.books, windy.bills)]
    for bill in bills:
        verify_bill(bill, client)
        files.check(bill["content"])
    for owner, plant in ((SHOP, BARN), (SUN, BARN), (FLAT, BARN), (FLAT, ROOF), (SHOP, ROOF)):
        as_divided(bills[owner]["content"], bills[plant]["content"])
    lost = [share for bill in bills for _, share in shares_of(bill["content"]) if share["amount"] < 0]
    assert lost
    assert sum(share["amount"] for share in lost) < -10_000
    assert windy.charges.total.sum() != windy.charges_without_market.total.sum()
    assert not windy.arrays["credit"].sum()
    assert not sum(division.moved(len(bills)).sum() for division in windy.charges.plants)


def _better(content: Content) -> None:
    share = next(share for _, share in shares_of(content) if share["amount"] < -1_000)
    share["amount"] += 900


def _all_gone(content: Content) -> None:
    share = next(share for _, share in shares_of(content) if share["amount"] < -1_000)
    share["earned"] = share["amount"] = 0
    share["withoutMarket"] = 0


def _too_much_lost(content: Content) -> None:
    line, share = next((line, share) for line, share in shares_of(content) if share["amount"] < -1_000)
    share["earned"] *= 3
    share["amount"] *= 3
    assert line["prices"]["feedIn"] < 0


def _owed_by_the_plant(content: Content) -> None:
    content["owns"][0]["onLedger"] += 10**9


@pytest.mark.parametrize("change", [_better, _all_gone, _too_much_lost, _owed_by_the_plant])
def test_an_owner_is_told_no_other_loss(windy: Result, change: Any) -> None:
    content = contents_of(windy.books)[SHOP]
    require_amounts(content)
    change(content)
    with pytest.raises(VerificationError, match=r"the share of barn|barn earned less|The amounts of barn|of roof"):
        require_amounts(content)
