"""Work is bounded where it is done: what a peer's few bytes may cost, and what is never lost for a limit's sake."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest
import rlp
from network_cases import ALICE, BOB, GENESIS, MEMBERS, START, grow, new_tree, reseal, rota, transfer

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.evm import Queued, decode
from commonwatt.ledger.network import machine as machines
from commonwatt.ledger.network import tree as trees
from commonwatt.ledger.network.block import MAX_BLOCK_BYTES, decode_block
from commonwatt.ledger.network.log import entry
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.network.messages import Blocks, GetBlocks, NewBlock, Transactions, encode
from commonwatt.ledger.network.messages import decode as decode_message
from commonwatt.ledger.network.outbox import Outgoing
from commonwatt.ledger.network.pool import Limits, Pool
from commonwatt.ledger.network.tree import FAR, MAX_DRIFT
from commonwatt.ledger.network.wire import WINDOW
from commonwatt.proof import Key

PEER = Key.derive(b"bounds tests", "peer")
RECEIVER = b"\x11" * 20


class Listener:
    """A node that hears one peer."""

    def __init__(self, tree: trees.Tree | None = None) -> None:
        self.log: list[str] = []
        tree = tree or new_tree()
        self.machine = Machine(tree, None, self.log.append)
        self.now = tree.head.timestamp + 100
        self.machine.join(PEER.address, self.now)

    def say(self, *messages: object) -> list[object]:
        answers: list[Outgoing] = []
        for message in messages:
            answers += self.machine.receive(PEER.address, encode(message), self.now)  # type: ignore[arg-type]
        return [decode_message(answer.payload) for answer in answers]

    def tick(self) -> list[object]:
        self.now += 1
        return [decode_message(answer.payload) for answer in self.machine.tick(self.now)]

    @property
    def dropped(self) -> bool:
        return PEER.address not in self.machine.peers.connected


# What is asked for


@pytest.fixture(scope="module")
def long() -> trees.Tree:
    """A chain of some batches, which is only read."""
    tree = new_tree()
    for _ in range(300):
        grow(tree)
    return tree


@pytest.mark.parametrize("known", [(), (b"\x22" * 32,) * 128])
def test_a_flood_of_requests_is_answered_once_in_a_while(long: trees.Tree, known: tuple[bytes, ...]) -> None:
    node = Listener(long)
    count = 600 if known else 3900
    answers = [each for each in node.say(*(GetBlocks(n, known) for n in range(count))) if isinstance(each, Blocks)]
    assert not node.dropped
    assert 1 <= len(answers) <= 12
    late = [each for _ in range(3) for each in node.tick() if isinstance(each, Blocks)]
    assert [each.request for each in late] == [count - 1]  # the last request, and no other


def test_one_request_after_the_other_is_answered_at_the_pace_of_execution(long: trees.Tree) -> None:
    node = Listener(long)
    served = 0
    for request in range(20):
        answers = node.say(GetBlocks(request, ()))
        while not any(isinstance(each, Blocks) for each in answers):
            answers = node.tick()
        served += 256
    assert not node.dropped
    assert served / (node.now - node.machine.tree.head.timestamp - 99) > 500  # blocks per second


@pytest.mark.parametrize("raw", [transfer(0), b"\2"])
def test_transactions_count_one_by_one(raw: bytes) -> None:
    node = Listener()
    if raw != b"\2":
        node.machine.submit(raw, node.now)
    for _ in range(3):
        node.say(Transactions((raw,) * 2000))
    assert node.dropped


def test_what_waits_already_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Listener()
    raws = tuple(transfer(nonce) for nonce in range(20))
    node.say(Transactions(raws))
    monkeypatch.setattr(machines, "decode_transaction", _fail)
    node.say(Transactions(raws))
    assert len(node.machine.pool) == 20
    assert not node.dropped


def _fail(*_: object) -> Queued:
    raise AssertionError("this is dear")


# Blocks


def stuffed(raw: bytes, **changes: object) -> bytes:
    """A block, sealed, with a megabyte of transactions that are not its own."""
    header = decode_block(raw).header
    sealed = rlp.decode(reseal(header, MEMBERS[1], [], **changes))[0]
    junk = transfer(0, data=bytes(60_000), gas=10_000_000)
    return bytes(rlp.encode([sealed, [junk] * 17, [], []]))


@pytest.mark.parametrize("ahead", [FAR + 1, 3600, 10**9, 1 << 40])
def test_a_block_of_the_far_future_costs_its_sender_its_standing_and_nobody_time(
    ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FAR == WINDOW + MAX_DRIFT
    node = Listener()
    raw = stuffed(grow(new_tree()), timestamp=node.now + ahead)
    assert 1_000_000 < len(raw) <= MAX_BLOCK_BYTES
    monkeypatch.setattr(trees, "decode_body", _fail)
    node.say(NewBlock(raw))
    assert node.dropped
    assert f"its time is {ahead} seconds ahead" in node.log[-1]
    node.machine.peers.banned.clear()
    node.machine.join(PEER.address, node.now)
    node.now += ahead
    assert not node.machine.tree._refused  # its time may come


DEAR: dict[str, Callable[[bytes, int], bytes]] = {
    "a little early": lambda raw, now: stuffed(raw, timestamp=now + MAX_DRIFT + 1),
    "without its parent": lambda raw, _: stuffed(raw, parent_hash=b"\x33" * 32),
    "of another number": lambda raw, _: stuffed(raw, block_number=5),
    "of the past": lambda raw, _: stuffed(raw, timestamp=START),
    "out of turn": lambda raw, _: stuffed(raw, timestamp=START + 1),
    "by a stranger": lambda raw, _: stuffed(raw, coinbase=ALICE.address),
    "of another seal": lambda raw, _: stuffed(raw, coinbase=MEMBERS[2].address),
}


@pytest.mark.parametrize("kind", DEAR)
def test_a_block_is_refused_by_its_header_before_its_body_is_read(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Listener()
    raw = DEAR[kind](grow(new_tree()), node.now)
    monkeypatch.setattr(trees, "decode_body", _fail)
    node.say(NewBlock(raw))
    assert node.machine.tree.head.number == 0
    assert node.dropped == (kind not in ("a little early", "without its parent"))


def test_blocks_that_come_early_again_and_again_are_a_flood() -> None:
    node = Listener()
    raw = grow(new_tree(), at=node.now + 60)
    count = 0
    while not node.dropped:
        node.say(NewBlock(raw))
        count += 1
        assert count < 100
    assert len(node.log) < 100
    assert "it floods" in node.log[-1]


def test_a_block_that_is_here_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Listener()
    raw = grow(new_tree(), transfer(0))
    node.say(NewBlock(raw))
    assert node.machine.tree.head.number == 1
    monkeypatch.setattr(trees, "decode_body", _fail)
    fields = rlp.decode(raw)
    node.say(NewBlock(raw), NewBlock(rlp.encode([fields[0], [transfer(5)] * 100, [], []])))
    assert not node.dropped


# The pool


@pytest.mark.parametrize("tips", [[5], [1], [9], [1, 9, 5, 5, 2], [7, 6, 5, 4, 3, 2, 1]])
def test_a_full_pool_asks_for_one_account_per_transaction(tips: list[int]) -> None:
    asked = 0

    def account(_: bytes) -> tuple[int, int]:
        nonlocal asked
        asked += 1
        return 0, 10**18

    pool = Pool(GENESIS.chain_id, GENESIS.gas_limit, Limits(count=200))
    keys = [Key.derive(b"bounds tests", str(number)) for number in range(300)]
    for number, key in enumerate(keys[:200]):
        pool.add(decode(transfer(0, key=key, tip=2 + number % 5)), account, 7, 0)
    asked = 0
    for number, key in enumerate(keys[200:]):
        with suppress(LedgerError):
            pool.add(decode(transfer(0, key=key, tip=tips[number % len(tips)])), account, 7, 0)
    assert asked == 100
    assert len(pool) == 200
    assert len(pool._ranks) <= 3 * 200
    list(pool.best(7, set()))
    assert asked == 100


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("keys", [[ALICE], [ALICE, BOB]])
def test_what_was_in_a_block_that_leaves_the_chain_waits_again_whatever_the_limits(keys: list[Key], full: bool) -> None:
    engine = rota()
    node = Listener(new_tree(engine))
    far = new_tree(engine)
    mine: list[bytes] = []
    own = node.machine.tree
    for number in range(4):
        raws = [transfer(25 * number + nonce, key=key, tip=1) for key in keys for nonce in range(25)]
        node.machine._settle(trees_add(own, far, raws), node.now)
        mine += raws
    if full:
        node.machine.pool.limits = Limits(count=64 * len(keys))
    for key in keys:
        for nonce in range(100, 164):
            node.machine.submit(transfer(nonce, key=key, tip=3), node.now)
    other = new_tree(engine)
    for number in range(6):
        raws = [transfer(0, key=keys[0], wei=77)] if number == 5 and not full else []
        node.say(NewBlock(grow(other, *raws)))
    assert own.head == other.head
    lost = 0 if full else 1  # the same number of the first account, spent otherwise
    pool = node.machine.pool
    assert [raw in {queued.raw for queued in pool.waiting()} for raw in mine].count(False) == lost
    assert len(pool) == len(mine) - lost + 64 * len(keys)
    assert pool.next_nonce(keys[0].address, own.nonce(keys[0].address)) == 164
    with pytest.raises(LedgerError, match=r"the pool is full|wait already|too far"):
        node.machine.submit(transfer(164, key=keys[0], tip=1), node.now)
    passed: set[bytes] = set()
    order = [queued.transaction.nonce for queued in pool.best(7, passed) if queued.sender == keys[0].address]
    assert order == list(range(lost, 164))


def trees_add(tree: trees.Tree, far: trees.Tree, raws: list[bytes]) -> trees.Added:
    """A block with these transactions, out of turn so that another branch can win."""
    key = MEMBERS[(far.head.number + 2) % 3]
    raw = grow(far, *raws, key=key)
    added = tree.add(raw, START + 10_000)
    assert added
    assert added.moved
    return added


def test_what_waits_again_gives_way_to_nothing_and_is_forgotten_in_time() -> None:
    pool = Pool(GENESIS.chain_id, GENESIS.gas_limit, Limits(count=2, per_sender=2, lifetime=100))
    returned = [decode(transfer(nonce, tip=0)) for nonce in range(5)]
    assert pool.put_back(returned, lambda _: (2, 10**18), 0) == returned[2:]
    for nonce, tip in ((0, 9), (1, 9)):
        pool.add(decode(transfer(nonce, key=BOB, tip=tip)), lambda _: (0, 10**18), 7, 50)
    with pytest.raises(LedgerError, match="the pool is full"):
        pool.add(decode(transfer(0, key=PEER, tip=1)), lambda _: (0, 10**18), 7, 50)
    assert [queued.hash in pool for queued in returned] == [False, False, True, True, True]
    pool.settle([ALICE.address], lambda _: (4, 10**18))
    assert [queued.hash in pool for queued in returned] == [False] * 4 + [True]
    pool.expire(101)
    assert len(pool) == 2
    pool.expire(151)
    assert len(pool) == pool.size == 0


# The log


@pytest.mark.parametrize(
    "said", ["a\n09:00:00 sealed block 7", "\x1b[2J", "a\rb", "\u202egnorw", "\x9b31m", "\u2028x", "\0", "x" * 10_000]
)
def test_a_line_of_the_log_stays_one_line_whatever_a_peer_says(said: str) -> None:
    line = entry(f"There is no node at http://peer/{said}: nobody.", datetime(2026, 6, 1, tzinfo=UTC))
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    assert len(line) < 1000
    assert entry("node 0x12 at é:8545", datetime(2026, 6, 1, tzinfo=UTC)) == "00:00:00 node 0x12 at é:8545"
