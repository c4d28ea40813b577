"""Half of the parties fall silent in the middle of a round, or the exchange itself does: what is left of the trade.

Nothing is estimated: sealed bids go through `market.sealed`, neighbours' proposals through `market.bilateral.agent`,
homes' plans to `market.schedule.aggregator`, orders into `continuous`, and the exchange is stopped and started on
its file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from commonwatt.community.model import Community
from commonwatt.community.synthetic import village
from commonwatt.errors import MarketError
from commonwatt.exchange.checking import load
from commonwatt.forecast import Forecaster, SeasonalNaive
from commonwatt.market import Neighbourhood, Orders, as_events
from commonwatt.market.bilateral.agent import Agent, routes_of
from commonwatt.market.bilateral.consensus import Start
from commonwatt.market.bilateral.neighbourhood import BilateralParameters
from commonwatt.market.designs.coalition import COALITION
from commonwatt.market.designs.continuous import CONTINUOUS
from commonwatt.market.designs.schedule import SCHEDULE, penalty
from commonwatt.market.designs.uniform import UNIFORM
from commonwatt.market.schedule.aggregator import Aggregator
from commonwatt.market.schedule.network import Offer, Wires
from commonwatt.market.schedule.step import Local, island
from commonwatt.market.sealed import NONCE_BYTES, Announcement, Bid, Committing, seal
from commonwatt.records import BUY, SELL, Clearing
from commonwatt.simulation.simulation import Simulation
from commonwatt.study.compare.designs import designs
from commonwatt.study.compare.table2_day import SLOT_SECONDS, START, Day
from commonwatt.study.compare.table2_size import AUCTION
from commonwatt.study.compare.table2_size import SCHEDULE as PLAN
from commonwatt.units import WH_PER_KWH, FloatArray, IntArray

HOMES: Final = 16
EXCHANGE: Final = "exchange"
MOST_ROUNDS: Final = 3000
"""After so many rounds without agreement, agents give up."""


@dataclass(frozen=True)
class Outage:
    """What came of one outage. kind : of what fails, AUCTION, SCHEDULE or EXCHANGE

    undisturbed, left : energy traded between homes without the outage and with it [kWh]
    """

    design: str
    kind: str
    who: str
    undisturbed: float
    left: float
    outcome: str


def outages(day: Day) -> Iterator[Outage]:
    """Every outage of parties; every second member is one of those who fall silent."""
    silent = np.arange(1, day.frame.members, 2)
    yield call_auction(day, silent)
    yield sealed_bids(day, silent)
    yield order_book(day, silent)
    yield neighbours(day, silent)
    yield contract(day, silent)


def call_auction(day: Day, silent: IntArray) -> Outage:
    """Orders of the silent do not arrive before gate closure."""
    rest = tuple(_only(orders, ~np.isin(orders.member, silent)) for orders in day.orders)
    lost = sum(len(all_.wh) - len(kept.wh) for all_, kept in zip(day.orders, rest, strict=True))
    return Outage(
        "uniform",
        AUCTION,
        "half of the members, before the gate",
        _kwh(UNIFORM.clear(day.frame, day.orders)),
        _kwh(UNIFORM.clear(day.frame, rest)),
        f"{lost} of {day.wishes} orders do not arrive; the others clear as if these had never been",
    )


def sealed_bids(day: Day, silent: IntArray) -> Outage:
    """Buyers commit to sealed bids; the silent do not reveal theirs. The coalition's offers stand."""
    opened = [_auction(orders, int(slot), silent) for slot, orders in zip(day.frame.starts, day.orders, strict=True)]
    unopened, sealed = sum(found[1] for found in opened), sum(found[2] for found in opened)
    return Outage(
        "coalition, sealed bids",
        AUCTION,
        "half of the buyers, between commit and reveal",
        _kwh(COALITION.clear(day.frame, day.orders)),
        _kwh(COALITION.clear(day.frame, tuple(found[0] for found in opened))),
        f"{unopened} of {sealed} seals are not opened; their buyers lose the deposit, the others clear on time",
    )


def _auction(orders: Orders, slot: int, silent: IntArray) -> tuple[Orders, int, int]:
    """One slot's sealed auction: the book that opens, the number of seals that do not, and of all."""
    bids, offers = (_only(orders, orders.side == side) for side in (BUY, SELL))
    offer = Announcement(slot, int(offers.wh.sum()), 1_000_000, slot - 7200, slot - 3600)
    committing = Committing(offer)
    wanted = {
        member: Bid(wh, limit)
        for member, wh, limit in zip(bids.member.tolist(), bids.wh.tolist(), bids.limit.tolist(), strict=True)
    }
    nonces = {member: member.to_bytes(NONCE_BYTES, "big") for member in wanted}
    for member, bid in wanted.items():
        committing.commit(member, seal(offer, member, bid, nonces[member]), offer.commit_until - 1)
    revealing = committing.close(offer.commit_until)
    for member in wanted.keys() - set(silent.tolist()):
        revealing.reveal(member, wanted[member], nonces[member], offer.reveal_until - 1)
    opened = revealing.close(offer.reveal_until)
    return opened.with_offers(offers), len(opened.silent), len(wanted)


def order_book(day: Day, silent: IntArray) -> Outage:
    """Orders arrive in a random order; from the middle on, those of the silent do not."""
    chance = np.random.default_rng(0)
    arrivals = [_only(orders, chance.permutation(len(orders.wh))) for orders in day.orders]
    cut = [_only(orders, _in_time(orders, silent)) for orders in arrivals]
    lost = day.wishes - sum(len(orders.wh) for orders in cut)
    return Outage(
        "continuous",
        AUCTION,
        "half of the members, when half of the orders are in",
        _kwh(CONTINUOUS.clear(day.frame, tuple(map(as_events, arrivals)))),
        _kwh(CONTINUOUS.clear(day.frame, tuple(map(as_events, cut)))),
        f"{lost} of {day.wishes} orders do not arrive; trades made before stand, and so do orders in the book",
    )


def _in_time(orders: Orders, silent: IntArray) -> NDArray[np.bool_]:
    """Which of the orders arrive when the silent stop after the first half."""
    in_time: NDArray[np.bool_] = (np.arange(len(orders.wh)) < len(orders.wh) // 2) | ~np.isin(orders.member, silent)
    return in_time


def neighbours(day: Day, silent: IntArray) -> Outage:
    """Agents exchange proposals; half-way to agreement the silent stop. Those left then start again without them."""
    given, hours = day.neighbourhood, day.frame.hours
    rounds, undisturbed, _ = negotiate(given, hours)
    _, left, stopped = negotiate(given, hours, rounds // 2, silent)
    rest = np.setdiff1d(np.arange(day.frame.members), silent)
    routes = BilateralParameters().routes(given)
    partnered = np.intersect1d(rest, np.concatenate([routes.seller, routes.buyer]))
    again, anew, _ = negotiate(Neighbourhood(given.homes.take(rest)), hours)
    return Outage(
        "bilateral",
        PLAN,
        f"half of the homes, in round {rounds // 2} of {rounds}",
        undisturbed,
        left,
        f"{stopped} of {len(partnered)} homes left that had a partner stop for want of an answer; started again among "
        f"themselves, they agree on {anew:.1f} kWh after {again} rounds",
    )


def contract(day: Day, silent: IntArray) -> Outage:
    """Homes send their plans to the aggregator; half-way to a schedule the silent send none."""
    given, hours = day.dispatch, day.frame.hours
    whole = SCHEDULE.clear(day.frame, (given,))
    rounds = int(whole[0].diagnostics["iterations"])
    homes = range(day.frame.members)
    agents = [Local(island(given.homes.take([home])), given.flexible.take([home]), hours) for home in homes]
    aggregator: Aggregator[FloatArray, Offer] = Aggregator(homes, Offer.first(Wires.of(given, hours), penalty(given)))
    for number in range(1, rounds // 2 + 1):
        offer = aggregator.state
        for home in np.setdiff1d(homes, silent if number == rounds // 2 else []).tolist():
            aggregator.submit(home, agents[home].answer(offer.to(np.array([home])))[0], number)
    waiting = len(aggregator.waiting)
    rest = np.setdiff1d(homes, silent)
    alone = replace(
        given, node=given.node[rest], homes=given.homes.take(rest), reactive=given.reactive[rest],
        flexible=given.flexible.take(rest),
    )  # fmt: skip
    anew = SCHEDULE.clear(replace(day.frame, members=len(rest)), (alone,))
    return Outage(
        "schedule",
        PLAN,
        f"half of the homes, in round {rounds // 2} of {rounds}",
        _kwh(whole),
        0.0 if waiting else _kwh(whole),
        f"round {aggregator.iteration} does not end: the aggregator waits for {waiting} of {len(homes)} homes; started "
        f"again with a list of the others, it finds {_kwh(anew):.1f} kWh after "
        f"{int(anew[0].diagnostics['iterations'])} rounds",
    )


def negotiate(
    given: Neighbourhood, hours: float, until: int = MOST_ROUNDS, silent: Sequence[int] | IntArray = ()
) -> tuple[int, float, int]:
    """Let one agent per home find its trades; from round `until` on, the silent send nothing.

    Returns the rounds, the energy on which both ends agree [kWh], and how many others stop for want of an answer.
    """
    routes, count = BilateralParameters().routes(given), given.homes.shape[0]
    start = Start.of(given.homes, routes)
    active = {
        home: Agent(home, given.homes.take([home]), routes_of(routes, home), start, hours) for home in range(count)
    }
    received: dict[int, Mapping[int, FloatArray]] = {}
    stopped = 0
    for number in range(MOST_ROUNDS):
        asked = set(active)
        if number == until:
            active = {home: agent for home, agent in active.items() if home not in silent}
        sent = {}
        for home in sorted(active):
            try:
                sent[home] = active[home].propose(received.get(home, {}))
            except MarketError:
                stopped += active.pop(home) is not None
        received = {
            home: {other: sent[other][home] for other in agent.neighbours if other in sent}
            for home, agent in active.items()
        }
        # Who was answered by all and is quiet has agreed; the silence of one is noticed a round later.
        if asked == set(active) and all(agent.quiet for agent in active.values()):
            break
    agreed = sum(
        int(deal.wh[deal.sells].sum())
        for agent in active.values()
        for other, deal in agent.deals().items()
        if other in active
    )
    return number, agreed / WH_PER_KWH, stopped


class PowerCut(Exception):
    """The exchange stops."""


class _PowerCutAtGate(SeasonalNaive):
    """A forecaster under which the power goes while the gate closes, before anything of it is stored."""

    def predict(self, *_: Any, **__: Any) -> IntArray:
        """Does not return."""
        raise PowerCut


def crashes(names: Sequence[str], homes: int = HOMES) -> Iterator[Outage]:
    """The exchange stops while the gate closes, after it, and in the middle of the day, and goes on from its file."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "village.toml"
        file.write_text(village(homes), encoding="utf-8")
        community = replace(load(file), slot_seconds=SLOT_SECONDS)
        for design in designs(community, file.parent, names):
            changed = replace(community, market=design.stages)
            bills, undisturbed = _finish(_simulation(changed, file.parent))
            for moment, events in (("while it clears", 0), ("after the gate", 1), ("in the middle of the day", 13)):
                again, left = _finish(_cut(changed, file.parent, f"{design.name} {events}", events))
                differ = int(np.abs(again - bills).max())
                outcome = f"started again on its file; largest difference of a bill: {differ} micro-units"
                yield Outage(design.name, EXCHANGE, f"the exchange, {moment}", undisturbed, left, outcome)


def _cut(community: Community, folder: Path, name: str, events: int) -> Simulation:
    """A run that stopped after so many events, or, if none, within the first; opened again on its file."""
    out = folder / name
    cut = _simulation(community, folder, out, SeasonalNaive() if events else _PowerCutAtGate())
    try:
        for _ in range(max(events, 1)):
            cut.advance()
    except PowerCut:
        pass
    finally:
        cut.close()
    return _simulation(community, folder, out)


def _simulation(
    community: Community, folder: Path, out: Path | None = None, forecaster: Forecaster | None = None
) -> Simulation:
    return Simulation(community, folder, START, 1, ledger="none", out=out, forecaster=forecaster)


def _finish(simulation: Simulation) -> tuple[IntArray, float]:
    """Run to the end: the bills [micro-currency], and the energy between neighbours [kWh]."""
    try:
        result = simulation.run()
        return result.charges.total, float(result.trades["settled_wh"].sum()) / WH_PER_KWH
    finally:
        simulation.close()


def _only(orders: Orders, chosen: IntArray | NDArray[np.bool_]) -> Orders:
    """Some of the orders, in the order of `chosen`."""
    return Orders(orders.member[chosen], orders.side[chosen], orders.wh[chosen], orders.limit[chosen])


def _kwh(clearings: Sequence[Clearing]) -> float:
    return sum(int(clearing.trades.wh.sum()) for clearing in clearings) / WH_PER_KWH
