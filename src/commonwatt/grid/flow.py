"""AC power flow of many slots in one batch: what voltages and currents a schedule would cause.

Balanced, steady state, constant power at each bus. Solved by power-grid-model (Newton-Raphson from a flat
start), Y. Xiang et al., DOI 10.5281/zenodo.8054429.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from commonwatt.errors import DataError
from commonwatt.grid.network import Network
from commonwatt.units import FloatArray

if TYPE_CHECKING:
    from power_grid_model import PowerGridModel

STIFF_VA = 1e15
"""Short-circuit power of the source [VA]: 1 MW moves the slack by about 1e-9 pu, so it is a fixed voltage."""
LOAD, SOURCE, TRANSFORMER, LINE = 1_000_000, 2_000_000, 3_000_000, 4_000_000
"""First solver id of each kind; a bus's id is its index."""


@dataclass(frozen=True, eq=False)
class Flow:
    """What the wires do in each slot. A slot without solution is NaN throughout and not `solved`.

    voltage : shape (buses, slots) [pu of the bus's nominal voltage]
    line_loading : current at the more loaded end over the line's limit, shape (lines, slots) [1]
    transformer_loading : apparent power at the more loaded side over the rating, shape (slots,) [1];
        zero without a transformer
    losses_kw : of lines and transformer, its no-load loss included, shape (slots,) [kW]
    solved : shape (slots,); false where Newton's method finds nothing: beyond the collapse of the voltage, or so
        near to it (below about half) that no home would be served either
    """

    voltage: FloatArray
    line_loading: FloatArray
    transformer_loading: FloatArray
    losses_kw: FloatArray
    solved: NDArray[np.bool_]


def power_flow(network: Network, p_kw: FloatArray, q_kvar: FloatArray | None = None) -> Flow:
    """Solve all slots.

    p_kw : power at each bus, shape (buses, slots) [kW], positive = consumption
    q_kvar : reactive power, same shape [kvar], positive = consumption (inductive); None = none

    Raises DataError when a power is not finite, ValueError when a shape does not fit.
    """
    p = _checked(network, p_kw, "active")
    q = np.zeros_like(p) if q_kvar is None else _checked(network, q_kvar, "reactive")
    if p.shape != q.shape:
        raise ValueError(f"active power has shape {p.shape}, reactive power {q.shape}")
    return _solve(_model(network), p, q)


def lagging(p_kw: FloatArray, power_factor: float) -> FloatArray:
    """Reactive power of consumption at a `power_factor` in (0, 1], any shape [kvar]; feed-in has none.

    >>> lagging(np.array([4.0, -4.0]), 0.8).round(9).tolist()
    [3.0, 0.0]
    """
    if not 0 < power_factor <= 1:
        raise ValueError(f"a power factor lies in (0, 1], not {power_factor}")
    reactive: FloatArray = np.maximum(p_kw, 0.0) * np.tan(np.arccos(power_factor))
    return reactive


def _checked(network: Network, power: FloatArray, kind: str) -> FloatArray:
    values = np.asarray(power, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(network.buses):
        raise ValueError(f"{kind} power needs shape ({len(network.buses)} buses, slots), not {values.shape}")
    if not np.isfinite(values).all():
        bus, slot = np.argwhere(~np.isfinite(values))[0]
        raise DataError(f"The {kind} power at bus '{network.buses[bus]}' in slot {slot} is not a finite number.")
    # A nanowatt; power-grid-model 1.12 takes the matrix for singular when a power is near 1e-308.
    return np.where(np.abs(values) < 1e-12, 0.0, values)


def _model(network: Network) -> PowerGridModel:
    from power_grid_model import PowerGridModel

    buses, lines, joined = len(network.buses), network.lines, {"from_status": 1, "to_status": 1}
    tables = {
        "node": _table("node", range(buses), u_rated=network.kv * 1e3),
        "sym_load": _table(
            "sym_load", LOAD + np.arange(buses), node=range(buses), status=1, type=0, p_specified=0, q_specified=0
        ),
        "source": _table("source", [SOURCE], node=network.slack, status=1, u_ref=network.slack_pu, sk=STIFF_VA),
        "line": _table(
            "line",
            LINE + np.arange(len(lines)),
            from_node=lines.from_bus,
            to_node=lines.to_bus,
            **joined,
            r1=lines.r_ohm,
            x1=lines.x_ohm,
            c1=lines.c_nf * 1e-9,
            tan1=0,
            i_n=lines.max_a,
        ),
    }
    if (t := network.transformer) is not None:
        # The vector group only turns all low-voltage angles; the tap moves the turns ratio, not the impedance.
        tables["transformer"] = _table(
            "transformer",
            [TRANSFORMER],
            from_node=t.hv_bus,
            to_node=t.lv_bus,
            **joined,
            u1=t.hv_kv * 1e3 * (1 + t.tap_percent / 100),
            u2=t.lv_kv * 1e3,
            sn=t.kva * 1e3,
            uk=t.vk_percent / 100,
            pk=t.vkr_percent / 100 * t.kva * 1e3,
            i0=max(t.i0_percent / 100, t.iron_kw / t.kva),
            p0=t.iron_kw * 1e3,
            winding_from=1,
            winding_to=1,
            clock=0,
            tap_side=0,
            tap_pos=0,
            tap_min=0,
            tap_max=0,
            tap_size=0,
        )
    return PowerGridModel(tables, system_frequency=50.0)


def _table(kind: str, ids: Iterable[int], **columns: Any) -> NDArray[Any]:
    from power_grid_model import DatasetType, initialize_array

    rows = initialize_array(DatasetType.input, kind, len(list(ids)))
    rows["id"] = ids
    for column, values in columns.items():
        rows[column] = values
    return rows


def _solve(model: PowerGridModel, p: FloatArray, q: FloatArray) -> Flow:
    from power_grid_model import ComponentType, DatasetType, initialize_array

    buses, slots = p.shape
    batch = initialize_array(DatasetType.update, "sym_load", (slots, buses))
    batch["id"], batch["p_specified"], batch["q_specified"] = LOAD + np.arange(buses), p.T * 1e3, q.T * 1e3
    branch = ["loading", "p_from", "p_to"]
    found: Any = model.calculate_power_flow(
        update_data={"sym_load": batch},
        output_component_types={
            ComponentType.node: ["u_pu"],
            ComponentType.line: branch,
            ComponentType.transformer: branch,
        },
        continue_on_batch_error=True,
    )
    solved = np.ones(slots, dtype=bool)
    if model.batch_error is not None:
        solved[model.batch_error.failed_scenarios] = False

    def read(kind: str, column: str) -> FloatArray:
        """Slots × parts. The answer leaves out parts that the grid does not have, and never writes the rows of
        slots that it could not solve: arithmetic must not meet what the memory held before."""
        values = found[kind][column] if kind in found else np.zeros((slots, 0))
        return np.where(solved[:, np.newaxis], values, 0.0)

    def known(values: FloatArray) -> FloatArray:
        return np.where(solved, values, np.nan)

    loss_w = sum(read(kind, end).sum(axis=1) for kind in ("line", "transformer") for end in ("p_from", "p_to"))
    return Flow(
        voltage=known(read("node", "u_pu").T),
        line_loading=known(read("line", "loading").T),
        transformer_loading=known(read("transformer", "loading").max(axis=1, initial=0.0)),
        losses_kw=known(loss_w / 1e3),
        solved=solved,
    )
