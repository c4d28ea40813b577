"""Merkle Patricia tries: looked up node by node, and changed as a whole.

All changes are made first; then each node that is new is encoded and hashed once. Nodes are kept decoded under their
hash. They are right on every branch and in every draft, as what a hash stands for never changes.

Source: Ethereum's Yellow Paper, appendices C and D, https://ethereum.github.io/yellowpaper/paper.pdf
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count, groupby
from typing import Any, NamedTuple, cast

from eth_typing import Hash32
from rlp.exceptions import DecodingError
from trie.exceptions import MissingTrieNode

from commonwatt.proof.keccak import keccak

KEPT = 1 << 15
"""Nodes that are kept decoded, 1.3 kB each at most."""

_HASH = 32
BLANK = keccak(b"\x80")
"""The root of an empty trie."""

# A branch whose children are all hashes, as most near the root are: 16 of them behind the list's length, no value.
_FULL, _FULL_HEAD, _FULL_HASHES = 532, b"\xf9\x02\x11", b"\xa0" * 16


class Leaf(NamedTuple):
    """A value and the rest of its key's path, as hexadecimal digits."""

    path: str
    value: bytes


class Extension(NamedTuple):
    """A path, as hexadecimal digits, that all keys below share."""

    path: str
    below: Any


Branch = tuple[bytes, ...]
"""Sixteen references by the next nibble, and the value of the key that ends here.

A reference is empty, a node's hash, or the node itself, encoded, when that is shorter than a hash.
"""
Node = Leaf | Extension | Branch
_Draft = Any
"""A node that is being made: a leaf, an extension, a list for a branch; what is below is a reference or a draft."""
_Changes = list[tuple[str, bytes]]
"""Values by key as hexadecimal digits, in order; an empty value takes the key out."""


class Nodes:
    """Nodes by hash. The last used are kept, between half of `most` and `most`.

    read : the encoded node of a hash; None when it is missing
    """

    def __init__(self, read: Callable[[bytes], bytes | None], most: int = KEPT) -> None:
        self._read = read
        self._half = max(most // 2, 1)
        self._new: dict[bytes, Node] = {}
        self._old: dict[bytes, Node] = {}

    def get(self, hash_: bytes) -> Node:
        """A node by its hash. Raises KeyError when it is missing, DecodingError when it is none."""
        node = self._new.get(hash_)
        if node is None:
            node = self._old.get(hash_)
            if node is None:
                raw = self._read(hash_)
                if raw is None:
                    raise KeyError(hash_)
                node = decode(raw)
            self.keep(hash_, node)
        return node

    def keep(self, hash_: bytes, node: Node) -> None:
        """Keep a node that is new."""
        self._new[hash_] = node
        if len(self._new) >= self._half:
            self._old, self._new = self._new, {}


class Trie:
    """A trie by its root. Raises MissingTrieNode when a node that is needed is missing."""

    def __init__(self, nodes: Nodes, root: bytes = BLANK) -> None:
        self._nodes = nodes
        self.root = root

    def get(self, key: bytes) -> bytes:
        """The value of a key; empty when there is none."""
        node: Node | None = None
        for node, rest in self._down(key):  # noqa: B007 (the last one is wanted)
            pass
        if isinstance(node, Leaf):
            return node.value if node.path == rest else b""
        return b"" if node is None or rest or isinstance(node, Extension) else node[16]

    def proof(self, key: bytes) -> tuple[bytes, ...]:
        """The encoded nodes from the root towards a key. A node inside its parent is no entry of its own."""
        encoded = [encode(node) for node, _ in self._down(key)]
        return tuple(raw for index, raw in enumerate(encoded) if index == 0 or len(raw) >= _HASH)

    def _down(self, key: bytes) -> Iterator[tuple[Node, str]]:
        """The nodes towards a key, each with the digits of the key that are left there."""
        rest = digits = key.hex()
        reference = b"" if self.root == BLANK else self.root
        while reference:
            try:
                node = self._load(reference)
            except KeyError:
                prefix = [int(digit, 16) for digit in digits[: len(digits) - len(rest)]]
                raise MissingTrieNode(Hash32(reference), Hash32(self.root), key, cast("Any", prefix)) from None
            yield node, rest
            if isinstance(node, Leaf):
                return
            if isinstance(node, Extension):
                reference = node.below if rest.startswith(node.path) else b""
                rest = rest[len(node.path) :]
            else:
                reference = node[int(rest[0], 16)] if rest else b""
                rest = rest[1:]

    def update(self, changes: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """Set keys to values, or take those out whose value is empty; returns the new nodes, encoded, by hash."""
        if not changes:
            return {}
        draft = self._put(b"" if self.root == BLANK else self.root, sorted((k.hex(), v) for k, v in changes.items()), 0)
        made: dict[bytes, bytes] = {}
        if draft == b"":
            self.root = BLANK
        else:
            node = self._finish(draft, made)
            raw = encode(node)
            self.root = keccak(raw)
            made[self.root] = raw
            self._nodes.keep(self.root, node)
        return made

    # Making drafts

    def _put(self, below: bytes | _Draft, changes: _Changes, depth: int) -> bytes | _Draft:
        """What becomes of a reference or draft under which these keys change; they are the same up to `depth`."""
        if below == b"":
            return _built(changes, depth)
        node = self._needed(below, changes) if isinstance(below, bytes) else below
        if isinstance(node, Leaf):
            own = changes[0][0][:depth] + node.path
            return _built(sorted({own: node.value, **dict(changes)}.items()), depth)
        if not isinstance(node, Extension):
            return self._put_branch(list(node), changes, depth)
        path = node.path
        shared = min(_shared(path, changes[0][0][depth:]), _shared(path, changes[-1][0][depth:]))
        if shared == len(path):
            return self._joined(path, self._put(node.below, changes, depth + shared), changes)
        branch: list[_Draft] = [b""] * 17
        rest = path[shared + 1 :]
        branch[int(path[shared], 16)] = Extension(rest, node.below) if rest else node.below
        return self._joined(path[:shared], self._put_branch(branch, changes, depth + shared), changes)

    def _put_branch(self, branch: list[_Draft], changes: _Changes, depth: int) -> bytes | _Draft:
        if len(changes) == 1 and len(changes[0][0]) > depth:
            place = int(changes[0][0][depth], 16)
            branch[place] = self._put(branch[place], changes, depth + 1)
        else:
            _fill(branch, changes, depth, self._put)
        left = [place for place, below in enumerate(branch) if below != b""]
        if len(left) > 1:
            return branch
        if left == [16]:
            return Leaf("", branch[16])
        return self._joined(f"{left[0]:x}", branch[left[0]], changes) if left else b""

    def _joined(self, path: str, below: bytes | _Draft, changes: _Changes) -> bytes | _Draft:
        """A path to what is below: one node with it, unless that is a branch."""
        if below == b"" or not path:
            return below
        node = self._needed(below, changes) if isinstance(below, bytes) else below
        if isinstance(node, Leaf | Extension):
            return node._replace(path=path + node.path)
        return Extension(path, below)

    def _needed(self, reference: bytes, changes: _Changes) -> Node:
        try:
            return self._load(reference)
        except KeyError:
            key = bytes.fromhex(changes[0][0])
            raise MissingTrieNode(Hash32(reference), Hash32(self.root), key) from None

    def _load(self, reference: bytes) -> Node:
        return self._nodes.get(reference) if len(reference) == _HASH else decode(reference)

    # Ending them

    def _finish(self, draft: _Draft, made: dict[bytes, bytes]) -> Node:
        """A draft with references in it."""
        if isinstance(draft, Leaf) or (isinstance(draft, Extension) and isinstance(draft.below, bytes)):
            return draft
        if isinstance(draft, Extension):
            return Extension(draft.path, self._refer(draft.below, made))
        return tuple([below if isinstance(below, bytes) else self._refer(below, made) for below in draft])

    def _refer(self, draft: _Draft, made: dict[bytes, bytes]) -> bytes:
        node = self._finish(draft, made)
        raw = encode(node)
        if len(raw) < _HASH:
            return raw
        hash_ = keccak(raw)
        made[hash_] = raw
        self._nodes.keep(hash_, node)
        return hash_


def _shared(one: str, other: str) -> int:
    """With how many digits both begin."""
    for place, (digit, another) in enumerate(zip(one, other, strict=False)):
        if digit != another:
            return place
    return min(len(one), len(other))


def _built(changes: _Changes, depth: int) -> bytes | _Draft:
    """The draft of a trie with nothing else in it."""
    present = [change for change in changes if change[1]]
    if not present:
        return b""
    first = present[0][0]
    if len(present) == 1:
        return Leaf(first[depth:], present[0][1])
    path = first[depth : depth + _shared(first[depth:], present[-1][0][depth:])]
    branch: list[_Draft] = [b""] * 17
    _fill(branch, present, depth + len(path), lambda _, group, start: _built(group, start))
    return Extension(path, branch) if path else branch


def _fill(branch: list[_Draft], changes: _Changes, depth: int, put: Callable[..., _Draft]) -> None:
    """Change what is below each place of a branch at this depth."""
    for digit, group in groupby(changes, lambda change: change[0][depth : depth + 1]):
        if digit:
            place = int(digit, 16)
            branch[place] = put(branch[place], list(group), depth + 1)
        else:
            ((_, branch[16]),) = group


# Nodes as bytes


def encode(node: Node) -> bytes:
    """A node's RLP."""
    if isinstance(node, Leaf):
        body = item(_packed("20", "3", node.path)) + item(node.value)
    elif isinstance(node, Extension):
        body = item(_packed("00", "1", node.path)) + _reference(node.below)
    else:
        below = [b"\xa0" + each if len(each) == _HASH else each or b"\x80" for each in node[:16]]
        body = b"".join(below) + item(node[16])
    return in_list(body)


def _packed(even: str, odd: str, path: str) -> bytes:
    """A path behind the digits that say how long and of what node it is ("hex prefix")."""
    return bytes.fromhex((odd if len(path) % 2 else even) + path)


def _reference(below: bytes) -> bytes:
    if len(below) == _HASH:
        return b"\xa0" + below
    return below or b"\x80"


def item(data: bytes) -> bytes:
    """The RLP of bytes."""
    if len(data) == 1 and data[0] < 0x80:
        return data
    return head(len(data), 0x80) + data


def in_list(*parts: bytes) -> bytes:
    """The RLP of a list of these encoded parts."""
    body = b"".join(parts)
    return head(len(body), 0xC0) + body


def head(size: int, kind: int) -> bytes:
    """What stands before so many bytes of a text (0x80) or a list (0xC0)."""
    if size < 56:
        return bytes([kind + size])
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([kind + 55 + len(length)]) + length


def number(value: int) -> bytes:
    """The RLP of a number."""
    return item(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def decode(raw: bytes) -> Node:
    """A node from its RLP. Raises DecodingError."""
    if len(raw) == _FULL and raw.startswith(_FULL_HEAD) and raw[3:531:33] == _FULL_HASHES and raw[531] == 0x80:
        return (*[raw[start : start + _HASH] for start in range(4, 531, 33)], b"")
    parts = items(raw)
    if len(parts) == 17 and not parts[16][0]:
        return tuple([_referred(part, raw) for part in parts[:16]] + [parts[16][1]])
    if len(parts) != 2 or parts[0][0] or not parts[0][1]:
        raise DecodingError("This is no node of a trie", raw)
    path = parts[0][1].hex()
    rest = path[1:] if path[0] in "13" else path[2:]
    return Leaf(rest, parts[1][1]) if path[0] in "23" else Extension(rest, _referred(parts[1], raw))


def _referred(part: tuple[bool, bytes], raw: bytes) -> bytes:
    listed, data = part
    if len(data) not in ((0, _HASH) if not listed else range(_HASH)):
        raise DecodingError("This is no node of a trie", raw)
    return data


def items(raw: bytes) -> list[tuple[bool, bytes]]:
    """The parts of an encoded list: whether each is a list, which stays encoded, or a text. Raises DecodingError."""
    found, end = [], len(raw)
    if not raw or raw[0] < 0xC0:
        raise DecodingError("This is no list", raw)
    position = 1 if raw[0] < 0xF8 else raw[0] - 0xF6
    while position < end:
        first = raw[position]
        if first < 0x80:
            start, size = position, 1
        else:
            start, size = position + 1, (first & 0x3F)
            if size > 55:
                start += size - 55
                size = int.from_bytes(raw[position + 1 : start], "big")
        listed = first >= 0xC0
        found.append((listed, raw[position if listed else start : start + size]))
        position = start + size
    if position != end:
        raise DecodingError("This is no list", raw)
    return found


# Lists


@lru_cache(maxsize=4)
def listed(values: tuple[bytes, ...]) -> tuple[bytes, Mapping[bytes, bytes]]:
    """The root of a list's trie and its nodes, encoded, by hash. The same list is asked for twice in a row."""
    trie = Trie(Nodes(lambda _: None, 0))
    made = trie.update({number(index): value for index, value in enumerate(values)})
    return trie.root, made


def values_of(read: Callable[[bytes], bytes | None], root: bytes) -> Iterator[bytes]:
    """The values of a list by its root. Raises MissingTrieNode."""
    trie = Trie(Nodes(read), root)
    for index in count():
        value = trie.get(number(index))
        if not value:
            return
        yield value


def value_at(read: Callable[[bytes], bytes | None], root: bytes, index: int) -> bytes:
    """A value of a list; empty when the list is shorter. Raises MissingTrieNode."""
    return Trie(Nodes(read), root).get(number(index))


def root_of(values: Sequence[bytes]) -> bytes:
    """The root of a list's trie."""
    return listed(tuple(values))[0]
