"""Orders through pymarket's MUDA. It splits the bids by chance; the seed is fixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymarket
from _measure import Row, compete


def prepare(rows: list[Row]) -> Any:
    """A market that has accepted the bids."""
    market = pymarket.Market()
    for user, (buys, wh, limit) in enumerate(rows):
        market.accept_bid(float(wh), float(limit), user, bool(buys), 0)
    return market


def run(market: Any) -> Any:
    """Clear them."""
    return market.run("muda", r=np.random.RandomState(1))


def read(found: Any, orders: int) -> list[float]:
    """The quantity of each bid in the table of transactions."""
    energy, table = [0.0] * orders, found[0].get_df()
    for row, wh in zip(table["bid"].tolist(), table["quantity"].tolist(), strict=True):
        energy[row] += wh
    return energy


if __name__ == "__main__":
    compete("pymarket", prepare, run, read)
