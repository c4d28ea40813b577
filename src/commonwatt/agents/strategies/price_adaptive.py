"""`zip`: order all that the plan leaves with a profit margin that learns from the prices of the gate before.

Source: ZIP, zero intelligence plus: D. Cliff, "Minimal-intelligence agents for bargaining behaviors in market-based
environments", Hewlett-Packard Laboratories report HPL-97-91, 1997 (it has no DOI). A trader whose price p would have
been good enough for the last price q raises its margin, one whose price was not lowers it: towards a target τ a little
beyond q, by the rule of Widrow and Hoff with momentum,

    τ = R·q + A        Γ' = γ·Γ + (1 − γ)·β·(τ − p)        p' = p + Γ'

with β drawn once per trader from [0.1, 0.5] and γ from [0, 0.1], the first margin from [0.05, 0.35], and for each step
R from [1, 1.05] and A from [0, 0.05] where the price is to rise, from [0.95, 1] and [−0.05, 0] where it is to fall.

Adapted, because here a gate closes once a day for all slots at once, and the utility's prices may change by the hour:

* each time of day is a market of its own, with a margin for each side: a step a day for each;
* prices are taken between floor and ceiling, 0 to 1, and a margin is a distance from what a kWh is worth to the home or
  costs it there, not a share of it: a feed-in price of nothing, or below, is then a price like any other;
* q is the mean price of the slot. Who was filled whole at p no worse than q raises its margin; who was not, with p no
  better than q, lowers it; where nobody traded, q is the home's own p, as of an offer that nobody took. Whoever ordered
  nothing in a slot learns nothing from it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from commonwatt.agents.strategies.truthful import quotes
from commonwatt.agents.strategy import Agent, Quotes, Results, Situation, State
from commonwatt.units import FloatArray, IntArray

RATE, MOMENTUM, FIRST_MARGIN = (0.1, 0.5), (0.0, 0.1), (0.05, 0.35)
"""Ranges of β, γ and the margin before anything was learnt."""
BEYOND: Final = 0.05
"""How far R may be from 1, and A from 0."""
_DAY: Final = 24 * 60
"""Minutes."""


def rule(home: Situation, state: State) -> tuple[Quotes, State]:
    """State: rate β, momentum γ; for both sides by time of day the margin and the last change Γ."""
    draw = np.random.default_rng(home.seed)
    known = {name: np.asarray(value) for name, value in state.items()} or _first(draw, round(24 / home.hours))
    if home.past is not None:
        known = _learnt(known, home, home.past, draw)
    width = np.maximum(home.ceiling - home.floor, 0)
    buying, selling = np.rint(known["margin"][:, _at(home.minutes, known)] * width).astype(np.int64)
    bought = np.maximum(home.highest - buying, np.minimum(home.floor, home.highest))
    sold = np.minimum(home.lowest + selling, np.maximum(home.ceiling, home.lowest))
    return quotes(home, bought, sold), {name: value.tolist() for name, value in known.items()}


def _first(draw: np.random.Generator, slots: int) -> dict[str, Any]:
    """What a trader begins with. slots : of a day"""
    rate, momentum, margin = (np.asarray(draw.uniform(*bounds)) for bounds in (RATE, MOMENTUM, FIRST_MARGIN))
    return {
        "rate": rate,
        "momentum": momentum,
        "margin": np.full((2, slots), margin),
        "change": np.zeros((2, slots)),
    }


def _at(minutes: IntArray, known: dict[str, Any]) -> IntArray:
    """Which time of day each slot belongs to, shape (slots,)."""
    slots: int = known["margin"].shape[1]
    return minutes * slots // _DAY


def _learnt(known: dict[str, Any], home: Situation, past: Results, draw: np.random.Generator) -> dict[str, Any]:
    """One step for each slot of the gate before in which the home had an order, by side: buying, then selling."""
    at, width = _at(past.minutes, known), np.maximum(past.ceiling - past.floor, 1)
    beyond = draw.uniform(0, BEYOND, (2, 2, len(past.starts)))
    margin, change = known["margin"].copy(), known["change"].copy()
    ordered = past.quotes
    sides = (
        (1, ordered.buy_wh, past.bought, ordered.buy_limit, np.minimum(home.max_buy, past.ceiling)),
        (-1, ordered.sell_wh, past.sold, ordered.sell_limit, np.maximum(home.min_sell, past.floor)),
    )
    # With the other sign a seller's price is a buyer's: the higher, the keener.
    for side, (sign, wanted, got, limit, worth) in enumerate(sides):
        own, market, most = (sign * (price - past.floor) / width for price in (limit, past.price, worth))
        direction, target = towards(own, market, got >= wanted, beyond[side])
        moved = known["momentum"] * change[side, at] + (1 - known["momentum"]) * known["rate"] * (target - own)
        learns = (wanted > 0) & (direction != 0)
        margin[side, at[learns]] = np.clip(most - own - moved, 0, 1)[learns]
        change[side, at[learns]] = moved[learns]
    return {**known, "margin": margin, "change": change}


def towards(
    own: FloatArray, market: FloatArray, whole: NDArray[np.bool_], beyond: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Which way a price is to move, 1 = keener, −1 = greedier, 0 = not at all, and its target τ; each shape (slots,).

    own, market : p and q, where more is keener; q is NaN where nobody traded
    whole : whether all that was ordered was agreed; beyond : how far R is from 1, and A from 0, shape (2, slots)
    """
    nobody = np.isnan(market)
    market = np.where(nobody, own, market)
    keener = nobody | (~whole & (own <= market))
    direction = np.where(keener, 1.0, np.where(whole & (own >= market), -1.0, 0.0))
    return direction, market + direction * (beyond[0] * np.abs(market) + beyond[1])


PRICE_ADAPTIVE = Agent("zip", rule, "ZIP, Cliff, HP Laboratories HPL-97-91")
