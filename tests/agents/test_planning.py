"""From what agents expect to orders: units, mandates, and what the orders of several stages may add up to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.agents.planning import Outlook, agree, dispatch, expected_charge, held, lacking, neighbourhood
from commonwatt.community.model import Battery
from commonwatt.data.grids import read_grid
from commonwatt.devices import Fleet, step
from commonwatt.errors import MarketError
from commonwatt.exchange.states import Declared
from commonwatt.exchange.steps import clear
from commonwatt.forecast.expectation import Forecast
from commonwatt.grid import Network, power_flow
from commonwatt.grid.feeder import flow
from commonwatt.market import Frame, find
from commonwatt.market.agreements import agreed_orders, joined, left, ordered, within
from commonwatt.market.interface import Limits
from commonwatt.market.stage import ActiveStage
from commonwatt.records import Clearing, Proof, Trades
from commonwatt.units import IntArray

HOMES = 4
FLEET = Fleet.of([Battery(5, 2.5, 0.95, 0.9), None, None, None], 0.25)


def outlook(load: IntArray, made: IntArray, soc: float = 2500.0) -> Outlook:
    prices = np.full(load.shape[1], 300_000), np.full(load.shape[1], 80_000)
    return Outlook(Forecast(load, made), FLEET, np.array([soc, 0, 0, 0]), *prices, 0.25)


def test_homes_are_told_in_kw_kwh_and_currency() -> None:
    load, made = np.full((HOMES, 2), 250), np.array([[1000, 500], [0, 0], [0, 0], [0, 0]])
    given = neighbourhood(outlook(load, made))
    homes = given.homes
    assert homes.load.tolist() == [[1.0, 1.0]] * HOMES
    assert homes.pv[0].tolist() == [4.0, 2.0]
    assert homes.retail[0].tolist() == [0.3, 0.3]
    assert homes.feed_in[0].tolist() == [0.08, 0.08]
    battery = [column[0] for column in (homes.low, homes.high, homes.start, homes.power, homes.charging)]
    assert battery == [0.5, 5.0, 2.5, 2.5, 0.95]
    assert homes.discharging[0] == 0.9
    assert (homes.capacity[1:] == 0).all()
    assert homes.curtail.tolist() == [1, 0, 0, 0]
    assert given.distance is None
    assert given.findings(0.25) == []


def test_a_charge_that_rounding_put_beside_its_limits_is_within_them() -> None:
    load = np.full((HOMES, 2), 250)
    for soc in (499.9999999, 5000.0000001):
        assert neighbourhood(outlook(load, 0 * load, soc)).findings(0.25) == []


def test_a_schedule_is_told_the_wires_with_the_limits_of_the_grid_check() -> None:
    load = np.full((HOMES, 2), 250)
    network = Network.of(read_grid("simbench:rural1"))
    at = np.arange(1, 1 + HOMES)
    given = dispatch(replace(outlook(load, 0 * load), network=network, at=at))
    assert (given.feeder.low, given.feeder.high, given.feeder.nodes) == (0.9, 1.1, len(network.buses))
    assert given.findings(0.25) == []
    p = np.zeros((given.feeder.nodes, 1))
    np.add.at(p, given.node, 5.0 / given.feeder.base_kva)
    flows = flow(given.feeder, p, 0 * p)
    exact = power_flow(network, network.total(at, np.full((HOMES, 1), 5.0)))
    away = np.abs(np.sqrt(flows.v[given.node, 0]) - np.abs(exact.voltage[at, 0]))
    assert away.max() < 1e-4


def test_a_schedule_without_wires_is_a_finding() -> None:
    load = np.full((HOMES, 2), 250)
    assert lacking(find("schedule"), {}, wired=True) == []
    assert lacking(find("schedule"), {}, wired=False) == [
        "the community's wires, which [grid] and each member's bus would give"
    ]
    with pytest.raises(MarketError, match=r"schedule needs the community's wires: name its \[grid\]"):
        dispatch(outlook(load, 0 * load))


wh = st.lists(st.integers(-9000, 9000), min_size=3, max_size=3)


@given(wh, wh, st.floats(500, 5000))
def test_the_expected_charge_is_what_comes_when_targets_are_held(
    net: list[int], targets: list[int], soc: float
) -> None:
    load, held = np.zeros((2, HOMES, 3), dtype=np.int64)
    load[0], held[0] = net, targets
    start = np.array([soc, 0, 0, 0])
    now = start
    for slot in range(3):
        now = step(FLEET, now, load[:, slot] - held[:, slot]).soc
    assert (expected_charge(FLEET, start, Forecast(load, 0 * load), held) == now).all()


# Orders and trades of one slot

member = st.integers(0, HOMES - 1)
rows = st.lists(
    st.tuples(member, member, st.integers(1, 5000), st.integers(-50_000, 500_000)).filter(lambda row: row[0] != row[1]),
    max_size=12,
).map(lambda found: Trades(*np.array(found, dtype=np.int64).reshape(-1, 4).T))
sizes = st.lists(st.integers(0, 8000), min_size=HOMES, max_size=HOMES).map(lambda found: np.array(found))
limits = st.lists(st.integers(0, 500_000), min_size=HOMES, max_size=HOMES).map(lambda found: np.array(found))
mandates = st.builds(Limits, limits, limits, sizes, sizes)
open_wh = st.lists(st.integers(-9000, 9000), min_size=HOMES, max_size=HOMES).map(lambda found: np.array(found))


def clearing(trades: Trades, grid: IntArray) -> Clearing:
    return Clearing("any", 0, trades, {}, grid, Proof(()))


@given(rows, open_wh, mandates, st.booleans())
def test_agents_order_what_they_agreed_to_within_their_mandates(
    trades: Trades, grid: IntArray, bounds: Limits, more: bool
) -> None:
    orders = agreed_orders(clearing(trades, grid), bounds, 300_000, 80_000, more=more)
    allowed = within(trades, bounds)
    got = ordered(orders, HOMES)
    assert (got.buy_wh <= bounds.buy_wh).all()
    assert (got.sell_wh <= bounds.sell_wh).all()
    assert (orders.wh > 0).all()
    assert (got.max_buy <= bounds.max_buy)[got.buy_wh > 0].all()
    assert (got.min_sell >= bounds.min_sell)[got.sell_wh > 0].all()
    # What the mandates allow is carried whole by the orders, and nothing else is.
    carried = within(trades, got)
    for column in ("buyer", "seller", "wh", "price"):
        assert getattr(carried, column).tolist() == getattr(allowed, column).tolist()
    rest = ordered(left(orders, carried, HOMES), HOMES)
    if more:
        room = bounds.buy_wh - np.bincount(carried.buyer, carried.wh, HOMES).astype(int)
        useful = (np.minimum(bounds.max_buy, 300_000) >= 0) & (grid > 0)
        assert (rest.buy_wh[useful] == np.minimum(room, grid)[useful]).all()
    else:
        assert not rest.buy_wh.any()
        assert not rest.sell_wh.any()


@given(rows, rows, mandates)
def test_stages_together_stay_within_what_was_ordered(first: Trades, second: Trades, bounds: Limits) -> None:
    orders = agreed_orders(clearing(first, np.array([5000, -5000, 3000, -3000])), bounds, 300_000, 80_000, more=True)
    got = within(first, ordered(orders, HOMES))
    rest = left(orders, got, HOMES)
    both = joined(got, within(second, ordered(rest, HOMES)))
    allowed = ordered(orders, HOMES)
    assert (np.bincount(both.buyer, both.wh, HOMES) <= allowed.buy_wh).all()
    assert (np.bincount(both.seller, both.wh, HOMES) <= allowed.sell_wh).all()
    assert (both.price <= allowed.max_buy[both.buyer]).all()
    assert (both.price >= allowed.min_sell[both.seller]).all()
    assert (both.wh > 0).all()


def test_nothing_joined_is_nothing() -> None:
    assert len(joined()) == 0


# A small day


def test_a_trade_without_both_orders_falls_away_and_the_battery_does_not_serve_it() -> None:
    load = np.array([[0, 0], [900, 900], [0, 900], [900, 0]])
    made = np.array([[2000, 0], [0, 0], [0, 0], [0, 0]])
    frame = Frame(np.array([0, 900]), np.zeros(2, dtype=np.int64), 0.25, HOMES,
                  np.full(2, 300_000), np.full(2, 80_000))  # fmt: skip
    bounds = Limits(*(np.full(HOMES, value) for value in (300_000, 0, 50_000, 50_000)))
    stage = ActiveStage(0, find("bilateral"), {"roles": "free"})
    plan = agree(stage, frame, outlook(load, made, 500.0), bounds, more=False, firm=False)
    assert (plan.net.sum(axis=0) >= load.sum(axis=0) - made.sum(axis=0) - 700).all()
    assert plan.agreed[0].trades.buyer.tolist() == [1, 3]
    assert not plan.grid.any()  # nothing is charged from the grid
    firm = agree(stage, frame, outlook(load, made, 500.0), bounds, more=False, firm=True)
    assert (firm.grid == firm.net - np.stack([c.trades.position(HOMES) for c in firm.agreed], axis=1)).all()
    declared = [Declared(slot, orders, (), ()) for slot, orders in zip((0, 900), plan.orders, strict=True)]
    without = declared[0].orders
    keep = without.member != 3
    refused = replace(
        declared[0],
        orders=replace(without, **{name: getattr(without, name)[keep] for name in ("member", "side", "wh", "limit")}),
    )
    whole, cut = (clear([stage], frame, [slot, declared[1]], plan.agreed)[0] for slot in (declared[0], refused))
    assert whole.trades.buyer.tolist() == [1, 3]
    assert cut.trades.buyer.tolist() == [1]
    assert cut.ahead == whole.ahead
    served = [held(slot.trades.position(HOMES), plan.grid[:, 0]) for slot in (whole, cut)]
    assert (served[0] - served[1]).tolist() == [-900, 0, 0, 900]
