"""What the exchange tells the ledger after it was down for a while."""

from __future__ import annotations

import numpy as np
from settlement_cases import OPERATORS, ORDERS, READINGS, STATEMENTS, TRADES, community

from commonwatt.exchange.outbox import Outbox, Outgoing
from commonwatt.ledger.client.quorum import gate_of
from commonwatt.proof import hash_struct, keccak, sign
from commonwatt.records import Post
from commonwatt.records.deltas import pack_deltas


def test_a_backlog_becomes_final_in_few_blocks() -> None:
    """Posts of six slots; the last two were made so late that the others would not wait for them."""
    client, quorum = community(), OPERATORS[:2]
    starts, packed = [9_000 + 900 * place for place in range(6)], pack_deltas(np.array([-1, 1]))
    gate = gate_of(starts[0], [ORDERS] * 6, [TRADES] * 6)
    client.commit(
        starts[0], [ORDERS] * 6, [TRADES] * 6, [sign(client.domain, gate, key).signature for key in quorum], at=8_002
    )
    outbox = Outbox(client, quorum)
    for place, start in enumerate(starts):
        post = Post(start, 0, ORDERS, READINGS, STATEMENTS, keccak(packed))
        digest = client.domain.digest(hash_struct(post))
        at = 15_000 + place if place < 4 else 24_000 + place
        outbox.post(Outgoing(post, TRADES, packed, tuple(key.sign_digest(digest) for key in quorum)), at)
    for at, final in ((18_602, 3), (24_010, 4), (40_000, 6)):
        before = client.node.head.number
        outbox.finalise_due(at)
        assert client.balances().tolist()[:2] == [10 - final, 10 + final]
        assert (client.node.head.number - before, len(outbox.pending)) == (1, 6 - final)
