"""Below what no schedule can cost: a bound from any prices, in closed form.

The branch flow with l·v_parent >= P² + Q² in place of the equality is convex and contains what is physically possible
(Farivar, Low 2013). Its Lagrangian, with prices λ and μ of what nodes take of p and q and ν of the voltages' equation,
is minimised over P, Q for given l, v by a parabola and is then linear in v:

    min over P, Q, l   a·P + b·Q + c·l   with   l·v_parent >= P² + Q²   =   −v_parent·(a² + b²)/(4c)
    a = λ_parent − λ + 2rν      b = μ_parent − μ + 2xν      c = λr + μx − ν(r² + x²) + κ

(κ >= 0 of a current's limit; c > 0, or no bound follows). ν is set from the leaves inwards so that v has the slope −η,
with η the dual of the voltage's limit; then v costs −η·high² or −η·low². With each home's least cost at λ the bound
holds for any λ with λ at node 0 between the utility's prices, any μ with 0 at node 0, any η and any κ >= 0; at the
optimum's it is the optimum. So whoever has the inputs and these numbers can check it in one pass over the feeder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from commonwatt.market.feeder import Feeder, flow, slopes
from commonwatt.market.households import Households
from commonwatt.market.schedule_input import Flexible
from commonwatt.market.schedule_network import Offer, Wires
from commonwatt.market.schedule_plan import least
from commonwatt.units import FloatArray

BoolArray = np.typing.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Duals:
    """Prices that bound the cost; arrays shape (nodes, slots), in currency/kWh where nothing else is said.

    p, q : of what a node takes; v, l : η and κ >= 0, of its squared voltage and its line's squared current [per pu]
    inner : what energy is worth within each home, shape (homes, slots)
    """

    p: FloatArray
    q: FloatArray
    v: FloatArray
    l: FloatArray  # noqa: E741
    inner: FloatArray

    @classmethod
    def near(cls, offer: Offer, net: FloatArray, full: BoolArray, inner: FloatArray) -> tuple[Duals, Duals]:
        """Those of an offer with the exact slopes where homes take `net`, and those of a network without loss or limit.

        The second are coarse, but always bound the cost. net : shape (homes, slots) [kW]
        full, inner : where a home's connection is full, and what energy is worth within it then, shape (homes, slots)
        """
        wires, nodes = offer.wires, offer.wires.feeder.nodes
        at = slopes(wires.feeder, flow(wires.feeder, wires.at_nodes(net), wires.q))
        v, current = offer.limit_price[:nodes], np.maximum(offer.limit_price[nodes:], 0.0)

        def priced(supply: FloatArray, of_v: FloatArray, of_l: FloatArray) -> FloatArray:
            limits = np.einsum("trn,rt->nt", of_v, v) + np.einsum("trn,rt->nt", of_l, current)
            total: FloatArray = offer.supply_price * supply + limits
            return total

        p, q = priced(at.supply, at.v, at.l), priced(at.supply_q, at.v_q, at.l_q)
        flat, none = np.tile(offer.supply_price, (nodes, 1)), np.zeros_like(p)
        exact = cls(p, q, v, current, np.where(full, inner, p[wires.node]))
        return exact, cls(flat, none, none, none, flat[wires.node])


def bound(wires: Wires, homes: Households, flexible: Flexible, duals: Duals, hours: float) -> float:
    """Least cost of any schedule [currency]; -inf when nothing follows from these duals.

    homes : without a utility of their own
    """
    at_supply = (duals.p[0] >= wires.feed_in) & (duals.p[0] <= wires.retail)
    if not (at_supply.all() and (duals.l >= 0).all() and not duals.q[0].any()):
        return -np.inf
    own = least(homes, flexible, duals.inner, duals.p[wires.node], hours).sum()
    return float(own + hours * wires.feeder.base_kva * _network(wires.feeder, wires.q, duals).sum())


def _network(feeder: Feeder, q: FloatArray, duals: Duals) -> FloatArray:
    """The network's part of the bound, shape (slots,) [currency/kWh · pu]."""
    r, x, parent = feeder.r[:, None], feeder.x[:, None], np.maximum(feeder.parent, 0)
    down, across = duals.p[parent] - duals.p, duals.q[parent] - duals.q
    base = duals.p * r + duals.q * x + duals.l
    # What v of a node is worth to the lines that leave it, ν summed up with the parabola's part.
    outward = np.zeros_like(duals.p)
    for node in feeder.inward:
        nu = outward[node] - duals.v[node]
        a, b = down[node] + 2 * r[node] * nu, across[node] + 2 * x[node] * nu
        c = base[node] - nu * (r[node] ** 2 + x[node] ** 2)
        square = a**2 + b**2
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where((square <= 0) & (c >= 0), 0.0, np.where(c > 0, square / (4 * c), np.inf))
        outward[feeder.parent[node]] += nu + part
    v = np.where(duals.v > 0, feeder.high**2, feeder.low**2) * duals.v
    most = np.where(duals.l > 0, np.where(duals.l > 0, feeder.most[:, None], 0.0) ** 2 * duals.l, 0.0)
    part_of_all: FloatArray = (duals.q * q).sum(axis=0) - outward[0] * feeder.source**2 - (v + most)[1:].sum(axis=0)
    return part_of_all
