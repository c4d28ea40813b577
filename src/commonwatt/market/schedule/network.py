"""The wires' side of `schedule`: what the network would like the homes to take, and at what nodal prices.

A round ends with the plan nearest to the homes' own that the wires carry at least cost, each slot by itself:

    z = argmin  utility's cost of supply(z) − price·z + ρ/2·(net − z)²
                low² <= v(z) <= high²,   √l(z) <= most
    price ← price + ρ·(net − z)

with supply, voltages and currents from the exact branch flow at the z before (`feeder.flow`) and its slopes there, so
that a fixed point is exact. Its solution is a price of each node: the utility's price times what one more kWh there
costs in supply, losses included, plus what the limits in force make of it. The price after the round is that price: the
dual of the node's balance. All of it is public arithmetic that a contract or anyone else can repeat.

Against the upper limit the losses count as they are, not as they would change: v there moves with z as if nothing were
lost. Otherwise it would pay to lose energy where the voltage is high, and no bound would follow (Gan, Li, Topcu, Low,
IEEE Trans. Autom. Control 60 (2015) 72, from which this way of bounding is).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from commonwatt.errors import MarketError
from commonwatt.grid.feeder import Feeder, flow, slopes
from commonwatt.market.schedule.input import Dispatch
from commonwatt.market.schedule.step import Ask
from commonwatt.units import WH_PER_KWH, FloatArray, IntArray

SPARE_WH = 1.0
"""How much each home may differ from its plan in a slot without a limit being broken [Wh]: whole Wh are the steps of a
running total that is rounded, so half a Wh at either end of the slot."""
REFRESH, SETTLE = 10, 100
"""Rounds between two computations of the slopes, and before deferrable loads keep their starts."""
SPAN, SLOW, NEAR = 50, 0.7, 1e-4
"""Rounds after which the penalty doubles if the distance between homes and wires is still more than the one part of
what it was in as many rounds before, and more than the other of what is wanted."""
STEPS, CLOSE, LEAST_CURRENT = 200, 1e-10, 1e-9
"""Steps of the active-set method at most, what counts as within a limit, and as a current at all [pu]."""


@dataclass(frozen=True, eq=False)
class Wires:
    """What the network's side knows: the feeder, who is where, reactive power, the utility's prices.

    node : shape (homes,); q : shape (nodes, slots) [pu]; retail, feed_in : shape (slots,) [currency/kWh]
    spare_kw : how much each home may differ from its plan without a limit being broken
    """

    feeder: Feeder
    node: IntArray
    q: FloatArray
    retail: FloatArray
    feed_in: FloatArray
    spare_kw: float

    @classmethod
    def of(cls, given: Dispatch, hours: float) -> Wires:
        """Of a whole input; nothing of the homes' devices is looked at."""
        nothing = np.zeros((given.feeder.nodes, len(given.retail)))
        wires = cls(given.feeder, given.node, nothing, given.retail, given.feed_in, SPARE_WH / WH_PER_KWH / hours)
        return replace(wires, q=wires.at_nodes(given.reactive))

    @cached_property
    def homes_at(self) -> FloatArray:
        """How many homes there are at each node, shape (nodes, 1)."""
        count: FloatArray = np.bincount(self.node, minlength=self.feeder.nodes).astype(float)[:, None]
        return count

    @cached_property
    def watched(self) -> tuple[FloatArray, FloatArray]:
        """Lower limits of v, upper ones of v, and those of currents √l, one after another; node 0 has none.

        Returns low and high, each shape (3·nodes,) [pu].
        """
        feeder, spare = self.feeder, self.homes_at[:, 0] * self.spare_kw / self.feeder.base_kva
        none = np.full(feeder.nodes, np.inf)
        low, high = (
            square + feeder.drop[0] @ part for square, part in ((feeder.low**2, spare), (feeder.high**2, -spare))
        )
        low[0], high[0] = -np.inf, np.inf
        most = np.maximum(feeder.most - feeder.below @ spare, feeder.most / 2)
        return np.concatenate([low, -none, -none]), np.concatenate([none, high, most])

    def at_nodes(self, power: FloatArray) -> FloatArray:
        """Sum over the homes of each node, shape (nodes, slots) [pu], of `power`, shape (homes, slots) [kW or kvar]."""
        total = np.zeros((self.feeder.nodes, power.shape[1]))
        np.add.at(total, self.node, power / self.feeder.base_kva)
        return total


@dataclass(frozen=True, eq=False)
class Linear:
    """The network near what nodes take, in [pu].

    taken : shape (nodes, slots); supply : shape (slots,); state : what is watched, shape (3·nodes, slots)
    slope, rows : of supply and of state by what nodes take, shape (nodes, slots) and (slots, 3·nodes, nodes)
    along : direction (P, Q) of each current where the slopes were taken, shape (2, nodes, slots). A current is watched
        along it: one that has turned round since is below its limit there, whatever the slopes say
    """

    taken: FloatArray
    supply: FloatArray
    slope: FloatArray
    state: FloatArray
    rows: FloatArray
    along: FloatArray

    @classmethod
    def at(cls, wires: Wires, taken: FloatArray, before: Linear | None) -> Linear:
        """Near `taken`, with the slopes of `before` if there is one."""
        now = flow(wires.feeder, taken, wires.q)
        if not now.solved.all():
            # Beyond the collapse of the voltage there is nothing to go by; the slopes where nothing flows lead back.
            now = flow(wires.feeder, np.where(now.solved, taken, 0.0), np.where(now.solved, wires.q, 0.0))
        supply = taken.sum(axis=0) + now.losses(wires.feeder)
        power = np.stack([now.P, now.Q])
        along = before.along if before else power / np.maximum(np.hypot(*power), LEAST_CURRENT)
        current = (along * power).sum(axis=0) / np.sqrt(now.v[np.maximum(wires.feeder.parent, 0)])
        state = np.concatenate([now.v, now.v, current])
        if before is not None:
            return cls(taken, supply, before.slope, state, before.rows, along)
        at = slopes(wires.feeder, now)
        lossless = np.broadcast_to(-wires.feeder.drop[0], at.v.shape)
        # A current, not its square: it moves with power evenly, also far from where it is now.
        of_current = at.l / (2 * np.maximum(current, LEAST_CURRENT)).T[:, :, None]
        return cls(taken, supply, at.supply, state, np.concatenate([at.v, lossless, of_current], axis=1), along)


@dataclass(frozen=True)
class Pace:
    """The penalty ρ [currency/kWh per kW]; it doubles when homes and wires have not come nearer for a while.

    Where limits make prices steep, a small penalty lets plans swing about them without end.
    apart, before : how far plans were from what was wanted, root mean square summed up over the rounds of this span so
        far and over the whole span before [kW]
    """

    penalty: float
    apart: float = 0.0
    before: float = np.inf

    def after(self, number: int, apart: FloatArray, wanted: FloatArray) -> Pace:
        """After the round `number`."""
        total = self.apart + float(np.sqrt(np.square(apart).mean()))
        if number % SPAN:
            return replace(self, apart=total)
        near = SPAN * NEAR * float(np.sqrt(np.square(wanted).mean()))
        return Pace(2 * self.penalty) if total > max(SLOW * self.before, near) else Pace(self.penalty, before=total)


@dataclass(frozen=True, eq=False)
class Offer:
    """What everyone may read between two rounds.

    wanted : what the network would like each home to take, shape (homes, slots) [kW]
    price : at each node, shape (nodes, slots) [currency/kWh]
    supply_price, limit_price : the duals behind it, of the utility's supply, shape (slots,) [currency/kWh], and of the
        limits in `Wires.watched`, shape (3·nodes, slots) [currency/kWh per pu], above zero where the upper one holds
    primal, dual : largest |net − wanted| [kW] and ρ·|change of wanted| [currency/kWh]
    settled : deferrable loads are to keep the start that has the most weight
    """

    wires: Wires
    wanted: FloatArray
    price: FloatArray
    pace: Pace
    linear: Linear
    supply_price: FloatArray
    limit_price: FloatArray
    tolerance: tuple[float, float] = (0.0, 0.0)
    number: int = 0
    primal: float = np.inf
    dual: float = np.inf
    settled: bool = False

    @classmethod
    def first(cls, wires: Wires, penalty: float, tolerance: tuple[float, float] = (0.0, 0.0)) -> Offer:
        """Nothing flows, and a kWh is worth the middle of the utility's prices.

        tolerance : residuals at which the rounds end [kW, currency/kWh]
        """
        shape = (wires.feeder.nodes, len(wires.retail))
        middle = (wires.retail + wires.feed_in) / 2
        linear = Linear.at(wires, np.zeros(shape), None)
        wanted, price = np.zeros((len(wires.node), shape[1])), np.tile(middle, (shape[0], 1))
        return cls(wires, wanted, price, Pace(penalty), linear, middle, np.zeros((3 * shape[0], shape[1])), tolerance)

    @property
    def penalty(self) -> float:
        """ρ [currency/kWh per kW]."""
        return self.pace.penalty

    @property
    def solved(self) -> bool:
        """Whether both residuals are within the tolerance after a round with settled loads."""
        return self.number > SETTLE and self.primal <= self.tolerance[0] and self.dual <= self.tolerance[1]

    def to(self, homes: IntArray) -> Ask:
        """What these homes are told."""
        return Ask(self.wanted[homes], self.price[self.wires.node[homes]], self.penalty, self.settled)

    def after(self, nets: Mapping[int, FloatArray]) -> Offer:
        """The offer after a round in which home n sent nets[n], shape (slots,) [kW].

        Raises MarketError when a home's net is no row of numbers.
        """
        for home, net in nets.items():
            if np.shape(net) != (len(self.supply_price),) or not np.isfinite(net).all():
                raise MarketError(f"Home {home} sent no row of {len(self.supply_price)} numbers.")
        return self.after_all(np.stack([nets[home] for home in range(len(self.wires.node))]))

    def after_all(self, net: FloatArray) -> Offer:
        """The same with what all homes plan to take, shape (homes, slots) [kW]."""
        wires = self.wires
        per_unit = self.penalty * wires.feeder.base_kva
        target = wires.at_nodes(net) + wires.homes_at * self.price / per_unit
        price, supply_price, limit_price = prices(wires, self.linear, target, per_unit, self.limit_price)
        wanted = net + (self.price - price)[wires.node] / self.penalty
        apart, moved = net - wanted, self.penalty * (wanted - self.wanted)
        number = self.number + 1
        return replace(
            self,
            wanted=wanted,
            price=price,
            pace=self.pace.after(number, apart, wanted),
            supply_price=supply_price,
            limit_price=limit_price,
            linear=Linear.at(wires, wires.at_nodes(wanted), self.linear if number % REFRESH else None),
            number=number,
            settled=number >= SETTLE,
            primal=float(np.abs(apart).max(initial=0.0)),
            dual=float(np.abs(moved).max(initial=0.0)),
        )


def prices(
    wires: Wires, near: Linear, target: FloatArray, penalty: float, before: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Nodal prices, and the duals of supply and of limits, of the network's step.

    target : what the nodes would take at a price of zero, shape (nodes, slots) [pu]; penalty : [currency/kWh per pu]
    before : duals of the limits in the round before, shape (3·nodes, slots)
    """
    give = wires.homes_at / penalty
    taken = near.supply + (near.slope * (target - near.taken)).sum(axis=0)
    response = (near.slope**2 * give).sum(axis=0)
    supply_price = np.clip(taken / np.maximum(response, 1e-300), wires.feed_in, wires.retail)
    price = near.slope * supply_price
    limit_price = np.zeros_like(before)
    low, high = wires.watched
    state = near.state + np.einsum("trn,nt->rt", near.rows, target - give * price - near.taken)
    beyond = ((state > high[:, None]) | (state < low[:, None])).any(axis=0)
    for slot in np.flatnonzero(beyond | before.any(axis=0)).tolist():
        step = _Step(
            np.vstack([near.slope[:, slot], near.rows[slot]]),
            np.concatenate([[near.supply[slot]], near.state[:, slot]]),
            target[:, slot] - near.taken[:, slot],
            give[:, 0],
        )
        found = step.duals(wires, slot, before[:, slot])
        supply_price[slot], limit_price[:, slot], price[:, slot] = found[0], found[1:], found @ step.rows
    return price, supply_price, limit_price


@dataclass(frozen=True, eq=False)
class _Step:
    """One slot of the network's step where limits are in force, by its duals; node arrays in [pu].

    rows : slopes of supply and of what is watched, shape (1 + 3·nodes, nodes); state : their values, shape (rows,)
    free : what the nodes would take at a price of zero, from where the slopes are taken; give : less per unit of price
    """

    rows: FloatArray
    state: FloatArray
    free: FloatArray
    give: FloatArray

    def duals(self, wires: Wires, slot: int, before: FloatArray) -> FloatArray:
        """The price of supply, then the duals of what is watched, shape (rows,): an active-set method from `before`."""
        low, high = (np.concatenate([[0.0], limit]) for limit in wires.watched)
        side = np.concatenate([[0.0], np.sign(before)])
        for _ in range(STEPS):
            duals = self._held(np.flatnonzero(side), np.where(side > 0, high, low), wires, slot)
            wrong = duals * side
            wrong[0] = 0.0
            if (worst := int(np.argmin(wrong))) and wrong[worst] < 0:
                side[worst] = 0.0
                continue
            state = self.state + self.rows @ (self.free - self.give * (duals @ self.rows))
            beyond = np.maximum(state - high, low - state)
            beyond[0] = 0.0
            beyond[side != 0] = 0.0
            if beyond[worst := int(np.argmax(beyond))] <= CLOSE or not self.rows[worst] @ (
                self.give * self.rows[worst]
            ):
                break
            side[worst] = 1.0 if state[worst] > high[worst] else -1.0
        return np.where(duals * side >= 0, duals, 0.0)

    def _held(self, held: IntArray, limit: FloatArray, wires: Wires, slot: int) -> FloatArray:
        """The duals with which these rows are at their limits, and supply is nothing or at one of its prices."""
        all_rows = np.concatenate([[0], held])
        rows = self.rows[all_rows]
        matrix = (rows * self.give) @ rows.T
        wanted = self.state[all_rows] + rows @ self.free - limit[all_rows]
        # Least squares: limits of neighbouring nodes can come to the same, and nothing moves an unused line's current.
        found = np.linalg.lstsq(matrix, wanted, rcond=1e-12)[0]
        inside = min(max(float(found[0]), wires.feed_in[slot]), wires.retail[slot])
        if inside != found[0]:
            found[0] = inside
            found[1:] = np.linalg.lstsq(matrix[1:, 1:], wanted[1:] - matrix[1:, 0] * inside, rcond=1e-12)[0]
        duals = np.zeros(len(self.state))
        duals[all_rows] = found
        return duals
