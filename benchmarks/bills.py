"""A month with proofs, of twelve homes: `python benchmarks/bills.py`, JSON on stdout. Some minutes.

October and June of the first twelve homes of the village, with its day-ahead market, its pool and its chain: what a
bill with all its proofs takes on the disk, and how long its member needs to verify it. Orders, trades and readings of a
day are signed and settled as in `commonwatt simulate`.
"""

from __future__ import annotations

import lzma
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from _measure import ROOT, clocks, show

from commonwatt import load, simulate
from commonwatt.exchange.bill_files import packed_bytes
from commonwatt.member.card import read as read_card
from commonwatt.member.trust import Pins
from commonwatt.member.verify import open_and_verify

HOMES = 12
MONTHS = {"october": (date(2026, 10, 1), 31), "june": (date(2026, 6, 1), 30)}
AT_MOST = {"bytes": 1_000_000, "verify": 10}


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        found = {month: measured(Path(name) / month, *days) for month, days in MONTHS.items()}
    show({"homes": HOMES, "runs": 1, **found, "at_most": AT_MOST}, "polars", "sqlalchemy")


def measured(out: Path, first: date, days: int) -> dict[str, Any]:
    """A month: its run, its bills, and the largest of them verified."""
    print(f"simulating {days} days from {first}", file=sys.stderr)
    begun = clocks()
    simulate(village(), start=first, days=days, out=out)
    ran = spent(begun)
    sizes = {path: len(packed_bytes([path.read_bytes()])) for path in sorted((out / "bills").glob("*.json"))}
    largest = max(sizes, key=sizes.__getitem__)
    print(f"verifying {largest.name}", file=sys.stderr)
    pins = Pins(card=read_card(out / "cards" / largest.name))
    begun = clocks()
    verified, _ = open_and_verify(largest, [str(out / "ledger.sqlite")], pins)
    return {
        "days": days,
        "run_seconds": ran,
        "verify_seconds": spent(begun),
        "lines_of_the_largest": verified.lines,
        "bytes": {"least": min(sizes.values()), "most": max(sizes.values())},
        "bytes_of_the_largest": {
            "plain": largest.stat().st_size,
            "gzip": sizes[largest],
            "xz": len(lzma.compress(largest.read_bytes())),
        },
    }


def village() -> Any:
    """The first homes of the village."""
    community = load(ROOT / "examples" / "village.toml")
    homes = dict(list(community.document["members"].items())[:HOMES])
    return community.with_({"members": homes})


def spent(begun: tuple[Any, ...]) -> dict[str, float]:
    """Clocks since then [s]."""
    ends = (end - start for start, end in zip(begun, clocks(), strict=True))
    return dict(zip(("wall", "cpu"), (float(f"{seconds:.4g}") for seconds in ends), strict=True))


if __name__ == "__main__":
    main()
