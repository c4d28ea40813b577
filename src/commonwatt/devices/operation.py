"""The cheapest way for every home to live with given trades, or with given prices: exact, all homes at once.

Given trades, a home's slot is a merit order: export forgone, PV held back, device, import, each with a price and a
length, so that the cost of feeding the battery is convex and piecewise linear. The battery couples the slots; its
cost-to-go over the state of charge is convex and piecewise linear too, and one step back in time merges two sorted
lists of slopes (an infimal convolution). Nothing is iterated, so the result is the optimum itself, to rounding.
A device with a quadratic cost (a > 0) is exact without a battery. Beside a battery its curve is taken as CHORDS pieces
for the battery's plan only, planned again with the pieces REFINED around the plan before; so that plan is feasible, and
dearer than the optimum by less than the curve leaves its chords.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from commonwatt.devices.households import Households
from commonwatt.errors import Finding
from commonwatt.units import FloatArray, IntArray

CHORDS = 24
REFINED = 3
PENALTY = 1e5
"""Price of energy that a home lacks or cannot get rid of [currency/kWh]; such a plan is no plan, see `unmet`."""


@dataclass(frozen=True)
class Operation:
    """A plan of every home; powers shape (homes, slots) [kW].

    grid : import less export; unmet : what the home lacks (positive) or cannot get rid of, 0 in a feasible plan
    charge, discharge : at the battery's terminals; device : output; curtailed : PV held back
    cost : shape (homes,) [currency], utility, wear and device; trades and preferences apart
    """

    grid: FloatArray
    charge: FloatArray
    discharge: FloatArray
    device: FloatArray
    curtailed: FloatArray
    unmet: FloatArray
    cost: FloatArray


def operate(homes: Households, sold: FloatArray, hours: float) -> Operation:
    """The cheapest plan of each home that sells `sold` to its neighbours.

    sold : shape (homes, slots) [kW], negative = bought
    """
    need = homes.load - homes.pv + sold
    charge, discharge = np.zeros(homes.shape), np.zeros(homes.shape)
    rows = np.flatnonzero((homes.capacity > 0) & (homes.power > 0))
    if len(rows):
        charge[rows], discharge[rows] = _batteries(homes.take(rows), need[rows], hours)
    return _dispatch(homes, need + charge - discharge, charge, discharge, hours)


def unlivable(homes: Households, hours: float) -> list[Finding]:
    """Homes with a utility that could not live with it alone; on an island only the neighbours can tell."""
    connected = np.isfinite(homes.retail) & np.isfinite(homes.feed_in)
    if not connected.any():
        return []
    lacking = connected & (np.abs(operate(homes, np.zeros(homes.shape), hours).unmet) > 1e-6)
    return [
        Finding(f"homes[{home}].load[{int(np.argmax(lacking[home]))}]", "cannot be met within the home's own limits")
        for home in np.flatnonzero(lacking.any(axis=1)).tolist()
    ]


def least_cost(homes: Households, price: FloatArray, hours: float) -> FloatArray:
    """What each home pays at least if it may trade any amount at these prices: a lower bound for any trades.

    price : shape (homes, slots) [currency/kWh], for buying and selling alike
    Returns shape (homes,) [currency]: minimum of own cost less price·sold, over all that the home can do.
    """
    most_import, most_export = homes.most_import, homes.most_export
    retail = np.where(most_import > 0, homes.retail, 0.0)
    feed_in = np.where(most_export > 0, homes.feed_in, 0.0)
    held_back = homes.curtail[:, None] * homes.pv
    device = _device_response(homes, price)
    per_slot = (
        price * (homes.load - homes.pv)
        + most_import * np.minimum(retail - price, 0)
        + most_export * np.minimum(price - feed_in, 0)
        + held_back * np.minimum(price, 0)
        + device * (0.5 * homes.a[:, None] * device + homes.b[:, None] - price)
    )
    cost: FloatArray = per_slot.sum(axis=1) * hours
    rows = np.flatnonzero((homes.capacity > 0) & (homes.power > 0))
    if len(rows):
        cost[rows] += _arbitrage(homes.take(rows), price[rows], hours)
    return cost


def _device_response(homes: Households, price: FloatArray) -> FloatArray:
    a, b = homes.a[:, None], homes.b[:, None]
    inner = np.where(a > 0, (price - b) / np.where(a > 0, a, 1.0), np.where(price > b, np.inf, -np.inf))
    output: FloatArray = np.clip(inner, homes.p_min[:, None], homes.p_max[:, None])
    return output


def _merit(homes: Households, need: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Prices and lengths of the ways to meet a need, shape (homes, slots, 6): dump, export, PV, device, import, lack.

    Those that a home uses when it needs nothing (dump, export, PV held back) are used less the more it needs.
    """
    shape = homes.shape
    wide = np.broadcast_to
    span = np.where(homes.a > 0, 0.0, homes.p_max - homes.p_min)[:, None]
    most_import, most_export = homes.most_import, homes.most_export
    enough = np.abs(need) + np.abs(homes.p_min)[:, None] + np.abs(homes.p_max)[:, None] + homes.power[:, None] + 1.0
    prices = [
        np.full(shape, -PENALTY),
        np.where(most_export > 0, homes.feed_in, 0.0),
        np.zeros(shape),
        wide(homes.b[:, None], shape),
        np.where(most_import > 0, homes.retail, 0.0),
        np.full(shape, PENALTY),
    ]
    lengths = [enough, most_export, homes.curtail[:, None] * homes.pv, wide(span, shape), most_import, enough]
    return np.stack(prices, axis=2), np.stack(lengths, axis=2)


def _fill(lengths: FloatArray, order: IntArray, amount: FloatArray) -> FloatArray:
    """How much of each way is used when the first `amount` in merit order is, same shape as lengths."""
    ordered = np.take_along_axis(lengths, order, axis=-1)
    before = np.cumsum(ordered, axis=-1) - ordered
    used = np.empty_like(lengths)
    np.put_along_axis(used, order, np.clip(amount[..., None] - before, 0.0, ordered), axis=-1)
    return used


def _dispatch(
    homes: Households, need: FloatArray, charge: FloatArray, discharge: FloatArray, hours: float
) -> Operation:
    """Meet the need of every slot by itself, in merit order."""
    prices, lengths = _merit(homes, need)
    order = np.argsort(prices, axis=2, kind="stable")
    fixed = np.where(homes.a > 0, 0.0, homes.p_min)[:, None] - lengths[:, :, :3].sum(axis=2)
    curved = _curved_device(homes, need - fixed, prices, lengths, order)
    used = _fill(lengths, order, need - fixed - curved)
    device = np.where(homes.a[:, None] > 0, curved, homes.p_min[:, None] + used[:, :, 3])
    dumped, export, held_back = np.moveaxis(lengths[:, :, :3] - used[:, :, :3], 2, 0)
    grid = used[:, :, 4] - export
    money = used[:, :, 4] * prices[:, :, 4] - export * prices[:, :, 1] + homes.wear[:, None] * (charge + discharge)
    money = money + device * (0.5 * homes.a[:, None] * device + homes.b[:, None])
    return Operation(grid, charge, discharge, device, held_back, used[:, :, 5] - dumped, money.sum(axis=1) * hours)


def _curved_device(
    homes: Households, need: FloatArray, prices: FloatArray, lengths: FloatArray, order: IntArray
) -> FloatArray:
    """Output of the devices with a > 0: where their marginal cost meets the merit order of the rest."""
    if not (homes.a > 0).any():
        return np.zeros(homes.shape)
    ordered_prices = np.take_along_axis(prices, order, axis=2)
    until = np.cumsum(np.take_along_axis(lengths, order, axis=2), axis=2)
    a, b = np.where(homes.a > 0, homes.a, 1.0)[:, None], homes.b[:, None]

    def marginal(rest: FloatArray) -> FloatArray:
        return np.where(
            rest < homes.p_min[:, None], -np.inf, np.where(rest > homes.p_max[:, None], np.inf, b + a * rest)
        )

    price = np.minimum(marginal(need), ordered_prices[:, :, 0])
    for way in range(prices.shape[2]):
        left = marginal(need - until[:, :, way])
        following = ordered_prices[:, :, way + 1] if way + 1 < prices.shape[2] else np.inf
        price = np.maximum(price, np.minimum(left, following))
    output = np.clip((price - b) / a, homes.p_min[:, None], homes.p_max[:, None])
    return np.where(homes.a[:, None] > 0, output, 0.0)


def _batteries(homes: Households, need: FloatArray, hours: float) -> tuple[FloatArray, FloatArray]:
    """Charge and discharge of the cheapest plan, shape (homes, slots) [kW]; all homes have a battery."""
    curved = np.flatnonzero((homes.a > 0) & (homes.p_max > homes.p_min))
    span = (homes.p_max - homes.p_min)[:, None, None]
    knots = homes.p_min[:, None, None] + span * np.linspace(0.0, 1.0, CHORDS + 1)
    knots = np.broadcast_to(np.where(homes.a[:, None, None] > 0, knots, 0.0), (*homes.shape, CHORDS + 1))
    into, out = homes.charging[:, None] * hours, homes.discharging[:, None] / hours
    change = _plan(homes, need, knots if (homes.a > 0).any() else None, hours)
    width = 1.0 / CHORDS
    for _ in range(REFINED if len(curved) else 0):
        some, wanted = homes.take(curved), need[curved]
        charge, discharge = np.maximum(change[curved], 0) / into[curved], np.maximum(-change[curved], 0) * out[curved]
        device = _dispatch(some, wanted + charge - discharge, charge, discharge, hours).device[:, :, None]
        near = device + width * span[curved] * np.linspace(-1.0, 1.0, CHORDS + 1)
        near = np.clip(near, some.p_min[:, None, None], some.p_max[:, None, None])
        finer = np.sort(np.concatenate([knots[curved][:, :, ::4], near], axis=2), axis=2)
        change[curved] = _plan(some, wanted, finer, hours)
        width *= 3.0 / CHORDS
    return np.maximum(change, 0) / into, np.maximum(-change, 0) * out


def _plan(homes: Households, need: FloatArray, knots: FloatArray | None, hours: float) -> FloatArray:
    """Change of the state of charge in every slot of the cheapest plan, shape (homes, slots) [kWh].

    knots : shape (homes, slots, any), where the chords of the devices' curves meet; None = no device has a curve
    """
    prices, lengths = _merit(homes, need)
    least = np.where(homes.a > 0, 0.0, homes.p_min)[:, None] - lengths[:, :, :3].sum(axis=2) - need
    if knots is not None:
        slopes = homes.b[:, None, None] + homes.a[:, None, None] * (knots[:, :, 1:] + knots[:, :, :-1]) / 2
        prices = np.concatenate([prices, slopes], axis=2)
        lengths = np.concatenate([lengths, np.diff(knots, axis=2)], axis=2)
        least = least + knots[:, :, 0]
    order = np.argsort(prices, axis=2, kind="stable")
    prices, lengths = np.take_along_axis(prices, order, axis=2), np.take_along_axis(lengths, order, axis=2)
    until = least[:, :, None] + np.cumsum(lengths, axis=2)
    since = until - lengths
    power = homes.power[:, None, None]
    draw = np.maximum(np.minimum(until, 0.0) - np.maximum(since, -power), 0.0)
    feed = np.maximum(np.minimum(until, power) - np.maximum(since, 0.0), 0.0)
    into, out, wear = homes.charging[:, None, None], homes.discharging[:, None, None], homes.wear[:, None, None]
    slopes = np.concatenate([(prices - wear) * out, (prices + wear) / into], axis=2)
    lengths = np.concatenate([draw * hours / out, feed * hours * into], axis=2)
    # Below a price of zero a kWh is worth burning in the battery's losses; a real battery cannot do both at once.
    slopes = np.maximum.accumulate(np.where(lengths > 0, slopes, -np.inf), axis=2)
    return _path(homes, slopes, lengths)


def _arbitrage(homes: Households, price: FloatArray, hours: float) -> FloatArray:
    """Least cost of each battery that trades with one price for both directions, shape (homes,) [currency]."""
    into, out, wear = homes.charging[:, None], homes.discharging[:, None], homes.wear[:, None]
    slopes = np.stack([(price - wear) * out, (price + wear) / into], axis=2)
    most = homes.power * hours
    lengths = np.broadcast_to(
        np.stack([most / homes.discharging, most * homes.charging], axis=1)[:, None, :], slopes.shape
    )
    change = _path(homes, slopes, lengths)
    order = np.argsort(slopes, axis=2, kind="stable")
    used = _fill(lengths, order, change + lengths[:, :, 0])
    cost: FloatArray = ((slopes * used).sum(axis=2) - (price - wear) * most[:, None]).sum(axis=1)
    return cost


def _path(homes: Households, slopes: FloatArray, lengths: FloatArray) -> FloatArray:
    """The cheapest change of the state of charge in each slot, shape (homes, slots) [kWh].

    slopes, lengths : shape (homes, slots, pieces), the cost of a change [currency/kWh, kWh], of any order; the pieces
        of discharging come first half, so that the least change is minus their length
    Backwards: cost-to-go before a slot = infimal convolution of cost-to-go after it with the slot's cost. The pieces of
    both, sorted by slope, are its pieces. Forwards: the same merged list says how far each part is used.
    """
    count, slots, pieces = slopes.shape
    low, high = homes.low[:, None], homes.high[:, None]
    least = -lengths[:, :, : pieces // 2].sum(axis=2)
    most = lengths[:, :, pieces // 2 :].sum(axis=2)
    after_slopes, after_lengths, after_left = np.zeros((count, 0)), np.zeros((count, 0)), homes.start.copy()
    merged, home = [], np.arange(count)[:, None]
    for slot in range(slots - 1, -1, -1):
        both = np.concatenate([after_slopes, -slopes[:, slot]], axis=1)
        order = np.argsort(both, axis=1, kind="stable")
        length = np.concatenate([after_lengths, lengths[:, slot]], axis=1)[home, order]
        left = after_left - most[:, slot]
        begin = left[:, None] + np.cumsum(length, axis=1) - length
        merged.append((begin, length, order < after_slopes.shape[1], after_left))
        kept = _within(high - begin, length) - _within(low - begin, length)
        after_slopes, after_lengths = _packed(both[home, order], kept)
        after_left = np.maximum(homes.low, left)
    change = np.empty((count, slots))
    charge = homes.start.copy()
    for slot, (begin, length, is_after, after_left) in enumerate(reversed(merged)):
        used = np.where(is_after, _within(charge[:, None] - begin, length), 0.0).sum(axis=1)
        change[:, slot] = np.clip(after_left + used - charge, least[:, slot], most[:, slot])
        charge = charge + change[:, slot]
    return change


def _within(used: FloatArray, length: FloatArray) -> FloatArray:
    """Between nothing and the length; for small arrays faster than `clip`."""
    bounded: FloatArray = np.minimum(np.maximum(used, 0.0), length)
    return bounded


def _packed(slopes: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Without the pieces of no length, as far as all homes have some."""
    empty = lengths <= 0
    keep = int((~empty).sum(axis=1).max(initial=0))
    order = np.argsort(empty, axis=1, kind="stable")[:, :keep]
    home = np.arange(len(slopes))[:, None]
    return slopes[home, order], lengths[home, order]
