from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.market import Frame, Positions, find
from commonwatt.market.designs.sdr import pair, pool_prices
from commonwatt.records.clearing import Clearing
from commonwatt.units import MAX_PRICE

SDR = find("sdr")


def clear(
    nets: list[int],
    ceiling: int = 200_000,
    floor: int = 50_000,
    max_buy: list[int] | None = None,
    min_sell: list[int] | None = None,
) -> Clearing:
    members = len(nets)
    frame = Frame(np.array([0]), np.array([0]), 0.25, members, np.array([ceiling]), np.array([floor]))
    positions = Positions(
        np.array(nets, dtype=np.int64),
        np.array(max_buy if max_buy else [MAX_PRICE] * members),
        np.array(min_sell if min_sell else [-MAX_PRICE] * members),
    )
    return SDR.clear(frame, (positions,))[0]


@pytest.mark.parametrize(
    ("ratio", "sell", "buy"),
    [
        (Fraction(0), 0.2, 0.2),
        (Fraction(1, 4), 0.114286, 0.178571),
        (Fraction(1, 2), 0.08, 0.14),
        (Fraction(1), 0.05, 0.05),
        (Fraction(2), 0.05, 0.05),
    ],
)
def test_published_price_curve_to_six_digits(ratio: Fraction, sell: float, buy: float) -> None:
    clearing = clear([1000 * ratio.denominator, -1000 * ratio.numerator])
    assert clearing.prices == {"sell": round(sell * 1e6), "buy": round(buy * 1e6)}


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_pools_budget_identity_is_exactly_zero(supply: int, demand: int, first: int, second: int) -> None:
    floor, ceiling = sorted((first, second))
    sell, buy = pool_prices(supply, demand, ceiling, floor)
    imported, exported = max(0, demand - supply), max(0, supply - demand)
    assert buy * demand - sell * supply - ceiling * imported + floor * exported == 0
    assert floor <= sell <= ceiling
    assert floor <= buy <= ceiling


@given(st.lists(st.integers(-5_000, 5_000), min_size=1, max_size=40), st.integers(0, 300_000), st.integers(0, 300_000))
def test_every_pool_proves_itself_and_leaves_one_side_only(nets: list[int], first: int, second: int) -> None:
    floor, ceiling = sorted((first, second))
    clearing = clear(nets, ceiling, floor)
    assert clearing.proof.holds
    assert not ((clearing.grid > 0).any() and (clearing.grid < 0).any())
    assert len(clearing.trades) < max(1, len(nets))


def test_scarce_energy_is_shared_in_proportion_to_demand() -> None:
    clearing = clear([300, 100, -200])
    assert clearing.trades.position(3).tolist() == [150, 50, -200]
    assert clearing.grid.tolist() == [150, 50, 0]


def test_the_blended_buying_price_is_what_a_buyer_pays_in_all() -> None:
    clearing = clear([2_000_000, 1_000_000, -1_500_000])
    paid = -clearing.trades.credit(3) + np.maximum(clearing.grid, 0) * 200_000 // 1000
    assert paid[0] == pytest.approx(2_000_000 * clearing.prices["buy"] / 1000, rel=1e-5)


def test_a_member_whose_limit_the_price_would_break_meets_the_utility() -> None:
    clearing = clear([1000, 1000, -500], max_buy=[60_000, MAX_PRICE, MAX_PRICE])
    assert clearing.trades.position(3).tolist() == [0, 500, -500]
    assert clearing.grid.tolist() == [1000, 500, 0]
    nobody = clear([1000, -500], min_sell=[-MAX_PRICE, 199_999])
    assert len(nobody.trades) == 0


def test_a_feed_in_price_above_retail_leaves_no_room_for_trade() -> None:
    assert len(clear([1000, -500], ceiling=50_000, floor=60_000).trades) == 0


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_pairing_serves_each_side_exactly(demand: list[int], supply: list[int]) -> None:
    size = max(len(demand), len(supply))
    d, s = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    d[: len(demand)], s[: len(supply)] = demand, supply
    if d.sum() > s.sum():
        s[0] += d.sum() - s.sum()
    else:
        d[0] += s.sum() - d.sum()
    buyer, seller, wh = pair(d, s)
    assert (wh > 0).all()
    assert np.array_equal(np.bincount(buyer, wh, minlength=size), d)
    assert np.array_equal(np.bincount(seller, wh, minlength=size), s)
