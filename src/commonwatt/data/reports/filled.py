"""Gaps filled where somebody asks for it, into a file of its own, and marked for good.

    start,AT0099900…01 import [kWh],AT0099900…01 import quality
    2026-10-01T00:00:00+02:00,0.063000,measured
    2026-10-01T00:15:00+02:00,0.064500,filled

`read_reports` gives such values back as `Quality.FILLED`. What the grid company allocated is written as it was.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np

from commonwatt.community.calendar import Slots, local_clock
from commonwatt.data.reports.onslots import whole_wh
from commonwatt.data.reports.report import REGISTERS, BoolArray, Energy, Quality, Report, runs
from commonwatt.errors import OutputError
from commonwatt.units import IntArray

How = Literal["interpolate", "last-week", "zero"]


def filled(report: Report, how: How, most: int) -> Report:
    """The report with the gaps of its registers filled that are no longer than `most` [s].

    interpolate : on a straight line from the value before to the value after; a gap at either end stays
    last-week : as at the same local time a week before, where there is a value
    zero : with nothing

    Whole slots of a gap that cannot be filled stay empty. What is filled is marked so.
    """
    energy = dict(report.energy)
    for quantity in REGISTERS:
        each = energy[quantity]
        rows = [_filled(report, each, place, how, most) for place in range(len(report.points))]
        if rows:
            mwh, new = (np.stack(arrays) for arrays in zip(*rows, strict=True))
            energy[quantity] = replace(
                each,
                mwh=mwh,
                wh=each.wh + np.stack([whole_wh(row) for row in np.where(new, mwh, 0)]),
                there=each.there | new,
                quality=np.where(new, Quality.FILLED, each.quality).astype(np.int8),
            )
    return replace(report, energy=energy)


def write_filled(report: Report, path: Path) -> None:
    """The report as a CSV file that `read_reports` reads. Raises OutputError when there is such a file."""
    columns = [
        (place, quantity)
        for place in range(len(report.points))
        for quantity in report.energy
        if report.energy[quantity].known[place]
    ]
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["start", *(name for column in columns for name in _names(report, *column))])
            for slot, start in enumerate(report.slots.starts.tolist()):
                cells = [cell for column in columns for cell in _cells(report.energy[column[1]], column[0], slot)]
                writer.writerow([datetime.fromtimestamp(start, report.zone).isoformat(), *cells])
    except FileExistsError:
        raise OutputError(f"{path} is there already; choose another name, or remove it.") from None
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from None


def _filled(report: Report, energy: Energy, place: int, how: How, most: int) -> tuple[IntArray, BoolArray]:
    """Values of the point at `place`, and which of them are new."""
    mwh, there = energy.mwh[place].copy(), energy.there[place]
    new = np.zeros_like(there)
    if not energy.known[place]:
        return mwh, new
    week_before = _week_before(report.slots, report.zone.key) if how == "last-week" else None
    for first, last in runs(~there):
        if (last - first) * report.slots.seconds > most:
            continue
        gap = np.arange(first, last)
        if how == "interpolate":
            if first == 0 or last == len(there):
                continue
            mwh[gap] = np.rint(np.interp(gap, [first - 1, last], mwh[[first - 1, last]])).astype(np.int64)
        elif week_before is not None:
            earlier = week_before[gap]
            gap = gap[(earlier >= 0) & there[earlier]]
            mwh[gap] = mwh[week_before[gap]]
        new[gap] = True
    return mwh, new


def _week_before(slots: Slots, timezone: str) -> IntArray:
    """Place of the slot of the same local time a week before, -1 where there is none, shape (slots.count,)."""
    clock = local_clock(slots, timezone)
    places = {time: place for place, time in reversed(list(enumerate(clock.tolist())))}
    return np.array([places.get(time, -1) for time in (clock - np.timedelta64(7, "D")).tolist()], dtype=np.int64)


def _names(report: Report, place: int, quantity: str) -> tuple[str, str]:
    name = f"{report.points[place]} {quantity}"
    return f"{name} [kWh]", f"{name} quality"


def _cells(energy: Energy, place: int, slot: int) -> tuple[str, str]:
    if not energy.there[place, slot]:
        return "", ""
    quality = Quality(int(energy.quality[place, slot]))
    whole, part = divmod(int(energy.mwh[place, slot]), 10**6)
    return f"{whole}.{part:06d}", "" if quality is Quality.UNSTATED else quality.name.lower()
