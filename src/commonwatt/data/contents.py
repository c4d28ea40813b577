"""What a meter file or a price file holds, for who looks at it before using it: columns, step, period, every gap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from commonwatt.data.meterfile import Meters
from commonwatt.data.prices import PriceSeries
from commonwatt.data.timefile import TimeFile
from commonwatt.data.times import local
from commonwatt.plain import many
from commonwatt.units import IntArray

_TOLD: Final = 5
"""How many gaps are told in words."""


@dataclass(frozen=True)
class Gap:
    """A time without values. begin, end : [unix s]; columns : as they stand in the file"""

    begin: int
    end: int
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Contents:
    """What was found.

    names : of the meters, without units, or of the column of prices
    step : from one row to the next [s]; None where rows are not equally far apart
    begin, end : [unix s]
    """

    file: TimeFile
    kind: Literal["meters", "prices"]
    names: tuple[str, ...]
    step: int | None
    begin: int
    end: int
    gaps: tuple[Gap, ...]

    @classmethod
    def of_meters(cls, meters: Meters) -> Contents:
        """Of a meter file."""
        registers = [meter.register for meter in meters.meters]
        return cls._of(meters.file, "meters", meters.names, registers)

    @classmethod
    def of_prices(cls, prices: PriceSeries) -> Contents:
        """Of a price file."""
        return cls._of(prices.file, "prices", prices.file.names, [False])

    @classmethod
    def _of(
        cls, file: TimeFile, kind: Literal["meters", "prices"], names: tuple[str, ...], registers: list[bool]
    ) -> Contents:
        steps = np.unique(np.diff(file.starts))
        lengths = np.unique(file.ends - file.starts)
        step = int(lengths[0]) if len(lengths) == 1 else int(steps[0]) if len(steps) == 1 else None
        end = int(file.ends[-1] if not all(registers) else file.starts[-1])
        holes: dict[tuple[int, int], list[str]] = {}
        for column, register in enumerate(registers):
            for hole in _holes(file, column, end, register=register):
                holes.setdefault(hole, []).append(file.names[column])
        gaps = tuple(Gap(*when, tuple(columns)) for when, columns in sorted(holes.items()))
        return cls(file, kind, names, step, int(file.starts[0]), end, gaps)

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.file.path

    def __str__(self) -> str:
        """In words, such as "meters.csv: 12 meters, 15 min, 2026-10-01 00:00 CEST to 2026-11-01 00:00 CET, no gaps"."""
        what = many(len(self.names), "meter") if self.kind == "meters" else "prices"
        step = f"{self.step / 60:g} min" if self.step else "intervals of several lengths"
        period = f"{self._local(self.begin)} to {self._local(self.end)}"
        told = "; ".join(self._told(gap) for gap in self.gaps[:_TOLD])
        more = f"; and {len(self.gaps) - _TOLD} more" if len(self.gaps) > _TOLD else ""
        gaps = f"{many(len(self.gaps), 'gap')}: {told}{more}" if self.gaps else "no gaps"
        return f"{self.path}: {what}, {step}, {period}, {gaps}"

    def as_json(self) -> dict[str, Any]:
        """As plain data; times are local with their offset."""
        return {
            "file": str(self.path),
            "kind": self.kind,
            "columns": list(self.names),
            "step_minutes": self.step / 60 if self.step else None,
            "from": self._iso(self.begin),
            "until": self._iso(self.end),
            "gaps": [
                {"from": self._iso(gap.begin), "until": self._iso(gap.end), "columns": list(gap.columns)}
                for gap in self.gaps
            ],
        }

    def _told(self, gap: Gap) -> str:
        every = len(gap.columns) == len(self.names)
        whose = "" if every else f" in {', '.join(gap.columns[:_TOLD])}" + ", …" * (len(gap.columns) > _TOLD)
        return f"{self._local(gap.begin)} to {self._local(gap.end)}{whose}"

    def _local(self, instant: int) -> str:
        return local(instant, self.file.zone)

    def _iso(self, instant: int) -> str:
        return datetime.fromtimestamp(instant, self.file.zone).isoformat()


def _holes(file: TimeFile, column: int, end: int, *, register: bool) -> Iterator[tuple[int, int]]:
    """Where the column has no value between the file's begin and `end`: begin and end [unix s] each."""
    there = ~np.isnan(file.numbers(column))
    starts, ends = file.starts, file.ends
    if register:
        # What it counted in an interval is known when it was read at both ends.
        there = there[:-1] & there[1:] & (starts[1:] == ends[:-1])
        starts, ends = starts[:-1], ends[:-1]
    begins: IntArray = np.append(ends[there], end)
    befores: IntArray = np.append(starts[there], end)
    known = int(file.starts[0])
    for before, until in zip(befores.tolist(), begins.tolist(), strict=True):
        if before > known:
            yield known, before
        known = max(known, until)
