"""The packaged strategies: within mandate and forecast, never at a loss, the same from the same seed; by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from agent_cases import results, situation
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.agents import Quotes, Situation
from commonwatt.agents.planning import Outlook, declare
from commonwatt.agents.strategies import STRATEGIES, price_adaptive
from commonwatt.agents.strategies.price_adaptive import towards
from commonwatt.agents.strategy import ordered_by, usable
from commonwatt.devices import Fleet
from commonwatt.errors import MarketError
from commonwatt.forecast.expectation import Forecast
from commonwatt.market import Orders
from commonwatt.market.interface import Limits
from commonwatt.records import BUY, SELL
from commonwatt.units import IntArray

SLOTS = 6
wh = st.lists(st.integers(-9000, 9000), min_size=SLOTS, max_size=SLOTS).map(np.array)
prices = st.lists(st.integers(0, 400_000), min_size=SLOTS, max_size=SLOTS).map(np.array)
limit, most = st.integers(0, 500_000), st.integers(0, 8000)
homes = st.builds(
    lambda net, floor, ceiling, max_buy, min_sell, buy_wh, sell_wh, seed: situation(
        net, floor=floor, ceiling=ceiling, max_buy=max_buy, min_sell=min_sell, buy_wh=buy_wh, sell_wh=sell_wh, seed=seed
    ),
    wh, prices, prices, limit, limit, most, most, st.integers(0, 2**64 - 1),
)  # fmt: skip
each_strategy = pytest.mark.parametrize("name", STRATEGIES)


def day(name: str, home: Situation, state: Any = None) -> tuple[Quotes, Any]:
    quotes, state = STRATEGIES[name].rule(home, state or {})
    return usable(quotes, SLOTS), json.loads(json.dumps(state))


def refuse_losses(home: Situation, quotes: Quotes) -> None:
    assert (quotes.buy_wh <= np.minimum(np.maximum(home.net, 0), home.buy_wh)).all()
    assert (quotes.sell_wh <= np.minimum(np.maximum(-home.net, 0), home.sell_wh)).all()
    bought, sold = quotes.buy_wh > 0, quotes.sell_wh > 0
    assert (quotes.buy_limit <= np.minimum(home.max_buy, home.ceiling))[bought].all()
    assert (quotes.sell_limit >= np.maximum(home.min_sell, home.floor))[sold].all()


@each_strategy
@given(homes, homes, st.data())
def test_every_strategy_orders_within_mandate_and_forecast_and_never_at_a_loss(
    name: str, first: Situation, second: Situation, data: st.DataObject
) -> None:
    """Also after any results, at other prices, and the same each time from the same seed."""
    quotes, state = day(name, first)
    refuse_losses(first, quotes)
    shares = st.lists(st.floats(0, 1), min_size=SLOTS, max_size=SLOTS).map(np.array)
    bought, sold = ((column * data.draw(shares)).astype(int) for column in (quotes.buy_wh, quotes.sell_wh))
    price = data.draw(st.lists(st.one_of(st.just(float("nan")), st.floats(0, 4e5)), min_size=SLOTS, max_size=SLOTS))
    later = replace(second, past=results(first, quotes, bought, sold, price))
    next_quotes, next_state = day(name, later, state)
    refuse_losses(later, next_quotes)
    again, state_again = day(name, later, state)
    assert all((getattr(again, key) == column).all() for key, column in vars(next_quotes).items())
    assert state_again == next_state


@given(homes)
def test_the_truthful_order_what_all_homes_order_by_themselves(home: Situation) -> None:
    fleet = Fleet.of([None], 1.0)
    made = Forecast(home.load[None], home.generation[None])
    outlook = Outlook(made, fleet, np.zeros(1), home.ceiling, home.floor, 1.0)
    limits = Limits(*(np.array([each]) for each in (home.max_buy, home.min_sell, home.buy_wh, home.sell_wh)))
    plan = declare(outlook, limits)
    quotes, _ = day("truthful", home)
    mine = ordered_by(tuple(Orders(*[np.zeros(0, dtype=np.int64)] * 4) for _ in range(SLOTS)), {0: quotes})
    for one, other in zip(plan.orders, mine, strict=True):
        assert all((getattr(one, key) == column).all() for key, column in vars(other).items())


def test_another_seed_draws_other_prices() -> None:
    net = np.array([1000, -1000] * 12)
    for name in ("zero-intelligence", "zip"):
        limits = [STRATEGIES[name].rule(situation(net, seed=seed), {})[0].buy_limit.tolist() for seed in (1, 1, 2)]
        assert limits[0] == limits[1]
        assert limits[0] != limits[2]


def test_zero_intelligence_draws_every_price_without_a_loss_equally_often() -> None:
    """Gode and Sunder's constraint: a buyer from the lowest price to its value, a seller from its cost up."""
    slots = 9000
    home = situation(
        np.where(np.arange(slots) % 2, 500, -500),
        floor=np.full(slots, 100),
        ceiling=np.full(slots, 105),
        max_buy=102,
        min_sell=104,
    )
    quotes, _ = STRATEGIES["zero-intelligence"].rule(home, {})
    bids, asks = quotes.buy_limit[quotes.buy_wh > 0], quotes.sell_limit[quotes.sell_wh > 0]
    assert np.unique(bids).tolist() == [100, 101, 102]
    assert np.unique(asks).tolist() == [104, 105]
    assert np.abs(np.bincount(bids)[100:] - 4500 / 3).max() < 100
    assert np.abs(np.bincount(asks)[104:] - 4500 / 2).max() < 100


def test_zero_intelligence_at_one_price_has_no_choice() -> None:
    home = situation(np.array([500, -500]), floor=np.full(2, 200), ceiling=np.full(2, 200), min_sell=0)
    quotes, _ = STRATEGIES["zero-intelligence"].rule(home, {})
    assert (quotes.buy_limit.tolist(), quotes.sell_limit.tolist()) == ([200, 200], [200, 200])


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing drawn: β = 0.3, γ = 0.05, first margin 0.2 of 400 000, and the target is the market's price itself."""
    for name, value in (("RATE", (0.3, 0.3)), ("MOMENTUM", (0.05, 0.05)), ("FIRST_MARGIN", (0.2, 0.2)), ("BEYOND", 0)):
        monkeypatch.setattr(price_adaptive, name, value)


@pytest.mark.usefixtures("plain")
def test_margins_learn_as_reckoned_by_hand() -> None:
    """Hour 0 buys and is filled at 300 000, hour 1 sells and is not, at 140 000; in hour 2 nobody trades.

    Between 100 000 and 500 000 that is p = 0.8, q = 0.5; p = 0.2, q = 0.1; and p = 0.8 without a price.
      first step    Γ = 0.95 · 0.3 · (0.5 − 0.8) = −0.0855                p = 0.7145      385 800
                    Γ = 0.95 · 0.3 · (0.1 − 0.2) = −0.0285                p = 0.1715      168 600
      second step   Γ = 0.05 · −0.0855 + 0.285 · (0.5 − 0.7145) = −0.0654075   p = 0.6490925   359 637
                    Γ = 0.05 · −0.0285 + 0.285 · (0.1 − 0.1715) = −0.0218025   p = 0.1496975   159 879
    """
    zip_, home = STRATEGIES["zip"], situation(np.array([1000, -1000, 1000]))
    bought, sold, price = np.array([1000, 0, 0]), np.zeros(3, dtype=int), np.array([300_000, 140_000, np.nan])
    quotes, state = zip_.rule(home, {})
    assert quotes.buy_limit.tolist() == [420_000] * 3
    assert quotes.sell_limit.tolist() == [180_000] * 3
    for buying, selling in ((385_800, 168_600), (359_637, 159_879)):
        quotes, state = zip_.rule(replace(home, past=results(home, quotes, bought, sold, price)), state)
        assert quotes.buy_limit.tolist() == [buying, 420_000, 420_000]
        assert quotes.sell_limit.tolist() == [180_000, selling, 180_000]
    # Another hour of the day has learnt nothing, and what was learnt holds at other prices of the utility.
    later = situation(
        np.array([1000] * 3), minutes=np.array([60, 1200, 0]), ceiling=np.full(3, 200_000), max_buy=200_000
    )
    assert zip_.rule(later, state)[0].buy_limit.tolist() == [180_000, 180_000, 164_909]


def test_the_target_lies_beyond_the_market_price() -> None:
    """R·q + A with R off 1 by 0.02 and A off 0 by 0.01: 0.48 or 0.52 for q = 0.5; a seller's prices are mirrored."""
    own = np.array([0.6, 0.6, 0.4, 0.4, 0.6, -0.4, -0.6])
    market = np.array([0.5, 0.5, 0.5, 0.5, np.nan, -0.5, -0.5])
    whole = np.array([True, False, True, False, False, True, False])
    direction, target = towards(own, market, whole, np.array([[0.02] * 7, [0.01] * 7]))
    assert direction.tolist() == [-1, 0, 0, 1, 1, -1, 1]
    assert target[[0, 3, 4, 5, 6]] == pytest.approx([0.48, 0.52, 0.622, -0.52, -0.48])


columns = st.lists(
    st.one_of(st.integers(-3, 3), st.floats(-3, 3), st.sampled_from([np.nan, np.inf, 1e300])), min_size=0, max_size=3
)


@given(st.tuples(columns, columns, columns, columns))
def test_quotes_are_used_only_when_every_order_can_hold_them(given: tuple[list[float], ...]) -> None:
    def right(wh: list[float], limits: list[float]) -> bool:
        amounts = len(wh) == len(limits) == 2 and all(each in (0, 1, 2, 3) for each in wh)
        return amounts and all(price in (0, 1, 2, 3) for price, each in zip(limits, wh, strict=True) if each)

    quotes = Quotes(*map(np.array, given))
    fine = right(given[0], given[1]) and right(given[2], given[3])
    try:
        assert usable(quotes, 2).buy_wh.tolist() == [int(each) for each in given[0]]
        assert fine
    except MarketError:
        assert not fine


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([BUY, SELL])), unique=True), st.sets(st.integers(0, 4)))
def test_orders_of_whom_an_agent_speaks_for_are_its_quotes_and_all_others_stay(
    rows: list[tuple[int, int]], quoted: set[int]
) -> None:
    def orders(rows: list[tuple[int, int, int]]) -> Orders:
        table: IntArray = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return Orders(table[:, 0], table[:, 1], table[:, 2], 7 * table[:, 2])

    def one(value: int) -> IntArray:
        return np.array([value])

    quotes = {m: Quotes(one(m % 2 * 9), one(63), one((m + 1) % 2 * 8), one(56)) for m in quoted}
    (found,) = ordered_by((orders([(member, side, 5) for member, side in rows]),), quotes)
    wanted = [(m, side, 5, 35) for m, side in rows if m not in quoted]
    wanted += [(m, BUY, 9, 63) if m % 2 else (m, SELL, 8, 56) for m in quoted]
    got = zip(*(getattr(found, key).tolist() for key in ("member", "side", "wh", "limit")), strict=True)
    assert sorted(got) == sorted(wanted)
    assert (np.diff(found.member) >= 0).all() or not quoted
