"""`pay-as-bid`: a periodic double auction in which each pair trades at a price of its own.

The same energy trades as in `uniform`. The dearest bid is served by the cheapest ask, then the next, along one line of
energy; equal limits in order of member index, then of arrival. `price` says what a pair pays:

    "buyer"     the buyer's bid: pay-as-bid of the local market simulator gsy-e; the default
    "seller"    the seller's ask: pay-as-bid of the market simulator assume
    "midpoint"  the middle of both, rounded down: the k-double auction of Chatterjee and Samuelson with k = 1/2

The names of the rules are as known in the field; both simulators were read in their published code.
What a member would sell to itself is left with it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from commonwatt.market import curves
from commonwatt.market.exact import exact_dot, exact_sum
from commonwatt.market.interface import Frame, Orders, Outcome, Parameters
from commonwatt.market.mechanism import Mechanism
from commonwatt.market.pool import pair
from commonwatt.records import Trades
from commonwatt.units import IntArray

Price = Literal["buyer", "seller", "midpoint"]


class PayAsBidParameters(Parameters):
    """Parameters of `pay-as-bid`: whose limit a pair pays, "buyer", "seller", or the "midpoint" of both."""

    price: Price = "buyer"


def rule(frame: Frame, inputs: tuple[Orders, ...], parameters: PayAsBidParameters) -> tuple[Outcome, ...]:
    """Clear each slot by itself."""
    bounds = zip(frame.ceiling.tolist(), frame.floor.tolist(), strict=True)
    return tuple(_auction(orders, parameters.price, *corridor) for orders, corridor in zip(inputs, bounds, strict=True))


def _auction(orders: Orders, rule_of_price: Price, ceiling: int, floor: int) -> Outcome:
    book = curves.admit(orders, ceiling, floor)
    meeting = curves.meet(book.bids, book.asks)
    if not meeting.wh:
        return Outcome(diagnostics={"case": meeting.case, **book.refused})
    bought = book.bids.filled(meeting.price, meeting.wh)
    sold = book.asks.filled(meeting.price, meeting.wh)
    figures = curves.welfare(book, meeting, bought, sold)
    best_bids, best_asks = _merit(book.bids, bought), _merit(book.asks, sold)
    bid, ask, wh = pair(bought[best_bids], sold[best_asks])
    bid, ask = best_bids[bid], best_asks[ask]
    price = _price(book.bids.limit[bid], book.asks.limit[ask], rule_of_price)
    trades = Trades(book.bids.member[bid], book.asks.member[ask], wh, price)
    return Outcome(trades.keep(trades.buyer != trades.seller), _summary(trades), figures)


def _merit(side: curves.Side, wh: IntArray) -> IntArray:
    """Places of the orders that trade, from the best limit on; equal limits by member, then as given."""
    places = np.flatnonzero(wh)
    return places[np.lexsort((side.member[places], -side.sign * side.limit[places]))]


def _price(bid: IntArray, ask: IntArray, rule_of_price: Price) -> IntArray:
    if rule_of_price == "midpoint":
        return (bid + ask) // 2
    return bid if rule_of_price == "buyer" else ask


def _summary(trades: Trades) -> dict[str, int]:
    average = exact_dot(trades.wh, trades.price) // exact_sum(trades.wh)
    return {"average": average, "lowest": int(trades.price.min()), "highest": int(trades.price.max())}


PAY_AS_BID = Mechanism(
    "pay-as-bid", "ahead", Orders, PayAsBidParameters, rule, "periodic double auction, as known in the field"
)
