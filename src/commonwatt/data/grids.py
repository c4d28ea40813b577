"""Low-voltage grids that come with the package: the six of SimBench, scenario 1, switches closed or removed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import polars as pl

from commonwatt.data.catalogue import FOLDER, unknown
from commonwatt.units import FloatArray, IntArray

SET: Final = "simbench"


@dataclass(frozen=True)
class Buses:
    """Shape (buses,): `name`, nominal line-to-line voltage `kv` [kV]. Elsewhere a bus is its position here."""

    name: tuple[str, ...]
    kv: FloatArray


@dataclass(frozen=True)
class Lines:
    """Shape (lines,): ends, length [km], series resistance and reactance [ohm], capacitance [nF], limit [A]."""

    from_bus: IntArray
    to_bus: IntArray
    km: FloatArray
    r_ohm: FloatArray
    x_ohm: FloatArray
    c_nf: FloatArray
    max_a: FloatArray


@dataclass(frozen=True)
class Transformer:
    """The transformer that feeds the grid.

    hv_bus, lv_bus : its ends; the medium-voltage bus is the source
    kva : rated power [kVA];  hv_kv, lv_kv : rated voltages [kV]
    vk_percent, vkr_percent : short-circuit voltage and its real part [% of lv_kv]
    iron_kw : no-load losses [kW];  i0_percent : no-load current [%]
    tap, tap_percent, tap_side : steps from neutral, voltage of a step [%], "hv" or "lv"
    source_pu : voltage at the source [per unit of hv_kv]
    """

    hv_bus: int
    lv_bus: int
    kva: float
    hv_kv: float
    lv_kv: float
    vk_percent: float
    vkr_percent: float
    iron_kw: float
    i0_percent: float
    tap: float
    tap_percent: float
    tap_side: str
    source_pu: float


@dataclass(frozen=True)
class Loads:
    """Shape (loads,): bus, name of its profile, nominal power `kw` [kW] and `kvar` [kvar], positive = consumption.

    Its annual consumption is kw times `annual_kwh` of the profile.
    """

    bus: IntArray
    profile: tuple[str, ...]
    kw: FloatArray
    kvar: FloatArray


@dataclass(frozen=True)
class PV:
    """Shape (plants,): bus, name of its profile, nominal power `kw` [kWp], positive = generation."""

    bus: IntArray
    profile: tuple[str, ...]
    kw: FloatArray


@dataclass(frozen=True)
class Storage:
    """Shape (batteries,): bus, largest power `kw` [kW], capacity `kwh` [kWh]."""

    bus: IntArray
    kw: FloatArray
    kwh: FloatArray


@dataclass(frozen=True)
class GridTables:
    """One grid as published; shapes and units stand at each table."""

    name: str
    buses: Buses
    lines: Lines
    transformer: Transformer
    loads: Loads
    pv: PV
    storage: Storage


@cache
def grid_names() -> tuple[str, ...]:
    """Names for `read_grid` in the order of the source: "simbench:rural1" to "simbench:urban6"."""
    return tuple(f"{SET}:{grid}" for grid in _table("buses")["grid"].unique(maintain_order=True))


def read_grid(name: str) -> GridTables:
    """The grid called `name`, such as "simbench:rural2".

    Raises DataError that lists near names when there is none.

    >>> len(read_grid("simbench:rural1").lines.km)
    13
    """
    if name not in grid_names():
        raise unknown("grid", name, grid_names())
    grid = name.partition(":")[2]
    parts = {table: _table(table).filter(pl.col("grid") == grid).drop("grid") for table in TABLES}
    return GridTables(
        name=name,
        buses=Buses(**_columns(parts["buses"])),
        lines=Lines(**_columns(parts["lines"])),
        transformer=Transformer(**parts["transformer"].row(0, named=True)),
        loads=Loads(**_columns(parts["loads"])),
        pv=PV(**_columns(parts["pv"])),
        storage=Storage(**_columns(parts["storage"])),
    )


TABLES: Final = ("buses", "lines", "transformer", "loads", "pv", "storage")


def _table(name: str) -> pl.DataFrame:
    return pl.read_parquet(FOLDER / SET / f"grid_{name}.parquet")


def _columns(table: pl.DataFrame) -> dict[str, Any]:
    """Text as tuples, numbers as arrays."""
    return {column.name: tuple(column) if column.dtype == pl.String else column.to_numpy() for column in table}
