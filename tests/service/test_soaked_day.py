"""`make soak`: a day of a large community, whose processes are killed again and again.

COMMONWATT_SOAK_HOMES and COMMONWATT_SOAK_KILLS say how many, on a machine with less time.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ledger_cases import SOAK
from lived_cases import entered as entered
from lived_cases import require_lived_as_simulated

from commonwatt.community.synthetic import village

HOMES = int(os.environ.get("COMMONWATT_SOAK_HOMES", "1000"))
KILLS = int(os.environ.get("COMMONWATT_SOAK_KILLS", "200"))
CLOCK = 900
LONGEST = 24 * 3600.0
"""Seconds."""
GROWTH = 0.05
"""The most by which a process may hold more memory at the day's end than in its third quarter."""


@pytest.mark.skipif(not SOAK, reason="takes hours; `make soak` runs it")
def test_a_large_day_is_that_of_the_simulation_whoever_is_killed_and_no_process_grows(entered: Path) -> None:
    file = entered / "village.toml"
    file.write_text(village(HOMES), encoding="utf-8")
    memory = require_lived_as_simulated(file, entered, CLOCK, KILLS, LONGEST)
    assert {name: told for name, told in memory.items() if (told["growth"] or 0) > GROWTH} == {}
