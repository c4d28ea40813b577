"""The homes' side of `schedule`: one home on its own device, or all homes at once.

In every round a home is told what the wires would like it to take and the price at its node, and answers with what it
plans to take:

    net = argmin  own cost + price·net + ρ/2·(net − wanted)²     within its devices' limits and its connection's

As in `bilateral_step`, devices that couple slots are split: their powers answer, within their limits, to one price μ
per home and slot at which the home balances, and a projection, kept beside them with its dual, brings back what couples
the slots: the battery's level (`Store`), the energy of a shapable load, the shape of a deferrable one. The two take a
few turns in every round, so that a home's answer is nearly the exact one. A deferrable load's start is a weight on each
possible start, at least 0 and in all 1 (the increments of a start indicator that never falls), until it is settled as
the heaviest; a plan takes the heaviest at any time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from commonwatt.devices.households import UNLIMITED, Households
from commonwatt.market.schedule.input import Flexible
from commonwatt.market.schedule.plan import Plan, deferred, feasible
from commonwatt.market.splitting import JUMP, Batteries, Ways, balance
from commonwatt.units import FloatArray, IntArray

OF_BATTERY = 3
"""Place of the battery's two ways: PV held back, device and connection before, shapable and deferrable load after."""
TURNS, INSIDE = 10, 0.1
"""How often a home's devices and what couples their slots take turns within a round, and the penalty between them as a
part of ρ: a home that answers nearly exactly saves many rounds."""


@dataclass(frozen=True, eq=False)
class Ask:
    """What a home is told in a round: wanted : shape (homes, slots) [kW]; price : at their nodes, same shape.

    penalty : ρ [currency/kWh per kW]; settled : deferrable loads are to keep the start that has the most weight
    """

    wanted: FloatArray
    price: FloatArray
    penalty: float
    settled: bool


def island(homes: Households) -> Households:
    """The same homes without a utility of their own: it is met at node 0."""
    none = np.full(homes.shape, np.inf)
    return replace(homes, retail=none, feed_in=-none)


@dataclass(frozen=True)
class Load:
    """A load's power, split; arrays shape (rows, slots) [kW].

    x, dual : what keeps to what couples the slots, and the scaled dual of its equality with what answers to a price
    most : largest power
    """

    x: FloatArray
    dual: FloatArray
    most: FloatArray

    def ramp(self, penalty: float) -> tuple[FloatArray, FloatArray]:
        """Prices between which it goes from `most` down to nothing."""
        end = penalty * (self.x - self.dual)
        return end - penalty * self.most, end

    def respond(self, price: FloatArray, penalty: float) -> FloatArray:
        """What it would take at this price."""
        taken: FloatArray = np.clip(self.x - self.dual - price / penalty, 0.0, self.most)
        return taken


@dataclass(frozen=True)
class Shapable(Load):
    """energy : of each row [kW of all slots together]."""

    energy: FloatArray

    def agree(self, response: FloatArray) -> Shapable:
        """After the projection onto the loads with this energy, and the dual step."""
        target = response + self.dual
        x = filled(target, self.most, self.energy)
        return replace(self, x=x, dual=target - x)


@dataclass(frozen=True)
class Deferrable(Load):
    """weight, allowed : shape (rows, starts); weights add up to 1 where they are allowed.

    started : shape (rows, starts, slots), what is taken after each start [kW]
    curve : largest eigenvalue of started·startedᵀ, shape (rows, 1) [kW²]
    """

    weight: FloatArray
    allowed: FloatArray
    started: FloatArray
    curve: FloatArray

    @classmethod
    def of(cls, flexible: Flexible, slots: int) -> Deferrable:
        """Weights spread over all starts."""
        started, allowed = flexible.started(slots), flexible.allowed(slots).astype(float)
        weight = allowed / allowed.sum(axis=1, keepdims=True)
        curve = np.linalg.eigvalsh(np.einsum("hst,hut->hsu", started, started))[:, -1:]
        x = np.einsum("hs,hst->ht", weight, started)
        most = (started * allowed[:, :, None]).max(axis=1)
        return cls(x, np.zeros_like(x), most, weight, allowed, started, curve)

    def agree(self, response: FloatArray) -> Deferrable:
        """After a step towards the powers nearest to it that follow from weights, and the dual step."""
        target = response + self.dual
        pull = np.einsum("hst,ht->hs", self.started, target - self.x) / self.curve
        weight = shares(self.weight + pull, self.allowed)
        x = np.einsum("hs,hst->ht", weight, self.started)
        return replace(self, x=x, dual=target - x, weight=weight)

    @property
    def start(self) -> IntArray:
        """The heaviest start of each row, the earliest of equals."""
        heaviest: IntArray = np.argmax(np.where(self.allowed > 0, np.round(self.weight, 6), -np.inf), axis=1)
        return heaviest


def filled(target: FloatArray, most: FloatArray, total: FloatArray) -> FloatArray:
    """What is nearest to `target`, is between 0 and `most` and adds up to `total`; shape (rows, any), total (rows,)."""
    end = np.maximum(most - target, -target + JUMP)
    lift = balance(
        -target[:, None, :], end[:, None, :], most[:, None, :], np.full((len(target), 1), JUMP), total[:, None]
    )
    nearest: FloatArray = np.clip(target + lift, 0.0, most)
    return nearest


def shares(target: FloatArray, allowed: FloatArray) -> FloatArray:
    """What is nearest to `target`, is at least 0, where allowed only, and adds up to 1; shape (rows, any)."""
    inside = np.where(allowed > 0, target, -1e300)
    falling = -np.sort(-inside, axis=1)
    level = (np.cumsum(falling, axis=1) - 1) / np.arange(1, target.shape[1] + 1)
    last = np.count_nonzero(falling > level, axis=1)[:, None] - 1
    nearest: FloatArray = np.maximum(inside - np.take_along_axis(level, last, axis=1), 0.0)
    return nearest


class Local:
    """Homes' own side of the rounds; what they make, use and store stays here.

    homes : of these homes only; hours : of a slot
    """

    def __init__(self, homes: Households, flexible: Flexible, hours: float) -> None:
        self.homes, self.flexible, self.hours = island(homes), flexible, hours
        count, slots = homes.shape
        limits = (homes.import_limit, homes.export_limit)
        self._most, self._least = (np.minimum(limit, UNLIMITED)[:, None] for limit in limits)
        self._batteries = np.flatnonzero((homes.capacity > 0) & (homes.power > 0))
        self._shapables = np.flatnonzero(flexible.energy > 0)
        self._deferrables = np.flatnonzero(flexible.profile.any(axis=1))
        self._penalty = 1.0
        self._store = Batteries.of(homes.take(self._batteries), hours, self._penalty)
        some = flexible.take(self._shapables)
        most, energy = some.most(slots), some.energy / hours
        even = filled(np.zeros_like(most), most, energy)
        self._shapable = Shapable(even, np.zeros_like(even), most, energy)
        self._deferrable = Deferrable.of(flexible.take(self._deferrables), slots)
        self._start = np.full(count, -1)
        self._constant()
        self.price = self.net = np.zeros((count, slots))
        self._used = np.zeros((count, slots, 2))

    def _constant(self) -> None:
        """Ways that stay the same; room for the others."""
        ways, shape = Ways.of(self.homes), (*self.homes.shape, OF_BATTERY + 4)
        self._begin, self._end, self._length = np.zeros(shape), np.full(shape, JUMP), np.zeros(shape)
        for own, given in ((self._begin, ways.begin), (self._end, ways.end), (self._length, ways.length)):
            own[:, :, :2] = given[:, :, [0, 3]]
        self._length[:, :, 2] = self._most + self._least
        self._length[self._batteries, :, OF_BATTERY : OF_BATTERY + 2] = self.homes.power[self._batteries, None, None]
        self._length[self._shapables, :, -2] = self._shapable.most
        self._length[self._deferrables, :, -1] = self._deferrable.most
        self._fixed = ways.least.copy()
        self._fixed[self._batteries] -= self.homes.power[self._batteries, None]
        self._fixed -= self._length[:, :, -2:].sum(axis=2) + self._least
        self._fixed -= deferred(self.flexible, self._start, self.homes.shape[1])
        self._coupled = np.unique(np.concatenate([self._batteries, self._shapables, self._deferrables]))

    def _settle(self) -> None:
        """Start every deferrable load when it has the most weight; from now on it is load."""
        self._start[self._deferrables] = self._deferrable.start
        self._deferrables = self._deferrables[:0]
        self._deferrable = Deferrable.of(self.flexible.take(self._deferrables), self.homes.shape[1])
        self._constant()

    def answer(self, ask: Ask) -> FloatArray:
        """What the homes plan to take, shape (homes, slots) [kW]."""
        wanted, price, penalty = ask.wanted, ask.price, ask.penalty
        if ask.settled and len(self._deferrables):
            self._settle()
        self._rescale(INSIDE * penalty)
        self._begin[:, :, 2] = price - penalty * (self._least + wanted)
        self._end[:, :, 2] = price + penalty * (self._most - wanted)
        level = self._level(np.arange(len(wanted)))
        if len(self._coupled):
            self._agree(level)
            for _ in range(TURNS - 1):
                level[self._coupled] = self._level(self._coupled)
                self._agree(level)
        begin, end = self._begin[:, :, :2], self._end[:, :, :2]
        share = np.clip((level[:, :, None] - begin) / (end - begin), 0.0, 1.0)
        self._used = share * self._length[:, :, :2]
        self.price, self.net = level, np.clip(wanted + (level - price) / penalty, -self._least, self._most)
        return self.net

    def _level(self, homes: IntArray) -> FloatArray:
        """The price at which each of these homes balances with its couplings as they are, shape (rows, slots)."""
        if len(rows := self._batteries):
            ways = slice(OF_BATTERY, OF_BATTERY + 2)
            self._begin[rows, :, ways], self._end[rows, :, ways], *_ = self._store.ways(self.homes.shape[1])
        for rows, load, way in ((self._shapables, self._shapable, -2), (self._deferrables, self._deferrable, -1)):
            if len(rows):
                self._begin[rows, :, way], self._end[rows, :, way] = load.ramp(self._penalty)
        begin, length = self._begin[homes], self._length[homes]
        end = np.maximum(self._end[homes], begin + JUMP)
        level = balance(begin, end, length, np.full(begin.shape[:2], JUMP), -self._fixed[homes])
        return np.clip(level, begin.min(axis=2), end.max(axis=2))

    @property
    def full(self) -> np.typing.NDArray[np.bool_]:
        """Where a home's connection carries all it can, shape (homes, slots)."""
        return (self.net >= self._most) | (self.net <= -self._least)

    def _agree(self, level: FloatArray) -> None:
        if len(rows := self._batteries):
            self._store = self._store.agree(self._store.respond(level[rows]))
        if len(rows := self._shapables):
            self._shapable = self._shapable.agree(self._shapable.respond(level[rows], self._penalty))
        if len(rows := self._deferrables):
            self._deferrable = self._deferrable.agree(self._deferrable.respond(level[rows], self._penalty))

    def _rescale(self, penalty: float) -> None:
        """Duals are kept in money when the penalty changes."""
        factor = penalty / self._penalty
        if factor == 1:
            return
        self._penalty, load, other = penalty, self._shapable, self._deferrable
        self._store = self._store.rescaled(factor)
        self._shapable = replace(load, dual=load.dual / factor)
        self._deferrable = replace(other, dual=other.dual / factor)

    def plan(self) -> Plan:
        """What the homes would do now, exactly within the limits of every device."""
        homes, slots = self.homes, self.homes.shape[1]
        battery, shapable, start = np.zeros(homes.shape), np.zeros(homes.shape), self._start.copy()
        if len(rows := self._batteries):
            charge, discharge = self._store.x[:, :slots], self._store.x[:, slots : 2 * slots]
            into, out = homes.charging[rows, None], homes.discharging[rows, None]
            change = into * charge - discharge / out
            battery[rows] = np.where(change > 0, change / into, change * out)
        shapable[self._shapables] = self._shapable.x
        start[self._deferrables] = self._deferrable.start
        curtailed = homes.curtail[:, None] * homes.pv - self._used[:, :, 0]
        device = homes.p_min[:, None] + self._used[:, :, 1]
        charge, discharge = np.maximum(battery, 0.0), np.maximum(-battery, 0.0)
        wish = Plan(self.net, charge, discharge, device, curtailed, shapable, start)
        return feasible(homes, self.flexible, wish, self.hours)
