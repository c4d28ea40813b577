"""Clear the orders on stdin with pymarket's MUDA; seconds and what traded on stdout, as JSON."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pymarket


def main() -> None:
    """Accepting the bids is not timed. MUDA splits the bids by chance; the seed is fixed."""
    rows = json.load(sys.stdin)
    market = pymarket.Market()
    for user, (buys, wh, limit) in enumerate(rows):
        market.accept_bid(float(wh), float(limit), user, bool(buys), 0)
    begin = time.process_time()
    transactions, _ = market.run("muda", r=np.random.RandomState(1))
    seconds = time.process_time() - begin
    table = transactions.get_df()
    done = list(zip(table["bid"].tolist(), table["quantity"].tolist(), strict=True))
    bought = sum(wh for row, wh in done if rows[row][0])
    sold = sum(wh for row, wh in done if not rows[row][0])
    surplus = sum(wh * rows[row][2] * (1 if rows[row][0] else -1) for row, wh in done) // 1000
    json.dump({"seconds": seconds, "bought_wh": bought, "sold_wh": sold, "surplus": surplus}, sys.stdout)


if __name__ == "__main__":
    main()
