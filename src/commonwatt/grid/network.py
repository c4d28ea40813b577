"""The wires of a community: buses, lines and the transformer that feeds them, as arrays in the order of the file.

The model is balanced: each line is its positive sequence, each power the sum of three phases. Neighbours on
single phases unbalance a real low-voltage feeder, and voltages then spread further than these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commonwatt.errors import ConfigError, Finding
from commonwatt.units import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines or cables as columns, each shape (lines,).

    from_bus, to_bus : bus indices
    r_ohm, x_ohm : series resistance and reactance of the whole line [ohm]
    max_a : largest continuous current [A]
    c_nf : capacitance of the whole line at 50 Hz [nF]
    """

    from_bus: IntArray
    to_bus: IntArray
    r_ohm: FloatArray
    x_ohm: FloatArray
    max_a: FloatArray
    c_nf: FloatArray

    def __len__(self) -> int:
        return len(self.from_bus)


@dataclass(frozen=True)
class Transformer:
    """The transformer between the utility's grid and the community's.

    hv_bus, lv_bus : bus indices
    kva : rated power [kVA]; hv_kv, lv_kv : rated voltages [kV]
    vk_percent, vkr_percent : short-circuit voltage and its resistive part [%]
    iron_kw : no-load loss [kW]; i0_percent : no-load current [%]
    tap_percent : turns added on the high-voltage side by the tap in use [%]; positive lowers the low voltage
    """

    hv_bus: int
    lv_bus: int
    kva: float
    hv_kv: float
    lv_kv: float
    vk_percent: float
    vkr_percent: float
    iron_kw: float = 0.0
    i0_percent: float = 0.0
    tap_percent: float = 0.0


@dataclass(frozen=True, eq=False)
class Network:
    """One connected grid, valid in itself.

    name : for messages
    buses : ids; a bus index is a place in this tuple
    kv : nominal voltage between phases of each bus, shape (buses,) [kV]
    slack : index of the bus that the utility holds at `slack_pu` times its nominal voltage [pu]
    transformer : None when the slack is the low-voltage busbar itself

    Raises ConfigError with every finding: unknown bus, zero impedance, island, values out of range.
    """

    name: str
    buses: tuple[str, ...]
    kv: FloatArray
    lines: Lines
    slack: int
    slack_pu: float = 1.0
    transformer: Transformer | None = None
    _place: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        findings = list(_findings(self))
        if findings:
            raise ConfigError(f"grid {self.name}", findings)
        object.__setattr__(self, "_place", {bus: place for place, bus in enumerate(self.buses)})

    @classmethod
    def of(cls, tables: Any) -> Network:
        """The network of one grid as `commonwatt.data.read_grid` gives it, or of anything with the same attributes.

        tables : has `name`; `buses` with name, kv; `lines` and `transformer` with the fields of the classes
            above, but for the tap: `tap` steps of `tap_percent` on `tap_side` ("hv" or "lv"), and with
            `transformer.source_pu`. Any, not a protocol of thirty properties: rooms do not know each other, and
            a test holds these two together.

        Raises as the class.
        """
        lines, t = tables.lines, tables.transformer
        tap = t.tap * t.tap_percent
        on_lv = t.tap_side == "lv"
        return cls(
            name=tables.name,
            buses=tuple(tables.buses.name),
            kv=tables.buses.kv,
            lines=Lines(lines.from_bus, lines.to_bus, lines.r_ohm, lines.x_ohm, lines.max_a, lines.c_nf),
            slack=t.hv_bus,
            slack_pu=t.source_pu,
            transformer=Transformer(
                hv_bus=t.hv_bus,
                lv_bus=t.lv_bus,
                kva=t.kva,
                hv_kv=t.hv_kv,
                lv_kv=t.lv_kv * (1 + tap / 100) if on_lv else t.lv_kv,
                vk_percent=t.vk_percent,
                vkr_percent=t.vkr_percent,
                iron_kw=t.iron_kw,
                i0_percent=t.i0_percent,
                tap_percent=0.0 if on_lv else tap,
            ),
        )

    def at(self, buses: Sequence[str]) -> IntArray:
        """Bus index of each home, shape (homes,), from the id of its bus.

        Raises ConfigError with a finding for each id that is no bus.
        """
        unknown = [
            Finding(f"home {home}", f"'{bus}' is no bus of the grid")
            for home, bus in enumerate(buses)
            if bus not in self._place
        ]
        if unknown:
            raise ConfigError(f"grid {self.name}", unknown)
        return np.array([self._place[bus] for bus in buses], dtype=np.int64)

    def total(self, at: IntArray, power: FloatArray) -> FloatArray:
        """Sum of the homes at each bus, shape (buses, slots), of `power`, shape (homes, slots) [any unit].

        at : bus index of each home, shape (homes,)
        """
        total = np.zeros((len(self.buses), power.shape[1]))
        np.add.at(total, at, power)
        return total


def _findings(network: Network) -> Iterator[Finding]:
    """Levels and islands last: they can only be looked for in what is sound by itself."""
    parts = [*_bus_findings(network), *_line_findings(network), *_transformer_findings(network)]
    yield from parts
    if not parts:
        yield from _level_findings(network)
        yield from _islands(network)


def _bus_findings(network: Network) -> Iterator[Finding]:
    count = len(network.buses)
    if network.kv.shape != (count,):
        yield Finding("buses", f"{count} buses need {count} nominal voltages, not shape {network.kv.shape}")
    elif not np.all((network.kv > 0) & np.isfinite(network.kv)):
        yield Finding("buses", "a nominal voltage is not a positive number")
    if len(set(network.buses)) != count:
        twice = sorted({bus for bus in network.buses if network.buses.count(bus) > 1})
        yield Finding("buses", f"{_names(twice)} is given more than once")
    if not 0 <= network.slack < count:
        yield Finding("slack", f"{network.slack} is no bus index: there are {count} buses")
    if not 0.5 < network.slack_pu < 1.5:
        yield Finding("slack_pu", f"{network.slack_pu:g} pu is no operating voltage: expected about 1")


def _line_findings(network: Network) -> Iterator[Finding]:
    lines, count = network.lines, len(network.buses)
    columns = (lines.from_bus, lines.to_bus, lines.r_ohm, lines.x_ohm, lines.max_a, lines.c_nf)
    if len({column.shape for column in columns}) != 1 or lines.from_bus.ndim != 1:
        yield Finding("lines", "the columns differ in length")
        return
    ends = np.stack([lines.from_bus, lines.to_bus])
    yield from _each("line", np.any((ends < 0) | (ends >= count), axis=0), f"an end is not in the {count} buses")
    yield from _each("line", lines.from_bus == lines.to_bus, "both ends are the same bus")
    r, x = lines.r_ohm, lines.x_ohm
    finite = np.isfinite(r) & np.isfinite(x) & np.isfinite(lines.c_nf)
    yield from _each("line", ~finite, "an impedance or capacitance is not a number")
    yield from _each("line", (r == 0) & (x == 0), "impedance is zero; give both ends as one bus")
    yield from _each("line", (r < 0) | (lines.c_nf < 0), "resistance or capacitance is negative")
    yield from _each("line", ~(lines.max_a > 0), "the largest current must be a positive number")


def _transformer_findings(network: Network) -> Iterator[Finding]:
    t, count = network.transformer, len(network.buses)
    if t is None:
        return
    if not (0 <= t.hv_bus < count and 0 <= t.lv_bus < count) or t.hv_bus == t.lv_bus:
        yield Finding("transformer", f"{t.hv_bus} and {t.lv_bus} are not two of the {count} buses")
    if not min(t.kva, t.hv_kv, t.lv_kv) > 0:
        yield Finding("transformer", "rated power and voltages must be positive")
    if not 0 < t.vk_percent < 100 or not 0 <= t.vkr_percent <= t.vk_percent:
        yield Finding("transformer", "needs 0 < vk_percent < 100 and 0 <= vkr_percent <= vk_percent")
    if not (t.iron_kw >= 0 and t.i0_percent >= 0 and abs(t.tap_percent) < 50):
        yield Finding("transformer", "needs iron_kw >= 0, i0_percent >= 0 and tap_percent within 50")


def _level_findings(network: Network) -> Iterator[Finding]:
    """Lines join equal nominal voltages; a transformer is rated for its buses (which also finds V given as kV)."""
    kv, lines, t = network.kv, network.lines, network.transformer
    apart = ~np.isclose(kv[lines.from_bus], kv[lines.to_bus])
    yield from _each("line", apart, "the ends have different nominal voltages")
    if t is not None and not np.allclose([t.hv_kv, t.lv_kv], kv[[t.hv_bus, t.lv_bus]], rtol=0.2):
        yield Finding("transformer", "a rated voltage is more than 20 % off its bus")


def _islands(network: Network) -> Iterator[Finding]:
    """Buses without a path to the slack."""
    ends = np.stack([network.lines.from_bus, network.lines.to_bus])
    if network.transformer is not None:
        ends = np.append(ends, [[network.transformer.hv_bus], [network.transformer.lv_bus]], axis=1)
    reached = np.zeros(len(network.buses), dtype=bool)
    reached[network.slack] = True
    while np.any(grows := reached[ends[0]] != reached[ends[1]]):
        reached[ends[:, grows]] = True
    if not reached.all():
        cut = [network.buses[bus] for bus in np.flatnonzero(~reached)]
        yield Finding("buses", f"no path to the slack from {_names(cut)}")


def _each(kind: str, wrong: NDArray[np.bool_], message: str) -> Iterator[Finding]:
    return (Finding(f"{kind} {place}", message) for place in np.flatnonzero(wrong))


def _names(buses: Iterable[str]) -> str:
    shown = list(buses)
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    return ", ".join(f"'{bus}'" for bus in shown[:5]) + more
