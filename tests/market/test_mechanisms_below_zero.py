"""Every mechanism where the utility's prices are below zero: local prices keep their floor, and nobody loses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from commonwatt.market import MECHANISMS, Events, Frame, Orders, Positions, as_events
from commonwatt.market.mechanism import Mechanism
from commonwatt.market.optimum import gap, optimum
from commonwatt.records import BUY, SELL
from commonwatt.records.clearing import Clearing
from commonwatt.units import IntArray, payment

MEMBERS = 6
BY_SLOT = sorted(name for name, known in MECHANISMS.items() if known.proof is None)
NEEDED = {"fixed": {"price": "0.05"}}

Slot = tuple[int, int, IntArray]
"""Ceiling, feed-in price [micro-currency/kWh], and what each member takes, shape (members,) [Wh]."""


@st.composite
def slots(draw: st.DrawFn) -> Slot:
    feed_in = draw(st.integers(-500_000, 100_000))
    ceiling = draw(st.one_of(st.integers(-500_000, 400_000), st.integers(0, 60_000)))
    net = draw(st.lists(st.integers(-5_000, 5_000), min_size=MEMBERS, max_size=MEMBERS))
    return ceiling, feed_in, np.array(net)


def clear(name: str, slot: Slot) -> tuple[Frame, Any, Clearing]:
    """What agents declare on such a market day, and what becomes of it."""
    ceiling, feed_in, net = slot
    floor = max(feed_in, 0)
    zero = np.zeros(1, dtype=np.int64)
    frame = Frame(zero, zero, 0.25, MEMBERS, np.array([ceiling]), np.array([floor]), 1, np.array([feed_in]))
    mechanism: Mechanism[Any] = MECHANISMS[name]
    declared: Orders | Positions | Events
    if mechanism.needs is Positions:
        declared = Positions(net, np.full(MEMBERS, max(ceiling, 0)), np.full(MEMBERS, floor))
    else:
        member = np.flatnonzero(net)
        side = np.where(net[member] > 0, BUY, SELL)
        limit = np.where(side == BUY, ceiling, floor)
        useful = limit >= 0
        orders = Orders(member[useful], side[useful], np.abs(net[member])[useful], limit[useful])
        declared = as_events(orders) if mechanism.needs is Events else orders
    (clearing,) = mechanism.clear(frame, (declared,), NEEDED.get(name, {}))
    return frame, declared, clearing


@given(slots())
def test_it_conserves_keeps_its_floor_and_nobody_is_worse_off(slot: Slot) -> None:
    ceiling, feed_in, net = slot
    for name in BY_SLOT:
        note(name)
        trades = clear(name, slot)[2].trades
        assert trades.credit(MEMBERS).sum() == trades.position(MEMBERS).sum() == 0
        if ceiling < max(feed_in, 0):
            assert not len(trades)
        assert (trades.price >= max(feed_in, 0)).all()
        assert (trades.price <= ceiling).all()
        local, credit = trades.position(MEMBERS), trades.credit(MEMBERS)
        for member in range(MEMBERS):
            # Less the charges on a local kWh, which the ceiling counts, a kWh from the utility costs the ceiling.
            alone = payment(int(net[member]), ceiling if net[member] > 0 else feed_in)
            rest = int(net[member] - local[member])
            assert 0 <= rest * np.sign(net[member]) <= abs(net[member])
            owed = payment(rest, ceiling if net[member] > 0 else feed_in) - int(credit[member])
            assert owed <= alone + len(trades)  # each payment is rounded


@given(slots())
def test_the_optimum_counts_no_gain_where_neighbours_may_not_trade(slot: Slot) -> None:
    frame, declared, clearing = clear("uniform", slot)
    assert gap(frame, [declared], [clearing]) == 0.0
    if slot[0] < max(slot[1], 0):
        assert optimum(frame, 0, declared) == 0


@pytest.mark.parametrize("name", BY_SLOT)
@pytest.mark.parametrize(
    ("ceiling", "trades"), [(60_000, True), (50_000, True), (0, None), (-1, False), (-67_000, False)]
)
def test_a_windy_noon(name: str, ceiling: int, trades: bool | None) -> None:
    """With a floor of zero above a feed-in price of −0.067; at a ceiling of zero, trade changes nothing for a buyer."""
    found = clear(name, (ceiling, -67_000, np.array([900, 300, -700, -200, 0, 0])))[2].trades
    if trades is None:
        assert not found.price.any()
    else:
        assert bool(len(found)) == trades


@pytest.mark.parametrize("name", ["sdr", "sdr-compensated", "mid-market", "sharing-key"])
def test_a_pool_s_selling_price_mixes_in_what_the_utility_is_paid(name: str) -> None:
    found = clear(name, (60_000, -67_000, np.array([500, 0, -2_000, 0, 0, 0])))[2]
    local = int(found.trades.price[0])
    assert found.prices == {"sell": round(local / 4 - 67_000 * 3 / 4), "buy": local}


@pytest.mark.parametrize("name", ["sdr", "sdr-compensated", "mid-market", "sharing-key"])
def test_where_no_price_helps_both_a_pool_shows_the_utility_s(name: str) -> None:
    found = clear(name, (-14_280, -67_000, np.array([500, 0, -2_000, 0, 0, 0])))[2]
    assert not len(found.trades)
    assert found.prices == {"sell": -67_000, "buy": -14_280}
