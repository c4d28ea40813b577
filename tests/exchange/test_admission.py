"""What the exchange believes of orders: each is accepted with its place as it arrives, or refused with its reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from order_cases import (
    AGENTS,
    COMMUNITY,
    DOMAIN,
    FREE,
    GOOD,
    HOUR,
    MANDATES,
    NOW,
    SLOT,
    WALLETS,
    accept,
    forged,
    order,
    own,
)

from commonwatt.community.model import Owner
from commonwatt.errors import RecordError
from commonwatt.exchange import steps
from commonwatt.exchange.admission import admit, bound
from commonwatt.exchange.answers import receipts
from commonwatt.exchange.states import Accepted, Declared
from commonwatt.market import Frame, find
from commonwatt.market.stage import ActiveStage
from commonwatt.proof import Domain, Key, hash_struct, root_of, sign, sign_basket
from commonwatt.records import BUY, SELL, Order, Receipt, Signed
from commonwatt.units import MAX_ORDER_WH, IntArray


def admitted(*orders: Signed[Order], now: int = NOW) -> tuple[Declared, IntArray]:
    return admit(Accepted(SLOT), orders, MANDATES, DOMAIN, COMMUNITY, now, FREE)


def test_good_orders_are_admitted_and_bind_collateral() -> None:
    declared, free = admitted(*GOOD)
    assert declared.orders.member.tolist() == [1, 2]
    assert declared.orders.net.tolist() == [1000, -3000]
    assert declared.signed == tuple(GOOD)
    assert (FREE - free).tolist() == [0, 200_000, 0, 0]


def test_orders_have_their_places_by_arrival() -> None:
    both = [*GOOD, order(1, side=SELL, limit=90_000), order(0)]
    for arriving in (both, both[::-1]):
        declared, free = admitted(*arriving)
        assert declared.signed == tuple(arriving)
        assert declared.places == (0, 1, 2, 3)
        assert declared.orders.by_member.member.tolist() == [0, 1, 1, 2]
        assert declared.orders.by_member.side.tolist() == [BUY, BUY, SELL, SELL]
        assert (FREE - free).tolist() == [200_000, 200_000, 0, 0]


def test_a_gate_is_its_orders_one_by_one() -> None:
    accepted, free = Accepted(SLOT), FREE
    for number, arriving in enumerate(GOOD):
        accepted, free = accept(accepted, arriving, MANDATES, DOMAIN, COMMUNITY, NOW - 5, free)
        assert accepted.signed[number] == arriving
        assert (bound([accepted], 4) == FREE - free).all()
    later, left = admit(accepted, [order(0)], MANDATES, DOMAIN, COMMUNITY, NOW, free)
    at_once, rest = admitted(*GOOD, order(0))
    assert later.signed == at_once.signed
    assert (left == rest).all()


REFUSED = {
    "signed by a stranger": (order(key=Key.derive(b"stranger", "")), "is signed by"),
    "signed by another member's agent": (order(key=AGENTS[1]), "is signed by"),
    "signed for another chain": (order(domain=Domain(8, b"\x07" * 20)), "is signed by"),
    "with a signature of zeros": (replace(order(), signature=bytes(65)), "65 bytes r, s, v with v 27 or 28"),
    "with half a signature": (replace(order(), signature=order().signature[:32]), "A signature is 65 bytes"),
    "with more energy than was signed": (forged(order(), wh=1001), "is signed by"),
    "with another limit than was signed": (forged(order(), limit=200_001), "is signed by"),
    "of somebody who is no member": (forged(order(), member=b"\x99" * 20), "the member is not known here"),
    "above the mandate's energy": (order(wh=5001), "is for 5001 Wh, the mandate allows at most 5000 here"),
    "above the mandate's energy to sell": (order(side=SELL, wh=4001, limit=90_000), "at most 4000 here"),
    "above the mandate's price": (order(limit=300_001), "0.300001 EUR per kWh, is above what"),
    "below the mandate's price": (order(side=SELL, limit=79_999), "0.079999 EUR per kWh, is below what"),
    "asking a price that no market counts": (order(side=SELL, limit=2**53 - 1), "that can be counted, 1000000.00 EUR"),
    "for more than can be counted": (own(side=SELL, wh=MAX_ORDER_WH + 1), "the most that can be counted is 1000000000"),
    "overflowing": (order(wh=2**53), "what is signed is at most 9007199254740991"),
    "overflowing its field": (forged(order(), nonce=2**64), "cannot hold 18446744073709551616"),
    "cancelling nothing": (order(wh=0, limit=0), "there is no order for this slot and side to cancel"),
    "cancelling with a limit by the agent": (order(wh=0), "an order of 0 Wh cancels, and has the limit 0"),
    "with negative energy": (forged(order(), wh=-1), "cannot hold -1"),
    "of no side": (order(side=2), "another slot or side"),
    "for the next slot": (order(slot=SLOT + HOUR), "another slot or side"),
    "for the slot before": (order(slot=SLOT - HOUR), "another slot or side"),
    "that has expired": (order(expiry=NOW), "the order has expired"),
    "that costs more than the member has": (order(3, wh=1), "may cost 0.0002 EUR, but only 0.0001 EUR"),
    "in words by the agent": (own(key=AGENTS[0]), "The member itself signs an order in words"),
    "without words by the member": (order(key=WALLETS[0]), "The member itself signs an order in words"),
    "in words by another member": (own(key=WALLETS[1]), "is signed by"),
    "signed without a basket": (sign(DOMAIN, order().record, AGENTS[0]), "is without words, and in no basket"),
    "in words in a basket": (
        sign_basket(DOMAIN, [own().record], WALLETS[0])[0],
        "in words, and these are signed alone",
    ),
    "in words beyond the collateral": (own(3, wh=1), "may cost 0.0002 EUR, but only 0.0001 EUR"),
    "cancelling with a limit": (
        sign(DOMAIN, replace(own(wh=0, limit=0).record, limit=5), WALLETS[0]),
        "an order of 0 Wh cancels, and has the limit 0",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_order_is_refused_with_its_reason_and_harms_nobody(kind: str) -> None:
    bad, reason = REFUSED[kind]
    for place in (0, 1, 2):
        declared, free = admitted(*GOOD[:place], bad, *GOOD[place:])
        assert declared.signed == tuple(GOOD)
        assert (FREE - free).tolist() == [0, 200_000, 0, 0]
        ((member, told),) = declared.refused
        assert reason in told
        assert member in (-1, 0, 3)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (order(limit=300_001), "the order's limit, 3000.01 VND per kWh, is above what the mandate allows, 3000.00 VND"),
        (order(3, wh=1), "it may cost 2.00 VND, but only 1.00 VND of collateral is free"),
    ],
)
def test_a_reason_tells_the_communitys_money_whatever_it_is_counted_in(bad: Signed[Order], reason: str) -> None:
    community = replace(COMMUNITY, currency="VND", unit=10_000)
    declared, _ = admit(Accepted(SLOT), [bad], MANDATES, DOMAIN, community, NOW, FREE)
    assert [why for _, why in declared.refused] == [reason]


def test_a_mandate_that_is_over_or_not_begun_when_the_slot_begins_allows_nothing() -> None:
    for begin in (NOW - 11, NOW + 10**6):
        early = order(slot=begin, expiry=NOW + 10**7)
        declared, _ = admit(Accepted(begin), [early], MANDATES, DOMAIN, COMMUNITY, NOW, FREE)
        assert [reason for _, reason in declared.refused] == ["the mandate does not hold when the slot begins"]


# Replacing and cancelling


def test_a_later_order_replaces_an_earlier_one_which_stays_in_the_tree() -> None:
    first, second = order(1), order(1, nonce=2, wh=500, limit=300_000)
    declared, free = admitted(first, order(0), second)
    assert [signed.hash for signed in declared.signed] == [first.hash, order(0).hash, second.hash]
    assert declared.places == (1, 2)
    assert declared.orders.member.tolist() == [0, 1]
    assert declared.orders.wh.tolist() == [1000, 500]
    assert (FREE - free).tolist() == [200_000, 150_000, 0, 0]
    (cleared,) = steps.check(steps.clear([], frame(2), [declared]), None, np.zeros((2, 1), dtype=np.int64))
    committed = steps.commit(cleared)
    for place, signed in enumerate(declared.signed):
        assert root_of(signed.hash, place, committed.orders.proof(place)) == committed.orders.root


def test_a_trade_names_the_order_that_counts() -> None:
    selling = order(2, side=SELL, wh=3000, limit=90_000)
    second = order(1, nonce=2, wh=500)
    declared, _ = admitted(order(1), selling, second)
    stage = ActiveStage(0, find("fixed"), {"price": "0.2"})
    (cleared,) = steps.check(steps.clear([stage], frame(3), [declared]), None, np.zeros((3, 1), dtype=np.int64))
    (trade,) = steps.commit(cleared).records
    assert (trade.buy_order, trade.sell_order, trade.wh) == (second.hash, selling.hash, 500)


def test_no_energy_cancels_and_frees_the_collateral() -> None:
    for cancel in (order(1, nonce=2, wh=0, limit=0), own(1, nonce=2, wh=0, limit=0)):
        declared, free = admitted(*GOOD, cancel)
        assert declared.orders.member.tolist() == [2]
        assert len(declared.signed) == 3
        assert (free == FREE).all()
    # The other side stays, and after the cancellation comes another order.
    declared, _ = admitted(order(1), order(1, side=SELL, limit=90_000), cancel, order(1, nonce=3, wh=7))
    assert declared.orders.side.tolist() == [SELL, BUY]
    assert declared.orders.wh.tolist() == [1000, 7]


@pytest.mark.parametrize(
    ("again", "reason"),
    [
        (order(1), "its nonce 1 is not above 1, that of the order before it"),
        (order(1, wh=2000), "its nonce 1 is not above 1, that of the order before it"),
        (order(1, nonce=0), "its nonce 0 is not above 1, that of the order before it"),
        (own(1), "its nonce 1 is not above 1, that of the order before it"),
        (order(1, nonce=2, wh=5001), "the mandate allows at most 5000 here"),
        (order(1, nonce=2, limit=300_000, wh=3334), "may cost 1.0002 EUR, but only 1.00 EUR of collateral is free"),
    ],
)
def test_an_order_that_replaces_nothing_leaves_the_earlier_one(again: Signed[Order], reason: str) -> None:
    declared, free = admitted(*GOOD, again)
    assert declared.signed == tuple(GOOD)
    assert declared.orders.wh.tolist() == [1000, 3000]
    assert reason in declared.refused[0][1]
    assert free[1] == FREE[1] - 200_000


def test_nothing_is_cancelled_twice() -> None:
    cancel = [order(1, nonce=nonce, wh=0, limit=0) for nonce in (2, 3)]
    declared, free = admitted(*GOOD, *cancel)
    assert len(declared.signed) == 3
    assert [why for _, why in declared.refused] == [
        "it is for 0 Wh, and there is no order for this slot and side to cancel"
    ]
    assert (free == FREE).all()


def test_an_order_that_is_void_at_the_gate_does_not_bring_back_the_one_that_it_replaced() -> None:
    accepted, free = Accepted(SLOT), FREE
    for arriving in (order(1), order(1, nonce=2, expiry=NOW)):
        accepted, free = accept(accepted, arriving, MANDATES, DOMAIN, COMMUNITY, NOW - 5, free)
    declared, _ = admit(accepted, [], MANDATES, DOMAIN, COMMUNITY, NOW, free)
    assert len(declared.signed) == 2
    assert len(declared.orders.wh) == 0


def test_a_sale_is_taken_of_a_member_without_any_money() -> None:
    nothing = np.full(4, -500)
    declared, free = admit(Accepted(SLOT), GOOD[1:], MANDATES, DOMAIN, COMMUNITY, NOW, nothing)
    assert len(declared.signed) == 1
    assert (free == nothing).all()


def test_what_stands_in_the_tree_is_the_hash_of_what_was_signed() -> None:
    declared, _ = admitted(replace(GOOD[0], hash=bytes(32)))
    assert declared.signed[0].hash == hash_struct(GOOD[0].record)


def test_receipts_name_the_place_by_arrival() -> None:
    declared, _ = admitted(*GOOD[::-1], order(1, nonce=2))
    operators = [Key.derive(b"operator", str(number)) for number in range(2)]
    given = receipts(declared, DOMAIN, operators)
    assert [[one.record for one in each] for each in given] == [
        [Receipt(signed.hash, SLOT, place)] * 2 for place, signed in enumerate(declared.signed)
    ]


# The member's own wallet


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_members_own_order_needs_no_mandate(language: str) -> None:
    beyond = own(1, language=language, wh=6000, limit=100_000, side=SELL)
    after = own(2, language=language, slot=SLOT, expiry=2 * SLOT)
    over = {account: (member, replace(mandate, valid_until=NOW)) for account, (member, mandate) in MANDATES.items()}
    declared, _ = admit(Accepted(SLOT), [beyond, after], over, DOMAIN, COMMUNITY, NOW, FREE)
    assert declared.refused == ()
    assert declared.signed == (beyond, after)


@pytest.mark.parametrize(
    "text",
    ["Buy.", "words", " ", own(wh=1001).record.text, own(nonce=2).record.text, own(language="de").record.text[:-1]],
)
def test_words_that_do_not_say_the_numbers_are_refused(text: str) -> None:
    english, german = own().record.text, own(language="de").record.text
    for wrong in (text, f"{english} ", f"{english} {german}", english.split(".")[0] + "." + german.split(".", 1)[1]):
        misled = sign(DOMAIN, replace(order().record, text=wrong), WALLETS[0])
        declared, _ = admitted(misled, *GOOD)
        assert declared.signed == tuple(GOOD)
        assert declared.refused == ((0, "The words of the order do not say what its numbers say."),)


# In any order


@given(st.permutations(range(6)), st.lists(st.integers(1, 3), min_size=6, max_size=6))
def test_the_highest_nonce_counts_in_whatever_order_they_come(order_of: list[int], energies: list[int]) -> None:
    wishes = [order(n % 2, nonce=1 + n // 2, wh=100 * wh) for n, wh in enumerate(energies)]
    arriving = [wishes[n] for n in order_of]
    declared, free = admitted(*arriving)
    assert len(declared.signed) + len(declared.refused) == 6
    for member in (0, 1):
        mine = [signed.record for signed in declared.signed if signed.record.member == WALLETS[member].address]
        assert [each.nonce for each in mine] == sorted({each.nonce for each in mine})
        assert mine[-1].nonce == 3
        place = declared.orders.member.tolist().index(member)
        assert declared.orders.wh[place] == mine[-1].wh == 100 * energies[4 + member]
        assert FREE[member] - free[member] == mine[-1].wh * 200


def frame(members: int) -> Frame:
    """One hour at SLOT."""
    return Frame(np.array([SLOT]), np.array([0]), 1.0, members, np.array([300_000]), np.array([80_000]))


def test_an_order_book_sees_the_orders_that_count_as_they_arrived() -> None:
    # Two sellers at one price: the one who came first sells. Member 2 comes first, replaces its order, and is behind.
    sell = {member: order(member, side=SELL, wh=1000, limit=90_000) for member in (0, 2)}
    buy = order(1, wh=1000, limit=90_000)
    book, later = ActiveStage(0, find("continuous"), {}), order(2, side=SELL, wh=1000, limit=90_000, nonce=2)
    for arriving, sells in (((sell[2], sell[0], buy), 2), ((sell[2], sell[0], later, buy), 0)):
        declared, _ = admitted(*arriving)
        (cleared,) = steps.clear([book], frame(3), [declared])
        assert cleared.trades.seller.tolist() == [sells]


def test_to_other_designs_it_is_one_who_came_first() -> None:
    arriving = [order(0), order(1), order(2, side=SELL, wh=1001, limit=90_000)]
    stage = ActiveStage(0, find("fixed"), {"price": "0.2"})
    found = []
    for coming in (arriving, arriving[::-1]):
        (cleared,) = steps.clear([stage], frame(3), [admitted(*coming)[0]])
        trades = cleared.trades
        found.append((trades.buyer.tolist(), trades.seller.tolist(), trades.wh.tolist()))
    assert found[0] == found[1]


def test_a_plant_of_several_owners_orders_nothing() -> None:
    plant = replace(COMMUNITY.members[2], owners=(Owner(0, 1),))
    community = replace(COMMUNITY, members=(*COMMUNITY.members[:2], plant, COMMUNITY.members[3]))
    for wish in (order(2, side=SELL, limit=90_000), own(2), order(2)):
        with pytest.raises(RecordError, match="sells what its meter has counted, and orders nothing"):
            accept(Accepted(SLOT), wish, MANDATES, DOMAIN, community, NOW, FREE)


def test_a_refused_order_changes_nothing() -> None:
    accepted, free = accept(Accepted(SLOT), GOOD[0], MANDATES, DOMAIN, COMMUNITY, NOW, FREE)
    for bad, _ in REFUSED.values():
        with pytest.raises(RecordError):
            accept(accepted, bad, MANDATES, DOMAIN, COMMUNITY, NOW, free)
    assert accepted.signed == (GOOD[0],)
    assert (FREE - free).tolist() == [0, 200_000, 0, 0]
