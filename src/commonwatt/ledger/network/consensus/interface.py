"""Ways to agree: what a node asks of its consensus engine, and what the engine sees of the chain.

Blocks are Ethereum's. What an engine needs stands in a header's extra data, rlp([claim, seal]): the claim (a vote, a
target, a revealed secret) is written before the block is sealed, the seal (a signature, a nonce) is made over
everything else. A header without its seal has the extra data rlp([claim]); its hash is what the seal is for.

Times are unix seconds. Engines know no clock, socket or file: what they need of the past comes through `History`,
and whether a block's time has come is for the node to say.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from commonwatt.errors import LedgerError, SignatureError
from commonwatt.proof.keys import Key, recover

EVERY = 128
"""Blocks from one remembered snapshot to the next."""
SNAPSHOT = b"snapshot:"
"""How the name of a remembered snapshot begins; the block's hash follows."""
_SNAPSHOTS_KEPT = 1024

S = TypeVar("S")


class SealError(LedgerError):
    """A block may not stand where it claims to stand; `reason` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class Header:
    """What an engine sees of a header.

    timestamp : unix seconds
    coinbase : account of who sealed it, 20 bytes
    unsealed : hash of the header without its seal, 32 bytes
    """

    number: int
    hash: bytes
    parent: bytes
    timestamp: int
    coinbase: bytes
    unsealed: bytes
    claim: bytes
    seal: bytes


@dataclass(frozen=True)
class Turn:
    """What a node may seal next.

    at : earliest timestamp [unix s]
    reward : what the block pays to `coinbase` [Gwei]
    """

    at: int
    claim: bytes
    coinbase: bytes
    reward: int = 0


class History(Protocol):
    """The chain as it is seen from any known block."""

    def header(self, hash: bytes) -> Header:  # noqa: A002
        """A header by its hash. Raises LedgerError when it is unknown."""
        ...

    def words(self, hash: bytes, address: bytes, slots: Sequence[int]) -> list[int]:  # noqa: A002
        """Words of a contract's storage after a block; 0 where nothing is."""
        ...

    def recall(self, name: bytes) -> bytes | None:
        """What was remembered under a name; None when nothing was, or it is damaged."""
        ...

    def remember(self, name: bytes, value: bytes) -> None:
        """Keep something beyond a restart."""
        ...


class Consensus(Protocol):
    """A way to agree.

    Every node of a chain must get the same answers from the same chain. The chain of the highest sum of weights is the
    true one; of equal sums, the one whose last block has the lower hash.
    """

    @property
    def name(self) -> str:
        """The name in the chain's genesis."""
        ...

    @property
    def exclusive(self) -> bool:
        """Whether sealing two blocks of one height proves a member guilty.

        A node must then remember the highest number it ever sealed, beyond a crash, and seal only above it.
        """
        ...

    def sealers(self, block: Header, history: History) -> Collection[bytes]:
        """Who may seal after a block, by address; nobody in particular where anybody may."""
        ...

    def turn(self, parent: Header, history: History, member: bytes, now: int) -> Turn | None:
        """What `member` may seal after `parent`; None when it may not."""
        ...

    def check(self, header: Header, history: History) -> None:
        """Check time, claim, seal and the right to seal against the known parent. Raises SealError."""
        ...

    def weight(self, header: Header, history: History) -> int:
        """What a checked block adds to the score of its chain, more than zero."""
        ...

    def reward(self, header: Header) -> int:
        """What a block must pay to its coinbase [Gwei]."""
        ...

    def seal(self, unsealed: bytes, turn: Turn, key: Key) -> bytes | None:
        """The seal of a block; None when it must be searched for (`pow.Miner`)."""
        ...


def check_signature(header: Header, digest: bytes) -> None:
    """A signature as the seal: by the header's coinbase, over `digest`. Raises SealError."""
    try:
        signer = recover(digest, header.seal)
    except SignatureError as error:
        raise SealError(f"its seal is no signature: {error}") from error
    if signer != header.coinbase:
        raise SealError(f"its seal is by 0x{signer.hex()}, not by 0x{header.coinbase.hex()}, whom it names")


def check_time(header: Header, earliest: int) -> None:
    """The sealer's turn has come. Raises SealError."""
    if header.timestamp < earliest:
        raise SealError(f"its time {header.timestamp} is before {earliest}, when its sealer's turn came")


class Snapshots(Generic[S]):
    """What an engine knows after each block: begun at the genesis, carried on from header to header, kept by hash.

    Every `EVERY` blocks the chain's history remembers one, so that a node that starts walks back no further.

    first : of the genesis
    after : of a block's parent, the block (whose sealer is its coinbase, as it was checked) and the chain
    encode, decode : to bytes and back
    """

    def __init__(
        self,
        first: Callable[[Header], S],
        after: Callable[[S, Header, History], S],
        encode: Callable[[S], bytes],
        decode: Callable[[bytes], S],
    ) -> None:
        self._first, self._after, self._encode, self._decode = first, after, encode, decode
        self._kept: OrderedDict[bytes, S] = OrderedDict()

    def at(self, header: Header, history: History) -> S:
        """The snapshot after a block."""
        missing: list[bytes] = []
        # Hashes only: headers of a long chain would fill the memory.
        while (known := self._known(header, history)) is None:
            missing.append(header.hash)
            header = history.header(header.parent)
        snapshot = self._keep(header.hash, known)
        for hash_ in reversed(missing):
            header = history.header(hash_)
            snapshot = self._keep(hash_, self._after(snapshot, header, history))
            if header.number % EVERY == 0:
                history.remember(SNAPSHOT + hash_, self._encode(snapshot))
        return snapshot

    def _known(self, header: Header, history: History) -> S | None:
        if header.hash in self._kept:
            return self._kept[header.hash]
        if not header.number:
            return self._first(header)
        noted = history.recall(SNAPSHOT + header.hash) if header.number % EVERY == 0 else None
        return None if noted is None else self._decode(noted)

    def _keep(self, hash_: bytes, snapshot: S) -> S:
        self._kept[hash_] = snapshot
        self._kept.move_to_end(hash_)
        if len(self._kept) > _SNAPSHOTS_KEPT:
            self._kept.popitem(last=False)
        return snapshot
