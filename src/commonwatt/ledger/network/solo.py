"""A chain to which one process adds: a block when transactions wait, and none when nothing does.

A backlog of calls comes into one block, so that it does not push the chain's time ahead. No socket is known here;
`solo_process` has the doors and the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.chain.evm import Queued, decode
from commonwatt.ledger.chain.rules import unbounded
from commonwatt.ledger.network.pool import Pool
from commonwatt.ledger.node import SETTABLE, Block
from commonwatt.ledger.rpc.asked import METHODS, Asked, Method, Steps
from commonwatt.ledger.rpc.methods import client
from commonwatt.ledger.rpc.slices import in_slices
from commonwatt.ledger.rpc.values import count, hexed


class SoloNode:
    """The `Backend` of a chain that nobody else adds to.

    clock : unix seconds. A block has its time, or one second more than its parent where that is later
    settable : blocks come when `seal` is called by whoever may, at the time that `set_time` was given
    arrived : called when a transaction came
    held : no block is made, and what comes waits, as while nobody vouches for the clock
    """

    peers = 0
    syncing = None

    def __init__(self, chain: EmbeddedChain, clock: Callable[[], float], *, settable: bool = False) -> None:
        self.reader = chain
        self.settable = settable
        self.arrived: Callable[[], None] = lambda: None
        self.held = False
        self.arrivals = 0
        """How many transactions came."""
        self._clock = clock
        self._set = 0
        self._pool = Pool(chain.chain_id, chain.head.gas_limit)
        self._sealing = False

    # What JSON-RPC asks

    @property
    def next_time(self) -> int:
        """What a block that was sealed now would have [unix s]."""
        now = self._set if self.settable else int(self._clock())
        return max(now, self.reader.head.timestamp + 1)

    def submit(self, raw: bytes) -> bytes:
        """Take a signed transaction; returns its hash. Raises LedgerError that names the cause."""
        queued = decode(raw)
        # What waits for too long is forgotten by the clock on the wall, whatever time the chain has.
        self._pool.expire(int(self._clock()))
        self._pool.add(queued, self._account, self.reader.next_base_fee, int(self._clock()))
        self.arrivals += 1
        self.arrived()
        return queued.hash

    def waiting(self) -> Sequence[Queued]:
        """Transactions that wait for a block, oldest first."""
        return self._pool.waiting()

    def find(self, transaction: bytes) -> Queued | None:
        """A waiting transaction by its hash."""
        return self._pool.get(transaction)

    def pending_nonce(self, address: bytes) -> int:
        """Number of the account's next transaction, waiting ones counted."""
        return self._pool.next_nonce(address, self.reader.nonce(address))

    # What seals

    @property
    def ready(self) -> bool:
        """Whether a transaction waits that a block can take now."""
        return not self.held and next(self._pool.best(self.reader.next_base_fee, set()), None) is not None

    @property
    def early(self) -> float:
        """Seconds until the clock is past the head's, within which a block would be ahead of it; 0 when it is, and when
        the clock was put back so far that nobody waits for it."""
        left = self.reader.head.timestamp + 1 - self._clock()
        return left if 0 < left <= 1 else 0.0

    def set_time(self, timestamp: int) -> None:
        """What time the next block has [unix s]. Raises LedgerError when it is not after the head's."""
        head = self.reader.head.timestamp
        if not head < timestamp < 1 << 40:
            raise LedgerError(f"The next block is later than the head, whose time is {head}, and below 2^40.")
        self._set = timestamp

    def seal(self) -> Steps[Block]:
        """Make a block of what waits, in steps, for others to be let in between.

        Nonces are in order, the highest tip goes first, then who came first. Raises LedgerError and leaves the chain at
        its head when the block cannot be kept; the transactions still wait then.
        """
        while self._sealing:
            yield
        self._sealing = True
        try:
            queue, at, chain = list(self._pool.best(self.reader.next_base_fee, set())), self.next_time, self.reader
            steps = in_slices(lambda guard: chain.seal_these(queue, at, guard), unbounded)
            for queued in (yield from steps):
                self._pool.forget(queued)
            self._pool.settle({queued.sender for queued in queue}, self._account)
            return chain.head
        finally:
            self._sealing = False

    def _account(self, address: bytes) -> tuple[int, int]:
        return self.reader.nonce(address), self.reader.balance(address)


def operator_methods(node: SoloNode) -> dict[str, Method]:
    """All methods, and those by which an operator says when a block comes and of which time, by anvil's names."""

    def set_time(_: Asked, timestamp: int) -> None:
        node.set_time(timestamp)

    def mine(_: Asked) -> Steps[str]:
        yield from node.seal()
        return hexed(0)

    return METHODS | {
        "web3_clientVersion": Method(lambda _: client(SETTABLE), (), 0),
        "evm_setNextBlockTimestamp": Method(set_time, (("timestamp", count),), 1),
        "evm_mine": Method(mine, (), 0),
    }
