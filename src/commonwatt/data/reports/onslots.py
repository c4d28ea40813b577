"""The values of a sheet on the slots: checked, in whole mWh and Wh, each with how it was obtained."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np

from commonwatt.community.calendar import Slots
from commonwatt.data.headers import REGISTER_WORDS
from commonwatt.data.meterfile import FALLS, MOST_KW, NEGATIVE, TOO_HIGH, only_rises
from commonwatt.data.reports.austrian import KIND as AUSTRIAN
from commonwatt.data.reports.block import Block
from commonwatt.data.reports.columns import Column, counts_on, quality
from commonwatt.data.reports.report import (
    MWH_PER_WH,
    BoolArray,
    ColumnRead,
    FileRead,
    Quality,
    QualityArray,
)
from commonwatt.data.timefile import Labels, TimeFile, steady
from commonwatt.data.times import local
from commonwatt.errors import DataError
from commonwatt.plain import many
from commonwatt.units import FloatArray, IntArray

_MWH_PER_KWH: Final = 1_000_000
_SUM_OFF: Final = 0.01
"""How far a sum may be off by rounding [kWh]."""


@dataclass(frozen=True, eq=False)
class Line:
    """One quantity of one point on the slots, each of shape (slots,): as of `commonwatt.data.reports.report.Energy`."""

    mwh: IntArray
    wh: IntArray
    there: BoolArray
    quality: QualityArray


@dataclass(frozen=True, eq=False)
class SheetRead:
    """A sheet on the slots.

    lines : of each column, in the order of `read.columns`
    """

    block: Block
    read: FileRead
    lines: tuple[Line, ...]
    findings: tuple[str, ...]


def timed(block: Block, timezone: str, asked: Labels | None) -> TimeFile:
    """The block with its times understood.

    asked : what times say where the block does not; None when nobody says it

    Raises DataError, one sentence that names the file and the place, when: times cannot be read, are out of order, or
    may be those at which intervals end; intervals are not all alike.
    """
    file = TimeFile.of(block.table, timezone, "a column per metering point", steady, block.labels or asked or "begin")
    lengths = np.unique(file.ends - file.starts)
    if len(lengths) > 1:
        raise DataError(
            f"{block.sheet.place}: not all intervals are {lengths[0] / 60:g} min long; they must be constant."
        )
    if block.labels is None and asked is None:
        _refuse_ends(block, file, int(lengths[0]))
    return file


def on_slots(block: Block, file: TimeFile, slots: Slots) -> SheetRead:
    """What the block says of the slots.

    Raises DataError, one sentence that names the file and the place, when: intervals are no whole part of a slot; no
    value lies in the slots; a value that does is no number, negative or too high; a register falls, or a column rises
    like one.
    """
    step = _step(block, file, slots)
    rows = (file.ends > slots.start) & (file.starts < slots.end)
    if not rows.any():
        begin, end, first, last = (
            local(instant, file.zone) for instant in (int(file.starts[0]), int(file.ends[-1]), slots.start, slots.end)
        )
        raise DataError(f"{block.sheet.place} runs from {begin} to {end} and has nothing between {first} and {last}.")
    lines, columns, unknown, said = [], [], Counter[str](), []
    for place, column in enumerate(block.columns):
        register = _is_register(block, file, place, column)
        energy = _register(file, place, column, slots) if register else _intervals(file, place, column, slots)
        flags = _flags(column, len(file.starts), unknown)
        line = _line(file, energy, flags, slots, step)
        lines.append(line)
        columns.append(_read(file, place, column, line, register=register))
        said += [] if register else _off_sum(block, file, place, column)
    said += [
        f"{block.sheet.place}: the flag '{flag}' of {many(count, 'value')} is not known."
        for flag, count in unknown.items()
    ]
    if not any(line.there.any() for line in lines):
        said.append(f"{block.sheet.place}: no column has a value between {local(slots.start, file.zone)} and its end.")
    read = FileRead(
        block.sheet.path,
        block.sheet.name,
        block.kind,
        block.header_rows,
        tuple(columns),
        block.left_out,
        step,
        file.labels,
        _zoned(block),
        len(file.starts),
        int(file.starts[0]),
        int(file.ends[-1]),
    )
    return SheetRead(block, read, tuple(lines), (*block.findings, *said))


def whole_wh(mwh: IntArray) -> IntArray:
    """Whole Wh, shape as `mwh`, (slots,): the running sum is rounded, halves upwards.

    So each is less than a Wh off, and each sum from the first on half of one at most.

    >>> whole_wh(np.array([500, 1000, 400, 700])).tolist()
    [1, 1, 0, 1]
    """
    return np.diff((np.cumsum(mwh) + MWH_PER_WH // 2) // MWH_PER_WH, prepend=0)


def _step(block: Block, file: TimeFile, slots: Slots) -> int:
    step = int(file.ends[0] - file.starts[0])
    if step > slots.seconds:
        raise DataError(
            f"{block.sheet.place}: rows are {step / 60:g} min apart, the community's slots {slots.seconds / 60:g} min; "
            "energy is not spread over slots, so ask for finer readings."
        )
    off = np.flatnonzero((file.starts - slots.start) % step)
    if slots.seconds % step or len(off):
        first = local(int(file.starts[off[0] if len(off) else 0]), file.zone)
        raise DataError(
            f"{block.sheet.place}: the interval of {step / 60:g} min from {first} on is no part of a slot of "
            f"{slots.seconds / 60:g} min."
        )
    return step


def _refuse_ends(block: Block, file: TimeFile, step: int) -> None:
    """Whole days, when their times are taken for the ends of intervals, and none otherwise."""
    first, last = (local(int(edge), file.zone)[11:16] for edge in (file.starts[0] - step, file.starts[-1]))
    if first == last == "00:00" and not any(column.meter.register for column in block.columns):
        begin, end = (local(int(edge), file.zone) for edge in (file.starts[0], file.starts[-1]))
        raise DataError(
            f"{block.sheet.place} runs from {begin} to {end}, as times do at which intervals end; say with "
            "--labels end or --labels begin which they are."
        )


def _is_register(block: Block, file: TimeFile, place: int, column: Column) -> bool:
    if block.kind == AUSTRIAN or column.meter.register or not column.meter.energy:
        return column.meter.register
    if not only_rises(file.numbers(place)):
        return False
    if counts_on(column.header):
        return True
    raise DataError(
        f"{block.sheet.place}: column '{column.title}' keeps rising, as the register of a meter does; if its "
        f"differences are the energy, say so in its name with {REGISTER_WORDS}."
    )


def _intervals(file: TimeFile, place: int, column: Column, slots: Slots) -> FloatArray:
    """Energy of each row [kWh], NaN where there is none or it is outside the slots."""
    kwh = column.meter.per_unit * (1 if column.meter.energy else int(file.ends[0] - file.starts[0]) / 3600)
    rows = (file.ends > slots.start) & (file.starts < slots.end)
    most = MOST_KW * int(file.ends[0] - file.starts[0]) / 3600 / kwh
    energy = np.full(len(file.starts), np.nan)
    energy[rows] = file.checked(place, rows, most, NEGATIVE, TOO_HIGH) * kwh
    return energy


def _register(file: TimeFile, place: int, column: Column, slots: Slots) -> FloatArray:
    """As `_intervals`, of what a register showed at the times of the rows; where the next row is missing, so is it."""
    step = int(file.ends[0] - file.starts[0])
    shown_at = file.starts if file.labels == "begin" else file.ends
    rows = (shown_at >= slots.start) & (shown_at <= slots.end)
    shown = np.full(len(shown_at), np.nan)
    shown[rows] = file.checked(place, rows, np.inf, NEGATIVE, TOO_HIGH) * column.meter.per_unit
    energy = np.append(np.where(np.diff(shown_at) == step, np.diff(shown), np.nan), np.nan)
    for wrong, why in ((energy < 0, FALLS), (energy > MOST_KW * step / 3600, TOO_HIGH)):
        if wrong.any():
            row = int(wrong.argmax()) + 1
            raise file.wrong(place, file.columns[place][row], int(file.starts[row]), why)
    # The energy after a reading is that of the interval which the reading begins.
    return energy if file.labels == "begin" else np.append(np.nan, energy[:-1])


def _flags(column: Column, rows: int, unknown: Counter[str]) -> QualityArray:
    """How each row's value was obtained, shape (rows,)."""
    if column.quality is None:
        return np.full(rows, Quality.UNSTATED, dtype=np.int8)
    known: dict[object, Quality] = {}
    for cell, count in Counter(column.quality).items():
        found = quality(cell)
        if found is None:
            unknown[str(cell)] += count
        known[cell] = Quality.UNSTATED if found is None else found
    return np.array([known[cell] for cell in column.quality], dtype=np.int8)


def _line(file: TimeFile, kwh: FloatArray, flags: QualityArray, slots: Slots, step: int) -> Line:
    """Rows within a slot are added up; where one is missing, so is the slot."""
    rows = ~np.isnan(kwh) & (flags != Quality.NONE)
    running = np.floor(np.cumsum(kwh[rows] * _MWH_PER_KWH) + 0.5).astype(np.int64)
    place = (file.starts[rows] - slots.start) // slots.seconds
    inside = (place >= 0) & (place < slots.count)
    mwh = np.zeros(slots.count, dtype=np.int64)
    np.add.at(mwh, place[inside], np.diff(running, prepend=0)[inside])
    there = np.bincount(place[inside], minlength=slots.count) == slots.seconds // step
    worst = np.zeros(slots.count, dtype=np.int8)
    np.maximum.at(worst, place[inside], flags[rows][inside])
    mwh[~there], worst[~there] = 0, Quality.NONE
    return Line(mwh, whole_wh(mwh), there, worst)


def _read(file: TimeFile, place: int, column: Column, line: Line, *, register: bool) -> ColumnRead:
    counts = Counter(Quality(int(each)) for each in line.quality[line.there])
    return ColumnRead(
        column.header,
        file.letters[place] if file.letters else "",
        column.point,
        column.meaning.quantity,
        column.unit,
        register,
        int(line.there.sum()),
        tuple(sorted(counts.items())),
    )


def _off_sum(block: Block, file: TimeFile, place: int, column: Column) -> list[str]:
    """What to say where the values of a column do not add up to what the file says."""
    number, cells = block.sums or (0, ())
    written = str(cells[column.place] if column.place < len(cells) else "").replace(",", ".")
    if not re.fullmatch(r"[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?", written) or not column.meter.energy:
        return []
    total = float(np.nansum(file.numbers(place)))
    if abs(total - float(written)) <= _SUM_OFF / column.meter.per_unit:
        return []
    return [
        f"{block.sheet.place}: row {number} says {written} {column.unit} for column '{column.title}', but its values "
        f"add up to {total:.6f}."
    ]


def _zoned(block: Block) -> bool:
    return re.search(r":\d\d(?:[.,]\d+)? ?(?:Z|UTC|[+-]\d\d(?::?\d\d)?)$", str(block.table.columns[0][0])) is not None
