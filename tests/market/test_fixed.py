"""One price for the day: the paper's hours, every switch, and a plain search beside the short cuts."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from auction_cases import CASES, Row, books, clear, orders
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.errors import MarketError
from commonwatt.market import Frame, find
from commonwatt.records import BUY, SELL, Clearing
from commonwatt.units import decimal_text, micro

FIXED = find("fixed")


def frame(
    members: int = 5, minutes: Sequence[int] = (540,), ceiling: int = 300_000, floor: int = 80_000, hours: float = 1.0
) -> Frame:
    slots = len(minutes)
    return Frame(
        np.arange(slots, dtype=np.int64) * 3600,
        np.array(minutes),
        hours,
        members,
        np.full(slots, ceiling),
        np.full(slots, floor),
    )


def deals(clearing: Clearing) -> list[tuple[int, int, int]]:
    trades = clearing.trades
    return list(zip(trades.seller.tolist(), trades.buyer.tolist(), trades.wh.tolist(), strict=True))


@pytest.mark.parametrize("fill", ["partial", "full"])
def test_the_papers_hours(fill: str) -> None:
    known, expected = (
        json.loads((CASES / "fixed-five-homes" / f"{part}.json").read_text("utf-8")) for part in ("input", "expected")
    )
    names, slots = known["members"], known["slots"]
    nets = [slot["net_wh"] for slot in slots]
    nets[1][names.index("C3")] = known["demand_of_C3_at_9"][fill]
    prices = {"ceiling": micro(known["retail"]), "floor": micro(known["feed_in"])}
    given_slots = tuple(
        orders(*((i, BUY if wh > 0 else SELL, abs(wh), micro("2.10")) for i, wh in enumerate(net) if wh))
        for net in nets
    )
    day = frame(len(names), [slot["hour"] * 60 for slot in slots], **prices, hours=known["slot_hours"])
    clearings = FIXED.clear(day, given_slots, known["parameters"] | {"fill": fill})
    found = []
    for clearing in clearings:
        money = [decimal_text(paid // 1000 * 1000, 3) for paid in clearing.trades.payments.tolist()]
        found.append([[names[s], names[b], wh, m] for (s, b, wh), m in zip(deals(clearing), money, strict=True)])
    assert found == expected["trades"]


BOOK = orders(
    (0, SELL, 900, 0), (1, SELL, 400, 0), (2, BUY, 300, 400_000), (3, BUY, 700, 400_000), (4, BUY, 500, 400_000)
)


def test_largest_surplus_serves_largest_remaining_demand_first() -> None:
    (clearing,) = FIXED.clear(frame(), (BOOK,), {"price": "0.2"})
    assert deals(clearing) == [(0, 3, 700), (0, 4, 200), (1, 2, 300), (1, 4, 100)]
    assert clearing.grid.tolist() == [0, 0, 0, 0, 200]
    assert clearing.trades.payments.tolist() == [140_000, 40_000, 60_000, 20_000]


def test_full_fill_passes_over_demands_that_one_seller_cannot_serve_whole() -> None:
    (clearing,) = FIXED.clear(frame(), (BOOK,), {"price": "0.2", "fill": "full"})
    assert deals(clearing) == [(0, 3, 700), (1, 2, 300)]


def test_sellers_below_the_least_excess_and_slots_outside_the_window_stay_out() -> None:
    parameters = {"price": "0.2", "min_excess_kw": 0.5, "window": ["09:00", "17:00"]}
    clearings = FIXED.clear(frame(minutes=(480, 540, 960, 1020)), (BOOK,) * 4, parameters)
    assert [len(clearing.trades) for clearing in clearings] == [0, 2, 2, 0]
    assert set(clearings[1].trades.seller.tolist()) == {0}


def test_least_excess_is_power_not_energy() -> None:
    (clearing,) = FIXED.clear(frame(hours=0.25), (BOOK,), {"price": "0.2", "min_excess_kw": 1.7})
    assert set(clearing.trades.seller.tolist()) == {0}


def test_limits_keep_members_out() -> None:
    book = orders((0, SELL, 900, 210_000), (1, SELL, 400, 190_000), (2, BUY, 300, 199_999), (3, BUY, 700, 200_000))
    (clearing,) = FIXED.clear(frame(), (book,), {"price": "0.2"})
    assert deals(clearing) == [(1, 3, 400)]


def test_share_of_the_days_average_is_rounded_down() -> None:
    (clearing,) = FIXED.clear(frame(ceiling=2_333_333, floor=0), (BOOK,), {"share_of_average": "0.9"})
    assert clearing.prices["local"] == 2_099_999


def test_a_price_outside_the_corridor_trades_nothing() -> None:
    book = orders((0, SELL, 900, 0), (1, BUY, 700, 10**6))
    for price in ("0.5", "0.01"):
        (clearing,) = FIXED.clear(frame(), (book,), {"price": price})
        assert (len(clearing.trades), clearing.proof.holds) == (0, True)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({}, "needs either price or share_of_average"),
        ({"price": 0.2}, "in quotes"),
        ({"price": "1e400000000"}, "is not a decimal number"),
        ({"price": "1000001"}, "too high"),
        ({"price": "-0.2"}, "must not be below zero"),
        ({"share_of_average": "-0.2"}, "must not be below zero"),
        ({"price": "0.2", "fill": "half"}, "'partial' or 'full'"),
        ({"price": "0.2", "prise": "0.2"}, "is not a parameter of fixed"),
        ({"price": "0.2", "window": ["09:00"]}, "at least 2"),
        ({"price": "0.2", "window": ["9", "25:00"]}, "local time"),
        ({"price": "0.2", "window": ["09:00+02:00", "17:00"]}, "local time"),
        ({"price": "0.2", "window": ["0900", "17:00:00"]}, "local time"),
        ({"price": "0.2", "min_excess_kw": -1.0}, "greater than or equal to 0"),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, object], problem: str) -> None:
    assert any(problem in sentence for _, sentence in FIXED.problems(parameters))


def test_bounds_are_refused() -> None:
    with pytest.raises(MarketError, match="out of bounds"):
        FIXED.clear(frame(), (orders((0, SELL, 10**9 + 1, 0)),), {"price": "0.2"})
    with pytest.raises(MarketError, match="without energy"):
        FIXED.clear(frame(), (orders((0, SELL, 0, 0)),), {"price": "0.2"})


def test_nobody_sells_to_itself() -> None:
    rows = [(0, SELL, 900, 0), (0, BUY, 800, 10**6), (1, BUY, 300, 10**6), (2, SELL, 100, 0)]
    for fill, expected in (("partial", [(0, 1, 300), (2, 0, 100)]), ("full", [(0, 1, 300)])):
        assert deals(clear(FIXED, rows, {"price": "0.2", "fill": fill})) == expected


def test_no_order_and_one_order_do_not_trade() -> None:
    for rows in ([], [(0, BUY, 500, 300_000)], [(0, SELL, 500, 0)]):
        assert deals(clear(FIXED, rows, {"price": "0.2"})) == []


def plain(rows: list[Row], price: int, whole: bool) -> tuple[list[tuple[int, int, int]], int]:
    """The same by looking through all demands for every deal."""
    left = {member: wh for member, side, wh, limit in rows if side == BUY and limit >= price}
    found = []
    for surplus, seller in sorted((-wh, member) for member, side, wh, limit in rows if side == SELL and limit <= price):
        rest = -surplus
        while fits := [(-wh, m) for m, wh in left.items() if m != seller and wh and rest and (wh <= rest or not whole)]:
            minus_demand, buyer = min(fits)
            wh = min(rest, -minus_demand)
            found.append((seller, buyer, wh))
            rest -= wh
            left[buyer] -= wh
    return found, sum(wh > 0 for wh in left.values())


prices = st.sampled_from([80_000, 80_001, 150_000, 200_000, 300_000])
fills = st.sampled_from(["partial", "full"])


@given(books(), prices, fills)
def test_the_short_cuts_find_what_a_plain_search_finds(rows: list[Row], price: int, fill: str) -> None:
    parameters = {"price": decimal_text(price), "fill": fill}
    clearing = clear(FIXED, rows, parameters, members=12)
    assert (deals(clearing), clearing.diagnostics["unserved"]) == plain(rows, price, fill == "full")
    assert set(clearing.trades.price.tolist()) <= {price}


@given(books(), prices, fills, st.permutations(range(12)))
def test_who_the_members_are_changes_nothing_but_ties(rows: list[Row], price: int, fill: str, names: list[int]) -> None:
    """Of equal energies the lower member comes first; which of them is left with what is all that it decides."""
    rows = [row for i, row in enumerate(rows) if row[0] not in {other[0] for other in rows[:i]}]
    parameters = {"price": decimal_text(price), "fill": fill}
    before = clear(FIXED, rows, parameters, members=12)
    after = clear(FIXED, [(names[m], side, wh, limit) for m, side, wh, limit in rows], parameters, members=12)
    assert sorted(after.grid.tolist()) == sorted(before.grid.tolist())
    assert sorted(after.trades.wh.tolist()) == sorted(before.trades.wh.tolist())


@given(st.lists(st.integers(-5_000, 5_000).filter(bool), min_size=1, max_size=30), fills)
def test_partial_fill_leaves_no_match_behind(nets: list[int], fill: str) -> None:
    rows = [(i, BUY if wh > 0 else SELL, abs(wh), 200_000) for i, wh in enumerate(nets)]
    clearing = clear(FIXED, rows, {"price": "0.2", "fill": fill})
    left = clearing.grid
    assert np.array_equal(left + clearing.trades.position(len(nets)), np.array(nets))
    if fill == "partial":
        assert not ((left > 0).any() and (left < 0).any())
