"""The community's allocation beside the grid company's own, register by register and slot by slot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from commonwatt.billing.metered import Metered
from commonwatt.community.model import Community
from commonwatt.data.reports.report import MWH_PER_WH, BoolArray
from commonwatt.data.times import local
from commonwatt.errors import DataError
from commonwatt.units import IntArray

_ROUNDED: Final = 1
"""What a grid company's figure of six decimals may be off [mWh]."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Arrays have the shape (registers, slots).

    official : what the grid company says was shared [mWh]; there : whether it says anything
    ours : what the community shared [Wh]
    """

    metered: Metered
    official: IntArray
    there: BoolArray
    ours: IntArray

    @property
    def difference(self) -> IntArray:
        """Ours less the grid company's [mWh]; 0 where it says nothing."""
        return np.where(self.there, self.ours * MWH_PER_WH - self.official, 0)


@dataclass(frozen=True)
class Agreement:
    """A register's month.

    official, ours : shared energy of the slots in which the grid company says something [mWh]
    largest : difference of a slot by magnitude [mWh]; apart : in how many slots they are a Wh or more apart
    """

    member: str
    register: str
    official: int
    ours: int
    largest: int
    apart: int


def compared(metered: Metered, shared: IntArray) -> Comparison:
    """shared : by each register [Wh], shape (registers, slots); of no register where members trade on net

    Then nothing is compared: the grid company allocates to registers.
    """
    official, there = metered.official()
    if not len(shared):
        shared, there = np.zeros_like(official), np.zeros_like(there)
    return Comparison(metered, official, there, shared)


def by_register(community: Community, comparison: Comparison) -> list[Agreement]:
    """Of each register that the grid company says something of."""
    registers, difference = comparison.metered.registers, comparison.difference
    return [
        Agreement(
            community.members[int(registers.owner[place])].id,
            name,
            int(comparison.official[place].sum()),
            int(comparison.ours[place][comparison.there[place]].sum()) * MWH_PER_WH,
            int(np.abs(difference[place]).max()),
            int((np.abs(difference[place]) >= MWH_PER_WH).sum()),
        )
        for place, name in enumerate(registers.names)
        if comparison.there[place].any()
    ]


def require_sums(community: Community, metered: Metered) -> None:
    """What the grid company allocates adds up: members took what members gave, and nobody more than it counted.

    Raises DataError, which names the file and the time, where it does not.
    """
    official, there = metered.official()
    registers, zone = metered.registers, metered.report.zone
    draws = np.arange(len(registers)) < registers.importing
    counted = np.concatenate(
        [
            metered.report.energy["import"].mwh[metered.places[draws]],
            metered.report.energy["export"].mwh[metered.places[~draws]],
        ]
    )
    above = (official > counted + _ROUNDED) | (official < -_ROUNDED)
    if above.any():
        place, slot = (int(at) for at in np.argwhere(above)[0])
        code, what = ("G.03", "took in all") if place < registers.importing else ("P.01", "fed in")
        raise DataError(
            f"{_files(metered)}: {code} of {registers.names[place]} ({_owner(community, metered, place)}) at "
            f"{local(int(metered.slots.starts[slot]), zone)} does not fit what it {what}, "
            f"{counted[place, slot] / 1e6:.6f} kWh; ask the grid company, nothing is billed."
        )
    whole = (there | ~metered.present).all(axis=0)
    taken, given = official[draws].sum(axis=0), official[~draws].sum(axis=0)
    apart = np.where(whole, taken - given, 0)
    wrong = np.flatnonzero(np.abs(apart) > _ROUNDED * len(registers))
    if len(wrong):
        slot = int(wrong[0])
        raise DataError(
            f"{_files(metered)}: at {local(int(metered.slots.starts[slot]), zone)} the members' shares (G.03) add up "
            f"to {taken[slot] / 1e6:.6f} kWh, but {given[slot] / 1e6:.6f} kWh were given (less P.01), and in "
            f"{len(wrong)} slots in all they do not agree; ask the grid company, nothing is billed."
        )


def rows(community: Community, comparison: Comparison) -> Iterator[tuple[object, ...]]:
    """Every slot of a register in which the two are half a Wh or more apart.

    Member, register, local time, the grid company's figure, ours and the difference [kWh].
    """
    starts, zone = comparison.metered.slots.starts, comparison.metered.report.zone
    difference = comparison.difference
    for place, slot in np.argwhere(np.abs(difference) >= MWH_PER_WH // 2).tolist():
        yield (
            _owner(community, comparison.metered, place),
            comparison.metered.registers.names[place],
            local(int(starts[slot]), zone),
            f"{comparison.official[place, slot] / 1e6:.6f}",
            f"{comparison.ours[place, slot] / 1e3:.3f}",
            f"{difference[place, slot] / 1e6:.6f}",
        )


def _owner(community: Community, metered: Metered, place: int) -> str:
    return community.members[int(metered.registers.owner[place])].id


def _files(metered: Metered) -> str:
    return ", ".join(sorted({str(file.path) for file in metered.report.files}))
