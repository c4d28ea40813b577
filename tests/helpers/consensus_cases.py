"""A chain of headers in memory, and members who seal it, for the tests of the ways to agree."""

# ruff: noqa: A002, ARG002 - the protocol gives the names.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import rlp

from commonwatt.errors import LedgerError
from commonwatt.ledger.network.consensus.hash_chain import HashChain
from commonwatt.ledger.network.consensus.interface import Consensus, Header, SealError, Turn
from commonwatt.ledger.network.consensus.pos import Pos, Rules
from commonwatt.ledger.network.consensus.pow import attempt
from commonwatt.ledger.network.consensus.stake import Entry
from commonwatt.proof import Key, keccak

START = 1_000_000
KEYS = sorted((Key.derive(b"consensus tests", f"member {number}") for number in range(5)), key=lambda key: key.address)
STRANGER = Key.derive(b"consensus tests", "stranger")
NETWORK = keccak(b"consensus tests")


def addresses(keys: Sequence[Key]) -> list[bytes]:
    return [key.address for key in keys]


def header_of(
    parent: Header, timestamp: int, coinbase: bytes, claim: bytes, seal: bytes = b"", body: bytes = b""
) -> Header:
    """A header whose hashes are those of its fields."""
    blank = Header(parent.number + 1, b"", parent.hash, timestamp, coinbase, b"", claim, seal)
    return hashed(blank, body)


def hashed(header: Header, body: bytes = b"") -> Header:
    """The header with the hashes of its other fields and of the transactions, `body`."""
    fields = [header.number, header.parent, header.timestamp, header.coinbase, keccak(body)]
    unsealed = keccak(rlp.encode([*fields, header.claim]))
    return replace(header, unsealed=unsealed, hash=keccak(rlp.encode([*fields, header.claim, header.seal])))


class Chain:
    """A `History` of headers that were put into it, without any contract."""

    def __init__(self) -> None:
        blank = Header(0, b"", bytes(32), START, bytes(20), b"", b"", b"")
        self.genesis = self.head = hashed(blank)
        self._headers = {self.genesis.hash: self.genesis}
        self.notes: dict[bytes, bytes] = {}

    def add(self, header: Header) -> Header:
        self._headers[header.hash] = self.head = header
        return header

    def header(self, hash: bytes) -> Header:
        if hash not in self._headers:
            raise LedgerError("There is no such block.")
        return self._headers[hash]

    def words(self, hash: bytes, address: bytes, slots: Sequence[int]) -> list[int]:
        return [0] * len(slots)

    def recall(self, name: bytes) -> bytes | None:
        return self.notes.get(name)

    def remember(self, name: bytes, value: bytes) -> None:
        self.notes[name] = value


@dataclass
class Node:
    """A member with its engine."""

    key: Key
    engine: Any

    def turn(self, chain: Chain, parent: Header | None = None) -> Turn | None:
        turn: Turn | None = self.engine.turn(parent or chain.head, chain, self.key.address, START)
        return turn

    def make(
        self, chain: Chain, parent: Header | None = None, *, late: int = 0, body: bytes = b"", **changes: Any
    ) -> Header:
        """The node's next block after `parent`, sealed; `changes` are fields that are not as the engine wants them."""
        parent = parent or chain.head
        turn = self.turn(chain, parent)
        assert turn is not None
        return self.seal(replace(header_of(parent, turn.at + late, turn.coinbase, turn.claim), **changes), body)

    def seal(self, blank: Header, body: bytes = b"") -> Header:
        """The header with its hashes, sealed whether the node may or not."""
        unsealed = hashed(blank, body).unsealed
        seal = self.engine.seal(unsealed, Turn(blank.timestamp, blank.claim, blank.coinbase), self.key)
        if seal is None:
            seal = attempt(unsealed, int.from_bytes(blank.claim, "big"), 0, 1 << 40)
        return hashed(replace(blank, seal=seal), body)


def grow(chain: Chain, nodes: Sequence[Node], blocks: int) -> list[Header]:
    """Let the node whose turn comes first seal, again and again; every node checks."""
    grown: list[Header] = []
    for _ in range(blocks):
        turns = [(turn.at, node.key.address, node) for node in nodes if (turn := node.turn(chain))]
        header = min(turns, key=lambda turn: turn[:2])[2].make(chain)
        for node in nodes:
            node.engine.check(header, chain)
        grown.append(chain.add(header))
    return grown


def refusal(engine: Consensus, header: Header, chain: Chain) -> str | None:
    """Why the engine refuses a block; None when it takes it."""
    try:
        engine.check(header, chain)
    except SealError as error:
        return error.reason
    return None


def stake_members(tokens: Sequence[int], length: int = 256) -> tuple[dict[bytes, Entry], list[HashChain]]:
    """Members with so many tokens, and their hash chains."""
    chains = [HashChain.derive(key, length=length) for key in KEYS[: len(tokens)]]
    rows = zip(KEYS, chains, tokens, strict=False)
    return {key.address: Entry(own.tip, held) for key, own, held in rows}, chains


def stake_nodes(tokens: Sequence[int], length: int = 256, **rules: Any) -> list[Node]:
    """Nodes of a network by stake, one for each member."""
    members, chains = stake_members(tokens, length)
    agreed = Rules(NETWORK, members, **rules)
    return [Node(key, Pos(agreed, [own])) for key, own in zip(KEYS, chains, strict=False)]
