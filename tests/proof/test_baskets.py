"""One signature for the orders of a gate, and what is no place in what was signed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from order_cases import AGENTS, DOMAIN, SLOT, WALLETS, own

from commonwatt.errors import RecordError, SignatureError
from commonwatt.proof import Domain, Key, Tree, hash_struct, recover, sign, sign_basket, verify, verify_order
from commonwatt.proof.baskets import _signer
from commonwatt.records import Basket, Order, Signed, Within

AGENT = AGENTS[0].address
CURVE = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def basket(count: int, *, first: int = SLOT, key: Key = AGENTS[0]) -> tuple[Signed[Order], ...]:
    """Orders of consecutive slots, in one basket."""
    account = WALLETS[0].address
    orders = [Order(account, "", 0, 1000 + n, 200_000, first + 900 * n, first + 900 * n, 1) for n in range(count)]
    return sign_basket(DOMAIN, orders, key)


@given(st.integers(1, 100))
def test_every_order_of_a_basket_is_signed(count: int) -> None:
    orders = basket(count)
    tree = Tree.of([hash_struct(each.record) for each in orders])
    assert len({each.signature for each in orders}) == 1
    for place, each in enumerate(orders):
        assert verify_order(DOMAIN, each, AGENT) == each.hash == hash_struct(each.record)
        assert each.within == Within(SLOT, count, place, tree.proof(place))


def test_what_is_signed_is_the_record_of_them_all() -> None:
    orders = basket(5)
    signed = Basket(WALLETS[0].address, SLOT, 5, Tree.of([each.hash for each in orders]).root)
    assert recover(DOMAIN.digest(hash_struct(signed)), orders[3].signature) == AGENT
    # The root of one order is its leaf.
    (single,) = basket(1)
    assert single.within == Within(SLOT, 1, 0, ())
    assert verify_order(DOMAIN, single, AGENT) == single.hash


def test_a_signature_is_recovered_once_for_all_orders() -> None:
    orders = basket(96, first=SLOT + 1)
    before = _signer.cache_info().misses
    for each in orders:
        verify_order(DOMAIN, each, AGENT)
    assert _signer.cache_info().misses == before + 1


def test_an_order_in_words_is_signed_alone() -> None:
    words = own()
    assert verify_order(DOMAIN, words, WALLETS[0].address) == words.hash
    with pytest.raises(SignatureError, match="The Order is signed by"):
        verify_order(DOMAIN, words, AGENT)
    within = sign_basket(DOMAIN, [words.record], WALLETS[0])[0]
    with pytest.raises(SignatureError, match="The order is in words, and these are signed alone"):
        verify_order(DOMAIN, within, WALLETS[0].address)


def test_an_order_without_words_is_in_a_basket() -> None:
    alone = sign(DOMAIN, basket(1)[0].record, AGENTS[0])
    assert verify(DOMAIN, alone, AGENT) == alone.hash
    with pytest.raises(SignatureError, match="The order is without words, and in no basket"):
        verify_order(DOMAIN, alone, AGENT)


def moved(signed: Signed[Order], **changes: Any) -> Signed[Order]:
    assert signed.within is not None
    return replace(signed, within=replace(signed.within, **changes))


def otherwise(signed: Signed[Order], **changes: Any) -> Signed[Order]:
    return replace(signed, record=replace(signed.record, **changes))


def twin(signature: bytes) -> bytes:
    """The same signature with the high s."""
    s = CURVE - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


NO_PLACE, FOREIGN = "The basket has no such place for the order", "The Basket with the order is signed by"
WRONG: dict[str, tuple[Callable[[Signed[Order]], Signed[Order]], str]] = {
    "another energy": (lambda it: otherwise(it, wh=1), FOREIGN),
    "another member": (lambda it: otherwise(it, member=WALLETS[1].address), FOREIGN),
    "a later slot": (lambda it: otherwise(it, slot=it.record.slot + 900), FOREIGN),
    "a slot before the basket's first": (lambda it: otherwise(it, slot=SLOT - 900), NO_PLACE),
    "another place": (lambda it: moved(it, position=3), FOREIGN),
    "a place in the padding": (lambda it: moved(it, position=5), NO_PLACE),
    "a place beyond the tree": (lambda it: moved(it, position=8), NO_PLACE),
    "a place before the first": (lambda it: moved(it, position=-1), NO_PLACE),
    "a place that is none": (lambda it: moved(it, position=2.0), NO_PLACE),
    "a place that is true": (lambda it: moved(it, position=True), NO_PLACE),
    "more orders": (lambda it: moved(it, count=6), FOREIGN),
    "more orders than so few siblings hold": (lambda it: moved(it, count=9), NO_PLACE),
    "fewer orders than so many siblings need": (lambda it: moved(it, count=4), NO_PLACE),
    "more orders than can be counted": (
        lambda it: moved(it, count=2**32 + 1, siblings=(bytes(32),) * 33),
        "Basket.count",
    ),
    "no orders": (lambda it: moved(it, count=0, position=0, siblings=()), NO_PLACE),
    "an earlier beginning": (lambda it: moved(it, first=SLOT - 1), FOREIGN),
    "a later beginning": (lambda it: moved(it, first=SLOT + 9000), NO_PLACE),
    "a beginning before all time": (lambda it: moved(it, first=-1), "Basket.first"),
    "siblings that lead elsewhere": (lambda it: moved(it, siblings=(bytes(32),) * 3), FOREIGN),
    "one sibling too few": (lambda it: moved(it, siblings=siblings(it)[:-1]), NO_PLACE),
    "one sibling too many": (lambda it: moved(it, siblings=(*siblings(it), bytes(32))), NO_PLACE),
    "a sibling that is two": (lambda it: moved(it, siblings=(siblings(it)[0] * 2, *siblings(it)[1:])), "of 32 bytes"),
    "a node as its leaf": (lambda it: moved(it, count=2, position=1, siblings=siblings(it)[2:]), FOREIGN),
    "the signature of another basket": (lambda it: replace(it, signature=basket(3)[0].signature), FOREIGN),
    "a signature of the order": (
        lambda it: replace(it, signature=sign(DOMAIN, it.record, AGENTS[0]).signature),
        FOREIGN,
    ),
    "a high s": (lambda it: replace(it, signature=twin(it.signature)), "high s value"),
    "half a signature": (lambda it: replace(it, signature=it.signature[:32]), "A signature is 65 bytes"),
}


def siblings(signed: Signed[Order]) -> tuple[bytes, ...]:
    assert signed.within is not None
    return signed.within.siblings


@pytest.mark.parametrize("what", WRONG)
def test_what_was_not_signed_is_refused(what: str) -> None:
    change, reason = WRONG[what]
    orders = basket(5)
    with pytest.raises(RecordError, match=reason):
        verify_order(DOMAIN, change(orders[2]), AGENT)
    for each in orders:
        assert verify_order(DOMAIN, each, AGENT) == each.hash


def test_a_basket_counts_on_its_chain_and_of_its_agent() -> None:
    (order, *_) = basket(2)
    with pytest.raises(SignatureError, match=FOREIGN):
        verify_order(Domain(8, DOMAIN.contract), order, AGENT)
    with pytest.raises(SignatureError, match=FOREIGN):
        verify_order(DOMAIN, order, AGENTS[1].address)


def test_an_integer_that_a_wallet_cannot_show_is_not_signed() -> None:
    late = sign_basket(DOMAIN, [replace(basket(1)[0].record, expiry=2**53)], AGENTS[0])[0]
    with pytest.raises(RecordError, match="what is signed is at most"):
        verify_order(DOMAIN, late, AGENT)
