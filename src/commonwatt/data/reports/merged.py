"""Several files as one report: what they say twice they must say alike, unless one of them is a correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from commonwatt.community.calendar import Slots
from commonwatt.data.reports.onslots import Line, SheetRead
from commonwatt.data.reports.report import QUANTITIES, Energy, FileRead, Quality, Quantity, Report
from commonwatt.data.times import local
from commonwatt.errors import DataError


@dataclass(frozen=True)
class Change:
    """A value that a correction gave.

    slot : its start [unix s]
    old, new : [mWh]; old is None where there was no value
    """

    point: str
    quantity: Quantity
    slot: int
    old: int | None
    new: int


def merged(sheets: Sequence[SheetRead], slots: Slots, zone: ZoneInfo) -> Report:
    """One report of all.

    Raises DataError, with both files, when two of them have different values of one point and slot.
    """
    lines: dict[tuple[str, Quantity], Line] = {}
    for place, sheet in enumerate(sheets):
        for column, line in zip(sheet.read.columns, sheet.lines, strict=True):
            key = column.point, column.quantity
            if key in lines:
                clash = lines[key].there & line.there & (lines[key].mwh != line.mwh)
                if clash.any():
                    raise _clash(sheets[: place + 1], key, int(clash.argmax()), slots, zone)
                line = _together(lines[key], line)
            lines[key] = line
    findings = tuple(finding for sheet in sheets for finding in sheet.findings)
    return _report(lines, slots, zone, tuple(sheet.read for sheet in sheets), findings)


def corrected(report: Report, later: Report) -> tuple[Report, tuple[Change, ...]]:
    """The report with what a later one gives in its place, and all values that this changes.

    Both are of the same slots. Where both have the same value, the earlier one's whole Wh stay, so that a correction of
    one day changes no other; how it was obtained is the later one's to say.
    """
    if report.slots != later.slots:
        raise DataError("A report and its correction must be read for the same slots.")
    lines, changes = _lines(report), []
    for key, new in _lines(later).items():
        old = lines.get(key, _nothing(report.slots))
        differs = new.there & (~old.there | (old.mwh != new.mwh))
        lines[key] = Line(
            np.where(differs, new.mwh, old.mwh),
            np.where(differs, new.wh, old.wh),
            old.there | new.there,
            np.where(new.there, new.quality, old.quality),
        )
        for slot in np.flatnonzero(differs):
            before = int(old.mwh[slot]) if old.there[slot] else None
            changes.append(Change(*key, int(report.slots.starts[slot]), before, int(new.mwh[slot])))
    both = _report(lines, report.slots, report.zone, report.files + later.files, report.findings + later.findings)
    return both, tuple(changes)


def _together(one: Line, other: Line) -> Line:
    """Both, which have no different values; of what both have, the one that is nearer to the meter."""
    new = other.there & ~one.there
    nearer = one.there & other.there & (other.quality < one.quality) & (other.quality > Quality.UNSTATED)
    return Line(
        np.where(new, other.mwh, one.mwh),
        np.where(new, other.wh, one.wh),
        one.there | other.there,
        np.where(new | nearer, other.quality, one.quality),
    )


def _clash(
    sheets: Sequence[SheetRead], key: tuple[str, Quantity], slot: int, slots: Slots, zone: ZoneInfo
) -> DataError:
    """What to raise where the last of the sheets says something else than one before it."""
    said = [
        (sheet.block.sheet.place, column.header, int(line.mwh[slot]))
        for sheet in sheets
        for column, line in zip(sheet.read.columns, sheet.lines, strict=True)
        if (column.point, column.quantity) == key and line.there[slot]
    ]
    new = next(each for each in said if each[2] != said[0][2])
    one, other = (f"{place} says {mwh / 1e6:.6f} kWh in '{header}'" for place, header, mwh in (said[0], new))
    when = local(int(slots.starts[slot]), zone)
    return DataError(
        f"{other}, but {one} for {key[1]} of {key[0]} at {when}; leave one out, or give the later one as a correction."
    )


def _report(
    lines: dict[tuple[str, Quantity], Line],
    slots: Slots,
    zone: ZoneInfo,
    files: tuple[FileRead, ...],
    findings: tuple[str, ...],
) -> Report:
    points = tuple(dict.fromkeys(point for point, _ in lines))
    energy = {quantity: _energy(points, quantity, lines, slots) for quantity in QUANTITIES}
    return Report(slots, zone, points, energy, files, findings)


def _lines(report: Report) -> dict[tuple[str, Quantity], Line]:
    return {
        (point, quantity): Line(energy.mwh[place], energy.wh[place], energy.there[place], energy.quality[place])
        for place, point in enumerate(report.points)
        for quantity, energy in report.energy.items()
        if energy.known[place]
    }


def _nothing(slots: Slots) -> Line:
    zeros = np.zeros(slots.count, dtype=np.int64)
    return Line(zeros, zeros, zeros.astype(np.bool_), zeros.astype(np.int8))


def _energy(points: Sequence[str], quantity: Quantity, lines: dict[tuple[str, Quantity], Line], slots: Slots) -> Energy:
    each = [lines.get((point, quantity), _nothing(slots)) for point in points]
    shape = len(points), slots.count
    return Energy(
        np.array([line.mwh for line in each], dtype=np.int64).reshape(shape),
        np.array([line.wh for line in each], dtype=np.int64).reshape(shape),
        np.array([line.there for line in each], dtype=np.bool_).reshape(shape),
        np.array([line.quality for line in each], dtype=np.int8).reshape(shape),
        np.array([(point, quantity) in lines for point in points], dtype=np.bool_),
    )
