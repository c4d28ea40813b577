"""From an iterate of `bilateral` to a result: whole Wh that every home can live with, a certified gap, fair prices.

Feasible: one integer per route, seller to buyer, so all trades sum to zero; what a home could not live with is cut.
Certified: primal cost = each home's cheapest operation with these trades, plus preferences. Dual bound: whatever the
prices μ, no feasible trades cost less in total than

    Σ_homes min (own cost − μ·sold)  −  Σ_routes most · max(0, μ_buyer − μ_seller − γ)

Both are evaluated exactly (`operation`), so anyone who has the inputs, the trades and μ can check the gap.
Fair: a route's price is the middle of what it is worth to its two ends; rounding may leave a home a few units of money
short of its cost without neighbours, which the other ends of its trades make up for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from commonwatt.devices.households import Households
from commonwatt.devices.operation import Operation, least_cost, operate
from commonwatt.market.bilateral.routes import Routes
from commonwatt.market.gap import near_enough
from commonwatt.units import MICRO, WH_PER_KWH, FloatArray, IntArray, payments

SWEEPS = 12
ROUNDS = 60


@dataclass(frozen=True)
class Certificate:
    """Trades and the multipliers that bound how much better any others could be.

    wh : shape (routes,) [Wh]; price : μ, shape (homes, slots) [currency/kWh]
    cost : of the plan with preferences, bound : below every feasible plan's [currency]
    scale : what the gap is relative to: |cost|, or a hundredth of the homes' costs without sign if that is more
    unmet : largest power that a home lacks or cannot get rid of [kW]
    """

    wh: IntArray
    price: FloatArray
    operation: Operation
    cost: float
    bound: float
    scale: float
    unmet: float

    def near(self, homes: Households, gap: int) -> bool:
        """Whether the gap is small enough."""
        return near_enough(self.cost - self.bound, self.scale, homes, gap)

    def livable(self, hours: float) -> bool:
        """Whether every home can live with the trades, to a Wh."""
        return self.unmet * hours * WH_PER_KWH <= 1.0

    @property
    def gap(self) -> float:
        """Distance of cost from bound, relative to a unit of money at least; of use for a livable plan only."""
        apart = self.cost - self.bound
        if self.scale > 1 / MICRO:
            return apart / self.scale
        return apart * MICRO if abs(apart) >= 1 / MICRO else 0.0


def certify(homes: Households, routes: Routes, wh: IntArray, price: FloatArray, hours: float) -> Certificate:
    """What these trades cost, and the highest of some bounds on the optimum near `price`."""
    flow = wh / (WH_PER_KWH * hours)
    operation = operate(homes, routes.sold(flow, homes.shape), hours)
    cost = float(operation.cost.sum() + hours * (routes.gamma * flow).sum())
    bounds = [
        (lower_bound(homes, routes, near, hours), number, near)
        for number, near in enumerate(near_prices(routes, price))
    ]
    bound, _, best = max(bounds, key=lambda found: found[:2])
    scale = max(abs(cost), float(np.abs(operation.cost).sum()) / 100)
    return Certificate(wh, best, operation, cost, bound, scale, float(np.abs(operation.unmet).max(initial=0.0)))


def lower_bound(homes: Households, routes: Routes, price: FloatArray, hours: float) -> float:
    """The dual function at `price` [currency]; where there are no routes, what the homes cost each by itself."""
    if not len(routes.slot):
        return float(operate(homes, np.zeros(homes.shape), hours).cost.sum())
    gain = price[routes.buyer, routes.slot] - price[routes.seller, routes.slot] - routes.gamma
    return float(least_cost(homes, price, hours).sum() - hours * (routes.most * np.maximum(gain, 0.0)).sum())


def near_prices(routes: Routes, price: FloatArray) -> list[FloatArray]:
    """Prices at which no route gains: lowered at buyers, raised at sellers, and the middle of both."""
    slots = price.shape[1]
    at_seller, at_buyer = routes.seller * slots + routes.slot, routes.buyer * slots + routes.slot
    lowered, raised = price.ravel().copy(), price.ravel().copy()
    for _ in range(SWEEPS):
        before = lowered.copy(), raised.copy()
        np.minimum.at(lowered, at_buyer, lowered[at_seller] + routes.gamma)
        np.maximum.at(raised, at_seller, raised[at_buyer] - routes.gamma)
        if np.array_equal(before[0], lowered) and np.array_equal(before[1], raised):
            break
    return [near.reshape(price.shape) for near in (price, lowered, raised, (lowered + raised) / 2)]


def livable(homes: Households, routes: Routes, wh: IntArray, hours: float) -> IntArray:
    """The trades, cut where a home could not live with them; where cutting does not help, it buys or sells more."""
    for _ in range(SWEEPS):
        sold = routes.sold(wh / (WH_PER_KWH * hours), homes.shape)
        unmet = np.rint(operate(homes, sold, hours).unmet * (hours * WH_PER_KWH)).astype(np.int64)
        if not unmet.any():
            break
        for end, sign in ((routes.seller, 1), (routes.buyer, -1)):
            trouble = np.maximum(sign * unmet, 0)
            cut, total = _shares(end, routes.slot, wh, trouble)
            other = routes.buyer if sign == 1 else routes.seller
            wh = _extended(routes, wh - cut, np.maximum(trouble - total, 0), other)
    return wh


def _shares(end: IntArray, slot: IntArray, wh: IntArray, trouble: IntArray) -> tuple[IntArray, IntArray]:
    """`trouble`, shape (homes, slots), or all there is, in proportion over each home's trades; and all there is."""
    homes, slots = trouble.shape
    cell = end * slots + slot
    order = np.argsort(cell, kind="stable")
    until = np.cumsum(wh[order])
    first = np.searchsorted(cell[order], np.arange(homes * slots))
    before = np.concatenate([[0], until])[first]
    total = np.bincount(cell, wh, homes * slots).astype(np.int64)
    upto = until - before[cell[order]]
    part = np.minimum(trouble.ravel(), total)[cell[order]]
    all_of_it = np.maximum(total, 1)[cell[order]]
    cut = np.empty_like(wh)
    cut[order] = upto * part // all_of_it - (upto - wh[order]) * part // all_of_it
    return cut, total.reshape(trouble.shape)


def _extended(routes: Routes, wh: IntArray, missing: IntArray, end: IntArray) -> IntArray:
    """`missing`, shape (homes, slots), added to the largest trade of each such home on that end."""
    wh = wh.copy()
    for home, slot in np.argwhere(missing > 0).tolist():
        own = np.flatnonzero((end == home) & (routes.slot == slot))
        if len(own):
            wh[own[np.argmax(wh[own])]] += missing[home, slot]
    return wh


def known_prices(homes: Households) -> tuple[float, float]:
    """The least and the highest marginal cost on an island without batteries, else no bounds [currency/kWh].

    Agents that all must run leave the price open; beyond what any of them names it would be made up.
    """
    if np.isfinite(homes.retail).any() or np.isfinite(homes.feed_in).any() or homes.capacity.any():
        return -np.inf, np.inf
    marginal = np.concatenate([homes.b + homes.a * power for power in (homes.p_min, homes.p_max)])
    return float(marginal.min()), float(marginal.max())


def fair_prices(
    routes: Routes,
    certificate: Certificate,
    alone: Operation,
    hours: float,
    known: tuple[float, float],
    floor: IntArray,
) -> tuple[IntArray, IntArray]:
    """Price of each route [unit/kWh], shape (routes,), and how short each home stays [unit].

    alone : the homes' operation without neighbours; known : as `known_prices`
    floor : that no price is below, shape (slots,) [unit/kWh]
    """
    wh, worth = certificate.wh, certificate.price
    to_seller = worth[routes.seller, routes.slot] + routes.seller_gamma
    to_buyer = worth[routes.buyer, routes.slot] - routes.buyer_gamma
    least = floor[routes.slot]
    price = np.maximum(np.rint(MICRO * np.clip((to_seller + to_buyer) / 2, *known)).astype(np.int64), least)
    gain = gains(certificate.operation, alone, hours)
    traded = np.flatnonzero(wh > 0)
    seller, buyer, energy = routes.seller[traded], routes.buyer[traded], wh[traded]
    slack = gain
    for _ in range(ROUNDS):
        money = payments(energy, price[traded])
        slack = gain + np.bincount(seller, money, len(gain)).astype(np.int64)
        slack -= np.bincount(buyer, money, len(gain)).astype(np.int64)
        if (slack >= 0).all():
            break
        to_sellers = _help(seller, buyer, slack)
        to_buyers = _help(buyer, seller, slack)
        price[traded] += np.ceil(to_sellers * WH_PER_KWH / energy).astype(np.int64)
        price[traded] -= np.ceil(to_buyers * WH_PER_KWH / energy).astype(np.int64)
        price = np.maximum(price, least)
    return price, np.maximum(-slack, 0)


def gains(operation: Operation, alone: Operation, hours: float) -> IntArray:
    """What each home's own cost falls by, rounded down [unit]; a home that cannot live alone gains no end."""
    cannot = (np.abs(alone.unmet) * (hours * WH_PER_KWH) > 1.0).any(axis=1)
    fall = np.floor((alone.cost - operation.cost) * MICRO + 1e-3).astype(np.int64)
    return np.where(cannot, np.int64(2**52), fall)


def _help(needy: IntArray, giver: IntArray, slack: IntArray) -> FloatArray:
    """Money per trade from givers with slack to needy homes, in proportion to the givers' slack."""
    need, spare = np.maximum(-slack, 0).astype(float), np.maximum(slack, 0).astype(float)
    offered = np.where(need[needy] > 0, spare[giver], 0.0)
    share = np.minimum(need / np.maximum(np.bincount(needy, offered, len(slack)), 1.0), 1.0)
    asked = offered * share[needy]
    limit = np.minimum(spare / np.maximum(np.bincount(giver, asked, len(slack)), 1.0), 1.0)
    granted: FloatArray = asked * limit[giver]
    return granted


def without(certificate: Certificate, routes: Routes, homes: Households, short: IntArray, hours: float) -> Certificate:
    """The certificate of the same trades without those of homes that stay short."""
    keep = (short[routes.seller] == 0) & (short[routes.buyer] == 0)
    return certify(homes, routes, np.where(keep, certificate.wh, 0), certificate.price, hours)
