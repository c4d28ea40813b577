"""One signature for all orders that an agent gives at a gate: that of a `Basket` over the tree of them.

An order in words is signed for itself, by the member whose wallet shows them. Any other stands in a basket, be it the
only one there: it carries the basket's signature, its position and the siblings to the basket's root, so that it is
proved without the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from commonwatt.errors import SignatureError
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import Key, checksum_address, recover
from commonwatt.proof.merkle import Tree, leaf
from commonwatt.proof.typed import Domain, hash_struct, verify
from commonwatt.records import Basket, Order, Signed, Within
from commonwatt.records.schema import require_exact

_KEPT: Final = 1 << 14
"""Baskets, and nodes of them, that are remembered: of all members of a large community at one gate."""


def sign_basket(domain: Domain, orders: Sequence[Order], agent: Key) -> tuple[Signed[Order], ...]:
    """The orders of one member, at least one and without words, all in one basket that its agent signs."""
    hashes = [hash_struct(order) for order in orders]
    tree, first, count = Tree.of(hashes), min(order.slot for order in orders), len(orders)
    basket = Basket(orders[0].member, first, count, tree.root)
    signature = agent.sign_digest(domain.digest(hash_struct(basket)))
    ways = enumerate(tree.proofs())
    return tuple(
        Signed(order, struct_hash, signature, Within(first, count, position, way))
        for order, struct_hash, (position, way) in zip(orders, hashes, ways, strict=True)
    )


def verify_order(domain: Domain, signed: Signed[Order], signer: bytes) -> bytes:
    """Check that `signer` [address] signed the order in words, or else the basket in which it stands.

    Returns the order's struct hash, 32 bytes, computed anew from its values. Raises SignatureError, or RecordError when
    a value does not fit its type, or is an integer that a wallet could not have shown exactly.
    """
    order, within = signed.record, signed.within
    if order.text:
        if within is not None:
            raise SignatureError("The order is in words, and these are signed alone.")
        return verify(domain, signed, signer)
    if within is None:
        raise SignatureError("The order is without words, and in no basket.")
    struct_hash = hash_struct(order)
    require_exact(order)
    if not _has_place(within) or order.slot < within.first:
        raise SignatureError("The basket has no such place for the order.")
    root = _root(leaf(struct_hash), within.position, within.siblings)
    found = _signer(domain, order.member, within.first, within.count, root, signed.signature)
    if found != signer:
        told = checksum_address(found), checksum_address(signer)
        raise SignatureError(f"The Basket with the order is signed by {told[0]}, not by {told[1]}.")
    return struct_hash


def _has_place(within: Within) -> bool:
    """Whether a tree of so many orders has such a place, and needs so many siblings."""
    first, count, position = within.first, within.count, within.position
    whole = type(first) is type(count) is type(position) is int
    return whole and 0 <= position < count and len(within.siblings) == (count - 1).bit_length()


def _root(node: bytes, place: int, siblings: Sequence[bytes]) -> bytes:
    for sibling in siblings:
        node = _parent(sibling, node) if place & 1 else _parent(node, sibling)
        place >>= 1
    return node


@lru_cache(_KEPT)
def _parent(left: bytes, right: bytes) -> bytes:
    """Remembered, since orders side by side have most of their way in common."""
    if len(left) != 32 or len(right) != 32:
        raise SignatureError("A basket's siblings are hashes of 32 bytes.")
    return keccak(left + right)


@lru_cache(_KEPT)
def _signer(domain: Domain, member: bytes, first: int, count: int, root: bytes, signature: bytes) -> bytes:
    """Who signed the basket [address]: found once for all orders in it."""
    basket = Basket(member, first, count, root)
    struct_hash = hash_struct(basket)
    require_exact(basket)
    return recover(domain.digest(struct_hash), signature)
