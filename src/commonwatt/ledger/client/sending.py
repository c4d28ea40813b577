"""How a transaction gets onto a chain: its gas, its fee, its nonce, and the reason when it fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from commonwatt.errors import LedgerError
from commonwatt.ledger.client.abi import revert
from commonwatt.ledger.node import Node, Receipt
from commonwatt.ledger.wallet import MAX_FEE, sign_transaction
from commonwatt.proof import Key

# Most gas per transaction and per item of its list, about a quarter above what was measured on new storage. What
# operators sign needs `_GAS_SIGNATURE` for each signature as well.
_GAS = {
    "create": (8_000_000, 30_000),
    "register": (100_000, 90_000),
    "depositFor": (150_000, 40_000),
    "commit": (109_000, 32_000),
    "post": (269_000, 500),
    "finalise": (150_000, 6_500),
    "anchor": (70_000, 0),
    "challenge": (700_000, 0),
    "demand": (250_000, 0),
    "answer": (600_000, 40_000),
    "mint": (130_000, 0),
    "fetch": (150_000, 12_000),
}
_GAS_OTHER = 200_000
_GAS_SIGNATURE = 11_000
_UNDERPRICED = "replacement transaction underpriced"
"""What nodes say of a transaction whose nonce another one has that offers as much."""
_BIDS = 5


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
        nonce = self.node.nonce(key.address)
        hashes = [self._submit(call, key, nonce + index) for index, call in enumerate(calls)]
        receipts = self.node.confirm(hashes, at)
        for receipt in receipts:
            if not receipt.success:
                raise revert(receipt.output, doing)
        return receipts

    def _submit(self, call: Call, key: Key, nonce: int) -> bytes:
        """Sign and submit. What a killed run has left queued under this nonce is outbid, so that one of both counts."""
        once, each = _GAS.get(call.kind, (_GAS_OTHER, 0))
        gas = once + each * call.items + _GAS_SIGNATURE * call.signatures
        fee = max(MAX_FEE, 2 * self.node.head.base_fee)
        for attempt in range(_BIDS):
            raw = sign_transaction(
                key, chain_id=self.node.chain_id, nonce=nonce, to=call.to, data=call.data, value=call.value,
                gas=gas, max_fee=fee << attempt, tip=(1 << attempt) - 1,
            )  # fmt: skip
            try:
                return self.node.submit(raw)
            except LedgerError as error:
                if _UNDERPRICED not in str(error):
                    raise
        raise LedgerError(f"Transaction {nonce} of 0x{key.address.hex()} waits at the node and cannot be outbid.")
