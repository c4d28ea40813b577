"""How far apart two homes are for the current: the impedance that a transfer between them meets."""

from __future__ import annotations

import numpy as np

from commonwatt.grid.network import Network
from commonwatt.units import FloatArray, IntArray


def electrical_distance(network: Network, at: IntArray) -> FloatArray:
    """Thévenin distance of each two homes, shape (homes, homes) [ohm], symmetric, zero on the diagonal.

        d_nm = |Z_nn + Z_mm − Z_nm − Z_mn|,    Z the inverse of the bus admittance matrix without the slack

    at : bus index of each home, shape (homes,). In a radial grid it is |Σ z| over the lines between the two. Shunts are
    left out; the transformer counts with its short-circuit impedance on the low-voltage side.
    """
    lines = network.lines
    ends = np.stack([lines.from_bus, lines.to_bus])
    impedance = lines.r_ohm + 1j * lines.x_ohm
    if (t := network.transformer) is not None:
        base = t.lv_kv**2 / (t.kva / 1000) / 100
        reactance = np.sqrt(t.vk_percent**2 - t.vkr_percent**2)
        ends = np.append(ends, [[t.hv_bus], [t.lv_bus]], axis=1)
        impedance = np.append(impedance, base * (t.vkr_percent + 1j * reactance))
    count, admittance = len(network.buses), 1 / impedance
    matrix = np.zeros((count, count), dtype=complex)
    for one, other, sign in ((0, 0, 1), (1, 1, 1), (0, 1, -1), (1, 0, -1)):
        np.add.at(matrix, (ends[one], ends[other]), sign * admittance)
    others = np.flatnonzero(np.arange(count) != network.slack)
    z = np.zeros_like(matrix)
    z[np.ix_(others, others)] = np.linalg.inv(matrix[np.ix_(others, others)])
    own = z.diagonal()
    apart = np.abs(own[:, None] + own[None, :] - (z + z.T))
    np.fill_diagonal(apart, 0.0)
    return np.ascontiguousarray(apart[np.ix_(at, at)])
