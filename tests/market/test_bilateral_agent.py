"""Agents in processes of their own, which exchange proposals and nothing else, agree on the market's trades."""

import multiprocessing
from multiprocessing.connection import Connection

import numpy as np
import pytest
from bilateral_cases import village

from commonwatt.errors import MarketError
from commonwatt.market.bilateral.agent import Agent, Deal, routes_of
from commonwatt.market.bilateral.consensus import Start, rounds
from commonwatt.market.bilateral.neighbourhood import BilateralParameters, Neighbourhood
from commonwatt.units import FloatArray

THREE = Neighbourhood.of_agents([(1, 2, 0, 10), (1, 8, -5, 0), (1, 10, -5, 0)], [(0, 1, 0.5), (0, 2, 0.2)])


def live(agent: Agent, pipes: dict[int, Connection], count: int, report: Connection) -> None:
    """One home's process: its pipes lead to neighbours only; at the end it reports what it agreed on."""
    received: dict[int, FloatArray] = {}
    for _ in range(count):
        for other, proposal in agent.propose(received).items():
            pipes[other].send(proposal)
        received = {other: pipes[other].recv() for other in agent.neighbours}
    agent.propose(received)
    report.send((agent.quiet, agent.deals()))


def deals_of_processes(
    given: Neighbourhood, parameters: BilateralParameters, count: int, hours: float
) -> list[tuple[bool, dict[int, Deal]]]:
    """What each home's process reports after `count` rounds."""
    homes, routes = given.homes, parameters.routes(given)
    start = Start.of(homes, routes)
    agents = [Agent(home, homes.take([home]), routes_of(routes, home), start, hours) for home in range(homes.shape[0])]
    # Each process begins with the imports and nothing else of this one.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "bilateral_cases", "commonwatt.market.bilateral.agent"])
    pipes: list[dict[int, Connection]] = [{} for _ in agents]
    for agent in agents:
        for other in (other for other in agent.neighbours if other > agent.home):
            pipes[agent.home][other], pipes[other][agent.home] = context.Pipe()
    reports, processes = [], []
    for agent, own in zip(agents, pipes, strict=True):
        here, there = context.Pipe(duplex=False)
        # Daemons end with the test, so that one that fails does not leave its neighbours waiting.
        processes.append(context.Process(target=live, args=(agent, own, count, there), daemon=True))
        processes[-1].start()
        reports.append(here)
    for home, report in enumerate(reports):
        assert report.poll(120), f"home {home} did not report"
    found = [report.recv() for report in reports]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    return found


def test_three_processes_find_the_case_by_hand() -> None:
    found = deals_of_processes(THREE, BilateralParameters(), 100, 1.0)
    assert all(quiet for quiet, _ in found)
    (_, generator), (_, near), (_, far) = found
    assert (generator[1].wh.tolist(), generator[1].price.tolist()) == ([800], [6_700_000])
    assert (generator[2].wh.tolist(), generator[2].price.tolist()) == ([3400], [6_400_000])
    assert near[0].sells.tolist() == far[0].sells.tolist() == [False]


def test_processes_with_batteries_agree_bit_for_bit_and_with_the_market() -> None:
    given, parameters, hours, count = village(5, slots=12, batteries=0.8), BilateralParameters(roles="free"), 2.0, 150
    found = deals_of_processes(given, parameters, count, hours)
    routes = parameters.routes(given)
    market = next(rounds(given.homes, routes, Start.of(given.homes, routes), hours, every=count, adaptive=False))
    wh = np.rint(market.flow * hours * 1000).astype(int)
    traded = 0
    for home, (_, deals) in enumerate(found):
        for other, deal in deals.items():
            back = found[other][1][home]
            assert np.array_equal(deal.wh, back.wh)
            assert np.array_equal(deal.price, back.price)
            assert np.array_equal(deal.sells, ~back.sells)
            first, second = (
                (routes.seller == home) & (routes.buyer == other),
                (routes.buyer == home) & (routes.seller == other),
            )
            assert np.abs(deal.wh - wh[first | second]).max(initial=0) <= 1
            traded += int(deal.wh.sum())
    assert traded > 1000


def test_the_agents_flows_are_the_markets_to_the_last_digits() -> None:
    given, parameters, count = village(8, batteries=0.6), BilateralParameters(preference="distance"), 120
    routes = parameters.routes(given)
    start = Start.of(given.homes, routes)
    market = next(rounds(given.homes, routes, start, 1.0, every=count, adaptive=False))
    agents = [Agent(home, given.homes.take([home]), routes_of(routes, home), start, 1.0) for home in range(8)]
    received: list[dict[int, FloatArray]] = [{} for _ in agents]
    for _ in range(count + 1):
        sent = [agent.propose(box) for agent, box in zip(agents, received, strict=True)]
        received = [{other: sent[other][agent.home] for other in agent.neighbours} for agent in agents]
    for agent in agents:
        mine = market.flow[(routes.seller == agent.home) | (routes.buyer == agent.home)]
        assert np.abs(agent.flow - mine).max(initial=0.0) < 1e-12


@pytest.mark.parametrize("wrong", [{}, {1: [1.0, 2.0], 2: [0.0]}, {1: [np.nan], 2: [0.0]}])
def test_a_missing_or_malformed_proposal_is_refused(wrong: dict[int, list[float]]) -> None:
    routes = BilateralParameters().routes(THREE)
    agent = Agent(0, THREE.homes.take([0]), routes_of(routes, 0), Start.of(THREE.homes, routes), 1.0)
    agent.propose({})
    with pytest.raises(MarketError, match="Home 0 had no proposal of 1 numbers from home 1"):
        agent.propose({other: np.array(numbers) for other, numbers in wrong.items()})


def test_a_home_without_neighbours_is_quiet_at_once() -> None:
    routes = BilateralParameters().routes(THREE)
    alone = Agent(7, THREE.homes.take([0]), routes_of(routes, 7), Start.of(THREE.homes, routes), 1.0)
    assert alone.propose({}) == {}
    assert alone.propose({}) == {}
    assert alone.quiet
