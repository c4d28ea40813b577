"""Who may trade with whom, and what each end would rather not: the graph and the preferences of `bilateral`.

A preference γ_nm >= 0 [currency/kWh] makes home n value a kWh traded with m that much less; 0 is indifference.
`surplus` (γ_max·(1 − w), w the product of surplus and demand over the largest, or how well the two match) and
`distance` (γ_max·d/max d) are the two strategies of AlSkaif et al., IEEE TII 2021; their formulas are from knowledge
of the field, the paper could not be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from commonwatt.devices.households import Households
from commonwatt.units import FloatArray, IntArray

Surplus = Literal["product", "match"]
LEAST_KW = 1e-6
"""A route that carries less can carry no whole Wh."""


@dataclass(frozen=True)
class Graph:
    """Pairs of homes that may trade, each once; arrays shape (pairs,)."""

    first: IntArray
    second: IntArray

    @classmethod
    def full(cls, homes: int) -> Graph:
        """Everyone with everyone."""
        return cls(*(end.astype(np.int64) for end in np.triu_indices(homes, 1)))

    @classmethod
    def nearest(cls, distance: FloatArray, k: int) -> Graph:
        """Each with its k nearest by `distance`, shape (homes, homes); ties to the lower index."""
        homes = len(distance)
        far = np.where(np.eye(homes, dtype=bool), np.inf, distance)
        near = np.argsort(far, axis=1, kind="stable")[:, : min(k, homes - 1)]
        return cls.links(np.column_stack([np.repeat(np.arange(homes), near.shape[1]), near.ravel()]).tolist())

    @classmethod
    def links(cls, pairs: Sequence[Sequence[int]]) -> Graph:
        """The pairs given; direction and repetition do not matter.

        >>> Graph.links([(1, 0), (0, 1), (0, 2)]).second.tolist()
        [1, 2]
        """
        ends = np.sort(np.array(pairs, dtype=np.int64).reshape(-1, 2), axis=1)
        first, second = np.unique(ends[ends[:, 0] != ends[:, 1]], axis=0).T
        return cls(np.ascontiguousarray(first), np.ascontiguousarray(second))


@dataclass(frozen=True)
class Routes:
    """Every direction of a pair in which energy may flow in a slot; arrays shape (routes,), sorted by slot and seller.

    seller_gamma, buyer_gamma : preference of each end [currency/kWh]
    most : largest flow [kW], what the seller can spare or the buyer can use
    """

    slot: IntArray
    seller: IntArray
    buyer: IntArray
    seller_gamma: FloatArray
    buyer_gamma: FloatArray
    most: FloatArray

    @property
    def gamma(self) -> FloatArray:
        """Preference of both ends together, shape (routes,) [currency/kWh]."""
        return self.seller_gamma + self.buyer_gamma

    def sold(self, flow: FloatArray, shape: tuple[int, int]) -> FloatArray:
        """Sold less bought of each home, shape (homes, slots), when `flow`, shape (routes,), flows."""
        homes, slots = shape
        out = np.bincount(self.seller * slots + self.slot, flow, minlength=homes * slots)
        into = np.bincount(self.buyer * slots + self.slot, flow, minlength=homes * slots)
        net: FloatArray = (out - into).astype(float).reshape(shape)
        return net


def surplus_of(homes: Households) -> FloatArray:
    """PV less load, with what a device cannot help making or using, shape (homes, slots) [kW]; negative = a need."""
    surplus: FloatArray = homes.pv - homes.load + np.clip(0.0, homes.p_min, homes.p_max)[:, None]
    return surplus


def distance_preference(distance: FloatArray, gamma_max: float) -> FloatArray:
    """γ_nm in proportion to distance, shape (homes, homes)."""
    return gamma_max * distance / max(float(distance.max(initial=0.0)), np.finfo(float).tiny)


def surplus_preference(
    surplus: FloatArray, first: IntArray, second: IntArray, gamma_max: FloatArray | float, reading: Surplus = "product"
) -> FloatArray:
    """γ of one slot and some pairs: large surplus likes large demand (product), or like likes like (match).

    surplus : as `surplus_of`, shape (homes,) [kW]
    """
    offer, want = np.maximum(surplus, 0.0), np.maximum(-surplus, 0.0)
    supply = offer[first] + offer[second]
    demand = want[first] + want[second]
    across = (surplus[first] > 0) != (surplus[second] > 0)
    tiny = np.finfo(float).tiny
    if reading == "product":
        weight = supply * demand / max(float(offer.max(initial=0.0) * want.max(initial=0.0)), tiny)
    else:
        weight = 1.0 - np.abs(supply - demand) / np.maximum(np.maximum(supply, demand), tiny)
    return gamma_max * (1.0 - np.where(across, weight, 0.0))


def routes(homes: Households, graph: Graph, gamma: Sequence[tuple[FloatArray, FloatArray]], *, free: bool) -> Routes:
    """The routes of every slot.

    gamma : per slot, the preferences of the first and of the second end, each shape (pairs,)
    free : whether a home may buy and sell as its battery suggests; if not, a home with a surplus only sells in that
        slot, and any other only buys. A home with a flexible device is free in any case.
    """
    surplus, left = surplus_of(homes), homes.pv - homes.load
    flexible = (free | (homes.p_max > homes.p_min))[:, None]
    may_sell = np.where(flexible | (surplus > 0), left + homes.power[:, None] + homes.p_max[:, None], 0.0)
    may_buy = np.where(flexible | (surplus <= 0), homes.power[:, None] - left - homes.p_min[:, None], 0.0)
    parts = []
    for slot, (first_gamma, second_gamma) in enumerate(gamma):
        seller = np.concatenate([graph.first, graph.second])
        buyer = np.concatenate([graph.second, graph.first])
        seller_gamma = np.concatenate([first_gamma, second_gamma])
        buyer_gamma = np.concatenate([second_gamma, first_gamma])
        most = np.minimum(may_sell[seller, slot], may_buy[buyer, slot])
        used = np.flatnonzero(most > LEAST_KW)
        used = used[np.lexsort((buyer[used], seller[used]))]
        at = np.full(len(used), slot, dtype=np.int64)
        parts.append(Routes(at, seller[used], buyer[used], seller_gamma[used], buyer_gamma[used], most[used]))
    return Routes(**{c.name: np.concatenate([getattr(part, c.name) for part in parts]) for c in fields(Routes)})
