"""The proof of `schedule`: plans, flow, cost and bound found anew from the inputs, the trades and the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from commonwatt.devices.operation import operate
from commonwatt.grid.feeder import Feeder, Flow, flow
from commonwatt.market.gap import near_enough
from commonwatt.market.interface import Frame, Outcome
from commonwatt.market.pool import NOTHING_KEPT, pair, pro_rata
from commonwatt.market.proving import insist, paid, well_formed
from commonwatt.market.schedule.bound import Duals, bound
from commonwatt.market.schedule.input import Dispatch
from commonwatt.market.schedule.network import Wires
from commonwatt.market.schedule.plan import Plan, as_started
from commonwatt.market.schedule.step import island
from commonwatt.records import Check, Clearing, Proof, Trades
from commonwatt.units import MICRO, WH_PER_KWH, FloatArray, IntArray, wh_from_kw


@dataclass(frozen=True, eq=False)
class Evidence:
    """What shows that trades belong to a good schedule: the homes' plans and the prices that bound the cost.

    duals : of schedules with the deferrable loads' starts as planned; free : of schedules with any starts
    converged : whether the mechanism claims anything at all; if not, there are no trades
    """

    plan: Plan
    duals: Duals
    free: Duals
    converged: bool

    def price(self, given: Dispatch) -> FloatArray:
        """At the homes' nodes, shape (homes, slots) [unit/kWh]."""
        at_homes: FloatArray = np.rint(self.duals.price(given.feeder)[given.node] * MICRO)
        return at_homes


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a plan comes to in whole Wh.

    net : what each home takes, shape (homes, slots) [Wh]; flow : of that
    breach : how far any home is beyond a limit of its own [kW]
    outside : how far any node is beyond a limit of its voltage [pu], overload : any line beyond its current [pu]
    cost, bound, free_bound : of the plan, below that of any with the same starts of deferrable loads, and below that of
        any at all [currency]; duals, free : those that show it
    scale : what a gap is relative to: |cost|, or a hundredth of the costs without sign if that is more
    """

    given: Dispatch
    plan: Plan
    duals: Duals
    free: Duals
    net: IntArray
    flow: Flow
    breach: float
    outside: float
    overload: float
    cost: float
    bound: float
    free_bound: float
    scale: float
    hours: float

    @classmethod
    def on(
        cls, given: Dispatch, plan: Plan, choice: Sequence[Duals], free_choice: Sequence[Duals], hours: float
    ) -> Verdict:
        """Of this plan and those of the duals that bound the cost best, nothing taken for granted."""
        homes, feeder, wires = island(given.homes), given.feeder, Wires.of(given, hours)
        net = wh_from_kw(plan.net, hours)
        flowing = flow(feeder, wires.at_nodes(net / (WH_PER_KWH * hours)), wires.q)
        outside, overload = _beyond(feeder, flowing)
        # Whole Wh decide on limits; cost and bound are of the plan itself, or a gap could be one of rounding.
        taken = wires.at_nodes(plan.net)
        planned = flow(feeder, taken, wires.q)
        supply = planned.P[0] * feeder.base_kva
        met = np.where(supply > 0, given.retail, given.feed_in) * supply * hours
        own = plan.cost(homes, hours)
        cost = float(own.sum() + met.sum())
        breach = float(plan.breach(homes, given.flexible, hours).max(initial=0.0))
        scale = max(abs(cost), float(np.abs(own).sum() + np.abs(met).sum()) / 100)
        relief = planned.relief(feeder, taken, wires.q)
        kept, rest = as_started(homes, given.flexible, plan.start)
        duals, bounded = _best(choice, lambda each: bound(wires, kept, rest, each, relief, hours))
        free, freely = _best(free_choice, lambda each: bound(wires, homes, given.flexible, each, relief, hours))
        return cls(
            given, plan, duals, free, net, flowing, breach, outside, overload, cost, bounded, freely, scale, hours
        )

    @property
    def holds(self) -> bool:
        """Whether homes and wires can live with it: homes to a Wh, wires exactly."""
        return self.breach * self.hours * WH_PER_KWH <= 1.0 and self.outside <= 0.0 and self.overload <= 0.0

    @property
    def gap(self) -> float:
        """Distance of cost from bound, relative to a unit of money at least; means nothing unless the plan holds."""
        return self._relative(self.bound)

    @property
    def free_gap(self) -> float:
        """The same from the bound on schedules with any starts of deferrable loads."""
        return self._relative(self.free_bound)

    def _relative(self, bounded: float) -> float:
        apart = self.cost - bounded
        if self.scale > 1 / MICRO:
            return apart / self.scale
        return apart * MICRO if apart >= 1 / MICRO else 0.0

    def near(self, gap: int, *, freely: bool = False) -> bool:
        """Whether cost and bound differ by `gap` millionths at most, or by less than a Wh a home."""
        bounded = self.free_bound if freely else self.bound
        return near_enough(self.cost - bounded, self.scale, self.given.homes, gap)

    def figures(self, hours: float) -> dict[str, float]:
        """What the wires do, and what nodal prices leave with them: Σ price·net less the utility's [currency]."""
        feeder, duals, kw = self.given.feeder, self.duals, self.net / (WH_PER_KWH * hours)
        magnitude = np.sqrt(self.flow.v)
        met = (duals.p[0] * self.flow.P[0]).sum() * feeder.base_kva
        return {
            "losses_kwh": float(self.flow.losses(feeder).sum() * feeder.base_kva * hours),
            "lowest_voltage": float(magnitude.min()),
            "highest_voltage": float(magnitude.max()),
            "network_rent": float((duals.price(feeder)[self.given.node] * kw).sum() - met) * hours,
        }


def _beyond(feeder: Feeder, flowing: Flow) -> tuple[float, float]:
    """How far voltages and currents are beyond their limits [pu]; without end where nothing flows."""
    if not flowing.solved.all():
        return np.inf, np.inf
    magnitude, current = np.sqrt(flowing.v), np.sqrt(flowing.l)
    outside = np.maximum(feeder.low - magnitude, magnitude - feeder.high)[1:].max(initial=0.0)
    return float(outside), float((current - feeder.most[:, None])[1:].max(initial=0.0))


def _best(choice: Sequence[Duals], bounded: Callable[[Duals], float]) -> tuple[Duals, float]:
    found = [bounded(each) for each in choice]
    highest = int(np.argmax(found))
    return choice[highest], found[highest]


def traded(frame: Frame, slot: int, net: IntArray, price: FloatArray) -> Trades:
    """Who takes from whom in one slot: the scarcer side as a whole, the other in proportion.

    net : shape (homes,) [Wh]; price : at their nodes [unit/kWh]
    A trade's price is the middle of its ends', within [floor, ceiling]; where these are no range, nobody trades.
    """
    ceiling, floor = int(frame.ceiling[slot]), int(frame.floor[slot])
    if ceiling < floor:
        return Trades()
    wanted, offered, _ = pro_rata(np.maximum(net, 0), np.maximum(-net, 0), NOTHING_KEPT)
    buyer, seller, wh = pair(wanted, offered)
    middle = np.rint((price[buyer] + price[seller]) / 2).astype(np.int64)
    return Trades(buyer, seller, wh, np.clip(middle, floor, ceiling))


def prove(
    name: str, frame: Frame, inputs: tuple[Dispatch, ...], outcomes: tuple[Outcome, ...], parameters: object
) -> tuple[Clearing, ...]:
    """The horizon's Clearings. Raises MarketError when a check fails."""
    given, members = inputs[0], frame.members
    evidence = outcomes[0].evidence
    claimed = isinstance(evidence, Evidence) and evidence.converged
    if isinstance(evidence, Evidence) and claimed:
        verdict = Verdict.on(given, evidence.plan, [evidence.duals], [evidence.free], frame.hours)
        net, price, horizon = verdict.net, evidence.price(given), _horizon(verdict, int(getattr(parameters, "gap", 0)))
    else:
        net, price, horizon = alone(given, frame.hours), np.zeros(given.homes.shape), ()
    clearings = []
    for slot, outcome in enumerate(outcomes):
        trades = outcome.trades
        insist(name, frame, slot, well_formed(trades, members))
        wanted = traded(frame, slot, net[:, slot], price[:, slot]) if claimed else Trades()
        position = trades.position(members)
        between = int(position.sum())
        checks = (
            well_formed(trades, members),
            Check("energy", between == 0, between, "Wh by which members' purchases and sales differ"),
            paid(trades, members),
            *horizon,
            _as_planned(trades, wanted),
        )
        for check in checks:
            insist(name, frame, slot, check)
        grid, start = net[:, slot] - position, int(frame.starts[slot])
        clearings.append(Clearing(name, start, trades, outcome.prices, grid, Proof(checks), outcome.diagnostics))
    return tuple(clearings)


def _as_planned(trades: Trades, wanted: Trades) -> Check:
    same = all(np.array_equal(getattr(trades, each.name), getattr(wanted, each.name)) for each in fields(Trades))
    differing = abs(int(trades.wh.sum()) - int(wanted.wh.sum()))
    return Check("planned", same, differing, "Wh traded other than the plans and their nodal prices say")


def _horizon(verdict: Verdict, gap: int) -> tuple[Check, ...]:
    """The checks of the horizon as a whole; each slot carries them."""
    breach = int(min(verdict.breach * verdict.hours * WH_PER_KWH, MICRO))
    outside, overload = (
        int(np.ceil(min(max(value, 0.0), 1.0) * MICRO)) for value in (verdict.outside, verdict.overload)
    )
    apart = verdict.gap if np.isfinite(verdict.gap) else 1.0
    return (
        Check("able", breach <= 1, breach, "Wh beyond what a home's devices or connection can do"),
        Check("voltage", outside == 0, outside, "millionths of the voltage beyond its limits"),
        Check("current", overload == 0, overload, "millionths of the base current beyond a line's limit"),
        Check("gap", verdict.near(gap), int(np.ceil(apart * MICRO)), "millionths of the cost above the bound"),
    )


def alone(given: Dispatch, hours: float) -> IntArray:
    """What homes take without a schedule, shape (homes, slots) [Wh]: flexible loads at once, all else at its best."""
    homes = given.homes
    load = homes.load + given.flexible.at_once(homes.shape[1], hours)
    plan = operate(replace(homes, load=load), np.zeros(homes.shape), hours)
    return wh_from_kw(plan.grid, hours)
