"""`coalition`: who wins, what winners pay, and that the revenue follows the energy."""

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest
from auction_cases import CEILING, FLOOR, Row, books, case, clear, deals
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.market.designs.coalition import COALITION, even_pairs
from commonwatt.records import BUY, SELL
from commonwatt.records.clearing import Trades
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, largest_remainder, micro

PRICINGS = ("first", "uniform", "vickrey")
each_pricing = pytest.mark.parametrize("pricing", PRICINGS)
SHARE_WH = 4
"""Whole Wh that rounding may put on the wrong one of the two lines, at both ends of a seller's stretch."""


@each_pricing
def test_reference_case(pricing: str) -> None:
    names, book, expected = case("coalition-revenue")
    bounds = {"ceiling": micro(expected["retail"]), "floor": micro(expected["feed_in"])}
    clearing = clear(COALITION, book, {"pricing": pricing}, **bounds)
    assert dict(zip(names, clearing.grid.tolist(), strict=True)) == expected["grid"]
    assert {key: clearing.diagnostics[key] for key in expected["diagnostics"]} == expected["diagnostics"]
    credit = dict(zip(names, clearing.trades.credit(len(names)).tolist(), strict=True))
    for name, paid in expected["pricing"][pricing]["paid"].items():
        assert -credit[name] == pytest.approx(paid, abs=120)
    for name, received in expected["pricing"][pricing]["received"].items():
        assert credit[name] == pytest.approx(received, abs=120)


def test_the_highest_bid_wins_and_an_equal_one_when_it_came_first() -> None:
    rows = [(3, SELL, 10, FLOOR), (2, BUY, 6, 200_000), (0, BUY, 6, 200_000), (1, BUY, 6, 250_000)]
    assert clear(COALITION, rows).trades.position(4).tolist() == [0, 6, 4, -10]


def test_what_no_bid_takes_is_fed_in_in_proportion() -> None:
    rows = [(0, SELL, 600, FLOOR), (1, SELL, 300, FLOOR), (2, SELL, 100, FLOOR), (3, BUY, 501, 200_000)]
    clearing = clear(COALITION, rows)
    assert clearing.trades.position(4).tolist() == [-301, -150, -50, 501]
    assert clearing.grid.tolist() == [-299, -150, -50, 0]


def test_one_lot_goes_to_the_highest_bid_at_the_second_price_or_the_reserve() -> None:
    rows = [(0, SELL, 1_000, FLOOR), (1, BUY, 1_000, 250_000), (2, BUY, 1_000, 210_000), (3, BUY, 1_000, 190_000)]
    assert deals(clear(COALITION, rows, {"pricing": "vickrey"})) == [(1, 0, 1_000, 210_000)]
    assert deals(clear(COALITION, rows[:2], {"pricing": "vickrey"})) == [(1, 0, 1_000, FLOOR)]
    assert deals(clear(COALITION, rows[:2], {"pricing": "vickrey", "reserve": "0.1"})) == [(1, 0, 1_000, 100_000)]


def test_the_reserve_is_the_lowest_that_sells_the_most() -> None:
    rows = [(0, SELL, 5, 90_000), (1, SELL, 5, 110_000), (2, SELL, 5, 210_000), (3, BUY, 8, 200_000)]
    clearing = clear(COALITION, rows)
    assert clearing.prices["reserve"] == 110_000
    assert clearing.diagnostics["outside"] == 1
    assert clearing.trades.position(4).tolist() == [-4, -4, 0, 8]
    assert clear(COALITION, rows, {"reserve": "0.1"}).trades.position(4).tolist() == [-5, 0, 0, 5]


def test_a_reserve_below_the_floor_is_the_floor_and_one_above_all_bids_sells_nothing() -> None:
    rows = [(0, SELL, 5, FLOOR), (1, BUY, 5, 200_000)]
    assert clear(COALITION, rows, {"reserve": "0.01"}).prices["reserve"] == FLOOR
    nothing = clear(COALITION, rows, {"reserve": "0.21"})
    assert (len(nothing.trades), nothing.prices) == (0, {"reserve": 210_000})


@each_pricing
@pytest.mark.parametrize(
    "rows", [[], [(0, BUY, 5, 200_000)], [(0, SELL, 5, 100_000)], [(0, SELL, 5, 200_000), (1, BUY, 5, 199_999)]]
)
def test_books_that_sell_nothing(pricing: str, rows: list[Row]) -> None:
    clearing = clear(COALITION, rows, {"pricing": pricing})
    assert (len(clearing.trades), clearing.diagnostics["sold_wh"]) == (0, 0)


def test_bids_above_the_grid_price_are_refused_with_the_reason() -> None:
    clearing = clear(COALITION, [(0, SELL, 5, FLOOR), (1, BUY, 5, CEILING + 1), (2, BUY, 5, CEILING)])
    assert clearing.diagnostics["order 1"] == "refused: its limit 300001 is above the ceiling 300000"
    assert clearing.grid.tolist() == [0, 5, 0]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [({"pricing": "third"}, "'first', 'vickrey' or 'uniform'"), ({"reserve": 0.1}, "in quotes"), ({"k": 1}, "known: ")],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any], problem: str) -> None:
    assert any(problem in sentence for _, sentence in COALITION.problems(parameters))


@each_pricing
def test_the_largest_book_is_exact_beyond_64_bits(pricing: str) -> None:
    rows = [(i, SELL, MAX_ORDER_WH, 0) for i in range(5)]
    rows += [(5 + i, BUY, MAX_ORDER_WH - i, 10**9 - 10**8 * i) for i in range(6)]
    clearing = clear(COALITION, rows, {"pricing": pricing}, ceiling=MAX_PRICE, floor=0)
    assert clearing.diagnostics["sold_wh"] == 5 * MAX_ORDER_WH
    assert float(clearing.diagnostics["share_error"]) <= 2 * 10**9 // 1000


def test_shares_are_even_however_much_energy_there_is() -> None:
    rows = [(0, SELL, 10**9, 80_000), (1, SELL, 999_999_937, 80_000)]
    rows += [(2, BUY, 999_999_937, 129_690), (3, BUY, 10**9, 185_834)]
    clearing = clear(COALITION, rows, {"pricing": "first"}, members=4)
    assert float(clearing.diagnostics["share_error"]) <= SHARE_WH * (185_834 - 129_690) // 1000 + len(clearing.trades)


@given(books(), st.sampled_from(PRICINGS), st.sampled_from([None, "0.1", "0.2"]))
def test_any_book_clears_with_a_proof_and_even_shares(rows: list[Row], pricing: str, reserve: str | None) -> None:
    parameters = {"pricing": pricing} | ({"reserve": reserve} if reserve else {})
    clearing = clear(COALITION, rows, parameters, members=12)
    assert deals(clearing) == deals(clear(COALITION, rows, parameters, members=12))
    trades, figures = clearing.trades, clearing.diagnostics
    least = clearing.prices["reserve"]
    assert not len(trades) or trades.price.min() >= least
    sellers = [row for row in rows if row[1] == SELL and FLOOR <= row[3] <= min(least, CEILING)]
    bids = [row for row in rows if row[1] == BUY and least <= row[3] <= CEILING]
    offered, wanted = sum(row[2] for row in sellers), sum(row[2] for row in bids)
    assert figures["sold_wh"] == min(offered, wanted)
    # What a member on both sides keeps for itself is not pooled, so only then may shares differ by more than rounding.
    if not {row[0] for row in rows if row[1] == BUY} & {row[0] for row in rows if row[1] != BUY}:
        assert float(figures.get("share_error", 0)) <= SHARE_WH * (CEILING - FLOOR) // 1000 + len(trades)


@given(books(), st.sampled_from(PRICINGS), st.randoms(use_true_random=False))
def test_renaming_members_changes_nothing(rows: list[Row], pricing: str, chance: Random) -> None:
    names = chance.sample(range(12), 12)
    other = [(names[m], side, wh, limit) for m, side, wh, limit in rows]
    one = clear(COALITION, rows, {"pricing": pricing}, members=12)
    two = clear(COALITION, other, {"pricing": pricing}, members=12)
    assert [(names[b], names[s], wh, price) for b, s, wh, price in deals(one)] == deals(two)


def most_value(bids: list[tuple[int, int]], energy: int, reserve: int) -> int:
    """Value above the reserve of the best use of `energy`, bid by bid."""
    value = 0
    for wh, limit in sorted(bids, key=lambda bid: -bid[1]):
        value += min(wh, energy) * (limit - reserve)
        energy -= min(wh, energy)
    return value


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(FLOOR, CEILING)), min_size=1, max_size=8), st.integers(1, 200)
)
def test_a_vickrey_winner_pays_what_the_others_lose_by_it(bids: list[tuple[int, int]], energy: int) -> None:
    rows = [(0, SELL, energy, FLOOR), *((1 + i, BUY, wh, limit) for i, (wh, limit) in enumerate(bids))]
    trades = clear(COALITION, rows, {"pricing": "vickrey"}).trades
    everything = most_value(bids, energy, FLOOR)
    for i, (_, limit) in enumerate(bids):
        mine = trades.buyer == 1 + i
        won = int(trades.wh[mine].sum())
        if won:
            others_with_me = everything - won * (limit - FLOOR)
            lost = most_value(bids[:i] + bids[i + 1 :], energy, FLOOR) - others_with_me
            assert set(trades.price[mine].tolist()) == {FLOOR + lost // won}


@given(
    st.lists(st.integers(FLOOR, CEILING), min_size=2, max_size=6),
    st.integers(1, 4),
    st.integers(FLOOR, CEILING),
)
def test_with_equal_lots_nobody_gains_by_a_bid_other_than_the_truth(values: list[int], lots: int, lie: int) -> None:
    def gain(bid: int) -> int:
        rows = [(0, SELL, 1_000 * lots, FLOOR), (1, BUY, 1_000, bid)]
        rows += [(2 + i, BUY, 1_000, value) for i, value in enumerate(values[1:])]
        trades = clear(COALITION, rows, {"pricing": "vickrey"}).trades
        return sum((values[0] - price) * wh for buyer, _, wh, price in deals_of(trades) if buyer == 1)

    assert gain(lie) <= gain(values[0])


def deals_of(trades: Trades) -> Iterator[tuple[int, ...]]:
    return zip(*(c.tolist() for c in (trades.buyer, trades.seller, trades.wh, trades.price)), strict=True)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(FLOOR, CEILING)), min_size=1, max_size=20),
    st.lists(st.integers(1, 100), min_size=1, max_size=20),
)
def test_even_pairs_serve_both_sides_exactly_at_one_mean_price(
    won_at: list[tuple[int, int]], weights: list[int]
) -> None:
    won, price = (np.array(column, dtype=np.int64) for column in zip(*won_at, strict=True))
    if not won.sum():
        return
    delivered = largest_remainder(int(won.sum()), np.array(weights, dtype=np.int64))
    buyer, seller, wh = even_pairs(won, price, delivered)
    assert (wh > 0).all()
    assert len(wh) <= 2 * len(won) + 2 * len(delivered)
    assert np.array_equal(np.bincount(buyer, wh, minlength=len(won)), won)
    assert np.array_equal(np.bincount(seller, wh, minlength=len(delivered)), delivered)
    revenue = np.bincount(seller, wh * price[buyer], minlength=len(delivered))
    mean = (won * price).sum() / won.sum()
    assert np.abs(revenue - delivered * mean).max() <= 2 * (price.max() - price.min()) + 1
