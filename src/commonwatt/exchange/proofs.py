"""What proves a member's slot, rebuilt from the exchange's store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from commonwatt.accounts.document import hashes_text, hex_text
from commonwatt.accounts.orders import order_json
from commonwatt.accounts.statements import Booked, by_member, empty_place, lines_of, salt_of, statement_of
from commonwatt.errors import StoreError
from commonwatt.exchange import tables
from commonwatt.exchange.rows import any_replaced, counting, read_declared, read_trades, stages_ahead
from commonwatt.exchange.states import Declared, Posted
from commonwatt.exchange.steps import read_by
from commonwatt.exchange.store import Store
from commonwatt.proof import Tree, hash_struct, keccak
from commonwatt.records import ZERO_HASH, Line, Mandate, Order, Post, Signed, Statement
from commonwatt.records.schema import as_list


class SlotProof:
    """Everything that proves one posted slot.

    tree : of the statements; committed : of the day-ahead trades
    read : of each member, the struct hash of its reading, zero where none came, and the salt of its statement
    declared : the slot's orders; None where it is known that none replaced another
    """

    def __init__(
        self,
        post: Post,
        tree: Tree,
        read: Sequence[tuple[bytes, bytes]],
        committed: Tree,
        booked: Sequence[Booked],
        declared: Declared | None,
    ) -> None:
        self.slot, self.post, self.tree, self.read, self.committed = post.slot, post, tree, read, committed
        self.declared = declared
        self.own = by_member(booked, len(read))

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
    def stored(
        cls,
        store: Store,
        slot: int,
        mandates: Sequence[Signed[Mandate]],
        revision: int | None = None,
        only: int | None = None,
    ) -> SlotProof:
        """A revision of the slot, as it is kept; None = the last. Raises StoreError when it is not posted.

        mandates : by member index; of those who joined later, too, who have no statement here
        only : the member that it proves the slot to, so that little of others is read; None = to everybody
        """
        rows = [row for row in store.rows(tables.posts, slot=slot) if revision in (None, row.revision)]
        if not rows:
            which = "" if revision is None else f", revision {revision}"
            raise StoreError(f"The store holds no post for slot {slot}{which}.")
        row = rows[-1]
        post = Post(slot, row.revision, row.orders, row.statements, keccak(row.deltas))
        tree = Tree.over(tuple(row.leaves[at : at + 32] for at in range(0, len(row.leaves), 32)))
        of = {} if only is None else {"member": only}
        kept = counting(store.rows(tables.readings, slot=slot, **of), row.revision)
        found = {each.member: (each.hash, each.signature) for each in kept}
        read = [
            _salted(found.get(member, (ZERO_HASH, mandate.signature)), slot, row.revision)
            for member, mandate in enumerate(mandates[: len(tree.levels[0]) - 1])
        ]
        hashes = store.columns(tables.trades, ("stage", "hash"), slot=slot, revision=row.revision)
        ahead = stages_ahead(store)
        committed = Tree.of([each for stage, each in hashes if stage in ahead])
        trades, records, _ = read_trades(store, slot, row.revision, only)
        booked = [Booked(record, trade.hash, trade.settled) for record, trade in zip(records, trades, strict=True)]
        declared = read_declared(store, slot) if any_replaced(store, slot, **of) else None
        return cls(post, tree, read, committed, booked, declared)

    def lines(self, member: int) -> tuple[Line, ...]:
        """The member's lines."""
        return lines_of(member, self.own[member])

    def statement(self, member: int) -> Statement | None:
        """The member's statement; None of one that came after the slot."""
        return statement_of(self.lines(member), *self.read[member]) if member < len(self.own) else None

    def siblings(self, member: int) -> tuple[bytes, ...]:
        """From the member's statement, or the empty place that shows that there is none, to the post."""
        return self.tree.proof(empty_place(member, self.tree.depth))

    def of(self, member: int) -> dict[str, Any]:
        """What proves the member's slot beside its trades and its reading: the way of its statement, which these make,
        to the post; that of its day-ahead trades to the root that was committed before delivery; that of its orders
        that replaced others to the root of all.
        """
        own = [each.trade.number for each in self.own[member]] if member < len(self.own) else []
        ahead = [number for number in own if number < len(self.committed.levels[0])]
        together = {"depth": self.committed.depth, "beside": hashes_text(self.committed.beside(ahead))}
        return {
            "revision": self.post.revision,
            **self._stated(member),
            "siblings": hashes_text(self.siblings(member)),
            "committed": together if ahead else None,
            "orders": [self._placed(place) for place in self.replacing.get(member, [])],
        }

    def _stated(self, member: int) -> dict[str, Any]:
        return {"salt": None, "stated": None if member < len(self.own) else False}

    def _placed(self, position: int) -> dict[str, Any]:
        order = order_json(self._signed[position])
        return {"order": order, "position": position, "siblings": hashes_text(self.order_tree.proof(position))}


def _salted(signed: Sequence[bytes], slot: int, revision: int) -> tuple[bytes, bytes]:
    reading, signature = signed
    return reading, salt_of(signature, slot, revision)


class PostedSlot(SlotProof):
    """A slot as it is posted, right or wrong: its lines and statements are those of the post, whatever the trades say.

    mandate : of the member that it is shown to
    """

    def __init__(self, posted: Posted, mandate: Signed[Mandate]) -> None:
        delivered, post = posted.delivered, posted.post
        settled = zip(posted.records, posted.account.settled.tolist(), strict=True)
        booked = [Booked(trade, hash_struct(trade), wh) for trade, wh in settled]
        read = [read_by(reading, mandate, post.slot, post.revision) for reading in delivered.readings]
        committed = delivered.committed
        super().__init__(post, posted.tree, read, committed.trades, booked, committed.cleared.declared)
        self.posted = posted

    def lines(self, member: int) -> tuple[Line, ...]:
        """See `SlotProof`."""
        return self.posted.lines[member] if member < len(self.posted.lines) else ()

    def statement(self, member: int) -> Statement | None:
        """See `SlotProof`."""
        return self.posted.statements[member] if member < len(self.posted.statements) else None

    def _stated(self, member: int) -> dict[str, Any]:
        statement, lines = self.statement(member), self.lines(member)
        if statement is None:
            return {"salt": None, "stated": False}
        known = member < len(self.own)
        told = {"salt": None if known and statement.salt == self.read[member][1] else hex_text(statement.salt)}
        if known and (lines, statement) == (super().lines(member), super().statement(member)):
            return {**told, "stated": None}
        return {**told, "stated": {"sums": as_list(statement)[:-1], "lines": [as_list(line) for line in lines]}}


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
