"""Bills whose content somebody has changed, and a dishonest operator has anchored."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from commonwatt.accounts.document import grid_amount
from commonwatt.units import payment, rounded

Bill = dict[str, Any]
NOT_POSTED = "the statement does not lead to the posted ones"
Change = Callable[[Bill], None]


def busy_slot(bill: Bill) -> Any:
    """A slot in which the member had several trades and bought or sold in more than one."""
    return next(
        line
        for line in bill["content"]["slots"]
        if len(line["trades"]) > 1 and all(trade["settledWh"] > 0 for trade in line["trades"][:2])
    )


def ahead_slot(bill: Bill) -> Any:
    """A slot whose first trade was made the day ahead, beside others, and delivered."""
    return next(
        line
        for line in bill["content"]["slots"]
        if line["trades"]
        and line["trades"][0]["order"] is not None
        and line["trades"][0]["settledWh"] > 0
        and bill["proofs"][str(line["slot"])]["committed"]
    )


def _total(bill: Bill) -> None:
    bill["content"]["total"] -= 1


def _charge(bill: Bill) -> None:
    bill["content"]["charges"][0]["amount"] += 1


def _grid_price(bill: Bill) -> None:
    """Of a slot with a purchase: where nothing is bought, no amount rests on it."""
    line = next(line for line in bill["content"]["slots"] if line["grid"]["wh"] > 0)
    line["prices"]["retail"] += 1000


def _grid_energy(bill: Bill) -> None:
    line = busy_slot(bill)
    wh = line["grid"]["wh"] + 1
    line["grid"] = {"wh": wh, "amount": grid_amount(wh, line["prices"]["retail"], line["prices"]["feedIn"])}


def _negative_retail(bill: Bill) -> None:
    for line in bill["content"]["slots"]:
        line["prices"]["retail"] = -line["prices"]["retail"]
    added_up(bill)


def _negative_feed_in(bill: Bill) -> None:
    """The member would pay for what it feeds in."""
    for line in bill["content"]["slots"]:
        line["prices"]["feedIn"] = -100_000
    added_up(bill)


def _negative_levy(bill: Bill) -> None:
    bill["content"]["tariff"]["levies"][0]["price"] = -10_000
    added_up(bill)


def _negative_network_fee(bill: Bill) -> None:
    bill["content"]["tariff"]["networkFee"] = -10_000
    added_up(bill)


def _price_with_a_point(bill: Bill) -> None:
    bill["content"]["tariff"]["networkFee"] = 20_000.0
    added_up(bill)


def _price_beyond_all(bill: Bill) -> None:
    bill["content"]["tariff"]["networkFee"] = 10**12 + 1
    added_up(bill)


def _below_all(name: str) -> Change:
    def change(bill: Bill) -> None:
        for line in bill["content"]["slots"]:
            line["prices"][name] = -(10**12) - 1
        added_up(bill)

    return change


def _levy_switch(switch: object) -> Change:
    def change(bill: Bill) -> None:
        bill["content"]["tariff"]["levies"][0]["grid"] = switch
        added_up(bill)

    return change


def _vat(rate: str) -> Change:
    """Another amount only for a member that bought something."""

    def change(bill: Bill) -> None:
        bill["content"]["tariff"]["vat"]["rate"] = rate

    return change


def _another_levy(bill: Bill) -> None:
    """It is in the tariff and in the charges, but they are not added up anew."""
    bill["content"]["tariff"]["levies"].append({"name": "solidarity", "price": 10_000, "grid": True, "local": True})


def without_market(bill: Bill) -> None:
    bill["content"]["withoutMarket"] += 999_000_000


def added_up(bill: Bill) -> None:
    """Charges and totals as the bill's own prices and switches say, so that nothing but these is wrong."""
    content = bill["content"]
    tariff, slots = content["tariff"], content["slots"]
    grid = np.array([line["grid"]["wh"] for line in slots])
    prices = [line["prices"] for line in slots]
    amounts = [grid_amount(wh, p["retail"], p["feedIn"]) for wh, p in zip(grid.tolist(), prices, strict=True)]
    for line, amount in zip(slots, amounts, strict=True):
        line["grid"]["amount"] = amount
    taken = [max(0, line["reading"]["whIn"] - line["reading"]["whOut"] - line["grid"]["wh"]) for line in slots]
    alone = [line["reading"]["whIn"] - line["reading"]["whOut"] for line in slots]

    def charged(whs: list[int], bought: int, paid: list[int]) -> list[int]:
        imported = sum(max(wh, 0) for wh in whs)
        fees = [bought * tariff["networkFee"] // 1000]
        fees += [
            (imported * levy["grid"] + bought * levy["local"]) * levy["price"] // 1000 for levy in tariff["levies"]
        ]
        energy, fed = (sum(p for wh, p in zip(whs, paid, strict=True) if sign * wh > 0) for sign in (1, -1))
        vat = rounded(Fraction(tariff["vat"]["rate"]) * Fraction(energy + sum(fees)))
        return [energy, fed, *fees, vat]

    energy, feed_in, *rest = charged(grid.tolist(), sum(taken), amounts)
    lines = content["charges"]
    for line, amount in zip(lines, [energy, feed_in, lines[2]["amount"], *rest], strict=True):
        line["amount"] = amount
    content["total"] = sum(line["amount"] for line in lines)
    paid = [grid_amount(wh, p["retail"], p["feedIn"]) for wh, p in zip(alone, prices, strict=True)]
    content["withoutMarket"] = sum(charged(alone, 0, paid))


def _reading(bill: Bill) -> None:
    reading = busy_slot(bill)["reading"]
    reading["whIn"] += 1


def _other_reading(bill: Bill) -> None:
    first, second = bill["content"]["slots"][:2]
    first["reading"] = second["reading"]


def _no_trade(bill: Bill) -> None:
    busy_slot(bill)["trades"].pop()


def _other_trade(bill: Bill) -> None:
    busy = [line for line in bill["content"]["slots"] if line["trades"]]
    busy[1]["trades"][0] = busy[0]["trades"][0] | {"order": busy[1]["trades"][0]["order"]}


def _settled(bill: Bill) -> None:
    trade = busy_slot(bill)["trades"][0]
    trade["settledWh"] -= 1
    trade["payment"] = payment(trade["settledWh"], trade["price"])


def _too_much(bill: Bill) -> None:
    trade = busy_slot(bill)["trades"][0]
    trade["settledWh"] = trade["wh"] + 1
    trade["payment"] = payment(trade["settledWh"], trade["price"])


def _payment(bill: Bill) -> None:
    busy_slot(bill)["trades"][0]["payment"] += 1


def _price(bill: Bill) -> None:
    trade = busy_slot(bill)["trades"][0]
    trade["price"] += 5000
    trade["payment"] = payment(trade["settledWh"], trade["price"])


def _order_of_trades(bill: Bill) -> None:
    busy_slot(bill)["trades"].reverse()


def _slots(bill: Bill) -> None:
    slots = bill["content"]["slots"]
    slots[3], slots[4] = slots[4], slots[3]


def _slot_twice(bill: Bill) -> None:
    slots = bill["content"]["slots"]
    slots[3] = slots[4]


def _slot_left_out(bill: Bill) -> None:
    del bill["content"]["slots"][3]


def _another_member(bill: Bill) -> None:
    bill["content"]["member"]["account"] = "0x" + "12" * 20


def _another_index(bill: Bill) -> None:
    bill["content"]["member"]["index"] = 2


def _another_chain(bill: Bill) -> None:
    bill["content"]["ledger"]["chainId"] += 1


def _no_mandate(bill: Bill) -> None:
    bill["content"]["mandate"] = None


def _mandate_of_another(bill: Bill) -> None:
    bill["content"]["mandate"]["member"] = "0x" + "12" * 20


def _wider_mandate(bill: Bill) -> None:
    bill["content"]["mandate"]["maxBuy"] += 1


def _mandate_signed_by_nobody(bill: Bill) -> None:
    bill["content"]["mandate"]["signature"] = "0x" + "00" * 65


def _older_period(bill: Bill) -> None:
    """A slot more, of the day before: nobody had a mandate then."""
    bill["content"]["period"]["from"] -= 86_400


def _said(*path: str, said: object) -> Change:
    def change(bill: Bill) -> None:
        holder = bill["content"]
        for name in path[:-1]:
            holder = holder[name]
        holder[path[-1]] = said

    return change


def _dearer(side: str) -> Change:
    def change(bill: Bill) -> None:
        for line in bill["content"]["slots"]:
            line["prices"][side] += 1000

    return change


def _unused_price(bill: Bill) -> None:
    """No amount rests on it, with the market or without: the member fed in what it metered."""
    line = next(
        line
        for line in bill["content"]["slots"]
        if line["grid"]["wh"] < 0 and line["reading"]["whIn"] < line["reading"]["whOut"]
    )
    line["prices"]["retail"] += 1000


def _other_levy(bill: Bill) -> None:
    bill["content"]["tariff"]["levies"][0]["price"] += 1000


TERMS: dict[str, tuple[Change, str]] = {
    "price of the utility": (_dearer("retail"), "the utility's prices are not what"),
    "price of feed-in": (_dearer("feedIn"), "the utility's prices are not what"),
    "negative price": (_negative_retail, "the utility's prices are not what"),
    "negative price of feed-in": (_negative_feed_in, "the utility's prices are not what"),
    "price that no line uses": (_unused_price, "the utility's prices are not what"),
    "network fee": (_said("tariff", "networkFee", said=21_000), "The bill's network fee is not what"),
    "levy": (_other_levy, "The bill's list of levies is not what"),
    "VAT": (_vat("1/4"), "The bill's VAT is not what"),
    "community": (_said("community", said="Six homes"), "The bill's name of the community is not what"),
    "currency": (_said("currency", said="USD"), "The bill's currency is not what"),
    "time zone": (_said("timezone", said="Asia/Tokyo"), "The bill's time zone is not what"),
    "name of the member": (_said("member", "id", said="sun"), "The bill's name of the member is not what"),
}
"""What a bill may say of its terms, added up rightly, and what tells who has the community's file."""


FORGERIES: dict[str, tuple[Change, str]] = {
    "total": (_total, "The total is not the sum of the charges"),
    "charge": (_charge, "The charges are not what the slots add up to"),
    "price of the utility": (_grid_price, "the utility's amount is not energy times price"),
    "energy of the utility": (_grid_energy, "metered less local energy is not what met the utility"),
    "price below all": (_below_all("retail"), "A price is out of bounds"),
    "price of feed-in below all": (_below_all("feedIn"), "A price is out of bounds"),
    "negative levy": (_negative_levy, "A price is out of bounds"),
    "negative network fee": (_negative_network_fee, "A price is out of bounds"),
    "price that is no integer": (_price_with_a_point, "A price is out of bounds"),
    "price beyond all": (_price_beyond_all, "A price is out of bounds"),
    "levy a thousandfold": (_levy_switch(1000), "A levy is neither on nor off"),
    "levy the other way": (_levy_switch(-5), "A levy is neither on nor off"),
    "levy by a number": (_levy_switch(1), "A levy is neither on nor off"),
    "levy by half": (_levy_switch(0.5), "A levy is neither on nor off"),
    "VAT of everything": (_vat("1"), "The VAT is out of bounds"),
    "negative VAT": (_vat("-1/5"), "The VAT is out of bounds"),
    "VAT by nothing": (_vat("1/0"), "The VAT is out of bounds"),
    "VAT beyond all digits": (_vat("1e-999999999"), "The VAT is out of bounds"),
    "VAT of many digits": (_vat("1/" + "9" * 5000), "The VAT is out of bounds"),
    "VAT in other digits": (_vat("٠"), "The VAT is out of bounds"),
    "other VAT": (_vat("1/4"), "The charges are not what the slots add up to"),
    "levy more": (_another_levy, "The charges are not what the slots add up to"),
    "cost without the market": (without_market, "The cost without the market is not what the slots add up to"),
    "reading": (_reading, "The Reading is signed by"),
    "reading of another slot": (_other_reading, NOT_POSTED),
    "trade left out": (_no_trade, NOT_POSTED),
    "trade of another slot": (_other_trade, NOT_POSTED),
    "settled energy": (_settled, NOT_POSTED),
    "more energy than was traded": (_too_much, NOT_POSTED),
    "payment": (_payment, "line 0 does not say what its trade says"),
    "price": (_price, NOT_POSTED),
    "order of trades": (_order_of_trades, NOT_POSTED),
    "order of slots": (_slots, "leaves out or repeats a slot"),
    "slot twice": (_slot_twice, "leaves out or repeats a slot"),
    "slot left out": (_slot_left_out, "leaves out or repeats a slot"),
    "no member": (_another_member, "NotAMember"),
    "another member": (_another_index, "at another member's place"),
    "another chain": (_another_chain, "belongs to another chain"),
    "no mandate": (_no_mandate, "under a mandate, and had given none"),
    "mandate of another": (_mandate_of_another, "The mandate is another member's"),
    "wider mandate": (_wider_mandate, "The Mandate is signed by"),
    "mandate signed by nobody": (_mandate_signed_by_nobody, "65 bytes r, s, v with v 27 or 28"),
    "period before the mandate": (_older_period, "The mandate does not cover the bill's period"),
}
