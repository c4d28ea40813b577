"""An exchange that cheats while it runs: its bills are anchored and prove themselves, but for the one thing it did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cheated_day import FLAT, POOR, ROOF, SHOP, SUN, Cheat, believed, line_of, proof_of, refused
from dishonest import Bill, Dishonest

from commonwatt.accounts.document import hashes_text, signed_json
from commonwatt.accounts.statements import salt_of, statement_of, statement_tree
from commonwatt.errors import LedgerError
from commonwatt.exchange import tables
from commonwatt.proof import keccak, sign
from commonwatt.records import ZERO_HASH, Post, Reading
from commonwatt.records.deltas import pack_deltas, unpack_deltas
from commonwatt.records.schema import as_list, from_json
from commonwatt.units import decimal_text


def test_who_only_tells_the_day_again_is_believed(cheat: Cheat, noon: int) -> None:
    exchange = cheat(before_the_gate=True)
    exchange.recommit(noon)
    exchange.restate(noon)
    exchange.tell()
    believed(exchange, exchange.bills(), SUN, ROOF, FLAT, SHOP, POOR)


# Money


def test_money_moved_that_the_bill_does_not_show(cheat: Cheat, noon: int) -> None:
    exchange = cheat()
    (row,) = exchange.store.rows(tables.posts, slot=noon)
    moved = unpack_deltas(row.deltas) + np.array([-100_000, 0, 0, 100_000, 0])
    exchange.change_post(noon, deltas=pack_deltas(moved))
    exchange.tell()
    bills = exchange.bills()
    refused(exchange, bills[SUN], r"the ledger moved -?[0-9.]+, the lines add up to")
    refused(exchange, bills[SHOP], r"the ledger moved -?[0-9.]+, the lines add up to")
    believed(exchange, bills, ROOF, FLAT, POOR)


def test_a_statement_of_the_member_that_stands_elsewhere_in_the_tree(cheat: Cheat, pooled: int) -> None:
    """At its place the trade is missing; behind the empty place stands what moves the money."""
    exchange = cheat()
    trade, slot = exchange.trade(slot=pooled, buyer=SHOP), exchange.slot(pooled)
    hidden = {member: statement for member in (SHOP, SUN) if (statement := slot.statement(member))}
    lines = slot.lines(SHOP)
    exchange.write("DELETE FROM trades WHERE slot = ? AND number = ?", pooled, trade.number)
    slot.own[SHOP], slot.own[SUN] = [], []
    exchange.restate(pooled, hidden)
    exchange.tell()
    bills = exchange.bills()
    assert not line_of(bills[SHOP]["content"], pooled)["trades"]
    refused(exchange, bills[SHOP], r"the ledger moved -[0-9.]+, the lines add up to 0.000000")
    # Shown as it stands there, it is at another's place.
    proof = proof_of(bills[SHOP], pooled)
    sums = as_list(hidden[SHOP])[:-1]
    proof |= {"stated": {"sums": sums, "lines": [*map(as_list, lines)]}, "siblings": hashes_text(slot.tree.proof(6))}
    refused(exchange, bills[SHOP], "the statement does not lead to the posted ones")
    believed(exchange, bills, FLAT, POOR)


def test_lines_that_the_statement_does_not_sum_up(cheat: Cheat, pooled: int) -> None:
    """The lines are right, and the statement says that more is paid."""
    exchange = cheat()
    slot, moved = exchange.slot(pooled), unpack_deltas(posted_deltas(exchange, pooled)).copy()
    own = [slot.statement(member) for member in range(5)]
    statement = own[SHOP]
    assert statement
    false = replace(statement, money=statement.money - 500)
    slot.tree = statement_tree([*own[:SHOP], false, *own[SHOP + 1 :]])
    moved[SHOP] -= 500
    moved[POOR] += 500
    exchange.change_post(pooled, statements=slot.tree.root, deltas=pack_deltas(moved))
    exchange.tell()
    bills = exchange.bills()
    refused(exchange, bills[SHOP], "the statement does not lead to the posted ones")
    sums, lines = as_list(false)[:-1], [*map(as_list, slot.lines(SHOP))]
    proof_of(bills[SHOP], pooled)["stated"] = {"sums": sums, "lines": lines}
    refused(exchange, bills[SHOP], "a statement with other sums than its last line")
    refused(exchange, bills[POOR], r"the ledger moved [0-9.]+, the lines add up to")
    believed(exchange, bills, SUN, ROOF, FLAT)


def posted_deltas(exchange: Dishonest, at: int) -> bytes:
    (row,) = exchange.store.rows(tables.posts, slot=at)
    return bytes(row.deltas)


def test_a_reading_of_the_members_own_meter_that_the_statement_does_not_name(cheat: Cheat, pooled: int) -> None:
    """The meter signed it, and it counted more that was fed in; its number is that of the one that was posted."""
    exchange = cheat()
    key = exchange.keys.meters[SHOP]
    exchange.tell()
    slot, statement = exchange.slot(pooled), exchange.slot(pooled).statement(SHOP)
    assert key
    assert statement

    def more(contents: list[Bill]) -> None:
        line = line_of(contents[SHOP], pooled)
        said = {name: value for name, value in line["reading"].items() if name != "signature"}
        reading = from_json(Reading, {**said, "whIn": said["whIn"] + 1000})
        line["reading"] = signed_json(sign(exchange.client.domain, reading, key))
        line["grid"]["wh"] += 1000

    bill = exchange.bills(more)[SHOP]
    refused(exchange, bill, "the statement does not lead to the posted ones")
    proof = proof_of(bill, pooled)
    sums, lines = as_list(statement)[:-1], [*map(as_list, slot.lines(SHOP))]
    proof |= {"salt": f"0x{statement.salt.hex()}", "stated": {"sums": sums, "lines": lines}}
    refused(exchange, bill, "the statement is of another reading")


@pytest.mark.parametrize("shown", [True, False])
def test_a_member_without_a_statement(cheat: Cheat, pooled: int, shown: bool) -> None:
    exchange = cheat()
    slot = exchange.slot(pooled)
    own = [slot.statement(member) for member in range(5)]
    slot.tree = statement_tree([*own[:SHOP], None, *own[SHOP + 1 :]])
    exchange.change_post(pooled, statements=slot.tree.root)
    exchange.tell()

    def without_trades(contents: list[Bill]) -> None:
        line_of(contents[SHOP], pooled)["trades"] = []

    bills = exchange.bills(None if shown else without_trades)
    refused(exchange, bills[SHOP], "the statement does not lead to the posted ones")
    proof_of(bills[SHOP], pooled)["stated"] = False
    refused(exchange, bills[SHOP], "the member was passed over")
    believed(exchange, bills, SUN, ROOF, FLAT, POOR)


def test_a_trade_that_is_listed_twice(cheat: Cheat, pooled: int) -> None:
    exchange = cheat()
    trade, slot = exchange.trade(slot=pooled, buyer=SHOP), exchange.slot(pooled)
    for member in (SUN, SHOP):
        lines = slot.own[member]
        slot.own[member] = [line for line in lines for _ in range(1 + (line.hash == trade.hash))]
    exchange.restate(pooled)

    def twice(contents: list[Bill]) -> None:
        for member in (SUN, SHOP):
            trades = line_of(contents[member], pooled)["trades"]
            place = next(place for place, line in enumerate(trades) if line["number"] == trade.number)
            trades.insert(place, trades[place])

    exchange.tell()
    bills = exchange.bills(twice)
    refused(exchange, bills[SHOP], "a trade stands twice or in a wrong order")
    refused(exchange, bills[SUN], "a trade stands twice or in a wrong order")
    believed(exchange, bills, FLAT, POOR)


# Roots of nothing


def test_no_statements(cheat: Cheat, noon: int) -> None:
    """The root of an empty tree is zero, and so is what a place outside of a tree leads to."""
    exchange = cheat()
    exchange.change_post(noon, statements=ZERO_HASH)
    exchange.tell()
    bill = exchange.bills()[FLAT]
    for stated in (None, False):
        for siblings in (proof_of(bill, noon)["siblings"], "0x"):
            proof_of(bill, noon).update(stated=stated, siblings=siblings)
            refused(exchange, bill, "the statement does not lead to the posted ones")


def test_a_root_of_statements_that_is_of_nothing(cheat: Cheat, noon: int) -> None:
    exchange = cheat()
    exchange.change_post(noon, statements=keccak(b"anything"))
    exchange.tell()
    for bill in exchange.bills():
        refused(exchange, bill, "the statement does not lead to the posted ones")


# Later revisions


def corrected(exchange: Dishonest, at: int) -> Post:
    """A second revision that moves nothing."""
    return replace(exchange.slot(at).post, revision=1, deltas=keccak(pack_deltas(np.zeros(5, dtype=np.int64))))


def test_a_bill_that_a_later_revision_has_corrected(cheat: Cheat, noon: int) -> None:
    exchange = cheat()
    exchange.tell()
    bills = exchange.bills()
    post, nothing = corrected(exchange, noon), bytes(20)
    exchange.correct(post, nothing, finalise=False)
    believed(exchange, bills, FLAT)  # it may still expire
    exchange.client.finalise(post, nothing, at=exchange.client.node.head.timestamp + 1)
    for bill in bills:
        refused(exchange, bill, "a later revision has corrected this one")


def test_a_bill_of_a_slot_that_can_still_be_deleted(cheat: Cheat, pooled: int) -> None:
    exchange = cheat()
    exchange.tell(without=(pooled,))
    post, deltas = exchange.slot(pooled).post, posted_deltas(exchange, pooled)
    exchange.correct(post, deltas, finalise=False)
    bills = exchange.bills()
    for bill in bills:
        refused(exchange, bill, f"Slot {pooled}: the post is not final yet")
    client = exchange.client
    client.finalise(post, deltas, at=client.node.head.timestamp + client.terms.window)
    believed(exchange, bills, SUN, ROOF, FLAT, SHOP, POOR)


def test_a_revision_that_hides_what_the_one_before_it_moved(cheat: Cheat, pooled: int) -> None:
    """First money is moved, then a correction states that nothing was traded, and moves nothing back."""
    exchange = cheat()
    exchange.tell()
    (paid,) = (row.credit for row in exchange.store.rows(tables.accounts, slot=pooled, member=SHOP))
    assert paid < 0
    exchange.write("DELETE FROM trades WHERE slot = ?", pooled)
    slot = exchange.slot(pooled)
    slot.own = [[] for _ in slot.own]
    slot.read = [
        (reading, salt_of(signature, pooled, 1))
        for (reading, _), signature in zip(slot.read, signatures(exchange, pooled), strict=True)
    ]
    slot.tree = statement_tree([statement_of((), *read) for read in slot.read])
    slot.post = replace(corrected(exchange, pooled), statements=slot.tree.root)
    exchange.correct(slot.post, bytes(20))
    exchange.write("UPDATE settled SET revision = 1 WHERE slot = ?", pooled)
    exchange.write(
        "UPDATE accounts SET revision = 1, ahead = 0, after = 0, grid = net, credit = 0 WHERE slot = ?", pooled
    )
    bills = exchange.bills()
    refused(exchange, bills[SHOP], f"the ledger moved {decimal_text(paid)}, the lines add up to 0.000000")
    believed(exchange, bills, ROOF)


def signatures(exchange: Dishonest, at: int) -> list[bytes]:
    """Of each member's reading, or else of its mandate."""
    kept = {row.member: row.signature for row in exchange.store.rows(tables.readings, slot=at)}
    return [kept.get(member, mandate.signature) for member, mandate in enumerate(exchange.exchange.mandates)]


def test_a_second_set_of_bills_for_the_same_period(cheat: Cheat) -> None:
    exchange = cheat()
    exchange.tell()
    bills = exchange.bills()

    def dearer(contents: list[Bill]) -> None:
        for content in contents:
            content["total"] += 1_000_000

    with pytest.raises(LedgerError, match="AlreadyAnchored"):
        exchange.bills(dearer)
    believed(exchange, bills, SUN, ROOF, FLAT, SHOP, POOR)
