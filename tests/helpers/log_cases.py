"""Logs of an order book, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from commonwatt.market.interface import ADD, AMEND, CANCEL
from commonwatt.records import BUY, SELL
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE

Event = tuple[int, int, int, int, int, int, int, int]
"""A line of a log: kind, order, member, side, energy [Wh], limit [micro-currency/kWh], time, expiry."""

FOREVER = 10**9

numbers = st.integers(0, 9)
# Mostly sensible values, so that books grow; now and then a wrong one for every check.
events_of_a_log = st.tuples(
    st.sampled_from([ADD, ADD, ADD, ADD, AMEND, AMEND, CANCEL, 3]),
    numbers,
    st.sampled_from([0, 1, 2, 3, None, None, None, -1, 4]),
    st.sampled_from([BUY, SELL, None, None, None, 2]),
    st.one_of(st.integers(1, 30), st.sampled_from([0, -3, MAX_ORDER_WH, MAX_ORDER_WH + 1])),
    st.one_of(st.integers(98, 103), st.sampled_from([95, 110, MAX_PRICE, -MAX_PRICE])),
    st.sampled_from([0, 0, 1, 1, 2, -1]),
    st.sampled_from([1, 3, 10, FOREVER, FOREVER, 0]),
)


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Logs in which, if not drawn otherwise, a number goes with one member and one side."""
    rows: list[Event] = []
    time = 0
    wide = draw(st.sampled_from([1, 2**40]))
    for kind, number, member, side, wh, limit, step, life in draw(st.lists(events_of_a_log, max_size=60)):
        time += step
        member = number % 4 if member is None else member
        side = number // 4 % 2 if side is None else side
        rows.append((kind, number * wide, member, side, wh, limit, time, time + life))
    return rows
