from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from auction_cases import figures
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear
from schedule_cases import clear, frame, ieee33, line, optimum, village

from commonwatt.devices.households import Households
from commonwatt.errors import MarketError
from commonwatt.grid.feeder import Feeder, flow
from commonwatt.market import Frame
from commonwatt.market.designs.schedule import SCHEDULE, ScheduleParameters, solve
from commonwatt.market.interface import Outcome
from commonwatt.market.schedule.input import Dispatch, Flexible
from commonwatt.market.schedule.network import Wires
from commonwatt.market.schedule.proof import Evidence, Verdict, alone
from commonwatt.records import Trades
from commonwatt.units import FloatArray

Street = tuple[int, int, int, float, float]
"""Homes, slots, seed, ohm and sun."""
Cleared = tuple[Dispatch, Frame, ScheduleParameters, tuple[Outcome, ...]]
"""Homes, frame, parameters and what the rule made of them."""


def judged(given_: Dispatch, hours: float = 1.0, **parameters: object) -> tuple[Verdict, FloatArray]:
    """The verdict of a solution, and what the relief of its upper limits is, shape (nodes, slots)."""
    solution = solve(given_, ScheduleParameters.model_validate(parameters), hours)
    assert solution.converged
    verdict, wires = solution.verdict, Wires.of(given_, hours)
    taken = wires.at_nodes(verdict.plan.net)
    return verdict, flow(given_.feeder, taken, wires.q).relief(given_.feeder, taken, wires.q)


@pytest.mark.parametrize(
    ("given_", "tight"),
    [
        (village(line(3), slots=8), {}),
        (village(line(6, ohm=0.3), seed=1, slots=8, sun=3), {"high"}),
        (village(line(6, ohm=0.8), seed=3, slots=8, sun=0, flexible=False), {"low"}),
        (village(line(6, ohm=0.2), seed=2, slots=8, sun=2, import_limit=5.0, export_limit=2.0), {"connection"}),
        (village(line(6, ohm=0.1, max_a=6.0), seed=2, slots=8, sun=2, flexible=False), {"most"}),
        (village(line(5), slots=8, a=0.05, b=0.1, p_max=2.0, flexible=False), {}),
    ],
)
def test_the_certified_gap_and_the_nodal_prices_hold_against_clarabel(given_: Dispatch, tight: set[str]) -> None:
    pytest.importorskip("clarabel")
    pytest.importorskip("scipy")
    hours = 24 / given_.homes.shape[1]
    verdict, relief = judged(given_, hours)
    best, price, _ = optimum(given_, hours, relief)
    slack = 1e-5 * verdict.scale
    assert verdict.free_bound <= best + slack
    assert verdict.free_bound <= verdict.bound + slack
    assert best - slack <= verdict.cost
    assert verdict.cost - verdict.bound <= 1e-3 * verdict.scale + 1e-3 * given_.homes.dearest.sum()
    apart = np.abs(verdict.free.price(given_.feeder) - price)[given_.node]
    spread = float(given_.retail.max())
    assert apart.max() <= 0.02 * spread
    assert apart.mean() <= 0.002 * spread
    duals = {name for name in ("low", "high", "most") if getattr(verdict.free, name).max() > 1e-3}
    limits = given_.homes.import_limit[:, None], given_.homes.export_limit[:, None]
    full = (verdict.plan.net >= limits[0] - 1e-3).any() or (verdict.plan.net <= 1e-3 - limits[1]).any()
    assert duals | ({"connection"} if full else set()) == set(tight)


def test_the_33_bus_feeder_within_its_voltages() -> None:
    given_ = ieee33(seed=1, scale=0.9)
    clearings = clear(given_)
    found = figures(clearings[0])
    assert found["converged"] == 1
    assert found["gap"] <= 1e-3
    assert found["gap_with_any_starts"] <= 1e-3
    assert 0.95 <= found["lowest_voltage"] < 0.96
    assert found["highest_voltage"] <= 1.05
    assert found["losses_kwh"] > 0
    assert found["network_rent"] > 0
    for clearing in clearings:
        assert set(clearing.prices) == {"lowest", "mean", "highest"}
        assert clearing.trades.position(32).sum() == 0


def test_one_home_at_the_end_of_a_line_by_hand() -> None:
    # 10 kW through 0.16 ohm at 0.4 kV: r = 0.1, P = 0.1 + 0.1·l, l = P² with v = 1 at node 0.
    feeder = Feeder.of([(0, 1)], 0.16, 0.0, kv=0.4, base_kva=100.0)
    given_ = Dispatch.of(feeder, [1], Households.of([[10.0]], retail=0.3, feed_in=0.1))
    (clearing,) = clear(given_)
    sent = (1 - np.sqrt(1 - 4 * 0.1 * 0.1)) / (2 * 0.1)
    found = figures(clearing)
    assert clearing.grid.tolist() == [10_000]
    assert found["losses_kwh"] == pytest.approx((sent - 0.1) * 100, abs=1e-9)
    assert found["cost"] == pytest.approx(0.3 * sent * 100, abs=1e-9)
    # One more kW taken costs dP/dp = 1/(1 − 2·r·P) at node 0, at the price of import.
    assert clearing.prices["mean"] == pytest.approx(300_000 / (1 - 0.2 * sent), abs=1)


def test_sun_next_door_is_traded_between_the_two_prices() -> None:
    feeder = line(3, ohm=0.05)
    homes = Households.of([[0.0], [3.0]], pv=[[2.0], [0.0]], retail=0.3, feed_in=0.1)
    (clearing,) = clear(Dispatch.of(feeder, [1, 2], homes))
    trades = clearing.trades
    assert (trades.seller.tolist(), trades.buyer.tolist(), trades.wh.tolist()) == ([0], [1], [2000])
    assert clearing.grid.tolist() == [0, 1000]
    # Both nodal prices are above what the utility asks, as losses come on top; the trade is not.
    assert clearing.prices["lowest"] > 300_000
    assert trades.price.tolist() == [300_000]


def test_a_battery_moves_the_sun_to_the_evening() -> None:
    homes = Households.of(
        [[0.0, 0.0, 0.0], [0.0, 2.0, 2.0]],
        pv=[[4.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        retail=0.3,
        feed_in=0.1,
        capacity=[10.0, 0.0],
        power=[5.0, 0.0],
        start=0.0,
    )
    clearings = clear(Dispatch.of(line(3, ohm=0.001), [1, 2], homes), gap="0.00001")
    bought = [clearing.trades.position(2).tolist() for clearing in clearings]
    assert bought[0] == [0, 0]
    assert sum(between[1] for between in bought) == pytest.approx(4000, abs=30)


def test_flexible_loads_run_when_energy_is_cheap() -> None:
    feeder, price = line(2, ohm=0.01), np.array([[0.4, 0.3, 0.1, 0.1, 0.3, 0.4]])
    homes = Households.of(np.zeros((1, 6)), retail=price, feed_in=0.05)
    flexible = Flexible.of(1, 6, power=2.0, energy=3.0, begin=1, end=5, profile=[[1.0, 3.0]], earliest=0)
    clearings = clear(Dispatch.of(feeder, [1], homes, flexible=flexible))
    taken = [int(clearing.grid[0]) for clearing in clearings]
    # The deferrable load starts at the first cheap hour; its second step and the shapable load share the two.
    assert taken[0] == taken[1] == taken[4] == taken[5] == 0
    assert taken[2] + taken[3] == 7000
    assert taken[2] >= 1000
    assert taken[3] >= 3000


def test_nodal_prices_make_every_plan_the_homes_cheapest() -> None:
    verdict, _ = judged(village(line(4), seed=4), gap="0.0001")
    given_ = verdict.given
    price = verdict.duals.price(given_.feeder)[given_.node]
    paid = (price * verdict.plan.net).sum(axis=1) + verdict.plan.cost(given_.homes, 1.0)
    # If it were paid its nodal prices alone, no home would gain by what it would do without a schedule.
    before = (price * alone(given_, 1.0) / 1000).sum(axis=1)
    idle = given_.homes.capacity == 0
    assert (paid[idle] <= before[idle] + 2e-3).all()


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        (village(line(8, ohm=3.0), seed=3, slots=8, sun=0), "voltage"),
        (village(line(8, ohm=0.1, max_a=5.0), seed=3, slots=8, sun=0), "current"),
    ],
)
def test_what_the_wires_cannot_carry_is_not_converged_and_nobody_trades(given_: Dispatch, sentence: str) -> None:
    clearings = clear(given_, iterations=20)
    assert {clearing.diagnostics["converged"] for clearing in clearings} == {0}, sentence
    assert figures(clearings[0])["primal_residual_kw"] > 0
    assert not any(len(clearing.trades) for clearing in clearings)
    grid = np.stack([clearing.grid for clearing in clearings], axis=1)
    assert np.array_equal(grid, alone(given_, 1.0))


def test_too_few_rounds_are_not_converged() -> None:
    clearings = clear(village(line(6), seed=4), iterations=20)
    assert clearings[0].diagnostics["converged"] == 0
    assert clearings[0].diagnostics["iterations"] == 20
    assert figures(clearings[0])["gap"] > 1e-3


@pytest.fixture(scope="module")
def cleared() -> Cleared:
    given_ = village(line(4), seed=2, slots=12)
    market, parameters = frame(given_, 2.0), ScheduleParameters()
    return given_, market, parameters, SCHEDULE.rule(market, (given_,), parameters)


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        (lambda trades: replace(trades, wh=trades.wh + 1), "other than the plans"),
        (lambda trades: replace(trades, price=trades.price + 1), "other than the plans"),
        (lambda _: Trades(), "other than the plans"),
        (lambda trades: replace(trades, buyer=trades.seller), "with oneself"),
    ],
)
def test_tampered_trades_are_refused(cleared: Cleared, change: Callable[[Trades], Trades], promise: str) -> None:
    given_, market, parameters, outcomes = cleared
    assert SCHEDULE.proof
    slot = max(range(12), key=lambda slot: len(outcomes[slot].trades))
    worse = tuple(
        replace(outcome, trades=change(outcome.trades)) if at == slot else outcome
        for at, outcome in enumerate(outcomes)
    )
    with pytest.raises(MarketError, match=promise):
        SCHEDULE.proof("schedule", market, (given_,), worse, parameters)


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        (lambda e: replace(e, plan=replace(e.plan, net=e.plan.net - 1.0)), "devices or connection can do"),
        (lambda e: replace(e, plan=replace(e.plan, charge=e.plan.charge + 1.0)), "devices or connection can do"),
        (lambda e: replace(e, plan=replace(e.plan, start=e.plan.start * 0)), "devices or connection can do"),
        (lambda e: replace(e, plan=replace(e.plan, shapable=e.plan.shapable * 0)), "devices or connection can do"),
        (lambda e: replace(e, duals=replace(e.duals, p=e.duals.p * 1.01)), "above the bound"),
        (
            lambda e: replace(e, duals=replace(e.duals, p=e.duals.p * 0.99, inner=e.duals.inner * 0.99)),
            "above the bound",
        ),
        (lambda e: replace(e, duals=replace(e.duals, high=e.duals.high - 1.0)), "above the bound"),
    ],
)
def test_false_evidence_proves_nothing(cleared: Cleared, change: Callable[[Evidence], Evidence], promise: str) -> None:
    given_, market, parameters, outcomes = cleared
    assert SCHEDULE.proof
    evidence = outcomes[0].evidence
    assert isinstance(evidence, Evidence)
    false = change(evidence)
    lies = tuple(replace(outcome, evidence=false) for outcome in outcomes)
    with pytest.raises(MarketError, match=promise):
        SCHEDULE.proof("schedule", market, (given_,), lies, parameters)


def test_a_plan_that_the_wires_do_not_carry_is_refused(cleared: Cleared) -> None:
    given_, market, parameters, outcomes = cleared
    assert SCHEDULE.proof
    tighter = replace(given_, feeder=replace(given_.feeder, low=0.999, high=1.001))
    with pytest.raises(MarketError, match="voltage beyond its limits"):
        SCHEDULE.proof("schedule", market, (tighter,), outcomes, parameters)
    narrower = replace(given_, feeder=replace(given_.feeder, most=np.full(4, 0.01)))
    with pytest.raises(MarketError, match="beyond a line's limit"):
        SCHEDULE.proof("schedule", market, (narrower,), outcomes, parameters)


STREET = (st.integers(1, 4), st.integers(1, 3), st.integers(0, 10**6), st.floats(0.01, 0.3), st.floats(0, 4))


def street(homes: int, slots: int, seed: int, ohm: float, sun: float) -> Dispatch:
    return village(line(homes + 1, ohm=ohm), seed, slots=slots, sun=sun, flexible=False)


@dear(8)
@given(st.tuples(*STREET))
def test_any_street_clears_with_its_proof(drawn: Street) -> None:
    given_ = street(*drawn)
    clearings = clear(given_)
    found = figures(clearings[0])
    if found["converged"] == 0:
        # Rare among such streets: no plan is certified within the rounds, and nobody trades.
        assert all(len(clearing.trades) == 0 and clearing.proof.holds for clearing in clearings)
        return
    assert found["bound"] <= found["cost"] + 1e-6 * max(1.0, abs(found["cost"]))
    assert 0.95 <= found["lowest_voltage"] <= found["highest_voltage"] <= 1.05
    for clearing in clearings:
        between = clearing.trades.position(drawn[0])
        taken = clearing.grid + between
        assert between.sum() == clearing.trades.credit(drawn[0]).sum() == 0
        # Neighbours come first: nobody buys from the utility while somebody else sells to it.
        assert (clearing.grid >= 0).all() or (clearing.grid <= 0).all()
        assert (between * taken >= 0).all()
        assert (np.abs(between) <= np.abs(taken)).all()
        assert ((clearing.trades.price >= 80_000) & (clearing.trades.price <= 320_000)).all()


def test_whole_wh_of_a_plan_at_its_limit_keep_it() -> None:
    # At the upper voltage, a running total of one home rounds its feed-in up by most of a Wh.
    found = figures(clear(street(2, 2, 169272, 0.25, 4.0))[0])
    assert found["converged"] == 1
    assert 1.0499 < found["highest_voltage"] <= 1.05


@pytest.mark.parametrize("seed", range(8))
def test_usual_streets_find_a_plan(seed: int) -> None:
    assert clear(street(1 + seed % 4, 1 + seed % 3, seed, 0.05, 2.0))[0].diagnostics["converged"] == 1


@dear(50)
@given(st.tuples(*STREET), st.randoms(use_true_random=False))
def test_it_is_twice_the_same_and_the_order_of_homes_changes_names_only(drawn: Street, chance: Random) -> None:
    given_ = street(*drawn)
    turn = np.array(chance.sample(range(drawn[0]), drawn[0]))
    turned = replace(
        given_,
        node=given_.node[turn],
        homes=given_.homes.take(turn),
        reactive=given_.reactive[turn],
        flexible=given_.flexible.take(turn),
    )
    first, again, other = clear(given_), clear(given_), clear(turned)
    assert first[0].diagnostics == again[0].diagnostics
    assert first[0].diagnostics["cost"] == pytest.approx(other[0].diagnostics["cost"], rel=1e-3, abs=2e-3)
    for one, same, two in zip(first, again, other, strict=True):
        assert np.array_equal(one.trades.wh, same.trades.wh)
        assert np.array_equal(one.trades.price, same.trades.price)
        assert np.array_equal(one.grid, same.grid)
        assert one.prices.get("mean", 0) == pytest.approx(two.prices.get("mean", 0), rel=0.02, abs=2000)


@dear(50)
@given(st.integers(1, 3), st.integers(0, 10**6))
def test_any_street_with_flexible_loads_clears_with_its_proof(homes: int, seed: int) -> None:
    found = figures(clear(village(line(homes + 1, ohm=0.02), seed, slots=6), 4.0)[0])
    assert found["converged"] == 1
    assert found["gap"] <= found["gap_with_any_starts"] + 1e-9
