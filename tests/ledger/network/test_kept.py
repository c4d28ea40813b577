"""What a node's file holds beside its blocks: found again after damage, never believed, never in the way of a start."""

from __future__ import annotations

import json
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rlp
from consensus_cases import KEYS as MEMBER_KEYS
from consensus_cases import Chain, Node, addresses, stake_nodes
from consensus_cases import grow as grow_headers
from network_cases import ALICE, MEMBERS, transfer

from commonwatt.errors import LedgerError, VerificationError
from commonwatt.ledger.chain.evm import decode
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.network.block import InvalidBlock, decode_block, encode_block, extra_data
from commonwatt.ledger.network.consensus import interface
from commonwatt.ledger.network.consensus.interface import SNAPSHOT, Header, Turn
from commonwatt.ledger.network.consensus.poa import MOST_VOTES, Council, Poa, Vote
from commonwatt.ledger.network.consensus.pos import Pos, decode_claim
from commonwatt.ledger.network.genesis import Agreement, parse
from commonwatt.ledger.network.kept import SCORE
from commonwatt.ledger.network.notes import Notes
from commonwatt.ledger.network.setup import consensus_table
from commonwatt.ledger.network.tree import Tree
from commonwatt.ledger.network.verify import verify
from commonwatt.proof import checksum_address

START = 1_000_000
OWN = MEMBERS[0]
EVERY = 8
BLOCKS = EVERY + 5


@pytest.fixture(scope="module", autouse=True)
def _often() -> Iterator[None]:
    """Snapshots are remembered every few blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interface, "EVERY", EVERY)
        yield


# Walks


class Counted(Chain):
    """A history that counts the headers it is asked for."""

    asked = 0

    def header(self, hash: bytes) -> Header:  # noqa: A002
        self.asked += 1
        return super().header(hash)


def poa_nodes() -> list[Node]:
    return [Node(key, Poa(addresses(MEMBER_KEYS[:3]))) for key in MEMBER_KEYS[:3]]


def pos_nodes() -> list[Node]:
    return stake_nodes([3, 2, 1], length=4 * EVERY, beta=1, gamma=1, window=20)


@pytest.mark.parametrize("nodes", [poa_nodes, pos_nodes])
def test_an_engine_that_starts_walks_back_no_further_however_long_the_chain_is(
    nodes: Callable[[], list[Node]],
) -> None:
    chain, own = Counted(), nodes()
    walks = []
    for length in (EVERY // 2, EVERY, EVERY + 1, EVERY // 2):
        grow_headers(chain, own, length)
        chain.asked = 0
        fresh = nodes()[0]
        turn = fresh.turn(chain)
        walks.append(chain.asked)
        noted, chain.notes = chain.notes, {}
        assert turn == own[0].turn(chain) == nodes()[0].turn(chain)  # the whole walk finds the same
        chain.notes = noted
    assert chain.head.number > 3 * EVERY
    assert max(walks) <= 2 * EVERY + 2
    assert sum(name.startswith(SNAPSHOT) for name in chain.notes) == 3


@pytest.mark.parametrize("nodes", [poa_nodes, pos_nodes])
def test_what_is_remembered_comes_back_whole(nodes: Callable[[], list[Node]]) -> None:
    chain, own = Chain(), nodes()
    engine = own[0].engine
    for header in grow_headers(chain, own, 40):
        known = engine.council(header, chain) if isinstance(engine, Poa) else engine.standing(header, chain)
        assert type(known).decode(known.encode()) == known


def test_standing_votes_are_bounded_and_the_oldest_gives_way() -> None:
    one, two = (key.address for key in MEMBER_KEYS[:2])
    council = Council((one, two, bytes(20)))
    candidates = [number.to_bytes(20, "big") for number in range(1, 2 * MOST_VOTES)]
    for candidate in candidates:
        council = council.sealed(one, Vote(one, candidate, admit=True))
    council = council.sealed(two, Vote(two, candidates[0], admit=True))
    assert [vote.candidate for vote in council.votes if vote.voter == one] == candidates[-MOST_VOTES:]
    assert candidates[0] not in council.authorities  # the first vote has lapsed
    assert Council.decode(council.encode()) == council


# Evidence


@pytest.mark.parametrize("restart", ["before the second seal", "after it", "twice"])
def test_evidence_of_a_double_seal_outlives_a_restart(restart: str) -> None:
    chain, nodes = Chain(), stake_nodes([3, 2, 1])
    grow_headers(chain, nodes, 3)
    culprit = min(nodes, key=lambda node: turn.at if (turn := node.turn(chain)) else 1 << 60)
    observer = next(node for node in nodes if node is not culprit)
    pair = culprit.make(chain), culprit.make(chain, late=1)

    def fresh() -> Pos:
        engine = next(node.engine for node in stake_nodes([3, 2, 1]) if node.key is observer.key)
        assert isinstance(engine, Pos)
        return engine

    observer.engine.check(pair[0], chain)
    if restart != "after it":
        observer.engine = fresh()
    observer.engine.check(pair[1], chain)
    if restart != "before the second seal":
        observer.engine = fresh()
    chain.add(pair[0])
    turn = observer.turn(chain)
    assert turn
    header = observer.make(chain)
    assert observer.engine.convict(decode_claim(header).evidence) == culprit.key.address


def test_a_seal_of_a_block_that_is_refused_is_remembered_in_the_file(tmp_path: Path) -> None:
    agreed = agreement("pos")
    path = tmp_path / "chain.sqlite"
    other = Tree(None, agreed.chain, agreed.engine(OWN))
    raw = seal(other)
    header = decode_block(raw).header
    forged = header.copy(state_root=bytes(32), extra_data=extra_data(other.past.header(header.hash).claim))
    twin = seal_header(other, forged)
    for block in (twin, raw):  # the first one is refused, and a restart is between them
        tree = Tree(path, agreed.chain, agreed.engine())
        try:
            tree.add(block, START + 1000)
        except InvalidBlock as error:
            assert "its state root is not" in str(error)  # noqa: PT017
        tree.close()
    tree = Tree(path, agreed.chain, agreed.engine())
    assert tree.notes.get(b"evidence")
    assert tree.head.number == 1
    tree.close()


# Files


def agreement(kind: str) -> Agreement:
    document = {
        "chain_id": 2024, "time": START, "consensus": consensus_table(kind, 1, [OWN], **MORE[kind]),
        "members": [checksum_address(OWN.address)], "balances": {checksum_address(ALICE.address): str(10**21)},
    }  # fmt: skip
    return parse(json.dumps(document))


MORE: dict[str, dict[str, Any]] = {"poa": {}, "pos": {"secrets": 1024}}


def seal(tree: Tree, *raws: bytes) -> bytes:
    """The node's next block."""
    parent = tree.past.header(tree.head.hash)
    turn = tree.engine.turn(parent, tree.past, OWN.address, 0)
    assert turn
    draft = tree.draft(turn, turn.at, map(decode, raws), set())
    sealed = tree.engine.seal(draft.unsealed, turn, OWN)
    assert sealed
    return tree.encoded(tree.seal(draft, sealed).block.hash)


def seal_header(tree: Tree, unsealed: Any) -> bytes:
    (claim,) = rlp.decode(unsealed.extra_data)
    signature = tree.engine.seal(unsealed.hash, Turn(0, claim, OWN.address), OWN)
    return encode_block(rlp.encode(unsealed.copy(extra_data=extra_data(claim, signature))), [], [])


@pytest.fixture(scope="module", params=["poa", "pos"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Agreement, bytes]:
    """A file of some blocks, a few with a transaction."""
    agreed = agreement(request.param)
    path = tmp_path_factory.mktemp("kept") / "chain.sqlite"
    tree = Tree(path, agreed.chain, agreed.engine(OWN))
    for number in range(BLOCKS):
        seal(tree, *([transfer(number // 5)] if number % 5 == 0 else []))
    tree.close()
    assert verify(path, agreed).blocks == BLOCKS
    return agreed, path.read_bytes()


@pytest.fixture
def file(whole: tuple[Agreement, bytes], tmp_path: Path) -> tuple[Agreement, Path]:
    path = tmp_path / "chain.sqlite"
    path.write_bytes(whole[1])
    return whole[0], path


def entries(path: Path, part: bytes) -> list[tuple[bytes, bytes]]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT key, value FROM entries WHERE instr(key, ?)", (part,)).fetchall()
    connection.close()
    return found


def change(path: Path, key: bytes, value: bytes | None) -> None:
    connection = sqlite3.connect(path)
    if value is None:
        connection.execute("DELETE FROM entries WHERE key = ?", (key,))
    else:
        connection.execute("UPDATE entries SET value = ? WHERE key = ?", (value, key))
    connection.commit()
    connection.close()


KINDS = {
    "a score": SCORE,
    "a snapshot": SNAPSHOT,
    "a number": b"block-number-to-hash:7",
    "a place": b"transaction-hash-to",
}
DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "removed": lambda _: None,
    "emptied": lambda _: b"",
    "changed": lambda value: value[:-1] + bytes([value[-1] ^ 1]),
    "cut": lambda value: value[:-1],
    "replaced": lambda value: b"\xff" * len(value),
    "lengthened": lambda value: value + b"\1",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_entry_is_not_proved_and_a_node_finds_it_again(
    file: tuple[Agreement, Path], kind: str, damage: str
) -> None:
    agreed, path = file
    found = entries(path, KINDS[kind])
    before = {name: row for name in KINDS for row in [entries(path, KINDS[name])]}
    key, value = found[len(found) // 2]
    change(path, key, DAMAGES[damage](value))
    if kind != "a snapshot":  # one that does not have its check is none
        with pytest.raises(VerificationError) as told:
            verify(path, agreed)
        assert "\n" not in str(told.value)
    tree = Tree(path, agreed.chain, agreed.engine(OWN))
    assert [tree.header(number).block_number for number in range(BLOCKS + 1)] == [*range(BLOCKS + 1)]
    assert tree.score(tree.head.hash) == (2 if tree.engine.name == "poa" else 1) * BLOCKS
    hashes = [hash_ for number in range(BLOCKS + 1) for hash_ in tree.block(number).transactions]
    for number, hash_ in enumerate(hashes):
        receipt = tree.receipt(hash_)
        assert receipt
        assert (receipt.block, receipt.index) == (5 * number + 1, 0) == tree.place(hash_)
    for number in range(BLOCKS + 1):
        tree.score(tree.header(number).hash)
    seal(tree)
    tree.close()
    verified = verify(path, agreed)
    assert verified.blocks == BLOCKS + 1
    if kind != "a snapshot":
        after = {name: entries(path, KINDS[name]) for name in KINDS}
        assert all(set(before[name]) <= set(after[name]) for name in KINDS)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_reader_of_a_damaged_index_says_so_in_one_sentence(file: tuple[Agreement, Path], damage: str) -> None:
    if damage == "removed":
        return
    _, path = file
    place = entries(path, b"transaction-hash-to")[0]
    number = entries(path, b"block-number-to-hash:9")[0]
    for key, value in (place, number):
        change(path, key, DAMAGES[damage](value))
    store = Store(path, read_only=True)
    reader = Reader(store, "the chain")
    hash_ = eval(place[0].removeprefix(b"transaction-hash-to-block:"))  # noqa: S307
    for look in (lambda: reader.receipt(hash_), lambda: reader.block(9), lambda: reader.transaction(hash_)):
        with pytest.raises(LedgerError, match="is damaged: its index does not lead to") as told:
            look()
        assert "\n" not in str(told.value)
    store.close()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_transaction_is_found_again_whose_block_is_not(file: tuple[Agreement, Path], damage: str) -> None:
    """The node runs when the entry is damaged, and nobody has asked for the block."""
    agreed, path = file
    tree = Tree(path, agreed.chain, agreed.engine(OWN))
    hash_ = tree.block(6).transactions[0]
    key = entries(path, b"block-number-to-hash:6")[0][0]
    tree._store.put(key, DAMAGES[damage](tree._store.get(key) or b""))
    with pytest.raises(LedgerError, match=f"its index does not lead to transaction 0x{hash_.hex()}") as told:
        Reader(tree._store, "the chain").receipt(hash_)
    assert "\n" not in str(told.value)
    receipt, transaction = tree.receipt(hash_), tree.transaction(hash_)
    assert (receipt and receipt.block, transaction and transaction.block) == (6, 6)
    tree.close()


def test_a_file_without_any_of_it_is_as_good(file: tuple[Agreement, Path]) -> None:
    agreed, path = file
    for part in (b"commonwatt:checked:", b"block-number-to-hash:", b"transaction-hash-to-block:"):
        connection = sqlite3.connect(path)
        connection.execute("DELETE FROM entries WHERE instr(key, ?)", (part,))
        connection.commit()
        connection.close()
    tree = Tree(path, agreed.chain, agreed.engine(OWN))
    assert tree.block(BLOCKS).hash == tree.head.hash
    assert tree.knows(tree.block(3).hash)
    tree.close()
    assert verify(path, agreed).blocks == BLOCKS


@pytest.mark.parametrize("start", [SNAPSHOT, SCORE])
def test_a_note_that_lies_with_its_check_right_is_not_proved(file: tuple[Agreement, Path], start: bytes) -> None:
    agreed, path = file
    tree = Tree(path, agreed.chain, agreed.engine(OWN))
    name = start + tree.header(EVERY).hash
    good = tree.notes.get(name)
    tree.close()
    assert good
    note(path, name, good[:-1] + b"\x07")
    with pytest.raises(VerificationError, match="is wrong"):
        verify(path, agreed)
    note(path, name, good)
    assert verify(path, agreed)


def note(path: Path, name: bytes, value: bytes) -> None:
    store = Store(path)
    notes = Notes(store)
    notes.put(name, value)
    notes.save()
    store.commit()
    store.close()


def test_a_new_file_is_its_operators_alone(tmp_path: Path) -> None:
    agreed = agreement("poa")
    path = tmp_path / "chain.sqlite"
    tree = Tree(path, agreed.chain, agreed.engine(OWN))
    seal(tree)
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}
    tree.close()
