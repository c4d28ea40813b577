"""Statements of a slot: one for each member, over a tree of its own lines, so that none shows anything of another's.

A statement stands at the place of its member's number, and behind the last one a place stays empty, which shows that no
other member has one. A member's lines are sorted by order, purchases before sales, number of the trade, with running
sums: a wrong sum is two lines side by side that disagree, an order filled above its energy two that are too far apart,
a wrong delta a statement against the delta, a member passed over an empty place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from commonwatt.proof import Tree, hash_struct, keccak
from commonwatt.records import ZERO_HASH, Line, Statement, Trade
from commonwatt.units import payment


class Booked(NamedTuple):
    """A trade as it settles: its record, that record's struct hash, and the energy that counts [Wh]."""

    trade: Trade
    hash: bytes
    settled: int


def by_member(booked: Iterable[Booked], members: int) -> list[list[Booked]]:
    """Each member's trades, in the order of its lines."""
    own: list[list[Booked]] = [[] for _ in range(members)]
    for each in booked:
        own[each.trade.buyer].append(each)
        own[each.trade.seller].append(each)
    return [
        sorted(mine, key=lambda each, member=member: place_of(each.trade, member))  # type: ignore[misc]
        for member, mine in enumerate(own)
    ]


def place_of(trade: Trade, member: int) -> tuple[bytes, bool, int]:
    """Where a trade stands among the member's: by the member's order, purchases before sales, number."""
    buys = trade.buyer == member
    return (trade.buy_order if buys else trade.sell_order, not buys, trade.number)


def lines_of(member: int, booked: Sequence[Booked]) -> tuple[Line, ...]:
    """The member's lines with running sums; none when it had no trade."""
    bought = sold = money = 0
    lines = []
    for trade, trade_hash, settled in booked:
        paid = payment(settled, trade.price)
        if trade.buyer == member:
            bought, money, order = bought + settled, money - paid, trade.buy_order
        else:
            sold, money, order = sold + settled, money + paid, trade.sell_order
        lines.append(Line(bought, sold, money, trade_hash, order))
    return tuple(lines)


def line_tree(lines: Iterable[Line]) -> Tree:
    """The tree of a member's lines."""
    return Tree.of([hash_struct(line) for line in lines])


def statement_of(lines: Sequence[Line], reading: bytes, salt: bytes) -> Statement:
    """The statement over a member's lines. reading : struct hash of its reading, zero where none came"""
    last = lines[-1] if lines else Line(0, 0, 0, ZERO_HASH, ZERO_HASH)
    return Statement(last.bought, last.sold, last.money, reading, line_tree(lines).root, salt)


def statement_tree(statements: Iterable[Statement | None]) -> Tree:
    """The tree of a slot's statements, by member index, with the empty place behind them; None = an empty place."""
    return Tree.of([*(hash_struct(each) if each else ZERO_HASH for each in statements), ZERO_HASH])


def empty_place(member: int, depth: int) -> int:
    """The place that is empty when a member has no statement in a tree of this depth: its own, or the last there is."""
    return min(member, (1 << depth) - 1)


def salt_of(signature: bytes, slot: int, revision: int) -> bytes:
    """The salt of a member's statement, from a signature that nobody else is shown.

    signature : of the member's reading or, where none came, of its mandate, 65 bytes
    """
    return keccak(signature + slot.to_bytes(8, "big") + revision.to_bytes(4, "big"))
