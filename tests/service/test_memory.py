"""What processes hold of memory is told by peaks, so that those that begin again do not hide what grows."""

from __future__ import annotations

import os
from pathlib import Path

from commonwatt.service.memory import Memory, resident


def test_growth_is_between_the_peaks_of_the_last_two_quarters() -> None:
    memory = Memory()
    for quarter, size in ((0, 500), (1, 90), (2, 20), (2, 100), (3, 20), (3, 105), (3, 20)):
        memory.noted("chain", quarter, size)
    memory.noted("homes", 3, 7)
    assert memory.figures() == {"chain": {"peak": 500, "growth": 0.05}, "homes": {"peak": 7, "growth": None}}


def test_processes_are_found_by_the_files_with_their_numbers_and_whoever_is_away_is_left_out(tmp_path: Path) -> None:
    for name, number in (("here", f"{os.getpid()}\n"), ("gone", "0\n"), ("odd", "?")):
        (tmp_path / name).write_text(number, "ascii")
    memory = Memory()
    for passed in (0.0, 0.6, 0.99, 1.0):
        memory.note({name: tmp_path / name for name in ("here", "gone", "odd", "missing")}, passed)
    figures = memory.figures()
    assert figures.keys() == {"here"}
    assert 0.5 < (figures["here"]["peak"] or 0) / resident(os.getpid()) < 2
    assert figures["here"]["growth"] is not None
