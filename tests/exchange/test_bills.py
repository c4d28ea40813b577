"""The bills of a run: what they add up to, and that they tell the same money as the ledger."""

from __future__ import annotations

from typing import Any

import pytest
from exchange_cases import POOR, exchange_of

from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.report.trace import trace
from commonwatt.simulation.result import Result

Bill = dict[str, Any]


@pytest.fixture(scope="module")
def client(run: Result) -> LedgerClient:
    return exchange_of(run).client


def test_the_lines_between_neighbours_add_up_to_nothing(bills: list[Bill]) -> None:
    lines = [line for bill in bills for line in bill["content"]["charges"] if line["name"] == "neighbours"]
    assert sum(line["amount"] for line in lines) == 0
    assert max(line["amount"] for line in lines) > 0


def test_a_bill_and_the_ledger_tell_the_same_money(run: Result, bills: list[Bill], client: LedgerClient) -> None:
    balances = client.balances().tolist()
    for member, bill in zip(run.community.members, bills, strict=True):
        (paid,) = (line["amount"] for line in bill["content"]["charges"] if line["name"] == "neighbours")
        assert balances[member.index] == member.collateral - paid


def test_the_poor_member_meets_the_utility_for_what_it_cannot_pay_neighbours(bills: list[Bill]) -> None:
    slots = bills[POOR]["content"]["slots"]
    cut = [line for line in slots if any(trade["settledWh"] < trade["wh"] for trade in line["trades"])]
    assert cut
    for line in cut:
        reading, local = line["reading"], sum(trade["settledWh"] for trade in line["trades"])
        assert line["grid"]["wh"] == reading["whIn"] - reading["whOut"] - local > 0


def test_one_kilowatt_hour_is_traced_from_reading_to_block(run: Result, client: LedgerClient) -> None:
    steps = dict(trace(run))
    assert list(steps)[-3:] == ["stated", "posted", "settled"]
    assert "signed reading no." in steps["metered"]
    node = client.node
    assert any(node.block(number).hash.hex() in steps["settled"] for number in range(1, node.head.number))
