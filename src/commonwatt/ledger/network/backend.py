"""A node of the network as JSON-RPC sees it."""

from __future__ import annotations

from collections.abc import Sequence

from commonwatt.ledger.chain.evm import Queued
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.network.driver import Driver
from commonwatt.ledger.rpc.backend import Sync


class NodeBackend:
    """The `Backend` of a driver's node."""

    next_time = None

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._machine = driver.machine

    @property
    def reader(self) -> Reader:
        """The chain that the node holds."""
        return self._machine.tree

    @property
    def peers(self) -> int:
        """How many other nodes are heard."""
        return len(self._machine.peers.heard(self._driver.now))

    @property
    def syncing(self) -> Sync | None:
        """How far the node is; None when it is not behind."""
        highest, current = self._machine.highest, self._machine.tree.head.number
        return None if highest is None or highest <= current else Sync(current, current, highest)

    def submit(self, raw: bytes) -> bytes:
        """Take a signed transaction; returns its hash. Raises LedgerError that names the cause."""
        return self._driver.submit(raw)

    def waiting(self) -> Sequence[Queued]:
        """Transactions that wait for a block, oldest first."""
        return self._machine.pool.waiting()

    def find(self, transaction: bytes) -> Queued | None:
        """A waiting transaction by its hash."""
        return self._machine.pool.get(transaction)

    def pending_nonce(self, address: bytes) -> int:
        """Number of the account's next transaction, waiting ones counted."""
        return self._machine.pool.next_nonce(address, self._machine.tree.nonce(address))
