"""Several nodes as one that is only asked: an answer counts when all of them give it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeVar

from commonwatt.errors import LedgerError
from commonwatt.ledger.node import ZERO_ADDRESS, Block, CallReverted, Log, Node, Receipt, Transaction

T = TypeVar("T")


class AgreeingNodes:
    """A `Node` of several, by their names. Its head is the last block that all of them have.

    A single honest one among them is enough for no false answer to be believed.
    Raises LedgerError when they differ, already when they are of different chains.
    """

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes
        self.chain_id = self._same(lambda node: node.chain_id, "which chain it is")
        number = min(node.head.number for node in nodes.values())
        self.head = self.block(number)

    def block(self, number: int) -> Block:
        """See `Node`."""
        return self._same(lambda node: node.block(number), f"block {number}")

    settable = False

    def now(self, at: int) -> int:
        """A time that none of them is before [unix s]."""
        return min(node.now(at) for node in self._nodes.values())

    @property
    def tip(self) -> NoReturn:
        """Never: this is for questions."""
        self.submit(b"")

    def submit(self, raw: bytes) -> NoReturn:  # noqa: ARG002
        """Never: this is for questions."""
        raise LedgerError("Several nodes are only asked; name one to send a transaction to.")

    def confirm(self, transactions: Sequence[bytes], timestamp: int) -> NoReturn:  # noqa: ARG002
        """Never: this is for questions."""
        self.submit(b"")

    def receipt(self, transaction: bytes) -> Receipt | None:
        """See `Node`."""
        return self._same(lambda node: node.receipt(transaction), f"what became of 0x{transaction.hex()}")

    def transaction(self, transaction: bytes) -> Transaction | None:
        """See `Node`."""
        return self._same(lambda node: node.transaction(transaction), f"transaction 0x{transaction.hex()}")

    def call(self, to: bytes, data: bytes, sender: bytes = ZERO_ADDRESS) -> bytes:
        """See `Node`."""

        def ask(node: Node) -> bytes | str:
            try:
                return node.call(to, data, sender)
            except CallReverted as reverted:
                return reverted.data.hex()

        found = self._same(ask, f"a question to contract 0x{to.hex()}")
        if isinstance(found, str):
            raise CallReverted(bytes.fromhex(found))
        return found

    def nonce(self, address: bytes) -> int:
        """See `Node`."""
        return self._same(lambda node: node.nonce(address), f"how often 0x{address.hex()} has sent")

    def balance(self, address: bytes) -> int:
        """See `Node`."""
        return self._same(lambda node: node.balance(address), f"the ether of 0x{address.hex()}")

    def code(self, address: bytes) -> bytes:
        """See `Node`."""
        return self._same(lambda node: node.code(address), f"the code of 0x{address.hex()}")

    def storage(self, address: bytes, slots: Sequence[int]) -> list[int]:
        """See `Node`."""
        return self._same(lambda node: node.storage(address, slots), f"the storage of 0x{address.hex()}")

    def logs(self, first: int, last: int, address: bytes | None = None, topic: bytes | None = None) -> list[Log]:
        """See `Node`."""
        return self._same(lambda node: node.logs(first, last, address, topic), f"events until block {last}")

    def _same(self, ask: Callable[[Node], T], what: str) -> T:
        (name, first), *others = [(name, ask(node)) for name, node in self._nodes.items()]
        for other, answer in others:
            if answer != first:
                raise LedgerError(f"{name} and {other} differ about {what}; one of them is wrong, or behind.")
        return first
