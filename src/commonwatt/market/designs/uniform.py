"""`uniform`: a periodic double auction in which everyone who trades pays or receives one price.

Also called call auction or pay-as-clear: the auction of day-ahead exchanges, and among the designs compared for local
markets. It is known in the field; the rule and its cases are defined here and in `curves`:

    energy  the largest that maximises Σ bid − Σ ask over the energy that trades
    price   the middle of all prices that clear it, rounded down to a unit of money
    fill    whole when better than the price; at the price in proportion to the energy ordered

Buyers and sellers, each in order of member index, are laid along one line of energy to say who serves whom; under one
price nobody cares. What a member would sell to itself is left with it.
"""

from __future__ import annotations

import numpy as np

from commonwatt.market import curves
from commonwatt.market.interface import Frame, Orders, Outcome, Parameters
from commonwatt.market.mechanism import Mechanism
from commonwatt.market.pool import pair
from commonwatt.records import Trades
from commonwatt.units import IntArray


class UniformParameters(Parameters):
    """`uniform` has no parameters."""


def rule(frame: Frame, inputs: tuple[Orders, ...], _: UniformParameters) -> tuple[Outcome, ...]:
    """Clear each slot by itself."""
    bounds = zip(frame.ceiling.tolist(), frame.floor.tolist(), strict=True)
    return tuple(_auction(orders, frame.members, *corridor) for orders, corridor in zip(inputs, bounds, strict=True))


def _auction(orders: Orders, members: int, ceiling: int, floor: int) -> Outcome:
    fills = curves.filled(orders, ceiling, floor)
    book, price = fills.book, fills.meeting.price
    if not fills.meeting.wh:
        return Outcome(diagnostics=fills.figures)
    buyer, seller, wh = pair(_of_members(book.bids, fills.bought, members), _of_members(book.asks, fills.sold, members))
    trades = Trades(buyer, seller, wh, np.full(len(wh), price, dtype=np.int64))
    return Outcome(trades.keep(buyer != seller), {"local": price}, fills.figures)


def _of_members(side: curves.Side, wh: IntArray, members: int) -> IntArray:
    """What the orders of each member come to, shape (members,) [Wh]."""
    total = np.zeros(members, dtype=np.int64)
    np.add.at(total, side.member, wh)
    return total


UNIFORM = Mechanism(
    "uniform", "ahead", Orders, UniformParameters, rule, "periodic double auction, as known in the field"
)
