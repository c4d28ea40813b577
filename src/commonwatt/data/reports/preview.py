"""How files were understood, for a person to look at before anything is billed: lines of plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from commonwatt.data.reports.report import ColumnRead, FileRead, Gap, Quality, Report
from commonwatt.data.times import local
from commonwatt.plain import many, plain

_MOST_GAPS: Final = 40
_MOST_COLUMNS: Final = 12
"""What is missing together is named one by one up to so many."""
_QUALITIES: Final = {
    Quality.UNSTATED: "of unstated quality",
    Quality.MEASURED: "measured",
    Quality.SUBSTITUTED: "substituted",
    Quality.ESTIMATED: "estimated",
    Quality.FILLED: "filled",
}


def preview(report: Report) -> tuple[str, ...]:
    """Each file with its columns, then all gaps in one table, then what a person should know."""
    lines = [line for file in report.files for line in _file(file, report.zone)]
    lines += gap_lines(report.gaps(), report.zone)
    lines += report.findings
    return tuple(map(plain, lines))


def gap_lines(gaps: Sequence[Gap], zone: ZoneInfo) -> list[str]:
    """All gaps in one table, what is missing over the same time together."""
    if not gaps:
        return ["No slot lacks a value."]
    spans: dict[tuple[int, int, int], list[Gap]] = {}
    for gap in gaps:
        spans.setdefault((gap.start, gap.end, gap.slots), []).append(gap)
    rows = sorted(spans.items())
    lines = [f"{many(len(gaps), 'gap')}, left empty:"]
    for (start, end, slots), alike in rows[:_MOST_GAPS]:
        lines.append(f"  {local(start, zone)} to {local(end, zone)}, {many(slots, 'slot')}: {_columns(alike)}")
    if len(rows) > _MOST_GAPS:
        lines.append(f"  and {len(rows) - _MOST_GAPS} more")
    return lines


def _columns(gaps: Sequence[Gap]) -> str:
    if len(gaps) > _MOST_COLUMNS:
        points = {gap.point for gap in gaps}
        return f"{len(gaps)} columns of {many(len(points), 'point')}, from {gaps[0].point} on"
    return ", ".join(f"{gap.point} {gap.quantity}" for gap in gaps)


def _file(file: FileRead, zone: ZoneInfo) -> Iterator[str]:
    sheet = f", sheet '{file.sheet}'" if file.sheet else ""
    numbers = ", ".join(map(str, file.header_rows))
    yield f"{file.path}{sheet}: {file.kind}, header in row{'s' * (len(file.header_rows) > 1)} {numbers}"
    written = "with their zone" if file.zoned else f"in {zone.key}"
    yield (
        f"  {many(file.rows, 'row')}, every {file.step / 60:g} min, from {local(file.start, zone)} to "
        f"{local(file.end, zone)}; times {written}, each the {file.labels} of its interval"
    )
    yield from table([_column(column) for column in file.columns])
    qualities = Counter[Quality]()
    for column in file.columns:
        qualities.update(dict(column.quality))
    yield "  values: " + (
        ", ".join(f"{count} {_QUALITIES[each]}" for each, count in sorted(qualities.items())) or "none"
    )
    for reason in file.left_out:
        yield f"  left out: {reason}"


def _column(column: ColumnRead) -> tuple[str, ...]:
    unit = f"{column.unit} register" if column.register else column.unit
    return column.letter, column.point, column.quantity, unit, many(column.values, "value"), f"'{column.header}'"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of texts under each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        yield f"  {'  '.join(cells)}".rstrip()
