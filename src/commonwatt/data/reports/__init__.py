"""Readings of metering points as grid companies and portals export them, .xlsx or CSV.

    read_reports(paths, slots, timezone)    all files as one `Report`; what they say twice they must say alike
    read_all(paths, seconds, timezone)      the same, on all slots that they reach into
    corrected(report, later)                the report with a later one's values, and what that changes
    preview(report)                         how each file was understood, in lines of text
    filled(report, how, most)               gaps filled, each value marked; `write_filled` puts it into a file

A file is first a sheet of cells (`commonwatt.data.table.read_sheets`), then a `block` of columns that are understood
(`austrian`, `portal`; what words mean: `columns`), then lines on the slots (`onslots`), then part of a report
(`merged`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from commonwatt.community.calendar import Slots
from commonwatt.data.reports.austrian import austrian
from commonwatt.data.reports.block import Block
from commonwatt.data.reports.filled import How, filled, write_filled
from commonwatt.data.reports.merged import Change, corrected, merged
from commonwatt.data.reports.onslots import on_slots, timed
from commonwatt.data.reports.portal import portals
from commonwatt.data.reports.preview import gap_lines, preview
from commonwatt.data.reports.report import (
    OFFICIAL,
    QUANTITIES,
    REGISTERS,
    ColumnRead,
    Energy,
    FileRead,
    Gap,
    Quality,
    Quantity,
    Report,
)
from commonwatt.data.table import read_sheets
from commonwatt.data.timefile import Labels, TimeFile
from commonwatt.data.zone import zone_named
from commonwatt.errors import DataError

__all__ = [
    "OFFICIAL",
    "QUANTITIES",
    "REGISTERS",
    "Change",
    "ColumnRead",
    "Energy",
    "FileRead",
    "Gap",
    "How",
    "Quality",
    "Quantity",
    "Report",
    "corrected",
    "filled",
    "gap_lines",
    "preview",
    "read_all",
    "read_reports",
    "write_filled",
]


def read_reports(
    paths: Sequence[str | Path],
    slots: Slots,
    timezone: str,
    *,
    labels: Labels | None = None,
    exporting: Collection[str] = (),
) -> Report:
    """What the files say of metering points on `slots`; nothing is filled in.

    timezone : IANA name, of times that name no zone
    labels : which end of an interval a time is, in files that do not say it. Without it, it is the begin, and a file
        whose times look like ends is refused
    exporting : ids of points whose columns count what they fed in, in files that do not say it

    Raises DataError, one sentence that names the file, the sheet and the place, when a file is missing, damaged or too
    large, holds no readings or none of these slots, or cannot be understood (`commonwatt.data.reports.onslots`); and
    when two files have different values of one point and slot.
    """
    return _merged(_timed(paths, timezone, labels, exporting), slots, timezone)


def read_all(
    paths: Sequence[str | Path],
    seconds: int,
    timezone: str,
    *,
    labels: Labels | None = None,
    exporting: Collection[str] = (),
) -> Report:
    """As `read_reports`, on all slots of so many seconds that the files reach into."""
    found = _timed(paths, timezone, labels, exporting)
    start = min(int(file.starts[0]) for _, file in found) // seconds * seconds
    end = max(int(file.ends[-1]) for _, file in found)
    return _merged(found, Slots(start, -(-(end - start) // seconds), seconds), timezone)


def _merged(found: Sequence[tuple[Block, TimeFile]], slots: Slots, timezone: str) -> Report:
    return merged([on_slots(block, file, slots) for block, file in found], slots, zone_named(timezone))


def _timed(
    paths: Sequence[str | Path], timezone: str, labels: Labels | None, exporting: Collection[str]
) -> list[tuple[Block, TimeFile]]:
    blocks = [block for path in paths for block in _blocks(Path(path), exporting)]
    return [(block, timed(block, timezone, labels)) for block in blocks]


def _blocks(path: Path, exporting: Collection[str]) -> list[Block]:
    """What the sheets of a file hold; those without times are summaries and logs."""
    # eegfaktura's downloads say again in a log which quarter hours lack quality.
    sheets = [sheet for sheet in read_sheets(path) if not sheet.name.casefold().startswith("qov")]
    reports = [block for sheet in sheets if (block := austrian(sheet))]
    found = reports or [block for sheet in sheets for block in portals(sheet, exporting)]
    if not found:
        raise DataError(f"{path} holds no readings: no row begins with a time such as 01.10.2026 00:15.")
    return found
