"""Who joins in the middle of a period: slots that had begun before show that it has no statement, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from plant import PLANT, selling

from commonwatt.errors import VerificationError
from commonwatt.exchange.excerpt import excerpt
from commonwatt.exchange.proofs import SlotProof
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.settlement import Enrolment
from commonwatt.member import verify_slot
from commonwatt.member.verify_slot import check_slot, registered_at
from commonwatt.proof import Key, sign
from commonwatt.simulation.result import Result

UTILITY = {"prices": {"retail": 1, "feedIn": 1}, "grid": {"wh": 0, "amount": 0}}


def test_a_slot_before_the_member_joined_verifies_as_nothing_and_the_chain_is_asked_since_when_it_belongs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with selling(3, ahead=1) as sold:
        client, post, key = sold.client, sold.posted.post, Key.derive(b"plant", "newcomer")
        index = CommunityClient(client).register(Enrolment(key.address, 1), at=client.node.head.timestamp + 1)
        client.finalise(post, sold.posted.deltas, at=client.node.head.timestamp + client.terms.window)
        mandate = replace(sold.mandates[PLANT].record, member=key.address, agent=key.address)
        signed = sign(client.domain, mandate, key)
        shown = excerpt(sold.posted, index, signed, client)
        proof = shown["proofs"][str(post.slot)]
        line: dict[str, Any] = {**shown["content"]["slots"][0], **UTILITY, "metered": "not measured"}
        assert registered_at(index, client) > post.slot
        assert check_slot(line, proof, index, signed, client) == 0

        def refused(sentence: str, **changes: Any) -> None:
            with pytest.raises(VerificationError, match=sentence):
                check_slot({**line, **changes}, proof, index, signed, client)

        refused("metered less local energy is not what met the utility", grid={"wh": 5, "amount": 0})
        refused("the bill says 'measured' of a line that is not measured", metered="measured")
        of_plant = excerpt(sold.posted, PLANT, sold.mandates[PLANT], client)["content"]["slots"][0]
        refused("it has trades or a reading, and the member was none yet", reading=of_plant["reading"])
        with monkeypatch.context() as patch:
            patch.setattr(verify_slot, "registered_at", lambda *_: post.slot - 1)
            refused("the member was passed over")
        with monkeypatch.context() as patch:
            patch.setattr(verify_slot, "_delta", lambda *_: 7)
            refused("the ledger moved the balance, and the member was none yet")


def test_the_store_proves_a_slot_to_who_joined_later(run: Result) -> None:
    """By the empty place behind those who were there."""
    books = run.books
    slot = int(run.period.starts[0])
    mandates = books.mandates_at(slot)
    there = SlotProof.stored(books.store, slot, mandates)
    later = SlotProof.stored(books.store, slot, [*mandates, mandates[0]])
    assert there.of(0) == later.of(0)
    assert later.statement(len(mandates)) is None
    assert later.of(len(mandates))["stated"] is False
