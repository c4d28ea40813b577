"""Ways to agree: what a node asks of its consensus engine, and what the engine sees of the chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from commonwatt.errors import LedgerError
from commonwatt.proof.keys import Key


class SealError(LedgerError):
    """A block may not stand where it claims to stand."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class Header:
    """What an engine sees of a header."""

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
    """What this node may seal next."""

    at: int
    claim: bytes
    coinbase: bytes
    reward: int = 0


class History(Protocol):
    """The chain as it is seen from any known block."""

    def header(self, hash: bytes) -> Header: ...  # noqa: A002

    def words(self, hash: bytes, address: bytes, slots: Sequence[int]) -> list[int]: ...  # noqa: A002


class Consensus(Protocol):
    """A way to agree."""

    name: str

    def turn(self, parent: Header, history: History, member: bytes, now: int) -> Turn | None: ...

    def check(self, header: Header, history: History) -> None: ...

    def weight(self, header: Header, history: History) -> int: ...

    def reward(self, header: Header) -> int: ...

    def seal(self, unsealed: bytes, turn: Turn, key: Key) -> bytes | None: ...
