"""Clear the orders on stdin with assume-framework's pay_as_clear; seconds and what traded on stdout, as JSON."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime, timedelta

from assume.common.market_objects import MarketConfig, MarketProduct
from assume.markets.clearing_algorithms import PayAsClearRole
from dateutil import rrule

START, HOUR = datetime(2026, 1, 1), timedelta(hours=1)  # noqa: DTZ001  (assume takes naive times)


def main() -> None:
    """Its volumes are positive for supply. Building the order book is not timed."""
    opening = rrule.rrule(rrule.HOURLY, dtstart=START, until=START + HOUR)
    config = MarketConfig(
        market_id="benchmark",
        market_products=[MarketProduct(HOUR, 1, HOUR)],
        opening_hours=opening,
        opening_duration=HOUR,
        market_mechanism="pay_as_clear",
    )
    book = [
        {"start_time": START, "end_time": START + HOUR, "only_hours": None, "node": None}
        | {"agent_addr": row, "bid_id": str(row), "volume": -wh if buys else wh, "price": limit}
        for row, (buys, wh, limit) in enumerate(json.load(sys.stdin))
    ]
    role = PayAsClearRole(config)
    begin = time.process_time()
    accepted, _, meta, _ = role.clear(book, [(START, START + HOUR, None)])
    seconds = time.process_time() - begin
    surplus = -sum(order["accepted_volume"] * order["price"] for order in accepted) // 1000
    bought, sold = meta[0]["demand_volume"], meta[0]["supply_volume"]
    json.dump({"seconds": seconds, "bought_wh": bought, "sold_wh": sold, "surplus": surplus}, sys.stdout)


if __name__ == "__main__":
    main()
