"""Can the wires carry a schedule? And if feed-in is what they cannot carry, how much of it can stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from commonwatt.errors import DataError, Finding
from commonwatt.grid.flow import Flow, power_flow
from commonwatt.grid.network import Network
from commonwatt.units import FloatArray, IntArray

NOISE = 1e-6
"""Differences below this are the solver's, not the schedule's [pu, 1]."""


@dataclass(frozen=True)
class Limits:
    """What the wires and the homes behind them are made for.

    v_min, v_max : voltage at every bus [pu]
    loading : of each line's current and of the transformer's power, against its rating [1]

    The defaults are EN 50160:2010, 4.2.2.2 (+-10 % of the nominal voltage, there for 95 % of the 10-minute means
    of a week; here for every slot) and the continuous ratings.
    """

    v_min: float = 0.9
    v_max: float = 1.1
    loading: float = 1.0


EN_50160 = Limits()


@dataclass(frozen=True, eq=False)
class GridCheck:
    """The worst of each slot; every array has shape (slots,). NaN and index -1 where there is no solution.

    v_low, v_high : lowest and highest voltage [pu]; v_low_bus, v_high_bus : their bus indices
    line_loading : highest loading [1], zero without lines; line : its line index, -1 without lines
    transformer_loading : [1]
    losses_kw : [kW]
    ok : solved, and everything within `limits`
    """

    limits: Limits
    v_low: FloatArray
    v_low_bus: IntArray
    v_high: FloatArray
    v_high_bus: IntArray
    line_loading: FloatArray
    line: IntArray
    transformer_loading: FloatArray
    losses_kw: FloatArray
    ok: NDArray[np.bool_]

    def findings(self, network: Network) -> tuple[Finding, ...]:
        """The worst violations of each slot that is not ok, as sentences."""
        return tuple(
            Finding(f"slot {slot}", text)
            for slot in np.flatnonzero(~self.ok)
            for text in self._violations(network, int(slot))
        )

    def _violations(self, network: Network, slot: int) -> Iterator[str]:
        limits, low, high = self.limits, self.v_low[slot], self.v_high[slot]
        if np.isnan(low):
            yield "no solution: the voltage would collapse"
        if low < limits.v_min:
            bus = network.buses[self.v_low_bus[slot]]
            yield f"{low:.4f} pu at bus '{bus}', at least {limits.v_min:g} needed"
        if high > limits.v_max:
            bus = network.buses[self.v_high_bus[slot]]
            yield f"{high:.4f} pu at bus '{bus}', at most {limits.v_max:g} allowed"
        if self.line_loading[slot] > limits.loading:
            yield f"line {self.line[slot]} loaded to {self.line_loading[slot]:.1%}"
        if self.transformer_loading[slot] > limits.loading:
            yield f"transformer loaded to {self.transformer_loading[slot]:.1%}"


@dataclass(frozen=True, eq=False)
class Curtailment:
    """How much export can stay.

    scale : fraction of each home's export that is allowed, shape (slots,) in [0, 1]; 1 = nobody is touched
    p_kw : power at each bus after that, shape (buses, slots) [kW], positive = consumption
    before, after : the check without and with it; where `after` is not ok, no curtailment helps: the imports, or
        the voltage that the utility holds, are the cause
    """

    scale: FloatArray
    p_kw: FloatArray
    before: GridCheck
    after: GridCheck


def check_grid(
    network: Network, p_kw: FloatArray, limits: Limits = EN_50160, *, q_kvar: FloatArray | None = None
) -> GridCheck:
    """Power flow of every slot against `limits`.

    p_kw, q_kvar : power at each bus, shape (buses, slots) [kW, kvar], positive = consumption

    Raises as `power_flow`.
    """
    return _judge(power_flow(network, p_kw, q_kvar), limits)


def curtail(
    network: Network,
    p_kw: FloatArray,
    limits: Limits = EN_50160,
    *,
    export_kw: FloatArray | None = None,
    q_kvar: FloatArray | None = None,
    tolerance: float = 1e-3,
) -> Curtailment:
    """Allow as much export as the wires carry: in each slot one fraction, the same for every home.

    p_kw, q_kvar : power at each bus, shape (buses, slots) [kW, kvar], positive = consumption
    export_kw : the part of `p_kw` that may be curtailed, same shape [kW], >= 0; None = net feed-in of each bus,
        which is right when no bus has both an exporting and an importing home
    tolerance : of the fraction

    A scale s makes the power p + (1 - s) export. It is acceptable when everything is within `limits` or, where
    the imports alone (s = 0) already break a limit, no worse than they do: what they cause is reported in
    `after`, not repaired. s is 1 where that is acceptable, else found by bisection between s = 0, which always
    is, and s = 1, for all such slots in one batch. The result is an acceptable s, and s + `tolerance` is not.
    (Voltages and currents are nearly linear in s, so the acceptable s form one interval and s is the largest.)
    A slot whose imports alone have no solution is left at 1. Reactive power stays as it is.

    Why uniform: one published number per slot, which everyone can check and which treats neighbours alike.
    A home at the end of the feeder, where voltage rises most, would otherwise pay for its address. The price is
    that more energy is lost than needed: homes on a healthy feeder are curtailed along, and an optimal power
    flow, or one fraction for each feeder, would keep their export.

    Raises as `power_flow`; DataError when an export is negative or not finite.
    """
    p = np.asarray(p_kw, dtype=np.float64)
    export = np.maximum(-p, 0.0) if export_kw is None else np.asarray(export_kw, dtype=np.float64)
    if export.shape != p.shape:
        raise ValueError(f"power has shape {p.shape}, export {export.shape}")
    if not 0 < tolerance < 1:
        raise ValueError(f"a tolerance lies between 0 and 1, not {tolerance}")
    before = check_grid(network, p, limits, q_kvar=q_kvar)
    if not np.all((export >= 0) & np.isfinite(export)):
        raise DataError("An export is negative or not finite.")
    tried = np.flatnonzero(~before.ok)
    if not len(tried):
        return Curtailment(np.ones(p.shape[1]), p, before, before)

    def flow(fraction: FloatArray) -> Flow:
        power = p[:, tried] + (1 - fraction) * export[:, tried]
        return power_flow(network, power, None if q_kvar is None else q_kvar[:, tried])

    scale = np.ones(p.shape[1])
    scale[tried] = _largest(flow, limits, len(tried), tolerance)
    curtailed = p + (1 - scale) * export
    return Curtailment(scale, curtailed, before, check_grid(network, curtailed, limits, q_kvar=q_kvar))


def _largest(flow: Callable[[FloatArray], Flow], limits: Limits, slots: int, tolerance: float) -> FloatArray:
    """Bisection of `curtail` over all slots at once."""
    imports = flow(np.zeros(slots))
    bounds = _bounds(imports, limits)
    low, high = np.zeros(slots), np.ones(slots)
    low[_within(flow(high), bounds) | ~imports.solved] = 1.0
    for _ in range(ceil(log2(1 / tolerance))):
        middle = (low + high) / 2
        fine = _within(flow(middle), bounds)
        low, high = np.where(fine, middle, low), np.where(fine, high, middle)
    return low


_Bounds = tuple[FloatArray | float, FloatArray | float, FloatArray | float, FloatArray | float]


def _bounds(imports: Flow, limits: Limits) -> _Bounds:
    """Lowest and highest voltage, line and transformer loading: the limit, or what imports alone make of it."""

    def most(value: FloatArray, limit: float) -> FloatArray:
        # Elements that exports do not reach must not differ from themselves.
        return np.where(value > limit, value + NOISE, limit)

    return (
        -most(-imports.voltage, -limits.v_min),
        most(imports.voltage, limits.v_max),
        most(imports.line_loading, limits.loading),
        most(imports.transformer_loading, limits.loading),
    )


def _within(flow: Flow, bounds: _Bounds) -> NDArray[np.bool_]:
    """Shape (slots,); false where there is no solution, since NaN is within nothing."""
    v_min, v_max, line, transformer = bounds
    voltage = np.all((flow.voltage >= v_min) & (flow.voltage <= v_max), axis=0)
    within: NDArray[np.bool_] = voltage & np.all(flow.line_loading <= line, axis=0)
    return within & (flow.transformer_loading <= transformer)


def _judge(flow: Flow, limits: Limits) -> GridCheck:
    v_low, v_low_bus = _worst(-flow.voltage)
    v_high, v_high_bus = _worst(flow.voltage)
    loading, line = _worst(flow.line_loading)
    loading = np.where(flow.solved, loading, np.nan)
    return GridCheck(
        limits=limits,
        v_low=-v_low,
        v_low_bus=v_low_bus,
        v_high=v_high,
        v_high_bus=v_high_bus,
        line_loading=loading,
        line=line,
        transformer_loading=flow.transformer_loading,
        losses_kw=flow.losses_kw,
        ok=_within(flow, (limits.v_min, limits.v_max, limits.loading, limits.loading)),
    )


def _worst(values: FloatArray) -> tuple[FloatArray, IntArray]:
    """Highest of each column and its row; 0 and -1 without rows, NaN and -1 without solution."""
    if not len(values):
        return np.zeros(values.shape[1]), np.full(values.shape[1], -1)
    row = values.argmax(axis=0)
    highest = np.take_along_axis(values, row[None], axis=0)[0]
    return highest, np.where(np.isnan(highest), -1, row)
