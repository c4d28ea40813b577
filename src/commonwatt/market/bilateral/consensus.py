"""The market of `bilateral`: all homes' and all routes' steps at once, until a certified gap.

With the home's step solved, t and y of both ends follow from its price, and one round is

    μ = price of each home's balance, with wanted = Σ_out ẑ − Σ_in ẑ + weight·μ      ẑ = z + θ·(z − z_before)
    z = clip( z + (μ_buyer − μ_seller − γ)/(2ρ), 0, most )

(θ = 1, or the ratio of the old to the new ρ after a change). It is the same iteration, written without the copies: work
and memory grow with the routes and not with the pairs of homes, and an agent that exchanges the copies (see
`bilateral_agent`) finds the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from commonwatt.devices.households import Households
from commonwatt.market.bilateral.routes import Routes
from commonwatt.market.splitting import Batteries, Solve, Ways, balance, price_of_balance, price_of_steps
from commonwatt.units import FloatArray, IntArray


@dataclass(frozen=True)
class Round:
    """Where the iteration stands.

    flow : shape (routes,) [kW]; price : of each home's energy, shape (homes, slots) [currency/kWh]
    primal : largest difference of an end's copy from its route [kW]; dual : largest move of a price by the routes
    """

    number: int
    flow: FloatArray
    price: FloatArray
    primal: float
    dual: float
    penalty: float


@dataclass(frozen=True)
class Start:
    """What all agents agree on before the first round, from public figures.

    price : first price of all homes [currency/kWh]; penalty : ρ [currency/kWh per kW]
    """

    price: float
    penalty: float

    @classmethod
    def of(cls, homes: Households, routes: Routes) -> Start:
        """The middle of the prices that can occur, and their range over a usual flow."""
        edges = [homes.b + homes.a * homes.p_min, homes.b + homes.a * homes.p_max]
        prices = [edge[homes.p_max > homes.p_min] for edge in edges]
        prices += [price[np.isfinite(price)] for price in (homes.retail, homes.feed_in)]
        known = np.concatenate(prices) if any(len(price) for price in prices) else np.array([0.0, 1.0])
        spread = float(known.max() - known.min()) or max(abs(float(known[0])), 1.0)
        usual = float(routes.most.mean()) if len(routes.most) else 1.0
        return cls(float(known.max() + known.min()) / 2, spread / max(usual, 1e-9))


class Kernels(NamedTuple):
    """The two inner loops: `bilateral_step.balance` and `move`, or what a compiler makes of them."""

    balance: Solve
    move: Callable[..., tuple[FloatArray, FloatArray]]


def move(
    before: FloatArray,
    level: FloatArray,
    at_seller: IntArray,
    at_buyer: IntArray,
    gamma: FloatArray,
    most: FloatArray,
    penalty: float,
) -> tuple[FloatArray, FloatArray]:
    """The routes' step, shape (routes,), and what each home and slot is expected to sell next.

    level : price of each home and slot, shape (homes · slots,), where at_seller and at_buyer point
    """
    flow = np.clip(before + (level[at_buyer] - level[at_seller] - gamma) / (2 * penalty), 0.0, most)
    return flow, _net(2 * flow - before, at_seller, at_buyer, len(level))


def _net(flow: FloatArray, at_seller: IntArray, at_buyer: IntArray, cells: int) -> FloatArray:
    out, into = (np.bincount(end, flow, cells).astype(float) for end in (at_seller, at_buyer))
    net: FloatArray = out - into
    return net


KERNELS = Kernels(balance, move)


class Balance:
    """All homes' steps, with the batteries' state between them."""

    def __init__(self, homes: Households, hours: float, penalty: float, solve: Solve = balance) -> None:
        self._solve = solve
        has_battery = (homes.capacity > 0) & (homes.power > 0)
        rising = ((homes.feed_in >= 0) & (homes.feed_in <= homes.retail) & np.isfinite(homes.retail)).all(axis=1)
        simple = ~has_battery & rising & (homes.p_max == homes.p_min)
        groups = (has_battery, simple, ~has_battery & ~simple)
        self.rows, self.simple, self.others = (np.flatnonzero(group) for group in groups)
        self._ways, self._steps, self._other_ways = (
            Ways.of(homes.take(rows)) for rows in (self.rows, self.simple, self.others)
        )
        self.store = Batteries.of(homes.take(self.rows), hours, penalty) if len(self.rows) else None
        self._apart = self._moved = np.zeros(0)

    def price(self, weight: FloatArray, wanted: FloatArray) -> FloatArray:
        """Each home's price, shape (homes, slots); the batteries move on."""
        price = np.empty_like(wanted)
        price[self.simple] = price_of_steps(self._steps, weight[self.simple], wanted[self.simple])
        if len(self.others):
            price[self.others] = price_of_balance(
                self._other_ways, weight[self.others], wanted[self.others], None, self._solve
            )
        if self.store is not None:
            rows, store = self.rows, self.store
            price[rows] = price_of_balance(self._ways, weight[rows], wanted[rows], store, self._solve)
            response = store.respond(price[rows])
            self.store = store.agree(response)
            self._apart, self._moved = response - self.store.x, self.store.penalty * (self.store.x - store.x)
        return price

    def residuals(self) -> tuple[float, float]:
        """Of the batteries' splitting: primal [kW] and dual [currency/kWh]."""
        return float(np.abs(self._apart).max(initial=0.0)), float(np.abs(self._moved).max(initial=0.0))

    def adapt(self) -> None:
        """Move the batteries' penalty towards equal relative residuals."""
        if (store := self.store) is not None:
            self.store = store.rescaled(_ratio(self._apart, self._moved, store.x, store.penalty * store.dual))


def rounds(
    homes: Households,
    routes: Routes,
    start: Start,
    hours: float,
    *,
    every: int,
    adaptive: bool = True,
    kernels: Kernels = KERNELS,
) -> Iterator[Round]:
    """Iterate for ever; after each `every` rounds show where it stands and then, if `adaptive`, move the penalties.

    They move towards equal relative residuals, and ever less often, so that they settle.
    """
    count, slots = homes.shape
    at_seller, at_buyer = routes.seller * slots + routes.slot, routes.buyer * slots + routes.slot
    ends = [np.bincount(end, minlength=count * slots) for end in (at_seller, at_buyer)]
    degree, gamma, most = (ends[0] + ends[1]).reshape(homes.shape), routes.gamma, routes.most
    balances, penalty = Balance(homes, hours, start.penalty, kernels.balance), start.penalty
    price = np.full(homes.shape, start.price)
    flow = before = np.zeros(len(gamma))
    expected, theta, number = np.zeros(count * slots), 1.0, 0
    while True:
        number += 1
        earlier, weight, last_before, last_theta, theta = price, degree / penalty, before, theta, 1.0
        price = balances.price(weight, expected.reshape(homes.shape) + weight * earlier)
        before = flow
        flow, expected = kernels.move(before, price.ravel(), at_seller, at_buyer, gamma, most, penalty)
        if number % every:
            continue
        step = before + last_theta * (before - last_before) - flow
        fall = ((earlier - price) / penalty).ravel()
        apart = np.concatenate([step + fall[at_seller], step - fall[at_buyer]])
        moved, within = penalty * (flow - before), balances.residuals()
        primal = max(float(np.abs(apart).max(initial=0.0)), within[0])
        dual = max(float(np.abs(moved).max(initial=0.0)), within[1])
        yield Round(number, flow, price, primal, dual, penalty)
        if adaptive and (number // every).bit_count() == 1:
            ratio = _ratio(apart, np.sqrt(2.0) * moved, np.sqrt(2.0) * flow, price)
            penalty, theta = penalty * ratio, 1 / ratio
            expected = _net(flow + theta * (flow - before), at_seller, at_buyer, count * slots)
            balances.adapt()


def _ratio(apart: FloatArray, moved: FloatArray, primal: FloatArray, dual: FloatArray) -> float:
    """What to multiply a penalty by: the root of the quotient of relative residuals; 1 within a factor of two."""
    least = 1e-12
    sizes = [float(np.sqrt(np.square(values).sum())) for values in (apart, primal, moved, dual)]
    quotient = max(sizes[0] / max(sizes[1], least), least) / max(sizes[2] / max(sizes[3], least), least)
    ratio = min(max(quotient**0.5, 0.2), 5.0)
    return 1.0 if 0.5 < ratio < 2.0 else ratio
