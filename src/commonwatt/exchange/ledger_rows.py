"""What the ledger is told, as the store has it: commitments by gate, and posts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import func, select

from commonwatt.community.calendar import Slots
from commonwatt.exchange import tables
from commonwatt.exchange.outbox import Outgoing
from commonwatt.exchange.store import Store
from commonwatt.proof import keccak
from commonwatt.records import Post

_SIGNATURE: Final = 65
"""Bytes of one."""


def read_gates(store: Store, since: int) -> list[tuple[int, int, int]]:
    """What was committed at `since` [unix s] or later, in the order of time: when each gate closed, the first slot that
    was committed with it, and how many were."""
    c = tables.commitments.c
    query = select(c.gate, c.first, func.count()).where(c.gate >= since, c.orders != b"").group_by(c.gate, c.first)
    return [tuple(row) for row in store.ask(query.order_by(c.gate, c.first))]


def read_commitments(store: Store, slots: Slots) -> list[tuple[bytes, bytes]]:
    """Roots of orders and trades of each of these slots."""
    return [(orders, trades) for orders, trades in store.columns(tables.commitments, ("orders", "trades"), slots)]


def read_posts(store: Store) -> Iterator[tuple[int, Outgoing]]:
    """All posts with the time of each [unix s], from the one that the ledger was told last back to the first."""
    number, locks = store.most(tables.posts, "number"), _locks(store)
    while number is not None and number >= 0:
        for row in store.rows(tables.posts, number=number):
            yield row.posted_at, outgoing_of_row(row, locks)
        number -= 1


def read_unsigned(store: Store, threshold: int, since: int) -> list[tuple[int, Outgoing]]:
    """The posts of slots from `since` [unix s] on that fewer than `threshold` operators have signed, with the time of
    each [unix s], in the order in which they were made."""
    c = tables.posts.c
    few = select(tables.posts).where(c.slot >= since, func.length(c.signatures) < _SIGNATURE * threshold)
    locks = _locks(store)
    return [(row.posted_at, outgoing_of_row(row, locks)) for row in store.ask(few.order_by(c.number))]


def _locks(store: Store) -> dict[tuple[int, int], tuple[bytes, int]]:
    return {(row.slot, row.revision): (row.lock, row.until) for row in store.rows(tables.couplings)}


def outgoing_of_row(row: Any, locks: Mapping[tuple[int, int], tuple[bytes, int]] | None = None) -> Outgoing:
    """A post from its row. locks : by slot and revision, of those that have one: the lock, and its last second"""
    locked = (locks or {}).get((row.slot, row.revision), ())
    post = Post(row.slot, row.revision, row.orders, row.statements, keccak(row.deltas), *locked)
    parts = range(0, len(row.signatures), _SIGNATURE)
    return Outgoing(post, row.trades, row.deltas, tuple(row.signatures[at : at + _SIGNATURE] for at in parts))
