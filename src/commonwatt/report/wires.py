"""What the metered energy did to the community's wires: the worst of the period, in words, and a table by slot.

The gate checks the plan and holds back feed-in that the wires cannot carry; what imports overload is not cured by that.
Afterwards it is the metered energy that counts, so the whole period is checked once more, in one batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from commonwatt.grid import Network
from commonwatt.plain import many
from commonwatt.units import FloatArray, IntArray

if TYPE_CHECKING:
    from commonwatt.simulation.result import Result


@dataclass(frozen=True)
class Strain:
    """The worst of one kind over the period.

    kind : "line", "transformer", "lowest voltage" or "highest voltage"; element : which one
    value, limit : loading [1] or voltage [pu]
    slot : start of the worst slot [unix s]; slots : number of slots beyond the limit
    """

    kind: str
    element: str
    value: float
    limit: float
    slot: int
    slots: int

    @property
    def words(self) -> str:
        """Value and element, such as "transformer loaded to 110.2 %"."""
        if "voltage" in self.kind:
            return f"{self.kind} {self.value:.3f} pu at {self.element}"
        return f"{self.element} loaded to {100 * self.value:.1f} %"


def strains(result: Result) -> tuple[Strain, ...]:
    """The worst line, transformer and voltages of the slots that have a power flow; empty where no wires are known."""
    check, wires = result.wires, result.rules.wires
    if check is None or wires is None or np.isnan(check.v_low).all():
        return ()
    network, limits, starts = wires.network, check.limits, result.period.starts

    def worst(kind: str, values: FloatArray, which: IntArray | None, limit: float, sign: int = 1) -> Strain:
        at = int(np.nanargmax(sign * values))
        element = "transformer" if which is None else _name(network, kind, int(which[at]))
        return Strain(
            kind, element, float(values[at]), limit, int(starts[at]), int((sign * (values - limit) > 0).sum())
        )

    found = [worst("line", check.line_loading, check.line, limits.loading)] if len(network.lines) else []
    found += [worst("transformer", check.transformer_loading, None, limits.loading)] if network.transformer else []
    found.append(worst("lowest voltage", check.v_low, check.v_low_bus, limits.v_min, -1))
    return (*found, worst("highest voltage", check.v_high, check.v_high_bus, limits.v_max))


def _name(network: Network, kind: str, index: int) -> str:
    if kind != "line":
        return f"bus {network.buses[index]}"
    ends = (network.buses[end[index]] for end in (network.lines.from_bus, network.lines.to_bus))
    return f"line {index} ({' to '.join(ends)})"


def overloads(result: Result) -> Iterator[str]:
    """A sentence for each kind of limit that was broken, and for the slots that have no power flow at all."""
    check = result.wires
    if check is None:
        return
    unsolved = np.flatnonzero(np.isnan(check.v_low))
    if len(unsolved):
        first = _clock(result, int(unsolved[0]))
        slots = many(len(unsolved), "slot")
        yield f"The wires: no power flow exists in {slots}, first {first}; the voltage would collapse."
    for strain in strains(result):
        if strain.slots:
            place = (strain.slot - result.period.start) // result.period.seconds
            allowed = f"{strain.limit:g} pu" if "voltage" in strain.kind else f"{100 * strain.limit:g} %"
            slots = many(strain.slots, "slot")
            yield f"The wires: {strain.words} {_clock(result, place)}; beyond {allowed} in {slots}."


def _clock(result: Result, place: int) -> str:
    return f"at {result.slots['local'][place]:%H:%M on %d %B}"


def wires_table(result: Result) -> pl.DataFrame | None:
    """One row per slot: slot, local, the worst voltages [pu], loadings [1] and where, losses, ok; None without wires.

    A slot without a power flow has no values and is not ok.
    """
    check, wires = result.wires, result.rules.wires
    if check is None or wires is None:
        return None
    columns = {
        "v_low_pu": check.v_low,
        "v_high_pu": check.v_high,
        "line_loading": check.line_loading,
        "transformer_loading": check.transformer_loading,
        "losses_kwh": check.losses_kw * result.period.hours,
    }
    places = {"v_low_bus": check.v_low_bus, "v_high_bus": check.v_high_bus}
    buses = dict(enumerate(wires.network.buses))
    return result.slots.select("slot", "local").with_columns(
        **{name: pl.Series(values).fill_nan(None) for name, values in columns.items()},
        **{name: pl.Series(list(map(buses.get, at.tolist())), dtype=pl.String) for name, at in places.items()},
        line=pl.Series([line if line >= 0 else None for line in check.line.tolist()], dtype=pl.Int64),
        ok=pl.Series(check.ok),
    )
