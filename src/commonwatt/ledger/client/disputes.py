"""Objections to posts: the contract `Disputes`, spoken to through any node.

Whoever proves a fault of a post that is not final has it deleted and is paid half of its bond. A member to whom
lines are not shown demands them on the chain; a post whose operators do not answer in time is deleted, too.
Methods that send raise Reverted with the contract's custom error, or LedgerError. `at` is as in `client`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from commonwatt.ledger.client.abi import DISPUTES, contract, decode_event
from commonwatt.ledger.client.quorum import ascending
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.node import Receipt as Receipted
from commonwatt.proof import Key, keccak
from commonwatt.records import Post, Receipt, Signed, Statement
from commonwatt.records.schema import schema


@dataclass(frozen=True)
class Leaf:
    """A line of the statements, its place, and the siblings to the root."""

    statement: Statement
    position: int
    siblings: tuple[bytes, ...]


class DisputesClient:
    """The disputes of a community's settlement."""

    def __init__(self, ledger: LedgerClient) -> None:
        self.ledger = ledger
        self.address = ledger.disputes

    def challenge(self, prover: Key, function: str, post: Post, arguments: Sequence[object], *, at: int) -> Receipted:
        """Prove a fault by the function of the contract that is for it; arguments are those after the post."""
        return self._send(prover, function, post, *arguments, doing="the challenge", at=at, kind="challenge")

    def demand(self, member: Key, post: Post, index: int, *, at: int) -> Receipted:
        """Ask for all that was posted about the member with this index, whose account asks; within the window."""
        return self._send(member, "demand", post, index, doing="the demand", at=at, kind="demand")

    def answer(self, post: Post, index: int, answer: Sequence[object], *, lines: int, at: int) -> Receipted:
        """Show what was demanded. lines : how many, which the gas goes by"""
        data = contract(DISPUTES).functions["answer"].encode(*map(_plain, (post, index, answer)))
        return self.ledger.send(self.ledger.key, self.address, data, "the answer", at=at, kind="answer", items=lines)

    def lapse(self, key: Key, post: Post, index: int, *, at: int) -> Receipted:
        """Have a post deleted that was not answered in time."""
        return self._send(key, "lapse", post, index, doing="the lapse of the demand", at=at, kind="challenge")

    def demand_order(self, key: Key, post: Post, receipts: Sequence[Signed[Receipt]], *, at: int) -> Receipted:
        """Ask where an order is that enough operators gave their receipts for; within the window."""
        receipt = receipts[0].record
        signatures = ascending(self.ledger.domain, receipt, [each.signature for each in receipts])
        return self._send(key, "demandOrder", post, receipt, signatures, doing="the demand", at=at, kind="demand")

    def answer_order(self, post: Post, receipt: Receipt, siblings: Sequence[bytes], *, at: int) -> Receipted:
        """Show the order where its receipt says."""
        key = self.ledger.key
        return self._send(key, "answerOrder", post, receipt, siblings, doing="the answer", at=at, kind="demand")

    def lapse_order(self, key: Key, post: Post, receipt: Receipt, *, at: int) -> Receipted:
        """Have a post deleted without an order that was accepted."""
        return self._send(key, "lapseOrder", post, receipt, doing="the lapse of the demand", at=at, kind="challenge")

    def demanded(self) -> list[dict[str, Any]]:
        """Every demand there was: slot, revision, member, and until when it could be answered [unix s]."""
        topic = keccak(b"Demanded(uint64,uint32,uint32,uint256)")
        node = self.ledger.node
        logs = node.logs(1, node.head.number, self.address, topic)
        return [dict(event.arguments) for log in logs if (event := decode_event(log))]

    def _send(self, key: Key, function: str, *values: object, doing: str, at: int, kind: str) -> Receipted:
        data = contract(DISPUTES).functions[function].encode(*map(_plain, values))
        return self.ledger.send(key, self.address, data, doing, at=at, kind=kind)


def _plain(value: object) -> object:
    """A record, a leaf, or a list of them, as the contract takes its structs."""
    if isinstance(value, Leaf):
        return _plain(value.statement), value.position, value.siblings
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    kind: Any = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return tuple(getattr(value, field.name) for field in schema(kind))
    return value
