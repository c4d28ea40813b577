"""What a market does to the wires: losses by power flow, and how far traded energy is from its buyer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from commonwatt.community.model import Community
from commonwatt.exchange.wires import wires_of
from commonwatt.grid import electrical_distance
from commonwatt.simulation.result import Result
from commonwatt.units import FloatArray


def losses_kwh(result: Result) -> float | None:
    """Of lines and transformer over all slots, at the metered energy and without reactive power.

    None without wires, and where a slot has no power flow: the voltage collapses.
    """
    check = result.wires
    if check is None or np.isnan(check.losses_kw).any():
        return None
    return float(check.losses_kw.sum()) * result.period.hours


@dataclass(frozen=True)
class Wiring:
    """How far the homes are from each other. distance : shape (homes, homes) [ohm]; homes : by their index"""

    distance: FloatArray
    homes: tuple[str, ...]

    @classmethod
    def of(cls, community: Community) -> Wiring | None:
        """None when the community names no grid."""
        wires = wires_of(community)
        if wires is None:
            return None
        homes = tuple(member.id for member in community.members)
        return cls(electrical_distance(wires.network, wires.at), homes)

    def mean_distance(self, trades: pl.DataFrame) -> float | None:
        """Σ wh·distance / Σ wh of settled trades [ohm]; None when nothing was traded.

        A trade says who pays whom. Current flows as the meters say, however the trades are paired: of two designs with
        the same metered energy, the one with the longer trades does not lose more in the wires.
        """
        wh = trades["settled_wh"].to_numpy()
        if not wh.sum():
            return None
        place = {home: index for index, home in enumerate(self.homes)}
        ends = [trades[end].replace_strict(place, return_dtype=pl.Int64).to_numpy() for end in ("buyer", "seller")]
        return float(np.average(self.distance[ends[0], ends[1]], weights=wh))
