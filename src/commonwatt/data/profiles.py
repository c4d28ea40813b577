"""Reading the packaged series on the slots of any day. Files are read once in a process, and only the columns asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from commonwatt.community.calendar import Slots
from commonwatt.data.catalogue import FOLDER, DataSet, Profile, find_profile
from commonwatt.data.zone import zone_named
from commonwatt.errors import DataError
from commonwatt.units import FloatArray

HOURS_OF_YEAR: Final = 8760

Found = tuple[DataSet, Profile]

_series: dict[tuple[Path, str], FloatArray] = {}


@dataclass(frozen=True)
class Home:
    """A measured home with its installed PV and battery.

    load, pv : names of its profiles
    annual_kwh : measured consumption of the year [kWh]
    pv_kwp : installed PV [kWp]
    battery_kwh, battery_kw : capacity [kWh] and largest power [kW] of the battery
    """

    load: str
    pv: str
    annual_kwh: float
    pv_kwp: float
    battery_kwh: float
    battery_kw: float


def read_profiles(names: Sequence[str], slots: Slots, timezone: str) -> FloatArray:
    """Average of each profile over each slot, shape (len(names), slots.count).

    names : profiles of `catalogue()`, such as "simbench:H0-A", "simbench:PV5", "citylearn:Building_1.pv"
    slots : any resolution; hourly series are spread evenly over finer slots, coarser slots are averaged
    timezone : IANA name of the community's time zone; its clocks select the rows (`commonwatt.data.year`)

    Loads are [kW per kWh of annual consumption], >= 0, positive = consumption: times a member's annual kWh they are
    kW. The year that is divided by is 8 760 h at the mean power of the whole profile year.
    PV is [kW/kWp], >= 0, positive = generation. Price is [USD/kWh], carbon intensity [kg CO2/kWh].

    Raises DataError when a name is unknown, with near ones, or there is no such time zone.
    """
    return _read([find_profile(name) for name in names], slots, timezone)


def read_reactive(names: Sequence[str], slots: Slots, timezone: str) -> FloatArray:
    """Reactive power of SimBench loads, shape (len(names), slots.count) [share of the load's nominal kvar].

    Times the kvar of `GridTables.loads` it is kvar, positive = inductive consumption; it may be negative.

    Raises DataError when a name is unknown or has no reactive profile.
    """
    found = [find_profile(name) for name in names]
    for _, profile in found:
        if not profile.table.reactive:
            raise DataError(f"The profile '{profile.name}' has no reactive power; only SimBench loads have.")
    return _read(found, slots, timezone, reactive=True)


def annual_kwh(names: Sequence[str]) -> FloatArray:
    """Energy of a year of 8 760 h as published, shape (len(names),).

    Measured homes: their consumption [kWh]; `read_profiles` times this is the home as it was measured.
    SimBench loads: [kWh per kW of nominal load], the kW of `GridTables.loads`. PV: [kWh/kWp].

    Raises DataError when a name is unknown or is no load and no PV.
    """
    found = [find_profile(name) for name in names]
    for _, profile in found:
        if profile.kind not in ("load", "pv"):
            raise DataError(f"The profile '{profile.name}' is no energy, so it has no annual kWh.")
    return np.array([_annual(series) for series in _load(found, reactive=False)])


def read_homes() -> tuple[Home, ...]:
    """The measured homes, the 17 of CityLearn."""
    table = pl.read_parquet(FOLDER / "citylearn/homes.parquet")
    measured = annual_kwh(table["load"].to_list())
    return tuple(
        Home(annual_kwh=float(kwh), **row) for row, kwh in zip(table.iter_rows(named=True), measured, strict=True)
    )


def _read(found: Sequence[Found], slots: Slots, timezone: str, *, reactive: bool = False) -> FloatArray:
    zone_named(timezone)
    result = np.empty((len(found), slots.count))
    loaded = _load(found, reactive=reactive)
    calendars = [(data_set.year, profile.table.clock) for data_set, profile in found]
    rows = {calendar: calendar[0].rows_of(slots, timezone, calendar[1]) for calendar in set(calendars)}
    for position, (calendar, series, (_, profile)) in enumerate(zip(calendars, loaded, found, strict=True)):
        scale = _annual(series) if profile.kind == "load" and not reactive else 1.0
        result[position] = series[rows[calendar]].mean(axis=-1) / scale
    return result


def _load(found: Sequence[Found], *, reactive: bool) -> list[FloatArray]:
    """Whole series of each profile as published, shape (rows of its year,); missing ones are read file by file."""
    keys = []
    for data_set, profile in found:
        file = profile.table.reactive if reactive else profile.table.file
        keys.append((data_set.folder / f"{file}.parquet", profile.column))
    missing: dict[Path, list[str]] = {}
    for path, column in dict.fromkeys(keys):
        if (path, column) not in _series:
            missing.setdefault(path, []).append(column)
    for path, columns in missing.items():
        table = pl.read_parquet(path, columns=columns)
        _series.update({(path, column): table[column].to_numpy().astype(np.float64) for column in columns})
    return [_series[key] for key in keys]


def _annual(series: FloatArray) -> float:
    # The hour that the clocks skip is NaN in series on the wall clock.
    return float(np.nanmean(series)) * HOURS_OF_YEAR
