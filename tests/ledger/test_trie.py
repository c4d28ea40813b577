"""Tries are those of py-trie: roots, nodes, values, proofs, and what is told when a node is missing."""

from __future__ import annotations

from typing import Any

import rlp
from hypothesis import given
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from commonwatt.ledger.chain.trie import BLANK, Nodes, Trie
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
        self.keys: set[bytes] = set()

    def change(self, changes: dict[bytes, bytes]) -> None:
        self.keys |= set(changes)
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
        for key in both.keys | {other}:
            assert both.trie.get(key) == both.other.get(key)
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
