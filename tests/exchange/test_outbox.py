"""What the exchange tells the ledger after it was down for a while."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from settlement_cases import MEMBERS, OPERATORS, ORDERS, STATEMENTS, TOKEN_TERMS, TRADES, community, posted

from commonwatt.errors import Reverted
from commonwatt.exchange.outbox import Outbox, Outgoing
from commonwatt.ledger.client.demands import DemandsClient
from commonwatt.ledger.client.finalising import finalising
from commonwatt.ledger.client.purse import PurseClient
from commonwatt.ledger.client.quorum import gate_of
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.proof import keccak, sign
from commonwatt.records import Post
from commonwatt.records.deltas import pack_deltas

QUORUM, PACKED = OPERATORS[:2], pack_deltas(np.array([-1, 1]))


def outgoing(client: LedgerClient, post: Post) -> Outgoing:
    return Outgoing(post, TRADES, PACKED, tuple(sign(client.domain, post, key).signature for key in QUORUM))


def committed(client: LedgerClient, count: int) -> list[Post]:
    """Posts of consecutive slots from 9 000 on, whose roots are committed; each moves one lane unit."""
    roots = [ORDERS] * count, [TRADES] * count
    gate = gate_of(9_000, *roots)
    client.commit(9_000, *roots, [sign(client.domain, gate, key).signature for key in QUORUM], at=8_002)
    return [Post(9_000 + 900 * place, 0, ORDERS, STATEMENTS, keccak(PACKED)) for place in range(count)]


def test_a_backlog_becomes_final_in_few_blocks() -> None:
    """Posts of six slots; the last two were made so late that the others would not wait for them."""
    client = community()
    outbox = Outbox(client, QUORUM)
    for place, post in enumerate(committed(client, 6)):
        outbox.post(outgoing(client, post), 15_000 + place if place < 4 else 24_000 + place)
    for at, final in ((18_602, 3), (24_010, 4), (40_000, 6)):
        before = client.node.head.number
        outbox.finalise_due(at)
        assert client.balances().tolist()[:2] == [10 - final, 10 + final]
        assert (client.node.head.number - before, len(outbox.pending)) == (1, 6 - final)
        block = client.node.block(before + 1)
        assert block is not None
        assert len(block.transactions) == 1


def test_what_has_to_wait_keeps_no_other_post_from_being_final() -> None:
    client = community()
    posts = committed(client, 2)
    for place, post in enumerate(posts):
        client.post(post, TRADES, PACKED, outgoing(client, post).signatures, at=15_000 + 1_000 * place)
    with pytest.raises(Reverted, match="NotYetFinal"):
        client.finalise_all([(post, PACKED) for post in posts], at=18_700)
    assert client.balances().tolist()[:2] == [9, 11]
    with pytest.raises(Reverted, match="AlreadyFinal"):
        client.finalise_all([(posts[0], PACKED)], at=18_800)


def test_a_post_that_a_demand_holds_keeps_no_other_one_waiting() -> None:
    """The second is held to 21 601; by then the third would have expired."""
    client = community(replace(TOKEN_TERMS, grace=1000))
    posts = committed(client, 3)
    outbox = Outbox(client, QUORUM)
    for post, at in zip(posts, (14_900, 15_000, 15_010), strict=True):
        outbox.post(outgoing(client, post), at)
    DemandsClient(client).demand(MEMBERS[0], posts[1], 0, at=18_000)
    for at, waiting in ((18_500, [2, 1]), (18_609, [2, 1]), (18_610, [1]), (21_600, [1]), (21_601, [])):
        outbox.finalise_due(at)
        assert [posts.index(each.post) for each in outbox.pending] == waiting
    assert client.balances().tolist()[:2] == [7, 13]


def test_a_post_that_is_gone_keeps_no_other_one_waiting() -> None:
    """The first expired and was cleared away, as one that was struck is."""
    client = community(replace(TOKEN_TERMS, grace=1000))
    posts = committed(client, 2)
    outbox = Outbox(client, QUORUM)
    for post, at in zip(posts, (15_000, 17_000), strict=True):
        outbox.post(outgoing(client, post), at)
    PurseClient(client).expire(MEMBERS[0], posts[0].slot, 0, at=20_000)
    for at, waiting in ((20_599, [1, 0]), (20_600, [0]), (20_700, [0])):
        outbox.finalise_due(at)
        assert [posts.index(each.post) for each in outbox.pending] == waiting
    outbox.finalise_due()
    assert client.balances().tolist()[:2] == [9, 11]


def test_no_post_expires_while_it_waits_for_one_that_is_applied_with_it() -> None:
    """The first is held to 21 601, when the second still lasts for 9 seconds; the third is due at 22 100."""
    client = community(replace(TOKEN_TERMS, grace=3000))
    posts = committed(client, 3)
    outbox = Outbox(client, QUORUM)
    for post, at in zip(posts, (15_000, 15_010, 18_500), strict=True):
        if at == 18_500:
            DemandsClient(client).demand(MEMBERS[0], posts[0], 0, at=18_000)
        outbox.post(outgoing(client, post), at)
    outbox.finalise_due(22_100)
    assert outbox.pending == []
    assert client.balances().tolist()[:2] == [7, 13]


class Beaten(Outbox):
    """Somebody else applies the first post just before it is sent."""

    beaten = 0

    def _finalise(self, due: int, until: int) -> None:
        if not self.beaten:
            self.client.finalise(self.pending[0].post, self.pending[0].deltas, at=due)
        self.beaten += 1
        super()._finalise(due, until)


@pytest.mark.parametrize("count", [1, 3])
def test_who_applies_a_post_first_stops_nobody(count: int) -> None:
    client = community()
    outbox = Beaten(client, QUORUM)
    for place, post in enumerate(committed(client, count)):
        outbox.post(outgoing(client, post), 15_000 + place)
    outbox.finalise_due(20_000)
    assert (outbox.pending, outbox.beaten) == ([], 1)
    assert client.balances().tolist()[:2] == [10 - count, 10 + count]


def test_a_post_that_cannot_be_applied_is_told() -> None:
    client, quorum = community(), OPERATORS[:2]
    post, packed = posted(client, [-11, 11])
    signed = tuple(sign(client.domain, post, key).signature for key in quorum)
    outbox = Outbox(client, quorum, [Outgoing(post, TRADES, packed, signed)])
    with pytest.raises(Reverted, match="InsufficientCollateral"):
        outbox.finalise_due(20_000)


def test_more_deltas_than_a_transaction_takes_are_applied_by_several() -> None:
    post, settlement = Post(9_000, 0, ORDERS, STATEMENTS, keccak(b"")), bytes(20)
    for counts, calls in (([590, 570], 1), ([590, 580, 5], 2), ([5_000], 1), ([1, 5_000, 1], 3)):
        found = finalising(settlement, [(post, bytes(4 * count)) for count in counts])
        assert (len(found), {call.kind for call in found}) == (calls, {"finalise"})
