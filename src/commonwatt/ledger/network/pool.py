"""Transactions that wait for a block: what is taken, what gives way, what goes first.

Each sender has a queue by nonce; a gap in it waits until it is filled. All limits hold at any time, and the same
arrivals leave the same pool. No clock is read: `now` is unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from commonwatt.ledger.chain.evm import Queued, problem_of, refusal, unaffordable

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


class Pool:
    """The pool of one node."""

    def __init__(self, chain_id: int, gas_limit: int, limits: Limits | None = None) -> None:
        self._chain_id = chain_id
        self._gas_limit = gas_limit
        self.limits = limits or Limits()
        self._queues: dict[bytes, dict[int, _Waiting]] = {}
        self._by_hash: dict[bytes, Queued] = {}
        self._arrivals = 0
        self.size = 0
        """Bytes of all raw transactions."""

    def __len__(self) -> int:
        return len(self._by_hash)

    def __contains__(self, hash_: bytes) -> bool:
        return hash_ in self._by_hash

    def get(self, hash_: bytes) -> Queued | None:
        """A waiting transaction by its hash."""
        return self._by_hash.get(hash_)

    def waiting(self) -> list[Queued]:
        """All of them, oldest first."""
        entries = [entry for queue in self._queues.values() for entry in queue.values()]
        return [entry.queued for entry in sorted(entries, key=lambda entry: entry.order)]

    def next_nonce(self, sender: bytes, nonce: int) -> int:
        """Nonce after the transactions that wait without a gap, from the account's `nonce` on."""
        queue = self._queues.get(sender, {})
        while nonce in queue:
            nonce += 1
        return nonce

    def add(self, queued: Queued, account: Account, base_fee: int, now: int) -> None:
        """Take a transaction. Raises LedgerError that names the cause when it is refused."""
        nonce, balance = account(queued.sender)
        problem = problem_of(queued, self._chain_id, self._gas_limit, base_fee) or self._problem(queued, nonce, balance)
        if problem:
            raise refusal(queued, problem)
        replaced = self._queues.get(queued.sender, {}).get(queued.transaction.nonce)
        if replaced:
            self._remove(replaced.queued)
        self._insert(_Waiting(queued, now, self._arrivals))
        self._arrivals += 1
        while len(self) > self.limits.count or self.size > self.limits.size:
            weakest = self._weakest(account)
            self._remove(weakest)
            if weakest is queued:
                if replaced:
                    self._insert(replaced)
                raise refusal(queued, "the pool is full and all that waits there offers as much")

    def _problem(self, queued: Queued, nonce: int, balance: int) -> str | None:
        """Why the pool does not take a transaction that could be in a block of this chain."""
        wanted = queued.transaction.nonce
        queue = self._queues.get(queued.sender, {})
        others = [entry.queued for number, entry in queue.items() if number != wanted]
        if queued.hash in self._by_hash:
            return "it waits already"
        if len(queued.raw) > self.limits.transaction:
            return f"it has {len(queued.raw)} bytes, more than {self.limits.transaction}"
        if wanted >= nonce + self.limits.per_sender:
            return f"its nonce is {wanted}, too far from the account's next one, {nonce}"
        if len(others) >= self.limits.per_sender:
            return f"{len(others)} transactions of this account wait already"
        problem = unaffordable(queued, balance, max(nonce, wanted), sum(other.cost for other in others))
        return problem or (self._replacement_problem(queued, queue[wanted].queued) if wanted in queue else None)

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

    def best(self, account: Account, base_fee: int, passed: set[bytes]) -> Iterator[Queued]:
        """What a block takes, in its order: the highest tip first, then the first that came; nonces in order.

        Whoever is in `passed` is left out; names may be added while iterating.
        """
        heap: list[tuple[int, int, bytes, int]] = []

        def offer(sender: bytes, nonce: int) -> None:
            entry = self._queues[sender].get(nonce)
            if entry and entry.queued.transaction.max_fee_per_gas >= base_fee:
                heappush(heap, (-_tip(entry.queued, base_fee), entry.order, sender, nonce))

        for sender in self._queues:
            offer(sender, account(sender)[0])
        while heap:
            _, _, sender, nonce = heappop(heap)
            if sender in passed:
                continue
            yield self._queues[sender][nonce].queued
            offer(sender, nonce + 1)

    def settle(self, senders: Iterable[bytes], account: Account) -> None:
        """After the head moved: forget what these senders have had in a block, or in another one's place."""
        for sender in senders:
            nonce, _ = account(sender)
            for entry in [entry for number, entry in self._queues.get(sender, {}).items() if number < nonce]:
                self._remove(entry.queued)

    def expire(self, now: int) -> None:
        """Forget what has waited for too long."""
        late = now - self.limits.lifetime
        for entry in [entry for queue in self._queues.values() for entry in queue.values() if entry.since < late]:
            self._remove(entry.queued)

    def forget(self, queued: Queued) -> None:
        """Let go of a transaction that cannot be executed."""
        self._remove(queued)

    def _weakest(self, account: Account) -> Queued:
        """The last transaction of the queue that is worth least: one behind a gap, else the lowest offer."""

        def worth(sender: bytes, queue: dict[int, _Waiting]) -> tuple[bool, int, int, int]:
            last = max(queue)
            entry, transaction = queue[last], queue[last].queued.transaction
            ready = last < account(sender)[0] + len(queue)
            return ready, transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas, -entry.order

        sender = min(self._queues, key=lambda sender: worth(sender, self._queues[sender]))
        return self._queues[sender][max(self._queues[sender])].queued

    def _insert(self, entry: _Waiting) -> None:
        queued = entry.queued
        self._queues.setdefault(queued.sender, {})[queued.transaction.nonce] = entry
        self._by_hash[queued.hash] = queued
        self.size += len(queued.raw)

    def _remove(self, queued: Queued) -> None:
        queue = self._queues[queued.sender]
        del queue[queued.transaction.nonce]
        if not queue:
            del self._queues[queued.sender]
        del self._by_hash[queued.hash]
        self.size -= len(queued.raw)


def _tip(queued: Queued, base_fee: int) -> int:
    transaction = queued.transaction
    return min(transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas - base_fee)
