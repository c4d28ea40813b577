"""An exchange that cheats with trades, orders and mandates, before the gate or after delivery."""

from __future__ import annotations

import pytest
from cheated_day import FLAT, NOTHING, ROOF, SHOP, SUN, Cheat, believed, line_of, proof_of, refused
from dishonest import DAY_AHEAD, REAL_TIME, Bill

from commonwatt.accounts.document import hashes_text
from commonwatt.accounts.orders import order_json
from commonwatt.exchange import tables
from commonwatt.exchange.proofs import SlotProof
from commonwatt.exchange.rows import order_of_row
from commonwatt.proof import Key
from commonwatt.records import BUY, SELL, ZERO_HASH


def test_a_day_ahead_trade_dearer_than_it_was_committed(cheat: Cheat, noon: int) -> None:
    exchange = cheat()
    honest = SlotProof.stored(exchange.store, noon, exchange.exchange.mandates).committed
    trade = exchange.trade(slot=noon, stage=DAY_AHEAD)
    exchange.change_trade(trade, price=trade.price + 20_000)
    exchange.restate(noon)
    exchange.tell()
    bills = exchange.bills()
    for member in (trade.buyer, trade.seller):
        bill = bills[member]
        refused(exchange, bill, "these are not the orders and trades that were committed before delivery")
        # With the nodes that led to what was committed.
        proof = proof_of(bill, noon)
        numbers = [line["number"] for line in line_of(bill["content"], noon)["trades"] if line["order"] is not None]
        proof["committed"] = {"depth": honest.depth, "beside": hashes_text(honest.beside(numbers))}
        refused(exchange, bill, "these are not the orders and trades that were committed before delivery")
        # As if it came from the pool.
        proof["committed"] = None
        refused(exchange, bill, "a trade by order was not committed before delivery")


def test_an_order_used_for_a_trade_after_delivery(cheat: Cheat, pooled: int) -> None:
    """Nothing was committed, but shop's order lay there: the pool's trade is put under it."""
    exchange = cheat()
    trade = exchange.trade(slot=pooled, buyer=SHOP)
    assert trade.number == 1
    assert trade.stage == REAL_TIME
    exchange.change_trade(trade, buy_order=exchange.order(pooled, SHOP, BUY).hash)
    exchange.restate(pooled)
    exchange.tell()
    bill = exchange.bills()[SHOP]
    refused(exchange, bill, "a trade by order was not committed before delivery")
    # The root of no trades is zero, and so is what a place outside the tree leads to.
    proof = proof_of(bill, pooled)
    proof["committed"] = {"depth": 0, "beside": "0x"}
    refused(exchange, bill, "the trades do not lead to what was committed: no tree has these places")
    proof["committed"] = {"depth": 1, "beside": "0x"}
    refused(exchange, bill, "the trades do not lead to what was committed: there are too few nodes")
    proof["committed"] = {"depth": 1, "beside": NOTHING}
    refused(exchange, bill, "these are not the orders and trades that were committed before delivery")


def test_a_pool_trade_without_order_or_mandate(cheat: Cheat, pooled: int) -> None:
    exchange = cheat()
    trade = exchange.trade(slot=pooled, buyer=SHOP)
    exchange.change_trade(trade, buy_order=ZERO_HASH)
    exchange.restate(pooled)
    exchange.tell()
    bills = exchange.bills()
    refused(exchange, bills[SHOP], "line 0 rests on no order or mandate of the member")
    believed(exchange, bills, SUN, FLAT)


def test_a_price_beyond_the_mandate(cheat: Cheat, pooled: int) -> None:
    """The seller gets more, and does not mind."""
    exchange = cheat()
    trade = exchange.trade(slot=pooled, buyer=SHOP)
    exchange.change_trade(trade, price=exchange.exchange.mandates[SHOP].record.max_buy + 1)
    exchange.restate(pooled)
    exchange.tell()
    bills = exchange.bills()
    refused(exchange, bills[SHOP], "a price of 321896 under a mandate with the limit 321895")
    believed(exchange, bills, SUN, FLAT)


def test_a_price_beyond_an_order_and_more_energy_than_another(cheat: Cheat, noon: int) -> None:
    """Both are committed before delivery."""
    exchange = cheat(before_the_gate=True)
    dear, large = (exchange.trade(slot=noon, stage=DAY_AHEAD, buyer=buyer) for buyer in (FLAT, SHOP))
    exchange.change_trade(dear, price=exchange.order(noon, FLAT, BUY).limit + 1)
    most = exchange.order(noon, SHOP, BUY).wh
    exchange.change_trade(large, wh=most + 1, settled=most + 1)
    exchange.recommit(noon)
    exchange.restate(noon)
    exchange.tell()
    bills = exchange.bills()
    refused(exchange, bills[FLAT], "a price of 321896 under an order with the limit 321895")
    believed(exchange, bills, dear.seller)
    refused(exchange, bills[SHOP], "Wh under a consent for [0-9]+ Wh")
    refused(exchange, bills[large.seller], "Wh under a consent for [0-9]+ Wh")


def test_an_agent_s_order_beyond_the_mandate(cheat: Cheat, noon: int) -> None:
    """The agent signs whatever the exchange likes; the member signed the mandate."""
    exchange = cheat(before_the_gate=True)
    trade = exchange.trade(slot=noon, stage=DAY_AHEAD)
    most = exchange.exchange.mandates[trade.buyer].record.max_buy
    agent = exchange.keys.agents[trade.buyer]
    order = exchange.change_order(exchange.order(noon, trade.buyer, BUY), agent, limit=most + 1000)
    exchange.change_trade(trade, price=most + 1000, buy_order=order)
    exchange.recommit(noon)
    exchange.restate(noon)
    exchange.tell()
    bills = exchange.bills()
    refused(exchange, bills[trade.buyer], "a price under an order beyond the mandate")
    believed(exchange, bills, trade.seller)


@pytest.mark.parametrize("extra", [1, 40_000])
def test_energy_that_the_member_never_used(cheat: Cheat, pooled: int, extra: int) -> None:
    """Within the mandate, but more than the meter counted: the rest would be fed in again for less."""
    exchange = cheat()
    trade = exchange.trade(slot=pooled, buyer=SHOP)
    (net,) = (row.net for row in exchange.store.rows(tables.accounts, slot=pooled, member=SHOP))
    exchange.change_trade(trade, wh=net + extra, settled=net + extra)
    exchange.restate(pooled)
    exchange.tell()
    bills = exchange.bills()
    assert line_of(bills[SHOP]["content"], pooled)["grid"]["wh"] == -extra
    refused(exchange, bills[SHOP], f"{net + extra} Wh of local energy, and the meter counted {net} Wh")


def test_an_order_signed_by_somebody_else(cheat: Cheat, noon: int) -> None:
    exchange = cheat(before_the_gate=True)
    signers = {FLAT: Key.derive(b"stranger", ""), SHOP: exchange.keys.agents[FLAT]}
    for member, key in signers.items():
        order = exchange.order(noon, member, BUY)
        assert exchange.change_order(order, key) == order.hash
    exchange.tell()
    bills = exchange.bills()
    for member in signers:
        refused(exchange, bills[member], "The Basket with the order is signed by")
    believed(exchange, bills, ROOF, SUN)


def test_an_order_that_is_not_for_this_trade(cheat: Cheat, noon: int) -> None:
    exchange = cheat(before_the_gate=True)
    flat, shop = (exchange.trade(slot=noon, stage=DAY_AHEAD, buyer=buyer) for buyer in (FLAT, SHOP))
    assert (flat.seller, shop.seller) == (ROOF, SUN)
    of_flat = exchange.store.rows(tables.orders, member=FLAT, side=BUY)
    of_another_slot = next(order for order in of_flat if order.slot != noon)
    exchange.change_trade(flat, buy_order=of_another_slot.hash, sell_order=ZERO_HASH)
    exchange.change_trade(shop, buy_order=shop.sell_order, sell_order=ZERO_HASH)
    exchange.recommit(noon)
    exchange.restate(noon)
    exchange.tell()
    shown = {FLAT: of_another_slot, ROOF: exchange.order(noon, ROOF, SELL)}

    def show(contents: list[Bill]) -> None:
        """Flat's order that the trade names, and roof's right one, which it does not name."""
        for member, row in shown.items():
            slot = line_of(contents[member], noon)
            (line,) = (line for line in slot["trades"] if line["number"] == flat.number)
            line["order"] = len(slot["orders"])
            slot["orders"].append(order_json(order_of_row(row)))

    bills = exchange.bills(show)
    refused(exchange, bills[FLAT], "a trade under an order for another slot or side")
    refused(exchange, bills[SHOP], "The Basket with the order is signed by")  # sun's agent
    refused(exchange, bills[ROOF], "line [0-9] rests on no order or mandate of the member")
    refused(exchange, bills[SUN], "line [0-9] rests on no order or mandate of the member")


def test_an_order_to_sell_under_which_is_bought(cheat: Cheat, noon: int) -> None:
    exchange = cheat(before_the_gate=True)
    trade = exchange.trade(slot=noon, stage=DAY_AHEAD, buyer=FLAT)
    agent = exchange.keys.agents[FLAT]
    consent = exchange.change_order(exchange.order(noon, FLAT, BUY), agent, side=SELL, limit=trade.price)
    exchange.change_trade(trade, buy_order=consent)
    exchange.recommit(noon)
    exchange.restate(noon)
    exchange.tell()
    bills = exchange.bills()
    refused(exchange, bills[FLAT], "a trade under an order for another slot or side")
    believed(exchange, bills, trade.seller)
