"""`uniform` and `pay-as-bid`: where the curves meet, who is filled, and that no other fills are worth more."""

from random import Random

import numpy as np
import pytest
from auction_cases import CEILING, FLOOR, Row, books, case, clear, deals
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.market import Orders
from commonwatt.market.designs.pay_as_bid import PAY_AS_BID
from commonwatt.market.designs.uniform import UNIFORM
from commonwatt.market.mechanism import Mechanism
from commonwatt.records import BUY, SELL
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, micro

MECHANISMS = (UNIFORM, PAY_AS_BID)
both = pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda m: m.name)
RULES = ("buyer", "seller", "midpoint")


@pytest.mark.parametrize("name", ["uniform-average", "pay-as-bid-merit"])
def test_reference_cases(name: str) -> None:
    names, book, expected = case(name)
    mechanism = {m.name: m for m in MECHANISMS}[expected["mechanism"]]
    bounds = {"ceiling": micro(expected["retail"]), "floor": micro(expected["feed_in"])}
    clearing = clear(mechanism, book, expected["parameters"], **bounds)
    found = [(names[b], names[s], wh, price) for b, s, wh, price in deals(clearing)]
    assert found == [(t["buyer"], t["seller"], t["wh"], micro(t["price"])) for t in expected["trades"]]
    assert clearing.prices == {key: micro(price) for key, price in expected["prices"].items()}
    assert dict(zip(names, clearing.grid.tolist(), strict=True)) == expected["grid"]
    assert {key: clearing.diagnostics[key] for key in expected["diagnostics"]} == expected["diagnostics"]


@pytest.mark.parametrize(
    ("rows", "case_", "energy", "price"),
    [
        # Both last orders trade whole: the middle of what clears, rounded down.
        ([(0, BUY, 5, 200_000), (1, SELL, 5, 100_001)], "between", 5, 150_000),
        ([(0, BUY, 5, 200_000), (1, SELL, 5, 100_000), (2, BUY, 5, 90_000)], "between", 5, 150_000),
        # The best bid and ask that do not trade narrow the interval.
        (
            [(0, BUY, 5, 200_000), (1, SELL, 5, 100_000), (2, BUY, 5, 120_000), (3, SELL, 5, 160_000)],
            "between",
            5,
            140_000,
        ),
        # Excess demand: the bid that is served in part sets the price. Excess supply: the ask.
        ([(0, BUY, 9, 200_000), (1, SELL, 5, 100_000)], "bids-shared", 5, 200_000),
        ([(0, BUY, 5, 200_000), (1, SELL, 9, 100_000)], "asks-shared", 5, 100_000),
        # An equal bid left over is as good as one served in part.
        ([(0, BUY, 5, 200_000), (1, SELL, 5, 100_000), (2, BUY, 5, 200_000)], "bids-shared", 5, 200_000),
        # Bid and ask at the same limit trade.
        ([(0, BUY, 5, 150_000), (1, SELL, 5, 150_000)], "between", 5, 150_000),
        ([(0, BUY, 9, 150_000), (1, SELL, 5, 150_000)], "bids-shared", 5, 150_000),
        # A supply step crosses a demand step where neither curve has a flat part.
        ([(0, BUY, 4, 250_000), (2, BUY, 4, 150_000), (1, SELL, 6, 100_000)], "bids-shared", 6, 150_000),
    ],
)
def test_how_the_curves_meet(rows: list[Row], case_: str, energy: int, price: int) -> None:
    clearing = clear(UNIFORM, rows)
    assert clearing.diagnostics["case"] == case_
    assert clearing.diagnostics["traded_wh"] == energy == clearing.trades.wh.sum()
    assert clearing.prices == {"local": price}


@both
@pytest.mark.parametrize(
    ("rows", "case_"),
    [
        ([], "empty"),
        ([(0, BUY, 5, 200_000)], "no-asks"),
        ([(0, SELL, 5, 200_000), (1, SELL, 5, 100_000)], "no-bids"),
        ([(0, BUY, 5, 149_999), (1, SELL, 5, 150_000)], "apart"),
    ],
)
def test_books_without_a_trade_say_why(mechanism: Mechanism[Orders], rows: list[Row], case_: str) -> None:
    clearing = clear(mechanism, rows)
    assert (len(clearing.trades), clearing.prices) == (0, {})
    assert clearing.diagnostics["case"] == case_


def test_orders_at_the_price_share_by_largest_remainder_with_ties_to_the_lower_member() -> None:
    rows = [
        (2, BUY, 10, 150_000),
        (0, BUY, 10, 150_000),
        (1, BUY, 10, 150_000),
        (3, BUY, 4, 200_000),
        (4, SELL, 15, 90_000),
    ]
    assert clear(UNIFORM, rows).trades.position(5).tolist() == [4, 4, 3, 4, -15]


@both
def test_limits_outside_the_corridor_are_refused_by_name(mechanism: Mechanism[Orders]) -> None:
    rows = [(0, BUY, 5, CEILING + 1), (1, SELL, 5, FLOOR - 1), (2, BUY, 5, CEILING), (3, SELL, 5, FLOOR)]
    clearing = clear(mechanism, rows)
    assert [(buyer, seller) for buyer, seller, _, _ in deals(clearing)] == [(2, 3)]
    assert clearing.diagnostics["refused"] == 2
    assert clearing.diagnostics["order 0"] == "refused: its limit 300001 is above the ceiling 300000"
    assert clearing.diagnostics["order 1"] == "refused: its limit 79999 is below the floor 80000"


@both
def test_what_a_member_would_sell_to_itself_is_left_with_it(mechanism: Mechanism[Orders]) -> None:
    clearing = clear(mechanism, [(0, BUY, 5, 200_000), (0, SELL, 5, 100_000), (1, SELL, 3, 90_000)])
    assert clearing.trades.position(2).tolist() == [3, -3]
    assert clearing.grid.tolist() == [-3, 0]


@both
def test_the_largest_book_that_money_can_hold(mechanism: Mechanism[Orders]) -> None:
    rows = [(0, BUY, MAX_ORDER_WH, MAX_PRICE), (1, SELL, MAX_ORDER_WH, MAX_PRICE)]
    assert clear(mechanism, rows, ceiling=MAX_PRICE).trades.payments.tolist() == [10**18]
    assert clear(mechanism, [(0, BUY, 1, MAX_PRICE), (1, SELL, 1, -MAX_PRICE)], None, 2, MAX_PRICE, -MAX_PRICE)


def test_what_a_pair_pays() -> None:
    rows = [(0, BUY, 5, 200_000), (1, SELL, 5, 100_001)]
    paid = [clear(PAY_AS_BID, rows, {"price": rule}).trades.price.tolist() for rule in RULES]
    assert paid == [[200_000], [100_001], [150_000]]
    assert PAY_AS_BID.problems({"price": "seconds"}) == [("price", "input should be 'buyer', 'seller' or 'midpoint'")]


def unit_by_unit(rows: list[Row]) -> tuple[int, int]:
    """Largest surplus [micro-currency/1000] and the energies that bring it, one Wh after the other."""
    within = [row for row in rows if FLOOR <= row[3] <= CEILING]
    bids = sorted((row[3] for row in within if row[1] == BUY for _ in range(row[2])), reverse=True)
    asks = sorted(row[3] for row in within if row[1] == SELL for _ in range(row[2]))
    gains = [bid - ask for bid, ask in zip(bids, asks, strict=False) if bid >= ask]
    return sum(gains), len(gains)


small = books().map(lambda rows: [(member, side, min(wh, 20), limit) for member, side, wh, limit in rows])


@given(small)
def test_no_other_fills_are_worth_more(rows: list[Row]) -> None:
    best, energy = unit_by_unit(rows)
    for mechanism in MECHANISMS:
        figures = clear(mechanism, rows, members=12).diagnostics
        assert (figures.get("surplus", 0), figures.get("traded_wh", 0)) == (best // 1000, energy)
        assert figures.get("gap", 0) == 0


@given(books())
def test_any_book_clears_with_a_proof_and_an_optimum(rows: list[Row]) -> None:
    for mechanism, parameters in [(UNIFORM, {}), *((PAY_AS_BID, {"price": rule}) for rule in RULES)]:
        clearing = clear(mechanism, rows, parameters, members=12)
        again = clear(mechanism, rows, parameters, members=12)
        assert deals(clearing) == deals(again)
        assert clearing.diagnostics == again.diagnostics
        assert clearing.diagnostics.get("gap", 0) == 0
        declared = np.zeros(12, dtype=np.int64)
        for member, side, wh, _ in rows:
            declared[member] += wh if side == BUY else -wh
        assert np.array_equal(clearing.grid + clearing.trades.position(12), declared)


@given(books())
def test_under_one_price_better_orders_are_filled_whole_and_worse_ones_not_at_all(rows: list[Row]) -> None:
    clearing = clear(UNIFORM, rows, members=12)
    price = clearing.prices.get("local")
    sides = {member: {row[1] for row in rows if row[0] == member} for member, *_ in rows}
    for member, side, wh, limit in rows:
        gain = (limit - price if side == BUY else price - limit) if price is not None else -1
        if len(sides[member]) == 1 and FLOOR <= limit <= CEILING:
            got = abs(clearing.trades.position(12)[member])
            assert got == wh if gain > 0 else got == 0 if gain < 0 else got <= wh


@given(books(), st.randoms(use_true_random=False))
def test_renaming_members_and_shuffling_orders_changes_nothing_but_ties(rows: list[Row], chance: Random) -> None:
    rows = [(m, side, wh, FLOOR + 1_000 * place + 7 * m) for place, (m, side, wh, _) in enumerate(rows)]
    names = chance.sample(range(12), 12)
    other = [(names[m], side, wh, limit) for m, side, wh, limit in chance.sample(rows, len(rows))]
    for mechanism in MECHANISMS:
        one, two = clear(mechanism, rows, members=12), clear(mechanism, other, members=12)
        assert one.prices == two.prices
        assert np.array_equal(one.grid, two.grid[names])
        if mechanism is PAY_AS_BID:
            assert np.array_equal(one.trades.credit(12), two.trades.credit(12)[names])


def test_the_surplus_is_the_optimum_that_highs_finds() -> None:
    highspy = pytest.importorskip("highspy")
    rng = np.random.default_rng(7)
    rows = [
        (i, int(rng.integers(2)), int(rng.integers(1, 5000)), int(rng.integers(FLOOR, CEILING))) for i in range(400)
    ]
    solver = highspy.Highs()
    solver.silent()
    energy = [solver.addVariable(0, wh) for _, _, wh, _ in rows]
    sign = [1 if side == BUY else -1 for _, side, _, _ in rows]
    solver.addConstr(sum(s * x for s, x in zip(sign, energy, strict=True)) == 0)
    solver.maximize(sum(s * row[3] * x for s, row, x in zip(sign, rows, energy, strict=True)))
    assert clear(UNIFORM, rows).diagnostics["surplus"] == round(solver.getObjectiveValue()) // 1000
