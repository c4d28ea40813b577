"""Nodes in one process, on simulated time and wires that lose, delay and cut."""

# ruff: noqa: ARG002 - the simplest engine needs less than the protocol gives it.
from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rlp
from eth.abc import BlockHeaderAPI

from commonwatt.ledger.chain.evm import Genesis, decode
from commonwatt.ledger.network.block import encode_block, extra_data
from commonwatt.ledger.network.consensus.interface import (
    Consensus,
    Header,
    History,
    SealError,
    Turn,
    check_signature,
)
from commonwatt.ledger.network.consensus.pow import attempt
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.network.outbox import Outgoing
from commonwatt.ledger.network.peers import Patience
from commonwatt.ledger.network.tree import Tree
from commonwatt.ledger.wallet import sign_transaction
from commonwatt.proof import Key

ETHER = 10**18
START = 1_000_000
ALICE, BOB = Key.derive(b"network tests", "alice"), Key.derive(b"network tests", "bob")
MEMBERS = [Key.derive(b"network tests", f"member {number}") for number in range(4)]
GENESIS = Genesis(
    2024, {ALICE.address: 1000 * ETHER, BOB.address: 1000 * ETHER}, START, gas_limit=10_000_000, extra_data=b"tests"
)


@dataclass(frozen=True)
class Rota:
    """The simplest engine: members seal in turn, each other one may a period later; a signature is the seal."""

    members: Sequence[bytes]
    period: int = 5
    paid: int = 0
    name: str = "rota"
    exclusive: bool = False

    def sealers(self, block: Header, history: History) -> Sequence[bytes]:
        return self.members

    def turn(self, parent: Header, history: History, member: bytes, now: int) -> Turn | None:
        if member not in self.members:
            return None
        return Turn(
            parent.timestamp + self.period * (1 + self._rank(parent.number + 1, member)), b"", member, self.paid
        )

    def check(self, header: Header, history: History) -> None:
        if header.coinbase not in self.members:
            raise SealError(f"0x{header.coinbase.hex()} is no member")
        check_signature(header, header.unsealed)
        rank = self._rank(header.number, header.coinbase)
        if header.timestamp < history.header(header.parent).timestamp + self.period * (1 + rank):
            raise SealError("its sealer's turn had not come")

    def weight(self, header: Header, history: History) -> int:
        return len(self.members) - self._rank(header.number, header.coinbase)

    def reward(self, header: Header) -> int:
        return self.paid

    def seal(self, unsealed: bytes, turn: Turn, key: Key) -> bytes | None:
        return key.sign_digest(unsealed)

    def _rank(self, number: int, member: bytes) -> int:
        return (self.members.index(member) - number) % len(self.members)


def rota(count: int = 3, paid: int = 0) -> Rota:
    return Rota([key.address for key in MEMBERS[:count]], paid=paid)


def transfer(nonce: int, *, key: Key = ALICE, to: bytes = b"\x11" * 20, wei: int = 1, **changes: Any) -> bytes:
    fields = {"chain_id": GENESIS.chain_id, "gas": 21_000, "value": wei, "nonce": nonce, **changes}
    return sign_transaction(key, to=to, **fields)


@dataclass
class Network:
    """Machines by their keys' addresses, and the wires between them.

    engine : of each node, or what makes one for a node's key
    hashes : tried per second by each node that searches for a seal
    loss : share of messages that never arrive
    delay : longest time of a message on its way [s]
    """

    engine: Consensus | Callable[[Key], Consensus]
    keys: Sequence[Key] = tuple(MEMBERS[:3])
    loss: float = 0.0
    delay: int = 0
    hashes: int = 0
    seed: int = 1
    genesis: Genesis = GENESIS
    now: int = START
    machines: dict[bytes, Machine] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    cut: set[frozenset[bytes]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)  # noqa: S311
        self._due: list[tuple[int, int, bytes, Outgoing]] = []
        self._count = 0
        self._tried: dict[bytes, int] = {}
        for key in self.keys:
            self.start(key)

    def start(self, key: Key, path: Path | None = None, *, seals: bool = True) -> Machine:
        """A node joins all that run."""
        tree = Tree(path, self.genesis, self.engine(key) if callable(self.engine) else self.engine)
        name = key.address.hex()[:4]
        machine = Machine(tree, key if seals else None, lambda line: self.log.append(f"{name} {line}"), Patience())
        for other, running in self.machines.items():
            self.post(other, running.join(key.address, self.now))
            self.post(key.address, machine.join(other, self.now))
        self.machines[key.address] = machine
        return machine

    def stop(self, key: Key) -> None:
        """A node is gone; nobody is told."""
        self.machines.pop(key.address).tree.close()

    def part(self, *groups: Sequence[Key]) -> None:
        """Cut every wire between nodes of different groups."""
        for index, group in enumerate(groups):
            for other in groups[index + 1 :]:
                self.cut |= {frozenset((one.address, two.address)) for one in group for two in other}

    def heal(self) -> None:
        self.cut.clear()

    def post(self, sender: bytes, messages: list[Outgoing]) -> None:
        for message in messages:
            if frozenset((sender, message.peer)) in self.cut or self._rng.random() < self.loss:
                continue
            self._count += 1
            self._due.append((self.now + self._rng.randint(0, self.delay), self._count, sender, message))

    def run(self, seconds: int) -> Network:
        for _ in range(seconds):
            self.now += 1
            for address, machine in list(self.machines.items()):
                self.post(address, machine.tick(self.now))
                self._search(address, machine)
            self.settle()
        return self

    def _search(self, address: bytes, machine: Machine) -> None:
        if machine.search is None:
            return
        draft = machine.search.draft
        start = self._tried.get(draft.unsealed, 0)
        self._tried[draft.unsealed] = start + self.hashes
        seal = attempt(draft.unsealed, int.from_bytes(draft.turn.claim, "big"), start, self.hashes)
        if seal:
            machine.found(draft.unsealed, seal, self.now)
            self.post(address, machine.sent())

    def settle(self) -> None:
        """Deliver what is due until nobody has anything to say."""
        while True:
            due = sorted(message for message in self._due if message[0] <= self.now)
            if not due and not any(machine.busy for machine in self.machines.values()):
                return
            self._due = [message for message in self._due if message[0] > self.now]
            for _, _, sender, message in due:
                receiver = self.machines.get(message.peer)
                if receiver:
                    self.post(message.peer, receiver.receive(sender, message.payload, self.now))
            for address, machine in self.machines.items():
                while machine.busy:
                    self.post(address, machine.work(self.now))

    @property
    def heads(self) -> set[bytes]:
        return {machine.tree.head.hash for machine in self.machines.values()}

    def lines(self, part: str) -> list[str]:
        return [line for line in self.log if part in line]

    def __iter__(self) -> Iterator[Machine]:
        return iter(self.machines.values())


def new_tree(engine: Consensus | None = None, path: Path | None = None) -> Tree:
    return Tree(path, GENESIS, engine or rota())


def grow(tree: Tree, *raws: bytes, key: Key | None = None, at: int | None = None, **changes: object) -> bytes:
    """Seal a block on the head with a member's key, by default that of the member in turn; returns its bytes.

    With `changes` of header fields the block is forged, sealed all the same, and not kept.
    """
    parent = tree.past.header(tree.head.hash)
    key = key or MEMBERS[(parent.number + 1) % len(tree.engine.members)]  # type: ignore[attr-defined]
    turn = tree.engine.turn(parent, tree.past, key.address, 0)
    assert turn
    draft = tree.draft(turn, at or turn.at, map(decode, raws), set())
    if changes:
        return reseal(draft.header, key, raws, **changes)
    seal = tree.engine.seal(draft.unsealed, turn, key)
    assert seal
    return tree.encoded(tree.seal(draft, seal).block.hash)


def reseal(header: BlockHeaderAPI, key: Key, raws: Sequence[bytes], **changes: object) -> bytes:
    """A block whose header was changed, with a good seal."""
    unsealed = header.copy(**{"extra_data": extra_data(b""), **changes})
    sealed = unsealed.copy(extra_data=extra_data(b"", key.sign_digest(unsealed.hash)))
    return encode_block(rlp.encode(sealed), raws, [])
