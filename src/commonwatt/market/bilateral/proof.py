"""The proof of `bilateral`: everything it promises, found anew from the inputs, the trades and the multipliers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from commonwatt.devices.operation import Operation, operate
from commonwatt.market.bilateral.neighbourhood import BilateralParameters, Neighbourhood
from commonwatt.market.bilateral.repair import gains, lower_bound
from commonwatt.market.bilateral.routes import Routes
from commonwatt.market.gap import near_enough
from commonwatt.market.interface import Frame, Outcome
from commonwatt.market.proving import insist, paid, well_formed
from commonwatt.records import Check, Clearing, Proof, Trades
from commonwatt.units import MICRO, WH_PER_KWH, FloatArray, IntArray, wh_from_kw


@dataclass(frozen=True)
class Evidence:
    """What shows that trades are near the optimum: a price of each home's energy, shape (homes, slots) [currency/kWh].

    converged : whether the mechanism claims the gap at all; if not, there are no trades
    """

    price: FloatArray
    converged: bool


def prove(
    name: str,
    frame: Frame,
    inputs: tuple[Neighbourhood, ...],
    outcomes: tuple[Outcome, ...],
    parameters: BilateralParameters,
) -> tuple[Clearing, ...]:
    """The horizon's Clearings. Raises MarketError when a check fails."""
    given, hours, members = inputs[0], frame.hours, frame.members
    for slot, outcome in enumerate(outcomes):
        insist(name, frame, slot, well_formed(outcome.trades, members))
    bought = np.stack([outcome.trades.position(members) for outcome in outcomes], axis=1)
    operation = operate(given.homes, -bought / (WH_PER_KWH * hours), hours)
    # What each home takes in all; its running total is rounded, and so is the utility's share of it.
    net = bought + wh_from_kw(operation.grid, hours)
    horizon = _horizon(given, outcomes, operation, parameters, hours)
    clearings = []
    for slot, outcome in enumerate(outcomes):
        trades = outcome.trades
        grid = net[:, slot] - bought[:, slot]
        between = int(bought[:, slot].sum())
        checks = (
            well_formed(trades, members),
            Check("energy", between == 0, between, "Wh by which members' purchases and sales differ"),
            paid(trades, members),
            *horizon,
        )
        for check in checks:
            insist(name, frame, slot, check)
        start = int(frame.starts[slot])
        clearings.append(Clearing(name, start, trades, outcome.prices, grid, Proof(checks), outcome.diagnostics))
    return tuple(clearings)


def _horizon(
    given: Neighbourhood,
    outcomes: tuple[Outcome, ...],
    operation: Operation,
    parameters: BilateralParameters,
    hours: float,
) -> tuple[Check, ...]:
    """The checks of the horizon as a whole; each slot carries them."""
    evidence = outcomes[0].evidence
    if not isinstance(evidence, Evidence) or not evidence.converged:
        count = sum(len(outcome.trades) for outcome in outcomes)
        return (Check("fall-back", count == 0, count, "trades although the market did not converge"),)
    homes = given.homes
    routes = parameters.routes(given)
    wh, strangers = _on_routes(routes, [outcome.trades for outcome in outcomes], homes.shape[0])
    unmet = int(np.abs(operation.unmet).max(initial=0.0) * hours * WH_PER_KWH)
    credit = np.sum([outcome.trades.credit(homes.shape[0]) for outcome in outcomes], axis=0)
    alone = operate(homes, np.zeros(homes.shape), hours)
    loss = int(np.maximum(-(gains(operation, alone, hours) + credit), 0).max(initial=0))
    cost = float(operation.cost.sum() + (routes.gamma * wh).sum() / WH_PER_KWH)
    apart = cost - lower_bound(homes, routes, evidence.price, hours)
    scale = max(abs(cost), float(np.abs(operation.cost).sum()) / 100, 1 / MICRO)
    near = near_enough(apart, scale, homes, parameters.gap)
    millionths = int(np.ceil(MICRO * apart / scale)) if apart > 1 / MICRO else 0
    return (
        Check(
            "able", unmet <= 1 and strangers == 0, max(unmet, strangers), "Wh traded that a home can not make or use"
        ),
        Check("rational", loss == 0, loss, "units of money that a member loses against the utility alone"),
        Check("gap", near, millionths, "millionths of the cost above the bound on the optimum"),
    )


def _on_routes(routes: Routes, trades: list[Trades], members: int) -> tuple[IntArray, int]:
    """Energy of each route, shape (routes,) [Wh], and what was traded where there is no route."""
    key = (routes.slot * members + routes.seller) * members + routes.buyer
    wh, strangers = np.zeros(len(key), dtype=np.int64), 0
    for slot, traded in enumerate(trades):
        wanted = (slot * members + traded.seller) * members + traded.buyer
        at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
        known = key[at] == wanted if len(key) else np.zeros(len(wanted), dtype=bool)
        np.add.at(wh, at[known], traded.wh[known])
        strangers += int(traded.wh[~known].sum())
    return wh, strangers
