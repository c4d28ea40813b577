"""The deltas of a post, found in its transaction; what a reorganisation takes away, and what cannot be hidden."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from settlement_cases import (
    MEMBERS,
    OPERATORS,
    SLOT,
    START,
    TRADES,
    commit,
    community,
    deposit,
    posted,
    slot_post,
)

from commonwatt.errors import Reverted
from commonwatt.ledger.client.abi import contract
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.node import Node
from commonwatt.ledger.wallet import created_address, sign_transaction
from commonwatt.proof import Key, hash_struct, keccak, recover, sign
from commonwatt.records import Post
from commonwatt.records.deltas import pack_deltas


def test_the_deltas_of_a_post_are_in_its_transaction() -> None:
    client = community()
    assert client.posted_deltas(SLOT, 0) is None
    post, deltas = posted(client, [-4, 0, 0, 0, 1, 2, 1])
    assert client.posted_deltas(SLOT, 0) == deltas
    assert client.posted_deltas(SLOT, 1) is client.posted_deltas(SLOT + 900, 0) is None
    client.finalise(post, deltas, at=13_501)

    # Revisions that come after the first look; one has no deltas at all.
    for revision, changes in ((1, [1, -1]), (2, [0])):
        post, more, signatures = slot_post(client, changes, revision)
        client.post(post, TRADES, more, signatures, at=20_000 * revision)
        client.finalise(post, more, at=20_000 * revision + 3_600)
        assert client.posted_deltas(SLOT, revision) == more == pack_deltas(np.array(changes, dtype=np.int64))
    assert client.posted_deltas(SLOT, 0) == deltas
    fresh = LedgerClient(client.node, MEMBERS[0], client.addresses)
    assert [fresh.posted_deltas(SLOT, revision) for revision in range(4)] == [
        deltas,
        pack_deltas(np.array([1, -1])),
        pack_deltas(np.array([0])),
        None,
    ]


def test_the_deltas_of_an_expired_post_give_way_to_the_later_ones() -> None:
    client = community()
    _, deltas = posted(client, [-1, 1])
    assert client.posted_deltas(SLOT, 0) == deltas
    post, later, signatures = slot_post(client, [-2, 2])
    with pytest.raises(Reverted, match="AlreadyPosted"):
        client.post(post, TRADES, later, signatures, at=10_000)
    assert client.posted_deltas(SLOT, 0) == deltas
    client.post(post, TRADES, later, signatures, at=30_000)
    fresh = LedgerClient(client.node, MEMBERS[0], client.addresses)
    assert client.posted_deltas(SLOT, 0) == fresh.posted_deltas(SLOT, 0) == later


class Switched:
    """A node that stands on one of several chains, and goes over to another when it is told."""

    def __init__(self, chain: Node) -> None:
        self.chain = chain

    def __getattr__(self, name: str) -> object:
        return getattr(self.chain, name)


@pytest.mark.parametrize("more", [-1, 0, 3])
def test_posts_that_a_reorganisation_took_away_are_told_no_more(more: int) -> None:
    """more : blocks that the other branch has beyond the first"""
    first, other = community(), community()
    assert first.node.head == other.node.head
    switched: Any = Switched(first.node)
    watching = LedgerClient(switched, MEMBERS[0], first.addresses)
    assert watching.announced(SLOT, 0) is None
    gone, deltas = posted(first, [-4, 4])
    first.finalise(gone, deltas, at=13_501)
    late, changes, signatures = slot_post(first, [1, -1], revision=1)
    first.post(late, TRADES, changes, signatures, at=20_000)
    assert (watching.announced(SLOT, 0), watching.announced(SLOT, 1)) == (gone, late)
    assert watching.posted_deltas(SLOT, 0) == deltas

    right, instead = posted(other, [-2, 2])
    for block in range(2 + more):
        deposit(other, [1], [1], at=30_000 + block)
    assert other.node.head.number == first.node.head.number + more
    switched.chain = other.node
    assert (watching.announced(SLOT, 0), watching.announced(SLOT, 1)) == (right, None)
    assert watching.posted_deltas(SLOT, 0) == instead
    assert watching.posted_deltas(SLOT, 1) is None


def test_whoever_looks_for_locks_of_late_sees_that_of_a_slot_of_long_ago() -> None:
    client, lock = community(), keccak(b"lock")
    commit(client, SLOT, at=START + 2)
    plain, deltas, _ = slot_post(client, [-4, 4])
    post = replace(plain, lock=lock, until=990_000)
    digest = client.domain.digest(hash_struct(post))
    client.post(post, TRADES, deltas, [each.sign_digest(digest) for each in OPERATORS[:2]], at=900_000)
    fresh = LedgerClient(client.node, MEMBERS[0], client.addresses)
    assert fresh.locked(890_000) == [post]
    assert LedgerClient(client.node, MEMBERS[0], client.addresses).locked(910_000) == []


def test_a_locked_post_is_told_whole_and_opened_by_its_key() -> None:
    client, key = community(), keccak(b"key")
    commit(client, SLOT, at=START + 2)
    plain, deltas, _ = slot_post(client, [-4, 4])
    post = replace(plain, lock=keccak(key), until=20_000)
    digest = client.domain.digest(hash_struct(post))
    client.post(post, TRADES, deltas, [each.sign_digest(digest) for each in OPERATORS[:2]], at=9_901)
    assert client.announced(SLOT, 0) == post
    assert client.posted_deltas(SLOT, 0) == deltas
    with pytest.raises(Reverted, match="WrongKey"):
        client.finalise(post, deltas, at=13_501)
    client.finalise(post, deltas, key=key, at=13_502)
    assert client.balances().tolist()[:2] == [6, 14]


def test_deltas_cannot_be_hidden_by_an_odd_encoding() -> None:
    client = community()
    commit(client, SLOT, at=START + 2)
    post, deltas, signatures = slot_post(client, [-4, 4])
    client.posted_deltas(SLOT, 0)
    data = post_data(client, post, deltas, signatures)
    padded = deltas + bytes(24)
    assert data.count(padded) == 1
    execute(client, OPERATORS[0], client.addresses.settlement, data.replace(padded, deltas + b"\xff" * 24), at=9_901)
    assert client.posted(SLOT, 0) is not None
    assert client.posted_deltas(SLOT, 0) == deltas


def test_deltas_that_a_contract_posted_are_not_guessed() -> None:
    sender = OPERATORS[1]
    relay = created_address(sender.address, 0)
    client = community(operators=(relay,))
    # Calls the settlement with what follows the first word of its calldata.
    code = bytes.fromhex(
        f"602036036020_5f37_5f5f_60203603_5f5f_73{client.addresses.settlement.hex()}_5af100".replace("_", "")
    )
    create = bytes.fromhex(f"60{len(code):02x}8060095f395ff3") + code
    execute(client, sender, b"", create, at=START + 2)
    assert client.node.code(relay) == code

    commit(client, SLOT, at=START + 3)
    post, deltas, signatures = slot_post(client, [-4, 4])
    execute(client, sender, relay, bytes(32) + post_data(client, post, deltas, signatures), at=9_901)
    posting = client.posted(SLOT, 0)
    assert posting is not None
    assert posting.digest == client.domain.digest(hash_struct(post))
    assert client.posted_deltas(SLOT, 0) is None


def post_data(client: LedgerClient, post: Post, deltas: bytes, signatures: list[bytes]) -> bytes:
    """Calldata of a post of SLOT by the first two operators."""
    digest = client.domain.digest(hash_struct(post))
    ascending = sorted(signatures, key=lambda signature: recover(digest, signature))
    fields = (post.slot, post.revision, post.orders, post.statements, post.deltas, post.lock, post.until)
    return contract("Settlement").functions["post"].encode(fields, TRADES, deltas, ascending)


def execute(client: LedgerClient, key: Key, to: bytes, data: bytes, *, at: int) -> None:
    """Send a transaction that the client would not make."""
    chain = client.node
    raw = sign_transaction(
        key, chain_id=chain.chain_id, nonce=chain.nonce(key.address), to=to, data=data, gas=500_000,
    )  # fmt: skip
    (receipt,) = chain.confirm([chain.submit(raw)], at)
    assert receipt.success


def test_blocks_before_a_slot_are_not_read_for_it_and_none_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    client = community()
    first, deltas = posted(client, [-4, 0, 0, 0, 1, 2, 1])
    node, slots, blocks = client.node, [SLOT + 1800 * number for number in range(20)], [client.node.head.number]
    for slot in slots[1:]:
        commit(client, slot, at=slot - 100)
        post = replace(first, slot=slot)
        client.post(
            post, TRADES, deltas, [sign(client.domain, post, key).signature for key in OPERATORS[:2]], at=slot + 901
        )
        blocks.append(node.head.number)
    read, logs = list[int](), node.logs

    def noted(first: int, last: int, address: bytes | None = None, topic: bytes | None = None) -> Any:
        read.extend(range(first, last + 1))
        return logs(first, last, address, topic)

    monkeypatch.setattr(node, "logs", noted)
    fresh = LedgerClient(node, MEMBERS[0], client.addresses)
    for place, before in ((19, 18), (10, 9), (15, 9), (0, -1)):
        assert fresh.announced(slots[place], 0) == replace(first, slot=slots[place])
        assert before < 0 or min(read) > blocks[before]
        # For two events each.
        assert max(Counter(read).values()) == 2
