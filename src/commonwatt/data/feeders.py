"""Test feeders of the literature that come with the package: lines and loads, without homes or profiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from commonwatt.data.catalogue import FOLDER, unknown
from commonwatt.units import FloatArray, IntArray

FEEDERS: Final = {"ieee33": 12.66}
"""Names for `read_feeder` and their nominal voltages [kV]."""


@dataclass(frozen=True, eq=False)
class FeederTable:
    """One radial feeder as published; columns of shape (lines,).

    kv : nominal voltage between phases [kV]
    from_bus, to_bus : ends of each line; bus 0 is where it is fed; r_ohm, x_ohm : of the line [ohm]
    kw, kvar : load at to_bus, positive = consumption [kW, kvar]
    """

    name: str
    kv: float
    from_bus: IntArray
    to_bus: IntArray
    r_ohm: FloatArray
    x_ohm: FloatArray
    kw: FloatArray
    kvar: FloatArray


def read_feeder(name: str) -> FeederTable:
    """The feeder called `name`.

    Raises DataError that lists near names when there is none.

    >>> float(read_feeder("ieee33").kw.sum())
    3715.0
    """
    if name not in FEEDERS:
        raise unknown("feeder", name, FEEDERS)
    table = pl.read_csv(FOLDER / name / "feeder.csv")
    return FeederTable(name, FEEDERS[name], **{column.name: column.to_numpy() for column in table})
