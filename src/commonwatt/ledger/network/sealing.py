"""When a node seals, and what."""

from __future__ import annotations

from dataclasses import dataclass

from commonwatt.ledger.network.consensus.interface import Header
from commonwatt.ledger.network.pool import Pool
from commonwatt.ledger.network.tree import Added, Draft, Tree
from commonwatt.proof.keys import Key

ALONE_AFTER = 60
"""Seconds that a node whose double seals are punished waits for others before it seals without them."""
CATCH_UP = 10
"""Seconds without an old block after which a node that catches up seals all the same; younger blocks are not old."""
DRAFT_LASTS = 10
"""Seconds after which a search for a seal begins anew on a block with the transactions that came since."""


@dataclass(frozen=True)
class Search:
    """A seal that is searched for, since `since`."""

    draft: Draft
    since: int


@dataclass(frozen=True)
class Sealed:
    """A block of this node's own, and its bytes for others."""

    added: Added
    raw: bytes
    transactions: int


class Sealer:
    """Seals the blocks of one node. `key` is the member that seals; None where nobody does."""

    def __init__(self, tree: Tree, pool: Pool, key: Key | None) -> None:
        self.search: Search | None = None
        """Set while a worker should look for a seal; it changes when another one is wanted."""
        # Where sealing a height twice is guilt, whoever has lost its file must first hear how far its chain was.
        self.listens = ALONE_AFTER if tree.engine.exclusive else 0
        """Seconds that a node that starts waits for others before it seals without them."""
        self._tree, self._pool, self._key = tree, pool, key
        self._quiet, self._caught = 0, False
        """Since when there is nothing to wait for: the start, or the last old block; whether one came since a look."""

    def ready(self, now: int, *, heard: bool, catching_up: bool) -> bool:
        """Whether there is no more to wait for: others at the start, and old blocks as long as they come in.

        What others only claim is never waited for: whoever claims a chain and brings none would stop this one.
        """
        # Counted from when an old block is done with: a small machine may take longer for it than is waited.
        self._quiet = now if self._caught else min(self._quiet or now, now)
        self._caught = False
        if heard and not catching_up:
            return True
        return now - self._quiet >= (max(self.listens, CATCH_UP) if catching_up else self.listens)

    def caught(self, block: Header, now: int) -> None:
        """A block of somebody else has become the head while the node catches up."""
        self._caught |= now - block.timestamp > CATCH_UP

    def produce(self, now: int) -> Sealed | None:
        """Seal the next block when it is this node's turn, or begin to search for its seal. Raises InvalidBlock."""
        tree = self._tree
        parent = tree.past.header(tree.head.hash)
        if self._key is None or not self._search_is_due(parent, now):
            return None
        turn = tree.engine.turn(parent, tree.past, self._key.address, now)
        if turn is None or turn.at > now or (tree.engine.exclusive and parent.number < tree.sealed):
            return None
        passed: set[bytes] = set()
        candidates = self._pool.best(tree.next_base_fee, passed)
        draft = tree.draft(turn, now, candidates, passed)
        seal = tree.engine.seal(draft.unsealed, turn, self._key)
        if seal is None:
            self.search = Search(draft, now)
            return None
        return self._seal(draft, seal)

    def found(self, unsealed: bytes, seal: bytes) -> Sealed | None:
        """A seal that was searched for; one that came too late is passed over. Raises InvalidBlock."""
        if self.search is None or self.search.draft.unsealed != unsealed:
            return None
        return self._seal(self.search.draft, seal)

    def _search_is_due(self, parent: Header, now: int) -> bool:
        search = self.search
        return (
            search is None
            or search.draft.header.parent_hash != parent.hash
            or (abs(now - search.since) >= DRAFT_LASTS and len(self._pool) > len(search.draft.run.done))
        )

    def _seal(self, draft: Draft, seal: bytes) -> Sealed:
        self.search = None
        added = self._tree.seal(draft, seal)
        return Sealed(added, draft.encoded(self._tree.header(added.block.hash)), len(draft.run.done))
