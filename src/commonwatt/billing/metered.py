"""What the files say of the community's registers in a month, and whether that is enough to bill it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final

import numpy as np

from commonwatt.accounts.registers import Registers
from commonwatt.billing.month import Month
from commonwatt.community.calendar import Slots, local_clock, local_days
from commonwatt.community.model import Community
from commonwatt.data.reports import Energy, Gap, Quality, Quantity, Report, gap_lines
from commonwatt.data.reports.report import MWH_PER_WH, BoolArray, QualityArray, runs
from commonwatt.data.times import local
from commonwatt.errors import DataError
from commonwatt.units import IntArray

_MOST: Final = 20
"""Of many findings of one kind, how many are told."""


@dataclass(frozen=True, eq=False)
class Metered:
    """A month's readings, by the registers of a community. Arrays have the shape (registers, slots).

    slots : of the month; present : whether the register's owner is a member in the slot
    report : what the files say
    places : of each register's point in the report, shape (registers,)
    """

    slots: Slots
    registers: Registers
    present: BoolArray
    report: Report
    places: IntArray

    @cached_property
    def counted(self) -> IntArray:
        """Energy of each register [Wh] >= 0; 0 where its owner is no member.

        Where files are finer, each value is less than a Wh off, and so is each slot's sum of a side; rounding is
        carried on within a local day, so that a day that is sent again changes no other.
        """
        if not (self.fine % MWH_PER_WH).any():
            return self.fine // MWH_PER_WH
        days = local_clock(self.slots, self.report.zone.key).astype("datetime64[D]")
        split, begins = self.registers.importing, np.flatnonzero(np.diff(days.astype(np.int64), prepend=-1))
        whole = np.zeros_like(self.fine)
        for first, last in zip(begins, [*begins[1:], self.slots.count], strict=True):
            for side in (slice(None, split), slice(split, None)):
                whole[side, first:last] = whole_wh(self.fine[side, first:last])
        return whole

    @cached_property
    def fine(self) -> IntArray:
        """As `counted`, as the files have it [mWh]."""
        return np.where(self.present, self._of_registers("import", "export", "mwh"), 0)

    @cached_property
    def quality(self) -> QualityArray:
        """How each value was obtained, of `Quality`; NONE where its owner is no member."""
        found: QualityArray = np.where(self.present, self._of_registers("import", "export", "quality"), Quality.NONE)
        return found

    def official(self) -> tuple[IntArray, BoolArray]:
        """What the grid company allocated to each register [mWh], G.03, or all that was fed in less P.01; and where."""
        draws = np.arange(len(self.registers)) < self.registers.importing
        there = self._of_registers("G.03", "P.01", "there").astype(np.bool_) & self.present
        given = self._of_registers("G.03", "P.01", "mwh")
        counted = self._of_registers("import", "export", "mwh")
        return np.where(there, np.where(draws[:, None], given, counted - given), 0), there

    def _of_registers(self, drawing: Quantity, feeding: Quantity, column: str) -> IntArray:
        """A column of the report's energy: of one quantity for registers of import, of another for those of export."""
        drawn, fed = (getattr(self.report.energy[quantity], column) for quantity in (drawing, feeding))
        split = self.registers.importing
        found: IntArray = np.concatenate([drawn[self.places[:split]], fed[self.places[split:]]])
        return found


def slots_of(community: Community, month: Month) -> Slots:
    """The slots of a month, which begin and end at local midnight."""
    return local_days(month.first, month.days, community.timezone, community.slot_seconds)


def metered(community: Community, month: Month, report: Report) -> Metered:
    """The readings of all registers.

    Raises DataError, with everything that is wrong, when a register has no column, a value is missing while its owner
    is a member, or a file counts a metering point that nobody has.
    """
    slots, registers = report.slots, Registers.of(community.members)
    wrong = [*_unknown(community, registers, report), *_without_column(community, registers, report)]
    if wrong:
        raise DataError(_together(wrong))
    # Whoever is no member this month has no column, and is not looked at.
    place = {name: at for at, name in enumerate(report.points)}
    places = np.array([place.get(name, 0) for name in registers.names], dtype=np.int64)
    found = Metered(slots, registers, _present(community, registers, slots), report, places)
    if gaps := list(_gaps(found)):
        head, *rows = gap_lines(gaps, report.zone)
        raise DataError(
            f"The files lack readings of {month}, so nothing is billed. {head} {'; '.join(map(str.strip, rows))}. Ask "
            "the grid company for them, or let commonwatt data fill write a file in which they are filled, and marked."
        )
    if not found.present.any():
        raise DataError(f"Nobody is a member in {month}.")
    return found


def notes(community: Community, found: Metered) -> Iterator[str]:
    """What a person should know of readings that can be billed, a sentence each."""
    zone, registers, report = found.report.zone, found.registers, found.report
    yield from report.findings
    for place, name in enumerate(registers.names):
        if name not in report.points:
            continue
        energy = report.energy["import" if place < registers.importing else "export"]
        others = found.present[[at for at, other in enumerate(registers.names) if other == name]].any(axis=0)
        outside = energy.there[found.places[place]] & ~others & (energy.mwh[found.places[place]] > 0)
        for first, last in runs(outside)[:1]:
            begin, end = (local(int(found.slots.starts[at]), zone) for at in (first, last - 1))
            owner = community.members[int(registers.owner[place])].id
            yield (
                f"{name} counted energy in {int(outside.sum())} slots, {begin} to {end} first, while {owner} is no "
                "member; it is left out."
            )
    for quality, word in ((Quality.ESTIMATED, "estimated for the time being"), (Quality.FILLED, "filled in")):
        if count := int((found.quality == quality).sum()):
            yield f"{count} values are {word}; the bills say so."


def _present(community: Community, registers: Registers, slots: Slots) -> BoolArray:
    """Whether each register's owner is a member, slot by slot."""
    days = local_clock(slots, community.timezone).astype("datetime64[D]").astype(object)
    every = sorted(set(days))
    on = {day: [member.on(day) for member in community.members] for day in every if isinstance(day, date)}
    by_day = np.array([on[day] for day in every], dtype=np.bool_)
    index = np.searchsorted(np.array(every, dtype="datetime64[D]"), days.astype("datetime64[D]"))
    present: BoolArray = by_day[index].T[registers.owner]
    return present


def _unknown(community: Community, registers: Registers, report: Report) -> Iterator[str]:
    """Points that files count and nobody has; a column without a value in the month counts nothing."""
    known = set(registers.names)
    for file in report.files:
        for column in file.columns:
            if column.values and column.point not in known:
                sheet = f", sheet '{file.sheet}'" if file.sheet else ""
                yield (
                    f"{file.path}{sheet}: column {column.letter} counts metering point {column.point}, which no member "
                    f"of {community.name} has; add it to the points of its member, or leave it out."
                )
                known.add(column.point)


def _without_column(community: Community, registers: Registers, report: Report) -> Iterator[str]:
    """Registers of members that no file counts."""
    for place, name in enumerate(registers.names):
        quantity: Quantity = "import" if place < registers.importing else "export"
        owner = community.members[int(registers.owner[place])]
        if not owner.within(_day(report, 0), _day(report, -1)):
            continue
        at = report.points.index(name) if name in report.points else None
        if at is None or not report.energy[quantity].known[at]:
            yield f"No file has the {quantity} register of {name}, a point of {owner.id}."


def _day(report: Report, place: int) -> date:
    found = local_clock(report.slots, report.zone.key)[place].astype("datetime64[D]").astype(object)
    assert isinstance(found, date)  # noqa: S101
    return found


def _gaps(found: Metered) -> Iterator[Gap]:
    """Where a value is missing of a register whose owner is a member."""
    slots = found.slots
    for place, name in enumerate(found.registers.names):
        quantity: Quantity = "import" if place < found.registers.importing else "export"
        energy: Energy = found.report.energy[quantity]
        missing = found.present[place] & ~energy.there[found.places[place]]
        for first, last in runs(missing):
            end = slots.start + last * slots.seconds
            yield Gap(name, quantity, int(slots.starts[first]), end, last - first)


def _together(wrong: list[str]) -> str:
    shown = wrong[:_MOST]
    more = f" And {len(wrong) - len(shown)} more of this kind." if len(wrong) > len(shown) else ""
    return " ".join(shown) + more


def whole_wh(fine: IntArray) -> IntArray:
    """Whole Wh of a side's registers, both shape (registers, slots), fine in mWh; rounding is carried on.

    Each is its energy rounded down or up, so many of a slot up that the running sum of the side is rounded.

    >>> whole_wh(np.array([[400, 400], [400, 400]])).tolist()
    [[1, 0], [0, 1]]
    """
    sums = (np.cumsum(fine.sum(axis=0)) + MWH_PER_WH // 2) // MWH_PER_WH
    down, rest = np.divmod(fine, MWH_PER_WH)
    kept, up = np.zeros(len(fine), dtype=np.int64), np.zeros_like(fine)
    for slot, total in enumerate(np.diff(sums, prepend=0).tolist()):
        claims = kept + rest[:, slot]
        some = int(min(max(total - int(down[:, slot].sum()), 0), int((rest[:, slot] > 0).sum())))
        first = np.argsort(np.where(rest[:, slot] > 0, -claims, np.iinfo(np.int64).max), kind="stable")[:some]
        up[first, slot] = 1
        kept = claims - MWH_PER_WH * up[:, slot]
    return down + up
