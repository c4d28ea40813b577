"""The order book of one slot: a state machine without clock or chance. The same events give the same book.

Rules
* Price, then time: the best limit trades first; equal limits trade in the order in which they took their place.
* A trade's price is the limit of the order that was there first.
* The energy of an order is its total, traded and untraded; a quantity may be filled in parts.
* An amendment sets total, limit and expiry. It keeps its place only when the total becomes smaller and the limit
  stays; otherwise it goes to the end of the queue at its limit, and trades at once if it crosses.
* An order is void from its expiry on, before anything else that arrives at that time.
* An event that would trade with an order of the same member is refused as a whole. A refused event changes
  nothing, but a refused addition still uses up its number.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

import numpy as np

from commonwatt.market.interface import ADD, AMEND, CANCEL
from commonwatt.market.orderbook.result import BookOrders, BookResult, Reason, book_result
from commonwatt.records import BUY, SELL
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, IntArray

ANYBODY: Final = 2**31
"""Number of members when strangers are not to be looked for."""
BITS: Final = 40
"""Bits of a place in a queue: more events than any book will see."""
LOW: Final = (1 << BITS) - 1

# Plain integers: members of an enumeration are slow to look up.
_NONE, _KIND, _LATE, _STRANGER, _SIDE, _ENERGY, _LIMIT, _VOID, _NUMBER_USED, *_STATES = map(int, Reason)
_UNKNOWN, _REFUSED, _FILLED, _CANCELLED, _EXPIRED, _NOT_OWNER, _SIDE_CHANGED, _BELOW_FILLED, _SELF_TRADE = _STATES


class Book:
    """An order book that takes one event after the other.

    members : number of members; lowest, highest : limits that it admits [unit/kWh]
    events : number of events so far; now : time of the last one [unix s]
    """

    def __init__(self, members: int = ANYBODY, lowest: int = -MAX_PRICE, highest: int = MAX_PRICE) -> None:
        self.members, self.lowest, self.highest = members, lowest, highest
        self.events, self.now = 0, -(2**63)
        # Plain lists of integers: an object per order would cost more time in the garbage collector than here.
        self._row: dict[int, int] = {}
        self._member, self._side, self._expiry, self._limit = _lists(4)
        self._wh, self._left, self._place, self._state = _lists(4)
        # A key is (signed limit << BITS) + place, best first. What was cancelled or moved is dropped only when it
        # comes to the top: the order's place is no longer the key's.
        self._queues: tuple[list[int], list[int]] = ([], [])
        self._row_at_place: list[int] = []
        self._fills: list[int] = []

    def apply(self, kind: int, order: int, member: int, side: int, wh: int, limit: int, time: int, expiry: int) -> int:
        """Take the next event, see `interface.Events`; the Reason why it was refused, or 0."""
        self.events += 1
        row = self._row.get(order, -1)
        self._row_at_place.append(row)
        if time < self.now:
            if kind == ADD and row < 0:
                self._open(order, member, side)
            return _LATE
        self.now = time
        if kind == ADD:
            if row >= 0:
                return _NUMBER_USED
            row = self._open(order, member, side)
            if not 0 <= member < self.members:
                return _STRANGER
            if side != BUY and side != SELL:
                return _SIDE
            return self._put(row, wh, limit, expiry)
        if kind != AMEND and kind != CANCEL:
            return _KIND
        if row < 0:
            return _UNKNOWN
        if self._state[row]:
            return self._state[row]
        if self._expiry[row] <= time:
            return _EXPIRED
        if kind == CANCEL:
            self._state[row] = _CANCELLED
            return 0
        if member != self._member[row]:
            return _NOT_OWNER
        if side != self._side[row]:
            return _SIDE_CHANGED
        return self._put(row, wh, limit, expiry)

    def _open(self, order: int, member: int, side: int) -> int:
        """A row for a new order, which counts as refused until it is accepted."""
        row = self._row[order] = self._row_at_place[-1] = len(self._state)
        self._member.append(member)
        self._side.append(side)
        self._wh.append(0)
        self._left.append(0)
        self._limit.append(0)
        self._expiry.append(0)
        self._place.append(-1)
        self._state.append(_REFUSED)
        return row

    def _put(self, row: int, wh: int, limit: int, expiry: int) -> int:
        """Give the order its new values and trade what crosses; what is left rests."""
        if not 0 < wh <= MAX_ORDER_WH:
            return _ENERGY
        if not self.lowest <= limit <= self.highest:
            return _LIMIT
        if expiry <= self.now:
            return _VOID
        left = wh - self._wh[row] + self._left[row]
        if left <= 0:
            return _BELOW_FILLED
        if limit != self._limit[row] or wh >= self._wh[row]:
            side = self._side[row]
            signed = limit if side else -limit
            queue = self._queues[1 - side]
            if queue and queue[0] >> BITS <= -signed:
                left = self._trade(row, left, -signed, queue)
                if left < 0:
                    return _SELF_TRADE
            self._limit[row] = limit
            if left:
                place = self._place[row] = self.events - 1
                self._state[row] = 0
                heappush(self._queues[side], (signed << BITS) + place)
            else:
                self._state[row] = _FILLED
        self._wh[row], self._left[row], self._expiry[row] = wh, left, expiry
        return 0

    def _trade(self, taker: int, left: int, reach: int, queue: list[int]) -> int:
        """Energy left after trading with all that crosses, or -1: the member's own order is in the way."""
        places, lefts, states, expiries = self._place, self._left, self._state, self._expiry
        fills, first, member, now = self._fills, len(self._fills), self._member[taker], self.now
        while left and queue and queue[0] >> BITS <= reach:
            place = queue[0] & LOW
            maker = self._row_at_place[place]
            if places[maker] != place or states[maker] or expiries[maker] <= now:
                heappop(queue)
                continue
            if self._member[maker] == member:
                self._undo(first, queue)
                return -1
            wh = lefts[maker] if lefts[maker] < left else left
            left -= wh
            lefts[maker] -= wh
            fills += (self.events - 1, maker, taker, wh, self._limit[maker])
            if not lefts[maker]:
                heappop(queue)
                states[maker] = _FILLED
        return left

    def _undo(self, first: int, queue: list[int]) -> None:
        """Take back all trades from `first` on."""
        for maker, wh in zip(self._fills[first + 1 :: 5], self._fills[first + 3 :: 5], strict=True):
            if not self._left[maker]:
                signed = self._limit[maker] if self._side[maker] else -self._limit[maker]
                heappush(queue, (signed << BITS) + self._place[maker])
                self._state[maker] = 0
            self._left[maker] += wh
        del self._fills[first:]

    def result(self, rejections: IntArray) -> BookResult:
        """The book as it stands, with the rejections of the events that led to it."""
        columns = (self._member, self._side, self._wh, self._left, self._limit, self._expiry, self._place, self._state)
        orders = BookOrders(*(np.array(column, dtype=np.int64) for column in (list(self._row), *columns)))
        event, maker, taker, wh, price = np.array(self._fills, dtype=np.int64).reshape(-1, 5).T.copy()
        return book_result(orders, event, maker, taker, wh, price, rejections, self.now)


def _lists(count: int) -> tuple[list[int], ...]:
    return tuple([] for _ in range(count))
