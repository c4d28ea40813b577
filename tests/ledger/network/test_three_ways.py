"""Networks by authority, work and stake: majorities, forgers, partitions, votes, double seals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rlp
from eth.abc import BlockHeaderAPI
from eth.db.trie import make_trie_root_and_nodes
from network_cases import ALICE, BOB, MEMBERS, Network, transfer

from commonwatt.ledger.chain.evm import decode
from commonwatt.ledger.network.block import decode_block, encode_block, extra_data
from commonwatt.ledger.network.consensus.hash_chain import HashChain
from commonwatt.ledger.network.consensus.interface import Turn
from commonwatt.ledger.network.consensus.poa import Poa
from commonwatt.ledger.network.consensus.pos import Pos, Rules
from commonwatt.ledger.network.consensus.pow import MAX_TARGET, Pow
from commonwatt.ledger.network.consensus.stake import Entry
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.network.messages import NewBlock, encode
from commonwatt.proof import Key, keccak

RECEIVER = b"\x11" * 20
STRANGER = Key.derive(b"three ways", "stranger")
FIFTH = Key.derive(b"three ways", "fifth")


def council() -> Poa:
    return Poa([key.address for key in MEMBERS], period=5)


def four() -> Network:
    """Each node has an engine, and so wishes, of its own."""
    return Network(lambda _: council(), keys=MEMBERS)


def miners(**options: int) -> Network:
    work = Pow(period=10, first_target=MAX_TARGET // 600, **options)
    return Network(work, keys=MEMBERS[:3], hashes=20)


LENGTH = 400
CHAINS = {key.address: HashChain.derive(key, length=LENGTH) for key in MEMBERS[:3]}
STAKES = Rules(b"\x01" * 32, {address: Entry(chain.tip, 100) for address, chain in CHAINS.items()}, period=5)


def stakes() -> Network:
    return Network(lambda key: Pos(STAKES, [CHAINS[key.address]]), keys=MEMBERS[:3])


def refused_by_all(net: Network, raw: bytes, reason: str) -> None:
    """A stranger that is let in sends a block to every node."""
    heads = net.heads
    for address, machine in net.machines.items():
        machine.peers.banned.clear()
        machine.join(STRANGER.address, net.now)
        machine.receive(STRANGER.address, encode(NewBlock(raw)), net.now)
        assert STRANGER.address not in machine.peers.connected
        last = [line for line in net.log if line.startswith(address.hex()[:4])][-1]
        assert "its block is refused" in last
        assert reason in last
    assert net.heads == heads


def sealed_by(machine: Machine, key: Key, at: int) -> bytes:
    """A block on the node's head by any key, without asking the engine."""
    draft = machine.tree.draft(Turn(at, b"", key.address), at, [], set())
    header = draft.header.copy(extra_data=extra_data(b"", key.sign_digest(draft.unsealed)))
    return encode_block(rlp.encode(header), [], [])


def _turn(machine: Machine, key: Key) -> Turn | None:
    tree = machine.tree
    return tree.engine.turn(tree.past.header(tree.head.hash), tree.past, key.address, 0)


# Authority


def test_with_one_of_four_authorities_killed_blocks_go_on() -> None:
    net = four().run(30)
    net.stop(MEMBERS[1])
    before = next(iter(net)).tree.head.number
    net.run(120)
    assert len(net.heads) == 1
    assert next(iter(net)).tree.head.number >= before + 15
    sealers = {header.coinbase for header in _headers(next(iter(net)), before + 2)}
    assert sealers == {MEMBERS[number].address for number in (0, 2, 3)}


def test_without_a_majority_the_chain_stands_still() -> None:
    net = four().run(30)
    net.stop(MEMBERS[1])
    net.stop(MEMBERS[2])
    net.run(60)
    before = [machine.tree.head.number for machine in net]
    net.run(600)
    assert [machine.tree.head.number for machine in net] == before


def test_forged_and_unauthorised_blocks_are_refused_by_all_with_the_reason() -> None:
    net = four().run(7)
    first = next(iter(net))
    first.submit(transfer(0), net.now)
    net.run(21)
    assert len(net.heads) == 1
    number = next(number for number in range(first.tree.head.number, 0, -1) if first.tree.block(number).transactions)
    true = decode_block(first.tree.encoded(first.tree.block(number).hash))
    tampered = true.header.copy(timestamp=true.header.timestamp + 1)
    refused_by_all(net, encode_block(rlp.encode(tampered), [transfer(0)], []), "its seal is by 0x")
    head = first.tree.past.header(first.tree.head.hash)
    in_turn = min(MEMBERS, key=lambda key: turn.at if (turn := _turn(first, key)) else first.tree.head.timestamp + 99)
    next_header = decode_block(sealed_by(first, in_turn, head.timestamp + 5)).header
    with_another = encode_block(rlp.encode(next_header), [transfer(1, wei=2)], [])
    refused_by_all(net, with_another, "its transactions are not those that its header names")
    last = next(key for key in MEMBERS if key.address == head.coinbase)
    refused_by_all(net, sealed_by(first, last, net.now), "sealed one of the last 2 blocks")
    refused_by_all(net, sealed_by(first, STRANGER, net.now), "is no authority")
    council = first.tree.engine.council(head, first.tree.past)  # type: ignore[attr-defined]
    late = next(key for key in MEMBERS if key.address == council.order()[1])
    refused_by_all(net, sealed_by(first, late, head.timestamp + 5), "when its sealer's turn came")


def test_authorities_remove_one_and_admit_another_by_vote() -> None:
    net = four().run(20)
    for key in MEMBERS[:3]:
        net.machines[key.address].tree.engine.wishes.update(  # type: ignore[attr-defined]
            {MEMBERS[3].address: False, FIFTH.address: True}
        )
    net.start(FIFTH)
    net.run(200)
    first = next(iter(net))
    head = first.tree.past.header(first.tree.head.hash)
    assert set(_council(first).authorities) == {key.address for key in (*MEMBERS[:3], FIFTH)}
    sealers = {header.coinbase for header in _headers(first, head.number - 10)}
    assert FIFTH.address in sealers
    assert MEMBERS[3].address not in sealers
    refused_by_all(net, sealed_by(first, MEMBERS[3], head.timestamp + 10), "is no authority")


# Work


def test_after_a_partition_the_most_work_wins_within_two_blocks_and_nothing_is_lost() -> None:
    net = miners().run(60)
    first, _, third = net
    net.part(MEMBERS[:2], MEMBERS[2:3])
    hashes = [first.submit(transfer(nonce), net.now) for nonce in range(3)]
    hashes += [third.submit(transfer(nonce, key=BOB), net.now) for nonce in range(3)]
    net.run(300)
    ends = [machine.tree.head.number for machine in net]
    assert min(ends) > 3
    assert ends[0] != ends[2] or len(net.heads) > 1
    score = max(machine.tree.score(machine.tree.head.hash) for machine in net)
    net.heal()
    while len(net.heads) > 1:
        net.run(1)
        assert max(machine.tree.head.number for machine in net) <= max(ends) + 2
    assert next(iter(net)).tree.score(next(iter(net.heads))) >= score
    net.run(120)
    assert len({machine.tree.block(max(ends)).hash for machine in net}) == 1
    for machine in net:
        assert all(machine.tree.place(hash_) for hash_ in hashes)
        assert machine.tree.balance(RECEIVER) == 6


def test_the_reward_goes_to_who_did_the_work() -> None:
    net = miners(reward=5).run(100)
    first = next(iter(net))
    head = first.tree.head.number
    earned = {key.address: sum(h.coinbase == key.address for h in _headers(first, 1)) for key in MEMBERS[:3]}
    assert sum(earned.values()) == head > 3
    assert {address: first.tree.balance(address) for address in earned} == {
        address: blocks * 5 * 10**9 for address, blocks in earned.items()
    }


def test_work_does_not_serve_another_content() -> None:
    net = miners().run(7)
    first = next(iter(net))
    first.submit(transfer(0, wei=4), net.now)
    net.run(100)
    number, _ = first.tree.place(keccak(transfer(0, wei=4))) or (0, 0)
    header = first.tree.header(number)
    root, _ = make_trie_root_and_nodes([decode(transfer(0, wei=5)).transaction])
    changed = encode_block(rlp.encode(header.copy(transaction_root=root)), [transfer(0, wei=5)], [])
    refused_by_all(net, changed, "its nonce does not meet the target")


def test_a_search_begins_anew_when_a_block_arrives_and_when_transactions_wait() -> None:
    net = miners()
    net.hashes = 0
    net.run(1)
    first, second, _ = net
    assert first.search
    before = first.search.draft.unsealed
    first.submit(transfer(0), net.now)
    net.run(9)
    assert first.search.draft.unsealed == before
    net.run(2)
    assert first.search.draft.unsealed != before
    assert len(first.search.draft.run.done) == 1
    stale = first.search.draft
    net.hashes = 5000
    while second.tree.head.number == 0:
        net.run(1)
    assert first.search is None or first.search.draft.header.parent_hash == first.tree.head.hash
    assert first.found(stale.unsealed, bytes(8), net.now) is None


# Stake


def test_drawn_members_seal_and_a_partition_heals() -> None:
    net = stakes().run(60)
    assert len(net.heads) == 1
    first, _, third = net
    net.part(MEMBERS[:2], MEMBERS[2:3])
    first.submit(transfer(0), net.now)
    third.submit(transfer(0, key=BOB), net.now)
    net.run(90)
    assert len(net.heads) == 2
    net.heal()
    net.run(60)
    assert len(net.heads) == 1
    assert {machine.tree.balance(RECEIVER) for machine in net} == {2}
    assert not _standing(first).guilty


def test_a_deep_change_of_the_chain_loses_no_transaction_however_many_wait() -> None:
    net = stakes().run(70)
    first, _, third = net
    net.part(MEMBERS[:2], MEMBERS[2:3])
    hashes = []
    for step in range(5):
        for key in (ALICE, BOB):
            hashes += [third.submit(transfer(10 * step + nonce, key=key), net.now) for nonce in range(10)]
        net.run(25)
    for key in (ALICE, BOB):
        for nonce in range(50, 114):
            third.submit(transfer(nonce, key=key), net.now)
    assert all(third.tree.receipt(hash_) for hash_ in hashes)
    net.heal()
    net.run(100)
    assert len(net.lines("100 transactions wait again")) == 1
    net.run(200)
    assert all(first.tree.receipt(hash_) for hash_ in hashes)
    assert [first.tree.nonce(key.address) for key in (ALICE, BOB)] == [114, 114]


def test_who_seals_a_height_twice_is_found_guilty_by_all() -> None:
    net = stakes()
    twin = Network(lambda key: Pos(STAKES, [CHAINS[key.address]]), keys=MEMBERS[:1], now=net.now)
    net.run(120)
    twin.run(120)  # the same key on another machine, which knows nothing of the others
    other = next(iter(twin))
    for number in range(1, other.tree.head.number + 1):
        raw = other.tree.encoded(other.tree.block(number).hash)
        for machine in net:
            machine.join(STRANGER.address, net.now)
            machine.receive(STRANGER.address, encode(NewBlock(raw)), net.now)
    net.run(60)
    assert len(net.heads) == 1
    for machine in net:
        assert _standing(machine).guilty == {MEMBERS[0].address}
    first = next(iter(net))
    before = first.tree.head.number
    net.run(60)
    assert MEMBERS[0].address not in {header.coinbase for header in _headers(first, before - 2)}


def test_a_node_that_may_not_seal_a_height_twice_remembers_across_a_restart(tmp_path: Path) -> None:
    engine = Pos(STAKES, [CHAINS[MEMBERS[0].address]])
    net = Network(engine, keys=[])
    path = tmp_path / "chain.db"
    first = net.start(MEMBERS[0], path)
    net.run(59)
    assert first.tree.sealed == 0  # it waits for others, who may know what it has sealed
    net.run(60)
    sealed = first.tree.sealed
    assert sealed == first.tree.head.number > 0
    assert first.tree._store._durable
    net.stop(MEMBERS[0])
    again = net.start(MEMBERS[0], path)
    assert again.tree.sealed == sealed


def _council(machine: Machine) -> Any:
    tree: Any = machine.tree
    return tree.engine.council(tree.past.header(tree.head.hash), tree.past)


def _standing(machine: Machine) -> Any:
    tree: Any = machine.tree
    return tree.engine.standing(tree.past.header(tree.head.hash), tree.past)


def _headers(machine: Machine, first: int) -> list[BlockHeaderAPI]:
    return [machine.tree.header(number) for number in range(first, machine.tree.head.number + 1)]
