"""The order book of `orderbook` once more, on arrays, for numba's compiler; results are the same to the last bit.

The functions below `_play` also run without numba, slowly, so that a test can compare them anywhere. An event and an
order are one row of eight integers each, so that whatever the book needs of it comes in one go from memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Final, NamedTuple

import numpy as np

from commonwatt.market.interface import ADD, AMEND, CANCEL, Events
from commonwatt.market.orderbook.result import BookOrders, BookResult, Reason, book_result
from commonwatt.records import BUY, SELL
from commonwatt.units import MAX_ORDER_WH, IntArray

# Columns of an event and of an order; what they share has the same place. Then those of `_Book.running`.
KIND, ROW, MEMBER, SIDE, WH, LIMIT, TIME, EXPIRY = range(8)
STATE, LEFT, PLACE = KIND, ROW, TIME
NOW, FILLED = 2, 3

UNSEEN: Final = -1
BITS: Final = 31
"""A queue's keys are (rank of the limit << BITS) + place: best limit first, then time. Both parts have fewer bits."""
LOW: Final = (1 << BITS) - 1

# The compiler takes plain integers, not members of an enumeration.
_NONE, _KIND, _LATE, _STRANGER, _SIDE, _ENERGY, _LIMIT, _VOID, _NUMBER_USED, *_STATES = map(int, Reason)
_UNKNOWN, _REFUSED, _FILLED, _CANCELLED, _EXPIRED, _NOT_OWNER, _SIDE_CHANGED, _BELOW_FILLED, _SELF_TRADE = _STATES


class _Book(NamedTuple):
    """Events and what is made of them, a row each.

    events : shape (events, 8); their column ROW is a row of `orders`, shape (orders, 8)
    rank : of the limit among those of its side, best first, shape (events,); top : the worst rank of all
    queues : a heap of keys per side, shape (2, events + 1)
    running : length of each heap, time, number of fills, shape (4,)
    fills : event, row of the maker, energy, price, shape (fills, 4)
    """

    events: IntArray
    rank: IntArray
    orders: IntArray
    queues: IntArray
    running: IntArray
    fills: IntArray
    members: int
    lowest: int
    highest: int
    top: int


def play(events: Events, members: int, lowest: int, highest: int, *, compiled: bool = True) -> BookResult:
    """`continuous.run_book`. Raises ModuleNotFoundError when `compiled` is wanted and numba is missing."""
    book, codes = _empty(events, members, lowest, highest), np.empty(len(events.kind), dtype=np.int64)
    (_compiled() if compiled else _play)(book, codes)
    return _result(events, book, codes)


def _empty(events: Events, members: int, lowest: int, highest: int) -> _Book:
    e, count = events, len(events.kind)
    row, rank = dense(e.order, 4 * count), dense(e.limit, 1 << BITS)
    top = int(rank.max(initial=0))
    rank = np.where(e.side == BUY, top - rank, rank)
    orders = np.zeros((int(row.max(initial=-1)) + 1, 8), dtype=np.int64)
    orders[:, STATE] = UNSEEN
    queues, running = np.empty((2, count + 1), dtype=np.int64), np.array([0, 0, -(2**63), 0], dtype=np.int64)
    # Each fill fills up its maker, which happens once per order, or its event.
    fills = np.empty((2 * count, 4), dtype=np.int64)
    columns = (e.kind, row, e.member, e.side, e.wh, e.limit, e.time, e.expiry)
    return _Book(np.stack(columns, axis=1), rank, orders, queues, running, fills, members, lowest, highest, top)


def _result(events: Events, book: _Book, codes: IntArray) -> BookResult:
    """The arrays in the words of `orderbook`."""
    row = book.events[:, ROW]
    number = np.zeros(len(book.orders), dtype=np.int64)
    number[row] = events.order
    orders = book.orders.T.copy()
    orders[STATE, orders[STATE] == UNSEEN] = _REFUSED
    named = (MEMBER, SIDE, WH, LEFT, LIMIT, EXPIRY, PLACE, STATE)
    event, maker, wh, price = book.fills[: book.running[FILLED]].T.copy()
    held = BookOrders(number, *(orders[column] for column in named))
    return book_result(held, event, maker, row[event], wh, price, codes, int(book.running[NOW]))


@cache
def _compiled() -> Callable[[_Book, IntArray], None]:
    numba, extending = import_module("numba"), import_module("numba.extending")
    for part in (_take, _open, _find, _put, _trade, _undo, _push, _pop):
        # Nothing here allocates; counting references to the arrays at every call would take most of the time.
        extending.register_jitable(forceinline=True, _nrt=False)(part)
    run: Callable[[_Book, IntArray], None] = numba.njit(_nrt=False)(_play)
    return run


def dense(values: IntArray, room: int) -> IntArray:
    """Small integers >= 0 in the order of `values`, equal for equal values; sorts only where `room` is too small."""
    if len(values) == 0:
        return values
    least = int(values.min())
    if int(values.max()) - least < room:
        return values - least
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _play(book: _Book, codes: IntArray) -> None:
    for event in range(len(codes)):
        codes[event] = _take(book, event)


def _take(book: _Book, event: int) -> int:
    wanted, running = book.events[event], book.running
    order, kind = book.orders[wanted[ROW]], wanted[KIND]
    if wanted[TIME] < running[NOW]:
        if kind == ADD and order[STATE] == UNSEEN:
            order[STATE] = _REFUSED
        return _LATE
    running[NOW] = wanted[TIME]
    if kind == ADD:
        code = _open(book, wanted, order)
    elif kind in (AMEND, CANCEL):
        code = _find(wanted, order)
    else:
        return _KIND
    if code != _NONE:
        return code
    if kind == CANCEL:
        order[STATE] = _CANCELLED
        return _NONE
    return _put(book, event, wanted, order)


def _open(book: _Book, wanted: IntArray, order: IntArray) -> int:
    """Whether there can be such an order; until it is accepted it counts as refused."""
    if order[STATE] != UNSEEN:
        return _NUMBER_USED
    order[STATE], order[MEMBER], order[SIDE] = _REFUSED, wanted[MEMBER], wanted[SIDE]
    if not 0 <= wanted[MEMBER] < book.members:
        return _STRANGER
    if wanted[SIDE] != BUY and wanted[SIDE] != SELL:
        return _SIDE
    return _NONE


def _find(wanted: IntArray, order: IntArray) -> int:
    """Whether there is an order that can be changed in this way."""
    if order[STATE] == UNSEEN:
        return _UNKNOWN
    if order[STATE] != _NONE:
        return int(order[STATE])
    if order[EXPIRY] <= wanted[TIME]:
        return _EXPIRED
    if wanted[KIND] == CANCEL:
        return _NONE
    if wanted[MEMBER] != order[MEMBER]:
        return _NOT_OWNER
    if wanted[SIDE] != order[SIDE]:
        return _SIDE_CHANGED
    return _NONE


def _put(book: _Book, event: int, wanted: IntArray, order: IntArray) -> int:
    wh, limit, expiry = wanted[WH], wanted[LIMIT], wanted[EXPIRY]
    if not 0 < wh <= MAX_ORDER_WH:
        return _ENERGY
    if not book.lowest <= limit <= book.highest:
        return _LIMIT
    if expiry <= wanted[TIME]:
        return _VOID
    left = wh - order[WH] + order[LEFT]
    if left <= 0:
        return _BELOW_FILLED
    if limit != order[LIMIT] or wh >= order[WH]:
        left = _trade(book, event, order, left)
        if left < 0:
            return _SELF_TRADE
        order[LIMIT] = limit
        if left > 0:
            order[PLACE], order[STATE] = event, _NONE
            _push(book, order[SIDE], (book.rank[event] << BITS) + event)
        else:
            order[STATE] = _FILLED
    order[WH], order[LEFT], order[EXPIRY] = wh, left, expiry
    return _NONE


def _trade(book: _Book, event: int, taker: IntArray, left: int) -> int:
    """Energy left after trading with all that crosses, or -1: the member's own order is in the way."""
    running, member, other = book.running, taker[MEMBER], 1 - taker[SIDE]
    queue, reach, first = book.queues[other], book.top - book.rank[event], running[FILLED]
    while left > 0 and running[other] > 0 and queue[0] >> BITS <= reach:
        place = queue[0] & LOW
        row = book.events[place, ROW]
        maker = book.orders[row]
        if maker[PLACE] != place or maker[STATE] != _NONE or maker[EXPIRY] <= running[NOW]:
            _pop(book, other)
            continue
        if maker[MEMBER] == member:
            _undo(book, first, other)
            return -1
        wh, fill = min(maker[LEFT], left), book.fills[running[FILLED]]
        left -= wh
        maker[LEFT] -= wh
        fill[0], fill[1], fill[2], fill[3] = event, row, wh, maker[LIMIT]
        running[FILLED] += 1
        if maker[LEFT] == 0:
            maker[STATE] = _FILLED
            _pop(book, other)
    return left


def _undo(book: _Book, first: int, side: int) -> None:
    """Take back all trades from `first` on."""
    for fill in book.fills[first : book.running[FILLED]]:
        maker = book.orders[fill[1]]
        if maker[LEFT] == 0:
            place = maker[PLACE]
            _push(book, side, (book.rank[place] << BITS) + place)
            maker[STATE] = _NONE
        maker[LEFT] += fill[2]
    book.running[FILLED] = first


def _push(book: _Book, side: int, key: int) -> None:
    queue, hole = book.queues[side], book.running[side]
    book.running[side] += 1
    while hole > 0 and queue[(hole - 1) >> 1] > key:
        queue[hole] = queue[(hole - 1) >> 1]
        hole = (hole - 1) >> 1
    queue[hole] = key


def _pop(book: _Book, side: int) -> None:
    """Drop the first key: the hole sinks to the bottom, and the last key rises from there.

    The last key belongs near the bottom, and without comparing it on the way down there is nothing to guess. It
    still stands behind the end, where it may be taken for a child; then it has risen already.
    """
    queue = book.queues[side]
    book.running[side] -= 1
    length, hole = book.running[side], 0
    key = queue[length]
    while 2 * hole + 2 <= length:
        child = 2 * hole + 1
        child += queue[child + 1] < queue[child]
        queue[hole] = queue[child]
        hole = child
    while hole > 0 and queue[(hole - 1) >> 1] > key:
        queue[hole] = queue[(hole - 1) >> 1]
        hole = (hole - 1) >> 1
    queue[hole] = key
