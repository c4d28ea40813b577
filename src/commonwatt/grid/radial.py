"""The feeder that `schedule` takes, from a network: the tree of its lines, and which node each bus is."""

from __future__ import annotations

import numpy as np

from commonwatt.grid import Network
from commonwatt.grid.feeder import Feeder
from commonwatt.units import IntArray


def feeder_of(network: Network, *, low: float = 0.95, high: float = 1.05) -> tuple[Feeder, IntArray]:
    """A radial network, its transformer as the first line, and the node of each bus, shape (buses,).

    Node 0 is the bus that the utility holds; its voltage is what the transformer's ratio makes of it on the low-voltage
    side. Capacitance and no-load losses are left out. The transformer's limit is its rated current.
    Raises MarketError when the network has a loop.
    """
    t, lines, root = network.transformer, network.lines, network.slack
    node = np.arange(len(network.buses))
    # The utility's bus and bus 0 change places.
    node[[0, root]] = node[[root, 0]]
    ends, columns, source = [lines.from_bus, lines.to_bus], [lines.r_ohm, lines.x_ohm, lines.max_a], network.slack_pu
    kv = float(network.kv[root])
    if t is not None:
        kv = float(network.kv[t.lv_bus])
        source *= float(network.kv[t.hv_bus]) / (t.hv_kv * (1 + t.tap_percent / 100)) * t.lv_kv / kv
        ohm = t.lv_kv**2 * 1e3 / t.kva / 100
        reactance = float(np.sqrt(t.vk_percent**2 - t.vkr_percent**2)) * ohm
        series = (t.vkr_percent * ohm, reactance, t.kva / (np.sqrt(3.0) * t.lv_kv))
        ends = [np.append(end, bus) for end, bus in zip(ends, (t.hv_bus, t.lv_bus), strict=True)]
        columns = [np.append(column, value) for column, value in zip(columns, series, strict=True)]
    r_ohm, x_ohm, max_a = columns
    lines_between = node[np.column_stack(ends)]
    feeder = Feeder.of(
        lines_between, r_ohm, x_ohm, kv=kv, base_kva=100.0, low=low, high=high, source=source, max_a=max_a
    )
    return feeder, node
