"""The orders on a bill: each once, with its place in the basket that the agent signed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from by_slot import as_before, by_day, named_anew, verify_bill
from exchange_cases import exchange_of
from orders_shown import FALSE, FOREIGN, NO_PLACE, Bill, Change, ordered_slot

from commonwatt.errors import VerificationError
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.simulation.result import Result

ROOF = 1


def test_each_order_stands_once_and_is_what_its_trades_name(bills: list[Bill]) -> None:
    shown = 0
    for bill in bills:
        for line in bill["content"]["slots"]:
            named = [trade["order"] for trade in line["trades"] if trade["order"] is not None]
            assert [*dict.fromkeys(named)] == [*range(len(line["orders"]))]
            shown += len(line["orders"])
        signatures = {order["signature"] for line in bill["content"]["slots"] for order in line["orders"]}
        assert len(signatures) <= 1  # there was one gate
    assert shown > 8


@pytest.mark.parametrize("what", FALSE)
def test_an_order_that_was_not_signed_is_found_out_even_when_operators_anchor_the_bill(
    bills: list[Bill], dishonest: Callable[[Bill], LedgerClient], what: str
) -> None:
    """As they stand in bills before there were sheets."""
    change, sentence = FALSE[what]
    bill = as_before(copy.deepcopy(bills[ROOF]))
    change(bill)
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(bill, dishonest(bill))


def _basket(**changes: Any) -> Change:
    def change(sheet: Bill) -> None:
        sheet["baskets"][0].update({name: value(sheet["baskets"][0][name]) for name, value in changes.items()})

    return change


def _order(change_: Callable[[Bill], object]) -> Change:
    def change(sheet: Bill) -> None:
        change_(next(line for line in sheet["slots"] if line["orders"])["orders"][0])

    return change


def _one_place(sheet: Bill) -> None:
    orders = [line["orders"][0] for line in sheet["slots"] if line["orders"]]
    orders[1]["position"] = orders[0]["position"]


def _unnamed(sheet: Bill) -> None:
    sheet["baskets"].append(sheet["baskets"][0])


IN_SHEETS: dict[str, tuple[Change, str]] = {
    "nodes of another basket": (_basket(beside=lambda it: it[:-64] + "00" * 32), FOREIGN),
    "a node too few": (_basket(beside=lambda it: it[:-64]), "there are too few nodes beside them, or too many"),
    "half a node": (_basket(beside=lambda it: it[:-2]), "What is shown as hashes is no row of them"),
    "more orders than nodes": (_basket(count=lambda it: 2 * it), "there are too few nodes beside them, or too many"),
    "another count": (_basket(count=lambda it: it - 1), f"{FOREIGN}|{NO_PLACE}|no tree has these places"),
    "no count": (_basket(count=str), "A basket does not say how many orders it has"),
    "an endless basket": (_basket(count=lambda _: 10**30), "A basket does not say how many orders it has"),
    "another beginning": (_basket(first=lambda it: it - 1), FOREIGN),
    "another signature": (_basket(signature=lambda it: it[:-4] + "001b"), f"{FOREIGN}|belongs to no key|v 27 or 28"),
    "a basket of more": (_basket(orders=lambda it: it), "A basket is no table of signature, first, count, beside"),
    "another place": (_order(lambda it: it.update(position=it["position"] ^ 1)), f"{FOREIGN}|places|one place|nodes"),
    "no place": (_order(lambda it: it.pop("position")), "no basket of its sheet, or no place in one"),
    "a basket that is none": (_order(lambda it: it.update(basket=7)), "no basket of its sheet, or no place in one"),
    "a basket that is true": (_order(lambda it: it.update(basket=True)), "no basket of its sheet, or no place in one"),
    "no basket": (_order(lambda it: it.pop("basket")), "An order is shown without its signature|do not lead"),
    "two orders at one place": (_one_place, "Two orders stand at one place of a basket"),
    "a basket that no order names": (_unnamed, "no tree has these places"),
}


@pytest.mark.parametrize("what", IN_SHEETS)
def test_a_basket_of_a_sheet_that_was_not_signed_is_found_out_even_when_operators_anchor_the_bill(
    bills: list[Bill], dishonest: Callable[[Bill], LedgerClient], what: str
) -> None:
    change, sentence = IN_SHEETS[what]
    bill = by_day(copy.deepcopy(bills[ROOF]))
    if what == "a basket of more":
        bill["days"][0]["sheet"]["baskets"][0]["orders"] = 1
    change(bill["days"][0]["sheet"])
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(bill, dishonest(named_anew(bill)))


def test_a_slot_that_was_missed_shows_no_order(bills: list[Bill], run: Result) -> None:
    bill = {**bills[ROOF], "proofs": {**bills[ROOF]["proofs"]}}
    bill["proofs"][str(ordered_slot(bill)["slot"])] = None
    with pytest.raises(VerificationError, match="trades were committed, and nothing is shown of them"):
        verify_bill(bill, exchange_of(run).client)
