"""What `schedule` clears: a feeder, homes at its nodes with their devices, and loads whose time can be chosen."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from commonwatt.devices.households import Households
from commonwatt.devices.operation import unlivable
from commonwatt.errors import Finding
from commonwatt.grid.feeder import Feeder
from commonwatt.units import MAX_ORDER_WH, WH_PER_KWH, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Flexible:
    """At most one shapable and one deferrable load of each home; arrays of shape (homes,) where nothing else is said.

    power, energy : a shapable load takes between 0 and `power` and in all `energy` [kW, kWh]; energy 0 = none
    begin, end : in the slots from `begin` to before `end`
    profile : shape (homes, steps), what a deferrable load takes once it has started [kW]; all zero = none
    earliest : first slot in which it may start; it ends within the horizon
    """

    power: FloatArray
    energy: FloatArray
    begin: IntArray
    end: IntArray
    profile: FloatArray
    earliest: IntArray

    @classmethod
    def of(
        cls,
        homes: int,
        slots: int,
        *,
        power: Any = 0.0,
        energy: Any = 0.0,
        begin: Any = 0,
        end: Any = None,
        profile: Any = 0.0,
        earliest: Any = 0,
    ) -> Flexible:
        """Flexible loads from what is known of them, broadcast; the rest is none, and at any time.

        >>> Flexible.of(2, 24, power=3.0, energy=[6.0, 0.0]).end.tolist()
        [24, 24]
        """
        steps = np.shape(profile)[-1] if np.ndim(profile) else 1

        def column(values: Any, kind: type = float) -> Any:
            return np.ascontiguousarray(np.broadcast_to(np.asarray(values, dtype=kind), (homes,)))

        every = np.ascontiguousarray(np.broadcast_to(np.asarray(profile, dtype=float), (homes, steps)))
        last = slots if end is None else end
        whole = (column(values, int) for values in (begin, last, earliest))
        first, until, start = whole
        return cls(column(power), column(energy), first, until, every, start)

    def take(self, rows: Any) -> Flexible:
        """The loads of these homes."""
        return Flexible(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})

    def window(self, slots: int) -> Any:
        """Whether a shapable load may run, shape (homes, slots)."""
        slot = np.arange(slots)
        return (slot >= self.begin[:, None]) & (slot < self.end[:, None])

    def most(self, slots: int) -> FloatArray:
        """Largest power of the shapable loads, shape (homes, slots) [kW]."""
        return np.where(self.window(slots) & (self.energy > 0)[:, None], self.power[:, None], 0.0)

    def started(self, slots: int) -> FloatArray:
        """What a deferrable load takes after each possible start, shape (homes, starts, slots) [kW]."""
        steps = self.profile.shape[1]
        starts = max(slots - steps + 1, 1)
        lag = np.arange(slots) - np.arange(starts)[:, None]
        taken = self.profile[:, np.clip(lag, 0, steps - 1)] * ((lag >= 0) & (lag < steps))
        return np.ascontiguousarray(taken)

    def allowed(self, slots: int) -> Any:
        """Whether a start is late enough, shape (homes, starts)."""
        return np.arange(max(slots - self.profile.shape[1] + 1, 1)) >= self.earliest[:, None]

    def at_once(self, slots: int, hours: float) -> FloatArray:
        """What they take when each runs as early as it can, shape (homes, slots) [kW]: nobody has planned anything."""
        most = self.most(slots) * hours
        before = np.cumsum(most, axis=1) - most
        shapable = np.clip(self.energy[:, None] - before, 0.0, most) / hours
        start = np.minimum(self.earliest, max(slots - self.profile.shape[1], 0))
        first: FloatArray = self.started(slots)[np.arange(len(start)), start]
        return shapable + first

    def findings(self, slots: int, hours: float) -> list[Finding]:
        """What is wrong, naming row and field; empty when nothing is."""
        most = MAX_ORDER_WH / WH_PER_KWH / hours
        columns = (("power", self.power[:, None]), ("energy", self.energy[:, None]), ("profile", self.profile))
        checks = [
            (name, (np.isfinite(column) & (column >= 0)).all(axis=1), "is not a number from 0 on")
            for name, column in columns
        ]
        checks += [(name, ~(column > most).any(axis=1), f"is beyond {most:g} kW") for name, column in columns[::2]]
        fits = self.most(slots).sum(axis=1) * hours >= self.energy * (1 - 1e-9)
        checks.append(("energy", fits, "is more than the load can take in its time"))
        has = self.profile.any(axis=1)
        starts = self.allowed(slots).any(axis=1) & (self.profile.shape[1] <= slots) & (self.earliest >= 0)
        checks.append(("profile", starts | ~has, "does not end within the horizon"))
        return [
            Finding(f"flexible[{home}].{name}", message)
            for name, good, message in checks
            for home in np.flatnonzero(~good).tolist()
        ]


@dataclass(frozen=True, eq=False)
class Dispatch:
    """Homes on a feeder over a horizon.

    node : node of each home, shape (homes,)
    homes : their retail and feed_in, the same for all, are the utility's prices at node 0; a device is a generator of
        cost a/2·p² + b·p; import_limit and export_limit bound what a home takes and gives
    reactive : shape (homes, slots) [kvar], taken
    """

    feeder: Feeder
    node: IntArray
    homes: Households
    reactive: FloatArray
    flexible: Flexible

    @classmethod
    def of(
        cls, feeder: Feeder, node: Any, homes: Households, reactive: Any = 0.0, flexible: Flexible | None = None
    ) -> Dispatch:
        """The same, with reactive power broadcast and without flexible loads if none are given."""
        taken = np.ascontiguousarray(np.broadcast_to(np.asarray(reactive, dtype=float), homes.shape))
        return cls(feeder, np.asarray(node, dtype=np.int64), homes, taken, flexible or Flexible.of(*homes.shape))

    @property
    def retail(self) -> FloatArray:
        """The utility's price for import, shape (slots,) [currency/kWh]."""
        price: FloatArray = self.homes.retail[0]
        return price

    @property
    def feed_in(self) -> FloatArray:
        """The utility's price for export, shape (slots,) [currency/kWh]."""
        price: FloatArray = self.homes.feed_in[0]
        return price

    def findings(self, hours: float) -> list[Finding]:
        """What is wrong, naming row and field; empty when nothing is."""
        count, slots = self.homes.shape
        found = self.feeder.findings()
        if not count or not slots:
            return [*found, Finding("homes", "there is none, or no slot")]
        for name, column in (("node", self.node), ("flexible", self.flexible.power)):
            if column.shape != (count,):
                found.append(Finding(name, f"has the shape {column.shape}, not {(count,)}"))
        if found:
            return found
        for home in np.flatnonzero((self.node < 0) | (self.node >= self.feeder.nodes)).tolist():
            found.append(Finding(f"node[{home}]", f"is none of the feeder's {self.feeder.nodes} nodes"))
        for home in np.flatnonzero(~np.isfinite(self.reactive).all(axis=1)).tolist():
            found.append(Finding(f"reactive[{home}]", "is not a number"))
        found += self.homes.findings(hours) or unlivable(self.homes, hours)
        for name, price in (("retail", self.homes.retail), ("feed_in", self.homes.feed_in)):
            if not np.isfinite(price).all():
                found.append(Finding(f"homes.{name}", "is not a number: the feeder needs a utility at node 0"))
            elif np.ptp(price, axis=0).any():
                found.append(Finding(f"homes.{name}", "differs between homes: there is one utility, at node 0"))
        return found + self.flexible.findings(slots, hours)
