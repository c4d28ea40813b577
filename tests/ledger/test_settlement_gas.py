"""The gas table of docs/settlement.md against real receipts: a step that became dearer by more than 5 % is noticed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.quorum import gate_of
from commonwatt.ledger.client.settlement import Enrolment, LedgerClient, Terms
from commonwatt.proof import Key, keccak, sign
from commonwatt.records import Post
from commonwatt.records.deltas import pack_deltas

PAGE = Path(__file__).parents[2] / "docs" / "settlement.md"
KEYS = [Key.derive(b"gas", f"operator {number}") for number in range(2)]
SLOT, SECONDS, WINDOW = 900, 900, 3600
ROOTS = [keccak(b"orders")], [keccak(b"trades")]


def stated() -> dict[int, list[int]]:
    """By number of members: what commit, post and finalise cost, as the page says."""
    row = r"^\| ([\d ]+) \| ([\d ]+) \| ([\d ]+) \| ([\d ]+) \| [\d ]+ \| [\d.]+ \|$"
    rows = re.findall(row, PAGE.read_text("utf-8"), re.MULTILINE)
    numbers = [[int(cell.replace(" ", "")) for cell in row] for row in rows]
    return {members: gas for members, *gas in numbers}


def measured(members: int) -> list[int]:
    """A slot of a community whose members all trade: commit, post, finalise."""
    terms = Terms(lane_unit=1, slot_seconds=SECONDS, window=WINDOW, grace=7200, answer_time=900, bond=1_000_000)
    chain = EmbeddedChain(None, Genesis(1, {key.address: 10**24 for key in KEYS}))
    client = LedgerClient.deploy(
        chain, KEYS[0], operators=[key.address for key in KEYS], threshold=2, config=bytes(32),
        members=[Enrolment(keccak(number.to_bytes(4, "big"))[:20], role=2) for number in range(members)],
        terms=terms, token=("Gas", "GAS"), at=1,
    )  # fmt: skip

    def quorum(record: object, domain: object) -> list[bytes]:
        return [sign(domain, record, key).signature for key in KEYS]  # type: ignore[arg-type, type-var]

    issue = client.issue(10**9 * members)
    client.deposit_for(range(members), [10**9] * members, signatures=quorum(issue, client.token_domain), at=2)
    lanes = 10**7
    client.place_bond(lanes, signatures=quorum(client.issue(lanes), client.token_domain), at=3)
    values = np.array([0x01010101 + place % 200 for place in range(0, members, 2)])
    deltas = pack_deltas(np.column_stack([values, -values]).ravel())
    post = Post(SLOT, 0, ROOTS[0][0], keccak(b"statements"), keccak(deltas))
    receipts = [
        client.commit(SLOT, *ROOTS, quorum(gate_of(SLOT, *ROOTS), client.domain), at=4),
        client.post(post, ROOTS[1][0], deltas, quorum(post, client.domain), at=SLOT + SECONDS),
        client.finalise(post, deltas, at=SLOT + SECONDS + WINDOW),
    ]
    chain.close()
    return [receipt.gas_used for receipt in receipts]


@pytest.mark.parametrize("members", [40, 200])
def test_the_page_states_what_receipts_say(members: int) -> None:
    for step, said, found in zip(("commit", "post", "finalise"), stated()[members], measured(members), strict=True):
        assert found == pytest.approx(said, rel=0.05), step
