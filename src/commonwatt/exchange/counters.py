"""What each home has taken and given, and bought from and sold to neighbours, in all posts that were counted [Wh].

Totals follow the posts: each revision adds what it says more than the one before, so a correction is counted once, and
rows that leave the store take nothing with them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final, NamedTuple

import numpy as np
from sqlalchemy import select

from commonwatt.exchange import tables
from commonwatt.exchange.rows import counting
from commonwatt.exchange.store import Store, put_all, set_values
from commonwatt.units import IntArray

_COUNTED: Final = "counted"
"""The number of the last post that is in the totals."""
_AT_ONCE: Final = 32
"""Posts that are counted in one transaction."""


class Totals(NamedTuple):
    """The most that each total of a home ever was [Wh], so that none of them falls when a slot is corrected.

    imported, exported : what its meter counted; silence counts nothing
    bought, sold : what was settled of its trades with neighbours
    """

    imported: int
    exported: int
    bought: int
    sold: int


def count(store: Store) -> bool:
    """Count the oldest posts that are not in the totals yet. Returns whether there were any."""
    last = int(store.values().get(_COUNTED, "-1"))
    posts = tables.posts.c
    oldest = select(posts.number, posts.slot, posts.revision).where(posts.number > last)
    if not (found := store.ask(oldest.order_by(posts.number).limit(_AT_ONCE))):
        return False
    more = defaultdict[int, IntArray](lambda: np.zeros(len(Totals._fields), dtype=np.int64))
    for post in found:
        for member, wh in _moved(store, post.slot, post.revision).items():
            more[member] += wh
        if post.revision:
            for member, wh in _moved(store, post.slot, post.revision - 1).items():
                more[member] -= wh
    known = {(row.member, row.counter): (row.wh, row.most) for row in store.rows(tables.counters)}
    with store.transaction() as connection:
        put_all(connection, tables.counters, _rows(known, more))
        set_values(connection, {_COUNTED: str(found[-1].number)})
    return True


def counted(store: Store) -> str:
    """What changes when something else was counted."""
    return store.values().get(_COUNTED, "")


def totals(store: Store) -> dict[int, Totals]:
    """The totals of each home of which something was counted, by member."""
    found = defaultdict[int, dict[int, int]](dict)
    for row in store.rows(tables.counters):
        found[row.member][row.counter] = row.most
    return {member: Totals(*(own[counter] for counter in sorted(own))) for member, own in found.items()}


def _rows(known: dict[tuple[int, int], tuple[int, int]], more: dict[int, IntArray]) -> list[tuple[int, int, int, int]]:
    rows = []
    for member, moved in more.items():
        for counter, wh in enumerate(moved.tolist()):
            before, most = known.get((member, counter), (0, 0))
            rows.append((member, counter, before + wh, max(most, before + wh)))
    return rows


def _moved(store: Store, slot: int, revision: int) -> dict[int, IntArray]:
    """What counts in a revision of a slot, in the order of `Totals`, by member."""
    found = defaultdict[int, IntArray](lambda: np.zeros(len(Totals._fields), dtype=np.int64))
    for reading in counting(store.rows(tables.readings, slot=slot), revision):
        found[reading.member][:2] += (reading.wh_in, reading.wh_out)
    settled = store.columns(tables.trades, ("buyer", "seller", "settled"), slot=slot, revision=revision)
    for buyer, seller, wh in settled:
        found[buyer][2] += wh
        found[seller][3] += wh
    return found
