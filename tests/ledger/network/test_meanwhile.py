"""A node answers and takes transactions while it executes a block, and nothing of that gets into the block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from network_cases import BOB, GENESIS, MEMBERS, START, Rota, transfer
from rpc_cases import result

from commonwatt.ledger.chain.rules import unbounded
from commonwatt.ledger.network.backend import NodeBackend
from commonwatt.ledger.network.driver import Driver
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.network.messages import NewBlock, encode
from commonwatt.ledger.network.tree import Tree
from commonwatt.ledger.network.wire import Wire
from commonwatt.ledger.rpc.service import Service

T = TypeVar("T")
SEALER, READER = MEMBERS[:2]
ENDLESS = bytes.fromhex("5b5f56")


def loop(nonce: int, gas: int = 6_000_000) -> bytes:
    """A transaction whose code runs until its gas is used up."""
    return transfer(nonce, to=b"", wei=0, gas=gas, data=ENDLESS)


def machine(key: Any) -> Machine:
    made = Machine(Tree(None, GENESIS, Rota([SEALER.address])), key, lambda _: None)
    made.sealing = False
    return made


def sealed(*raws: bytes) -> bytes:
    """Block 1 with these transactions, as nodes send it."""
    by = machine(SEALER)
    for raw in raws:
        by.submit(raw, START)
    assert by.produce(START + 5)
    found = by.tree.encoded(by.tree.head.hash)
    by.tree.close()
    return found


@dataclass
class Node:
    """A node without its loops, and what it answers."""

    machine: Machine
    numbers: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        wire = Wire(READER, self.machine.tree.genesis)
        self.driver = Driver(self.machine, wire, {SEALER.address}, [], lambda _: None, lambda: START + 10)
        self.service = Service(NodeBackend(self.driver))
        self.machine.join(SEALER.address, START)

    async def meanwhile(self, work: Callable[[], T], other: Callable[[int], None] = lambda _: None) -> T:
        """Let the machine do something; ask it in between, and do something else at each time."""
        task = asyncio.create_task(self.driver.alone(work))
        while not task.done():
            await asyncio.sleep(0)
            if not task.done():
                self.numbers.append(int(result(self.service, "eth_blockNumber"), 16))
                other(len(self.numbers))
        return await task


@pytest.fixture
def node() -> Any:
    made = Node(machine(READER))
    yield made
    made.machine.tree.close()


def test_a_block_of_others(node: Node) -> None:
    raw = sealed(transfer(0, wei=7), loop(1))
    alike = machine(READER)
    alike.tree.add(raw, START + 10)
    seen: list[Any] = []

    def ask(count: int) -> None:
        seen.append(result(node.service, "eth_getBalance", f"0x{'11' * 20}", "latest"))
        seen.append(result(node.service, "eth_call", {"data": "0x435f5260205ff3"}))
        if count == 3:
            node.driver.submit(transfer(0, key=BOB))

    asyncio.run(node.meanwhile(lambda: node.machine.receive(SEALER.address, encode(NewBlock(raw)), START + 10), ask))
    assert len(node.numbers) > 5
    assert set(node.numbers) == {0}
    assert {int(each, 16) for each in seen} == {0}
    assert int(result(node.service, "eth_blockNumber"), 16) == 1
    assert node.machine.tree.head == alike.tree.head
    assert node.machine.tree.balance(b"\x11" * 20) == 7
    assert [queued.raw for queued in node.machine.pool.waiting()] == [transfer(0, key=BOB)]
    assert node.machine.tree.guard is unbounded
    alike.tree.close()


def test_a_block_of_its_own_while_what_waits_changes() -> None:
    node = Node(machine(SEALER))
    for raw in (loop(0), transfer(1), transfer(0, key=BOB, tip=2)):
        node.machine.submit(raw, START)

    def change(count: int) -> None:
        if count == 2:
            node.driver.submit(transfer(1, wei=2, max_fee=2_000_000_000, tip=5))  # in the place of another one
            node.driver.submit(transfer(1, key=BOB))

    block = asyncio.run(node.meanwhile(lambda: node.machine.produce(START + 10), change))
    assert len(node.numbers) > 2
    assert block
    assert node.machine.tree.head.number == 1
    other = Tree(None, GENESIS, Rota([SEALER.address]))
    assert other.add(node.machine.tree.encoded(block.hash), START + 10)
    inside = {signed.hash for signed in other.transactions(other.header(1))}
    waiting = {queued.hash for queued in node.machine.pool.waiting()}
    assert not inside & waiting
    assert len(inside | waiting) >= 4
    other.close()
    node.machine.tree.close()


def test_what_changes_the_chain_waits_for_the_block(node: Node) -> None:
    raw = sealed(loop(0))
    order: list[str] = []

    def block() -> None:
        node.machine.tree.add(raw, START + 10)
        order.append("block")

    def vote() -> None:
        node.machine.tree.keep_note(b"a", b"note")
        order.append("vote")

    async def both() -> None:
        first = asyncio.create_task(node.meanwhile(block))
        await asyncio.sleep(0)
        await asyncio.gather(first, node.driver.alone(vote))

    asyncio.run(both())
    assert order == ["block", "vote"]
    assert node.machine.tree.head.number == 1
    assert node.machine.tree.notes.get(b"a") == b"note"


def test_a_block_that_nobody_waits_for_any_more_is_as_if_it_had_not_come(node: Node) -> None:
    raw = sealed(transfer(0), loop(1))

    async def stop() -> None:
        task = asyncio.create_task(node.driver.alone(lambda: node.machine.tree.add(raw, START + 10)))
        for _ in range(4):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    before = node.machine.tree.head
    asyncio.run(stop())
    assert node.machine.tree.head == before
    assert node.machine.tree.guard is unbounded
    assert node.machine.tree.add(raw, START + 10)
    assert node.machine.tree.head.number == 1


def test_a_fault_is_told_to_whoever_waits(node: Node) -> None:
    with pytest.raises(KeyError, match="this"):
        asyncio.run(node.driver.alone(lambda: dict[str, int]()["this"]))
    assert asyncio.run(node.driver.alone(lambda: 5)) == 5
