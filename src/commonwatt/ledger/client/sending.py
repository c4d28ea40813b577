"""How a transaction gets onto a chain: its gas, its fee, its nonce, and the reason when it fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from commonwatt.errors import LedgerError
from commonwatt.ledger.client.abi import revert
from commonwatt.ledger.node import Node, Receipt
from commonwatt.ledger.wallet import sign_transaction
from commonwatt.proof import Key

# Most gas per transaction and per item of its list, of a challenge per byte of its data, about a quarter above what was
# measured on new storage. What operators sign needs `_GAS_SIGNATURE` for each signature as well.
_GAS = {
    "create": (8_000_000, 30_000),
    "register": (100_000, 90_000),
    "depositFor": (150_000, 40_000),
    "commit": (109_000, 32_000),
    "post": (269_000, 500),
    "finalise": (150_000, 6_500),
    "anchor": (70_000, 0),
    "challenge": (700_000, 40),
    "demand": (250_000, 0),
    "answer": (600_000, 40_000),
    "mint": (130_000, 0),
    "fetch": (150_000, 12_000),
    "propose": (250_000, 4_000),
}
_GAS_OTHER = 200_000
_ENROLLED = 1_000
"""Transactions for which an account has ether when it is enrolled."""
_AT_ONCE = 50
"""Accounts that are given ether at once: a node's pool holds no more than 64 transactions of one sender."""
_GAS_SIGNATURE = 11_000
_UNDERPRICED = "replacement transaction underpriced"
"""What nodes say of a transaction whose nonce another one has that offers as much."""
_BIDS = 5
_DOUBLES = 5
"""Full blocks in a row in which a base fee less than doubles (EIP-1559)."""


class Call(NamedTuple):
    """A transaction to be signed: `items` is the length of the list that its gas grows with.

    signatures : how many signatures of operators it brings
    """

    to: bytes
    data: bytes
    kind: str = ""
    items: int = 0
    value: int = 0
    signatures: int = 0


class Sender:
    """Sends transactions to a node. key : signs those that name no other"""

    def __init__(self, node: Node, key: Key) -> None:
        self.node = node
        self.key = key

    def send(self, calls: Sequence[Call], at: int, doing: str, key: Key | None = None) -> tuple[Receipt, ...]:
        """Sign, submit and confirm; they execute in this order."""
        key = key or self.key
        nonce, offer = self.node.nonce(key.address), self._offer(calls)
        hashes = [self._submit(call, key, nonce + index, *offer) for index, call in enumerate(calls)]
        receipts = self.node.confirm(hashes, at)
        for receipt in receipts:
            if not receipt.success:
                raise revert(receipt.output, doing)
        return receipts

    def endow(self, accounts: Sequence[bytes], at: int) -> None:
        """See to it that each account has ether for a thousand transactions at the fee that the chain asks, so that
        nobody needs another's purse to object. What lacks comes from this sender's account."""
        fee, _ = self._offer(())
        wanted = _ENROLLED * _GAS_OTHER * fee
        lacking = [(account, wanted - self.node.balance(account)) for account in accounts]
        calls = [Call(account, b"", value=wei) for account, wei in lacking if wei > 0]
        for first in range(0, len(calls), _AT_ONCE):
            self.send(calls[first : first + _AT_ONCE], at, "the ether for transactions")

    def _offer(self, calls: Sequence[Call]) -> tuple[int, int]:
        """The highest fee and the tip for these calls [wei per gas]: what the chain asks, and twice the base fee at
        least, which also holds when these calls themselves fill blocks. Only what is asked is paid."""
        head, tip = self.node.head, self.node.tip
        full = sum(_gas(call) for call in calls) // max(1, head.gas_limit)
        return (max(1, head.base_fee) << (1 + full // _DOUBLES)) + tip, tip

    def _submit(self, call: Call, key: Key, nonce: int, fee: int, tip: int) -> bytes:
        """Sign and submit. What a killed run has left queued under this nonce is outbid, so that one of both counts."""
        for attempt in range(_BIDS):
            raw = sign_transaction(
                key, chain_id=self.node.chain_id, nonce=nonce, to=call.to, data=call.data, value=call.value,
                gas=_gas(call), max_fee=fee << attempt, tip=((tip + 1) << attempt) - 1,
            )  # fmt: skip
            try:
                return self.node.submit(raw)
            except LedgerError as error:
                if _UNDERPRICED not in str(error):
                    raise
        raise LedgerError(f"Transaction {nonce} of 0x{key.address.hex()} waits at the node and cannot be outbid.")


def _gas(call: Call) -> int:
    once, each = _GAS.get(call.kind, (_GAS_OTHER, 0))
    return once + each * call.items + _GAS_SIGNATURE * call.signatures
