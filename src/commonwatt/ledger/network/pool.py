"""Transactions that wait for a block: what is taken, what gives way, what goes first.

Each sender has a queue by nonce; a gap in it waits until it is filled. All limits hold at any time for what comes as
new; what was in a block that left the chain waits beside them and gives way to nothing. The same arrivals leave the
same pool, and each costs the same however many wait. No clock is read: `now` is unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from commonwatt.ledger.chain.evm import Queued, problem_of, refusal, unaffordable
from commonwatt.proof.keys import checksum_address

Admits = Callable[[bytes], bool]
"""Whether transactions of an address [20 bytes] are taken after the head."""
Account = Callable[[bytes], tuple[int, int]]
"""Next nonce and balance [wei] of an address after the head."""


@dataclass(frozen=True)
class Limits:
    """How much a pool holds.

    lifetime : seconds after which a transaction is forgotten
    bump : percent that a replacement must offer above what it replaces
    """

    count: int = 4096
    size: int = 8 << 20
    per_sender: int = 64
    transaction: int = 128 << 10
    lifetime: int = 3 * 3600
    bump: int = 10


@dataclass(frozen=True)
class _Waiting:
    queued: Queued
    since: int
    order: int
    """Counts arrivals: of equal offers the first goes first, and the last gives way."""
    kept: bool = False
    """Whether it was in a block, and is held beside the limits."""


_Rank = tuple[bool, int, int, int]


@dataclass
class _Queue:
    """One sender's transactions by nonce.

    nonce : the account's next one after the head
    cost : wei that all of them may take
    new : how many are not kept
    rank : what the last of those is worth; None without any
    """

    nonce: int
    entries: dict[int, _Waiting] = field(default_factory=dict)
    cost: int = 0
    new: int = 0
    rank: _Rank | None = None

    def last(self) -> _Waiting | None:
        """The one that gives way first."""
        return self.entries[max(n for n, entry in self.entries.items() if not entry.kept)] if self.new else None


class Pool:
    """The pool of one node."""

    def __init__(self, chain_id: int, gas_limit: int, limits: Limits | None = None) -> None:
        self._chain_id = chain_id
        self._gas_limit = gas_limit
        self.limits = limits or Limits()
        self.admits: Admits = lambda _: True
        self._queues: dict[bytes, _Queue] = {}
        self._ranks: list[tuple[_Rank, bytes]] = []
        """A heap of what queues are worth and whose they are; what differs from a queue's rank counts no more."""
        self._by_hash: dict[bytes, Queued] = {}
        self._arrivals = self._new = 0
        self.size = 0
        """Bytes of all raw transactions under the limits."""

    def __len__(self) -> int:
        return len(self._by_hash)

    def __contains__(self, hash_: bytes) -> bool:
        return hash_ in self._by_hash

    def get(self, hash_: bytes) -> Queued | None:
        """A waiting transaction by its hash."""
        return self._by_hash.get(hash_)

    def waiting(self) -> list[Queued]:
        """All of them, oldest first."""
        entries = [entry for queue in self._queues.values() for entry in queue.entries.values()]
        return [entry.queued for entry in sorted(entries, key=lambda entry: entry.order)]

    def next_nonce(self, sender: bytes, nonce: int) -> int:
        """Nonce after the transactions that wait without a gap, from the account's `nonce` on."""
        queue = self._queues.get(sender)
        while queue and nonce in queue.entries:
            nonce += 1
        return nonce

    def add(self, queued: Queued, account: Account, base_fee: int, now: int) -> None:
        """Take a transaction. Raises LedgerError that names the cause when it is refused."""
        problem = "it waits already" if queued.hash in self._by_hash else None
        problem = problem or problem_of(queued, self._chain_id, self._gas_limit, base_fee)
        nonce, balance = (0, 0) if problem else account(queued.sender)
        problem = problem or self._problem(queued, nonce, balance)
        if not problem and not self.admits(queued.sender):
            problem = f"this node takes none of {checksum_address(queued.sender)}, which is no active member"
        if problem:
            raise refusal(queued, problem)
        replaced = self._insert(queued, nonce, now)
        self._rank(queued.sender)
        while self._new > self.limits.count or self.size > self.limits.size:
            weakest = self._weakest()
            self._remove(weakest)
            if weakest.queued is queued:
                if replaced:
                    self._put(replaced, nonce)
                self._rank(queued.sender)
                raise refusal(queued, "the pool is full and all that waits there offers as much")
            self._rank(weakest.queued.sender)

    def put_back(self, returned: Sequence[Queued], account: Account, now: int) -> list[Queued]:
        """Take what was in blocks that left the chain, whatever the limits; returns what can be in a block again."""
        nonces = {sender: account(sender)[0] for sender in {queued.sender for queued in returned}}
        back = [queued for queued in returned if queued.transaction.nonce >= nonces[queued.sender]]
        for queued in back:
            self._insert(queued, nonces[queued.sender], now, kept=True)
        for sender in nonces:
            self._rank(sender)
        return back

    def _problem(self, queued: Queued, nonce: int, balance: int) -> str | None:
        """Why the pool does not take a transaction that could be in a block of this chain."""
        wanted = queued.transaction.nonce
        queue = self._queues.get(queued.sender) or _Queue(nonce)
        same = queue.entries.get(wanted)
        others = queue.new - bool(same and not same.kept)
        if len(queued.raw) > self.limits.transaction:
            return f"it has {len(queued.raw)} bytes, more than {self.limits.transaction}"
        if wanted >= nonce + self.limits.per_sender:
            return f"its nonce is {wanted}, too far from the account's next one, {nonce}"
        if others >= self.limits.per_sender:
            return f"{others} transactions of this account wait already"
        waiting = queue.cost - (same.queued.cost if same else 0)
        problem = unaffordable(queued, balance, max(nonce, wanted), waiting)
        return problem or (self._replacement_problem(queued, same.queued) if same else None)

    def _replacement_problem(self, queued: Queued, old: Queued) -> str | None:
        for name, offer, before in (
            ("highest fee", queued.transaction.max_fee_per_gas, old.transaction.max_fee_per_gas),
            ("tip", queued.transaction.max_priority_fee_per_gas, old.transaction.max_priority_fee_per_gas),
        ):
            least = before + -(-before * self.limits.bump // 100)
            if offer < least:
                return (
                    f"replacement transaction underpriced, another one with nonce {queued.transaction.nonce} waits,"
                    f" and to replace it the {name} must be at least {least} wei"
                )
        return None

    def best(self, base_fee: int, passed: set[bytes]) -> Iterator[Queued]:
        """What a block takes, in its order: the highest tip first, then the first that came; nonces in order.

        Whoever is in `passed` is left out. Names may be added while iterating, and transactions may come and go. What
        a sender has that is not admitted after this head waits, as it may be after another one.
        """
        heap: list[tuple[int, int, bytes, int]] = []

        def offer(sender: bytes, nonce: int) -> None:
            entry = self._entry(sender, nonce)
            if entry and entry.queued.transaction.max_fee_per_gas >= base_fee:
                heappush(heap, (-_tip(entry.queued, base_fee), entry.order, sender, nonce))

        for sender, queue in self._queues.items():
            offer(sender, queue.nonce)
        while heap:
            _, _, sender, nonce = heappop(heap)
            entry = self._entry(sender, nonce)
            if sender in passed or entry is None or not self.admits(sender):
                continue
            yield entry.queued
            offer(sender, nonce + 1)

    def settle(self, senders: Iterable[bytes], account: Account) -> None:
        """After the head moved: forget what these senders have had in a block, or in another one's place.

        `senders` are all whose next nonce has changed.
        """
        for sender in senders:
            queue = self._queues.get(sender)
            if queue is None:
                continue
            queue.nonce, _ = account(sender)
            for entry in [entry for number, entry in queue.entries.items() if number < queue.nonce]:
                self._remove(entry)
            self._rank(sender)

    def expire(self, now: int) -> None:
        """Forget what has waited for too long."""
        late = now - self.limits.lifetime
        entries = [entry for queue in self._queues.values() for entry in queue.entries.values() if entry.since < late]
        for entry in entries:
            self._remove(entry)
        for sender in {entry.queued.sender for entry in entries}:
            self._rank(sender)

    def forget(self, queued: Queued) -> None:
        """Let go of a transaction that cannot be executed, unless it was in a block: it may be in one again."""
        entry = self._entry(queued.sender, queued.transaction.nonce)
        if entry and entry.queued is queued and not entry.kept:
            self._remove(entry)
            self._rank(queued.sender)

    def _entry(self, sender: bytes, nonce: int) -> _Waiting | None:
        queue = self._queues.get(sender)
        return queue.entries.get(nonce) if queue else None

    def _rank(self, sender: bytes) -> None:
        """Note what a sender's queue is worth after it changed: one behind a gap least, else by its offer."""
        queue = self._queues.get(sender)
        last = queue.last() if queue else None
        if queue is None or last is None:
            return
        transaction = last.queued.transaction
        ready = transaction.nonce < queue.nonce + len(queue.entries)
        queue.rank = (ready, transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas, -last.order)
        if len(self._ranks) > 2 * len(self._queues):
            self._ranks = [(each.rank, owner) for owner, each in self._queues.items() if each.rank and each.new]
            heapify(self._ranks)
        else:
            heappush(self._ranks, (queue.rank, sender))

    def _weakest(self) -> _Waiting:
        """The last new transaction of the queue that is worth least."""
        while True:
            rank, sender = heappop(self._ranks)
            queue = self._queues.get(sender)
            if queue and queue.rank == rank and (last := queue.last()):
                return last

    def _insert(self, queued: Queued, nonce: int, now: int, *, kept: bool = False) -> _Waiting | None:
        """Put a transaction into its queue; returns the one in whose place it is."""
        queue = self._queues.get(queued.sender)
        replaced = queue.entries.get(queued.transaction.nonce) if queue else None
        if replaced:
            self._remove(replaced)
        self._put(_Waiting(queued, now, self._arrivals, kept), nonce)
        self._arrivals += 1
        return replaced

    def _put(self, entry: _Waiting, nonce: int) -> None:
        queued = entry.queued
        queue = self._queues.setdefault(queued.sender, _Queue(nonce))
        queue.nonce = nonce
        queue.entries[queued.transaction.nonce] = entry
        self._by_hash[queued.hash] = queued
        self._count(queue, entry, 1)

    def _remove(self, entry: _Waiting) -> None:
        queued = entry.queued
        queue = self._queues[queued.sender]
        del queue.entries[queued.transaction.nonce]
        if not queue.entries:
            del self._queues[queued.sender]
        del self._by_hash[queued.hash]
        self._count(queue, entry, -1)

    def _count(self, queue: _Queue, entry: _Waiting, sign: int) -> None:
        queue.cost += sign * entry.queued.cost
        if not entry.kept:
            queue.new += sign
            self._new += sign
            self.size += sign * len(entry.queued.raw)


def _tip(queued: Queued, base_fee: int) -> int:
    transaction = queued.transaction
    return min(transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas - base_fee)
