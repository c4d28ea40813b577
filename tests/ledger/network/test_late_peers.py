"""Peers that claim better chains and bring them late, in pieces or never: the others' chain goes on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

import pytest
from network_cases import MEMBERS, START, Network, grow, new_tree, reseal, rota

from commonwatt.ledger.network.consensus.hash_chain import HashChain
from commonwatt.ledger.network.consensus.poa import Poa
from commonwatt.ledger.network.consensus.pos import Pos, Rules
from commonwatt.ledger.network.consensus.pow import MAX_TARGET, Pow
from commonwatt.ledger.network.consensus.stake import Entry
from commonwatt.ledger.network.messages import Blocks, GetBlocks, NewBlock, Status, decode, encode
from commonwatt.ledger.network.outbox import Outgoing
from commonwatt.ledger.network.pool import Pool
from commonwatt.ledger.network.sealing import Sealer
from commonwatt.ledger.network.tree import Tree
from commonwatt.proof import Key

READERS = [Key.derive(b"late peers", f"reader {number}") for number in range(3)]
CHAINS = {key.address: HashChain.derive(key, length=400) for key in MEMBERS[:3]}
STAKES = Rules(b"\x02" * 32, {address: Entry(chain.tip, 100) for address, chain in CHAINS.items()}, period=5)
BOAST = Status(b"\x55" * 32, 10**6, 10**60)


def authorities() -> Network:
    return Network(lambda _: Poa([key.address for key in MEMBERS], period=5), keys=MEMBERS)


def miners() -> Network:
    return Network(Pow(period=10, first_target=MAX_TARGET // 600), hashes=20)


def stakes() -> Network:
    return Network(lambda key: Pos(STAKES, [CHAINS[key.address]]))


WAYS = pytest.mark.parametrize("make", [authorities, miners, stakes])


@dataclass
class Reader:
    """A node that only reads, says what it likes, and stands where a `Machine` of a network stands.

    late : seconds until it answers a request
    answer : blocks and claim for a request, by its number and hashes; None is no answer
    """

    net: Network
    answer: Callable[[int, tuple[bytes, ...]], tuple[list[bytes], Status] | None]
    late: int = 9
    says: Callable[[], list[Any]] = lambda: [BOAST]
    search: None = None
    busy: bool = False
    asked: int = 0
    _owed: list[tuple[int, Outgoing]] = field(default_factory=list)

    def tick(self, now: int) -> list[Outgoing]:
        due = [answer for at, answer in self._owed if at <= now]
        self._owed = [(at, answer) for at, answer in self._owed if at > now]
        said = [encode(message) for message in self.says()]
        return due + [Outgoing(key.address, payload) for key in self.net.keys for payload in said]

    def receive(self, sender: bytes, payload: bytes, now: int) -> list[Outgoing]:
        match decode(payload):
            case GetBlocks(request, known):
                self.asked += 1
                answer = self.answer(request, known)
                if answer:
                    message = encode(Blocks(request, tuple(answer[0]), answer[1]))
                    self._owed.append((now + self.late, Outgoing(sender, message)))
        return []


def let_in(net: Network, key: Key, reader: Reader) -> Reader:
    for member in net.keys:
        net.machines[member.address].join(key.address, net.now)
    net.machines[key.address] = reader  # type: ignore[assignment]
    return reader


def grown(net: Network, seconds: int) -> int:
    """Blocks that the members' chain grows by; all of them must have it in the end."""
    first = net.machines[net.keys[0].address]
    before = first.tree.head.number
    net.run(seconds)
    net.run(3)
    assert len({net.machines[key.address].tree.block(first.tree.head.number - 1).hash for key in net.keys}) == 1
    return int(first.tree.head.number) - before


def known_blocks(tree: Tree) -> Callable[[int, tuple[bytes, ...]], tuple[list[bytes], Status]]:
    """One more block of the common chain with each answer, so that each looks like progress."""
    sent: list[int] = []

    def answer(_: int, known: tuple[bytes, ...]) -> tuple[list[bytes], Status]:
        sent.append(len(sent) % tree.head.number + 1)
        return [tree.encoded(tree.block(sent[-1]).hash)], BOAST

    return answer


@WAYS
@pytest.mark.parametrize("late", [0, 4, 9])
def test_blocks_go_on_while_a_reader_answers_with_blocks_that_everybody_has(
    make: Callable[[], Network], late: int
) -> None:
    net = make()
    usual = grown(net, 100)
    tree = net.machines[net.keys[0].address].tree
    reader = let_in(net, READERS[0], Reader(net, known_blocks(tree), late=late))
    assert grown(net, 100) >= usual * 0.6  # work varies
    assert reader.asked
    assert net.lines("sends what is of no use") or net.lines("does not send it")


@WAYS
def test_blocks_go_on_while_several_readers_never_answer(make: Callable[[], Network]) -> None:
    net = make()
    usual = grown(net, 150)
    readers = [let_in(net, key, Reader(net, lambda *_: None)) for key in READERS]
    assert grown(net, 150) >= usual * 0.6
    assert all(reader.asked for reader in readers)


@WAYS
def test_blocks_go_on_while_a_reader_takes_its_claims_back_and_makes_new_ones(make: Callable[[], Network]) -> None:
    net = make()
    usual = grown(net, 100)
    first = net.machines[net.keys[0].address]
    let_in(net, READERS[0], Reader(net, lambda *_: ([], first.status())))
    assert grown(net, 100) >= usual * 0.6
    assert net.lines("dropped") == []


def test_a_reader_that_sends_orphans_is_asked_no_more_often_than_one_that_claims() -> None:
    net = authorities().run(60)
    tree = new_tree(rota())
    orphans = iter([grow(tree) for _ in range(120)][1:])
    reader = let_in(net, READERS[0], Reader(net, lambda *_: None, says=lambda: [NewBlock(next(orphans))]))
    assert grown(net, 100) >= 18
    assert 4 <= reader.asked <= 4 * 4  # each of the four asks after 0, 40 and 140 seconds


def test_a_reader_that_does_not_answer_rests_longer_each_time() -> None:
    net = Network(rota(1), keys=MEMBERS[:1]).run(20)
    reader = let_in(net, READERS[0], Reader(net, lambda *_: None))
    asked = []
    for _ in range(1200):
        before = reader.asked
        net.run(1)
        asked += [net.now] * (reader.asked - before)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps == [41, 81, 161, 321, 321]  # an answer that is waited for, and three times as long a rest


def test_a_slow_peer_is_believed_once_it_is_waited_for_long_enough() -> None:
    """A small box that answers after 25 s, more than a first answer may take."""
    slow = Network(rota(2), keys=MEMBERS[1:2]).run(300)
    net = Network(rota(2), keys=MEMBERS[:1], now=slow.now)
    tree = slow.machines[MEMBERS[1].address].tree
    claim = Status(tree.head.hash, tree.head.number, tree.score(tree.head.hash))
    answer = lambda _, known: (tree.after(known, 256, 1 << 18), claim)  # noqa: E731
    let_in(net, READERS[0], Reader(net, answer, late=25, says=lambda: [claim]))
    net.machines[MEMBERS[0].address].sealing = False
    net.run(400)
    assert net.machines[MEMBERS[0].address].tree.head == tree.head


def test_useless_branches_do_not_keep_an_honest_one_away() -> None:
    """New blocks of a branch that never becomes the chain, one with each answer: they are real and of no use."""
    net = Network(rota(2), keys=MEMBERS[:2]).run(60)
    first = net.machines[MEMBERS[0].address]
    blocks = map(_sibling, count())
    reader = let_in(net, READERS[0], Reader(net, lambda *_: ([next(blocks)], BOAST), late=8))
    net.run(40)
    net.part([MEMBERS[0]], [MEMBERS[1]])
    net.run(30)
    net.heal()
    net.run(200)
    assert net.lines("sends what is of no use") or net.lines("does not send it")
    assert reader.asked
    number = first.tree.head.number - 1
    assert first.tree.block(number) == net.machines[MEMBERS[1].address].tree.block(number)


def _sibling(number: int) -> bytes:
    """Another block 1 by its rightful sealer."""
    tree = new_tree(rota(2))
    parent = tree.past.header(tree.head.hash)
    turn = tree.engine.turn(parent, tree.past, MEMBERS[1].address, 0)
    assert turn
    draft = tree.draft(turn, START + 5 + number, [], set())
    return reseal(draft.header, MEMBERS[1], [])


def test_whoever_catches_up_does_not_seal_on_old_blocks() -> None:
    net = authorities().run(300)
    old = net.machines[MEMBERS[0].address].tree
    late = Network(lambda _: Poa([key.address for key in MEMBERS], period=5), keys=MEMBERS[3:], now=net.now)
    claim = Status(old.head.hash, old.head.number, old.score(old.head.hash))
    # A few blocks with each answer, each a while after its request.
    let_in(late, READERS[0], Reader(late, lambda _, known: (old.after(known, 4, 1 << 18), claim), late=5))
    newcomer = late.machines[MEMBERS[3].address]
    newcomer.sealer.listens = 10
    late.run(60)
    assert 40 <= newcomer.tree.head.number < old.head.number
    assert late.lines("sealed") == []


def test_a_small_machine_that_takes_long_for_a_block_goes_on_catching_up() -> None:
    """Half a minute for each block, in which no time passes for the node."""
    tree = new_tree()
    grow(tree)
    sealer = Sealer(tree, Pool(tree.chain_id, 10_000_000), MEMBERS[0])
    head = tree.past.header(tree.head.hash)
    now = START + 1000
    assert not sealer.ready(now, heard=True, catching_up=True)
    for _ in range(5):
        sealer.caught(head, now)
        now += 35
        assert not sealer.ready(now, heard=True, catching_up=True)
        assert not sealer.ready(now + 9, heard=True, catching_up=True)
    assert sealer.ready(now + 10, heard=True, catching_up=True)
    sealer.caught(head, head.timestamp + 5)  # a young block is no sign that old ones come
    assert sealer.ready(now + 11, heard=True, catching_up=True)


def test_whoever_sends_its_chain_block_by_block_lets_quicker_ones_go_first() -> None:
    net = Network(rota(2), keys=MEMBERS[:2]).run(600)
    key = Key.derive(b"late peers", "newcomer")
    newcomer = net.start(key, seals=False)
    net.keys = [*MEMBERS[:2], key]
    tree = net.machines[MEMBERS[0].address].tree
    let_in(net, READERS[0], Reader(net, lambda _, known: (tree.after(known, 1, 1 << 18), BOAST), late=4))
    net.post(key.address, newcomer.receive(READERS[0].address, encode(BOAST), net.now))  # the first that it hears
    net.run(3)
    assert newcomer.tree.head.number < 10
    net.run(100)
    assert newcomer.tree.head.number >= tree.head.number - 1 > 100


def test_a_member_without_its_file_does_not_seal_a_height_twice_while_a_reader_boasts() -> None:
    net = stakes().run(150)
    net.stop(MEMBERS[0])
    wiped = net.start(MEMBERS[0])
    reader = let_in(net, READERS[0], Reader(net, lambda *_: None))
    net.run(120)
    assert reader.asked
    assert wiped.tree.sealed > 30
    assert not wiped.tree.engine.standing(wiped.tree.past.header(wiped.tree.head.hash), wiped.tree.past).guilty  # type: ignore[attr-defined]
