"""Tries are those of py-trie: roots, nodes, values, proofs, lists, and what is told when a node is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import rlp
from eth.db.trie import _make_trie_root_and_nodes
from hypothesis import given
from hypothesis import strategies as st
from rlp.exceptions import DecodingError
from trie.exceptions import MissingTrieNode
from trie.hexary import HexaryTrie

from commonwatt.ledger.chain.trie import (
    BLANK,
    Extension,
    Leaf,
    Nodes,
    Trie,
    decode,
    encode,
    items,
    listed,
    value_at,
    values_of,
)
from commonwatt.proof import keccak

# Keys that share beginnings and end within each other; values that leave nodes shorter and longer than a hash.
_KEYS = st.binary(max_size=3) | st.lists(st.sampled_from([0x00, 0x01, 0x10, 0x11]), max_size=5).map(bytes)
_VALUES = st.binary(max_size=3) | st.binary(min_size=30, max_size=60)
_CHANGES = st.lists(st.dictionaries(_KEYS, _VALUES, max_size=12), min_size=1, max_size=6)


class _Both:
    """A trie of ours beside py-trie's, each with its own entries."""

    def __init__(self, most: int = 1 << 16) -> None:
        self.ours: dict[bytes, bytes] = {}
        self.theirs: dict[bytes, bytes] = {}
        self.trie = Trie(Nodes(self.ours.get, most))
        self.other: Any = HexaryTrie(self.theirs)
        self.values: dict[bytes, bytes] = {}

    def change(self, changes: dict[bytes, bytes]) -> None:
        self.values |= changes
        self.ours |= self.trie.update(changes)
        with self.other.squash_changes() as batch:
            for key, value in changes.items():
                batch[key] = value


@given(_CHANGES, st.sampled_from([2, 1 << 16]), _KEYS)
def test_roots_nodes_values_and_proofs_are_those_of_py_trie(
    steps: list[dict[bytes, bytes]], most: int, other: bytes
) -> None:
    both = _Both(most)
    for changes in steps:
        both.change(changes)
        assert both.trie.root == both.other.root_hash
        assert both.ours.keys() <= both.theirs.keys() | {BLANK}
        for key in {*both.values, other}:
            # py-trie itself raises where a key ends within an extension.
            assert both.trie.get(key) == both.values.get(key, b"")
            encoded = [rlp.encode(node) for node in both.other.get_proof(key)]
            assert both.trie.proof(key) == tuple(
                node for index, node in enumerate(encoded) if index == 0 or len(node) >= 32
            )


@given(st.lists(st.dictionaries(st.integers(0, 40), st.integers(0, 2), max_size=12), max_size=8))
def test_tries_of_hashed_keys_are_written_as_py_trie_writes_them(steps: list[dict[int, int]]) -> None:
    """As for accounts and slots: every entry that is written is one that py-trie writes, and none is left out."""
    both = _Both()
    for step in steps:
        both.change({keccak(bytes([key])): bytes([value]) * 33 * (value > 0) for key, value in step.items()})
        assert both.trie.root == both.other.root_hash
        assert both.ours == both.theirs


def filled(count: int) -> _Both:
    both = _Both()
    both.change({keccak(bytes([number])): bytes([number + 1]) * 40 for number in range(count)})
    return both


def told(act: Callable[..., bytes | None], *values: bytes) -> object:
    """What an act gives, or what is raised, in its words."""
    try:
        return act(*values)
    except MissingTrieNode as error:
        return error.args, str(error)


def both_tell(ours: Trie, other: Any, key: bytes, value: bytes | None) -> tuple[object, object]:
    """Of a key that is set to a value, or read."""

    def change(key: bytes, value: bytes) -> None:
        ours.update({key: value})

    if value is None:
        return told(ours.get, key), told(other.get, key)
    return told(change, key, value), told(other.set, key, value)


@pytest.mark.parametrize("value", [None, b"new", b""])
def test_a_missing_node_is_told_as_py_trie_tells_it(value: bytes | None) -> None:
    both, count = filled(20), 0
    for gone in both.ours:
        left = {hash_: node for hash_, node in both.ours.items() if hash_ != gone}
        for key in both.values:
            ours = Trie(Nodes(left.get), both.trie.root)
            found, other = both_tell(ours, HexaryTrie(dict(left), both.trie.root), key, value)
            assert found == other
            if isinstance(found, tuple):
                count += 1
                assert ours.root == both.trie.root
    assert count > 20


def test_a_missing_node_of_a_proof_is_told() -> None:
    both = filled(20)
    both.ours.pop(keccak(both.trie.proof(keccak(b"\0"))[1]))
    with pytest.raises(MissingTrieNode):
        Trie(Nodes(both.ours.get), both.trie.root).proof(keccak(b"\0"))


def test_a_branch_with_one_child_left_joins_it() -> None:
    trie = Trie(Nodes(lambda _: None))
    trie.update({b"\x11\x11": b"a" * 32, b"\x11\x22": b"b" * 32, b"\x11\x23": b"c" * 32, b"\x11": b"d"})
    trie.update({b"\x11\x11": b"", b"\x11": b""})
    made = trie.update({b"\x11\x23": b""})
    assert [decode(node) for node in made.values()] == [Leaf("1122", b"b" * 32)]  # all in one node
    assert trie.update({b"\x11\x22": b""}) == {}
    assert trie.root == BLANK
    assert trie.proof(b"\x11\x22") == ()


def test_a_change_that_is_taken_back_makes_the_nodes_of_before() -> None:
    both = filled(30)
    root, before = both.trie.root, both.trie.proof(keccak(b"\0"))
    both.change({keccak(bytes([number])): b"" for number in range(7)} | {keccak(b"new"): b"x" * 50})
    both.change({keccak(bytes([number])): bytes([number + 1]) * 40 for number in range(7)} | {keccak(b"new"): b""})
    assert both.trie.root == root == both.other.root_hash
    assert both.trie.proof(keccak(b"\0")) == before


@pytest.mark.parametrize("count", [0, 1, 2, 16, 17, 127, 128, 129, 300])
@pytest.mark.parametrize("size", [1, 20, 500])
def test_lists_are_those_of_py_evm(count: int, size: int) -> None:
    values = [number.to_bytes(2, "big") * size for number in range(1, count + 1)]
    root, nodes = listed(tuple(values))
    assert (root, nodes) == _make_trie_root_and_nodes(tuple(values))
    assert list(values_of(nodes.get, root)) == values
    assert [value_at(nodes.get, root, index) for index in range(count + 1)] == [*values, b""]


def test_nodes_are_read_once_while_they_are_kept_and_no_more_are_kept_than_told() -> None:
    entries = filled(200).ours
    reads: list[bytes] = []

    def read(hash_: bytes) -> bytes | None:
        reads.append(hash_)
        return entries.get(hash_)

    nodes = Nodes(read, 1000)
    for hash_ in [*entries, *entries]:
        assert encode(nodes.get(hash_)) == entries[hash_]
    assert reads == list(entries)
    few = Nodes(read, 20)
    for hash_ in entries:
        few.get(hash_)
        few.get(hash_)
    assert len(few._new) + len(few._old) <= 20
    assert len(reads) == 2 * len(entries)
    with pytest.raises(KeyError):
        few.get(bytes(32))


@given(st.text("0123456789abcdef", max_size=64), st.binary(max_size=300), st.binary(min_size=32, max_size=32))
def test_nodes_are_encoded_as_rlp(path: str, value: bytes, hash_: bytes) -> None:
    packed = bytes.fromhex(("3" if len(path) % 2 else "20") + path)
    assert encode(Leaf(path, value)) == rlp.encode([packed, value])
    packed = bytes.fromhex(("1" if len(path) % 2 else "00") + path)
    assert encode(Extension(path, hash_)) == rlp.encode([packed, hash_])
    assert decode(encode(Extension(path, hash_))) == Extension(path, hash_)
    inside = encode(Leaf("1", value[:20]))
    branch = (hash_, b"", inside, *[hash_] * 13, value)
    assert encode(branch) == rlp.encode([hash_, b"", rlp.decode(inside), *[hash_] * 13, value])
    assert decode(encode(branch)) == branch


@given(st.binary(max_size=80) | st.lists(st.binary(max_size=40), max_size=20).map(rlp.encode))
def test_what_is_no_node_is_refused(raw: bytes) -> None:
    try:
        node = decode(raw)
    except DecodingError:
        return
    assert len(items(raw)) in (2, 17)
    assert isinstance(node, tuple)
