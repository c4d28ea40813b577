"""A node's file as it is read: what follows from the blocks is found again when it is damaged or missing.

That is the score of each block, the index by number and by hash, and what the consensus engine remembers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from eth.abc import BlockHeaderAPI

from commonwatt.ledger.chain.blocks import At, DamagedIndex
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.network.block import seen
from commonwatt.ledger.network.consensus.interface import Consensus, Header
from commonwatt.ledger.network.index import Index
from commonwatt.ledger.network.notes import Notes

SCORE = b"score:"
"""How the name of a block's score begins among the notes; its hash follows."""
_INDEXED = b"indexed"
_HEADERS_KEPT = 4096


def private(path: Path | None) -> Path | None:
    """Where a node's file is or will be; a new one is its operator's alone."""
    if path and path.parent.is_dir():
        path.touch(0o600)
    return path


class Past:
    """The `History` that consensus engines read."""

    def __init__(self, tree: Kept) -> None:
        self._tree = tree
        self._headers: OrderedDict[bytes, Header] = OrderedDict()

    def header(self, hash: bytes) -> Header:  # noqa: A002
        """A header by its hash. Raises UnknownBlock."""
        found = self._headers.get(hash)
        if found is None:
            found = seen(self._tree.header(hash))
            self.keep(found)
        return found

    def keep(self, header: Header) -> None:
        """Remember a header of the file; the oldest ones are forgotten."""
        self._headers[header.hash] = header
        if len(self._headers) > _HEADERS_KEPT:
            self._headers.popitem(last=False)

    def words(self, hash: bytes, address: bytes, slots: Sequence[int]) -> list[int]:  # noqa: A002
        """Words of a contract's storage after a block."""
        return self._tree.storage(address, slots, at=hash)

    def recall(self, name: bytes) -> bytes | None:
        """What was remembered under a name; None when nothing was, or it is damaged."""
        return self._tree.notes.get(name)

    def remember(self, name: bytes, value: bytes) -> None:
        """Keep something in the file, with the next block or when the one that is checked is refused."""
        self._tree.notes.put(name, value)


class Kept(Reader):
    """A node's file, opened for writing, with the engine whose chain it holds."""

    def __init__(self, store: Store, name: str, engine: Consensus) -> None:
        self.notes, self._index = Notes(store), Index(store)
        super().__init__(store, name)
        self.engine = engine
        self.past = Past(self)
        if not self._index.is_whole(self._head.block_number, self._indexed()):
            self._reindex()
        self.genesis = self.header(0).hash
        self.score(self._head.hash)

    def header(self, at: At = None) -> BlockHeaderAPI:
        """A whole header. Raises UnknownBlock."""
        try:
            return super().header(at)
        except DamagedIndex:
            self._reindex()
            return super().header(at)

    def placed(self, transaction: bytes) -> tuple[int, int, bytes] | None:
        """What `place` tells, and the transaction as it was signed."""
        try:
            return super().placed(transaction)
        except DamagedIndex:
            self._reindex()
            return super().placed(transaction)

    def knows(self, hash_: bytes) -> bool:
        """Whether a block is here, validated."""
        return hash_ == self.genesis or self.notes.get(SCORE + hash_) is not None

    def score(self, hash_: bytes) -> int:
        """Sum of the weights from block 1 to a known block. Raises UnknownBlock."""
        missing: list[bytes] = []
        while (score := self._noted_score(hash_)) is None:
            missing.append(hash_)
            hash_ = self.past.header(hash_).parent
        for each in reversed(missing):
            score += self.engine.weight(self.past.header(each), self.past)
            self._note_score(each, score)
        return score

    def _noted_score(self, hash_: bytes) -> int | None:
        noted = b"" if hash_ == self.genesis else self.notes.get(SCORE + hash_)
        return None if noted is None else int.from_bytes(noted, "big")

    def _note_score(self, hash_: bytes, score: int) -> None:
        self.notes.put(SCORE + hash_, score.to_bytes((score.bit_length() + 7) // 8, "big"))

    def _indexed(self) -> int | None:
        """How many transactions the index leads to; None when that is not known."""
        noted = self.notes.get(_INDEXED)
        return None if noted is None else int.from_bytes(noted, "big")

    def _note_indexed(self, count: int) -> None:
        self.notes.put(_INDEXED, count.to_bytes(8, "big"))

    def _reindex(self) -> None:
        """The index anew; it is in the file with the next block."""
        with self._whole():
            self._note_indexed(self._index.rebuild(self, self._head))
