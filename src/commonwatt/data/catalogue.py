"""What data come with the package: their names, kinds, clocks, licences."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final, Literal

import polars as pl

from commonwatt.data.year import Clock, ProfileYear
from commonwatt.errors import DataError

Kind = Literal["load", "pv", "price", "carbon"]

FOLDER: Final = Path(__file__).parent

UNITS: Final[dict[Kind, str]] = {
    "load": "kW per kWh of annual consumption",
    "pv": "kW/kWp",
    "price": "USD/kWh",
    "carbon": "kg CO2/kWh",
}


@dataclass(frozen=True)
class Table:
    """One Parquet file of a data set: a column per profile, a row per interval of the profile year.

    `reactive` is the file of the reactive profiles with the same names, "" where there are none.
    """

    file: str
    kind: Kind
    clock: Clock
    reactive: str = ""


@dataclass(frozen=True)
class Profile:
    """One series that `read_profiles` can read: its full name, its kind and its place."""

    name: str
    kind: Kind
    table: Table

    @property
    def unit(self) -> str:
        """Unit of the values that `read_profiles` gives."""
        return UNITS[self.kind]

    @property
    def column(self) -> str:
        """Name within its file."""
        return self.name.partition(":")[2]


@dataclass(frozen=True)
class DataSet:
    """A published data set, as far as it is packaged here.

    name : what stands before the colon in a profile's name
    what : one sentence on what the series are and where they come from
    caveat : one sentence on what not to conclude from them
    licence, source : of the data, not of this program
    year : calendar of the series, and with it their resolution [s] and period
    profiles : everything that `read_profiles` can read
    """

    name: str
    what: str
    caveat: str
    licence: str
    source: str
    year: ProfileYear
    profiles: tuple[Profile, ...]

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return FOLDER / self.name


@cache
def catalogue() -> tuple[DataSet, ...]:
    """The packaged data sets; opens the headers of their files only."""
    return _simbench(), _citylearn()


def find_profile(name: str) -> tuple[DataSet, Profile]:
    """The profile called `name`, such as "simbench:H0-A", and its data set.

    Raises DataError that lists near names when there is none.
    """
    known = _by_name()
    if name in known:
        return known[name]
    raise unknown("profile", name, known)


def unknown(thing: str, name: str, known: Collection[str]) -> DataError:
    """The error for a name that is not among `known`: it lists up to three near ones."""
    tails = {each.partition(":")[2]: each for each in known}
    near = [tails[tail] for tail in get_close_matches(name.rpartition(":")[2], tails, n=3)] or sorted(known)[:3]
    return DataError(f"There is no {thing} '{name}'; the nearest are {', '.join(near)}.")


@cache
def _by_name() -> dict[str, tuple[DataSet, Profile]]:
    return {profile.name: (data_set, profile) for data_set in catalogue() for profile in data_set.profiles}


def _profiles(data_set: str, tables: tuple[Table, ...]) -> tuple[Profile, ...]:
    return tuple(
        Profile(f"{data_set}:{column}", table.kind, table)
        for table in tables
        for column in pl.read_parquet_schema(FOLDER / data_set / f"{table.file}.parquet")
    )


def _simbench() -> DataSet:
    tables = (
        Table("load", "load", "wall", reactive="load_reactive"),
        Table("heat_pump", "load", "standard", reactive="heat_pump"),
        Table("pv", "pv", "standard"),
    )
    return DataSet(
        name="simbench",
        what="German low-voltage customers (H0 homes, G business, L farms, HLS and APLS car charging, Air and "
        "Soil heat pumps) and PV of 2016, and six low-voltage grids.",
        caveat="There are only six different homes, and PV yields 575 to 697 kWh/kWp, less than most German roofs.",
        licence="ODbL 1.0",
        source="Meinecke et al., SimBench, Energies 13 (2020) 3290, DOI 10.3390/en13123290",
        # 27 March has no hour from 02:00, 30 October has it twice.
        year=ProfileYear(date(2016, 1, 1), 366, 900, incomplete=frozenset({date(2016, 3, 27), date(2016, 10, 30)})),
        profiles=_profiles("simbench", tables),
    )


def _citylearn() -> DataSet:
    tables = (Table("load", "load", "wall"), Table("pv", "pv", "standard"))
    signals = Table("signal", "price", "wall"), Table("signal", "carbon", "wall")
    return DataSet(
        name="citylearn",
        what="17 single-family homes with PV in Fontana, California, August 2016 to July 2017, with a "
        "time-of-use price and the carbon intensity of the grid.",
        caveat="Building_12 and Building_15 read next to nothing at night, and Building_14.pv and Building_15.pv "
        "yield far too little; place and year are not in the files but concluded.",
        licence="MIT",
        source="CityLearn 2.1.2, citylearn_challenge_2022_phase_all",
        # Days of the American change of clocks: the source gives them 24 hours like any other.
        year=ProfileYear(date(2016, 8, 1), 365, 3600, incomplete=frozenset({date(2016, 11, 6), date(2017, 3, 12)})),
        profiles=_profiles("citylearn", tables)
        + tuple(Profile(f"citylearn:{table.kind}", table.kind, table) for table in signals),
    )
