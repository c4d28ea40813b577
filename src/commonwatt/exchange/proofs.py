"""Merkle proofs of statement lines, rebuilt from the exchange's store."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from commonwatt.accounts.document import hex_text, leaves_json
from commonwatt.accounts.orders import order_json
from commonwatt.accounts.statements import Line, by_member, member_statements, sentinel
from commonwatt.errors import StoreError
from commonwatt.exchange import store as tables
from commonwatt.exchange.rows import any_replaced, read_declared, read_trades
from commonwatt.exchange.states import Declared, Posted
from commonwatt.exchange.store import Store
from commonwatt.ledger.client.disputes import Leaf
from commonwatt.proof import Tree, hash_struct, keccak
from commonwatt.records import ZERO_HASH, Order, Post, Signed, Statement
from commonwatt.records.schema import as_json


class SlotProof:
    """Everything that proves one posted slot.

    tree : of the statements; readings : struct hash of each member's reading, zero where there is none
    committed : tree of the day-ahead trades
    declared : the slot's orders; None where it is known that none replaced another
    """

    def __init__(
        self,
        post: Post,
        tree: Tree,
        readings: Sequence[bytes],
        committed: Tree,
        lines: Sequence[Line],
        declared: Declared | None,
    ) -> None:
        self.slot, self.post, self.tree, self.readings, self.committed = post.slot, post, tree, readings, committed
        self.reading_tree, self.declared = Tree.of(self.readings), declared
        self.own = by_member(lines, len(self.readings))
        counts = [max(1, len(lines)) for lines in self.own]
        self.first = np.concatenate([[0], np.cumsum(counts)]).tolist()

    @cached_property
    def order_tree(self) -> Tree:
        """Of all accepted orders; of none where `declared` is not there."""
        return Tree.of([order.hash for order in self._signed])

    @cached_property
    def replacing(self) -> dict[int, list[int]]:
        """See `replacing`."""
        return replacing(self.declared) if self.declared else {}

    @property
    def _signed(self) -> Sequence[Signed[Order]]:
        return self.declared.signed if self.declared else ()

    @classmethod
    def stored(cls, store: Store, slot: int, revision: int | None = None) -> SlotProof:
        """A revision of the slot, as it is kept; None = the last. Raises StoreError when it is not posted."""
        rows = [row for row in store.rows(tables.posts, slot=slot) if revision in (None, row.revision)]
        if not rows:
            which = "" if revision is None else f", revision {revision}"
            raise StoreError(f"The store holds no post for slot {slot}{which}.")
        row = rows[-1]
        post = Post(slot, row.revision, row.orders, row.readings, row.statements, keccak(row.deltas))
        tree = Tree.over(tuple(row.leaves[at : at + 32] for at in range(0, len(row.leaves), 32)))
        read = store.columns(tables.readings, ("member", "hash", "revision"), slot=slot)
        found = {member: reading for member, reading, since in read if since <= row.revision}
        readings = [found.get(member, ZERO_HASH) for (member,) in store.columns(tables.accounts, ["member"], slot=slot)]
        trades, records, agreed = read_trades(store, slot, row.revision)
        committed = Tree.of([trade.hash for trade in trades[:agreed]])
        lines = [Line(record, trade.hash, trade.settled) for record, trade in zip(records, trades, strict=True)]
        declared = read_declared(store, slot) if any_replaced(store, slot) else None
        return cls(post, tree, readings, committed, lines, declared)

    def statements(self, member: int) -> list[Statement]:
        """The member's leaves; of the member after the last, the sentinel."""
        if member == len(self.own):
            return [sentinel(self.slot, self.post.revision)]
        lines = member_statements(self.slot, self.post.revision, member, self.own[member], self.readings[member])
        return list(lines)

    def around(self, member: int) -> tuple[int, list[Statement]]:
        """The member's leaves between the one before them, unless they are the first, and the one behind them.

        Returns the position of the first of these, and the leaves. A member that came after the slot has none between.
        """
        count = len(self.own)
        if member >= count:
            return self.first[count] - 1, [self.statements(count - 1)[-1], *self.statements(count)]
        first = self.first[member]
        before = [self.statements(member - 1)[-1]] if first else []
        return first - len(before), [*before, *self.statements(member), self.statements(member + 1)[0]]

    def ends(self, member: int) -> tuple[Leaf, ...]:
        """The member's last line and the one behind it; where it has none, those around its missing place."""
        first, around = self.around(member)
        leaves = [Leaf(line, place, self.tree.proof(place)) for place, line in enumerate(around, first)]
        return tuple(leaves[-2:])

    def of(self, member: int, earlier: SlotProof | None = None) -> dict[str, Any]:
        """What proves the member's slot: its lines and the leaves before and after them, so that nothing is left out;
        each day-ahead trade's way to the root that was committed before delivery; the reading's to its root.

        earlier : the revision before, of which the member's last line is shown, too
        """
        known = member < len(self.own)
        numbers = [line.trade.number for line in self.own[member]] if known else []
        agreed = len(self.committed.levels[0])
        return {
            "post": as_json(self.post),
            "lines": self._shown(*self.around(member)),
            "trades": hex_text(self.committed.root),
            "committed": [_siblings(self.committed, number) if number < agreed else None for number in numbers],
            "reading": _siblings(self.reading_tree, member) if known else [],
            "orders": [self._placed(place) for place in self.replacing.get(member, [])],
            **({"earlier": earlier.last_of(member)} if earlier else {}),
        }

    def last_of(self, member: int) -> dict[str, Any]:
        """The post, and the member's `ends` in it, as documents write them."""
        ends = self.ends(member)
        return {"post": as_json(self.post), "ends": self._shown(ends[0].position, [leaf.statement for leaf in ends])}

    def _placed(self, position: int) -> dict[str, Any]:
        order = order_json(self._signed[position])
        return {"order": order, "position": position, "siblings": _siblings(self.order_tree, position)}

    def _shown(self, first: int, lines: Sequence[Statement]) -> dict[str, Any]:
        return leaves_json(lines, first, len(self.tree.levels) - 1, self.tree.border(first, len(lines)))


class PostedSlot(SlotProof):
    """A slot as it is posted, right or wrong: its leaves are those of the post, whatever the trades say."""

    def __init__(self, posted: Posted) -> None:
        lines = zip(posted.records, posted.account.settled.tolist(), strict=True)
        readings = [reading.hash if reading else ZERO_HASH for reading in posted.delivered.readings]
        own = [Line(trade, hash_struct(trade), settled) for trade, settled in lines]
        committed = posted.delivered.committed
        super().__init__(posted.post, posted.tree, readings, committed.trades, own, committed.cleared.declared)
        self.leaves = posted.statements

    def around(self, member: int) -> tuple[int, list[Statement]]:
        """See `Slot`; a member that was passed over has no leaf between the two."""
        members = [leaf.member for leaf in self.leaves]
        first, after = bisect_left(members, member), bisect_right(members, member)
        start = max(first - 1, 0)
        return start, list(self.leaves[start : after + 1])


def replacing(declared: Declared) -> dict[int, list[int]]:
    """By member that has any: places of its last orders that replaced or cancelled others, by arrival."""
    last: dict[tuple[int, int], int] = {}
    again: set[tuple[int, int]] = set()
    for place, owner in enumerate(declared.members):
        side = owner, declared.signed[place].record.side
        if side in last:
            again.add(side)
        last[side] = place
    found: dict[int, list[int]] = {}
    for place, (owner, _) in sorted((last[side], side) for side in again):
        found.setdefault(owner, []).append(place)
    return found


def _siblings(tree: Tree, position: int) -> list[str]:
    return [*map(hex_text, tree.proof(position))]
