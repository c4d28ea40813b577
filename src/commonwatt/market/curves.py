"""Demand and supply of one slot as curves: which orders are admitted, where the curves meet, who is filled how far.

Bids are laid from the dearest to the cheapest, asks from the cheapest to the dearest, along one line of energy. They
trade as far as a bid meets an ask that is not above it: the largest energy among those with the largest surplus.
Every price from `low` to `high` clears that energy:

    low  = max(last ask that trades, first bid that does not)
    high = min(last bid that trades, first ask that does not)

| case          | how the curves meet                                         | price               |
|---------------|-------------------------------------------------------------|---------------------|
| "between"     | both last orders trade whole, the next bid is below the ask | any in [low, high]  |
| "bids-shared" | the last bid, or one equal to it, does not trade whole      | that bid's limit    |
| "asks-shared" | the last ask, or one equal to it, does not trade whole      | that ask's limit    |
| "apart"       | the best bid is below the best ask                          | none, no trade      |
| "no-bids", "no-asks", "empty" | one side, or both, has no admitted order    | none, no trade      |

Orders better than the price are filled whole; those exactly at the price share what is left in proportion to their
energy, by largest remainder, ties to the lower member index, then to the earlier order. An order whose limit is
outside the corridor [floor, ceiling] is refused, and the diagnostics name it: its owner would be worse off than with
the utility, or asks for what no one can gain from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commonwatt.market.exact import exact_dot, exact_sum
from commonwatt.market.interface import Orders
from commonwatt.records import BUY
from commonwatt.units import WH_PER_KWH, IntArray, largest_remainder

Diagnostics = dict[str, int | float | str]


@dataclass(frozen=True)
class Side:
    """The bids or the asks of a slot; columns, each shape (orders,), in the order in which they were given.

    sign : 1 of bids, −1 of asks, so that sign·limit is larger for the better order
    """

    sign: int
    member: IntArray
    wh: IntArray
    limit: IntArray

    def only(self, which: NDArray[np.bool_] | IntArray) -> Side:
        """The orders where a mask is true, or at places, in that order."""
        return Side(self.sign, self.member[which], self.wh[which], self.limit[which])

    def ranked(self) -> IntArray:
        """Places of the orders from the best limit on; equal limits in the order given."""
        return np.argsort(-self.sign * self.limit, kind="stable")

    def filled(self, price: int, energy: int) -> IntArray:
        """How `energy` is divided among the orders at `price`, shape (orders,) [Wh]."""
        gain = self.sign * (self.limit - price)
        got = np.where(gain > 0, self.wh, 0)
        margin = np.flatnonzero(gain == 0)
        margin = margin[np.argsort(self.member[margin], kind="stable")]
        got[margin] = largest_remainder(energy - exact_sum(got), self.wh[margin])
        return got


@dataclass(frozen=True)
class Book:
    """The admitted orders of a slot, and the reason for each one that is not."""

    bids: Side
    asks: Side
    refused: Diagnostics


@dataclass(frozen=True)
class Meeting:
    """Where the curves meet: traded energy [Wh], the prices that clear it and the limit of the last ask that trades."""

    case: str
    wh: int = 0
    low: int = 0
    high: int = 0
    last_ask: int = 0

    @property
    def price(self) -> int:
        """The middle of the interval, rounded down."""
        return (self.low + self.high) // 2


def admit(orders: Orders, ceiling: int, floor: int) -> Book:
    """Bids and asks within the corridor."""
    above, below = orders.limit > ceiling, orders.limit < floor
    refused: Diagnostics = {}
    for row in np.flatnonzero(above | below).tolist():
        bound = f"above the ceiling {ceiling}" if above[row] else f"below the floor {floor}"
        refused[f"order {row}"] = f"refused: its limit {int(orders.limit[row])} is {bound}"
    if refused:
        refused = {"refused": len(refused), **refused}
    within, buys = ~(above | below), orders.side == BUY
    columns = (orders.member, orders.wh, orders.limit)
    return Book(Side(1, *columns).only(within & buys), Side(-1, *columns).only(within & ~buys), refused)


def meet(bids: Side, asks: Side) -> Meeting:
    """Where demand and supply meet."""
    if not (len(bids.wh) and len(asks.wh)):
        return Meeting("no-bids" if len(asks.wh) else "no-asks" if len(bids.wh) else "empty")
    bid_order, ask_order = bids.ranked(), asks.ranked()
    bid, ask = bids.limit[bid_order], asks.limit[ask_order]
    demand, supply = np.cumsum(bids.wh[bid_order]), np.cumsum(asks.wh[ask_order])
    # At each bid's limit at most the demand down to it and the supply up to it can trade.
    sellers = np.searchsorted(ask, bid, side="right")
    energy = int(np.minimum(demand, np.concatenate([[0], supply])[sellers]).max())
    if energy == 0:
        return Meeting("apart")
    last_bid, next_bid = _around(bid, demand, energy)
    last_ask, next_ask = _around(ask, supply, energy)
    low = last_ask if next_bid is None else max(last_ask, next_bid)
    high = last_bid if next_ask is None else min(last_bid, next_ask)
    case = "bids-shared" if next_bid == last_bid else "asks-shared" if next_ask == last_ask else "between"
    return Meeting(case, energy, low, high, last_ask)


def _around(limit: IntArray, until: IntArray, energy: int) -> tuple[int, int | None]:
    """Limits of the last Wh within `energy` and of the first one beyond it."""
    last, beyond = np.searchsorted(until, energy, side="left"), np.searchsorted(until, energy, side="right")
    return int(limit[last]), int(limit[beyond]) if beyond < len(limit) else None


@dataclass(frozen=True)
class Fills:
    """What trades in a slot: of each bid and of each ask of the book, shape (bids,) and (asks,) [Wh]."""

    book: Book
    meeting: Meeting
    bought: IntArray
    sold: IntArray
    figures: Diagnostics


def filled(orders: Orders, ceiling: int, floor: int) -> Fills:
    """The orders within the corridor, each filled as far as the curves' meeting allows."""
    book = admit(orders, ceiling, floor)
    meeting = meet(book.bids, book.asks)
    if not meeting.wh:
        nothing = np.zeros_like(book.bids.wh), np.zeros_like(book.asks.wh)
        return Fills(book, meeting, *nothing, {"case": meeting.case, **book.refused})
    bought, sold = (side.filled(meeting.price, meeting.wh) for side in (book.bids, book.asks))
    return Fills(book, meeting, bought, sold, welfare(book, meeting, bought, sold))


def welfare(book: Book, meeting: Meeting, bought: IntArray, sold: IntArray) -> Diagnostics:
    """Surplus that the fills bring [unit, rounded down] and its exact gap to the optimum [the same / 1000].

    surplus = Σ bid·bought − Σ ask·sold. By duality of the linear programme no fills can bring more than
    Σ (bid − price)⁺·wh + Σ (price − ask)⁺·wh at any price; where the two are equal, both are optimal.
    """
    bids, asks = book.bids, book.asks
    surplus = exact_dot(bought, bids.limit) - exact_dot(sold, asks.limit)
    most = exact_dot(bids.wh, np.maximum(bids.limit - meeting.price, 0))
    most += exact_dot(asks.wh, np.maximum(meeting.price - asks.limit, 0))
    figures: Diagnostics = {"traded_wh": meeting.wh, "surplus": surplus // WH_PER_KWH, "gap": most - surplus}
    return {"case": meeting.case, **figures, **book.refused}
