"""What a measured day tells."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest
from shell import Shell

from commonwatt.simulation.bench import bench_day

WRITING = "write the bills"


@pytest.mark.parametrize(("ledger", "bills"), [("embedded", True), ("embedded", False), ("none", True)])
def test_bills_are_written_where_there_is_a_ledger_and_they_are_wanted(ledger: str, *, bills: bool) -> None:
    found = bench_day(2, "2026-06-15", ledger, bills=bills)
    assert (found["homes"], found["slots"], found["ledger"]) == (2, 96, ledger)
    assert (WRITING in found["steps"]) == (bills and ledger == "embedded")
    assert found["cpu_seconds"] > found["steps"].get(WRITING, 0) >= 0


def test_the_time_of_processes_that_have_ended_counts() -> None:
    subprocess.run([sys.executable, "-c", "sum(range(10**6))"], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = bench_day(1, "2026-06-15", "none")
    assert found["cpu_seconds_of_children"] >= round(used.ru_utime + used.ru_stime, 3) > 0
    assert found["cpu_seconds"] > found["cpu_seconds_of_children"]


def test_the_command_takes_a_day_without_bills(said: Shell) -> None:
    found = said("bench", "day", "--homes", 1, "--no-bills", "--json", "-")
    assert found.code == 0
    assert WRITING not in json.loads(found.out)["steps"]
