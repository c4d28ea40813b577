"""Posted prices: the contract's figures, partial and whole sales, and a plain search beside the tree."""

import json

import numpy as np
import pytest
from auction_cases import CASES, CEILING, FLOOR, books, clear, deals
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.market.designs.listings import LISTINGS, contract_buy
from commonwatt.records import BUY, SELL
from commonwatt.units import MAX_ORDER_WH

CASE = CASES / "listings-contract"


def test_the_printed_contract():
    given_case = json.loads((CASE / "input.json").read_text())
    expected = json.loads((CASE / "expected.json").read_text())
    price, power = given_case["price"], given_case["power"]
    for offer, outcome in zip(given_case["offers"], expected["money_power"], strict=True):
        assert list(contract_buy(price, offer, power)) == outcome
        rows = [(0, SELL, power, price), (1, BUY, power, offer)]
        for fill in ("partial", "full"):
            trades = clear(LISTINGS, rows, {"fill": fill}, ceiling=1_000, floor=0).trades
            matched = [int(trades.price[0]), int(trades.wh[0])] if len(trades) else [0, 0]
            assert matched == outcome


def test_a_listing_is_sold_once():
    rows = [(0, SELL, 4000, 100_000), (1, BUY, 4000, 100_000), (2, BUY, 4000, 150_000)]
    clearing = clear(LISTINGS, rows, {"fill": "full"})
    assert deals(clearing) == [(1, 0, 4000, 100_000)]
    assert clearing.grid.tolist() == [0, 0, 4000]


BOARD = [
    (0, SELL, 600, 150_000),
    (1, SELL, 500, 120_000),
    (2, SELL, 400, 150_000),
    (3, BUY, 700, 200_000),
    (4, BUY, 500, 140_000),
    (5, BUY, 900, 150_000),
]


def test_each_buyer_takes_the_cheapest_it_can_afford_in_parts():
    clearing = clear(LISTINGS, BOARD)
    assert deals(clearing) == [
        (3, 1, 500, 120_000),
        (3, 0, 200, 150_000),
        (5, 0, 400, 150_000),
        (5, 2, 400, 150_000),
    ]
    assert clearing.prices == {"lowest": 120_000, "highest": 150_000}
    assert clearing.diagnostics == {"listings": 3, "sold_out": 3}


def test_or_only_whole():
    assert deals(clear(LISTINGS, BOARD, {"fill": "full"})) == [(3, 1, 500, 120_000), (5, 0, 600, 150_000)]


def test_nobody_buys_its_own_listing():
    rows = [(0, SELL, 600, 100_000), (1, SELL, 600, 110_000), (0, BUY, 800, 200_000)]
    assert deals(clear(LISTINGS, rows)) == [(0, 1, 600, 110_000)]


def test_nobody_posts_below_or_pays_above_the_utility():
    rows = [(0, SELL, 600, FLOOR - 1), (1, SELL, 600, CEILING + 1), (2, BUY, 800, CEILING + 2)]
    assert deals(clear(LISTINGS, rows)) == [(2, 0, 600, FLOOR)]
    assert deals(clear(LISTINGS, rows, ceiling=FLOOR, floor=CEILING)) == []


def test_a_wrong_fill_is_named():
    assert LISTINGS.problems({"fill": "half"}) == [("fill", "input should be 'partial' or 'full'")]


@pytest.mark.parametrize("row", [None, (0, BUY, 500, CEILING), (0, SELL, MAX_ORDER_WH, FLOOR)])
def test_no_order_and_one_order_do_not_trade(row):
    assert len(clear(LISTINGS, [row] if row else []).trades) == 0


def plain(rows, whole):
    """The same by looking through all listings for every purchase."""
    left = [wh for _, _, wh, _ in rows]
    found = []
    posted = sorted((max(limit, FLOOR), i) for i, (_, side, _, limit) in enumerate(rows) if side == SELL)
    for i, (member, side, _, limit) in enumerate(rows):
        for price, j in posted if side == BUY else ():
            fits = left[j] <= left[i] if whole else left[i] > 0
            if left[j] and fits and price <= min(limit, CEILING) and rows[j][0] != member:
                wh = min(left[i], left[j])
                found.append((member, rows[j][0], wh, price))
                left[i] -= wh
                left[j] -= wh
    return found


@given(books(), st.sampled_from(["partial", "full"]))
def test_the_tree_finds_what_a_plain_search_finds(rows, fill):
    clearing = clear(LISTINGS, rows, {"fill": fill})
    assert deals(clearing) == plain(rows, fill == "full")
    assert deals(clear(LISTINGS, rows, {"fill": fill})) == deals(clearing)


@given(books(), st.permutations(range(12)), st.sampled_from(["partial", "full"]))
def test_who_the_members_are_changes_nothing(rows, names, fill):
    before = clear(LISTINGS, rows, {"fill": fill}, members=12)
    after = clear(LISTINGS, [(names[m], *rest) for m, *rest in rows], {"fill": fill}, members=12)
    assert deals(after) == [(names[b], names[s], wh, price) for b, s, wh, price in deals(before)]
    assert np.array_equal(after.grid[list(names)], before.grid)
