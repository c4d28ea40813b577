"""What every pool keeps, and the price of each."""

from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from pool_cases import MECHANISMS, POOLS, bounds, case, clear, nets, slots_with_limits

from commonwatt.errors import MarketError
from commonwatt.market.designs import mid_market, sdr, sdr_compensated
from commonwatt.records.clearing import Clearing
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, payment

each_pool = pytest.mark.parametrize(("name", "parameters"), POOLS, ids=lambda value: str(value))
each_price = pytest.mark.parametrize(
    "prices",
    [
        sdr.pool_prices,
        mid_market.pool_prices,
        lambda *of: sdr_compensated.pool_prices(Fraction(1, 3), *of),
        lambda *of: sdr_compensated.pool_prices(Fraction(1), *of),
    ],
    ids=["sdr", "mid-market", "compensated by a third", "compensated in full"],
)


@pytest.mark.parametrize("name", ["sdr", "sdr-compensated", "mid-market"])
def test_the_price_curve_is_that_of_the_reference_case(name: str) -> None:
    given, expected = case(name)
    for of, due in zip(given["slots"], expected["slots"], strict=True):
        found = clear(given["mechanism"], given["parameters"], of["net_wh"], given["ceiling"], given["floor"])
        assert {**found.prices, "local_wh": int(found.trades.wh.sum())} == due, of["supply_to_demand"]


@each_price
@given(st.integers(0, 10**12), st.integers(0, 10**12), bounds)
def test_the_budget_identity_is_exactly_zero(
    prices: Callable[..., Any], supply: int, demand: int, floor_ceiling: list[int]
) -> None:
    floor, ceiling = floor_ceiling
    sell, buy = prices(supply, demand, ceiling, floor)
    imported, exported = max(0, demand - supply), max(0, supply - demand)
    assert buy * demand - sell * supply - ceiling * imported + floor * exported == 0
    assert floor <= sell <= ceiling
    assert floor <= buy <= ceiling


def as_published(kappa: Fraction, supply: int, demand: int, ceiling: int, floor: int) -> tuple[Fraction, Fraction]:
    """Both prices of the compensated ratio, written as the field writes them, for supply, demand, floor > 0."""
    ratio, compensation = Fraction(supply, demand), kappa * (ceiling - floor)
    if ratio > 1:
        return floor + compensation / ratio, floor + compensation
    sell = (floor + compensation) * ceiling / ((ceiling - floor - compensation) * ratio + floor + compensation)
    return sell, sell * ratio + ceiling * (1 - ratio)


positive = st.integers(1, 10**9)


@given(st.fractions(0, 1), positive, positive, positive, positive)
def test_both_ratio_pools_have_the_published_prices(
    kappa: Fraction, supply: int, demand: int, first: int, second: int
) -> None:
    floor, ceiling = sorted((first, second))
    of = (supply, demand, ceiling, floor)
    assert sdr_compensated.pool_prices(kappa, *of) == as_published(kappa, *of)
    assert sdr.pool_prices(*of) == as_published(Fraction(0), *of)


@given(nets, bounds)
def test_money_is_energy_at_the_published_prices(energy: list[int], floor_ceiling: list[int]) -> None:
    """To the rounding of the prices (half a unit per kWh), of each payment (one unit) and of the shares (one Wh)."""
    floor, ceiling = floor_ceiling
    for name, parameters in POOLS[:-1]:
        note(f"{name} {parameters}")
        found = clear(name, parameters, energy, ceiling, floor)
        for net, owes in zip(energy, owed(found, ceiling, floor), strict=True):
            due = payment(net, found.prices["buy" if net > 0 else "sell"])
            assert abs(owes - due) <= 2 + len(found.trades) + abs(net) / 1000 + ceiling / 1000


def owed(clearing: Clearing, ceiling: int, floor: int) -> list[int]:
    """What each member owes neighbours and utility together."""
    utility = [payment(wh, ceiling if wh > 0 else floor) for wh in clearing.grid.tolist()]
    return [bill - credit for bill, credit in zip(utility, clearing.trades.credit(len(utility)).tolist(), strict=True)]


@given(nets, bounds)
def test_nobody_pays_more_or_earns_less_than_with_the_utility_alone(
    energy: list[int], floor_ceiling: list[int]
) -> None:
    floor, ceiling = floor_ceiling
    for name, parameters in POOLS:
        note(f"{name} {parameters}")
        found = clear(name, parameters, energy, ceiling, floor)
        for net, owes in zip(energy, owed(found, ceiling, floor), strict=True):
            # A sum of payments, each rounded down, can miss one unit per trade.
            assert owes <= payment(net, ceiling if net > 0 else floor) + len(found.trades) + 1


@given(slots_with_limits(), st.randoms(use_true_random=False))
def test_the_order_of_members_changes_ties_only(of: tuple[Any, ...], chance: Random) -> None:
    energy, ceiling, floor, max_buy, min_sell = of
    order = list(range(len(energy)))
    chance.shuffle(order)
    shuffled = [[column[i] for i in order] for column in (energy, max_buy, min_sell)]
    for name, parameters in POOLS:
        note(f"{name} {parameters}")
        found = clear(name, parameters, *of)
        other = clear(name, parameters, shuffled[0], ceiling, floor, *shuffled[1:])
        # Of equal static shares the odd Wh may fall to a member that does not use it.
        ties = len(energy) if parameters.get("key") == "static" else 0
        assert ties or other.prices == found.prices
        assert abs(int(other.trades.wh.sum()) - int(found.trades.wh.sum())) <= ties
        assert len(found.trades) < max(1, len(energy))
        moved = other.trades.position(len(energy)) - found.trades.position(len(energy))[order]
        assert np.abs(moved).max(initial=0) <= max(1, ties)


@each_pool
def test_edges(name: str, parameters: dict[str, str]) -> None:
    for energy in ([], [0], [0, 0], [700], [-700], [500, 700], [-500, -700], [1, -1], [1, 1, -1]):
        found = clear(name, parameters, energy)
        local = min(sum(n for n in energy if n > 0), -sum(n for n in energy if n < 0))
        assert int(found.trades.wh.sum()) <= local
        assert found.grid.sum() == sum(energy)
    equal = clear(name, {} if "price" in parameters else parameters, [500, -500], 100_000, 100_000)
    assert equal.prices == {"sell": 100_000, "buy": 100_000}
    assert len(clear(name, parameters, [500, -500], 50_000, 60_000).trades) == 0
    assert clear(name, parameters, [500, 100, -300], 200_000, 0).proof.holds


@each_pool
def test_the_largest_allowed(name: str, parameters: dict[str, str]) -> None:
    many_wh = clear(name, parameters, [MAX_ORDER_WH] * 3 + [-MAX_ORDER_WH] * 2)
    assert many_wh.proof.holds
    assert clear(name, parameters, [4, -2], MAX_PRICE, 1).proof.holds
    with pytest.raises(MarketError, match="out of bounds"):
        clear(name, parameters, [MAX_ORDER_WH + 1, -1])
    with pytest.raises(MarketError, match="out of bounds"):
        clear(name, parameters, [1, -1], MAX_PRICE + 1)


@pytest.mark.parametrize(
    ("kappa", "message"), [("1.1", 'from "0" to "1"'), ("-0.1", 'from "0" to "1"'), (0.5, "quotes"), ("x", "decimal")]
)
def test_kappa_is_a_portion(kappa: float | str, message: str) -> None:
    [(key, found)] = MECHANISMS["sdr-compensated"].problems({"kappa": kappa})
    assert key == "kappa"
    assert message in found


def test_without_compensation_the_pool_is_sdr() -> None:
    of = [700, 200, -1300, -5]
    assert clear("sdr-compensated", {"kappa": "0"}, of).prices == clear("sdr", {}, of).prices
