"""One market day of a synthetic village, measured."""

from __future__ import annotations

import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from commonwatt.community.synthetic import village
from commonwatt.errors import ConfigError, Finding
from commonwatt.exchange.bill_files import write_bills
from commonwatt.simulation.api import simulate


def bench_day(
    homes: int,
    start: str,
    ledger: str,
    progress: Callable[[int, int], None] | None = None,
    *,
    bills: bool = True,
) -> dict[str, Any]:
    """CPU seconds of this process and of those that it started [s], wall time [s] and largest memory [MB] of one day.

    Store, ledger and, where there is a ledger that proves them, the bills are on disk. Imports are included: they are
    part of what a user waits for.

    bills : whether they are written, as the step "write the bills"
    Raises ConfigError when there is no home.
    """
    if homes < 1:
        raise ConfigError("The request", [Finding("homes", f"is 1 or more, not {homes}")])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "village.toml"
        file.write_text(village(homes), encoding="utf-8")
        wall = time.monotonic()
        result = simulate(file, start, 1, ledger=ledger, out=Path(folder) / "out", progress=progress)
        if bills and result.books.client:
            with result.exchange.watch("write the bills"):
                write_bills(result.books, result.bills, Path(folder) / "out" / "bills")
        wall = time.monotonic() - wall
        trades = len(result.trades)
        conserved = result.ledger.balances == result.ledger.deposits if result.ledger else None
        result.close()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    children = used.ru_utime + used.ru_stime
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if platform.system() == "Linux" else 1024**2)
    return {
        "homes": homes,
        "slots": result.period.count,
        "ledger": ledger,
        "trades": trades,
        "balances_equal_deposits": conserved,
        "cpu_seconds": round(time.process_time() + children, 3),
        "cpu_seconds_of_children": round(children, 3),
        "wall_seconds": round(wall, 3),
        "rss_mb": round(memory, 1),
        "steps": {step: round(seconds, 3) for step, seconds in result.seconds.items()},
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}
