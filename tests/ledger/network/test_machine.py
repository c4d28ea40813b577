"""Nodes on simulated time: partitions, losses, delays, latecomers, and peers that lie, flood and babble."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest
import rlp
from ledger_cases import SOAK
from network_cases import ALICE, BOB, MEMBERS, START, Network, grow, new_tree, rota, transfer

from commonwatt.errors import LedgerError
from commonwatt.ledger.network import machine as machines
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.network.messages import (
    Blocks,
    GetBlocks,
    NewBlock,
    Status,
    Transactions,
    decode,
    encode,
)
from commonwatt.ledger.network.tree import Tree
from commonwatt.proof import Key, checksum_address

RECEIVER = b"\x11" * 20
STRANGE = 5000 if SOAK else 1000
LIAR = Key.derive(b"machine tests", "liar")


def test_nodes_share_blocks_and_transactions() -> None:
    net = Network(rota()).run(12)
    first, second, third = net
    assert len(net.heads) == 1
    assert first.tree.head.number == 2
    hash_ = first.submit(transfer(0, wei=5), net.now)
    net.post(MEMBERS[0].address, first.sent())
    net.settle()
    assert hash_ in second.pool
    assert hash_ in third.pool
    net.run(10)
    assert [machine.tree.balance(RECEIVER) for machine in net] == [5, 5, 5]
    assert [len(machine.pool) for machine in net] == [0, 0, 0]
    with pytest.raises(LedgerError, match="nonce is 0, the account's next one is 1"):
        first.submit(transfer(0), net.now)


@pytest.mark.parametrize(("loss", "delay"), [(0.0, 3), (0.2, 0), (0.2, 3)])
def test_chains_are_one_though_messages_come_late_or_never(loss: float, delay: int) -> None:
    net = Network(rota(), loss=loss, delay=delay, seed=7)
    first = next(iter(net))
    for nonce in range(10):
        first.submit(transfer(nonce), net.now)
        net.run(9)
    net.loss = 0.0
    net.run(70)
    net.run(4 - (net.now - START) % 5)  # between two blocks
    assert len({machine.tree.block(first.tree.head.number - 1).hash for machine in net}) == 1
    assert {machine.tree.balance(RECEIVER, at=first.tree.head.number - 1) for machine in net} == {10}
    assert net.lines("dropped") == []


def test_a_partition_heals_and_no_transaction_is_lost() -> None:
    net = Network(rota()).run(12)
    first, _, third = net
    net.part(MEMBERS[:2], MEMBERS[2:3])
    for nonce in range(3):
        first.submit(transfer(nonce), net.now)
        third.submit(transfer(nonce, key=BOB), net.now)
    net.run(60)
    assert len(net.heads) == 2
    assert [machine.tree.balance(RECEIVER) for machine in net] == [3, 3, 3]
    net.heal()
    net.run(30)
    assert len(net.heads) == 1
    assert [machine.tree.balance(RECEIVER) for machine in net] == [6, 6, 6]
    assert len(net.lines("3 transactions wait again")) == 1


def test_a_latecomer_fetches_the_whole_chain_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "MAX_BLOCKS", 64)
    net = Network(rota(), keys=MEMBERS[:1]).run(2000)
    assert next(iter(net)).tree.head.number > 2 * 64
    late = net.start(LIAR, seals=False)
    net.run(1)
    assert len(net.heads) == 1
    assert net.lines("caught up") == [
        f"{LIAR.address.hex()[:4]} caught up with {_name(0)} at block {late.tree.head.number}"
    ]
    # A reader takes part in everything but sealing.
    late.submit(transfer(0, wei=8), net.now)
    net.run(40)
    assert {machine.tree.balance(RECEIVER) for machine in net} == {8}


def test_a_node_that_was_away_catches_up_from_its_file(tmp_path: Path) -> None:
    net = Network(rota(), keys=MEMBERS[:2])
    net.start(MEMBERS[2], tmp_path / "chain.db")
    net.run(30)
    net.stop(MEMBERS[2])
    net.run(60)
    again = net.start(MEMBERS[2], tmp_path / "chain.db")
    assert again.tree.head.number > 2
    net.run(10)
    assert len(net.heads) == 1
    net.stop(MEMBERS[2])


def test_peers_leave_and_come_back() -> None:
    net = Network(rota()).run(6)
    first, second, third = net
    for one, other in ((0, 2), (1, 2), (2, 0), (2, 1)):
        machine = (first, second, third)[one]
        machine.leave(MEMBERS[other].address)
    net.run(60)
    assert len(net.heads) == 2
    for one, other in ((0, 2), (1, 2), (2, 0), (2, 1)):
        machine = (first, second, third)[one]
        net.post(MEMBERS[one].address, machine.join(MEMBERS[other].address, net.now))
    net.run(30)
    assert len(net.heads) == 1
    assert len(net.lines(f"peer {_name(2)} left")) == 2


def test_a_full_pool_is_shared_without_a_flood() -> None:
    net = Network(rota()).run(2)
    first = next(iter(net))
    for key in (ALICE, BOB):
        for nonce in range(40):
            first.submit(transfer(nonce, key=key, wei=0, gas=2_000_000, data=bytes(100_000)), net.now)
    assert first.pool.size > 8_000_000
    first.sent()  # nobody hears of them yet
    for machine in net:
        machine.sealing = False
    net.run(300)
    assert net.lines("floods") == []
    assert [len(machine.pool) for machine in net] == [80, 80, 80]


@pytest.mark.parametrize("ahead", [100, 3600, 86_400])
def test_a_node_goes_on_at_once_when_its_clock_is_set_back(ahead: int) -> None:
    net = Network(rota()).run(22)
    first, second, _ = net
    first.peers.ban(BOB.address, net.now + ahead)
    for _ in range(10):
        first.receive(MEMBERS[1].address, encode(second.status()), net.now + ahead)
        first.sealing = False  # what it would seal is refused as too early, and not what is tried here
        first.tick(net.now + ahead)
    first.receive(MEMBERS[1].address, encode(Status(b"\x55" * 32, 9, 10**9)), net.now + ahead)
    first.sealing = True
    before = first.tree.head.number
    said = [decode(message.payload) for message in first.tick(net.now)]
    assert first.status() in said
    net.run(60)
    assert first.tree.head.number >= before + 11
    assert len(net.heads) == 1
    assert first.peers.is_banned(BOB.address, net.now)
    assert not first.peers.is_banned(BOB.address, net.now + 600)


# Peers that break the rules


class Listener:
    """A node that hears a hand-made peer."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.machine = Machine(new_tree(), None, self.log.append)
        self.now = START + 100
        self.machine.join(LIAR.address, self.now)

    def say(self, *messages: object) -> list[object]:
        answers = []
        for message in messages:
            answers += self.machine.receive(LIAR.address, encode(message), self.now)  # type: ignore[arg-type]
            while self.machine.busy:
                answers += self.machine.work(self.now)
        return [decode(answer.payload) for answer in answers]

    @property
    def dropped(self) -> bool:
        return LIAR.address not in self.machine.peers.connected


def chain(length: int) -> tuple[Tree, list[bytes]]:
    tree = new_tree()
    return tree, [grow(tree) for _ in range(length)]


def test_a_peer_that_claims_a_head_and_does_not_send_it_is_dropped() -> None:
    node = Listener()
    (asked,) = node.say(Status(b"\x55" * 32, 9, 10**9))
    assert isinstance(asked, GetBlocks)
    node.say(Blocks(asked.request, (), Status(b"\x55" * 32, 9, 10**9)))
    assert node.dropped
    assert node.log[-1].endswith("dropped peer " + _short() + " for 600 s: it claims block 9 and does not send it")
    assert node.machine.join(LIAR.address, node.now + 599) == []
    assert node.machine.join(LIAR.address, node.now + 600) != []


@pytest.mark.parametrize("early", [True, False])
def test_a_peer_that_exaggerates_its_score_is_dropped(early: bool) -> None:
    tree, blocks = chain(3)
    node, claim = Listener(), Status(tree.head.hash, 3, 10**6)
    if early:
        node.say(*map(NewBlock, blocks), claim)
    else:
        (asked,) = node.say(claim)
        assert isinstance(asked, GetBlocks)
        node.say(Blocks(asked.request, tuple(blocks), claim))
    assert node.dropped
    assert "it lies about its head: block 3 has the score 9, not 1000000" in node.log[-1]
    assert node.machine.tree.head.number == 3  # the blocks themselves are good


def test_a_peer_whose_blocks_do_not_follow_each_other_is_dropped() -> None:
    tree, blocks = chain(4)
    node, claim = Listener(), Status(tree.head.hash, 4, 12)
    (asked,) = node.say(claim)
    assert isinstance(asked, GetBlocks)
    node.say(Blocks(asked.request, (blocks[0], blocks[2]), claim))
    assert node.dropped
    assert "its blocks do not follow each other" in node.log[-1]


def test_a_peer_that_sends_the_same_blocks_again_and_again_is_dropped() -> None:
    _, blocks = chain(4)
    node, claim = Listener(), Status(b"\x55" * 32, 9, 10**9)
    (asked,) = node.say(claim)
    for _ in range(3):
        assert isinstance(asked, GetBlocks)
        answers = node.say(Blocks(asked.request, tuple(blocks), claim))
        asked = answers[0] if answers else None
        if node.dropped:
            break
    assert node.dropped


def test_an_answer_that_nobody_asked_for_is_passed_over() -> None:
    tree, blocks = chain(2)
    node = Listener()
    assert node.say(Blocks(5, tuple(blocks), Status(tree.head.hash, 2, 6))) == []
    assert node.machine.tree.head.number == 0
    assert not node.dropped


def test_a_peer_that_does_not_answer_is_asked_no_more_for_a_while() -> None:
    node = Listener()
    assert node.say(Status(b"\x55" * 32, 9, 10**9))
    for _ in range(40):
        node.now += 1
        asked = [decode(message.payload) for message in node.machine.tick(node.now)]
        if node.now < START + 100 + 11 + 30:
            assert not any(isinstance(message, GetBlocks) for message in asked)
    assert any("did not answer" in line for line in node.log)
    assert not node.dropped


def test_an_orphan_makes_the_node_ask_for_what_is_before_it() -> None:
    tree, blocks = chain(5)
    node = Listener()
    (asked,) = node.say(NewBlock(blocks[4]))
    assert isinstance(asked, GetBlocks)
    assert asked.known == (node.machine.tree.genesis,)
    node.say(Blocks(asked.request, tuple(blocks), Status(tree.head.hash, 5, 15)))
    assert node.machine.tree.head == tree.head


def test_a_block_from_the_future_is_passed_over_and_taken_later() -> None:
    tree = new_tree()
    raw = grow(tree, at=START + 160)
    node = Listener()
    node.say(NewBlock(raw))
    assert not node.dropped
    assert "must wait: The time of block 1 is 60 seconds ahead" in node.log[-1]
    node.now += 45
    node.say(NewBlock(raw))
    assert node.machine.tree.head.number == 1


def test_a_peer_that_sends_a_bad_block_is_dropped_with_the_reason() -> None:
    node = Listener()
    node.say(NewBlock(grow(new_tree(), state_root=b"\x22" * 32)))
    assert node.dropped
    assert "its block is refused: its state root is not what" in node.log[-1]


def test_transactions_that_are_none_end_the_connection_and_useless_ones_do_not() -> None:
    node = Listener()
    node.say(Transactions((transfer(5), transfer(0, chain_id=1), transfer(0, max_fee=1), transfer(0))))
    assert len(node.machine.pool) == 2
    assert not node.dropped
    node.say(Transactions((transfer(1), b"\2nothing")))
    assert node.dropped
    assert "it sent a transaction that is none" in node.log[-1]
    assert len(node.machine.pool) == 3


def test_a_peer_that_floods_is_dropped_and_the_node_goes_on() -> None:
    node = Listener()
    count = 0
    while not node.dropped:
        node.say(GetBlocks(count, ()))
        count += 1
    patience = node.machine.peers.patience
    assert count == patience.burst // 2 + 1 or count == patience.burst + 1
    assert "it floods" in node.log[-1]
    assert node.say(Status(b"\x55" * 32, 9, 10**9)) == []  # it is not heard
    node.machine.join(BOB.address, node.now)
    assert node.machine.receive(BOB.address, encode(GetBlocks(1, ())), node.now)


def test_gossip_at_a_moderate_rate_is_no_flood() -> None:
    node = Listener()
    for _ in range(50):
        node.say(*[GetBlocks(number, ()) for number in range(node.machine.peers.patience.rate // 4)])
        node.now += 1
    assert not node.dropped


def test_strange_messages_do_no_harm() -> None:
    """Random bytes, random fields, and good messages with changed bytes: no crash, no growth, the chain goes on."""
    rng = random.Random(11)  # noqa: S311
    tree, blocks = chain(5)
    good = [
        encode(message)
        for message in (
            NewBlock(blocks[0]), NewBlock(blocks[4]), Transactions((transfer(0), transfer(1))),
            GetBlocks(1, (tree.genesis, tree.head.hash)), Status(tree.head.hash, 5, 15),
            Blocks(1, tuple(blocks), Status(tree.head.hash, 5, 15)),
        )
    ]  # fmt: skip
    node = Listener()
    sizes = []
    tracemalloc.start()
    try:
        for number in range(STRANGE):
            node.now += 1
            node.machine.peers.banned.clear()
            node.machine.join(LIAR.address, node.now)
            node.machine.receive(LIAR.address, _strange(rng, good), node.now)
            while node.machine.busy:
                node.machine.work(node.now)
            node.machine.tick(node.now)
            node.log.clear()
            if number % (STRANGE // 5) == STRANGE // 5 - 1:
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[-1] < sizes[0] + 2_000_000
    assert len(node.machine.pool) <= 2
    assert node.machine.tree.head.number <= 5
    node.machine.peers.banned.clear()
    node.machine.join(BOB.address, node.now)
    for raw in blocks:
        node.machine.receive(BOB.address, encode(NewBlock(raw)), node.now)
    assert node.machine.tree.head == tree.head


def _strange(rng: random.Random, good: list[bytes]) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return rng.randbytes(rng.randrange(300))
    if kind == 1:
        names = [b"status", b"block", b"transactions", b"get", b"blocks", b"hello"]
        return bytes(rlp.encode([rng.choice(names), *_fields(rng, 3)]))
    payload = bytearray(rng.choice(good))
    for _ in range(rng.randrange(1, 4)):
        payload[rng.randrange(len(payload))] = rng.randrange(256)
    return bytes(payload[: rng.randrange(1, len(payload))] if kind == 2 else payload)


def _fields(rng: random.Random, depth: int) -> list[object]:
    return [
        _fields(rng, depth - 1) if depth and rng.random() < 0.3 else rng.randbytes(rng.choice([0, 1, 8, 32, 40]))
        for _ in range(rng.randrange(5))
    ]


def _name(number: int) -> str:
    return checksum_address(MEMBERS[number].address)[:10]


def _short() -> str:
    return checksum_address(LIAR.address)[:10]
