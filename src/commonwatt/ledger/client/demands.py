"""What a post rests on, demanded on the chain: the contract `Demands`, spoken to through any node.

A member to whom lines are not shown demands them, and whoever holds operators' receipts for an order demands that; a
post that is not answered in time is deleted, and half of its bond is credited to who asked. Methods that send raise
Reverted with the contract's custom error, or LedgerError. `at` is as in `settlement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commonwatt.ledger.client.abi import DEMANDS, contract, decode_event
from commonwatt.ledger.client.disputes import plain
from commonwatt.ledger.client.quorum import ascending
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.node import Receipt as Receipted
from commonwatt.proof import Key, keccak
from commonwatt.records import Post, Receipt, Signed


class DemandsClient:
    """What is demanded of a community's operators."""

    def __init__(self, ledger: LedgerClient) -> None:
        self.ledger = ledger
        self.address = ledger.demands

    def demand(self, member: Key, post: Post, index: int, *, at: int) -> Receipted:
        """Ask for all that was posted about the member with this index, within the window.

        member : key of its account, or of one that holds its grant to watch
        """
        return self._send(member, "demand", post, index, doing="the demand", at=at, kind="demand")

    def answer(self, post: Post, index: int, answer: Sequence[object], *, lines: int, at: int) -> Receipted:
        """Show what was demanded, or a part of it. lines : how many, which the gas goes by"""
        data = contract(DEMANDS).functions["answer"].encode(*map(plain, (post, index, answer)))
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
        data = contract(DEMANDS).functions[function].encode(*map(plain, values))
        return self.ledger.send(key, self.address, data, doing, at=at, kind=kind)
