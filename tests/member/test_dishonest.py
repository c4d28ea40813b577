"""An exchange that cheats while it runs: its bills are anchored and prove themselves, but for the one thing it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from by_slot import verify_bill
from dishonest import DAY_AHEAD, REAL_TIME, Bill, Dishonest

from commonwatt.accounts.document import hashes_text, signed_json
from commonwatt.accounts.orders import order_json
from commonwatt.accounts.statements import salt_of, statement_of, statement_tree
from commonwatt.errors import LedgerError, VerificationError
from commonwatt.exchange import tables
from commonwatt.exchange.proofs import SlotProof
from commonwatt.exchange.rows import order_of_row
from commonwatt.proof import Key, keccak, sign
from commonwatt.records import BUY, SELL, ZERO_HASH, Post, Reading
from commonwatt.records.deltas import pack_deltas, unpack_deltas
from commonwatt.records.schema import as_list, from_json
from commonwatt.simulation.result import Result
from commonwatt.units import decimal_text

SUN, ROOF, FLAT, SHOP, POOR = range(5)
NOTHING = f"0x{ZERO_HASH.hex()}"
Open = Callable[..., Dishonest]


@pytest.fixture(scope="module")
def noon(run: Result) -> int:
    """A slot with day-ahead trades, of which some are settled."""
    return int(run.period.starts[6])


@pytest.fixture(scope="module")
def later(run: Result) -> int:
    """A slot without day-ahead trades, in which flat and shop buy from sun in the pool."""
    return int(run.period.starts[7])


@pytest.fixture(scope="module")
def waiting(
    run: Result, founded: Path, unanchored: Path, noon: int, later: int, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The file of a chain that was told everything but these two slots."""
    folder = tmp_path_factory.mktemp("waiting")
    exchange = Dishonest(run, unanchored, founded / "ledger.sqlite", folder)
    exchange.tell(without=(noon, later))
    exchange.close()
    return folder / "ledger.sqlite"


@pytest.fixture
def open_(run: Result, founded: Path, unanchored: Path, waiting: Path, tmp_path: Path) -> Iterator[Open]:
    """An exchange to cheat with in those two slots, or before the gate in all."""
    opened = []

    def opening(*, before_the_gate: bool = False) -> Dishonest:
        chain = founded / "ledger.sqlite" if before_the_gate else waiting
        opened.append(Dishonest(run, unanchored, chain, tmp_path))
        return opened[-1]

    yield opening
    for exchange in opened:
        exchange.close()


def refused(exchange: Dishonest, bill: Bill, sentence: str) -> None:
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(bill, exchange.client)


def believed(exchange: Dishonest, bills: list[Bill], *members: int) -> None:
    for member in members:
        assert verify_bill(bills[member], exchange.client).total == bills[member]["content"]["total"]


def line_of(content: Bill, at: int) -> Any:
    return next(line for line in content["slots"] if line["slot"] == at)


def proof_of(bill: Bill, at: int) -> Any:
    return bill["proofs"][str(at)]


def test_who_only_tells_the_day_again_is_believed(open_: Open, noon: int) -> None:
    exchange = open_(before_the_gate=True)
    exchange.recommit(noon)
    exchange.restate(noon)
    exchange.tell()
    believed(exchange, exchange.bills(), SUN, ROOF, FLAT, SHOP, POOR)


# Money


def test_money_moved_that_the_bill_does_not_show(open_: Open, noon: int) -> None:
    exchange = open_()
    (row,) = exchange.store.rows(tables.posts, slot=noon)
    moved = unpack_deltas(row.deltas) + np.array([-100_000, 0, 0, 100_000, 0])
    exchange.change_post(noon, deltas=pack_deltas(moved))
    exchange.tell()
    bills = exchange.bills()
    refused(exchange, bills[SUN], r"the ledger moved -?[0-9.]+, the lines add up to")
    refused(exchange, bills[SHOP], r"the ledger moved -?[0-9.]+, the lines add up to")
    believed(exchange, bills, ROOF, FLAT, POOR)


def test_a_statement_of_the_member_that_stands_elsewhere_in_the_tree(open_: Open, later: int) -> None:
    """At its place the trade is missing; behind the empty place stands what moves the money."""
    exchange = open_()
    trade, slot = exchange.trade(slot=later, buyer=SHOP), exchange.slot(later)
    hidden = {member: statement for member in (SHOP, SUN) if (statement := slot.statement(member))}
    lines = slot.lines(SHOP)
    exchange.write("DELETE FROM trades WHERE slot = ? AND number = ?", later, trade.number)
    slot.own[SHOP], slot.own[SUN] = [], []
    exchange.restate(later, hidden)
    exchange.tell()
    bills = exchange.bills()
    assert not line_of(bills[SHOP]["content"], later)["trades"]
    refused(exchange, bills[SHOP], r"the ledger moved -[0-9.]+, the lines add up to 0.000000")
    # Shown as it stands there, it is at another's place.
    proof = proof_of(bills[SHOP], later)
    sums = as_list(hidden[SHOP])[:-1]
    proof |= {"stated": {"sums": sums, "lines": [*map(as_list, lines)]}, "siblings": hashes_text(slot.tree.proof(6))}
    refused(exchange, bills[SHOP], "the statement does not lead to the posted ones")
    believed(exchange, bills, FLAT, POOR)


def test_lines_that_the_statement_does_not_sum_up(open_: Open, later: int) -> None:
    """The lines are right, and the statement says that more is paid."""
    exchange = open_()
    slot, moved = exchange.slot(later), unpack_deltas(posted_deltas(exchange, later)).copy()
    own = [slot.statement(member) for member in range(5)]
    statement = own[SHOP]
    assert statement
    false = replace(statement, money=statement.money - 500)
    slot.tree = statement_tree([*own[:SHOP], false, *own[SHOP + 1 :]])
    moved[SHOP] -= 500
    moved[POOR] += 500
    exchange.change_post(later, statements=slot.tree.root, deltas=pack_deltas(moved))
    exchange.tell()
    bills = exchange.bills()
    refused(exchange, bills[SHOP], "the statement does not lead to the posted ones")
    sums, lines = as_list(false)[:-1], [*map(as_list, slot.lines(SHOP))]
    proof_of(bills[SHOP], later)["stated"] = {"sums": sums, "lines": lines}
    refused(exchange, bills[SHOP], "a statement with other sums than its last line")
    refused(exchange, bills[POOR], r"the ledger moved [0-9.]+, the lines add up to")
    believed(exchange, bills, SUN, ROOF, FLAT)


def posted_deltas(exchange: Dishonest, at: int) -> bytes:
    (row,) = exchange.store.rows(tables.posts, slot=at)
    return bytes(row.deltas)


def test_a_reading_of_the_members_own_meter_that_the_statement_does_not_name(open_: Open, later: int) -> None:
    """The meter signed it, and it counted more that was fed in; its number is that of the one that was posted."""
    exchange = open_()
    key = exchange.keys.meters[SHOP]
    exchange.tell()
    slot, statement = exchange.slot(later), exchange.slot(later).statement(SHOP)
    assert key
    assert statement

    def more(contents: list[Bill]) -> None:
        line = line_of(contents[SHOP], later)
        said = {name: value for name, value in line["reading"].items() if name != "signature"}
        reading = from_json(Reading, {**said, "whIn": said["whIn"] + 1000})
        line["reading"] = signed_json(sign(exchange.client.domain, reading, key))
        line["grid"]["wh"] += 1000

    bill = exchange.bills(more)[SHOP]
    refused(exchange, bill, "the statement does not lead to the posted ones")
    proof = proof_of(bill, later)
    sums, lines = as_list(statement)[:-1], [*map(as_list, slot.lines(SHOP))]
    proof |= {"salt": f"0x{statement.salt.hex()}", "stated": {"sums": sums, "lines": lines}}
    refused(exchange, bill, "the statement is of another reading")


@pytest.mark.parametrize("shown", [True, False])
def test_a_member_without_a_statement(open_: Open, later: int, shown: bool) -> None:
    exchange = open_()
    slot = exchange.slot(later)
    own = [slot.statement(member) for member in range(5)]
    slot.tree = statement_tree([*own[:SHOP], None, *own[SHOP + 1 :]])
    exchange.change_post(later, statements=slot.tree.root)
    exchange.tell()

    def without_trades(contents: list[Bill]) -> None:
        line_of(contents[SHOP], later)["trades"] = []

    bills = exchange.bills(None if shown else without_trades)
    refused(exchange, bills[SHOP], "the statement does not lead to the posted ones")
    proof_of(bills[SHOP], later)["stated"] = False
    refused(exchange, bills[SHOP], "the member was passed over")
    believed(exchange, bills, SUN, ROOF, FLAT, POOR)


def test_a_trade_that_is_listed_twice(open_: Open, later: int) -> None:
    exchange = open_()
    trade, slot = exchange.trade(slot=later, buyer=SHOP), exchange.slot(later)
    for member in (SUN, SHOP):
        lines = slot.own[member]
        slot.own[member] = [line for line in lines for _ in range(1 + (line.hash == trade.hash))]
    exchange.restate(later)

    def twice(contents: list[Bill]) -> None:
        for member in (SUN, SHOP):
            trades = line_of(contents[member], later)["trades"]
            place = next(place for place, line in enumerate(trades) if line["number"] == trade.number)
            trades.insert(place, trades[place])

    exchange.tell()
    bills = exchange.bills(twice)
    refused(exchange, bills[SHOP], "a trade stands twice or in a wrong order")
    refused(exchange, bills[SUN], "a trade stands twice or in a wrong order")
    believed(exchange, bills, FLAT, POOR)


# Trades


def test_a_day_ahead_trade_dearer_than_it_was_committed(open_: Open, noon: int) -> None:
    exchange = open_()
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


def test_an_order_used_for_a_trade_after_delivery(open_: Open, later: int) -> None:
    """Nothing was committed, but shop's order lay there: the pool's trade is put under it."""
    exchange = open_()
    trade = exchange.trade(slot=later, buyer=SHOP)
    assert trade.number == 1
    assert trade.stage == REAL_TIME
    exchange.change_trade(trade, buy_order=exchange.order(later, SHOP, BUY).hash)
    exchange.restate(later)
    exchange.tell()
    bill = exchange.bills()[SHOP]
    refused(exchange, bill, "a trade by order was not committed before delivery")
    # The root of no trades is zero, and so is what a place outside the tree leads to.
    proof = proof_of(bill, later)
    proof["committed"] = {"depth": 0, "beside": "0x"}
    refused(exchange, bill, "the trades do not lead to what was committed: no tree has these places")
    proof["committed"] = {"depth": 1, "beside": "0x"}
    refused(exchange, bill, "the trades do not lead to what was committed: there are too few nodes")
    proof["committed"] = {"depth": 1, "beside": NOTHING}
    refused(exchange, bill, "these are not the orders and trades that were committed before delivery")


def test_a_pool_trade_without_order_or_mandate(open_: Open, later: int) -> None:
    exchange = open_()
    trade = exchange.trade(slot=later, buyer=SHOP)
    exchange.change_trade(trade, buy_order=ZERO_HASH)
    exchange.restate(later)
    exchange.tell()
    bills = exchange.bills()
    refused(exchange, bills[SHOP], "line 0 rests on no order or mandate of the member")
    believed(exchange, bills, SUN, FLAT)


def test_a_price_beyond_the_mandate(open_: Open, later: int) -> None:
    """The seller gets more, and does not mind."""
    exchange = open_()
    trade = exchange.trade(slot=later, buyer=SHOP)
    exchange.change_trade(trade, price=exchange.exchange.mandates[SHOP].record.max_buy + 1)
    exchange.restate(later)
    exchange.tell()
    bills = exchange.bills()
    refused(exchange, bills[SHOP], "a price of 321896 under a mandate with the limit 321895")
    believed(exchange, bills, SUN, FLAT)


def test_a_price_beyond_an_order_and_more_energy_than_another(open_: Open, noon: int) -> None:
    """Both are committed before delivery."""
    exchange = open_(before_the_gate=True)
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


def test_an_agent_s_order_beyond_the_mandate(open_: Open, noon: int) -> None:
    """The agent signs whatever the exchange likes; the member signed the mandate."""
    exchange = open_(before_the_gate=True)
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
def test_energy_that_the_member_never_used(open_: Open, later: int, extra: int) -> None:
    """Within the mandate, but more than the meter counted: the rest would be fed in again for less."""
    exchange = open_()
    trade = exchange.trade(slot=later, buyer=SHOP)
    (net,) = (row.net for row in exchange.store.rows(tables.accounts, slot=later, member=SHOP))
    exchange.change_trade(trade, wh=net + extra, settled=net + extra)
    exchange.restate(later)
    exchange.tell()
    bills = exchange.bills()
    assert line_of(bills[SHOP]["content"], later)["grid"]["wh"] == -extra
    refused(exchange, bills[SHOP], f"{net + extra} Wh of local energy, and the meter counted {net} Wh")


def test_an_order_signed_by_somebody_else(open_: Open, noon: int) -> None:
    exchange = open_(before_the_gate=True)
    signers = {FLAT: Key.derive(b"stranger", ""), SHOP: exchange.keys.agents[FLAT]}
    for member, key in signers.items():
        order = exchange.order(noon, member, BUY)
        assert exchange.change_order(order, key) == order.hash
    exchange.tell()
    bills = exchange.bills()
    for member in signers:
        refused(exchange, bills[member], "The Basket with the order is signed by")
    believed(exchange, bills, ROOF, SUN)


def test_an_order_that_is_not_for_this_trade(open_: Open, noon: int) -> None:
    exchange = open_(before_the_gate=True)
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


def test_an_order_to_sell_under_which_is_bought(open_: Open, noon: int) -> None:
    exchange = open_(before_the_gate=True)
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


# Roots of nothing


def test_no_statements(open_: Open, noon: int) -> None:
    """The root of an empty tree is zero, and so is what a place outside of a tree leads to."""
    exchange = open_()
    exchange.change_post(noon, statements=ZERO_HASH)
    exchange.tell()
    bill = exchange.bills()[FLAT]
    for stated in (None, False):
        for siblings in (proof_of(bill, noon)["siblings"], "0x"):
            proof_of(bill, noon).update(stated=stated, siblings=siblings)
            refused(exchange, bill, "the statement does not lead to the posted ones")


def test_a_root_of_statements_that_is_of_nothing(open_: Open, noon: int) -> None:
    exchange = open_()
    exchange.change_post(noon, statements=keccak(b"anything"))
    exchange.tell()
    for bill in exchange.bills():
        refused(exchange, bill, "the statement does not lead to the posted ones")


# Later revisions


def corrected(exchange: Dishonest, at: int) -> Post:
    """A second revision that moves nothing."""
    return replace(exchange.slot(at).post, revision=1, deltas=keccak(pack_deltas(np.zeros(5, dtype=np.int64))))


def test_a_bill_that_a_later_revision_has_corrected(open_: Open, noon: int) -> None:
    exchange = open_()
    exchange.tell()
    bills = exchange.bills()
    post, nothing = corrected(exchange, noon), bytes(20)
    exchange.correct(post, nothing, finalise=False)
    believed(exchange, bills, FLAT)  # it may still expire
    exchange.client.finalise(post, nothing, at=exchange.client.node.head.timestamp + 1)
    for bill in bills:
        refused(exchange, bill, "a later revision has corrected this one")


def test_a_bill_of_a_slot_that_can_still_be_deleted(open_: Open, later: int) -> None:
    exchange = open_()
    exchange.tell(without=(later,))
    post, deltas = exchange.slot(later).post, posted_deltas(exchange, later)
    exchange.correct(post, deltas, finalise=False)
    bills = exchange.bills()
    for bill in bills:
        refused(exchange, bill, f"Slot {later}: the post is not final yet")
    client = exchange.client
    client.finalise(post, deltas, at=client.node.head.timestamp + client.terms.window)
    believed(exchange, bills, SUN, ROOF, FLAT, SHOP, POOR)


def test_a_revision_that_hides_what_the_one_before_it_moved(open_: Open, later: int) -> None:
    """First money is moved, then a correction states that nothing was traded, and moves nothing back."""
    exchange = open_()
    exchange.tell()
    (paid,) = (row.credit for row in exchange.store.rows(tables.accounts, slot=later, member=SHOP))
    assert paid < 0
    exchange.write("DELETE FROM trades WHERE slot = ?", later)
    slot = exchange.slot(later)
    slot.own = [[] for _ in slot.own]
    slot.read = [
        (reading, salt_of(signature, later, 1))
        for (reading, _), signature in zip(slot.read, signatures(exchange, later), strict=True)
    ]
    slot.tree = statement_tree([statement_of((), *read) for read in slot.read])
    slot.post = replace(corrected(exchange, later), statements=slot.tree.root)
    exchange.correct(slot.post, bytes(20))
    exchange.write("UPDATE settled SET revision = 1 WHERE slot = ?", later)
    exchange.write(
        "UPDATE accounts SET revision = 1, ahead = 0, after = 0, grid = net, credit = 0 WHERE slot = ?", later
    )
    bills = exchange.bills()
    refused(exchange, bills[SHOP], f"the ledger moved {decimal_text(paid)}, the lines add up to 0.000000")
    believed(exchange, bills, ROOF)


def signatures(exchange: Dishonest, at: int) -> list[bytes]:
    """Of each member's reading, or else of its mandate."""
    kept = {row.member: row.signature for row in exchange.store.rows(tables.readings, slot=at)}
    return [kept.get(member, mandate.signature) for member, mandate in enumerate(exchange.exchange.mandates)]


def test_a_second_set_of_bills_for_the_same_period(open_: Open) -> None:
    exchange = open_()
    exchange.tell()
    bills = exchange.bills()

    def dearer(contents: list[Bill]) -> None:
        for content in contents:
            content["total"] += 1_000_000

    with pytest.raises(LedgerError, match="AlreadyAnchored"):
        exchange.bills(dearer)
    believed(exchange, bills, SUN, ROOF, FLAT, SHOP, POOR)
