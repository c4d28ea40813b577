"""What an order book answers: a reason for every refusal, every fill, and every order as it stands at the end."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np

from commonwatt.market.interface import Orders
from commonwatt.records import BUY, Trades
from commonwatt.units import MAX_ORDER_WH, IntArray


class Reason(IntEnum):
    """Why an event was refused; also why an order no longer rests."""

    NONE = 0
    KIND = 1
    LATE = 2
    STRANGER = 3
    SIDE = 4
    ENERGY = 5
    LIMIT = 6
    VOID = 7
    NUMBER_USED = 8
    UNKNOWN = 9
    REFUSED = 10
    FILLED = 11
    CANCELLED = 12
    EXPIRED = 13
    NOT_OWNER = 14
    SIDE_CHANGED = 15
    BELOW_FILLED = 16
    SELF_TRADE = 17

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.NONE: "The event was accepted.",
    Reason.KIND: "An event is an addition, an amendment or a cancellation; this is none of them.",
    Reason.LATE: "The event bears an earlier time than one before it.",
    Reason.STRANGER: "The member is not one of the community's.",
    Reason.SIDE: "An order buys or sells; this does neither.",
    Reason.ENERGY: f"The energy is not between 1 and {MAX_ORDER_WH} Wh.",
    Reason.LIMIT: "The limit is outside the prices that this book admits.",
    Reason.VOID: "The expiry is not after the arrival.",
    Reason.NUMBER_USED: "The number was used before.",
    Reason.UNKNOWN: "There is no order with this number.",
    Reason.REFUSED: "The order with this number was refused.",
    Reason.FILLED: "The order has been filled.",
    Reason.CANCELLED: "The order has been cancelled.",
    Reason.EXPIRED: "The order has expired.",
    Reason.NOT_OWNER: "An amendment cannot give an order to another member.",
    Reason.SIDE_CHANGED: "An amendment cannot turn a purchase into a sale or a sale into a purchase.",
    Reason.BELOW_FILLED: "The order has traded that much already; cancel it to withdraw the rest.",
    Reason.SELF_TRADE: "The member would trade with itself.",
}


@dataclass(frozen=True)
class Fills:
    """Trades in the order in which they came about; columns, each shape (fills,).

    event : row of the event that brought the trade about
    maker, taker : numbers of the order that was there first, and of the event's
    buyer, seller : member indices; wh : [Wh] > 0; price : the maker's limit [unit/kWh]
    """

    event: IntArray
    maker: IntArray
    taker: IntArray
    buyer: IntArray
    seller: IntArray
    wh: IntArray
    price: IntArray

    @property
    def trades(self) -> Trades:
        """The same without the orders' numbers."""
        return Trades(self.buyer, self.seller, self.wh, self.price)


@dataclass(frozen=True)
class BookOrders:
    """Every order that was ever accepted, by its number; columns, each shape (orders,).

    member, side, limit, expiry : as last amended
    wh, left : total and what of it has not traded [Wh]
    place : row of the event since which it stands in its queue, -1 when it does not rest
    state : 0 = rests, else Reason.FILLED, CANCELLED or EXPIRED
    """

    order: IntArray
    member: IntArray
    side: IntArray
    wh: IntArray
    left: IntArray
    limit: IntArray
    expiry: IntArray
    place: IntArray
    state: IntArray


@dataclass(frozen=True)
class BookResult:
    """What a book makes of its events; rejections : a Reason per event, shape (events,)."""

    rejections: IntArray
    fills: Fills
    orders: BookOrders

    @property
    def resting(self) -> Orders:
        """What is left at the end, best buying limits first, then best selling limits, each in order of time."""
        o = self.orders
        rests = np.flatnonzero(o.state == Reason.NONE)
        best = np.where(o.side == BUY, -o.limit, o.limit)
        rows = rests[np.lexsort((o.place[rests], best[rests], o.side[rests]))]
        return Orders(o.member[rows], o.side[rows], o.left[rows], o.limit[rows])

    @property
    def refusals(self) -> list[tuple[int, Reason]]:
        """Row and reason of every event that was refused."""
        rows = np.flatnonzero(self.rejections)
        return [(row, Reason(code)) for row, code in zip(rows.tolist(), self.rejections[rows].tolist(), strict=True)]


def book_result(
    orders: BookOrders,
    event: IntArray,
    maker: IntArray,
    taker: IntArray,
    wh: IntArray,
    price: IntArray,
    rejections: IntArray,
    now: int,
) -> BookResult:
    """The result of a book whose makers and takers are rows of `orders`, where refused ones still stand."""
    buys = orders.side[taker] == BUY
    buyer, seller = np.where(buys, taker, maker), np.where(buys, maker, taker)
    ends = orders.order[maker], orders.order[taker], orders.member[buyer], orders.member[seller]
    state = np.where((orders.state == 0) & (orders.expiry <= now), int(Reason.EXPIRED), orders.state)
    orders = replace(orders, state=state, place=np.where(state == 0, orders.place, -1))
    known = np.flatnonzero(state != Reason.REFUSED)
    known = known[np.argsort(orders.order[known], kind="stable")]
    kept = BookOrders(*(getattr(orders, column.name)[known] for column in fields(orders)))
    return BookResult(rejections, Fills(event, *ends, wh, price), kept)
