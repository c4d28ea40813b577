"""What was read of metering points: energy on the slots, how each value was obtained, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from commonwatt.community.calendar import Slots
from commonwatt.units import IntArray

Quantity = Literal["import", "export", "G.02", "G.03", "P.01"]
"""What a column counts.

import, export : the registers of a metering point, both >= 0
G.02, G.03 : of a consuming point, what the community offered it, and what it took of that
P.01 : of a generating point, what the community did not take
"""
REGISTERS: Final[tuple[Quantity, ...]] = ("import", "export")
OFFICIAL: Final[tuple[Quantity, ...]] = ("G.02", "G.03", "P.01")
QUANTITIES: Final = REGISTERS + OFFICIAL
MWH_PER_WH: Final = 1_000

BoolArray = NDArray[np.bool_]
QualityArray = NDArray[np.int8]


class Quality(IntEnum):
    """How a value was obtained; the higher, the further from the meter."""

    NONE = 0
    """There is no value."""
    UNSTATED = 1
    """The file does not say."""
    MEASURED = 2
    SUBSTITUTED = 3
    """Replaced by the grid company, for good."""
    ESTIMATED = 4
    """Replaced by the grid company, for the time being."""
    FILLED = 5
    """Replaced by `commonwatt data fill`."""


@dataclass(frozen=True, eq=False)
class Energy:
    """One quantity of all points.

    mwh : shape (points, slots) [mWh, millionths of a kWh], >= 0; 0 where there is none
    wh : the same [Wh]; the running sum of each file is rounded, so that no slot is off by a Wh, and no sum of a file's
        values by more than half of one
    there : shape (points, slots), whether there is a value
    quality : shape (points, slots), of `Quality`
    known : shape (points,), whether any file has this quantity of the point
    """

    mwh: IntArray
    wh: IntArray
    there: BoolArray
    quality: QualityArray
    known: BoolArray


@dataclass(frozen=True)
class Gap:
    """Slots without a value that follow each other.

    start, end : [unix s]; slots : how many
    """

    point: str
    quantity: Quantity
    start: int
    end: int
    slots: int


@dataclass(frozen=True)
class ColumnRead:
    """A column that was understood.

    header : as it stands in the file; letter : what a spreadsheet calls it
    register : it shows all energy since the meter began to count
    values : how many of the slots have one; quality : how many of each kind
    """

    header: str
    letter: str
    point: str
    quantity: Quantity
    unit: str
    register: bool
    values: int
    quality: tuple[tuple[Quality, int], ...]


@dataclass(frozen=True)
class FileRead:
    """A file, or a sheet of one, as it was understood.

    kind : "Austrian report" or "portal export"
    header_rows : numbers of the rows above the values
    left_out : columns and rows that were not, each with the reason
    step : length of its intervals [s]
    labels : what the time of a row says
    zoned : whether times name their zone
    rows : of values; start, end : what they cover, also outside the slots [unix s]
    """

    path: Path
    sheet: str
    kind: str
    header_rows: tuple[int, ...]
    columns: tuple[ColumnRead, ...]
    left_out: tuple[str, ...]
    step: int
    labels: str
    zoned: bool
    rows: int
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Report:
    """What files say of metering points on `slots`. Nothing is filled in.

    points : their ids, in the order in which files name them
    energy : each of `QUANTITIES`
    files : how each was understood
    findings : what a person should know before it is billed, a sentence each
    """

    slots: Slots
    zone: ZoneInfo
    points: tuple[str, ...]
    energy: Mapping[Quantity, Energy]
    files: tuple[FileRead, ...]
    findings: tuple[str, ...]

    @property
    def imported(self) -> Energy:
        """What each point took from the grid."""
        return self.energy["import"]

    @property
    def exported(self) -> Energy:
        """What each point fed into the grid."""
        return self.energy["export"]

    @property
    def official(self) -> dict[Quantity, Energy]:
        """What the grid company allocated: `OFFICIAL`."""
        return {quantity: self.energy[quantity] for quantity in OFFICIAL}

    def gaps(self) -> tuple[Gap, ...]:
        """Where a quantity that some file has of a point lacks values, of all points and quantities."""
        found = []
        for place, point in enumerate(self.points):
            for quantity, energy in self.energy.items():
                if energy.known[place]:
                    found += [
                        Gap(
                            point,
                            quantity,
                            int(self.slots.starts[first]),
                            self.slots.start + last * self.slots.seconds,
                            last - first,
                        )
                        for first, last in runs(~energy.there[place])
                    ]
        return tuple(found)


def runs(marked: BoolArray) -> list[tuple[int, int]]:
    """First and one after the last of each run of marked ones.

    >>> runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]
