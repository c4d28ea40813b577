"""The user's own measurements: a CSV or Parquet file, checked and brought onto the slots. Nothing is ever filled in.

    timestamp,home1 [kWh],home2_kw
    2026-03-01T00:00,0.12,0.4
    2026-03-01T00:15,0.10,0.3

* Times, intervals and separators are those of every `commonwatt.data.timefile`; energy is preserved when it is spread
  or summed over the slots.
* Every column beside the times is one meter: kW (average of the interval) or kWh (in the interval), said by the end
  of its name (`[kW]`, `[kWh]`, `_kw`, `_kwh`) or by the argument `unit`. All values are >= 0, load and generation have
  a column each, and at most 1 000 000 kW.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from commonwatt.community.calendar import Slots
from commonwatt.data.timefile import TimeFile
from commonwatt.errors import DataError
from commonwatt.units import FloatArray

Unit = Literal["kW", "kWh"]

UNIT_ENDING: Final = re.compile(r"(?:\s*\[(kwh?)\]|_(kwh?))$", re.IGNORECASE)
MOST_KW: Final = 1_000_000
"""Highest power that a meter can have counted [kW]."""


@dataclass(frozen=True)
class MeterFile:
    """What was read from a meter file.

    columns : names of the meters, without the unit
    kw : average power of each slot, shape (columns, slots) [kW], >= 0
    """

    columns: tuple[str, ...]
    kw: FloatArray


def read_meter_file(path: str | Path, slots: Slots, timezone: str, *, unit: Unit | None = None) -> MeterFile:
    """The meters of the file `path` on `slots`.

    timezone : IANA name of the community's time zone, for times without a zone and for messages
    unit : of the columns whose name does not say it

    Only rows that overlap `slots` are checked for values. Raises DataError, one sentence that names the file, the
    column and the first place in local time, when: the file is missing or no CSV or Parquet file; a unit is not known;
    a time cannot be read, is skipped by the clocks, occurs twice or goes backwards; the interval is not constant; a
    value is not a number, negative or above `MOST_KW`; a slot is not covered by values.
    """
    file = TimeFile.read(path, timezone, "a column per meter")
    meters = _meters(file.path, file.columns, unit)
    kw = np.empty((len(meters), slots.count))
    for position, (column, (_, is_kwh)) in enumerate(zip(file.columns, meters, strict=True)):
        kw_per_unit = 3600 / file.step if is_kwh else 1
        kw[position] = kw_per_unit * file.on_slots(
            column,
            slots,
            MOST_KW / kw_per_unit,
            "is negative; load and generation need a column each, both positive",
            f"is more than {MOST_KW} kW",
        )
    return MeterFile(tuple(name for name, _ in meters), kw)


def _meters(path: Path, columns: list[str], unit: Unit | None) -> list[tuple[str, bool]]:
    """Name of each column without its unit, and whether it counts kWh."""
    if unit not in (None, "kW", "kWh"):
        raise DataError(f"The unit of a meter file is kW or kWh, not '{unit}'.")
    meters = []
    for column in columns:
        column = re.sub(r"_duplicated_\d+$", "", column)  # what polars adds to a name that occurs again
        ending = UNIT_ENDING.search(column)
        said = (ending[1] or ending[2]) if ending else unit
        if said is None:
            raise DataError(
                f"{path}: column '{column}' does not say whether it is kW or kWh; rename it '{column}_kwh' or "
                f"'{column}_kw', or give the unit of the file."
            )
        meters.append((column[: ending.start()] if ending else column, said.lower() == "kwh"))
    for name, count in Counter(name for name, _ in meters).items():
        if count > 1:
            raise DataError(f"{path}: the meter '{name}' has {count} columns; each needs a name of its own.")
    return meters
