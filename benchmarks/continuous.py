"""Order events per second of the book, in plain Python and compiled; JSON on stdout.

Events: 60 % additions, 20 % amendments, 20 % cancellations of recent orders, 1 000 members, limits that cross often,
expiries from soon to late. The figures include all that happens between columns of events and the result's columns.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from _measure import median, show

from commonwatt.market import Events
from commonwatt.market.designs.continuous import run_book


def main() -> None:
    """Measure and print."""
    small, large = stream(200_000), stream(1_000_000)
    figures: dict[str, object] = {"python": rate(small, compiled=False)}
    if find_spec("numba") is not None:
        figures["compilation"] = median(lambda: run_book(small, compiled=True), repeat=1)
        figures["compiled"] = rate(large, compiled=True)
    show(figures, "numba")


def stream(count: int) -> Events:
    """A seeded stream of events."""
    chance = np.random.default_rng(7)
    kind = chance.choice(3, count, p=[0.6, 0.2, 0.2])
    kind[0] = 0
    newest = np.cumsum(kind == 0) - 1
    order = np.where(kind == 0, newest, np.maximum(newest - chance.geometric(0.02, count), 0))
    member, side = chance.integers(0, 1_000, count)[order], chance.integers(0, 2, count)[order]
    limit = chance.normal(np.where(side == 0, 180_000, 200_000), 30_000).astype(np.int64)
    seconds = np.arange(count) // 10
    expiry = seconds + chance.integers(1, 5_000, count)
    return Events(kind, order, member, side, chance.integers(1, 2_000, count), limit, seconds, expiry)


def rate(events: Events, *, compiled: bool) -> dict[str, object]:
    """Events per CPU second, and what the book made of them."""
    result = run_book(events, compiled=compiled)
    seconds = median(lambda: run_book(events, compiled=compiled))
    return {
        "events": len(events.kind),
        "seconds": seconds,
        "events_per_second": round(len(events.kind) / seconds["cpu"]),
        "fills": len(result.fills.wh),
        "refused": len(result.refusals),
    }


if __name__ == "__main__":
    main()
