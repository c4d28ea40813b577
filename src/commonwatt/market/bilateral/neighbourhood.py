"""What `bilateral` clears, homes and what lies between them, and its parameters; together they make the routes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from commonwatt.devices.households import Households
from commonwatt.devices.operation import unlivable
from commonwatt.errors import Finding
from commonwatt.market.bilateral.routes import (
    Graph,
    Routes,
    Surplus,
    distance_preference,
    routes,
    surplus_of,
    surplus_preference,
)
from commonwatt.market.interface import Parameters
from commonwatt.market.parameters import Millionths, Money
from commonwatt.units import MICRO, FloatArray


@dataclass(frozen=True)
class Neighbourhood:
    """Homes over a horizon.

    distance : shape (homes, homes), electrical or any other, symmetric; for "distance" and "nearest"
    preference : shape (homes, homes) [currency/kWh] >= 0, row n what n would rather not pay to trade with the column
    links : pairs of homes that may trade, such as a feeder's; None = any two
    """

    homes: Households
    distance: FloatArray | None = None
    preference: FloatArray | None = None
    links: Sequence[Sequence[int]] | None = None

    @classmethod
    def of_agents(
        cls, agents: Sequence[tuple[float, float, float, float]], links: Sequence[tuple[int, int, float]] | None = None
    ) -> Neighbourhood:
        """An island of agents with cost a/2·p² + b·p, p_min <= p <= p_max, generation positive, in one slot.

        agents : (a, b, p_min, p_max) each; links : (one, other, preference of both ends), none = everyone with everyone

        >>> Neighbourhood.of_agents([(1, 2, 0, 10), (1, 8, -5, 0)], [(0, 1, 0.5)]).preference.tolist()
        [[0.0, 0.5], [0.5, 0.0]]
        """
        a, b, p_min, p_max = np.array(agents, dtype=float).reshape(-1, 4).T
        homes = Households.of(np.zeros((len(a), 1)), a=a, b=b, p_min=p_min, p_max=p_max)
        if links is None:
            return cls(homes)
        preference = np.zeros((len(a), len(a)))
        for one, other, gamma in links:
            preference[one, other] = preference[other, one] = gamma
        return cls(homes, preference=preference, links=[(one, other) for one, other, _ in links])

    def findings(self, hours: float) -> list[Finding]:
        """What is wrong, naming row and field; empty when nothing is."""
        found = self.homes.findings(hours) or unlivable(self.homes, hours)
        count = self.homes.shape[0]
        for name, matrix in (("distance", self.distance), ("preference", self.preference)):
            if matrix is None:
                continue
            if matrix.shape != (count, count):
                found.append(Finding(name, f"has the shape {matrix.shape}, not {(count, count)}"))
            elif len(bad := np.argwhere(~(np.isfinite(matrix) & (matrix >= 0)))):
                found.append(Finding(f"{name}[{bad[0, 0]}][{bad[0, 1]}]", "is not a number from 0 on"))
        for row, pair in enumerate(self.links or ()):
            if len(pair) != 2 or not all(0 <= end < count for end in pair) or pair[0] == pair[1]:
                found.append(Finding(f"links[{row}]", f"does not name two of the {count} homes"))
        return found


class BilateralParameters(Parameters):
    """Parameters of `bilateral`.

    preference : "none", "surplus", "distance" or "matrix"; not given = the matrix if there is one, else none
    surplus : reading of "surplus": the product of both over the largest, or how well they match
    gamma_max : [currency/kWh]; not given = a quarter of the slot's retail less feed-in price
    graph : "full", "nearest" (with `neighbours` each) or "links"; not given = the links if there are any, else full
    roles : "forecast" = a home with a surplus in a slot only sells, any other only buys; "free" = as it pays
    gap : stop when the certified gap is this part of the cost at most; iterations : give up after as many
    adaptive : let the penalty follow the residuals
    compiled : use numba (extra `fast`)
    """

    preference: Literal["none", "surplus", "distance", "matrix"] | None = None
    surplus: Surplus = "product"
    gamma_max: Money | None = None
    graph: Literal["full", "nearest", "links"] | None = None
    neighbours: int = Field(default=20, ge=1)
    roles: Literal["forecast", "free"] = "forecast"
    gap: Millionths = 1000
    iterations: int = Field(default=10_000, ge=1)
    adaptive: bool = True
    compiled: bool = False

    def findings(self, given: Neighbourhood) -> list[Finding]:
        """What the neighbourhood lacks for these parameters."""
        found = []
        preference, graph = self._chosen(given)
        if given.distance is None and (preference == "distance" or graph == "nearest"):
            found.append(Finding("distance", "is needed for this preference or graph"))
        if given.preference is None and preference == "matrix":
            found.append(Finding("preference", 'is needed for preference = "matrix"'))
        if given.links is None and graph == "links":
            found.append(Finding("links", 'are needed for graph = "links"'))
        if self.gamma_max is None and preference in {"surplus", "distance"} and not self._spread(given.homes).any():
            found.append(Finding("gamma_max", "is needed where there is no utility's price"))
        return found

    def routes(self, given: Neighbourhood) -> Routes:
        """Who may trade with whom in each slot."""
        preference, chosen = self._chosen(given)
        homes, slots = given.homes, given.homes.shape[1]
        if chosen == "links":
            graph = Graph.links(given.links or ())
        elif chosen == "nearest" and given.distance is not None:
            graph = Graph.nearest(given.distance, self.neighbours)
        else:
            graph = Graph.full(homes.shape[0])
        one, other = graph.first, graph.second
        fixed = self.gamma_max is not None
        most = np.full(slots, (self.gamma_max or 0) / MICRO) if fixed else self._spread(homes) / 4
        if preference == "matrix" and given.preference is not None:
            gamma = [(given.preference[one, other], given.preference[other, one])] * slots
        elif preference == "distance" and given.distance is not None:
            far = distance_preference(given.distance, 1.0)
            gamma = [(far[one, other] * top, far[other, one] * top) for top in most]
        elif preference == "surplus":
            surplus = surplus_of(homes)
            each = [surplus_preference(surplus[:, t], one, other, float(most[t]), self.surplus) for t in range(slots)]
            gamma = [(same, same) for same in each]
        else:
            gamma = [(np.zeros(len(one)), np.zeros(len(one)))] * slots
        return routes(homes, graph, gamma, free=self.roles == "free")

    def _chosen(self, given: Neighbourhood) -> tuple[str, str]:
        preference = self.preference or ("none" if given.preference is None else "matrix")
        return preference, self.graph or ("full" if given.links is None else "links")

    @staticmethod
    def _spread(homes: Households) -> FloatArray:
        """Smallest retail less feed-in price of each slot, shape (slots,); zero without a utility."""
        known = np.isfinite(homes.retail) & np.isfinite(homes.feed_in)
        apart = np.where(known, homes.retail, np.inf) - np.where(known, homes.feed_in, 0.0)
        least = apart.min(axis=0, initial=np.inf)
        return np.where(np.isfinite(least), least, 0.0)
