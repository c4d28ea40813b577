"""A sweep from Python against its runs made singly: `python benchmarks/sweep.py`, JSON on stdout. About a minute.

Four sizes of battery, three mechanisms and five days of the example village, without a ledger, first in one call of
`commonwatt.sweep`, then each combination by `commonwatt.simulate`, from a file of its own, as who has no sweep would.
Both in this process and after one run of each, so that no import is counted. The sweep may cost 1.1 of their sum.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from _measure import ROOT, clocks, show

import commonwatt

VILLAGE = ROOT / "examples" / "village.toml"
BATTERIES = (2, 4, 8, 16)
MECHANISMS = ("sdr", "mid-market", "sdr-compensated")
DAYS = tuple(f"2026-06-{day}" for day in range(15, 20))
AT_MOST = 1.1
REPEAT = 3


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        files = variants(Path(folder))
        rows = [singly(files[:1], DAYS[:1]), swept(DAYS[:1])]
        taken = []
        for turn in range(REPEAT):
            print(f"turn {turn + 1} of {REPEAT}", file=sys.stderr)
            taken.append([spent(singly, files, DAYS), spent(swept, DAYS)])
    single, sweep = (
        {clock: float(f"{statistics.median(each[side][clock] for each in taken):.4g}") for clock in ("wall", "cpu")}
        for side in (0, 1)
    )
    show(
        {
            "combinations": len(files) * len(DAYS),
            "runs": REPEAT,
            "singly_seconds": single,
            "sweep_seconds": sweep,
            "ratio": round(sweep["cpu"] / single["cpu"], 3),
            "at_most": AT_MOST,
            "same": rows[0][0] == rows[1][0],
        },
        "polars",
    )


def variants(folder: Path) -> list[Path]:
    """A file for each combination of battery and mechanism, in the order of the sweep."""
    text = VILLAGE.read_text("utf-8")
    start, end = text.index("[market.day_ahead]"), text.index("[market.real_time]")
    text = text[:start] + text[end:]
    files = []
    for kwh, mechanism in product(BATTERIES, MECHANISMS):
        changed = text.replace('mechanism = "sdr"', f'mechanism = "{mechanism}"')
        for line in text.splitlines():
            if "battery = { kwh" in line:
                before, _, after = line.partition("battery = { kwh = ")
                changed = changed.replace(line, f"{before}battery = {{ kwh = {kwh}{after[after.index(' }') :]}")
        files.append(folder / f"{kwh}-{mechanism}.toml")
        files[-1].write_text(changed, encoding="utf-8")
    return files


def singly(files: list[Path], days: tuple[str, ...]) -> list[float]:
    """What each combination saves, one run after the other."""
    runs = (commonwatt.simulate(file, day, ledger="none") for day in days for file in files)
    return [float(result.homes["saving"].sum()) for result in runs]


def swept(days: tuple[str, ...]) -> list[float]:
    """What each combination saves, in one call."""
    table = commonwatt.sweep(
        VILLAGE,
        {"market.day_ahead": [None], "members.*.battery.kwh": BATTERIES, "market.real_time.mechanism": MECHANISMS},
        start=days,
    )
    saved: list[float] = table["saving"].to_list()
    return saved


def spent(run: Any, *given: Any) -> dict[str, float]:
    """Clocks of one run [s]."""
    begun = clocks()
    run(*given)
    return dict(zip(("wall", "cpu"), (end - start for start, end in zip(begun, clocks(), strict=True)), strict=True))


if __name__ == "__main__":
    main()
