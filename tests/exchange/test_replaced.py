"""A day whose agents replace their orders, and a member who orders and cancels with its own wallet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from by_slot import by_slot, proven, verify_bill
from exchange_cases import COMMUNITY, START, all_rows, begin, exchange_of, homes_of, short_days, snapshot, written
from order_cases import Themselves

from commonwatt.accounts.document import to_hashes
from commonwatt.errors import VerificationError
from commonwatt.exchange import tables
from commonwatt.exchange.bill_files import write_bills
from commonwatt.exchange.rows import read_declared
from commonwatt.proof import hash_struct, keccak
from commonwatt.records import BUY, Order, Signed
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation
from commonwatt.study.scene import Hesitant

FLAT, SHOP = 2, 3
"""The one orders what its agent did with its own wallet, the other cancels."""


class TwoOfThem(Themselves):
    """Two members do not leave it to their agents."""

    def hesitating(self, order: Signed[Order]) -> tuple[Signed[Order], ...]:
        """See `Hesitant`."""
        record, both = order.record, Hesitant.hesitating(self, order)
        accounts = [key.address for key in self.keys.members]
        if record.side != BUY or record.member not in (accounts[FLAT], accounts[SHOP]):
            return both
        if record.member == accounts[FLAT]:
            return (*both, self.own(replace(record, nonce=record.nonce + 1), "de"))
        return (*both, self.own(replace(record, nonce=record.nonce + 1, wh=0, limit=0), "en"))


def hesitant(folder: Path, kind: type[Hesitant] = Hesitant) -> Simulation:
    simulation = begin(folder, COMMUNITY)
    simulation.homes = kind.of(homes_of(simulation))
    return simulation


@pytest.fixture(scope="module", autouse=True)
def _short() -> Iterator[None]:
    with short_days():
        yield


@pytest.fixture(scope="module")
def themselves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    run = hesitant(tmp_path_factory.mktemp("themselves"), TwoOfThem).run()
    yield run
    run.close()


@pytest.fixture(scope="module")
def bills(themselves: Result) -> list[dict[str, Any]]:
    return list(proven(themselves.books, themselves.bills))


def test_orders_that_were_replaced_change_no_balance_and_every_bill_verifies(tmp_path: Path) -> None:
    plain, run = simulate(written(tmp_path / "plain", COMMUNITY), START, 1), hesitant(tmp_path / "twice").run()
    assert snapshot(run)["balances"] == snapshot(plain)["balances"]
    for table in (tables.accounts, tables.readings):
        assert run.exchange.store.rows(table) == plain.exchange.store.rows(table)
    assert len(run.exchange.store.rows(tables.orders, counts=1)) == len(plain.exchange.store.rows(tables.orders))
    assert len(run.exchange.store.rows(tables.orders, counts=0)) > 20
    for bill in proven(run.books, run.bills):
        verify_bill(bill, exchange_of(run).client)
    for each in (plain, run):
        each.close()


def test_a_run_that_is_opened_again_has_the_orders_in_their_places(tmp_path: Path) -> None:
    first = hesitant(tmp_path, TwoOfThem)
    first.advance()
    kept = exchange_of(first).committed
    first.close()
    again = hesitant(tmp_path, TwoOfThem)
    assert exchange_of(again).committed.keys() == kept.keys()
    for slot, committed in exchange_of(again).committed.items():
        one, other = committed.cleared.declared, kept[slot].cleared.declared
        assert (one.signed, one.members, one.places) == (other.signed, other.members, other.places)
        assert one.orders.wh.tolist() == other.orders.wh.tolist()
        assert committed.orders.root == kept[slot].orders.root
        assert committed.records == kept[slot].records
    ended = snapshot(again.run())
    again.close()
    whole = hesitant(tmp_path / "whole", TwoOfThem).run()
    assert ended == snapshot(whole)
    whole.close()
    assert all_rows(tmp_path / "out")["orders"] == all_rows(tmp_path / "whole" / "out")["orders"]


def test_bills_with_a_members_own_orders_verify(themselves: Result, bills: list[dict[str, Any]]) -> None:
    for bill in bills:
        verify_bill(bill, exchange_of(themselves).client)
    ordered = [order for slot in bills[FLAT]["content"]["slots"] for order in slot["orders"]]
    assert ordered
    assert all(order["text"].startswith("Höchstens ") for order in ordered if not order["side"])
    assert not any(
        trade["order"] is not None
        for slot in bills[SHOP]["content"]["slots"]
        for trade in slot["trades"]
        if trade["buyer"] == SHOP
    )


def test_files_of_bills_with_words_are_plain_ascii(
    themselves: Result, bills: list[dict[str, Any]], tmp_path: Path
) -> None:
    write_bills(themselves.books, themselves.bills, tmp_path)
    for bill in bills:
        text = (tmp_path / f"{bill['content']['member']['id']}.json").read_text("utf-8")
        assert text.isascii()
        assert by_slot(json.loads(text)) == bill


def test_a_bill_shows_the_orders_that_replaced_or_cancelled_others(
    themselves: Result, bills: list[dict[str, Any]]
) -> None:
    shown = 0
    for member in (FLAT, SHOP):
        for slot, proof in bills[member]["proofs"].items():
            declared = read_declared(themselves.exchange.store, int(slot))
            for placed in proof["orders"]:
                order = declared.signed[placed["position"]]
                assert placed["order"]["nonce"] == order.record.nonce
                assert (placed["order"]["wh"] == 0) == (member == SHOP)
                shown += 1
    assert shown > 8


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("position", 99, "an order does not lead to the posted ones"),
        ("siblings", "0x", "an order does not lead to the posted ones"),
        ("siblings", None, "What is shown as hashes is no row of them"),
        ("siblings", [], "What is shown as hashes is no row of them"),
        ("order", None, "An order is shown without its signature"),
        ("more", 1, "an order is not a table of order, position, siblings"),
    ],
)
def test_an_order_that_is_shown_wrongly_is_none(
    themselves: Result, bills: list[dict[str, Any]], name: str, value: Any, reason: str
) -> None:
    bill = {**bills[SHOP], "proofs": {**bills[SHOP]["proofs"]}}
    slot, proof = next((slot, proof) for slot, proof in bill["proofs"].items() if proof["orders"])
    bill["proofs"][slot] = {**proof, "orders": [{**proof["orders"][0], name: value}]}
    with pytest.raises(VerificationError, match=reason):
        verify_bill(bill, exchange_of(themselves).client)


def test_the_order_beside_a_member_s_own_is_not_found_by_trying(
    themselves: Result, bills: list[dict[str, Any]]
) -> None:
    tried = 0
    for member in (FLAT, SHOP):
        for slot, proof in bills[member]["proofs"].items():
            declared = read_declared(themselves.exchange.store, int(slot))
            for placed in proof["orders"]:
                beside = placed["position"] ^ 1
                if beside >= len(declared.signed) or declared.members[beside] == member:
                    continue
                record, (first, *_) = declared.signed[beside].record, to_hashes(placed["siblings"])
                assert keccak(hash_struct(record)) == first
                # Whoever knows everything of it but its nonce does not come to the hash.
                assert record.nonce > 10**6
                assert first not in {keccak(hash_struct(replace(record, nonce=nonce))) for nonce in range(100)}
                tried += 1
    assert tried
