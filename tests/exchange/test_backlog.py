"""What an exchange that was down for a while tells a chain that goes by its own clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing

import numpy as np
import pytest
from ledger_cases import ETHER
from settlement_cases import ENROLMENTS, MEMBERS, OPERATORS, ORDERS, STATEMENTS, TOKEN_TERMS, TRADES, deposit
from solo_cases import Clock, sealing

from commonwatt.community.calendar import Slots
from commonwatt.errors import Reverted
from commonwatt.exchange.outbox import Outbox, Outgoing
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.quorum import gate_of
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.remote import RemoteNode
from commonwatt.proof import keccak, sign
from commonwatt.records import Post
from commonwatt.records.deltas import pack_deltas

QUORUM, PACKED = OPERATORS[:2], pack_deltas(np.array([-1, 1, 0, 0, 0, 0, 0]))
BASE = 8_000
EVER = Slots(0, 1 << 40)


@pytest.fixture
def clock() -> Clock:
    return Clock(BASE)


@pytest.fixture
def client(clock: Clock) -> Iterator[LedgerClient]:
    """Seven members with ten lane units each, on a chain that goes by the clock."""
    balances = {key.address: 100 * ETHER for key in (*OPERATORS[:2], MEMBERS[0])}
    with (
        EmbeddedChain(None, Genesis(2024, balances, BASE - 1)) as chain,
        sealing(chain, clock) as url,
        closing(RemoteNode(url)) as node,
    ):
        client = LedgerClient.deploy(
            node, OPERATORS[0], operators=[key.address for key in OPERATORS], threshold=2, config=keccak(b"config"),
            members=ENROLMENTS, terms=TOKEN_TERMS, token=("Euro of Wattstrasse", "EUR"), at=0,
        )  # fmt: skip
        deposit(client, range(7), [10] * 7, at=0)
        yield client


def committed(client: LedgerClient, count: int) -> list[Outgoing]:
    """Posts of consecutive slots from 9 000 on, whose roots are committed; each moves one lane unit."""
    roots = [ORDERS] * count, [TRADES] * count
    gate = [sign(client.domain, gate_of(9_000, *roots), key).signature for key in QUORUM]
    client.commit(9_000, *roots, gate, at=0)
    posts = [Post(9_000 + 900 * place, 0, ORDERS, STATEMENTS, keccak(PACKED)) for place in range(count)]
    return [
        Outgoing(post, TRADES, PACKED, tuple(sign(client.domain, post, key).signature for key in QUORUM))
        for post in posts
    ]


def moved(client: LedgerClient) -> int:
    """How many of the posts have been applied."""
    return int(client.balances()[1]) - 10


def test_a_backlog_is_posted_in_one_block_and_applied_in_one_when_its_windows_are_over(
    client: LedgerClient, clock: Clock
) -> None:
    messages, outbox = committed(client, 6), Outbox(client, QUORUM)
    clock.now = 15_000
    before = client.node.head.number
    with outbox.together():
        for message in messages:
            outbox.post(message, 10_000)
            outbox.finalise_due(1 << 39)
        assert outbox.free().tolist()[:2] == [4, 10]
        assert client.node.head.number == before
    posted = [client.posted(message.post.slot, 0) for message in messages]
    blocks = [client.node.block(number) for number in range(before + 1, client.node.head.number + 1)]
    # A busy machine may take so long between two of them that the first ones are in a block already.
    assert len(blocks) <= 2
    assert sum(len(block.transactions) for block in blocks) == 6
    assert all(posting and 15_000 <= posting.posted_at <= clock.now for posting in posted)
    # The caller's time counts for nothing: neither a late one, nor none.
    for at in (1 << 39, None):
        outbox.finalise_due(at)
        assert (moved(client), len(outbox.pending)) == (0, 6)
    assert outbox.open_until(EVER) == max(posting.posted_at for posting in posted if posting) + TOKEN_TERMS.window
    clock.now = outbox.open_until(EVER)
    before = client.node.head.number
    outbox.finalise_due(0)
    assert (moved(client), outbox.pending, outbox.open_until(EVER)) == (6, [], 0)
    assert client.node.head.number == before + 1


def test_what_is_there_already_is_not_sent_again_and_what_is_final_does_not_wait(
    client: LedgerClient, clock: Clock
) -> None:
    messages, first = committed(client, 3), Outbox(client, QUORUM)
    clock.now = 15_000
    first.post(messages[0], 0)
    clock.now += TOKEN_TERMS.window
    first.finalise_due(0)
    first.post(messages[1], 0)
    before = client.node.nonce(OPERATORS[0].address)
    outbox = Outbox(client, QUORUM)
    with outbox.together():
        for message in messages:
            outbox.post(message, 0)
    assert client.node.nonce(OPERATORS[0].address) == before + 1
    assert [each.post.slot for each in outbox.pending] == [9_900, 10_800]


def test_one_that_is_refused_keeps_no_other_one_of_a_backlog_back(client: LedgerClient, clock: Clock) -> None:
    messages, outbox = committed(client, 3), Outbox(client, QUORUM)
    clock.now = 15_000
    never = Post(90_000, 0, ORDERS, STATEMENTS, keccak(PACKED))
    signed = tuple(sign(client.domain, never, key).signature for key in QUORUM)
    with ExitStack() as backlog:
        backlog.enter_context(outbox.together())
        for message in (messages[0], Outgoing(never, TRADES, PACKED, signed), *messages[1:]):
            outbox.post(message, 0)
        with pytest.raises(Reverted, match="refused"):
            backlog.close()
    assert client.posted(9_000, 0)
    assert client.posted(90_000, 0) is None


def test_what_has_expired_while_the_box_was_down_is_posted_again(client: LedgerClient, clock: Clock) -> None:
    (message,), outbox = committed(client, 1), Outbox(client, QUORUM)
    clock.now = 15_000
    outbox.post(message, 0)
    clock.now += TOKEN_TERMS.window + TOKEN_TERMS.grace + 1_000
    outbox.finalise_due(0)
    assert (moved(client), len(outbox.pending)) == (0, 1)
    posting = client.posted(9_000, 0)
    assert posting
    assert posting.posted_at > 15_000 + TOKEN_TERMS.window + TOKEN_TERMS.grace
    clock.now += TOKEN_TERMS.window
    outbox.finalise_due(0)
    assert (moved(client), outbox.pending) == (1, [])
