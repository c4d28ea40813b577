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
    return tuple(
        Signed(order, struct_hash, signature, Within(first, count, position, tree.proof(position)))
        for position, (order, struct_hash) in enumerate(zip(orders, hashes, strict=True))
    )


def verify_order(domain: Domain, signed: Signed[Order], signer: bytes) -> bytes:
    """Check that `signer` [address] signed the order in words, or else the basket in which it stands.

    Returns the order's struct hash, 32 bytes, computed anew from its values. Raises SignatureError, or RecordError when
    a value does not fit its type, or is an integer that a wallet could not have shown exactly.
    """
    order, within = signed.record, signed.within
    struct_hash = hash_struct(order)
    if order.text:
        if within is not None:
            raise SignatureError("The order is in words, and these are signed alone.")
        return verify(domain, signed, signer)
    require_exact(order)
    if within is None:
        raise SignatureError("The order is without words, and in no basket.")
    if not _has_place(within) or order.slot < within.first:
        raise SignatureError("The basket has no such place for the order.")
    basket = Basket(order.member, within.first, within.count, _root(struct_hash, within))
    found = _signer(domain, basket, signed.signature)
    if found != signer:
        told = checksum_address(found), checksum_address(signer)
        raise SignatureError(f"The Basket with the order is signed by {told[0]}, not by {told[1]}.")
    return struct_hash


def _has_place(within: Within) -> bool:
    """Whether a tree of so many orders has such a place, and needs so many siblings."""
    count, position, siblings = within.count, within.position, within.siblings
    whole = type(within.first) is type(count) is type(position) is int and 0 <= position < count
    hashes = all(type(each) is bytes and len(each) == 32 for each in siblings)
    return whole and hashes and len(siblings) == (count - 1).bit_length()


def _root(struct_hash: bytes, within: Within) -> bytes:
    node, place = leaf(struct_hash), within.position
    for sibling in within.siblings:
        node = _parent(sibling, node) if place & 1 else _parent(node, sibling)
        place >>= 1
    return node


@lru_cache(_KEPT)
def _parent(left: bytes, right: bytes) -> bytes:
    """Orders side by side have most of their way in common."""
    return keccak(left + right)


@lru_cache(_KEPT)
def _signer(domain: Domain, basket: Basket, signature: bytes) -> bytes:
    """Who signed the basket [address], found once for all orders in it."""
    require_exact(basket)
    return recover(domain.digest(hash_struct(basket)), signature)
