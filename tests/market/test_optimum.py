"""The merit order against linear programming (HiGHS) and against every possible trade of small markets."""

from itertools import product
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from profiles import dear

from commonwatt.errors import MarketError
from commonwatt.market import Frame, Orders, Outcome, Positions, find
from commonwatt.market.interface import ADD, Events
from commonwatt.market.optimum import by_solver, gap, optimum, welfare
from commonwatt.market.proving import proved
from commonwatt.records import BUY, SELL, Trades
from commonwatt.records.clearing import Clearing
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, IntArray

CEILING, FLOOR = 300_000, 80_000


def frame(members: int, slots: int = 1, ceiling: int = CEILING, floor: int = FLOOR) -> Frame:
    starts = np.arange(slots) * 900
    return Frame(starts, starts // 60, 0.25, members, np.full(slots, ceiling), np.full(slots, floor))


def orders(*rows: Any) -> Orders:
    """(member, side, wh, limit) each."""
    return Orders(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)


def positions(*nets: Any, max_buy: int = MAX_PRICE, min_sell: int = -MAX_PRICE) -> Positions:
    return Positions(np.array(nets, dtype=np.int64), np.full(len(nets), max_buy), np.full(len(nets), min_sell))


def clearing(given: Orders | Positions, members: int, *rows: Any, slot: int = 0) -> Clearing:
    outcome = Outcome(Trades(*np.array(rows, dtype=np.int64).reshape(-1, 4).T))
    return proved("test", frame(members, 2), slot, given, outcome, rational=False)


def test_the_welfare_of_a_trade_is_what_buyer_and_seller_gain_together() -> None:
    book = orders((0, BUY, 500, 200_000), (1, SELL, 400, 120_000))
    traded = clearing(book, 2, (0, 1, 300, 150_000))
    assert welfare(frame(2), book, traded) == 300 * (200_000 - 120_000)
    assert optimum(frame(2), 0, book) == 400 * 80_000
    assert gap(frame(2), [book], [traded]) == 0.25


def test_nobody_values_energy_above_the_utilitys_price_or_below_what_the_utility_pays() -> None:
    book = orders((0, BUY, 500, 900_000), (1, SELL, 500, 0))
    assert optimum(frame(2), 0, book) == 500 * (CEILING - FLOOR)
    assert optimum(frame(2), 0, positions(500, -500)) == 500 * (CEILING - FLOOR)


def test_merit_order_stops_where_buyers_and_sellers_no_longer_agree() -> None:
    book = orders((0, BUY, 300, 250_000), (1, BUY, 300, 150_000), (2, SELL, 200, 100_000), (3, SELL, 900, 150_000))
    assert optimum(frame(4), 0, book) == 200 * 150_000 + 100 * 100_000


def test_of_several_orders_the_best_ones_are_used_first() -> None:
    book = orders((0, BUY, 100, 110_000), (0, BUY, 100, 250_000), (1, SELL, 200, 100_000))
    traded = clearing(book, 2, (0, 1, 150, 105_000))
    assert welfare(frame(2), book, traded) == 100 * 150_000 + 50 * 10_000


def test_nobody_gains_by_trading_with_itself() -> None:
    alone = orders((0, BUY, 500, 250_000), (0, SELL, 500, 100_000))
    assert optimum(frame(1), 0, alone) == 0
    with_another = orders((0, BUY, 500, 250_000), (0, SELL, 500, 100_000), (1, SELL, 200, 120_000))
    assert optimum(frame(2), 0, with_another) == 200 * 130_000


def test_a_book_of_events_is_compared_with_hindsight() -> None:
    columns = [[ADD, ADD], [0, 1], [0, 1], [BUY, SELL], [500, 500], [200_000, 100_000], [0, 1], [900, 900]]
    events = Events(*(np.array(column) for column in columns))
    assert optimum(frame(2), 0, events) == 500 * 100_000


def test_a_pool_misses_nothing_and_a_static_key_what_its_shares_leave_unused() -> None:
    given = positions(500, 100, -600)
    (pool,) = find("sdr").clear(frame(3), (given,))
    assert gap(frame(3), [given], [pool]) == 0.0
    half = clearing(given, 3, (0, 2, 300, 100_000))
    assert gap(frame(3), [given], [half]) == 0.5


def test_a_horizon_is_the_sum_of_its_slots() -> None:
    first, second = positions(500, -500), positions(-100, 300)
    clearings = [clearing(first, 2, (0, 1, 500, 100_000)), clearing(second, 2, slot=1)]
    assert gap(frame(2, 2), [first, second], clearings) == pytest.approx(1 / 6)


def test_without_anything_to_gain_there_is_no_gap_but_a_loss_is_infinite() -> None:
    book = orders((0, BUY, 500, 100_000), (1, SELL, 500, 200_000))
    assert gap(frame(2), [book], [clearing(book, 2)]) == 0.0
    forced = Positions(np.array([500, -500]), np.full(2, 100_000), np.full(2, 200_000))
    bad = clearing(positions(500, -500), 2, (0, 1, 500, 150_000))
    assert gap(frame(2), [forced], [bad]) == float("inf")


def test_a_clearing_of_something_else_is_refused() -> None:
    traded = clearing(positions(500, -500), 2, (0, 1, 500, 100_000))
    with pytest.raises(MarketError, match="more than was declared"):
        welfare(frame(2), positions(400, -500), traded)
    with pytest.raises(MarketError, match="no slot 900"):
        welfare(frame(2), positions(0, 0), clearing(positions(0, 0), 2, slot=1))


def test_no_orders_and_no_members() -> None:
    assert optimum(frame(0), 0, positions()) == 0
    assert optimum(frame(3), 0, orders()) == 0
    assert optimum(frame(2), 0, positions(0, 0)) == 0
    assert by_solver(frame(3), [orders()]) == 0.0


def test_the_largest_allowed_is_exact() -> None:
    book = orders(*((m, m % 2, MAX_ORDER_WH, MAX_PRICE if m % 2 == BUY else -MAX_PRICE) for m in range(1000)))
    wide = frame(1000, ceiling=MAX_PRICE, floor=-MAX_PRICE)
    assert optimum(wide, 0, book) == 500 * MAX_ORDER_WH * 2 * MAX_PRICE


LIMITS = st.integers(0, 400_000)


@st.composite
def books(draw: st.DrawFn, wh: int = 50_000) -> Orders:
    """Orders, at most one per member and side, so that members may stand on both."""
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 5), st.sampled_from([BUY, SELL]), st.integers(1, wh), LIMITS),
            max_size=10,
            unique_by=lambda row: row[:2],
        )
    )
    return orders(*rows)


@dear(3)
@given(st.lists(books(), min_size=1, max_size=4))
def test_merit_order_and_linear_programming_agree(slots: list[Orders]) -> None:
    pytest.importorskip("highspy")
    market = frame(6, len(slots))
    exact = sum(optimum(market, slot, book) for slot, book in enumerate(slots))
    assert by_solver(market, slots) == pytest.approx(exact, rel=1e-7, abs=1.0)


def test_linear_programming_agrees_on_a_thousand_orders() -> None:
    pytest.importorskip("highspy")
    rng = np.random.default_rng(3)
    n = 1000
    book = Orders(np.arange(n), rng.integers(0, 2, n), rng.integers(1, 5_000, n), rng.integers(0, 400_000, n))
    assert by_solver(frame(n), [book]) == pytest.approx(optimum(frame(n), 0, book), rel=1e-9)


def best_of_all_trades(book: Orders, members: int) -> int:
    """Every integer flow between different members of a tiny market."""
    buys = [(int(m), int(w), min(int(p), CEILING)) for m, s, w, p in zip(*columns(book), strict=True) if s == BUY]
    sells = [(int(m), int(w), max(int(p), FLOOR)) for m, s, w, p in zip(*columns(book), strict=True) if s == SELL]
    pairs = [(b, s) for b in range(len(buys)) for s in range(len(sells)) if buys[b][0] != sells[s][0]]
    best = 0
    for flow in product(*(range(min(buys[b][1], sells[s][1]) + 1) for b, s in pairs)):
        used_b = [sum(f for f, (b, _) in zip(flow, pairs, strict=True) if b == i) for i in range(len(buys))]
        used_s = [sum(f for f, (_, s) in zip(flow, pairs, strict=True) if s == i) for i in range(len(sells))]
        if all(u <= o[1] for u, o in zip(used_b + used_s, buys + sells, strict=True)):
            worth = sum(f * (buys[b][2] - sells[s][2]) for f, (b, s) in zip(flow, pairs, strict=True))
            best = max(best, worth)
    return best


def columns(book: Orders) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    return book.member, book.side, book.wh, book.limit


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([BUY, SELL]), st.integers(1, 3), LIMITS),
        max_size=4,
        unique_by=lambda row: row[:2],
    )
)
def test_merit_order_is_the_best_of_all_trades(rows: list[tuple[int, int, int, int]]) -> None:
    book = orders(*rows)
    assert optimum(frame(3), 0, book) == best_of_all_trades(book, 3)


@given(books(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(book: Orders, chance: Random) -> None:
    rows = list(zip(*(column.tolist() for column in columns(book)), strict=True))
    chance.shuffle(rows)
    assert optimum(frame(6), 0, orders(*rows)) == optimum(frame(6), 0, book)


@given(books())
def test_no_mechanism_beats_the_optimum(book: Orders) -> None:
    buyers, sellers = (set(book.member[book.side == side].tolist()) for side in (BUY, SELL))
    assume(not buyers & sellers)
    clearings = find("fixed").clear(frame(6), (book,), {"price": "0.15"})
    assert gap(frame(6), [book], clearings) >= 0.0
