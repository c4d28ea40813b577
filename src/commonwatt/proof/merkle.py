"""Ordered Merkle trees over records.

Leaf = keccak(struct hash), node = keccak(left ‖ right); leaves are padded with zeros to the next power of two.
A struct hash of zero, which no record has, is an empty place: its leaf is zero, like the padding. A leaf is a hash
of 32 bytes and a node a hash of 64, so a node cannot pass as a leaf. The root of one leaf is that leaf, the root of
none is zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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

    @property
    def depth(self) -> int:
        """How many siblings lead from a leaf to the root."""
        return len(self.levels) - 1

    def proof(self, index: int) -> tuple[bytes, ...]:
        """Siblings of the leaf at `index`, from the bottom; also of an empty place in the padding.

        Raises IndexError outside the tree.
        """
        if not self.levels[0] or not 0 <= index < 1 << self.depth:
            raise IndexError(index)
        return tuple(self._node(height, index >> height ^ 1) for height in range(self.depth))

    def _node(self, height: int, place: int) -> bytes:
        level = self.levels[height]
        return level[place] if place < len(level) else _ZERO_ROOTS[height]

    def proofs(self) -> list[tuple[bytes, ...]]:
        """Siblings of every leaf, as of `proof`, from the first on."""
        ways: list[tuple[bytes, ...]] = [()]
        for height, level in reversed([*enumerate(self.levels[:-1])]):
            beside = [*level, _ZERO_ROOTS[height]]
            ways = [(beside[index ^ 1], *ways[index >> 1]) for index in range(len(level))]
        return ways if self.levels[0] else []

    def beside(self, places: Iterable[int]) -> tuple[bytes, ...]:
        """The nodes that lead from the leaves at these places to the root, also from empty ones; see `places_beside`.

        Raises IndexError outside the tree.
        """
        chosen = {*places}
        if chosen and not 0 <= min(chosen) <= max(chosen) < 1 << self.depth:
            raise IndexError(max(chosen))
        return tuple(self._node(height, place) for height, place in places_beside(chosen, self.depth))


def places_beside(places: Iterable[int], depth: int) -> Iterator[tuple[int, int]]:
    """Height and place of each node that is needed beside these leaves, level by level from the bottom."""
    level = {*places}
    for height in range(depth):
        yield from ((height, place ^ 1) for place in sorted(level) if place ^ 1 not in level)
        level = {place >> 1 for place in level}


def led_by(
    hashes: Mapping[int, bytes], depth: int, beside: Sequence[bytes]
) -> tuple[bytes, dict[int, tuple[bytes, ...]]]:
    """The root that records lead to together, and the siblings of each: what `Tree.beside` gave holds them all.

    hashes : struct hash by place; depth : of the tree
    Raises ValueError when there are too few nodes beside them or too many, or no tree of that depth has these places.
    """
    inside = 0 <= depth < len(_ZERO_ROOTS) and all(0 <= place < 1 << depth for place in hashes)
    if not hashes or not inside:
        raise ValueError("no tree has these places")
    needed = [*places_beside(hashes, depth)]
    if len(needed) != len(beside):
        raise ValueError("there are too few nodes beside them, or too many")
    levels: list[dict[int, bytes]] = [{place: leaf(each) for place, each in hashes.items()}]
    levels += [{} for _ in range(depth)]
    for (height, place), node in zip(needed, beside, strict=True):
        levels[height][place] = node
    for height in range(depth):
        level = levels[height]
        pairs = (place for place in level if not place & 1)
        levels[height + 1] |= {place >> 1: keccak(level[place] + level[place + 1]) for place in pairs}
    ways = {place: tuple(levels[height][place >> height ^ 1] for height in range(depth)) for place in hashes}
    return levels[depth][0], ways


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
