"""A community with its contracts on a chain in memory, and a slot that is committed and posted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ledger_cases import ETHER

from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.quorum import gate_of
from commonwatt.ledger.client.settlement import Enrolment, LedgerClient, Terms
from commonwatt.ledger.node import ZERO_ADDRESS
from commonwatt.proof import Key, hash_struct, keccak, sign
from commonwatt.records import Post
from commonwatt.records.deltas import pack_deltas

OPERATORS = [Key.derive(b"tests", f"operator {n}") for n in range(3)]
MEMBERS = [Key.derive(b"tests", f"member {n}") for n in range(7)]
ENROLMENTS = [Enrolment(key.address, role=2, meter=keccak(key.address)[:20]) for key in MEMBERS]
SLOT, START = 9_000, 8_000
TOKEN_TERMS = Terms(lane_unit=1, slot_seconds=900, window=3600, grace=7200)
ETHER_TERMS = replace(TOKEN_TERMS, lane_unit=10**12)
ORDERS, TRADES, STATEMENTS = (keccak(name) for name in (b"orders", b"trades", b"statements"))


def community(terms: Terms = TOKEN_TERMS, operators: tuple[bytes, ...] = (), path: Path | None = None) -> LedgerClient:
    """Seven members with ten lane units each, of a token community unless the terms say ether.

    operators : addresses of more operators than the three
    """
    balances = {key.address: 100 * ETHER for key in (OPERATORS[0], OPERATORS[1], MEMBERS[0])}
    chain = EmbeddedChain(path, Genesis(2024, balances))
    client = LedgerClient.deploy(
        chain, OPERATORS[0], operators=[*(key.address for key in OPERATORS), *operators], threshold=2,
        config=keccak(b"config"), members=ENROLMENTS, terms=terms,
        token=("Euro of Wattstrasse", "EUR") if terms == TOKEN_TERMS else None, at=START,
    )  # fmt: skip
    deposit(client, range(7), [10] * 7, at=START + 1)
    return client


def deposit(client: LedgerClient, members: Sequence[int], lanes: Sequence[int], at: int) -> None:
    """Pay in, with the signatures of two operators where tokens are minted for it."""
    signatures: list[bytes] = []
    if client.addresses.token != ZERO_ADDRESS:
        issue = client.issue(sum(lanes))
        signatures = [sign(client.token_domain, issue, key).signature for key in OPERATORS[:2]]
    client.deposit_for(members, lanes, signatures=signatures, at=at)


def commit(client: LedgerClient, first_slot: int, at: int) -> None:
    """Commit one slot with the signatures of two operators."""
    gate = gate_of(first_slot, [ORDERS], [TRADES])
    signatures = [sign(client.domain, gate, key).signature for key in OPERATORS[:2]]
    client.commit(first_slot, [ORDERS], [TRADES], signatures, at=at)


def slot_post(client: LedgerClient, deltas: list[int], revision: int = 0) -> tuple[Post, bytes, list[bytes]]:
    """A post of SLOT with the signatures of two operators."""
    packed = pack_deltas(np.array(deltas))
    post = Post(SLOT, revision, ORDERS, STATEMENTS, keccak(packed))
    digest = client.domain.digest(hash_struct(post))
    return post, packed, [key.sign_digest(digest) for key in OPERATORS[:2]]


def posted(client: LedgerClient, deltas: list[int]) -> tuple[Post, bytes]:
    """Commit SLOT before it begins and post it one second after its end, at 9 901."""
    commit(client, SLOT, at=START + 2)
    post, packed, signatures = slot_post(client, deltas)
    client.post(post, TRADES, packed, signatures, at=9_901)
    return post, packed
