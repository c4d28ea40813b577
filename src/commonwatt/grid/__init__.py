"""Wires: what a schedule does to voltages, lines and the transformer, and how much export they carry.

Network.of(read_grid("simbench:rural2"))   the grid; `at` and `total` bring homes to their buses
power_flow(network, p_kw)                  voltages, loadings and losses of all slots
check_grid(network, p_kw)                  the same against `Limits`: worst bus and line of each slot
curtail(network, p_kw)                     the largest common fraction of export that is feasible
electrical_distance(network, at)           impedance between each two homes
"""

from commonwatt.grid.check import EN_50160, Curtailment, GridCheck, Limits, check_grid, curtail
from commonwatt.grid.distance import electrical_distance
from commonwatt.grid.flow import Flow, lagging, power_flow
from commonwatt.grid.network import Lines, Network, Transformer

__all__ = [
    "EN_50160",
    "Curtailment",
    "Flow",
    "GridCheck",
    "Limits",
    "Lines",
    "Network",
    "Transformer",
    "check_grid",
    "curtail",
    "electrical_distance",
    "lagging",
    "power_flow",
]
