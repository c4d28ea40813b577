"""What a service counts while it works, in a registry of its own, so that two services in one process do not mix."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

_EVERY: Final = 0.5
"""Seconds between two looks at the loop's lag."""
_SECONDS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Figures:
    """Counters and histograms, with their names as Prometheus has them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.readings = Counter(
            "commonwatt_readings_total", "Readings that were judged.", ["result"], registry=self.registry
        )
        self.orders = Counter(
            "commonwatt_orders_total", "Orders that were answered.", ["result"], registry=self.registry
        )
        self.batches = Histogram(
            "commonwatt_batch_seconds", "How long the engine took for what waited together.", ["door"],
            registry=self.registry, buckets=_SECONDS,
        )  # fmt: skip
        self.lag = Histogram(
            "commonwatt_loop_lag_seconds", "How much later than it was due the event loop did something.",
            registry=self.registry, buckets=_SECONDS,
        )  # fmt: skip
        # A rate can be asked for before the first one comes.
        for result in ("stored", "duplicate", "refused"):
            self.readings.labels(result)
        for result in ("accepted", "refused"):
            self.orders.labels(result)
        for door in ("readings", "orders", "outlooks"):
            self.batches.labels(door)

    async def watch_loop(self) -> None:
        """Measure how late the event loop is, until this is cancelled."""
        while True:
            due = time.perf_counter() + _EVERY
            await asyncio.sleep(_EVERY)
            self.lag.observe(max(time.perf_counter() - due, 0.0))
