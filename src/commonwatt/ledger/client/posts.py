"""What a chain tells of a settlement's posts: content by events, deltas by the transactions that posted them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from commonwatt.ledger.client.abi import Event, decode_event
from commonwatt.ledger.node import Node
from commonwatt.proof import keccak
from commonwatt.records import ZERO_HASH, Post
from commonwatt.records.schema import MAX_SIGNED, schema

POSTED: Final = keccak(b"Posted(uint64,uint32,bytes32,bytes32,bytes32)")
"""The topic of what a settlement tells of a post."""
_LOCKED: Final = keccak(b"Locked(uint64,uint32,bytes32,uint64)")


def block_since(node: Node, time: int, before: int) -> int:
    """The number of the first block of a time not before `time` [unix s], of those after the genesis and before the
    number `before`; that one where all of them are older."""
    return bisect_left(range(before), time, lo=1, key=lambda number: node.block(number).timestamp)


class Posts:
    """The posts of one settlement [address].

    Every block is looked at once, until a reorganisation takes it away, and none that is older than the first slot that
    was asked for: a slot is posted when it is over.
    """

    def __init__(self, node: Node, settlement: bytes) -> None:
        self._node, self._settlement = node, settlement
        self._begin()

    def _begin(self) -> None:
        """Nothing is known of any block."""
        self._seen, self._hash = 0, b""
        """The last block that was looked at."""
        self._first, self._since = 0, MAX_SIGNED
        """The first one, and the slot [start, unix s] from which on all posts are known."""
        self._told: dict[tuple[int, int], tuple[Post, bytes]] = {}
        """By slot and revision: the latest post, and the transaction in which it came."""
        self._read = b"", b""
        """The last transaction that was read, and the deltas in it: the same are asked for again and again."""

    def announced(self, slot: int, revision: int) -> Post | None:
        """The latest post of a revision; None when there was none."""
        post, _ = self._latest(slot, revision)
        return post

    def locked(self, since: int) -> list[Post]:
        """The latest post of each revision, where it has a lock, of those that came since then [unix s] at least.

        Of whichever slot: one that was never posted can be, however long ago it was.
        """
        self._latest(since, 0)
        return [post for post, _ in self._told.values() if post.lock != ZERO_HASH]

    def deltas(self, slot: int, revision: int) -> bytes | None:
        """The packed deltas of the latest post of a revision, expired or not.

        None when there is no post, or when the transaction's data does not hold them, since a contract made the call.
        What is returned has the hash that the chain announced.
        """
        post, transaction = self._latest(slot, revision)
        if not post:
            return None
        if transaction != self._read[0]:
            found = self._node.transaction(transaction)
            if found is None:
                return None
            self._read = transaction, _deltas_of(found.data)
        deltas = self._read[1]
        return deltas if keccak(deltas) == post.deltas else None

    def _latest(self, slot: int, revision: int) -> tuple[Post | None, bytes]:
        head = self._node.head
        if head.hash != self._hash:
            if head.number <= self._seen or (self._seen and self._node.block(self._seen).hash != self._hash):
                self._begin()
            if self._hash:
                self._told |= self._look(self._seen + 1, head.number)
            else:
                self._first = head.number + 1
            self._seen, self._hash = head.number, head.hash
        if slot < self._since:
            first = block_since(self._node, slot, self._first)
            self._told = self._look(first, self._first - 1) | self._told
            self._first, self._since = first, slot
        return self._told.get((slot, revision), (None, b""))

    def _look(self, first: int, last: int) -> dict[tuple[int, int], tuple[Post, bytes]]:
        """What the blocks from number `first` to `last` tell."""
        told: dict[tuple[int, int], tuple[Post, bytes]] = {}
        for event in self._events(POSTED, first, last):
            place = event.arguments["slot"], event.arguments["revision"]
            roots = (event.arguments[name] for name in ("orders", "statements", "deltas"))
            told[place] = Post(*place, *roots), event.log.transaction
        for event in self._events(_LOCKED, first, last):
            place = event.arguments["slot"], event.arguments["revision"]
            post, transaction = told.get(place, (None, b""))
            if post and transaction == event.log.transaction:
                lock, until = event.arguments["lock"], event.arguments["until"]
                told[place] = replace(post, lock=lock, until=until), transaction
        return told

    def _events(self, topic: bytes, first: int, last: int) -> Iterator[Event]:
        logs = self._node.logs(first, last, self._settlement, topic) if first <= last else []
        return (event for log in logs if (event := decode_event(log)))


def _deltas_of(data: bytes) -> bytes:
    """The packed deltas in the calldata of `post`; of other data, bytes that mean nothing.

    Read as the contract reads them. eth-abi would refuse what the contract takes, such as padding that is not zero,
    and whoever posts could so hide the deltas.
    """
    arguments = data[4:]
    # The words of the Post, one of the trades; the next one says where the deltas are.
    place = (len(schema(Post)) + 1) * 32
    start = int.from_bytes(arguments[place : place + 32], "big")
    length = int.from_bytes(arguments[start : start + 32], "big")
    return arguments[start + 32 : start + 32 + length]
