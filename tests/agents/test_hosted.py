"""What an agent orders that knows its home's meter alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.agents.hosted import HOSTED, History, Wish, lookback, wish
from commonwatt.community.calendar import Slots, local_clock, local_days
from commonwatt.market import Frame
from commonwatt.records import Mandate
from commonwatt.units import IntArray

ZONE, HOUR, DAY = "Europe/Berlin", 3600, 86_400
CEILING, FLOOR = 270_000, 80_000
MANDATE = Mandate(bytes(20), bytes(20), "", 250_000, 90_000, 1_500, 2_500, 0, 2**40, 1)
SUMMER, CLOCKS_FORWARD = date(2026, 6, 15), date(2026, 3, 31)


def frame_of(slots: Slots) -> Frame:
    minutes = local_clock(slots, ZONE).astype("datetime64[m]").astype(np.int64) % 1440
    same = np.ones(slots.count, dtype=np.int64)
    return Frame(slots.starts, minutes, slots.hours, 1, CEILING * same, FLOOR * same)


def decided(day: date, net: IntArray | None = None, missing: tuple[int, ...] = (), **more: Any) -> tuple[Wish, History]:
    """What is wished for a day whose gate closes at noon of the day before, and the history, of 192 hours."""
    coming = local_days(day, 1, ZONE, HOUR)
    past = lookback(coming.start - 13 * HOUR, coming)
    net = np.arange(past.count) - 90 if net is None else net
    known = ~np.isin(np.arange(past.count), missing)
    history = History(past, np.where(known, net, 0), known)
    agent, mandate = more.get("agent", "truthful"), more.get("mandate", MANDATE)
    return wish(HOSTED[agent], history, frame_of(coming), mandate, ZONE, more.get("seed", 1)), history


def test_it_orders_what_went_through_the_meter_a_week_before() -> None:
    found, history = decided(SUMMER)
    # Noon of the day before, less an hour, is the end; midnight of the day a week before is 13 hours and six days ago.
    first = history.slots.count - 6 * 24 - 11
    expected = history.net[first : first + 24]
    assert history.slots.starts[first] == local_days(date(2026, 6, 8), 1, ZONE, HOUR).start
    assert (found.net == expected).all()
    assert found.known.all()
    assert (found.quotes.buy_wh == np.clip(expected, 0, None)).all()
    assert (found.quotes.sell_wh == np.clip(-expected, 0, None)).all()
    assert set(found.quotes.buy_limit[found.quotes.buy_wh > 0]) <= {MANDATE.max_buy}
    assert set(found.quotes.sell_limit[found.quotes.sell_wh > 0]) <= {MANDATE.min_sell}


def test_local_time_is_what_repeats_when_the_clocks_have_changed() -> None:
    found, history = decided(CLOCKS_FORWARD)
    week_before = local_days(date(2026, 3, 24), 1, ZONE, HOUR)
    place = (week_before.start - history.slots.start) // HOUR
    assert (found.net == history.net[place : place + 24]).all()
    assert local_days(CLOCKS_FORWARD, 1, ZONE, HOUR).start - week_before.start == 7 * DAY - HOUR


@pytest.mark.parametrize(("missing", "orders"), [(24, True), (25, False), (192, False)])
def test_it_orders_nothing_until_a_week_of_the_last_eight_days_is_there(missing: int, orders: bool) -> None:
    found, history = decided(SUMMER, missing=tuple(range(missing)))
    assert (history.readings, history.needed) == (192 - missing, 168)
    assert bool((found.quotes.buy_wh + found.quotes.sell_wh).any()) == orders
    assert found.known.any() == orders


def test_for_a_slot_without_a_reading_of_a_week_before_it_orders_nothing_and_says_so() -> None:
    whole, history = decided(SUMMER, np.full(192, 700))
    first = history.slots.count - 6 * 24 - 11
    found, _ = decided(SUMMER, np.full(192, 700), missing=(first + 3, first + 20))
    gaps = np.isin(np.arange(24), (3, 20))
    assert (found.known == ~gaps).all()
    assert (found.quotes.buy_wh == np.where(gaps, 0, whole.quotes.buy_wh)).all()


@given(
    st.lists(st.integers(-5_000, 5_000), min_size=192, max_size=192),
    st.sets(st.integers(0, 191), max_size=30),
    st.sampled_from(sorted(HOSTED)),
    st.integers(0, 300_000),
    st.integers(0, 300_000),
    st.integers(0, 2**32),
)
def test_whatever_was_counted_it_stays_within_the_mandate_and_what_it_knows(
    net: list[int], missing: set[int], agent: str, max_buy: int, min_sell: int, seed: int
) -> None:
    mandate = replace(MANDATE, max_buy=max_buy, min_sell=min_sell)
    found, _ = decided(SUMMER, np.array(net), tuple(missing), agent=agent, mandate=mandate, seed=seed)
    quotes = found.quotes
    bought, sold = quotes.buy_wh > 0, quotes.sell_wh > 0
    assert not (bought & sold).any()
    assert not ((bought | sold) & ~found.known).any()
    assert quotes.buy_wh.max() <= mandate.buy_wh
    assert quotes.sell_wh.max() <= mandate.sell_wh
    assert (quotes.buy_limit[bought] <= max_buy).all()
    assert (quotes.sell_limit[sold] >= min_sell).all()
    assert (quotes.sell_limit[sold] >= FLOOR).all()
    assert (quotes.buy_limit[bought] <= CEILING).all()
