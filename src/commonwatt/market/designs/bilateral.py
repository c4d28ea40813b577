"""`bilateral`: neighbours agree pair by pair on energy and price for the whole day ahead, with preferences.

The day-ahead market of the household study after AlSkaif et al., IEEE Trans. Ind. Inform. 2021 (the paper could not be
read: its household model and preference formulas are from knowledge of the field), cleared by the consensus ADMM of
Sorin et al., Moret et al. and Baroche et al. as their public code has it. Together the homes minimise

    Σ_homes Σ_slots Δt·( retail·imp − feed_in·exp + wear·(ch + dis) + a/2·p² + b·p )  +  Σ_trades Δt·γ·t

each within its own limits (`households`). γ moves who trades with whom; it is not money. The price of a trade lies
between what the kWh is worth to its two ends. The iteration stops when whole-Wh trades that every home can live with
are certified to cost at most `gap` more than the optimum (`repair`). If that does not come about, nobody trades, and
the outcome says so. Members pay what they agreed, and nobody pays more in total than without neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from commonwatt.devices.households import Households
from commonwatt.devices.operation import Operation, operate
from commonwatt.errors import MarketError
from commonwatt.market.bilateral import consensus_fast
from commonwatt.market.bilateral.consensus import KERNELS, Round, Start, rounds
from commonwatt.market.bilateral.neighbourhood import BilateralParameters, Neighbourhood
from commonwatt.market.bilateral.proof import Evidence, prove
from commonwatt.market.bilateral.repair import Certificate, certify, fair_prices, known_prices, livable, without
from commonwatt.market.bilateral.rounding import whole
from commonwatt.market.bilateral.routes import Routes
from commonwatt.market.interface import Frame, Outcome
from commonwatt.market.mechanism import Mechanism
from commonwatt.market.proving import the_one
from commonwatt.records import Trades
from commonwatt.units import WH_PER_KWH, IntArray

EVERY = 50
"""Rounds between two looks at the gap."""
POLISH_ROUNDS, POLISH_WORK = 1000, 5_000_000
"""A small market goes on to exact residuals after the gap is reached, for so many rounds or rounds times routes."""
EXACT_KW, EXACT_PRICE = 1e-5, 5e-7


@dataclass(frozen=True)
class Solution:
    """What the market comes to: whole Wh and price of each route, shape (routes,), and how it got there."""

    certificate: Certificate
    price: IntArray
    last: Round
    converged: bool


def rule(frame: Frame, inputs: tuple[Neighbourhood, ...], parameters: BilateralParameters) -> tuple[Outcome, ...]:
    """Clear the whole horizon at once; `inputs` holds one Neighbourhood."""
    given = _admitted(frame, inputs, parameters)
    routes = parameters.routes(given)
    solution = solve(given, routes, parameters, frame.hours, frame.floor)
    figures = {**_diagnostics(solution, routes), "barred": _barred(given.homes, routes)}
    evidence = Evidence(solution.certificate.price, solution.converged)
    bounds = np.searchsorted(routes.slot, np.arange(given.homes.shape[1] + 1))
    traded = solution.certificate.wh if solution.converged else np.zeros_like(solution.certificate.wh)
    return tuple(
        _outcome(routes, traded, solution.price, slice(first, last), figures, evidence)
        for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    )


def solve(
    given: Neighbourhood, routes: Routes, parameters: BilateralParameters, hours: float, floor: IntArray
) -> Solution:
    """Iterate until trades are certified and fair, or give up. floor : of prices, shape (slots,) [unit/kWh]"""
    homes = given.homes
    alone = operate(homes, np.zeros(homes.shape), hours)
    best: Certificate | None = None
    kernels = consensus_fast.compiled() if parameters.compiled else KERNELS
    start = Start.of(homes, routes)
    looks = rounds(homes, routes, start, hours, every=EVERY, adaptive=parameters.adaptive, kernels=kernels)
    for now in looks:
        wh = livable(homes, routes, whole(routes, now.flow, hours), hours)
        best = _better(best, certify(homes, routes, wh, now.price, hours), hours)
        done = best.livable(hours) and best.near(homes, parameters.gap)
        if done and (_polished(now, len(wh)) or not len(wh)):
            fair, price = _fair(best, routes, homes, alone, hours, floor)
            if fair.livable(hours) and fair.near(homes, parameters.gap):
                return Solution(fair, price, now, converged=True)
        # Where nobody can trade with anybody, no round changes anything.
        if now.number >= parameters.iterations or not len(wh):
            break
    if best is None:
        raise MarketError("bilateral needs at least one round.")
    return Solution(best, np.zeros_like(best.wh), now, converged=False)


def _better(best: Certificate | None, found: Certificate, hours: float) -> Certificate:
    """The cheaper of two livable plans under the higher of two bounds."""
    if best is None:
        return found
    higher = best if best.bound > found.bound else found
    lower = best if (best.livable(hours), -best.cost) > (found.livable(hours), -found.cost) else found
    return replace(lower, bound=higher.bound, price=higher.price)


def _fair(
    found: Certificate, routes: Routes, homes: Households, alone: Operation, hours: float, floor: IntArray
) -> tuple[Certificate, IntArray]:
    """The plan and its prices without the trades of homes that their partners cannot spare from a loss."""
    known = known_prices(homes)
    price, short = fair_prices(routes, found, alone, hours, known, floor)
    while short.any():
        found = without(found, routes, homes, short, hours)
        price, short = fair_prices(routes, found, alone, hours, known, floor)
    return found, price


def _polished(now: Round, routes: int) -> bool:
    exact = now.primal <= EXACT_KW and now.dual <= EXACT_PRICE
    return exact or now.number >= POLISH_ROUNDS or now.number * routes >= POLISH_WORK


def _admitted(frame: Frame, inputs: tuple[Neighbourhood, ...], parameters: BilateralParameters) -> Neighbourhood:
    """The one input. Raises MarketError naming what is wrong with it."""
    given = the_one("bilateral", Neighbourhood, frame, inputs)
    found = given.findings(frame.hours) or parameters.findings(given)
    if found:
        raise MarketError("bilateral cannot clear this: " + "; ".join(map(str, found)) + ".")
    return given


def _outcome(
    routes: Routes,
    traded: IntArray,
    price: IntArray,
    part: slice,
    figures: dict[str, int | float | str],
    evidence: Evidence,
) -> Outcome:
    wh = traded[part]
    used = np.flatnonzero(wh)
    trades = Trades(routes.buyer[part][used], routes.seller[part][used], wh[used], price[part][used])
    energy = int(trades.wh.sum())
    prices = {"mean": int((trades.wh * trades.price).sum()) // energy} if energy else {}
    return Outcome(trades, prices, figures, evidence)


def _diagnostics(solution: Solution, routes: Routes) -> dict[str, int | float | str]:
    found, last = solution.certificate, solution.last
    preferences = float((routes.gamma * found.wh).sum()) / WH_PER_KWH if solution.converged else 0.0
    return {
        "converged": int(solution.converged),
        "unmet_kw": found.unmet,
        "gap": found.gap if solution.converged or found.unmet < 1e-6 else 1.0,
        "cost": found.cost,
        "bound": found.bound,
        "preferences": preferences,
        "iterations": last.number,
        "primal_residual_kw": last.primal,
        "dual_residual_per_kwh": last.dual,
        "penalty": last.penalty,
        "routes": len(routes.slot),
    }


def _barred(homes: Households, routes: Routes) -> int:
    """Number of routes whose preference is as much as a kWh can gain at all between the utility's prices."""
    most = float(homes.retail.max(initial=-np.inf) - homes.feed_in.min(initial=np.inf))
    return int((routes.gamma >= most).sum())


BILATERAL = Mechanism(
    "bilateral",
    "ahead",
    Neighbourhood,
    BilateralParameters,
    rule,
    "AlSkaif et al. 2021 (from knowledge); consensus ADMM after Sorin, Moret, Baroche",
    proof=prove,
)
