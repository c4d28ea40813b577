"""The transactions that publish posts, and those that apply them: as many posts in one of these as fit, so that a
balance is written once for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from commonwatt.ledger.client.abi import SETTLEMENT, contract
from commonwatt.ledger.client.quorum import ascending
from commonwatt.ledger.client.sending import Call
from commonwatt.proof import Domain
from commonwatt.records import ZERO_HASH, Post
from commonwatt.records.schema import Record, schema

_MOST_DELTAS: Final = 1_200
"""In one transaction: with them it takes at most 8 million gas, and a block has room for it."""
_POST: Final = 20
"""What one more post costs in a transaction, counted in deltas."""

Applied = Sequence[tuple[Post, bytes]]
"""Posts with their deltas."""
Publication = tuple[Post, bytes, bytes, Sequence[bytes]]
"""A post, the root of its trades as committed, its packed deltas, and operators' signatures, 65 bytes each."""


def publishing(domain: Domain, publication: Publication) -> Call:
    """The call that publishes a post. domain : the settlement's"""
    post, trades, deltas, signatures = publication
    signed = ascending(domain, post, signatures)
    data = contract(SETTLEMENT).functions["post"].encode(fields(post), trades, deltas, signed)
    return Call(domain.contract, data, "post", len(deltas) // 4, signatures=len(signed))


def finalising(settlement: bytes, posts: Applied) -> list[Call]:
    """Calls of the contract [address] that apply posts without locks, in this order."""
    return [_call(settlement, part) for part in _parts(posts)]


def alone(settlement: bytes, post: Post, deltas: bytes, key: bytes = ZERO_HASH) -> Call:
    """The call that applies one. key : opens the post's lock, 32 bytes"""
    data = contract(SETTLEMENT).functions["finalise"].encode(fields(post), deltas, key)
    return Call(settlement, data, "finalise", len(deltas) // 4)


def fields(record: Record) -> tuple[object, ...]:
    """A record as the contracts take its struct."""
    return tuple(getattr(record, field.name) for field in schema(type(record)))


def _call(settlement: bytes, posts: Applied) -> Call:
    if len(posts) == 1:
        return alone(settlement, *posts[0])
    records, deltas = [fields(post) for post, _ in posts], [packed for _, packed in posts]
    data = contract(SETTLEMENT).functions["finaliseAll"].encode(records, deltas, [ZERO_HASH] * len(posts))
    return Call(settlement, data, "finalise", sum(map(_size, posts)))


def _size(post: tuple[Post, bytes]) -> int:
    return len(post[1]) // 4 + _POST


def _parts(posts: Applied) -> Iterator[Applied]:
    part: list[tuple[Post, bytes]] = []
    for post in posts:
        if part and sum(map(_size, part)) + _size(post) > _MOST_DELTAS:
            yield part
            part = []
        part.append(post)
    yield part
