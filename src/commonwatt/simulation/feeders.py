"""Packaged feeders and grids, as `schedule` takes them."""

from __future__ import annotations

import numpy as np

from commonwatt.data.feeders import FEEDERS, read_feeder
from commonwatt.data.grids import read_grid
from commonwatt.grid import Network
from commonwatt.grid.feeder import Feeder
from commonwatt.grid.radial import feeder_of
from commonwatt.units import IntArray


def feeder_named(name: str, *, low: float = 0.95, high: float = 1.05) -> tuple[Feeder, IntArray]:
    """The feeder "ieee33", or that of a grid such as "simbench:semiurb4", and the node of each bus, shape (buses,).

    low, high : limits of the voltage [pu]
    Raises DataError when there is none of that name.
    """
    if name not in FEEDERS:
        return feeder_of(Network.of(read_grid(name)), low=low, high=high)
    table = read_feeder(name)
    lines = np.column_stack([table.from_bus, table.to_bus])
    feeder = Feeder.of(lines, table.r_ohm, table.x_ohm, kv=table.kv, low=low, high=high)
    return feeder, np.arange(feeder.nodes)
