"""The orders on a bill: each once, with its place in the basket that the agent signed; and as they were before."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from exchange_cases import exchange_of, homes_of
from orders_shown import FALSE, Bill, of_format_one, ordered_slot

from commonwatt.errors import VerificationError
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.member.verify import verify_bill
from commonwatt.proof import Key
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


def old(run: Result, bills: list[Bill], key: Key | None = None) -> Bill:
    return of_format_one(bills[ROOF], key or homes_of(run).keys.agents[ROOF], exchange_of(run).domain)


def test_a_bill_of_the_format_before_verifies(
    run: Result, bills: list[Bill], dishonest: Callable[[Bill], LedgerClient]
) -> None:
    bill = old(run, bills)
    assert any(isinstance(trade["order"], dict) for line in bill["content"]["slots"] for trade in line["trades"])
    found = verify_bill(bill, dishonest(bill))
    assert found.total == bills[ROOF]["content"]["total"]


def test_so_does_no_forged_one(run: Result, bills: list[Bill], dishonest: Callable[[Bill], LedgerClient]) -> None:
    bill = old(run, bills, Key.derive(b"stranger", ""))
    with pytest.raises(VerificationError, match="The Order is signed by"):
        verify_bill(bill, dishonest(bill))


@pytest.mark.parametrize(
    ("order", "reason"),
    [(1, "An order is shown without its signature"), ({}, "An order is shown without its signature")],
)
def test_in_the_format_before_a_trade_shows_its_order(
    run: Result, bills: list[Bill], dishonest: Callable[[Bill], LedgerClient], order: Any, reason: str
) -> None:
    bill = old(run, bills)
    line = next(line for line in bill["content"]["slots"] if any(trade["order"] for trade in line["trades"]))
    next(trade for trade in line["trades"] if trade["order"])["order"] = order
    with pytest.raises(VerificationError, match=reason):
        verify_bill(bill, dishonest(bill))


def test_a_slot_that_was_missed_shows_no_order(bills: list[Bill], run: Result) -> None:
    bill = {**bills[ROOF], "proofs": {**bills[ROOF]["proofs"]}}
    bill["proofs"][str(ordered_slot(bill)["slot"])] = None
    with pytest.raises(VerificationError, match="trades were committed, and nothing is shown of them"):
        verify_bill(bill, exchange_of(run).client)
