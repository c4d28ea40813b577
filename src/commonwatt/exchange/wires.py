"""The grid check of a community on a known network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from commonwatt.community.model import Community
from commonwatt.data import read_grid
from commonwatt.grid import GridCheck, Network, check_grid, curtail
from commonwatt.units import WH_PER_KWH, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class GridWires:
    """A network with the homes at their buses. at : bus index of each home, shape (homes,); hours : of a slot."""

    network: Network
    at: IntArray
    hours: float

    def feed_in_share(self, net: IntArray) -> FloatArray:
        """See `steps.Wires`. What imports alone overload cannot be cured by less feed-in and stays at 1."""
        kw = self._kw(net)
        at_buses = self.network.total(self.at, kw)
        exported = self.network.total(self.at, np.maximum(-kw, 0.0))
        return curtail(self.network, at_buses, export_kw=exported).scale

    def check(self, net: IntArray) -> GridCheck:
        """What this energy does to the wires in every slot. net : at the homes, shape (homes, slots) [Wh]"""
        return check_grid(self.network, self.network.total(self.at, self._kw(net)))

    def _kw(self, net: IntArray) -> FloatArray:
        kw: FloatArray = net / (WH_PER_KWH * self.hours)
        return kw


def wires_of(community: Community) -> GridWires | None:
    """The wires that the community names; None when it names none."""
    if community.grid is None:
        return None
    grid = Network.of(read_grid(community.grid))
    busbar = grid.buses[grid.transformer.lv_bus if grid.transformer else grid.slack]
    return GridWires(grid, grid.at([member.bus or busbar for member in community.members]), community.hours)
