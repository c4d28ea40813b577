"""Orders through assume-framework's pay_as_clear. Its volumes are positive for supply."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from _measure import Row, compete
from assume.common.market_objects import MarketConfig, MarketProduct
from assume.markets.clearing_algorithms import PayAsClearRole
from dateutil import rrule

START, HOUR = datetime(2026, 1, 1), timedelta(hours=1)  # noqa: DTZ001  (assume takes naive times)
CONFIG = MarketConfig(
    market_id="benchmark",
    market_products=[MarketProduct(HOUR, 1, HOUR)],
    opening_hours=rrule.rrule(rrule.HOURLY, dtstart=START, until=START + HOUR),
    opening_duration=HOUR,
    market_mechanism="pay_as_clear",
)


def prepare(rows: list[Row]) -> list[dict[str, Any]]:
    """Its order book; the market alters it."""
    return [
        {"start_time": START, "end_time": START + HOUR, "only_hours": None, "node": None}
        | {"agent_addr": row, "bid_id": str(row), "volume": -wh if buys else wh, "price": limit}
        for row, (buys, wh, limit) in enumerate(rows)
    ]


def run(book: list[dict[str, Any]]) -> Any:
    """Clear one hour."""
    return PayAsClearRole(CONFIG).clear(book, [(START, START + HOUR, None)])


def read(found: Any, orders: int) -> list[float]:
    """The accepted volume of each order."""
    energy = [0.0] * orders
    for order in found[0]:
        energy[order["agent_addr"]] += abs(order["accepted_volume"])
    return energy


if __name__ == "__main__":
    compete("assume-framework", prepare, run, read)
