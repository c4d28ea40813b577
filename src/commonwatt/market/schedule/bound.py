"""Below what no schedule can cost: a bound from any prices, in closed form.

The branch flow with l·v_parent >= P² + Q² in place of the equality is convex and contains what is physically possible
(Farivar, Low 2013). Its Lagrangian, with prices λ and μ of what nodes take of p and q and ν of the voltages' equation,
is minimised over P, Q for given l, v by a parabola and is then linear in v:

    min over P, Q, l   a·P + b·Q + c·l   with   l·v_parent >= P² + Q²   =   −v_parent·(a² + b²)/(4c)
    a = λ_parent − λ + 2rν      b = μ_parent − μ + 2xν      c = λr + μx − ν(r² + x²) + κ

(κ >= 0 of a current's limit; c > 0, or no bound follows). ν is set from the leaves inwards so that v has the slope η,
the dual of its lower limit, and costs η·low² then. The upper limit is on the voltage as if nothing were lost, which
is never below the real one, less the relief that losses give in the plan that is judged; its dual adds to the price of
p and to nothing else. With each home's least cost at its node's price, the bound holds for any λ that lies between the
utility's prices at node 0, any μ that is 0 there, and any duals >= 0 of limits; at the optimum's it is the optimum. So
whoever has the inputs and these numbers can check it in one pass over the feeder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from commonwatt.devices.households import Households
from commonwatt.grid.feeder import Feeder, flow, slopes
from commonwatt.market.schedule.input import Flexible
from commonwatt.market.schedule.network import LEAST_CURRENT, Offer, Wires
from commonwatt.market.schedule.plan import least
from commonwatt.units import FloatArray

BoolArray = np.typing.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Duals:
    """Prices that bound the cost; arrays shape (nodes, slots), in currency/kWh where nothing else is said.

    p, q : λ and μ, of what a node takes, but for the upper limits' part; low, high, most : of the limits, >= 0 [per pu]
    inner : what energy is worth within each home, shape (homes, slots)
    """

    p: FloatArray
    q: FloatArray
    low: FloatArray
    high: FloatArray
    most: FloatArray
    inner: FloatArray

    def price(self, feeder: Feeder) -> FloatArray:
        """Of a kWh at each node, the dual of its balance, shape (nodes, slots) [currency/kWh]."""
        nodal: FloatArray = self.p - feeder.drop[0].T @ self.high
        return nodal

    @classmethod
    def near(cls, offer: Offer, full: BoolArray, inner: FloatArray) -> tuple[Duals, Duals]:
        """Those of an offer with the slopes where it is exact, and those of a network without loss or limit.

        The second are coarse, but always bound the cost.
        full, inner : where a home's connection is full, and what energy is worth within it then, shape (homes, slots)
        """
        wires = offer.wires
        flowing = flow(wires.feeder, wires.at_nodes(offer.wanted), wires.q)
        at = slopes(wires.feeder, flowing)
        of_low, of_high, of_most = np.split(offer.limit_price, 3)
        low, high = np.maximum(-of_low, 0.0), np.maximum(of_high, 0.0)
        most = np.maximum(of_most, 0.0) / (2 * np.maximum(np.sqrt(flowing.l), LEAST_CURRENT))

        def priced(supply: FloatArray, of_v: FloatArray, of_l: FloatArray) -> FloatArray:
            limits = np.einsum("trn,rt->nt", of_l, most) - np.einsum("trn,rt->nt", of_v, low)
            total: FloatArray = offer.supply_price * supply + limits
            return total

        p, q = priced(at.supply, at.v, at.l), priced(at.supply_q, at.v_q, at.l_q)
        flat, none = np.tile(offer.supply_price, (wires.feeder.nodes, 1)), np.zeros_like(p)
        exact = cls(p, q, low, high, most, none)
        inner = np.where(full, inner, exact.price(wires.feeder)[wires.node])
        return replace(exact, inner=inner), cls(flat, none, none, none, none, flat[wires.node])


def bound(wires: Wires, homes: Households, flexible: Flexible, duals: Duals, relief: FloatArray, hours: float) -> float:
    """Least cost of any schedule [currency]; -inf when nothing follows from these duals.

    homes : without a utility of their own; relief : of squared voltages, shape (nodes, slots) [pu] >= 0
    """
    at_supply = (duals.p[0] >= wires.feed_in) & (duals.p[0] <= wires.retail)
    signed = all((limit >= 0).all() for limit in (duals.low, duals.high, duals.most))
    if not (at_supply.all() and signed and not duals.q[0].any()):
        return -np.inf
    own = least(homes, flexible, duals.inner, duals.price(wires.feeder)[wires.node], hours).sum()
    return float(own + hours * wires.feeder.base_kva * _network(wires.feeder, wires.q, duals, relief).sum())


def _network(feeder: Feeder, q: FloatArray, duals: Duals, relief: FloatArray) -> FloatArray:
    """The network's part of the bound, shape (slots,) [currency/kWh · pu]."""
    r, x, parent = feeder.r[:, None], feeder.x[:, None], np.maximum(feeder.parent, 0)
    down, across = duals.p[parent] - duals.p, duals.q[parent] - duals.q
    base = duals.p * r + duals.q * x + duals.most
    # What v of a node is worth to the lines that leave it, ν summed up with the parabola's part.
    outward = np.zeros_like(duals.p)
    for node in feeder.inward:
        nu = outward[node] + duals.low[node]
        a, b = down[node] + 2 * r[node] * nu, across[node] + 2 * x[node] * nu
        c = base[node] - nu * (r[node] ** 2 + x[node] ** 2)
        square = a**2 + b**2
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where((square <= 0) & (c >= 0), 0.0, np.where(c > 0, square / (4 * c), np.inf))
        outward[feeder.parent[node]] += nu + part
    reactive = duals.q * q + duals.high * (feeder.lossless(np.zeros_like(q), q) - relief)
    most = np.where(duals.most > 0, np.where(duals.most > 0, feeder.most[:, None], 0.0) ** 2 * duals.most, 0.0)
    limits = duals.low * feeder.low**2 - duals.high * feeder.high**2 - most
    part_of_all: FloatArray = (reactive + limits).sum(axis=0) - outward[0] * feeder.source**2
    return part_of_all
