"""Direct trade, through the real contract on a real chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from ledger_cases import ETHER
from settlement_cases import ENROLMENTS, ETHER_TERMS, MEMBERS, OPERATORS, START, TOKEN_TERMS

from commonwatt.errors import Reverted
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.abi import contract
from commonwatt.ledger.client.offers import Offer, OffersClient, Sale, State
from commonwatt.ledger.client.quorum import mint
from commonwatt.ledger.client.settlement import LedgerClient, Terms
from commonwatt.proof import Key, sign
from commonwatt.records import Mint, Reading, Signed

SELLER, BUYER = MEMBERS[:2]
METER = Key.derive(b"tests", "meter of the seller")
SLOT, SLOT_END, PATIENCE = 9_000, 9_900, 86_400
MONEY = 10_000_000


def bazaar(terms: Terms = TOKEN_TERMS) -> OffersClient:
    """Seven members, the first of whom has a meter with a key; the second has money."""
    chain = EmbeddedChain(None, Genesis(2024, {key.address: ETHER for key in (*OPERATORS, *MEMBERS)}))
    members = [replace(ENROLMENTS[0], meter=METER.address), *ENROLMENTS[1:]]
    client = LedgerClient.deploy(
        chain, OPERATORS[0], operators=[OPERATORS[0].address], threshold=1, config=bytes(32), members=members,
        terms=terms, token=("Euro", "EUR") if terms == TOKEN_TERMS else None, at=START,
    )  # fmt: skip
    offers = OffersClient.deploy(client, PATIENCE, at=START + 1)
    if terms == TOKEN_TERMS:
        issue = Mint(BUYER.address, MONEY, 0)
        data = mint(client.token_domain, issue, [sign(client.token_domain, issue, OPERATORS[0]).signature])
        client.send(OPERATORS[0], client.addresses.token, data, "the mint", at=START + 2)
        offers.approve(BUYER, MONEY, at=START + 2)
    return offers


def counted(offers: OffersClient, wh: int, *, slot: int = SLOT) -> Signed[Reading]:
    return sign(offers.ledger.domain, Reading(METER.address, slot, 0, wh, 1), METER)


def tokens(offers: OffersClient, key: Key) -> int:
    balance = contract("CommunityToken").functions["balanceOf"].encode(key.address)
    return int.from_bytes(offers.ledger.node.call(offers.ledger.addresses.token, balance), "big")


def test_kang_s_three_purchases_match_as_in_the_paper() -> None:
    """Kang et al. (2018): the price is set to 100 for 4000 units; 99 does not match, 100 and 150 do, both at 100."""
    offers = bazaar()
    matched, refusals = [], []
    for nonce, limit in enumerate((99, 100, 150)):
        offer = Offer(0, SLOT, 4000, 100, nonce)
        offers.post(SELLER, offer, at=START + 3)
        before = tokens(offers, BUYER)
        try:
            offers.buy(BUYER, offer, limit, at=START + 3)
        except Reverted as error:
            refusals.append((error.name, *error.arguments))
        sold = offers.sale(offer).state == State.SOLD
        # The payment is the price times 4 kWh.
        assert before - tokens(offers, BUYER) == (400 if sold else 0)
        matched.append((offer.price, offer.wh) if sold else (0, 0))
    assert matched == [(0, 0), (100, 4000), (100, 4000)]
    assert refusals == [("PriceAboveLimit", 100, 99)]


@pytest.mark.parametrize("terms", [TOKEN_TERMS, ETHER_TERMS])
def test_energy_is_sold_delivered_in_part_and_paid(terms: Terms) -> None:
    offers = bazaar(terms)
    offer = Offer(0, SLOT, 3000, 200_000)
    gas = offers.post(SELLER, offer, at=START + 3).gas_used
    assert offers.posted() == [offer]
    assert offers.payment(offer) == 600_000 * terms.lane_unit
    gas += offers.buy(BUYER, offer, 200_000, at=START + 4).gas_used
    assert offers.sale(offer) == Sale(State.SOLD, 1, 0, seller_fetched=False, buyer_fetched=False)
    gas += offers.release(SELLER, offer, counted(offers, 2500), at=SLOT_END).gas_used
    assert gas <= 220_000
    assert offers.sale(offer) == Sale(State.CLOSED, 1, 2500, seller_fetched=False, buyer_fetched=False)
    before = offers.ledger.node.balance(SELLER.address)
    receipt = offers.fetch(SELLER, [offer], at=SLOT_END + 1)
    offers.fetch(BUYER, [offer], at=SLOT_END + 2)
    assert offers.sale(offer).seller_fetched
    assert offers.sale(offer).buyer_fetched
    if terms == TOKEN_TERMS:
        assert (tokens(offers, SELLER), tokens(offers, BUYER)) == (500_000, MONEY - 500_000)
    else:
        assert offers.ledger.node.balance(SELLER.address) == before + 500_000 * 10**12 - 7 * receipt.gas_used
        assert offers.ledger.node.balance(offers.address) == 0


def test_offers_are_cancelled_or_paid_back() -> None:
    offers = bazaar()
    offer, other = Offer(0, SLOT, 3000, 1000), Offer(0, SLOT, 3000, 1000, 1)
    offers.post(SELLER, offer, at=START + 3)
    offers.post(SELLER, other, at=START + 3)
    offers.cancel(SELLER, other, at=START + 4)
    assert offers.sale(other).state == State.NONE
    offers.buy(BUYER, offer, 1000, at=START + 4)
    late = SLOT_END + PATIENCE
    refused: list[tuple[str, Callable[[], object]]] = [
        ("NotForSale", lambda: offers.buy(BUYER, other, 1000, at=START + 5)),
        ("NotForSale", lambda: offers.buy(BUYER, offer, 1000, at=START + 6)),
        ("SlotNotOver", lambda: offers.release(SELLER, offer, counted(offers, 3000), at=SLOT_END - 1)),
        ("WrongSlot", lambda: offers.release(SELLER, offer, counted(offers, 3000, slot=SLOT - 900), at=SLOT_END)),
        ("NotYetRefundable", lambda: offers.refund(offer, at=late)),
        ("TooLate", lambda: offers.release(SELLER, offer, counted(offers, 3000), at=late + 1)),
    ]
    for name, act in refused:
        with pytest.raises(Reverted, match=name):
            act()
    offers.refund(offer, at=late + 2)
    offers.fetch(BUYER, [offer], at=late + 3)
    assert tokens(offers, BUYER) == MONEY
