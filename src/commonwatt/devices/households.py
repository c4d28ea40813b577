"""What each home can do and what it pays, over a horizon of slots: the input of `bilateral`.

A home balances in every slot

    pv − curt − load + dis − ch + p + imp − exp = sold to neighbours − bought from them          [kW]

with a battery s' = s + Δt·(η_c·ch − dis/η_d) within its bounds and as full at the end as at the start, a flexible
device p (positive = it feeds the home) of cost a/2·p² + b·p, and the utility at `retail` and `feed_in`.
An agent of the literature (cost curve, p_min, p_max, nothing else) is a home with a device only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from commonwatt.errors import Finding
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, MICRO, WH_PER_KWH, FloatArray

UNLIMITED = 1e4
"""What no connection of a home reaches [kW]; stands for a limit that is not given."""


@dataclass(frozen=True)
class Households:
    """Homes × slots. Powers are means over a slot; kW floats are for the solver only.

    load, pv : shape (homes, slots) [kW] >= 0; pv is what is available
    retail, feed_in : shape (homes, slots) [currency/kWh]; inf and -inf = no utility (an island)
    import_limit, export_limit : shape (homes,) [kW]; inf = none
    curtail : shape (homes,), whether PV can be held back
    capacity, low, high, start : shape (homes,) [kWh]; capacity 0 = no battery
    power : shape (homes,) [kW], charge and discharge at the terminals
    charging, discharging : shape (homes,), efficiencies in (0, 1]
    wear : shape (homes,) [currency/kWh], of each kWh charged or discharged
    a, b, p_min, p_max : shape (homes,) [currency/kWh per kW, currency/kWh, kW, kW], the device; positive feeds the home
    """

    load: FloatArray
    pv: FloatArray
    retail: FloatArray
    feed_in: FloatArray
    import_limit: FloatArray
    export_limit: FloatArray
    curtail: FloatArray
    capacity: FloatArray
    low: FloatArray
    high: FloatArray
    start: FloatArray
    power: FloatArray
    charging: FloatArray
    discharging: FloatArray
    wear: FloatArray
    a: FloatArray
    b: FloatArray
    p_min: FloatArray
    p_max: FloatArray

    @classmethod
    def of(cls, load: Any, **given: Any) -> Households:
        """Homes from whatever is known of them; the rest is none, unlimited or an island. Values are broadcast.

        `low`, `high` and `start` default to an empty, a full and a half-full battery.

        >>> homes = Households.of([[1.0, 0.5], [0.2, 0.2]], pv=[[0.0], [2.0]], retail=0.3, feed_in=0.08)
        >>> homes.load.shape, homes.pv.tolist()
        ((2, 2), [[0.0, 0.0], [2.0, 2.0]])
        """
        shape = np.broadcast_shapes(np.shape(load), np.shape(given.get("pv", 0.0)), np.shape(given.get("retail", 0.0)))
        values = {**_DEFAULTS, "load": load, **given}
        values["high"] = values["capacity"] if values["high"] is None else values["high"]
        values["start"] = 0.5 * np.add(values["low"], values["high"]) if values["start"] is None else values["start"]
        unknown = sorted(set(values) - {column.name for column in fields(cls)})
        if unknown:
            raise TypeError(f"a home has no {', '.join(unknown)}")
        return cls(**{name: _column(value, shape, name in _PER_SLOT) for name, value in values.items()})

    @property
    def shape(self) -> tuple[int, int]:
        """(homes, slots)."""
        return self.load.shape[0], self.load.shape[1]

    def take(self, rows: Any) -> Households:
        """The homes of these rows."""
        return Households(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})

    @property
    def most_import(self) -> FloatArray:
        """Import limit, shape (homes, slots) [kW]; zero without a utility."""
        return np.where(np.isfinite(self.retail), np.minimum(self.import_limit, UNLIMITED)[:, None], 0.0)

    @property
    def most_export(self) -> FloatArray:
        """Export limit, shape (homes, slots) [kW]; zero without a utility."""
        return np.where(np.isfinite(self.feed_in), np.minimum(self.export_limit, UNLIMITED)[:, None], 0.0)

    @property
    def dearest(self) -> FloatArray:
        """The largest price that the home itself knows, without sign, shape (homes,) [currency/kWh]."""
        retail = np.where(np.isfinite(self.retail), np.abs(self.retail), 0.0).max(axis=1, initial=0.0)
        known: FloatArray = np.maximum.reduce(
            [retail, *(np.abs(self.b + self.a * p) for p in (self.p_min, self.p_max))]
        )
        return known

    def findings(self, hours: float) -> list[Finding]:
        """What is wrong with these homes, naming row and field; empty when nothing is."""
        found: list[Finding] = []

        def note(field: str, bad: Any, message: str) -> None:
            bad = np.asarray(bad)
            for home in np.unique(np.argwhere(bad)[:, 0]).tolist():
                at = f"[{int(np.argmax(bad[home]))}]" if bad.ndim == 2 else ""
                found.append(Finding(f"homes[{home}].{field}{at}", message))

        for column in fields(self):
            note(column.name, np.isnan(getattr(self, column.name)), "is not a number")
        if found:
            return found
        most = MAX_ORDER_WH / WH_PER_KWH / hours
        for name in ("load", "pv", "import_limit", "export_limit", "capacity", "low", "power", "wear", "a"):
            note(name, getattr(self, name) < 0, "is negative")
        for name in ("load", "pv", "power", "p_min", "p_max"):
            note(name, np.abs(getattr(self, name)) > most, f"is beyond {most:g} kW")
        for name in ("retail", "feed_in"):
            price = getattr(self, name)
            note(name, np.isfinite(price) & (np.abs(price) > MAX_PRICE / MICRO), "is beyond the largest price")
        note("feed_in", self.feed_in > self.retail, "is above retail: importing to export would earn without end")
        for name in ("charging", "discharging"):
            note(name, (getattr(self, name) <= 0) | (getattr(self, name) > 1), "is not in (0, 1]")
        note("high", self.high > self.capacity, "is above the capacity")
        note("low", self.low > self.high, "is above high")
        note("start", (self.start < self.low) | (self.start > self.high), "is not between low and high")
        note("p_min", self.p_min > self.p_max, "is above p_max")
        return found


_PER_SLOT = ("load", "pv", "retail", "feed_in")
_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("pv", "capacity", "low", "power", "wear", "a", "b", "p_min", "p_max"), 0.0),
    **dict.fromkeys(("retail", "import_limit", "export_limit"), np.inf),
    **dict.fromkeys(("charging", "discharging", "curtail"), 1.0),
    "feed_in": -np.inf,
    "high": None,
    "start": None,
}


def _column(value: Any, shape: tuple[int, ...], per_slot: bool) -> FloatArray:
    wanted = shape if per_slot else shape[:1]
    return np.ascontiguousarray(np.broadcast_to(np.asarray(value, dtype=float), wanted))
