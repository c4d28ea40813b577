"""One step of a home in `bilateral`: the same for one home on its own device and for all homes at once.

Consensus ADMM: home n keeps its own copy t of every flow on a route, the route keeps z. With the dual y of t = z,

    (t, own schedule) = argmin  cost − Σ_out(…) + Σ_routes y·t + ρ/2·(t − z)²        the home's step
    z = clip( ½(t_seller + t_buyer) + (y_seller + y_buyer − γ)/(2ρ), 0, most )        the route's step
    y ← y + ρ·(t − z)

The preference γ sits in the route's step, where it is a shift, and not in the home's. So the home's step needs only
the price μ of its own energy balance, t = z − (y + μ)/ρ for a seller and z + (μ − y)/ρ for a buyer, and μ solves

    supply(μ) + weight·μ = wanted,     weight = Σ_routes 1/ρ,  wanted = Σ_out (z − y/ρ) − Σ_in (z − y/ρ)

one equation per home and slot however many neighbours there are. supply is a sum of ramps (`Ways`): export forgone, PV
held back, import, device, battery. The battery is split the same way: its powers answer to μ within their limits, its
state of charge keeps within its bounds, and a projection makes the three agree (an equality, solved by one matrix).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from commonwatt.devices.households import Households
from commonwatt.units import FloatArray

Solve = Callable[[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray], FloatArray]
JUMP = 1e-9
"""Width given to a step in a supply curve [currency/kWh], so that every curve has an inverse."""


@dataclass(frozen=True)
class Ways:
    """The parts of the homes' supply curves that do not change between steps; shape (homes, slots, ways) but `least`.

    begin, end : a way gives nothing up to the one price and `length` [kW] from the other on [currency/kWh]
    least : supply when every way gives nothing, shape (homes, slots) [kW]
    """

    begin: FloatArray
    end: FloatArray
    length: FloatArray
    least: FloatArray

    @classmethod
    def of(cls, homes: Households) -> Ways:
        """PV held back at zero, export forgone at feed-in, import at retail, the device along its marginal cost."""
        most_import, most_export = homes.most_import, homes.most_export
        held_back = homes.curtail[:, None] * homes.pv
        span = homes.p_max - homes.p_min
        begin = np.stack(
            [
                np.zeros(homes.shape),
                np.where(most_export > 0, homes.feed_in, 0.0),
                np.where(most_import > 0, homes.retail, 0.0),
                np.broadcast_to((homes.b + homes.a * homes.p_min)[:, None], homes.shape),
            ],
            axis=2,
        )
        rise = np.zeros_like(begin)
        rise[:, :, 3] = (homes.a * span)[:, None]
        length = np.stack([held_back, most_export, most_import, np.broadcast_to(span[:, None], homes.shape)], axis=2)
        least = homes.pv - homes.load - most_export - held_back + homes.p_min[:, None]
        return cls(begin, begin + np.maximum(rise, JUMP), length, least)


@dataclass(frozen=True)
class Batteries:
    """Batteries in the splitting; x, dual : shape (homes, 3·slots − 1), charge and discharge [kW], then charge level.

    inverse : shape (homes, slots, slots), of the battery's balance times its transpose
    ends : shape (homes, slots), the first and last charge level in that balance; low, high : bounds of x
    into, out : shape (homes, 1), a kW's part in the balance; wear : shape (homes, 1) [currency/kWh]
    penalty : of a deviation [currency/kWh per kW]
    """

    x: FloatArray
    dual: FloatArray
    inverse: FloatArray
    ends: FloatArray
    low: FloatArray
    high: FloatArray
    into: FloatArray
    out: FloatArray
    wear: FloatArray
    penalty: float

    @classmethod
    def of(cls, homes: Households, hours: float, penalty: float) -> Batteries:
        """Idle batteries."""
        count, slots = homes.shape
        # Levels are in kWh per hour of a slot, so that a kW moves them by about one.
        start = homes.start / hours
        ends = np.zeros((count, slots))
        ends[:, 0] += start
        ends[:, -1] -= start
        into, out = homes.charging[:, None], 1.0 / homes.discharging[:, None]
        levels = 2.0 * np.eye(slots) - np.eye(slots, k=1) - np.eye(slots, k=-1)
        levels[0, 0] -= 1.0
        levels[-1, -1] -= 1.0
        inverse = np.linalg.inv(levels + ((into**2 + out**2)[:, :, None] * np.eye(slots)))
        power = np.repeat(homes.power[:, None], 2 * slots, axis=1)
        low = np.concatenate([0.0 * power, np.repeat(homes.low[:, None] / hours, slots - 1, axis=1)], axis=1)
        high = np.concatenate([power, np.repeat(homes.high[:, None] / hours, slots - 1, axis=1)], axis=1)
        x = np.concatenate([0.0 * power, np.repeat(start[:, None], slots - 1, axis=1)], axis=1)
        return cls(x, np.zeros_like(x), inverse.astype(float), ends, low, high, into, out, homes.wear[:, None], penalty)

    def ways(self, slots: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Charging less and discharging more as the price rises: begin, end, length as in Ways, and charge at full."""
        near = self.penalty * (self.x - self.dual)
        power = self.high[:, :slots]
        idle, wake = near[:, :slots] - self.wear, self.wear - near[:, slots : 2 * slots]
        begin = np.stack([idle - self.penalty * power, wake], axis=2)
        return begin, begin + self.penalty * power[:, :, None], np.stack([power, power], axis=2), power

    def respond(self, price: FloatArray) -> FloatArray:
        """What powers and levels would be at this price, within their limits."""
        slots = price.shape[1]
        near = self.x - self.dual
        charge = near[:, :slots] - (price + self.wear) / self.penalty
        discharge = near[:, slots : 2 * slots] + (price - self.wear) / self.penalty
        wish = np.concatenate([charge, discharge, near[:, 2 * slots :]], axis=1)
        clipped: FloatArray = np.clip(wish, self.low, self.high)
        return clipped

    def agree(self, response: FloatArray) -> Batteries:
        """After the projection onto level − level before = into·charge − out·discharge, and the dual step."""
        target = response + self.dual
        slots = self.ends.shape[1]
        charge, discharge, level = target[:, :slots], target[:, slots : 2 * slots], target[:, 2 * slots :]
        off = self.out * discharge - self.into * charge - self.ends
        off[:, :-1] += level
        off[:, 1:] -= level
        # einsum and not matmul: threads for so small matrices cost more than they bring.
        shadow = np.einsum("hij,hj->hi", self.inverse, off)
        back = (charge + self.into * shadow, discharge - self.out * shadow, level - shadow[:, :-1] + shadow[:, 1:])
        x = np.concatenate(back, axis=1)
        return replace(self, x=x, dual=target - x)

    def rescaled(self, factor: float) -> Batteries:
        """The same with the penalty times `factor`; the dual is kept in money."""
        return replace(self, dual=self.dual / factor, penalty=self.penalty * factor)


def price_of_steps(ways: Ways, weight: FloatArray, wanted: FloatArray) -> FloatArray:
    """As `price_of_balance`, for homes whose first three ways are steps at rising prices and that have no other.

    With the first k ways in use the curve is the straight line k; the solution lies on line k between its two steps or
    on a step, which is what the largest of the smaller of both says.
    """
    line = (wanted - ways.least) / np.maximum(weight, JUMP)
    price = np.minimum(line, ways.begin[:, :, 0])
    for way in range(3):
        line = line - ways.length[:, :, way] / np.maximum(weight, JUMP)
        price = np.maximum(price, np.minimum(line, ways.begin[:, :, way + 1]) if way < 2 else line)
    bounded: FloatArray = np.where(weight > 0, price, np.clip(price, ways.begin[:, :, 0], ways.begin[:, :, 2]))
    return bounded


def price_of_balance(
    ways: Ways, weight: FloatArray, wanted: FloatArray, store: Batteries | None = None, solve: Solve | None = None
) -> FloatArray:
    """The price at which each home's energy balances: supply(μ) + weight·μ = wanted; all shape (homes, slots)."""
    begin, end, length, least = ways.begin, ways.end, ways.length, ways.least
    if store is not None:
        first, last, more, at_full = store.ways(wanted.shape[1])
        begin, end = np.concatenate([begin, first], axis=2), np.concatenate([end, last], axis=2)
        length, least = np.concatenate([length, more], axis=2), least - at_full
    price = (solve or balance)(begin, end, length, np.maximum(weight, JUMP), wanted - least)
    # Without neighbours the curve may not cross at all, such as where there is nothing to use or to make.
    alone = weight <= 0
    price[alone] = np.clip(price[alone], begin[alone].min(axis=1), end[alone].max(axis=1))
    return price


def balance(
    begin: FloatArray, end: FloatArray, length: FloatArray, weight: FloatArray, missing: FloatArray
) -> FloatArray:
    """Where Σ ways + weight·μ = missing, shape (homes, slots); begin, end, length : shape (homes, slots, ways).

    The curve bends at known prices only: the bend below the solution is found by bisection over the sorted bends,
    and between two bends the curve is straight. So it is exact and takes as many steps for every home.
    """

    span = end - begin

    def excess(price: FloatArray) -> FloatArray:
        share = np.clip((price[:, :, None] - begin) / span, 0.0, 1.0)
        over: FloatArray = np.einsum("hsw,hsw->hs", share, length) + weight * price - missing
        return over

    bends = np.sort(np.concatenate([begin, end], axis=2), axis=2)
    count = bends.shape[2]
    bends = np.concatenate([bends[:, :, :1] - 1.0, bends, bends[:, :, -1:] + 1.0], axis=2)
    # An index of its own per home and slot; `take_along_axis` makes these two anew each time.
    home, slot = np.ogrid[: bends.shape[0], : bends.shape[1]]
    below = np.zeros(missing.shape, dtype=np.int64)
    above = np.full(missing.shape, count + 1)
    for _ in range((count + 1).bit_length()):
        middle = (below + above) // 2
        low = excess(bends[home, slot, middle]) <= 0
        below, above = np.where(low, middle, below), np.where(low, above, np.maximum(middle, below + 1))
    left, right = bends[home, slot, below], bends[home, slot, above]
    at_left, at_right = excess(left), excess(right)
    # Beyond the last bend the curve goes on straight, hence no clipping.
    price: FloatArray = left - at_left * (right - left) / np.maximum(at_right - at_left, 1e-300)
    return price
