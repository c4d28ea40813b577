"""Merkle proofs of statement lines, rebuilt from the exchange's store."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from commonwatt.errors import StoreError
from commonwatt.exchange import store as tables
from commonwatt.exchange.statements import Line, by_member, member_statements, sentinel
from commonwatt.exchange.store import Store
from commonwatt.proof import Tree, keccak
from commonwatt.records import Post, Statement, Trade
from commonwatt.records.schema import as_json


class Slot:
    """Everything that proves one settled slot."""

    def __init__(self, store: Store, slot: int) -> None:
        rows = store.rows(tables.posts, slot=slot)
        if not rows:
            raise StoreError(f"The store holds no post for slot {slot}.")
        row = rows[0]
        self.slot = slot
        self.post = Post(slot, row.revision, row.orders, row.readings, row.statements, keccak(row.deltas))
        self.tree = Tree.over(tuple(row.leaves[at : at + 32] for at in range(0, len(row.leaves), 32)))
        self.readings = [reading.hash for reading in store.rows(tables.readings, slot=slot)]
        self.own = by_member(_lines(store, slot), len(self.readings))
        counts = [max(1, len(lines)) for lines in self.own]
        self.first = np.concatenate([[0], np.cumsum(counts)]).tolist()

    def statements(self, member: int) -> list[Statement]:
        """The member's leaves; of the member after the last, the sentinel."""
        if member == len(self.own):
            return [sentinel(self.slot, self.post.revision)]
        lines = member_statements(self.slot, self.post.revision, member, self.own[member], self.readings[member])
        return list(lines)

    def of(self, member: int) -> dict[str, Any]:
        """The proof of the member's lines, and of the next member's first: so nothing is left out between."""
        lines = [self._leaf(self.first[member] + place, line) for place, line in enumerate(self.statements(member))]
        after = self._leaf(self.first[member + 1], self.statements(member + 1)[0])
        return {"post": as_json(self.post), "lines": lines, "next": after}

    def _leaf(self, position: int, statement: Statement) -> dict[str, Any]:
        siblings = [f"0x{sibling.hex()}" for sibling in self.tree.proof(position)]
        return {"statement": as_json(statement), "position": position, "siblings": siblings}


def prover(store: Store) -> Any:
    """slot → Slot, remembering the last few hundred."""
    return lru_cache(maxsize=400)(lambda slot: Slot(store, slot))


def _lines(store: Store, slot: int) -> list[Line]:
    return [
        Line(
            Trade(slot, t.revision, t.number, t.buyer, t.seller, t.wh, t.price, t.buy_order, t.sell_order),
            t.hash,
            t.settled,
        )
        for t in store.rows(tables.trades, slot=slot)
    ]
