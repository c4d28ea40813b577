"""Whole Wh keep what sellers and buyers have in all."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.devices.households import Households
from commonwatt.market.bilateral.rounding import whole
from commonwatt.market.bilateral.routes import Graph, routes
from commonwatt.units import WH_PER_KWH


@given(st.integers(2, 12), st.integers(1, 4), st.integers(0, 10**6), st.sampled_from([0.25, 1.0]))
def test_totals_stay_within_a_wh(homes: int, slots: int, seed: int, hours: float) -> None:
    chance = np.random.default_rng(seed)
    sellers = chance.random((homes, slots)) < 0.5
    house = Households.of(1.0 - sellers, pv=2.0 * sellers, retail=0.3, feed_in=0.1)
    graph = Graph.full(homes)
    none = np.zeros(len(graph.first))
    ways = routes(house, graph, [(none, none)] * slots, free=False)
    flow = chance.exponential(0.02, len(ways.slot)) * (chance.random(len(ways.slot)) < 0.8)
    wh = whole(ways, flow, hours)
    assert (wh >= 0).all()
    for end in (ways.seller, ways.buyer):
        cell = end * slots + ways.slot
        exact = np.bincount(cell, flow * hours * WH_PER_KWH, homes * slots)
        assert np.abs(np.bincount(cell, wh, homes * slots) - exact).max(initial=0) <= 1 + 1e-9


def test_nothing_is_nothing() -> None:
    house = Households.of([[1.0], [1.0]], retail=0.3, feed_in=0.1)
    none = np.zeros(1)
    ways = routes(house, Graph.full(2), [(none, none)], free=False)
    assert whole(ways, np.zeros(len(ways.slot)), 1.0).sum() == 0
