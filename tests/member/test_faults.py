"""Every way in which a post can be wrong: the member's own data show it, and the chain believes the proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lies import (
    LIES,
    OTHERS,
    Lie,
    another_delta,
    deeper,
    moved_without_a_statement,
    over,
    passed_over,
    with_a_hole,
    with_one_more,
)
from order_cases import Themselves
from stopped_days import LATE, MOST_GAS, Correcting, Day, entry_of, look, opened, publish, purse

from commonwatt.accounts.promise import Placed, Promise
from commonwatt.errors import LedgerError, Reverted
from commonwatt.exchange.answers import answers, order_answer, receipts
from commonwatt.exchange.excerpt import placed, promised
from commonwatt.exchange.states import Posted
from commonwatt.ledger.client.abi import events
from commonwatt.ledger.client.demands import DemandsClient
from commonwatt.ledger.client.disputes import DisputesClient, Leaf, Stated
from commonwatt.member.answered import shown_by
from commonwatt.member.challenge import chain_of
from commonwatt.member.faults import DEMAND, Chain, Fault, faults
from commonwatt.proof import Tree, keccak, sign
from commonwatt.records import ZERO_HASH
from commonwatt.units import decimal_text

ALL = [*LIES.items(), *OTHERS]
NAMES = [f"{name}-{lie.__name__}" for name, lie in ALL]
Opened = tuple[Day, int]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """A day that stopped before a slot, whose honest post may be on its chain."""
    day = opened(tmp_path_factory.mktemp("faults"))
    yield day, day.until_rich()
    day.close()


def proved(day: Day, false: Posted, prover: int, fault: Fault) -> None:
    """The chain deletes the post for it."""
    client, at = day.exchange.client, publish(day, false)
    key, post = purse(day, prover), false.post
    receipt = DisputesClient(client).challenge(key, fault.function, post, fault.arguments, at=at + 2)
    assert "Struck" in [event.name for event in events(receipt)]
    assert receipt.gas_used <= MOST_GAS
    assert client.posted(post.slot, post.revision) is None


@pytest.mark.parametrize(("name", "lie"), ALL, ids=NAMES)
def test_a_lie_is_found_and_the_chain_deletes_the_post(struck: Opened, name: str, lie: Lie) -> None:
    day, member = struck
    false = lie(day, day.stopped, member)
    found = look(day, false, day.stopped, member)
    assert all(fault.function != DEMAND for fault in found)
    proved(day, false, member, next(fault for fault in found if fault.function == name))


def test_every_fault_that_is_found_deletes_the_post_and_not_the_first_alone(struck: Opened) -> None:
    day, member = struck
    sent = set[str]()
    for _, lie in ALL:
        false = lie(day, day.stopped, member)
        for fault in look(day, false, day.stopped, member):
            if fault.function not in sent:
                sent.add(fault.function)
                proved(day, false, member, fault)
    assert sent == {*LIES}


def test_an_honest_post_has_no_fault_and_no_proof_against_it_is_believed(stopped: Opened) -> None:
    day, member = stopped
    assert [fault for each in range(day.rules.members) for fault in look(day, day.stopped, day.stopped, each)] == []
    client, at = day.exchange.client, publish(day, day.stopped)
    disputes, demands = DisputesClient(client), DemandsClient(client)
    for name, lie in ALL:
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


def test_a_revision_has_no_fault(struck: Opened) -> None:
    day, _ = struck
    assert [look(day, day.stopped, day.stopped, each) for each in range(day.rules.members)] == [[]] * day.rules.members


def told(
    day: Day, shown: Posted, member: int, change: Callable[[Any, Any], None] = lambda _line, _proof: None, **chain: Any
) -> list[Fault]:
    """What the member finds without anything that it kept. change : of the entry and the proof that it is shown"""
    line, proof = entry_of(day, shown, member)
    change(line, proof)
    known = replace(chain_of(shown.post, member, day.exchange.client), deltas=shown.deltas, **chain)
    return faults(line, proof, member, day.exchange.mandates[member], known, shown.post)


# What is not shown


def _no_reading(line: Any, proof: Any) -> None:
    line["reading"] = None


def _no_reading_but_the_salt(day: Day, member: int) -> Callable[[Any, Any], None]:
    own = day.stopped.statements[member]
    assert own

    def change(line: Any, proof: Any) -> None:
        line["reading"], proof["salt"] = None, f"0x{own.salt.hex()}"
        sums = [own.bought, own.sold, own.money, f"0x{own.reading.hex()}", f"0x{own.lines.hex()}"]
        lines = [
            [each.bought, each.sold, each.money, f"0x{each.trade.hex()}", f"0x{each.order.hex()}"]
            for each in day.stopped.lines[member]
        ]
        proof["stated"] = {"sums": sums, "lines": lines}

    return change


def test_a_reading_that_is_kept_back_is_demanded(stopped: Opened) -> None:
    """The statement names it, and shows no signature of the meter: the lines could rest on any number."""
    day, member = stopped
    slot = day.stopped.post.slot
    assert told(day, day.stopped, member) == []
    (found,) = told(day, day.stopped, member, _no_reading)
    whole = "what was posted is not shown whole (the statement does not lead to the posted ones)"
    assert (found.function, found.says) == (DEMAND, f"Slot {slot}: {whole}")
    (found,) = told(day, day.stopped, member, _no_reading_but_the_salt(day, member))
    assert (found.function, found.says) == (DEMAND, f"Slot {slot}: the reading that its statement names is not shown")


def _no_trade(line: Any, proof: Any) -> None:
    line["trades"].pop()


def _no_siblings(line: Any, proof: Any) -> None:
    proof["siblings"] = "0x"


def _another_salt(line: Any, proof: Any) -> None:
    proof["salt"] = f"0x{'11' * 32}"


def _nothing_committed(line: Any, proof: Any) -> None:
    proof["committed"] = None


def _less_committed(line: Any, proof: Any) -> None:
    proof["committed"]["beside"] = "0x"
    proof["committed"]["depth"] += 1


def _no_statement(line: Any, proof: Any) -> None:
    proof["stated"] = False


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_no_trade, "the statement does not lead to the posted ones"),
        (_no_siblings, "the statement does not lead to the posted ones"),
        (_another_salt, "the statement does not lead to the posted ones"),
        (_no_statement, "the statement does not lead to the posted ones"),
        (_nothing_committed, "it is not shown that the trades were committed before delivery"),
        (_less_committed, "the trades do not lead to what was committed"),
    ],
)
def test_what_does_not_lead_to_the_post_is_demanded(
    stopped: Opened, change: Callable[[Any, Any], None], sentence: str
) -> None:
    day, member = stopped
    (found,) = told(day, day.stopped, member, change)
    assert found.function == DEMAND
    assert sentence in found.says


def test_who_joined_after_the_slot_may_have_no_statement_as_long_as_nothing_moves(stopped: Opened) -> None:
    day, member = stopped
    nothing, moved = (lie(day, day.stopped, member) for lie in (passed_over, moved_without_a_statement))
    slot, credit = nothing.post.slot, int(day.stopped.account.credit[member])
    (found,) = told(day, nothing, member, registered_at=slot - 1)
    assert (found.function, found.says) == ("challengeUnstated", f"Slot {slot}: the member was passed over")
    assert told(day, nothing, member, registered_at=slot) == []
    for since in (slot - 1, slot):
        (found,) = told(day, moved, member, registered_at=since)
        says = f"Slot {slot}: the balance moves by {decimal_text(credit)}, and no statement says why"
        assert (found.function, found.says) == ("challengeUnstated", says)


@pytest.mark.parametrize("unit", [1, 100, 1_000_000])
def test_a_moved_balance_is_told_in_the_currency(stopped: Opened, unit: int) -> None:
    day, member = stopped
    false = another_delta(day, day.stopped, member)
    (says,) = (found.says for found in told(day, false, member, unit=unit) if found.function == "challengeDelta")
    right = int(day.stopped.account.credit[member])
    assert says == (
        f"Slot {false.post.slot}: the balance moves by {decimal_text((right - 1000) * unit)}, "
        f"the lines add up to {decimal_text(right * unit)}"
    )


def test_an_accepted_order_that_is_left_out_is_demanded(tmp_path: Path) -> None:
    day = opened(tmp_path)
    member, client = day.until_rich(), day.exchange.client
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


@pytest.mark.parametrize("tree", [deeper, with_a_hole, with_one_more])
@pytest.mark.parametrize("most_lines", [1, 100])
def test_lines_that_nobody_can_show_whole_are_demanded_and_the_post_lapses(
    struck: Opened, tree: Callable[[Sequence[bytes]], Tree], most_lines: int
) -> None:
    day, member = struck
    client, demands = day.exchange.client, DemandsClient(day.exchange.client)
    false, made = over(day.stopped, member, tree)
    (found,) = look(day, false, day.stopped, member)
    assert (found.function, "not all of the lines are shown" in found.says) == (DEMAND, True)
    key, _, post = purse(day, member), publish(day, false), false.post
    demands.demand(key, post, member, at=client.node.head.timestamp + 1)
    # Neither with the tree that the lines need, nor with the one that the statement is over.
    parts = list(answers(false, member, day.exchange.mandates[member], most_lines=most_lines))
    with pytest.raises(LedgerError, match=r"NotInTree|WrongBorder|Incomplete"):
        demands.answer(post, member, parts, at=client.node.head.timestamp + 1)
    for part in parts:
        for last in {part.last, False}:
            end = 1 << made.depth if last else part.next
            border = made.beside(range(part.position, end))
            with suppress(LedgerError):
                given = replace(part, last=last, depth=made.depth, border=border)
                demands.answer(post, member, [given], at=client.node.head.timestamp + 1)
    asked = demands.demand_of(post, member)
    assert asked
    assert not asked.answered
    demands.lapse(key, post, member, at=asked.until + 1)
    assert client.posted(post.slot, post.revision) is None


def test_a_line_behind_an_empty_place_deletes_the_post_at_once(struck: Opened) -> None:
    """For who is shown such a line, and not all of them."""
    day, member = struck
    client, (false, made) = day.exchange.client, over(day.stopped, member, with_a_hole)
    own, (_, second, *_) = false.statements[member], false.lines[member]
    assert own
    key, at, stated = purse(day, member), publish(day, false), Stated(member, own, false.tree.proof(member))
    arguments = stated, made.proof(1), Leaf(second, 2, made.proof(2))
    DisputesClient(client).challenge(key, "challengeHole", false.post, arguments, at=at + 1)
    assert client.posted(false.post.slot, false.post.revision) is None


def test_what_was_answered_is_what_an_excerpt_shows(tmp_path: Path) -> None:
    day = opened(tmp_path, LATE, Correcting)
    member, client = day.until_rich(), day.exchange.client
    post, mandate = day.stopped.post, day.exchange.mandates[member]
    at, demands = publish(day, day.stopped), DemandsClient(client)
    demands.demand(purse(day, member), post, member, at=at + 1)
    demands.answer(post, member, answers(day.stopped, member, mandate, most_lines=2), at=at + 3)
    line, proof = shown_by(post, member, demands.answered(post, member))
    expected, whole = entry_of(day, day.stopped, member)
    assert line == expected
    # Orders that were replaced are no part of an answer, and it says what the trades make.
    assert {**proof, "orders": [], "salt": None, "stated": None} == {**whole, "orders": []}
    assert faults(line, proof, member, mandate, chain_of(post, member, client), post) == []
    day.close()


def test_what_was_kept_from_the_gate_proves_nothing_unless_it_was_committed(stopped: Opened) -> None:
    day, member = stopped
    kept = promised(day.stopped.delivered.committed, member)
    mandate, chain = day.exchange.mandates[member], chain_of(day.stopped.post, member, day.exchange.client)
    shown, chain = entry_of(day, day.stopped, member), replace(chain, deltas=day.stopped.deltas)
    dearer = {number: replace(each, record=replace(each.record, price=1)) for number, each in kept.items()}
    another = {
        number + 7: replace(each, record=replace(each.record, number=number + 7)) for number, each in kept.items()
    }
    for promises in (kept, dearer, another):
        assert faults(*shown, member, mandate, chain, day.stopped.post, promises) == []
    # What was committed for another slot is not left out here.
    record = replace(kept[min(kept)].record, slot=day.stopped.post.slot + 3600, number=7)
    later = Promise(record, (ZERO_HASH,) * 3)
    chain = replace(chain, commitment=keccak(day.stopped.post.orders + later.root))
    assert later.under(day.stopped.post.orders, chain.commitment)
    (found,) = faults(*shown, member, mandate, chain, day.stopped.post, {7: later})
    assert found.function == DEMAND


def test_a_replaced_order_is_known_from_the_gate_even_when_nobody_shows_it_later(stopped: Opened) -> None:
    day, member = stopped
    false = LIES["challengeReplaced"](day, day.stopped, member)
    mandate, client = day.exchange.mandates[member], day.exchange.client
    line, proof = entry_of(day, false, member)
    hidden = {**proof, "orders": []}
    chain = Chain(day.exchange.domain, client.commitment(false.post.slot), false.deltas)

    def found(shown: Any, orders: Sequence[Placed] = ()) -> list[Fault]:
        return [
            fault
            for fault in faults(line, shown, member, mandate, chain, false.post, None, orders)
            if fault.function == "challengeReplaced"
        ]

    assert not found(hidden)
    kept = placed(day.stopped.delivered.committed, member)
    assert [fault.arguments for fault in found(hidden, kept)] == [fault.arguments for fault in found(proof)]
    nonces = {placed_.order.nonce for placed_ in kept}
    assert {fault.says.partition(": ")[2] for fault in found(hidden, kept)} <= {
        f"a trade under order {nonce - 1}, which order {nonce} replaced or cancelled" for nonce in nonces
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
    day = opened(tmp_path)
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
