"""`schedule`: the devices of all homes on a feeder are dispatched together, within what its wires carry.

After Münsing, Mather, Moura, CCTA 2017 (the paper could not be read; model, data and the contract are from its public
code): a decentralised optimal power flow in which homes keep their devices to themselves and a contract coordinates.
Together they minimise

    Σ_slots Δt·( retail·import − feed_in·export at node 0 )  +  Σ_homes ( wear + Δt·(a/2·p² + b·p) )

over batteries, devices, PV held back, shapable and deferrable loads, with the branch flow's voltages and currents in
their limits. Two blocks take turns (ADMM): every home's own step (`schedule_step`), and that of the wires, which is the
aggregator's (`schedule_network`). The rounds end with whole-Wh plans that every home can do, that keep the limits in
the exact flow, and that are certified to cost at most `gap` more than the least (`schedule_bound`) with deferrable
loads started when they are; what other starts could save at most is reported. If that does not come about, nobody
trades, and the outcome says so. What homes give and take in a slot is traded at a price between those of their nodes,
within what the utility asks and pays; the rest meets the utility.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from commonwatt.errors import MarketError
from commonwatt.market.interface import Frame, Outcome, Parameters
from commonwatt.market.mechanism import Mechanism
from commonwatt.market.parameters import Millionths
from commonwatt.market.proving import the_one
from commonwatt.market.schedule.bound import Duals
from commonwatt.market.schedule.input import Dispatch
from commonwatt.market.schedule.network import Offer, Wires
from commonwatt.market.schedule.proof import Evidence, Verdict, prove, traded
from commonwatt.market.schedule.step import Local
from commonwatt.units import MICRO, FloatArray

EVERY = 20
"""Rounds between two looks at the plans."""
PART = 0.3
"""Of what the penalty is measured by; smaller parts make prices move faster, and too far where losses are high."""


class ScheduleParameters(Parameters):
    """Parameters of `schedule`.

    gap : stop when the certified gap is this part of the cost at most; iterations : give up after as many
    """

    gap: Millionths = 1000
    iterations: int = Field(default=1000, ge=1)


@dataclass(frozen=True, eq=False)
class Solution:
    """What the rounds came to; verdict : on the last plan; last : the offer after them."""

    verdict: Verdict
    last: Offer
    converged: bool


def rule(frame: Frame, inputs: tuple[Dispatch, ...], parameters: ScheduleParameters) -> tuple[Outcome, ...]:
    """Clear the whole horizon at once; `inputs` holds one Dispatch."""
    given = _admitted(frame, inputs)
    solution = solve(given, parameters, frame.hours)
    evidence = Evidence(solution.verdict.plan, solution.verdict.duals, solution.verdict.free, solution.converged)
    figures = _diagnostics(solution, frame.hours)
    if not solution.converged:
        return tuple(Outcome(diagnostics=figures, evidence=evidence) for _ in frame.starts)
    price = evidence.price(given)
    net = solution.verdict.net
    return tuple(
        Outcome(traded(frame, slot, net[:, slot], price[:, slot]), _named(price[:, slot]), figures, evidence)
        for slot in range(len(frame.starts))
    )


def solve(given: Dispatch, parameters: ScheduleParameters, hours: float) -> Solution:
    """Go round until a plan is certified, or give up."""
    best: tuple[Duals, ...] = ()
    free: tuple[Duals, ...] = ()
    for offer, local in rounds(given, parameters.iterations, hours):
        near = Duals.near(offer, local.full, local.price)
        verdict = Verdict.on(given, local.plan(), (*best, *near), (*free, *near), hours)
        # Before the starts are settled, only a plan is good enough that no others could better.
        near_enough = verdict.near(parameters.gap, freely=not offer.settled)
        if verdict.holds and near_enough:
            return Solution(verdict, offer, converged=True)
        best, free = (verdict.duals,), (verdict.free,)
    return Solution(verdict, offer, converged=False)


def rounds(given: Dispatch, most: int, hours: float) -> Iterator[tuple[Offer, Local]]:
    """The first `most` rounds; where they stand after each `EVERY` and at the end."""
    offer, local = Offer.first(Wires.of(given, hours), penalty(given)), Local(given.homes, given.flexible, hours)
    everyone = np.arange(len(given.node))
    for number in range(1, most + 1):
        offer = offer.after_all(local.answer(offer.to(everyone)))
        if number % EVERY == 0 or number == most:
            yield offer, local


def penalty(given: Dispatch) -> float:
    """ρ [currency/kWh per kW]: a part of the prices' range over a usual power, or of the losses' curve if higher.

    The losses' curve is how fast a kW makes the next one dearer.
    """
    homes, feeder = given.homes, given.feeder
    movable = homes.p_max > homes.p_min
    edges = [(homes.b + homes.a * p)[movable] for p in (homes.p_min, homes.p_max)]
    known = np.concatenate([given.retail, given.feed_in, *edges])
    highest = float(np.abs(known).max())
    usual = float((homes.load + homes.pv).mean()) or float((homes.p_max - homes.p_min + homes.power).mean())
    spread = max(float(known.max() - known.min()), highest / 10) / (usual or 1.0)
    at_homes = feeder.below[:, given.node]
    curve = 2 * highest * float(np.linalg.norm(at_homes * np.sqrt(feeder.r)[:, None], 2)) ** 2 / feeder.base_kva
    return PART * max(spread, curve, 1 / MICRO)


def _admitted(frame: Frame, inputs: tuple[Dispatch, ...]) -> Dispatch:
    """The one input. Raises MarketError naming what is wrong with it."""
    given = the_one("schedule", Dispatch, frame, inputs)
    if found := given.findings(frame.hours):
        raise MarketError("schedule cannot clear this: " + "; ".join(map(str, found)) + ".")
    return given


def _named(price: FloatArray) -> dict[str, int]:
    """Of the homes' nodes in one slot [unit/kWh]."""
    named = {"lowest": price.min(), "mean": price.mean(), "highest": price.max()}
    return {name: round(float(value)) for name, value in named.items()}


def _diagnostics(solution: Solution, hours: float) -> dict[str, int | float | str]:
    verdict, last = solution.verdict, solution.last
    flowing = verdict.figures(hours) if verdict.flow.solved.all() else {}
    return {
        "converged": int(solution.converged),
        "gap": verdict.gap if verdict.holds else 1.0,
        "gap_with_any_starts": verdict.free_gap if verdict.holds else 1.0,
        "cost": verdict.cost,
        "bound": verdict.bound if np.isfinite(verdict.bound) else "none",
        "iterations": last.number,
        "primal_residual_kw": last.primal,
        "dual_residual_per_kwh": last.dual,
        "penalty": last.penalty,
        "breach_kw": verdict.breach,
        **flowing,
    }


SCHEDULE = Mechanism(
    "schedule",
    "ahead",
    Dispatch,
    ScheduleParameters,
    rule,
    "Münsing, Mather, Moura 2017 (from their public code); branch flow after Baran, Wu 1989 and Farivar, Low 2013",
    rational=False,
    proof=prove,
)
