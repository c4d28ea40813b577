"""What operators answer to a demand, in as many parts as blocks take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plant import BLOCK_GAS, MEMBERS, PLANT, TOWN, Sold, selling

from commonwatt.errors import LedgerError, Reverted, StoreError, VerificationError
from commonwatt.exchange.answers import MOST_LINES, answers
from commonwatt.exchange.excerpt import excerpt
from commonwatt.exchange.proofs import SlotProof
from commonwatt.exchange.store import Store
from commonwatt.ledger.client.abi import events
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.demands import Answer, DemandsClient
from commonwatt.ledger.client.settlement import Enrolment
from commonwatt.ledger.node import Transaction
from commonwatt.member.answered import mandate_in, shown_by
from commonwatt.member.challenge import chain_of
from commonwatt.member.faults import Chain, faults
from commonwatt.member.page import trades_of, ways
from commonwatt.proof import Key, keccak, sign

MOST_GAS_A_LINE = 27_500
"""With consents, readings and all else that is once for an answer."""


def parts(sold: Sold, shown: int = 0, most_lines: int = MOST_LINES) -> list[Answer]:
    return [*answers(sold.posted, PLANT, sold.mandates[PLANT], shown=shown, most_lines=most_lines)]


def asked(sold: Sold, member: int = PLANT) -> DemandsClient:
    demands, client = DemandsClient(sold.client), sold.client
    demands.demand(MEMBERS[member], sold.posted.post, member, at=client.node.head.timestamp + 1)
    return demands


def judged(sold: Sold, demands: DemandsClient) -> list[str]:
    """What the plant finds in what was answered on the chain."""
    post, given = sold.posted.post, demands.answered(sold.posted.post, PLANT)
    line, proof = shown_by(post, PLANT, given)
    mandate = mandate_in(given)
    assert mandate == sold.mandates[PLANT]
    assert len(proof["stated"]["lines"]) == len(sold.posted.records)
    chain = Chain(sold.client.domain, sold.client.commitment(post.slot), sold.posted.deltas)
    return [fault.says for fault in faults(line, proof, PLANT, mandate, chain, post)]


def test_a_plant_with_two_thousand_buyers_in_a_slot_is_answered_for_on_blocks_of_ten_million_gas() -> None:
    with selling(2_000, ahead=2_000) as sold:
        demands, post = asked(sold), sold.posted.post
        assert sold.client.node.head.gas_limit == BLOCK_GAS
        receipts = demands.answer(post, PLANT, parts(sold), at=sold.client.node.head.timestamp + 1)
        assert len(receipts) == 2_000 // MOST_LINES
        gas = sum(receipt.gas_used for receipt in receipts)
        assert gas <= MOST_GAS_A_LINE * 2_000, gas / 2_000
        names = [event.name for receipt in receipts for event in events(receipt)]
        assert names == ["AnsweredInPart"] * (len(receipts) - 1) + ["Answered"]
        assert judged(sold, demands) == []


@pytest.mark.parametrize("most_lines", [1, 7, 10, 20, 21])
def test_an_answer_that_stopped_after_any_part_goes_on_from_what_the_chain_has(most_lines: int) -> None:
    with selling(20, ahead=10) as sold:
        demands, post, client = asked(sold), sold.posted.post, sold.client
        sent = 0
        while not (demand := demands.demand_of(post, PLANT)) or not demand.answered:
            assert demand is not None
            first = parts(sold, demand.next, most_lines)[:1]
            demands.answer(post, PLANT, first, at=client.node.head.timestamp + 1)
            sent += 1
        assert sent == -(-20 // most_lines)
        assert judged(sold, demands) == []


def test_parts_go_on_with_another_length_and_neither_skip_nor_repeat_a_line() -> None:
    with selling(20, ahead=10) as sold:
        demands, post, client = asked(sold), sold.posted.post, sold.client
        first, second, *_ = parts(sold, most_lines=6)
        at = client.node.head.timestamp
        with pytest.raises(Reverted, match="Incomplete"):
            demands.answer(post, PLANT, [second], at=at + 1)
        demands.answer(post, PLANT, [first], at=at + 2)
        # Who begins anew takes nothing back.
        demands.answer(post, PLANT, [parts(sold, most_lines=3)[0]], at=at + 3)
        demand = demands.demand_of(post, PLANT)
        assert demand is not None
        rest = parts(sold, demand.next, most_lines=9)
        assert [part.position for part in rest] == [6, 15]
        demands.answer(post, PLANT, rest, at=at + 4)
        assert judged(sold, demands) == []


def test_each_part_begins_behind_the_one_before_and_the_reading_is_in_the_first() -> None:
    with selling(20, ahead=10) as sold:
        with pytest.raises(LedgerError, match="another answer than the contract can have accepted"):
            shown_by(sold.posted.post, PLANT, [])
        found = parts(sold, most_lines=6)
        assert [len(part.trades) for part in found] == [6, 6, 6, 2]
        assert [part.position for part in found] == [0, 6, 12, 18]
        assert {part.statement for part in found} == {sold.posted.statements[PLANT]}
        assert [bool(part.reading_signature) for part in found] == [True, False, False, False]
        assert [len(part.consents) for part in found] == [1, 2, 1, 1]
        assert [part.last for part in found] == [False, False, False, True]
        demands = asked(sold)
        nobody = DemandsClient(sold.client).demand_of(sold.posted.post, TOWN)
        assert nobody is None
        assert demands.answered(sold.posted.post, PLANT) == []
        assert keccak(sold.posted.deltas) == sold.posted.post.deltas


def test_an_answer_to_a_contract_of_another_release_is_left_to_that(monkeypatch: pytest.MonkeyPatch) -> None:
    with selling(3, ahead=1) as sold:
        demands, post, node = asked(sold), sold.posted.post, sold.client.node
        demands.answer(post, PLANT, parts(sold), at=node.head.timestamp + 1)
        right = node.transaction

        def before(transaction_hash: bytes) -> Transaction | None:
            found = right(transaction_hash)
            return found and replace(found, data=bytes(4) + found.data[4:])

        monkeypatch.setattr(node, "transaction", before)
        with pytest.raises(LedgerError, match="has the form of another release"):
            demands.answered(post, PLANT)


def test_of_who_joined_after_the_slot_its_empty_place_is_shown() -> None:
    with selling(3, ahead=1) as sold:
        client, post, key = sold.client, sold.posted.post, Key.derive(b"plant", "newcomer")
        index = CommunityClient(client).register(Enrolment(key.address, 1), at=client.node.head.timestamp + 1)
        mandate = replace(sold.mandates[PLANT].record, member=key.address, agent=key.address)
        signed = sign(client.domain, mandate, key)
        demands = DemandsClient(client)
        demands.demand(key, post, index, at=client.node.head.timestamp + 1)
        (part,) = answers(sold.posted, index, signed)
        assert not part.stated
        demands.answer(post, index, [part], at=client.node.head.timestamp + 1)
        line, proof = shown_by(post, index, demands.answered(post, index))
        since = client.node.head.timestamp
        chain = Chain(client.domain, client.commitment(post.slot), sold.posted.deltas, registered_at=since)
        assert faults(line, proof, index, signed, chain, post) == []
        passed = faults(line, proof, index, signed, replace(chain, registered_at=0), post)
        assert [fault.function for fault in passed] == ["challengeUnstated"]


def test_a_revision_that_is_not_there_is_said() -> None:
    store = Store(None)
    with pytest.raises(StoreError, match="holds no post for slot 9000, revision 1"):
        SlotProof.stored(store, 9000, (), 1)
    store.close()


def test_deltas_that_the_chain_does_not_show_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with selling(3, ahead=1) as sold:
        client, post, mandate = sold.client, sold.posted.post, sold.mandates[PLANT]
        document = excerpt(sold.posted, PLANT, mandate, client)
        (line,), proof = document["content"]["slots"], document["proofs"][str(post.slot)]
        assert chain_of(post, PLANT, client).deltas == sold.posted.deltas
        assert faults(line, proof, PLANT, mandate, chain_of(post, PLANT, client), post) == []
        # As where a contract of the operators brought the post.
        monkeypatch.setattr(client, "posted_deltas", lambda *_: None)
        assert chain_of(post, PLANT, client).deltas is None
        assert faults(line, proof, PLANT, mandate, chain_of(post, PLANT, client), post) == []


def test_two_trades_of_one_number_are_not_taken_for_committed() -> None:
    with selling(3, ahead=2) as sold:
        document = excerpt(sold.posted, PLANT, sold.mandates[PLANT], sold.client)
        (line,), proof = document["content"]["slots"], document["proofs"][str(sold.posted.post.slot)]
        one, other, _ = trades_of(line, PLANT, sold.mandates[PLANT], sold.client.domain)
        assert ways([one, other], proof).root == sold.posted.delivered.committed.trades.root
        again = replace(other, trade=replace(other.trade, number=one.trade.number))
        with pytest.raises(VerificationError, match="two trades have one number"):
            ways([one, again], proof)
