"""A living community grows: the roster of a slot is the ledger's at its beginning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from enrolled_cases import AGENT, HOUR, METER, NEW, OTHER, WALLET, Growing

from commonwatt.community.roles import Role
from commonwatt.community.wording import mandate_text
from commonwatt.errors import RecordError, SequenceError, SignatureError
from commonwatt.exchange.enrolled import Enrolled, _note
from commonwatt.exchange.events import GateClosure, SlotEnd
from commonwatt.exchange.excerpt import excerpt
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.outbox import signatures
from commonwatt.exchange.states import Posted
from commonwatt.ledger.client.abi import Event
from commonwatt.ledger.node import Log
from commonwatt.member.challenge import chain_of
from commonwatt.member.faults import faults
from commonwatt.meter.protocol import REFUSED, STORED
from commonwatt.proof import Key, hash_struct, sign


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[Growing]:
    found = Growing(tmp_path)
    yield found
    found.simulation.close()


def test_who_joins_trades_from_its_first_slot_on_and_has_a_statement(growing: Growing) -> None:
    first, second, third = growing.starts[:3]
    live, exchange = growing.live, growing.exchange
    for now in (first - HOUR, first):
        live.advance(now)
    growing.enrol(first + 60)  # in the midst of the first slot
    assert [len(growing.roster.at(slot).mandates) for slot in (first, second)] == [5, 6]
    growing.roster.file(growing.mandate(), second)
    (receipt,) = live.orders([growing.sells(second)], first + 120)[0:1]
    assert isinstance(receipt, RecordError)  # its gate closed with the beginning of the first slot
    (receipt,) = live.orders([growing.sells(third)], first + 120)
    assert not isinstance(receipt, RecordError)
    for slot in (first, second, third):
        own = [growing.reads(slot, 1_000, 1)]
        said = live.readings([*growing.everybody(slot), *own], slot + HOUR)
        assert [each.status for each in said][:5] == [STORED] * 5
        assert said[5].status == (REFUSED if slot == first else STORED)
        live.advance(slot + HOUR)
    posts = [exchange.recalled(slot, 0) for slot in (first, second, third)]
    assert [len(posted.statements) for posted in posts] == [5, 6, 6]
    # Nobody had ordered from it for the second slot, so that it shared in the pool alone, and in the third as well.
    statements = [posted.statements[NEW] for posted in posts[1:]]
    assert all(statement and statement.bought == 0 and statement.money > 0 for statement in statements)
    # Later, one of the five has no money left for its share.
    assert [statement.sold == 1_000 for statement in statements if statement] == [True, False]
    exchange.outbox.finalise_due()
    assert int(growing.client.balances()[NEW]) > 1_000_000
    for posted in posts:
        for member in range(6):
            assert looked(growing, posted, member) == []


def looked(growing: Growing, posted: Posted, member: int) -> list[str]:
    client = growing.client
    mandate = growing.exchange.mandates[member]
    shown = excerpt(posted, member, mandate, client)
    line, proof = shown["content"]["slots"][0], shown["proofs"][str(posted.post.slot)]
    chain = replace(chain_of(posted.post, member, client), deltas=posted.deltas)
    return [each.function for each in faults(line, proof, member, mandate, chain, posted.post)]


def test_who_is_suspended_neither_orders_nor_shares(growing: Growing) -> None:
    first, second = growing.starts[:2]
    growing.enrol(first - 2 * HOUR)
    growing.roster.file(growing.mandate(), first)
    growing.live.advance(first - HOUR)
    standing = growing.community.standing(NEW, active=False)
    operator = growing.homes.keys.operator
    signed = signatures(growing.community.domain, standing, growing.exchange.outbox.quorum)
    growing.community.set_standing(operator, standing, signed, at=first - 60)
    growing.live.advance(first - 30)
    (refused,) = growing.live.orders([growing.sells(second)], first - 20)
    assert "not known here" in str(refused)
    growing.live.readings([*growing.everybody(first), growing.reads(first, 1_000, 1)], first + HOUR)
    growing.live.advance(first + HOUR)
    statement = growing.exchange.recalled(first, 0).statements[NEW]
    assert statement
    assert (statement.sold, statement.money) == (0, 0)


def test_a_meter_counts_for_the_slots_that_begin_while_it_serves(growing: Growing) -> None:
    first, second, third = growing.starts[:3]
    growing.enrol(first - 2 * HOUR)
    growing.roster.file(growing.mandate(), first)
    operator = growing.homes.keys.operator
    growing.community.revoke_meter(operator, METER.address, at=second + 600)
    growing.community.register_meter(operator, NEW, OTHER.address, at=second + 800)
    growing.community.accept_meter(WALLET, OTHER.address, at=second + 900)
    growing.live.advance(second + 1000)
    meters = [growing.exchange.meters_of(slot)[NEW] for slot in (first, second, third)]
    assert meters == [METER.address, METER.address, OTHER.address]
    late = third + HOUR
    said = growing.live.readings(
        [
            growing.reads(first, 10, 1), growing.reads(second, 10, 2), growing.reads(third, 10, 3),
            growing.reads(second, 10, 1, OTHER), growing.reads(third, 10, 2, OTHER),
        ],
        late,
    )  # fmt: skip
    assert [each.status for each in said] == [STORED, STORED, REFUSED, REFUSED, STORED]
    assert "was taken out of service" in said[2].why
    assert "is in service since" in said[3].why


def test_a_member_without_a_mandate_is_stated_and_trades_nothing(growing: Growing) -> None:
    first = growing.starts[0]
    growing.enrol(first - 2 * HOUR)
    for now in (first - HOUR, first):
        growing.live.advance(now)
    (refused,) = growing.live.orders([growing.sells(growing.starts[2])], first + 60)
    assert "not known here" in str(refused)
    for number, readings in enumerate(([], [growing.reads(growing.starts[1], 1_000, 1)])):
        slot = growing.starts[number]
        growing.live.readings([*growing.everybody(slot), *readings], slot + HOUR)
        growing.live.advance(slot + HOUR + 61)
        posted = growing.exchange.recalled(slot, 0)
        statement = posted.statements[NEW]
        assert statement
        assert (statement.bought, statement.sold, statement.money) == (0, 0, 0)
        assert looked(growing, posted, NEW) == []


def test_mandates_that_cannot_be_are_refused_and_a_newer_one_takes_the_place(growing: Growing) -> None:
    first, second = growing.starts[:2]
    with pytest.raises(RecordError, match="not registered here"):
        growing.roster.file(growing.mandate(), first)
    growing.enrol(first - 2 * HOUR)
    with pytest.raises(SignatureError):
        growing.roster.file(growing.mandate(AGENT), first)
    growing.roster.file(growing.mandate(), first)
    with pytest.raises(SequenceError, match="nonce 1 is not above 1"):
        growing.roster.file(growing.mandate(sell_wh=9), second)
    growing.roster.file(growing.mandate(sell_wh=9, nonce=2), second)
    limits = [growing.exchange.limits_of(slot).sell_wh[NEW] for slot in (first, second)]
    assert limits == [5_000, 9]


def test_names_are_kept_and_everything_is_there_after_a_restart(growing: Growing) -> None:
    first = growing.starts[0]
    growing.enrol(first - 2 * HOUR)
    growing.roster.file(growing.mandate(), first)
    again = Enrolled(growing.exchange.store, growing.client, growing.rules.community)
    assert not again.follow()
    one, other = growing.roster.at(first), again.at(first)
    assert (one.mandates, one.meters) == (other.mandates, other.meters)
    assert [member.id for member in again.members][:NEW] == [each.id for each in growing.rules.community.members]
    own = again.members[NEW]
    assert (own.id, own.bus, own.wallet, own.meter, own.role) == (
        "newcomer", "Bus 7", WALLET.address, METER.address, Role.PROSUMER,
    )  # fmt: skip
    assert again.at(first - 3 * HOUR).meters[NEW:] == ()
    assert NO_METER not in one.meters
    assert np.array_equal(one.limits.buy_wh, other.limits.buy_wh)
    assert isinstance(growing.exchange.next_gate, GateClosure)
    assert isinstance(growing.exchange.next_end, SlotEnd)


def test_an_account_that_was_replaced_keeps_its_orders_and_its_successor_begins_anew(growing: Growing) -> None:
    first, second = growing.starts[:2]
    growing.enrol(first - 2 * HOUR)
    growing.roster.file(growing.mandate(nonce=7), first)
    growing.live.advance(first - HOUR)
    (receipt,) = growing.live.orders([growing.sells(second)], first - 60)
    assert not isinstance(receipt, RecordError)
    heir = Key.derive(b"newcomer", "new wallet")
    arguments = {"member": NEW, "former": WALLET.address, "account": heir.address}
    log = Log(growing.client.addresses.community, (), b"", 0, b"")
    with growing.exchange.store.transaction() as connection:
        _note(connection, Event("AccountReplaced", arguments, log), first - 30)
    again = Enrolled(growing.exchange.store, growing.client, growing.rules.community)
    opened = Exchange(growing.rules, growing.exchange.store, growing.client, growing.exchange.outbox.quorum, again)
    (kept,) = opened.accepted[second].signed
    assert (kept.record.member, kept.hash) == (WALLET.address, hash_struct(kept.record))
    assert again.at(first).mandates[NEW].signature == b""  # until the new account gives one
    draft = replace(growing.mandate().record, member=heir.address, nonce=1)
    community = growing.rules.community
    words = community.currency, community.timezone, community.slot_seconds, community.unit
    worded = replace(draft, text=mandate_text(draft, *words))
    again.file(sign(growing.client.domain, worded, heir), first)
    assert again.at(first).mandates[NEW].record.member == heir.address


def test_a_mandate_that_is_over_stands_for_none_and_none_before_it_comes_back(growing: Growing) -> None:
    first, second, third, fourth = growing.starts[:4]
    growing.enrol(first - 2 * HOUR)
    growing.roster.file(growing.mandate(), first)
    growing.roster.file(growing.mandate(nonce=3, sell_wh=9, valid_until=third), second)
    limits = [int(growing.exchange.limits_of(slot).sell_wh[NEW]) for slot in (first, second, third, fourth)]
    assert limits == [5_000, 9, 0, 0]
    assert growing.roster.at(third).mandates[NEW].signature == b""
    assert WALLET.address not in growing.roster.at(third).filed
    with pytest.raises(SequenceError, match="nonce 2 is not above 3"):
        growing.roster.file(growing.mandate(nonce=2), third)
    for mandate in (growing.mandate(nonce=4, valid_from=fourth), growing.mandate(nonce=4, valid_until=third)):
        with pytest.raises(RecordError, match=f"does not hold when slot {third} begins"):
            growing.roster.file(mandate, third)
    growing.roster.file(growing.mandate(nonce=4, valid_from=fourth), fourth)
    assert [bool(growing.roster.at(slot).mandates[NEW].signature) for slot in (third, fourth)] == [False, True]


def test_a_mandate_holds_from_a_slot_behind_those_that_ended_or_were_ordered_under_the_one_before(
    growing: Growing,
) -> None:
    first, second, third, fourth = growing.starts[:4]
    growing.enrol(first - 2 * HOUR)
    growing.roster.file(growing.mandate(), first)
    for now in (first - HOUR, first):
        growing.live.advance(now)
    (receipt,) = growing.live.orders([growing.sells(third)], first + 60)
    assert not isinstance(receipt, RecordError)
    for since in (first, second, third):
        with pytest.raises(RecordError, match=f"can hold from slots after {third} on"):
            growing.roster.file(growing.mandate(nonce=2), since)
    growing.roster.file(growing.mandate(nonce=2), fourth)
    growing.live.advance(first + HOUR + 60)
    growing.live.advance(second + HOUR + 60)
    growing.live.advance(third + HOUR + 60)
    growing.live.advance(fourth + HOUR + 60)
    with pytest.raises(RecordError, match=f"can hold from slots after {fourth} on"):
        growing.roster.file(growing.mandate(nonce=3), fourth)


def test_orders_of_who_is_suspended_before_their_gate_are_void(growing: Growing) -> None:
    first = growing.starts[0]
    growing.enrol(first - 3 * HOUR)
    growing.roster.file(growing.mandate(), first)
    (receipt,) = growing.live.orders([growing.sells(first)], first - 2 * HOUR)
    assert not isinstance(receipt, RecordError)
    standing = growing.community.standing(NEW, active=False)
    signed = signatures(growing.community.domain, standing, growing.exchange.outbox.quorum)
    growing.community.set_standing(growing.homes.keys.operator, standing, signed, at=first - HOUR - 600)
    growing.live.advance(first - HOUR)
    declared = growing.exchange.committed[first].cleared.declared
    assert (len(declared.signed), len(declared.orders.member)) == (1, 0)
    growing.live.readings([*growing.everybody(first), growing.reads(first, 1_000, 1)], first + HOUR)
    growing.live.advance(first + HOUR)
    posted = growing.exchange.recalled(first, 0)
    statement = posted.statements[NEW]
    assert statement
    assert statement.sold == 0
    assert looked(growing, posted, NEW) == []
