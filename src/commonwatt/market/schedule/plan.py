"""A home's plan in `schedule`: made exactly feasible, checked by anyone, priced, and the least any plan could cost."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from commonwatt.devices.households import UNLIMITED, Households
from commonwatt.devices.operation import least_cost
from commonwatt.market.schedule.input import Flexible
from commonwatt.units import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Plan:
    """What homes do; powers shape (homes, slots) [kW].

    net : what a home takes, negative = gives
    charge, discharge : at the battery's terminals; device : output; curtailed : PV held back; shapable : taken
    start : shape (homes,), slot in which the deferrable load starts, -1 = it has none
    """

    net: FloatArray
    charge: FloatArray
    discharge: FloatArray
    device: FloatArray
    curtailed: FloatArray
    shapable: FloatArray
    start: IntArray

    def take(self, rows: IntArray) -> Plan:
        """The plans of these homes."""
        return Plan(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})

    def cost(self, homes: Households, hours: float) -> FloatArray:
        """Wear and device, shape (homes,) [currency]; what is taken and given is not in it."""
        wear = homes.wear[:, None] * (self.charge + self.discharge)
        own: FloatArray = (wear + self.device * (0.5 * homes.a[:, None] * self.device + homes.b[:, None])).sum(axis=1)
        return own * hours

    def breach(self, homes: Households, flexible: Flexible, hours: float) -> FloatArray:
        """How far each home is beyond any of its limits, shape (homes,) [kW]; 0 = the plan can be done."""
        slots = homes.shape[1]
        level = homes.start[:, None] + _changes(homes, self.charge - self.discharge, hours).cumsum(axis=1)
        rest = homes.load - homes.pv + self.shapable + deferred(flexible, self.start, slots)
        has = flexible.profile.any(axis=1)
        starts = flexible.allowed(slots)
        allowed = np.take_along_axis(starts, np.clip(self.start, 0, starts.shape[1] - 1)[:, None], axis=1)[:, 0]
        in_range = (self.start >= 0) & (self.start < starts.shape[1])
        beyond = [
            *_outside(self.charge, 0.0, homes.power[:, None]),
            *_outside(self.discharge, 0.0, homes.power[:, None]),
            np.minimum(self.charge, self.discharge),
            *(part / hours for part in _outside(level, homes.low[:, None], homes.high[:, None])),
            np.abs(level[:, -1:] - homes.start[:, None]) / hours,
            *_outside(self.device, homes.p_min[:, None], homes.p_max[:, None]),
            *_outside(self.curtailed, 0.0, homes.curtail[:, None] * homes.pv),
            *_outside(self.shapable, 0.0, flexible.most(slots)),
            np.abs(self.shapable.sum(axis=1, keepdims=True) - flexible.energy[:, None] / hours),
            np.where(has & ~(allowed & in_range), UNLIMITED, 0.0)[:, None],
            np.abs(self.net - (rest + self.charge - self.discharge - self.device + self.curtailed)),
            *_outside(self.net, -homes.export_limit[:, None], homes.import_limit[:, None]),
        ]
        worst: FloatArray = np.concatenate(beyond, axis=1).max(axis=1)
        return np.where(np.isnan(worst), np.inf, worst)


def _outside(values: FloatArray, low: FloatArray | float, high: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    return np.maximum(low - values, 0.0), np.maximum(values - high, 0.0)


def deferred(flexible: Flexible, start: IntArray, slots: int) -> FloatArray:
    """What the deferrable loads take when they start then, shape (homes, slots) [kW]."""
    started = flexible.started(slots)
    taken: FloatArray = started[np.arange(len(start)), np.clip(start, 0, started.shape[1] - 1)]
    return np.where((start >= 0)[:, None], taken, 0.0)


def as_started(homes: Households, flexible: Flexible, start: IntArray) -> tuple[Households, Flexible]:
    """The same with deferrable loads that start then as loads like any other."""
    load = homes.load + deferred(flexible, start, homes.shape[1])
    return replace(homes, load=load), replace(flexible, profile=np.zeros_like(flexible.profile))


def _changes(homes: Households, power: FloatArray, hours: float) -> FloatArray:
    """Change of the level in each slot [kWh] when the battery takes `power` [kW], negative = gives."""
    into, out = homes.charging[:, None], homes.discharging[:, None]
    changes: FloatArray = hours * (np.maximum(power, 0.0) * into + np.minimum(power, 0.0) / out)
    return changes


def feasible(homes: Households, flexible: Flexible, wish: Plan, hours: float) -> Plan:
    """The plan nearest to `wish` in the order battery, PV, device; its shapable loads and starts are kept.

    What of `wish` is kept can be done; its `net` is not looked at. A home that cannot be helped stays beyond a limit.
    """
    slots = homes.shape[1]
    most, least = homes.import_limit[:, None], -homes.export_limit[:, None]
    rest = homes.load - homes.pv + wish.shapable + deferred(flexible, wish.start, slots)
    held = homes.curtail[:, None] * homes.pv
    low = np.maximum(least - (rest + held - homes.p_min[:, None]), -homes.power[:, None])
    high = np.minimum(most - (rest - homes.p_max[:, None]), homes.power[:, None])
    power = _battery(homes, wish.charge - wish.discharge, np.minimum(low, high), high, hours)
    net = rest + power - wish.device + wish.curtailed
    over, under = np.maximum(net - most, 0.0), np.maximum(least - net, 0.0)
    released = np.minimum(over, wish.curtailed)
    device = np.minimum(wish.device + over - released, homes.p_max[:, None])
    lowered = np.minimum(under, device - homes.p_min[:, None])
    curtailed = np.minimum(wish.curtailed - released + under - lowered, held)
    device = device - lowered
    net = rest + power - device + curtailed
    return Plan(net, np.maximum(power, 0.0), np.maximum(-power, 0.0), device, curtailed, wish.shapable, wish.start)


def _battery(homes: Households, wish: FloatArray, low: FloatArray, high: FloatArray, hours: float) -> FloatArray:
    """The battery's power, shape (homes, slots) [kW], that follows `wish` as far as the levels to come allow.

    Backwards: between which levels a slot must end so that all after it can be done. Forwards: the wish within them.
    """
    least, most, wanted = (_changes(homes, power, hours) for power in (low, high, wish))
    slots = wish.shape[1]
    floor, roof = np.empty((len(wish), slots)), np.empty((len(wish), slots))
    floor[:, -1] = roof[:, -1] = homes.start
    for slot in range(slots - 1, 0, -1):
        floor[:, slot - 1] = np.maximum(homes.low, floor[:, slot] - most[:, slot])
        roof[:, slot - 1] = np.minimum(homes.high, roof[:, slot] - least[:, slot])
    change, level = np.empty_like(wish), homes.start
    for slot in range(slots):
        after = np.clip(level + wanted[:, slot], level + least[:, slot], level + most[:, slot])
        after = np.clip(after, floor[:, slot], np.maximum(roof[:, slot], floor[:, slot]))
        change[:, slot], level = after - level, after
    into, out = homes.charging[:, None], homes.discharging[:, None]
    return (np.maximum(change, 0.0) / into + np.minimum(change, 0.0) * out) / hours


def least(homes: Households, flexible: Flexible, inner: FloatArray, price: FloatArray, hours: float) -> FloatArray:
    """What each home pays at least when it takes energy at `price`, shape (homes,) [currency]: below any plan's cost.

    homes : without a utility of their own; price : at their nodes; inner : what energy is worth within the home, any,
        such as higher where the connection is full; both shape (homes, slots) [currency/kWh]
    """
    slots = homes.shape[1]
    apart = price - inner
    limits = (np.minimum(limit, UNLIMITED)[:, None] for limit in (homes.import_limit, homes.export_limit))
    most_import, most_export = limits
    connection = np.minimum(apart * most_import, -apart * most_export).sum(axis=1)
    length = flexible.most(slots)
    order = np.argsort(inner, axis=1, kind="stable")
    length, ordered = np.take_along_axis(length, order, axis=1), np.take_along_axis(inner, order, axis=1)
    before = np.cumsum(length, axis=1) - length
    shapable = (np.clip(flexible.energy[:, None] / hours - before, 0.0, length) * ordered).sum(axis=1)
    starts = np.einsum("hst,ht->hs", flexible.started(slots), inner)
    deferrable = np.where(flexible.allowed(slots), starts, np.inf).min(axis=1)
    deferrable = np.where(flexible.profile.any(axis=1), deferrable, 0.0)
    cost: FloatArray = least_cost(homes, inner, hours) + hours * (connection + shapable + deferrable)
    return cost
