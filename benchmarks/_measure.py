"""What the benchmarks share: medians of repeated runs, orders for other programs, and a report.

A time is `wall` and `cpu` [s]: the clock on the wall, and this process alone, which says more where the machine has
other work. Only the standard library is imported at the top, for this is read in other programs' environments too.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[1]
REPEAT = 5
T = TypeVar("T")


def clocks() -> tuple[float, float]:
    """Wall clock and this process's processor time [s]."""
    return time.perf_counter(), time.process_time()


def cpu_of(pid: int) -> float:
    """Seconds that a process has computed for."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> int:
    """What a process holds in memory [MB]."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024


def median(run: Callable[[], object], repeat: int = REPEAT) -> dict[str, float]:
    """Medians of some runs [s]."""
    return timed(lambda: None, lambda _: run(), repeat)[0]


def timed(prepare: Callable[[], T], run: Callable[[T], Any], repeat: int = REPEAT) -> tuple[dict[str, float], Any]:
    """Medians [s] of some runs, each on what is prepared anew and not timed, and what the last one gave."""
    taken = []
    for _ in range(repeat):
        given, begun = prepare(), clocks()
        found = run(given)
        taken.append([end - start for start, end in zip(begun, clocks(), strict=True)])
    wall, cpu = (float(f"{statistics.median(column):.4g}") for column in zip(*taken, strict=True))
    return {"wall": wall, "cpu": cpu, "runs": repeat}, found


def show(figures: dict[str, Any], *packages: str) -> None:
    """The figures on stdout as JSON, with the date, the commit, the machine and the versions of packages."""
    from commonwatt.simulation.bench import machine

    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "versions": {package: version(package) for package in ("commonwatt", "numpy", *packages)},
    }
    json.dump(report | figures, sys.stdout, indent=2)
    print()


def commit() -> str:
    """What was measured: the commit, and whether its sources were changed; `unknown` outside a repository."""
    try:
        told = _git("rev-parse", "HEAD")
        # Results are written while others are still measured.
        changed = _git("status", "--porcelain", "--", "src", "benchmarks", ":!benchmarks/results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{told} with changes" if changed else told


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def version(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


Row = tuple[bool, int, int]
"""One order, one per member: whether it buys, energy [Wh], limit [micro-currency/kWh]."""


def compete(
    package: str, prepare: Callable[[list[Row]], T], run: Callable[[T], Any], read: Callable[[Any, int], Any]
) -> None:
    """For another program: orders and repetitions on stdin, medians and what traded on stdout, as JSON.

    read : (what `run` gave, number of orders) to the energy of each order [Wh]
    """
    rows, repeat = json.load(sys.stdin)
    seconds, found = timed(lambda: prepare(rows), run, repeat)
    done = list(zip(rows, read(found, len(rows)), strict=True))
    figures = {
        "bought_wh": round(sum(wh for (buys, _, _), wh in done if buys)),
        "sold_wh": round(sum(wh for (buys, _, _), wh in done if not buys)),
        "surplus": round(sum((wh if buys else -wh) * limit for (buys, _, limit), wh in done) / 1000),
    }
    print(json.dumps({"version": version(package), "orders": len(rows), "seconds": seconds} | figures))
