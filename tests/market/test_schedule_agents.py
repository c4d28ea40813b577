from typing import Any

import numpy as np
import pytest
from schedule_cases import ieee33, line, village

from commonwatt.errors import MarketError
from commonwatt.market.designs.schedule import ScheduleParameters, penalty, rounds, solve
from commonwatt.market.schedule.aggregator import Aggregator
from commonwatt.market.schedule.bill import bills
from commonwatt.market.schedule.input import Dispatch
from commonwatt.market.schedule.network import SETTLE, Offer, Wires
from commonwatt.market.schedule.plan import as_started, least
from commonwatt.market.schedule.step import Local, island
from commonwatt.units import FloatArray, IntArray

Market = Aggregator[FloatArray, Offer]


def market(given: Dispatch, tolerance: tuple[float, float] = (0.0, 0.0)) -> tuple[list[Local], Market]:
    """Every home's agent, which holds its own devices only, and the aggregator, which knows of none."""
    agents = [Local(given.homes.take([home]), given.flexible.take([home]), 1.0) for home in range(len(given.node))]
    offer = Offer.first(Wires.of(given, 1.0), penalty(given), tolerance)
    return agents, Aggregator(range(len(agents)), offer)


def go_round(agents: list[Local], aggregator: Market, order: IntArray | range) -> None:
    """One round: every home is told its part of the offer and nothing else."""
    offer = aggregator.state
    for home in order:
        aggregator.submit(home, agents[home].answer(offer.to(np.array([home])))[0], offer.number + 1)


@pytest.mark.parametrize(
    ("given", "count"),
    [(village(line(3), seed=4, slots=6), SETTLE + 5), (ieee33(seed=2), 4)],
    ids=["until starts are settled", "ieee33"],
)
def test_agents_that_exchange_messages_find_what_one_computation_finds(given: Dispatch, count: int) -> None:
    agents, aggregator = market(given)
    chance = np.random.default_rng(0)
    for _ in range(count):
        go_round(agents, aggregator, chance.permutation(len(agents)))
    *_, (offer, local) = rounds(given, count, 1.0)
    assert aggregator.iteration == count + 1
    assert np.abs(aggregator.state.wanted - offer.wanted).max() < 1e-9 * max(1.0, np.abs(offer.wanted).max())
    assert np.abs(aggregator.state.price - offer.price).max() < 1e-9
    together = local.plan()
    for home, agent in enumerate(agents):
        own = agent.plan()
        assert np.abs(own.net - together.net[home]).max() < 1e-6
        assert own.start.tolist() == together.start[[home]].tolist()


def test_the_rounds_end_when_homes_and_wires_agree() -> None:
    given = village(line(3), seed=4, slots=6, flexible=False)
    agents, aggregator = market(given, (1e-2, 1e-3))
    while not aggregator.state.solved:
        go_round(agents, aggregator, range(2))
    assert SETTLE < aggregator.state.number < 300
    with pytest.raises(MarketError, match="is solved"):
        aggregator.submit(0, np.zeros(6), aggregator.iteration)
    nets = np.concatenate([agent.plan().net for agent in agents])
    assert np.abs(nets - aggregator.state.wanted).max() < 0.05


@pytest.mark.parametrize("wrong", [np.zeros(3), np.full(24, np.nan), 0.0])
def test_what_is_no_plan_is_refused_and_the_round_goes_on(wrong: Any) -> None:
    given = village(line(3), seed=4)
    _, aggregator = market(given)
    aggregator.submit(0, np.zeros(24), 1)
    with pytest.raises(MarketError, match="Home 1 sent no row of 24 numbers"):
        aggregator.submit(1, wrong, 1)
    assert aggregator.waiting == {1}
    aggregator.submit(1, np.zeros(24), 1)
    assert aggregator.iteration == 2


def test_a_changed_message_changes_what_everyone_reads() -> None:
    given = village(line(3), seed=4)
    honest, other = market(given), market(given)
    for agents, aggregator in (honest, other):
        go_round(agents, aggregator, range(2))
    agents, aggregator = other
    aggregator.submit(0, agents[0].answer(aggregator.state.to(np.array([0])))[0] + 0.5, 2)
    aggregator.submit(1, agents[1].answer(aggregator.state.to(np.array([1])))[0], 2)
    go_round(*honest, range(2))
    assert np.abs(honest[1].state.wanted - aggregator.state.wanted).max() > 0.1


def test_the_bills_of_a_schedule_cover_the_utility_and_leave_the_wires_their_rent() -> None:
    given = ieee33(seed=1, scale=0.9)
    verdict = solve(given, ScheduleParameters(), 1.0).verdict
    price = np.rint(verdict.duals.price(given.feeder)[given.node] * 1e6).astype(np.int64)
    supply = verdict.flow.P[0] * given.feeder.base_kva * 1000
    utility = np.where(supply > 0, given.retail, given.feed_in) * 1e6
    metered = verdict.net.copy()
    metered[3, 5] += 700
    found = bills(price, verdict.net, metered, 50_000, *(np.rint(x).astype(np.int64) for x in (supply, utility)))
    assert found.energy.sum() == found.utility + found.rent
    assert found.deviation.tolist() == [35_000 if home == 3 else 0 for home in range(32)]
    assert (found.pay == found.energy + found.deviation).all()
    assert found.rent == pytest.approx(verdict.figures(1.0)["network_rent"] * 1e6, rel=2e-3)
    # The bound is the homes' least cost at these prices less what the wires get.
    kept, rest = as_started(island(given.homes), given.flexible, verdict.plan.start)
    own = least(kept, rest, verdict.duals.inner, verdict.duals.price(given.feeder)[given.node], 1.0).sum()
    assert found.rent / 1e6 == pytest.approx(own - verdict.bound, abs=1e-3 * verdict.cost)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"metered": np.zeros((2, 3), dtype=int)}, "one price, plan and reading"), ({"deviation": -1}, "at least 0")],
)
def test_bills_of_nothing_that_can_be_billed_are_refused(change: dict[str, Any], sentence: str) -> None:
    one, row = np.ones((2, 4), dtype=np.int64), np.ones(4, dtype=np.int64)
    right: dict[str, Any] = {
        "price": one,
        "scheduled": one,
        "metered": one,
        "deviation": 0,
        "supply": row,
        "utility": row,
    }
    assert bills(**right).pay.tolist() == [0, 0]
    with pytest.raises(MarketError, match=sentence):
        bills(**(right | change))
