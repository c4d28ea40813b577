"""Order events per second of the book, in plain Python and compiled, and listings; CPU seconds, JSON on stdout.

Events: 60 % additions, 20 % amendments, 20 % cancellations of recent orders, 1 000 members, limits that cross often,
expiries from soon to late. The figures include all that happens between columns of events and the result's columns.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from commonwatt.market import Events, Orders
from commonwatt.market.continuous import run_book
from commonwatt.market.interface import Frame
from commonwatt.market.listings import LISTINGS

REPEAT = 5


def main() -> None:
    """Measure and print."""
    small, large = stream(200_000), stream(1_000_000)
    figures: dict[str, object] = {"python": rate(small, compiled=False)}
    if find_spec("numba") is not None:
        begin = time.process_time()
        compiled = run_book(small, compiled=True)
        figures["compilation_seconds"] = round(time.process_time() - begin, 2)
        figures["compiled"] = rate(large, compiled=True)
        figures["same_result"] = compiled.same_as(run_book(small, compiled=False))
    figures["listings"] = {"orders": 100_000, "seconds": round(median(listings), 3)}
    json.dump(figures, sys.stdout, indent=2)
    print()


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


def rate(events: Events, *, compiled: bool) -> dict[str, int]:
    """Events per CPU second, and what the book made of them."""
    result = run_book(events, compiled=compiled)
    seconds = median(lambda: run_book(events, compiled=compiled))
    return {
        "events": len(events.kind),
        "events_per_second": round(len(events.kind) / seconds),
        "fills": len(result.fills.wh),
        "refused": len(result.refusals),
    }


def listings() -> None:
    """100 000 orders, half of them listings, proved."""
    chance, members = np.random.default_rng(7), 100_000
    limit = chance.integers(80_000, 300_000, members)
    orders = Orders(np.arange(members), chance.integers(0, 2, members), chance.integers(1, 2_000, members), limit)
    one = np.array([0])
    LISTINGS.clear(Frame(one, one, 0.25, members, np.array([300_000]), np.array([80_000])), (orders,))


def median(run: Callable[[], object]) -> float:
    """CPU seconds of one run; other processes on the machine do not count, though they slow its memory."""
    times = []
    for _ in range(REPEAT):
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    return statistics.median(times)


if __name__ == "__main__":
    main()
