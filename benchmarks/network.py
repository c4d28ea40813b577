"""Speed of a node's chain: blocks made, blocks validated, a latecomer that catches up; JSON on stdout.

Time is simulated and messages go from hand to hand, so what is measured is the work of the nodes alone: signatures,
execution, state, SQLite in the temporary directory. Signing of the transactions is outside the clock. Everything runs
on one core; where the machine has other work, `cpu` (this process alone) tells more than `wall`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _measure import clocks, show

from commonwatt.ledger.chain.evm import Genesis
from commonwatt.ledger.client.abi import COMMUNITY, TOKEN, contract
from commonwatt.ledger.client.quorum import mint
from commonwatt.ledger.network.consensus.poa import Poa
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.network.pool import Limits
from commonwatt.ledger.network.tree import Tree
from commonwatt.ledger.wallet import created_address, sign_transaction
from commonwatt.proof import Domain, Key, keccak, sign
from commonwatt.records import Mint

PERIOD, HOUR = 5, 3600
SINGLE, FULL, TOKENS, LONG = 500, 2_000, 1_000, 10_000
MEMBER, READER, RICH = (Key.derive(b"benchmark", name) for name in ("member", "reader", "rich"))
GENESIS = Genesis(1, {RICH.address: 10**24}, gas_limit=10_000_000)


class Node:
    """A machine whose tree is a file."""

    def __init__(self, path: Path, key: Key | None) -> None:
        self.tree = Tree(path, GENESIS, Poa([MEMBER.address], period=PERIOD))
        self.machine = Machine(self.tree, key, lambda _: None)
        self.machine.pool.limits = Limits(count=1 << 16, per_sender=1 << 16)
        self.now = 0

    def seal(self) -> None:
        """The next block, at its time."""
        self.now += PERIOD
        self.machine.tick(self.now)


class Clock:
    """Wall clock and this process's processor time [s] of a block of code."""

    wall = cpu = 0.0

    def rate(self, count: int) -> dict[str, float]:
        """`count` per second."""
        return {"wall": round(count / self.wall, 1), "cpu": round(count / self.cpu, 1)}


@contextmanager
def timed() -> Iterator[Clock]:
    """Measure what is inside."""
    clock, begun = Clock(), clocks()
    yield clock
    clock.wall, clock.cpu = (end - start for start, end in zip(begun, clocks(), strict=True))


def transfer(nonce: int) -> bytes:
    """One of many transfers to 250 accounts."""
    to = keccak(bytes([nonce % 250]))[:20]
    return sign_transaction(RICH, chain_id=1, nonce=nonce, to=to, gas=21_000, value=1)


def money(first: int, count: int) -> tuple[list[bytes], list[bytes]]:
    """Transactions that create a community's token and mint some, and `count` transfers of it to 250 accounts."""
    community, token = (created_address(RICH.address, first + number) for number in range(2))
    call = contract(TOKEN).functions
    domain, issue = Domain(1, token), Mint(RICH.address, count, 0)
    prepared = [
        (b"", contract(COMMUNITY).creation([RICH.address], 1, bytes(32)), 8_000_000),
        (b"", contract(TOKEN).creation(community, "Community money", "EUR"), 5_000_000),
        (token, mint(domain, issue, [sign(domain, issue, RICH).signature]), 200_000),
    ]
    moves = [(token, call["transfer"].encode(keccak(bytes([n % 250]))[:20], 1), 60_000) for n in range(count)]
    signed = [
        sign_transaction(RICH, chain_id=1, nonce=nonce, to=to, gas=gas, data=data)
        for nonce, (to, data, gas) in enumerate(prepared + moves, first)
    ]
    return signed[: len(prepared)], signed[len(prepared) :]


def made(node: Node, raws: list[bytes], *, single: bool = False) -> tuple[Clock, list[bytes]]:
    """Admit transactions and seal them, each in a block of its own or as many as fit; the time, and the blocks."""
    first = node.tree.head.number + 1
    with timed() as clock:
        for each in raws:
            node.machine.submit(each, node.now)
            if single:
                node.seal()
        while len(node.machine.pool):
            node.seal()
    numbers = range(first, node.tree.head.number + 1)
    return clock, [node.tree.encoded(node.tree.header(number).hash) for number in numbers]


def validated(node: Node, blocks: list[bytes], now: int) -> Clock:
    """Another node takes them over; the time."""
    with timed() as clock:
        for each in blocks:
            node.tree.add(each, now)
    return clock


def blocks(folder: Path) -> dict[str, object]:
    """Blocks with one transfer each, and full ones of ether and of tokens: made by one node, validated by another."""
    node, other = Node(folder / "made.db", MEMBER), Node(folder / "validated.db", None)
    raws = [transfer(nonce) for nonce in range(SINGLE + FULL)]
    prepared, tokens = money(SINGLE + FULL, TOKENS)
    rates = {}
    for name, each, single in (
        ("single_transaction_blocks_per_second", raws[:SINGLE], True),
        ("transfers_per_second_in_full_blocks", raws[SINGLE:], False),
        ("prepared", prepared, False),
        ("token_transfers_per_second_in_full_blocks", tokens, False),
    ):
        clock, found = made(node, each, single=single)
        again = validated(other, found, node.now)
        rates[name] = {"made": clock.rate(len(each)), "validated": again.rate(len(each))}
    if other.tree.head != node.tree.head:
        raise SystemExit("the two nodes do not have the same chain")
    del rates["prepared"]
    return {**rates, "transfers_in_a_full_block": GENESIS.gas_limit // 21_000}


def catching_up(folder: Path) -> dict[str, object]:
    """A latecomer fetches a long chain, one transfer in each block, and its memory on the way [MB]."""
    node = Node(folder / "long.db", MEMBER)
    for nonce in range(LONG):
        node.machine.submit(transfer(nonce), node.now)
        node.seal()
    late = Node(folder / "late.db", READER)
    node.machine.sealing = False
    memory, now, longest = [], node.now, node.now + HOUR
    with timed() as clock:
        node.machine.join(READER.address, now)
        _carry(late, node, late.machine.join(MEMBER.address, now), now)
        # A node serves so much at a time, and goes on when time has passed.
        while late.tree.head != node.tree.head and now < longest:
            now += PERIOD
            for each in (node, late):
                _carry(late, node, each.machine.tick(now), now)
            while late.machine.busy:
                _carry(late, node, late.machine.work(now), now)
                if late.tree.head.number % 1_000 == 0:
                    memory.append(round(_memory()))
    if late.tree.head != node.tree.head:
        raise SystemExit("the latecomer does not have the same chain")
    return {
        "blocks": LONG, "seconds": {"wall": round(clock.wall, 1), "cpu": round(clock.cpu, 1)},
        "memory_mb_every_1000_blocks": memory,
        "file_mb": round(sum(file.stat().st_size for file in folder.glob("late.db*")) / 1e6, 1),
    }  # fmt: skip


def _carry(late: Node, node: Node, messages: list, now: int) -> None:  # type: ignore[type-arg]
    """Hand messages to and fro until nobody says anything more."""
    while messages:
        message, *messages = messages
        receiver, sender = (node, READER) if message.peer == MEMBER.address else (late, MEMBER)
        messages += receiver.machine.receive(sender.address, message.payload, now)


def _memory() -> float:
    """Memory of this process that is in use [MB]."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        show({**blocks(Path(name)), "catching_up": catching_up(Path(name))}, "py-evm", "coincurve")


if __name__ == "__main__":
    main()
