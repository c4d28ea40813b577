"""Feeders for `schedule` from the packaged grids: the tree that a mechanism takes, and which node each bus is."""

from __future__ import annotations

import numpy as np

from commonwatt.data import GridTables
from commonwatt.data.feeders import FEEDERS, read_feeder
from commonwatt.data.grids import read_grid
from commonwatt.market.feeder import Feeder
from commonwatt.units import IntArray


def feeder_named(name: str, *, low: float = 0.95, high: float = 1.05) -> tuple[Feeder, IntArray]:
    """The feeder "ieee33", or that of a grid such as "simbench:semiurb4", and the node of each bus, shape (buses,).

    low, high : limits of the voltage [pu]
    Raises DataError when there is none of that name.
    """
    if name not in FEEDERS:
        return feeder_of(read_grid(name), low=low, high=high)
    table = read_feeder(name)
    lines = np.column_stack([table.from_bus, table.to_bus])
    feeder = Feeder.of(lines, table.r_ohm, table.x_ohm, kv=table.kv, low=low, high=high)
    return feeder, np.arange(feeder.nodes)


def feeder_of(grid: GridTables, *, low: float = 0.95, high: float = 1.05) -> tuple[Feeder, IntArray]:
    """A radial low-voltage grid with its transformer as the first line, and the node of each bus, shape (buses,).

    Node 0 is the medium-voltage bus; its voltage is what the source and the transformer's ratio and tap make of it on
    the low-voltage side. Capacitance and no-load losses are left out. The transformer's limit is its rated current.
    """
    t, lines, kv = grid.transformer, grid.lines, float(grid.buses.kv[grid.transformer.lv_bus])
    buses = len(grid.buses.name)
    node = np.arange(buses)
    # The medium-voltage bus and bus 0 change places.
    node[[0, t.hv_bus]] = node[[t.hv_bus, 0]]
    tap = 1 + t.tap * t.tap_percent / 100
    ratio = t.lv_kv / t.hv_kv * (tap if t.tap_side == "lv" else 1 / tap)
    ohm = t.lv_kv**2 * 1e3 / t.kva / 100
    reactance = float(np.sqrt(t.vk_percent**2 - t.vkr_percent**2)) * ohm
    ends = np.column_stack([np.append(lines.from_bus, t.hv_bus), np.append(lines.to_bus, t.lv_bus)])
    feeder = Feeder.of(
        node[ends],
        np.append(lines.r_ohm, t.vkr_percent * ohm),
        np.append(lines.x_ohm, reactance),
        kv=kv,
        base_kva=100.0,
        low=low,
        high=high,
        source=t.source_pu * float(grid.buses.kv[t.hv_bus]) * ratio / kv,
        max_a=np.append(lines.max_a, t.kva / (np.sqrt(3.0) * t.lv_kv)),
    )
    return feeder, node
