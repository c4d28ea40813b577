"""Ordered Merkle trees over records.

Leaf = keccak(struct hash), node = keccak(left ‖ right); leaves are padded with zeros to the next power of two.
A struct hash of zero, which no record has, is an empty place: its leaf is zero, like the padding. A leaf is a hash
of 32 bytes and a node a hash of 64, so a node cannot pass as a leaf. The root of one leaf is that leaf, the root of
none is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from commonwatt.proof.keccak import keccak
from commonwatt.records.schema import ZERO_HASH


def _zeros(levels: int) -> list[bytes]:
    roots = [ZERO_HASH]
    for _ in range(levels):
        roots.append(keccak(roots[-1] + roots[-1]))
    return roots


# Root of an all-padding subtree, by height.
_ZERO_ROOTS = _zeros(40)


def leaf(struct_hash: bytes) -> bytes:
    """Leaf of a record's struct hash, 32 bytes; zero for zero, an empty place."""
    return ZERO_HASH if struct_hash == ZERO_HASH else keccak(struct_hash)


@dataclass(frozen=True)
class Tree:
    """All levels of a tree, leaves first; padding is implied, not stored."""

    levels: tuple[tuple[bytes, ...], ...]

    @classmethod
    def of(cls, struct_hashes: Sequence[bytes]) -> Tree:
        """The tree over the records with these struct hashes, in this order; zero = an empty place."""
        return cls.over(tuple(map(leaf, struct_hashes)))

    @classmethod
    def over(cls, leaves: tuple[bytes, ...]) -> Tree:
        """The tree over these leaves."""
        levels = [leaves]
        while len(levels[-1]) > 1:
            level = levels[-1]
            if len(level) % 2:
                level = (*level, _ZERO_ROOTS[len(levels) - 1])
            pairs = zip(level[::2], level[1::2], strict=True)
            levels.append(tuple([keccak(left + right) for left, right in pairs]))
        return cls(tuple(levels))

    @property
    def root(self) -> bytes:
        """Root, 32 bytes."""
        return self.levels[-1][0] if self.levels[0] else ZERO_HASH

    def proof(self, index: int) -> tuple[bytes, ...]:
        """Siblings of the leaf at `index`, from the bottom.

        Raises IndexError outside the tree.
        """
        if not 0 <= index < len(self.levels[0]):
            raise IndexError(index)
        siblings = []
        for height, level in enumerate(self.levels[:-1]):
            sibling = index ^ 1
            siblings.append(level[sibling] if sibling < len(level) else _ZERO_ROOTS[height])
            index >>= 1
        return tuple(siblings)

    def proofs(self) -> list[tuple[bytes, ...]]:
        """Siblings of every leaf, as of `proof`, from the first on."""
        ways: list[tuple[bytes, ...]] = [()]
        for height, level in reversed([*enumerate(self.levels[:-1])]):
            beside = [*level, _ZERO_ROOTS[height]]
            ways = [(beside[index ^ 1], *ways[index >> 1]) for index in range(len(level))]
        return ways if self.levels[0] else []

    def border(self, first: int, count: int) -> tuple[bytes, ...]:
        """Siblings beside the leaves `first` to `first + count - 1`, level by level from the bottom, left before right.

        Raises IndexError outside the tree.
        """
        last = first + count - 1
        if not 0 <= first <= last < len(self.levels[0]):
            raise IndexError(first)
        siblings = []
        for height, level in enumerate(self.levels[:-1]):
            if first & 1:
                siblings.append(level[first - 1])
            if not last & 1:
                siblings.append(level[last + 1] if last + 1 < len(level) else _ZERO_ROOTS[height])
            first, last = first >> 1, last >> 1
        return tuple(siblings)


def root_of(struct_hash: bytes, index: int, proof: Sequence[bytes]) -> bytes:
    """The root that a record at `index` with these siblings leads to; the verifier compares it.

    What is no hash, and an index outside the tree of that depth, lead to zero, which no record has. An empty place is
    no record: a hash of zero does not lead to a tree with one.
    """
    return _above(keccak(struct_hash), index, proof) if len(struct_hash) == 32 else ZERO_HASH


def root_of_empty(index: int, proof: Sequence[bytes]) -> bytes:
    """The root that an empty place at `index` with these siblings leads to."""
    return _above(ZERO_HASH, index, proof)


def _above(node: bytes, index: int, proof: Sequence[bytes]) -> bytes:
    if not 0 <= index < 1 << len(proof):
        return ZERO_HASH
    for sibling in proof:
        node = keccak(sibling + node) if index & 1 else keccak(node + sibling)
        index >>= 1
    return node


def proofs_of(
    struct_hashes: Sequence[bytes], first: int, depth: int, border: Sequence[bytes]
) -> tuple[bytes, list[tuple[bytes, ...]]]:
    """The root that a range of records leads to, and each one's siblings to it: what `Tree.border` gave holds them all.

    first : place of the first record; depth : of the tree
    Raises ValueError when the border is too short or too long, there is no record, or no tree of that depth has them.
    """
    if not struct_hashes or not 0 <= depth < len(_ZERO_ROOTS):
        raise ValueError("no tree has such a range")
    level, left, place = [leaf(each) for each in struct_hashes], list(reversed(border)), first
    found: list[list[bytes]] = [[] for _ in level]
    try:
        for height in range(depth):
            if place & 1:
                place, level = place - 1, [left.pop(), *level]
            if len(level) & 1:
                level.append(left.pop())
            for index, siblings in enumerate(found, first):
                siblings.append(level[(index >> height ^ 1) - place])
            place, level = place >> 1, [keccak(one + other) for one, other in zip(level[::2], level[1::2], strict=True)]
    except IndexError:
        raise ValueError("the border is too short") from None
    if left or place or len(level) != 1:
        raise ValueError("the border is too long, or the records are not within the tree")
    return level[0], [tuple(siblings) for siblings in found]


def border_of(first: int, of_first: Sequence[bytes], last: int, of_last: Sequence[bytes]) -> tuple[bytes, ...]:
    """`Tree.border` of a range, from the siblings of its first record and of its last, at these places.

    Raises ValueError when they are not of one tree's depth.
    """
    border = []
    for height, (left, right) in enumerate(zip(of_first, of_last, strict=True)):
        if first >> height & 1:
            border.append(left)
        if not last >> height & 1:
            border.append(right)
    return tuple(border)
