"""What JSON-RPC needs of a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from commonwatt.ledger.chain.evm import Queued
from commonwatt.ledger.chain.reader import Reader


class Sync(NamedTuple):
    """A node that is behind: where it began to catch up, where it is, and the number that it knows of."""

    start: int
    current: int
    highest: int


class Backend(Protocol):
    """A node. Methods raise LedgerError when it cannot answer."""

    @property
    def reader(self) -> Reader:
        """The chain that it holds."""

    @property
    def peers(self) -> int:
        """How many other nodes it is connected with."""

    @property
    def syncing(self) -> Sync | None:
        """How far it is; None when it is not behind."""

    @property
    def next_time(self) -> int | None:
        """What a block that was sealed now would have [unix s]; None where blocks come by themselves, so that the head
        is about as late."""

    def submit(self, raw: bytes) -> bytes:
        """Take a signed transaction; returns its hash. Raises LedgerError that names the cause."""

    def waiting(self) -> Sequence[Queued]:
        """Transactions that wait for a block, oldest first."""

    def find(self, transaction: bytes) -> Queued | None:
        """A waiting transaction by its hash."""

    def pending_nonce(self, address: bytes) -> int:
        """Number of the account's next transaction, waiting ones counted."""
