"""What processes hold of the machine's memory as a period passes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

QUARTERS: Final = 4


class Memory:
    """The most that each process held in each quarter of a period [bytes]; nothing where the system does not tell.

    Whoever is killed begins again with less, so peaks are compared: what grows without end has higher ones.
    """

    def __init__(self) -> None:
        self._peaks: dict[str, list[int]] = {}

    def note(self, pid_files: Mapping[str, Path], passed: float) -> None:
        """Look at processes by the files with their numbers. passed : of the period, 0 to 1"""
        quarter = min(int(passed * QUARTERS), QUARTERS - 1)
        for name, file in pid_files.items():
            with suppress(OSError, ValueError):
                self.noted(name, quarter, resident(int(file.read_text("ascii"))))

    def noted(self, name: str, quarter: int, size: int) -> None:
        """A process held so many bytes in a quarter, counted from 0."""
        peaks = self._peaks.setdefault(name, [0] * QUARTERS)
        peaks[quarter] = max(peaks[quarter], size)

    def figures(self) -> dict[str, dict[str, float | None]]:
        """By process: `peak` of all [bytes], and `growth`, by how much the last quarter's peak is above the third's as
        a share of that; None where one of them was not seen."""
        return {
            name: {"peak": max(peaks), "growth": round(last / third - 1, 4) if third and last else None}
            for name, peaks in sorted(self._peaks.items())
            for third, last in [peaks[-2:]]
        }


def resident(pid: int) -> int:
    """What a process holds [bytes]. Raises OSError and ValueError where that cannot be told."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
