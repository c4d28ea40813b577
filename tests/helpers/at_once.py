"""The embedded chain as a node that JSON-RPC can be asked of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.chain.evm import Queued


class AtOnce:
    """The embedded chain as a node of its own that seals each transaction as it comes.

    `clock` gives unix seconds; a block's time is at least one second after its parent's.
    """

    peers = 0
    syncing = next_time = None

    def __init__(self, chain: EmbeddedChain, clock: Callable[[], float]) -> None:
        self.reader = chain
        self._clock = clock

    def submit(self, raw: bytes) -> bytes:
        """Take a signed transaction and seal it into a block."""
        hash_ = self.reader.submit(raw)
        self.reader.confirm([hash_], int(self._clock()))
        return hash_

    def waiting(self) -> Sequence[Queued]:
        """None: each is in a block at once."""
        return ()

    def find(self, transaction: bytes) -> Queued | None:  # noqa: ARG002
        """None: each is in a block at once."""
        return None

    def pending_nonce(self, address: bytes) -> int:
        """Number of the account's next transaction."""
        return self.reader.nonce(address)
