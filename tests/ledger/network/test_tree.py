"""Blocks of all branches: what is refused, what becomes the chain, what a file holds after a kill."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth.db.trie import make_trie_root_and_nodes
from hypothesis import given
from hypothesis import strategies as st
from network_cases import (
    ALICE,
    BOB,
    GENESIS,
    MEMBERS,
    START,
    grow,
    new_tree,
    reseal,
    rota,
    transfer,
)
from profiles import dear

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.evm import Genesis, decode
from commonwatt.ledger.network.block import MAX_BLOCK_BYTES, InvalidBlock, decode_block, encode_block, reward_of
from commonwatt.ledger.network.tree import TooEarly, Tree, UnknownParent

SOON = START + 100
RECEIVER = b"\x11" * 20


def test_a_block_of_one_node_is_a_block_of_the_other() -> None:
    one, other = new_tree(), new_tree()
    raw = grow(one, transfer(0, wei=5), transfer(1))
    added = other.add(raw, SOON)
    assert added
    assert added.moved
    assert added.senders == {ALICE.address}
    assert other.add(raw, SOON) is None
    assert other.head == one.head
    assert other.balance(RECEIVER) == 6
    assert other.encoded(other.head.hash) == raw
    (first, second) = other.head.transactions
    receipt = other.receipt(second)
    assert receipt
    assert (receipt.block, receipt.index, receipt.success) == (1, 1, True)
    assert other.score(other.head.hash) == one.score(one.head.hash) == 3
    assert other.receipt(first) == one.receipt(first)


HASH = b"\x22" * 32


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state_root": HASH}, "its state root is not what its parent and transactions give"),
        ({"receipt_root": HASH}, "its receipt root is not"),
        ({"gas_used": 20_999}, "its gas used is not"),
        ({"bloom": 1}, "its bloom is not"),
        ({"base_fee_per_gas": 8}, "its base fee per gas is not"),
        ({"gas_limit": 10_000_001}, "its gas limit is not"),
        ({"mix_hash": HASH}, "its mix hash is not"),
        ({"nonce": b"\1" * 8}, "its nonce is not"),
        ({"difficulty": 1}, "its difficulty is not"),
        ({"blob_gas_used": 1}, "its blob gas used is not"),
        ({"excess_blob_gas": 1}, "its excess blob gas is not"),
        ({"parent_beacon_block_root": HASH}, "its parent beacon block root is not"),
        ({"uncles_hash": HASH}, "its uncles hash is not"),
        ({"block_number": 2}, "its number is 2, its parent's 0"),
        ({"timestamp": START}, "its time 1000000 is not after its parent's 1000000"),
        ({"timestamp": START + 1}, "its sealer's turn had not come"),
        ({"coinbase": ALICE.address}, "is no member"),
    ],
)
def test_a_header_that_lies_is_refused_though_it_is_sealed(changes: dict[str, Any], reason: str) -> None:
    tree = new_tree()
    raw = grow(tree, transfer(0), **changes)
    for _ in range(2):
        with pytest.raises(InvalidBlock, match=reason) as refused:
            tree.add(raw, SOON)
        assert refused.value.lasting
    assert tree.head.number == 0
    assert tree.add(grow(tree, transfer(0)), SOON) is None  # the true block is already its own


def test_a_block_by_another_key_is_refused() -> None:
    tree = new_tree()
    header = decode_block(grow(new_tree())).header
    with pytest.raises(InvalidBlock, match="its seal is by 0x"):
        tree.add(reseal(header, MEMBERS[0], []), SOON)


def test_children_of_a_refused_block_are_refused() -> None:
    tree, forger = new_tree(), new_tree()
    bad = grow(tree, state_root=HASH)
    grow(forger)
    child = reseal(decode_block(grow(forger)).header, MEMBERS[2], [], parent_hash=decode_block(bad).seen.hash)
    with pytest.raises(UnknownParent):
        tree.add(child, SOON)
    with pytest.raises(InvalidBlock):
        tree.add(bad, SOON)
    with pytest.raises(InvalidBlock, match="its parent was refused: its state root"):
        tree.add(child, SOON)


def test_a_body_that_is_not_the_headers_is_not_held_against_the_block() -> None:
    one, other = new_tree(), new_tree()
    raw = grow(one, transfer(0), transfer(1))
    header = rlp.encode(decode_block(raw).header)
    swapped = encode_block(header, [transfer(1), transfer(0)], [])
    paid = encode_block(header, [transfer(0), transfer(1)], reward_of(1, RECEIVER, 5))
    for body, what in ((swapped, "transactions"), (paid, "withdrawals")):
        with pytest.raises(InvalidBlock, match=f"its {what} are not those that its header names") as refused:
            other.add(body, SOON)
        assert not refused.value.lasting
    assert other.add(raw, SOON)


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\xc0", b"\xc3\xc0\xc0\xc0", bytes(2000), b"\xc1" * 5000])
def test_bytes_that_are_no_block_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidBlock, match="it is no block"):
        new_tree().add(raw, SOON)


def test_a_block_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidBlock, match="more than 1048576"):
        new_tree().add(bytes(MAX_BLOCK_BYTES + 1), SOON)


def test_uncles_extra_data_and_foreign_transactions_are_refused() -> None:
    tree = new_tree()
    raw = grow(new_tree(), transfer(0))
    header, transactions, _, withdrawals = rlp.decode(raw)
    with pytest.raises(InvalidBlock, match="it has uncles"):
        tree.add(rlp.encode([header, transactions, [header], withdrawals]), SOON)
    with pytest.raises(InvalidBlock, match="its extra data is not a claim and a seal"):
        tree.add(rlp.encode([[*header[:12], b"x", *header[13:]], transactions, [], withdrawals]), SOON)
    with pytest.raises(InvalidBlock, match="not a signed Ethereum transaction"):
        tree.add(rlp.encode([header, [b"\2x"], [], withdrawals]), SOON)


def test_a_transaction_of_another_chain_spoils_its_block() -> None:
    foreign = replace(GENESIS, chain_id=1)
    forger = Tree(None, foreign, rota())
    sealed = grow(forger, transfer(0, chain_id=1))
    header = decode_block(sealed).header
    block = reseal(header, MEMBERS[1], [transfer(0, chain_id=1)], parent_hash=new_tree().genesis)
    with pytest.raises(InvalidBlock, match="it is signed for chain 1, this is chain 2024"):
        new_tree().add(block, SOON)


@pytest.mark.parametrize("raw", [transfer(1), transfer(0, wei=10**30), transfer(0, max_fee=6)])
def test_a_transaction_that_cannot_be_executed_spoils_its_block(raw: bytes) -> None:
    header = decode_block(grow(new_tree(), transfer(0))).header
    root, _ = make_trie_root_and_nodes([decode(raw).transaction])
    with pytest.raises(InvalidBlock, match="it breaks the rules of the EVM"):
        new_tree().add(reseal(header, MEMBERS[1], [raw], transaction_root=root), SOON)


def test_a_block_from_the_future_must_wait() -> None:
    one, other = new_tree(), new_tree()
    raw = grow(one, at=START + 60)
    with pytest.raises(TooEarly, match="20 seconds ahead"):
        other.add(raw, START + 40)
    assert other.add(raw, START + 45)


def test_the_reward_is_what_the_engine_says() -> None:
    paid = rota(paid=7)
    one, other = new_tree(paid), new_tree(paid)
    raw = grow(one)
    assert other.add(raw, SOON)
    assert other.balance(MEMBERS[1].address) == 7 * 10**9
    with pytest.raises(InvalidBlock, match="does not pay its sealer what it must"):
        new_tree(rota()).add(raw, SOON)


def test_the_better_branch_becomes_the_chain_and_its_names_with_it() -> None:
    tree, far = new_tree(), new_tree()
    mine = [grow(tree, transfer(0, wei=3), key=MEMBERS[2]), grow(tree, transfer(1), key=MEMBERS[1])]
    assert [decode_block(raw).seen.number for raw in mine] == [1, 2]
    theirs = [grow(far, transfer(0, wei=3)), grow(far, transfer(0, key=BOB)), grow(far)]
    weights = [tree.add(raw, SOON) for raw in theirs]
    moved = [added.moved for added in weights if added]
    assert moved == [False, True, True]
    switch = weights[1]
    assert switch
    assert [queued.raw for queued in switch.returned] == [transfer(1)]
    assert switch.senders == {ALICE.address, BOB.address}
    assert tree.head == far.head
    assert [tree.block(number) for number in range(4)] == [far.block(number) for number in range(4)]
    assert tree.receipt(decode_block(mine[1]).transactions[0].hash) is None
    shared = decode_block(mine[0]).transactions[0].hash
    assert tree.receipt(shared) == far.receipt(shared)
    old = decode_block(mine[1]).seen.hash
    assert tree.balance(RECEIVER, at=old) == 4
    assert not tree.canonical(tree.header(old))
    assert tree.balance(RECEIVER) == 4


def test_of_equal_branches_the_lower_hash_is_the_chain() -> None:
    blocks = [grow(new_tree(), transfer(0, wei=wei)) for wei in (1, 2, 3)]
    heads = set()
    for order in itertools.permutations(blocks):
        tree = new_tree()
        for raw in order:
            tree.add(raw, SOON)
        heads.add(tree.head.hash)
    assert heads == {min(decode_block(raw).seen.hash for raw in blocks)}


@dear(6)
@given(data=st.data())
def test_the_order_of_arrival_does_not_matter(data: st.DataObject) -> None:
    """Random forks, added in two random orders in which parents come first: one head, one state, one set of names."""
    source = [new_tree() for _ in range(3)]
    blocks: list[bytes] = []
    for number in range(data.draw(st.integers(2, 8))):
        tree = source[data.draw(st.integers(0, 2))]
        nonce = tree.nonce(ALICE.address)
        raws = [transfer(nonce, wei=number + 1)] if data.draw(st.booleans()) else []
        blocks.append(grow(tree, *raws, key=MEMBERS[data.draw(st.integers(0, 2))]))
        if data.draw(st.booleans()):
            for other in source:
                _add_all(other, blocks)
    pictures = set()
    for _ in range(2):
        tree = new_tree()
        _add_all(tree, data.draw(st.permutations(blocks)))
        head = tree.head
        names = [tree.block(number).hash for number in range(head.number + 1)]
        places = [tree.place(hash_) for number in range(head.number + 1) for hash_ in tree.block(number).transactions]
        pictures.add((head.hash, tree.balance(RECEIVER), tuple(names), tuple(places)))
        assert all(place is not None for place in places)
    assert len(pictures) == 1


def _add_all(tree: Tree, blocks: list[bytes]) -> None:
    waiting = list(blocks)
    while waiting:
        left = []
        for raw in waiting:
            try:
                tree.add(raw, START + 10_000)
            except UnknownParent:
                left.append(raw)
        assert len(left) < len(waiting)
        waiting = left


def test_what_is_asked_for_follows_the_first_known_block() -> None:
    tree = new_tree()
    blocks = [grow(tree) for _ in range(30)]
    assert tree.after([], 5, 10**6) == blocks[:5]
    assert tree.after([bytes(32), tree.block(10).hash, tree.block(20).hash], 100, 10**6) == blocks[10:]
    assert tree.after([tree.block(10).hash], 100, 3 * len(blocks[10])) == blocks[10:13]
    assert tree.after([tree.block(10).hash], 100, 1) == blocks[10:11]
    assert tree.after([tree.head.hash], 100, 10**6) == []
    locator = tree.locator()
    assert locator[0] == tree.head.hash
    assert locator[-1] == tree.genesis
    assert len(locator) < 15


def test_a_file_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "chain.db"
    tree = new_tree(path=path)
    fork = new_tree()
    kept = [grow(tree), grow(tree, transfer(0)), grow(fork, key=MEMBERS[2])]
    tree.add(kept[2], SOON)
    head, side = tree.head, decode_block(kept[2]).seen
    assert tree.sealed == 2
    tree.close()
    again = new_tree(path=path)
    assert again.head == head
    assert again.score(side.hash) == 2
    assert again.sealed == 2
    assert again.add(kept[2], SOON) is None
    assert again.add(grow(fork, key=MEMBERS[0]), SOON)
    again.close()
    with pytest.raises(LedgerError, match="was begun with another genesis"):
        Tree(path, Genesis(2024), rota())


def test_a_file_cut_in_half_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "chain.db"
    tree = new_tree(path=path)
    for number in range(20):
        grow(tree, transfer(number))
    tree.close()
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(LedgerError, match=r"cannot be used as a chain|is damaged") as told:
            _read_all(path)
        assert "\n" not in str(told.value)


def _read_all(path: Path) -> None:
    tree = new_tree(path=path)
    for number in range(tree.head.number + 1):
        tree.encoded(tree.block(number).hash)


def test_a_kill_at_any_statement_of_a_switch_leaves_the_old_chain_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "chain.db"
    tree, far = new_tree(path=path), new_tree()
    for number in range(3):
        grow(tree, transfer(number))
    theirs = [grow(far, transfer(0, wei=9), key=MEMBERS[2]), grow(far, transfer(1)), grow(far), grow(far)]
    for raw in theirs[:-1]:
        added = tree.add(raw, SOON)
        assert added
        assert not added.moved
    old, new = tree.head.hash, far.head.hash
    tree.close()
    before = path.read_bytes()
    statements: list[str] = []
    with_trace = new_tree(path=path)
    with_trace._store._file.set_trace_callback(statements.append)
    assert with_trace.add(theirs[-1], SOON)
    with_trace.close()
    writing = [place for place, text in enumerate(statements) if not text.startswith("SELECT")]
    assert len(writing) > 10
    for last in writing:
        path.write_bytes(before)

        def live(tree: Tree, last: int = last) -> None:
            count = itertools.count()
            tree._store._file.set_trace_callback(lambda _: next(count) == last and _die())
            tree.add(theirs[-1], SOON)
            _die()

        _killed_while(path, live)
        again = new_tree(path=path)
        assert again.head.hash in (old, new)
        for number in range(again.head.number + 1):
            hashes = again.block(number).transactions
            assert [again.place(hash_) for hash_ in hashes] == [(number, index) for index in range(len(hashes))]
        again.add(theirs[-1], SOON)
        assert again.head.hash == new
        assert again.balance(RECEIVER) == 10
        again.close()


def _die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


def _killed_while(path: Path, live: Callable[[Tree], None]) -> None:
    child = os.fork()
    if not child:
        try:
            live(new_tree(path=path))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
