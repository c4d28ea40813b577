"""Every way in which a post can be wrong: the member's own data show it, and the chain believes the proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from exchange_cases import START, written
from lies import (
    LATE,
    LIES,
    MOST_GAS,
    OF_REVISIONS,
    TEXT,
    Correcting,
    Day,
    another_delta,
    from_nowhere,
    look,
    publish,
    purse,
    shown_to,
    with_two_ends,
)
from order_cases import Themselves

from commonwatt.accounts.promise import Placed
from commonwatt.errors import Reverted
from commonwatt.exchange.answers import answers, order_answer, receipts
from commonwatt.exchange.checking import load
from commonwatt.exchange.excerpt import excerpt, placed, promised
from commonwatt.exchange.states import Posted
from commonwatt.ledger.client.abi import events
from commonwatt.ledger.client.demands import DemandsClient
from commonwatt.ledger.client.disputes import DisputesClient
from commonwatt.member.answered import shown_by
from commonwatt.member.ends import between
from commonwatt.member.faults import DEMAND, Chain, Fault, faults
from commonwatt.member.page import Page, read
from commonwatt.proof import keccak, sign
from commonwatt.simulation.api import first_day
from commonwatt.study.trades import without
from commonwatt.units import decimal_text


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Day, int]]:
    folder = tmp_path_factory.mktemp("faults")
    community = load(written(folder, TEXT))
    day = Day(community, folder, first_day(START, 1)[0], 1)
    member = day.until_rich()
    yield day, member
    day.close()


def test_an_honest_post_has_no_fault_and_no_proof_against_it_is_believed(stopped: tuple[Day, int]) -> None:
    day, member = stopped
    assert [fault for each in range(day.rules.members) for fault in look(day, day.stopped, day.stopped, each)] == []
    client, at = day.exchange.client, publish(day, day.stopped)
    disputes, demands = DisputesClient(client), DemandsClient(client)
    for name, lie in LIES.items():
        found = look(day, lie(day, day.stopped, member), day.stopped, member)
        proof = next(fault for fault in found if fault.function == name)
        with pytest.raises(Reverted):
            disputes.challenge(client.key, name, day.stopped.post, proof.arguments, at=at)
    # The honest operator answers what a member demands, and the post stays.
    key = purse(day, member)
    demands.demand(key, day.stopped.post, member, at=client.node.head.timestamp + 1)
    shown = answers(day.stopped, member, day.exchange.mandates[member])
    (receipt,) = demands.answer(day.stopped.post, member, shown, at=client.node.head.timestamp + 1)
    assert [event.name for event in events(receipt)] == ["Answered"]
    with pytest.raises(Reverted, match="AlreadyAnswered"):
        demands.lapse(key, day.stopped.post, member, at=client.node.head.timestamp + 1801)


def test_a_reading_that_is_kept_back_is_demanded(stopped: tuple[Day, int]) -> None:
    """Its place among the posted ones shows no signature of the meter: the lines could rest on any number."""
    day, member = stopped
    line, proof = excerpted(day, member)
    mandate = day.exchange.mandates[member].record
    post = day.stopped.post
    chain = Chain(day.exchange.domain, day.exchange.client.commitment(post.slot), day.stopped.deltas)
    assert line["reading"]
    assert faults(line, proof, member, mandate, chain) == []
    (told,) = faults({**line, "reading": None}, proof, member, mandate, chain)
    assert (told.function, told.says) == (DEMAND, f"Slot {post.slot}: the reading that its lines name is not shown")


@pytest.mark.parametrize("unit", [1, 100, 1_000_000])
def test_a_moved_balance_is_told_in_the_currency(stopped: tuple[Day, int], unit: int) -> None:
    day, member = stopped
    false = another_delta(day, day.stopped, member)
    document = excerpt(false, member, day.exchange.mandates[member], day.exchange.client)
    slot = str(false.post.slot)
    mandate = day.exchange.mandates[member].record
    chain = Chain(day.exchange.domain, day.exchange.client.commitment(false.post.slot), false.deltas, unit)
    found = faults(document["content"]["slots"][0], document["proofs"][slot], member, mandate, chain)
    (told,) = (fault.says for fault in found if fault.function == "challengeDelta")
    right = int(day.stopped.account.credit[member])
    assert told == (
        f"Slot {slot}: the balance moves by {decimal_text((right - 1000) * unit)}, "
        f"the lines add up to {decimal_text(right * unit)}"
    )


def test_an_accepted_order_that_is_left_out_is_demanded(tmp_path: Path) -> None:
    community = load(written(tmp_path, TEXT))
    day = Day(community, tmp_path, first_day(START, 1)[0], 1)
    member = day.until_rich()
    client = day.exchange.client
    declared = day.stopped.delivered.committed.cleared.declared
    kept = receipts(declared, day.exchange.domain, day.exchange.outbox.quorum)
    key, demands = purse(day, member), DemandsClient(client)
    publish(day, day.stopped)
    # One that is there is shown, and the post stays.
    (receipt,) = kept[1]
    demands.demand_order(key, day.stopped.post, kept[1], at=client.node.head.timestamp + 1)
    siblings = order_answer(day.stopped, receipt.record)
    demands.answer_order(day.stopped.post, receipt.record, siblings, at=client.node.head.timestamp + 1)
    # One that is not cannot be shown.
    missing = replace(receipt.record, order=keccak(b"accepted, but left out"))
    signed = sign(day.exchange.domain, missing, day.exchange.outbox.quorum[0])
    demands.demand_order(key, day.stopped.post, [signed], at=client.node.head.timestamp + 1)
    with pytest.raises(Reverted, match="NotInTree"):
        demands.answer_order(day.stopped.post, missing, siblings, at=client.node.head.timestamp + 1)
    demands.lapse_order(key, day.stopped.post, missing, at=client.node.head.timestamp + 1801)
    assert client.posted(day.stopped.post.slot, 0) is None
    day.close()


def proved(day: Day, false: Posted, prover: int, fault: Fault) -> None:
    """The chain deletes the post for it, and takes the honest one."""
    client, at = day.exchange.client, publish(day, false)
    key, post = purse(day, prover), false.post
    receipt = DisputesClient(client).challenge(key, fault.function, post, fault.arguments, at=at + 2)
    assert "Struck" in [event.name for event in events(receipt)]
    assert receipt.gas_used <= MOST_GAS
    assert client.posted(post.slot, post.revision) is None
    publish(day, day.stopped)
    assert client.posted(post.slot, post.revision) is not None


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_found_and_the_chain_deletes_the_post(tmp_path: Path, name: str) -> None:
    day = Day(load(written(tmp_path, TEXT)), tmp_path, first_day(START, 1)[0], 1)
    member = day.until_rich()
    false = LIES[name](day, day.stopped, member)
    found = look(day, false, day.stopped, member)
    assert all(fault.function != DEMAND for fault in found[:1])
    proved(day, false, member, next(fault for fault in found if fault.function == name))
    day.close()


@pytest.mark.parametrize("name", OF_REVISIONS)
def test_a_lie_in_a_revision_is_found_and_the_chain_deletes_it(tmp_path: Path, name: str) -> None:
    day = Day(load(written(tmp_path, LATE)), tmp_path, first_day(START, 1)[0], 1, engine=Correcting)
    member = day.until_rich()
    assert day.stopped.post.revision == 1
    assert [look(day, day.stopped, day.stopped, each) for each in range(day.rules.members)] == [[]] * day.rules.members
    false = OF_REVISIONS[name](day, day.stopped, member)
    found = look(day, false, day.stopped, member)
    proved(day, false, member, next(fault for fault in found if fault.function == name))
    day.close()


def test_what_the_revision_before_had_is_shown_or_demanded_and_answered(tmp_path: Path) -> None:
    day = Day(load(written(tmp_path, LATE)), tmp_path, first_day(START, 1)[0], 1, engine=Correcting)
    member, client = day.until_rich(), day.exchange.client
    post, mandate = day.stopped.post, day.exchange.mandates[member]
    at = publish(day, day.stopped)
    shown = excerpt(day.stopped, member, mandate, client)
    earlier = client.announced(post.slot, 0)
    chain = Chain(day.exchange.domain, client.commitment(post.slot), day.stopped.deltas, earlier=earlier)
    (told,) = faults(shown["content"]["slots"][0], shown["proofs"][str(post.slot)], member, mandate.record, chain)
    assert (told.function, told.says) == (
        DEMAND,
        f"Slot {post.slot}: what the revision before had of the member is not shown",
    )
    demands = DemandsClient(client)
    demands.demand(purse(day, member), post, member, at=at + 1)
    with pytest.raises(Reverted, match="ForeignLine"):
        demands.answer(post, member, answers(day.stopped, member, mandate), at=at + 2)
    demands.answer(post, member, answers(day.stopped, member, mandate, day.earlier), at=at + 3)
    line, proof = shown_by(post, member, demands.answered(post, member))
    expected, whole = excerpted(day, member)
    # Orders that were replaced are no part of an answer.
    assert (line, {**proof, "orders": whole["orders"]}) == (expected, whole)
    assert faults(line, proof, member, mandate.record, chain) == []
    day.close()


def excerpted(day: Day, member: int) -> tuple[Any, Any]:
    document = shown_to(day, day.stopped, member)
    return document["content"]["slots"][0], document["proofs"][str(day.stopped.post.slot)]


def test_sums_that_begin_with_a_line_that_is_not_there(tmp_path: Path) -> None:
    day = Day(load(written(tmp_path, TEXT)), tmp_path, first_day(START, 1)[0], 1)
    day.until_rich()
    false = from_nowhere(day.stopped)
    first, *_ = look(day, false, day.stopped, 0)
    assert first.function == "challengeGap"
    proved(day, false, 0, first)
    day.close()


def test_two_ends_of_a_trade_show_to_who_sees_both(tmp_path: Path) -> None:
    day = Day(load(written(tmp_path, TEXT)), tmp_path, first_day(START, 1)[0], 1)
    member = day.until_rich()
    false, other = with_two_ends(day, day.stopped, member)
    assert [look(day, false, day.stopped, each) for each in (member, other)] == [[], []]
    pages = [page_of(day, false, each) for each in (member, other)]
    assert between(pages[:1]) == between([pages[0], pages[0]]) == []
    (fault,) = between(pages)
    assert fault.function == "challengeSides"
    proved(day, false, member, fault)
    day.close()


def test_an_honest_post_has_no_fault_between_two_ends(stopped: tuple[Day, int]) -> None:
    day, _ = stopped
    pages = [page_of(day, day.stopped, member) for member in range(day.rules.members)]
    assert any(page.trading for page in pages)
    committed = day.stopped.delivered.committed
    kept = [promise for member in range(day.rules.members) for promise in promised(committed, member).values()]
    assert kept
    assert between(pages, kept) == []
    # What stands where a line is missing is found wherever it would be.
    for trade in day.stopped.records:
        for member in (trade.buyer, trade.seller):
            hidden = without(day.stopped, trade, member)
            shown = replace(hidden, records=day.stopped.records, account=day.stopped.account)
            both = [page_of(day, hidden if each == member else shown, each) for each in (trade.buyer, trade.seller)]
            (fault,) = between(both)
            assert (fault.function, fault.arguments[:2]) == ("challengeMissing", (trade, member == trade.seller))


def page_of(day: Day, posted: Posted, member: int) -> Page:
    shown, mandate = shown_to(day, posted, member), day.exchange.mandates[member].record
    return read(
        shown["content"]["slots"][0], shown["proofs"][str(posted.post.slot)], member, mandate, day.exchange.domain
    )


def test_a_replaced_order_is_known_from_the_gate_even_when_nobody_shows_it_later(stopped: tuple[Day, int]) -> None:
    day, member = stopped
    false = LIES["challengeReplaced"](day, day.stopped, member)
    mandate, client = day.exchange.mandates[member], day.exchange.client
    document = excerpt(false, member, mandate, client)
    (line,), proof = document["content"]["slots"], document["proofs"][str(false.post.slot)]
    hidden = {**proof, "orders": []}
    chain = Chain(day.exchange.domain, client.commitment(false.post.slot), false.deltas)

    def found(shown: Any, orders: Sequence[Placed] = ()) -> list[Fault]:
        return [
            fault
            for fault in faults(line, shown, member, mandate.record, chain, None, orders)
            if fault.function == "challengeReplaced"
        ]

    assert not found(hidden)
    kept = placed(day.stopped.delivered.committed, member)
    assert [fault.arguments for fault in found(hidden, kept)] == [fault.arguments for fault in found(proof)]
    assert {fault.says.partition(": ")[2] for fault in found(hidden, kept)} == {
        "a trade under order 0, which order 1 replaced or cancelled"
    }
    # What does not lead to the posted orders proves nothing, nor does an order for another slot, or an earlier one.
    for one in kept:
        for other in (
            replace(one, position=one.position + 1),
            replace(one, siblings=()),
            replace(one, order=replace(one.order, slot=one.order.slot + 3600)),
            replace(one, order=replace(one.order, nonce=0)),
        ):
            assert not found(hidden, [other])
    # The honest post is under the later one.
    assert not [fault for fault in look(day, day.stopped, day.stopped, member) if fault.function == "challengeReplaced"]


def test_the_chain_takes_a_members_own_order_without_a_mandate(tmp_path: Path) -> None:
    community = load(written(tmp_path, TEXT))
    day = Day(community, tmp_path, first_day(START, 1)[0], 1)
    day.homes = Themselves.of(day.homes)
    member = day.until_rich()
    assert [fault for each in range(day.rules.members) for fault in look(day, day.stopped, day.stopped, each)] == []
    client, key = day.exchange.client, purse(day, member)
    at, demands = publish(day, day.stopped), DemandsClient(client)
    demands.demand(key, day.stopped.post, member, at=at)
    shown = answers(day.stopped, member, day.exchange.mandates[member])
    (receipt,) = demands.answer(day.stopped.post, member, shown, at=at + 1)
    assert [event.name for event in events(receipt)] == ["Answered"]
    # Under the agent's order that it replaced itself, a trade is a fault.
    false = LIES["challengeReplaced"](day, day.stopped, member)
    assert "challengeReplaced" in [fault.function for fault in look(day, false, day.stopped, member)]
    day.close()
