"""Several nodes asked as one: what all of them say counts, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ledger_cases import ALICE, BOB, ETHER

from commonwatt.errors import LedgerError
from commonwatt.ledger.agreeing import AgreeingNodes
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.abi import COMMUNITY, contract
from commonwatt.ledger.client.governance import governance
from commonwatt.ledger.client.settlement import LedgerClient, Terms
from commonwatt.ledger.node import CallReverted, Node
from commonwatt.ledger.wallet import sign_transaction
from commonwatt.proof import Key

OPERATORS = [Key.derive(b"agreeing", f"operator {number}") for number in range(3)]
GENESIS = Genesis(2024, {ALICE.address: 1000 * ETHER, OPERATORS[0].address: ETHER})
TERMS = Terms(lane_unit=1, slot_seconds=900, window=3600, grace=7200)
Question = Callable[[Node], Any]


def founded(chain: EmbeddedChain) -> LedgerClient:
    return LedgerClient.deploy(
        chain, OPERATORS[0], operators=[key.address for key in OPERATORS], threshold=2, config=b"\x07" * 32, members=[],
        terms=TERMS, token=("Euro of Wattstrasse", "EUR"), at=1000,
    )  # fmt: skip


@pytest.fixture
def chains(tmp_path: Path) -> Iterator[tuple[EmbeddedChain, EmbeddedChain, LedgerClient]]:
    """Two with the same blocks, and the client of the first."""
    with EmbeddedChain(tmp_path / "one", GENESIS) as one, EmbeddedChain(tmp_path / "two", GENESIS) as two:
        founded(two)
        yield one, two, founded(one)


def send(chain: EmbeddedChain, wei: int) -> bytes:
    raw = sign_transaction(
        ALICE, chain_id=2024, nonce=chain.nonce(ALICE.address), to=BOB.address, gas=21_000, value=wei
    )
    hash_ = chain.submit(raw)
    chain.confirm([hash_], 2000)
    return hash_


def test_what_all_say_is_said(chains: tuple[EmbeddedChain, EmbeddedChain, LedgerClient]) -> None:
    one, two, client = chains
    hash_ = send(one, 5)
    assert send(two, 5) == hash_
    both, at = AgreeingNodes({"one": one, "two": two}), client.addresses.settlement
    questions: list[Question] = [
        lambda node: node.chain_id, lambda node: node.head, lambda node: node.block(1),
        lambda node: node.receipt(hash_), lambda node: node.transaction(hash_), lambda node: node.nonce(ALICE.address),
        lambda node: node.balance(BOB.address), lambda node: node.code(at), lambda node: node.storage(at, [0, 1]),
        lambda node: node.logs(1, node.head.number, client.addresses.community),
    ]  # fmt: skip
    for question in questions:
        assert question(both) == question(one)
    assert governance(LedgerClient(both, ALICE, client.addresses)) == governance(client)
    with pytest.raises(CallReverted) as reverted:
        both.call(client.addresses.community, contract(COMMUNITY).functions["memberOf"].encode(bytes(20)))
    assert len(reverted.value.data) == 36


def test_what_one_says_otherwise_is_told_of_both(chains: tuple[EmbeddedChain, EmbeddedChain, LedgerClient]) -> None:
    one, two, _ = chains
    both = AgreeingNodes({"one": one, "two": two})
    hash_ = send(two, 5)
    questions: list[Question] = [
        lambda node: node.transaction(hash_), lambda node: node.receipt(hash_), lambda node: node.balance(BOB.address),
        lambda node: node.nonce(ALICE.address),
    ]  # fmt: skip
    for question in questions:
        with pytest.raises(LedgerError, match="one and two differ about"):
            question(both)


def test_the_head_is_the_last_block_that_all_have(chains: tuple[EmbeddedChain, EmbeddedChain, LedgerClient]) -> None:
    one, two, _ = chains
    head = two.head
    send(one, 5)
    assert AgreeingNodes({"one": one, "two": two}).head == head
    send(two, 6)
    with pytest.raises(LedgerError, match="one and two differ about block"):
        AgreeingNodes({"one": one, "two": two})


def test_nodes_of_different_chains_do_not_agree(chains: tuple[EmbeddedChain, EmbeddedChain, LedgerClient]) -> None:
    with (
        EmbeddedChain(None, Genesis(2025, {})) as other,
        pytest.raises(LedgerError, match="differ about which chain it is"),
    ):
        AgreeingNodes({"one": chains[0], "other": other})


def test_nothing_is_sent_to_several(chains: tuple[EmbeddedChain, EmbeddedChain, LedgerClient]) -> None:
    both = AgreeingNodes({"one": chains[0], "two": chains[1]})
    for send_ in (lambda: both.submit(b"\x02"), lambda: both.confirm([bytes(32)], 0)):
        with pytest.raises(LedgerError, match="only asked"):
            send_()


def test_who_runs_a_community(chains: tuple[EmbeddedChain, EmbeddedChain, LedgerClient]) -> None:
    client = chains[2]
    found = governance(client)
    assert found.operators == tuple(sorted(key.address for key in OPERATORS))
    assert (found.threshold, found.config, found.community) == (2, b"\x07" * 32, client.addresses.community)


def test_an_operator_whose_appointment_is_kept_back_is_missed(
    chains: tuple[EmbeddedChain, EmbeddedChain, LedgerClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = chains[2]
    honest = client.node.logs
    monkeypatch.setattr(client.node, "logs", lambda *asked: honest(*asked)[1:])
    with pytest.raises(LedgerError, match="has 3 operators, but its events tell of 2"):
        governance(client)
