"""Locked posts: what else than the key keeps one from being applied, and the keys that a chain shows."""

from __future__ import annotations

from operator import itemgetter
from typing import Final

from commonwatt.errors import Reverted
from commonwatt.ledger.client.abi import decode_event, revert
from commonwatt.ledger.client.finalising import alone
from commonwatt.ledger.client.posts import block_since
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.client.terms import Posting
from commonwatt.ledger.node import CallReverted
from commonwatt.proof import keccak
from commonwatt.records import Post
from commonwatt.records.deltas import unpack_deltas

_UNLOCKED: Final = keccak(b"Unlocked(uint64,uint32,bytes32)")
_DEMANDS: Final = {
    keccak(b"Demanded(uint64,uint32,uint32,uint256)"): ("member", True),
    keccak(b"Answered(uint64,uint32,uint32)"): ("member", False),
    keccak(b"OrderDemanded(uint64,uint32,bytes32,uint256)"): ("order", True),
    keccak(b"OrderAnswered(uint64,uint32,bytes32)"): ("order", False),
}
"""Events of a demand and its answer: the subject's name, and whether it asks."""


def key_of(client: LedgerClient, lock: bytes, since: int = 0) -> bytes | None:
    """The key of a lock, once a post that it locked was applied; None before. since : the post's slot [unix s]"""
    node, last = client.node, client.node.head.number
    logs = node.logs(block_since(node, since, last + 1), last, client.addresses.settlement, _UNLOCKED)
    keys = [bytes(event.arguments["key"]) for log in logs if (event := decode_event(log))]
    return next((key for key in keys if keccak(key) == lock), None)


def lacks_the_key_alone(client: LedgerClient, post: Post, deltas: bytes) -> bool:
    """Whether the contract would apply a locked post at the next block if it were shown the key.

    It is asked without the key, which a question would tell to the node; so whether the balances suffice is
    compared here.
    """
    question = alone(client.addresses.settlement, post, deltas)
    try:
        client.node.call(question.to, question.data)
    except CallReverted as error:
        refused = revert(error.data, "the question")
        if not isinstance(refused, Reverted) or refused.name != "WrongKey":
            return False
    moved = unpack_deltas(deltas)
    return bool((client.balances()[: len(moved)] + moved >= 0).all())


def is_demanded(client: LedgerClient, post: Post, posting: Posting) -> bool:
    """Whether something was demanded of a post, and not answered so far: it can be deleted as long as it is pending."""
    if not posting.held_until:
        return False
    node, last, told = client.node, client.node.head.number, []
    first = block_since(node, posting.posted_at, last + 1)
    for topic, (subject, asks) in _DEMANDS.items():
        for log in node.logs(first, last, client.demands, topic):
            event = decode_event(log)
            if event and (event.arguments["slot"], event.arguments["revision"]) == (post.slot, post.revision):
                # What was asked of an earlier post of this revision deletes this one no more.
                old = asks and event.arguments["until"] - client.terms.answer_time < posting.posted_at
                if not old:
                    told.append((log.block, not asks, (subject, event.arguments[subject])))
    # An answer follows its demand, in the same block too.
    return not all({subject: answered for _, answered, subject in sorted(told, key=itemgetter(0, 1))}.values())
