"""What the exchange believes of baskets: each order for itself, and no bad one spoils the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from order_cases import AGENTS, COMMUNITY, DOMAIN, FREE, HOUR, MANDATES, NOW, SLOT, accept, forged, order

from commonwatt.exchange.admission import admit
from commonwatt.exchange.states import Accepted, Declared
from commonwatt.proof import sign_basket
from commonwatt.records import SELL, Order, Signed


def admitted(*orders: Signed[Order]) -> Declared:
    return admit(Accepted(SLOT), orders, MANDATES, DOMAIN, COMMUNITY, NOW, FREE)[0]


def basket(*orders: Signed[Order], member: int = 0) -> tuple[Signed[Order], ...]:
    """The same orders in one basket of the member's agent."""
    return sign_basket(DOMAIN, [each.record for each in orders], AGENTS[member])


def lie(signed: Signed[Order], **changes: Any) -> Signed[Order]:
    assert signed.within is not None
    return replace(signed, within=replace(signed.within, **changes))


BUYS, SELLS = order(wh=100), order(side=SELL, wh=200, limit=90_000)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (lambda it: forged(it, wh=101), "The Basket with the order is signed by"),
        (lambda it: replace(it, signature=basket(BUYS)[0].signature), "The Basket with the order is signed by"),
        (lambda it: lie(it, siblings=(bytes(32),) * 2), "The Basket with the order is signed by"),
        (lambda it: lie(it, position=3), "no such place for the order"),
        (lambda it: lie(it, siblings=()), "no such place for the order"),
        (lambda it: lie(it, count=2**31), "no such place for the order"),
    ],
)
def test_a_forged_order_spoils_no_other_of_its_basket(
    bad: Callable[[Signed[Order]], Signed[Order]], reason: str
) -> None:
    for place in range(3):
        orders = [*basket(BUYS, SELLS, order(nonce=2, wh=300))]
        expected = [each for number, each in enumerate(orders) if number != place]
        orders[place] = bad(orders[place])
        declared = admitted(*orders)
        assert declared.signed == tuple(expected)
        ((member, told),) = declared.refused
        assert member == 0
        assert reason in told


def test_a_refused_order_of_a_basket_leaves_the_others() -> None:
    """For reasons of its own: of another slot, beyond the mandate, beyond the collateral, stale, a second time."""
    wrong = [order(slot=SLOT + HOUR), order(wh=5001), order(wh=5000, limit=250_001), order(nonce=0)]
    good = basket(BUYS, *wrong, SELLS)
    declared = admitted(*good, good[0])
    assert declared.signed == (good[0], good[-1])
    assert len(declared.refused) == len(wrong) + 1
    assert "its nonce 1 is not above 1" in declared.refused[-1][1]


def test_orders_that_are_missing_from_a_basket_are_missed_by_nobody() -> None:
    whole = basket(BUYS, SELLS, order(nonce=2, wh=300))
    for place in range(3):
        declared = admitted(whole[place])
        assert declared.signed == (whole[place],)


def test_another_member_s_order_is_not_in_the_basket_whoever_put_it_there() -> None:
    """Its own agent signed nothing of it."""
    mixed = basket(BUYS, order(1, side=SELL, wh=200, limit=90_000), SELLS)
    declared = admitted(*mixed)
    assert declared.signed == (mixed[0], mixed[2])
    ((member, told),) = declared.refused
    assert member == 1
    assert "The Basket with the order is signed by" in told


def test_an_order_of_an_earlier_basket_does_not_come_back() -> None:
    """Neither in that basket nor in a later one, once another order replaced or cancelled it."""
    first = basket(BUYS, SELLS)
    (cancel,) = basket(order(nonce=2, wh=0, limit=0))
    for again in (first[0], *basket(BUYS), basket(BUYS, SELLS)[0]):
        declared = admitted(*first, cancel, again)
        assert declared.signed == (*first, cancel)
        assert [why for _, why in declared.refused] == ["its nonce 1 is not above 2, that of the order before it"]


def test_a_later_order_is_a_basket_of_one_and_replaces_the_first() -> None:
    first, (later,) = basket(BUYS, SELLS), basket(order(nonce=2, wh=300))
    accepted, free = Accepted(SLOT), FREE
    for arriving in (*first, later):
        accepted, free = accept(accepted, arriving, MANDATES, DOMAIN, COMMUNITY, NOW - 5, free)
    assert accepted.signed == (*first, later)
    declared, _ = admit(accepted, [], MANDATES, DOMAIN, COMMUNITY, NOW, free)
    assert declared.orders.wh.tolist() == [200, 300]
