"""Statements of a slot: every member's trades with running sums, one leaf each, so that any fault is short to prove.

Sorted by member, within a member by order, purchases before sales, number of the trade, and ended by a sentinel: a
wrong sum is two adjacent leaves that disagree, an order filled above its energy two leaves that are too far apart, a
wrong delta a last leaf against the delta, a member passed over a gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from commonwatt.records import ZERO_HASH, Statement, Trade
from commonwatt.units import payment

SENTINEL_MEMBER: Final = 2**32 - 1


class Line(NamedTuple):
    """A trade as it settles: its record, that record's struct hash, and the energy that counts [Wh]."""

    trade: Trade
    hash: bytes
    settled: int


def statements(slot: int, revision: int, lines: Sequence[Line], readings: Sequence[bytes]) -> tuple[Statement, ...]:
    """The leaves of a slot's statements tree. readings : struct hash of each member's reading, by member index."""
    own = by_member(lines, len(readings))
    leaves = [
        leaf
        for member, reading in enumerate(readings)
        for leaf in member_statements(slot, revision, member, own[member], reading)
    ]
    return (*leaves, sentinel(slot, revision))


def by_member(lines: Iterable[Line], members: int) -> list[list[Line]]:
    """Each member's lines, in the order of its statements."""
    own: list[list[Line]] = [[] for _ in range(members)]
    for line in lines:
        own[line.trade.buyer].append(line)
        own[line.trade.seller].append(line)
    return [
        sorted(mine, key=lambda line, member=member: place_of(line.trade, member))  # type: ignore[misc]
        for member, mine in enumerate(own)
    ]


def place_of(trade: Trade, member: int) -> tuple[bytes, bool, int]:
    """Where a trade stands among the member's: by the member's order, purchases before sales, number."""
    buys = trade.buyer == member
    return (trade.buy_order if buys else trade.sell_order, not buys, trade.number)


def member_statements(
    slot: int, revision: int, member: int, lines: Sequence[Line], reading: bytes
) -> Iterator[Statement]:
    """One member's leaves with running sums; a single leaf without a trade when it had none."""
    if not lines:
        yield Statement(slot, revision, member, 0, 0, 0, ZERO_HASH, ZERO_HASH, reading)
    wh = money = 0
    for index, (trade, trade_hash, settled) in enumerate(lines):
        paid = payment(settled, trade.price)
        if trade.buyer == member:
            wh, money, order = wh + settled, money - paid, trade.buy_order
        else:
            wh, money, order = wh - settled, money + paid, trade.sell_order
        yield Statement(slot, revision, member, index, wh, money, trade_hash, order, reading)


def sentinel(slot: int, revision: int) -> Statement:
    """The leaf after the last member's."""
    return Statement(slot, revision, SENTINEL_MEMBER, 0, 0, 0, ZERO_HASH, ZERO_HASH, ZERO_HASH)
