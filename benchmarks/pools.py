"""Speed of the pools and of the central optimum; JSON on stdout.

One slot of a million members with seeded, random net energy. `shares` is the price and every member's local energy,
`trades` who takes from whom as well, `proved` the whole way through `Mechanism.clear` with its proof.
"""

from __future__ import annotations

import resource
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from _measure import median, show

from commonwatt.market import pool
from commonwatt.market.bill_sharing import share_bill
from commonwatt.market.designs import sdr, sdr_compensated
from commonwatt.market.designs.mid_market import MID_MARKET
from commonwatt.market.designs.mid_market import local_price as mid_market_price
from commonwatt.market.designs.sdr import SDR
from commonwatt.market.designs.sdr_compensated import SDR_COMPENSATED
from commonwatt.market.designs.sharing_key import SHARING_KEY, SharingKeyParameters, static, static_key
from commonwatt.market.designs.sharing_key import local_price as agreed_price
from commonwatt.market.interface import Frame, Orders, Positions
from commonwatt.market.mechanism import Mechanism
from commonwatt.market.optimum import by_solver, optimum
from commonwatt.units import MAX_PRICE

MEMBERS = 1_000_000
CEILING, FLOOR = 320_000, 80_000
PRICES: dict[str, pool.LocalPrice] = {
    "sdr": sdr.local_price,
    "sdr-compensated": partial(sdr_compensated.local_price, Fraction(1, 2)),
    "mid-market": mid_market_price,
    "sharing-key dynamic": partial(agreed_price, None),
    "sharing-key static": partial(agreed_price, None),
}
MECHANISMS: dict[str, tuple[Mechanism[Any], dict[str, object]]] = {
    "sdr": (SDR, {}),
    "sdr-compensated": (SDR_COMPENSATED, {}),
    "mid-market": (MID_MARKET, {}),
    "sharing-key dynamic": (SHARING_KEY, {"key": "dynamic"}),
    "sharing-key static": (SHARING_KEY, {"key": "static"}),
}


def pools(frame: Frame, positions: Positions) -> dict[str, object]:
    """Each pool at each stage."""
    key = static_key(frame, SharingKeyParameters(key="static"))
    figures: dict[str, object] = {}
    for name, (mechanism, parameters) in MECHANISMS.items():
        share = partial(static, *key) if name.endswith("static") else pool.pro_rata

        def shares(price: pool.LocalPrice = PRICES[name], share: pool.Share = share) -> object:
            agreed = pool.agreeable(positions.net, positions, lambda s, d: price(s, d, CEILING, FLOOR))
            return share(agreed[0], agreed[1], np.zeros(0, dtype=np.int64))

        valid = mechanism.parameters.model_validate(parameters)
        figures[name] = {
            "shares": median(shares),
            "trades": median(partial(mechanism.rule, frame, (positions,), valid)),
            "proved": median(partial(mechanism.clear, frame, (positions,), parameters)),
        }
    return figures


def optima(rng: np.random.Generator, sizes: tuple[int, ...] = (1_000, 10_000)) -> list[dict[str, object]]:
    """Merit order and HiGHS on the same orders."""
    figures: list[dict[str, object]] = []
    for size in sizes:
        frame = Frame(np.array([0]), np.array([0]), 0.25, size, np.array([CEILING]), np.array([FLOOR]))
        columns = rng.integers(0, 2, size), rng.integers(1, 5_000, size), rng.integers(FLOOR, CEILING, size)
        orders = Orders(np.arange(size), *columns)
        exact, solved = optimum(frame, 0, orders), by_solver(frame, [orders])
        figures.append(
            {
                "orders": size,
                "merit_order": median(partial(optimum, frame, 0, orders)),
                "highs": median(partial(by_solver, frame, [orders])),
                "relative_difference": abs(solved - exact) / exact,
            }
        )
    return figures


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(7)
    net = rng.integers(-3_000, 4_000, MEMBERS)
    frame = Frame(np.array([0]), np.array([0]), 0.25, MEMBERS, np.array([CEILING]), np.array([FLOOR]))
    any_price = Positions(net, np.full(MEMBERS, MAX_PRICE), np.full(MEMBERS, -MAX_PRICE))
    limits = (rng.integers(FLOOR, CEILING, MEMBERS) for _ in range(2))
    month = rng.integers(-3_000, 4_000, (1_000, 30 * 96))
    prices = np.full(month.shape[1], CEILING), np.full(month.shape[1], FLOOR)
    figures = {
        "members": MEMBERS,
        "pools_any_price": pools(frame, any_price),
        "pools_with_limits": pools(frame, Positions(net, *limits)),
        "bill_sharing_1000_members_one_month": median(partial(share_bill, month, *prices)),
        "optimum": optima(rng),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    show(figures, "highspy")


if __name__ == "__main__":
    main()
