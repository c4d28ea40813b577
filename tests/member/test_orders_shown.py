"""The orders on a bill: each once, with its place in the basket that the agent signed."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from by_slot import verify_bill
from exchange_cases import exchange_of
from orders_shown import FALSE, Bill, ordered_slot

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
    change, sentence = FALSE[what]
    bill = copy.deepcopy(bills[ROOF])
    change(bill)
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(bill, dishonest(bill))


def test_a_slot_that_was_missed_shows_no_order(bills: list[Bill], run: Result) -> None:
    bill = {**bills[ROOF], "proofs": {**bills[ROOF]["proofs"]}}
    bill["proofs"][str(ordered_slot(bill)["slot"])] = None
    with pytest.raises(VerificationError, match="trades were committed, and nothing is shown of them"):
        verify_bill(bill, exchange_of(run).client)
