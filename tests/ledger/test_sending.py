"""What a transaction offers, and what an account needs for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from acting_cases import Place
from ledger_cases import ALICE, BOB, ETHER, GENESIS
from liars import answering
from nodes import anvil

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.sending import Call, Sender
from commonwatt.ledger.remote import RemoteNode
from commonwatt.ledger.wallet import sign_transaction
from commonwatt.proof import Key

GWEI = 10**9
THOUSAND = 1_000 * 200_000
"""Gas of a thousand transactions."""
POOR = Key.derive(b"sending", "poor")


def test_an_account_needs_what_the_chain_asks() -> None:
    """Two hundred thousand gas at twice the base fee; at a gwei that would be 71 million times as much."""
    chain = EmbeddedChain(None, GENESIS)
    sender = Sender(chain, ALICE)
    needed = 200_000 * 2 * chain.head.base_fee
    sender.send([Call(POOR.address, b"", value=needed - 1)], 2_000, "the payment")
    with pytest.raises(LedgerError, match="insufficient funds"):
        sender.send([Call(BOB.address, b"")], 2_001, "the payment", POOR)
    sender.send([Call(POOR.address, b"", value=1)], 2_001, "the payment")
    (receipt,) = sender.send([Call(BOB.address, b"")], 2_002, "the payment", POOR)
    assert chain.balance(POOR.address) == needed - receipt.gas_used * 7


def test_transactions_that_fill_blocks_outlive_the_fee_that_they_raise() -> None:
    chain = EmbeddedChain(None, Genesis(2024, {ALICE.address: 1000 * ETHER}, 1000, gas_limit=400_000))
    calls = [Call(BOB.address, bytes(40_000))] * 40
    receipts = Sender(chain, ALICE).send(calls, 2_000, "the payment")
    assert len({receipt.block for receipt in receipts}) == 20
    assert chain.head.base_fee > 2 * 7


def test_accounts_get_what_lacks_for_a_thousand_transactions() -> None:
    chain = EmbeddedChain(None, GENESIS)
    accounts = [bytes([n + 1]) * 20 for n in range(120)]
    sender = Sender(chain, ALICE)
    sender.send([Call(accounts[0], b"", value=5), Call(accounts[1], b"", value=ETHER)], 2_000, "the payment")
    sender.endow(accounts, 2_001)
    wanted = THOUSAND * 14
    assert [chain.balance(account) for account in accounts] == [wanted, ETHER, *[wanted] * 118]
    assert chain.head.number == 1 + 3
    before = chain.head
    sender.endow(accounts, 2_010)
    assert chain.head == before


def test_every_member_has_its_own_purse(place: Place) -> None:
    with EmbeddedChain(place.folder / "ledger.sqlite", read_only=True) as chain:
        assert {chain.balance(key.address) for key in place.keys.members} == {THOUSAND * 14}


class Suggesting:
    """A node that names its fees."""

    tip: Any = "0x0"
    price: Any = "0x0"

    def __call__(self, request: bytes) -> bytes:
        call = json.loads(request)
        answers = {"eth_maxPriorityFeePerGas": self.tip, "eth_gasPrice": self.price, "eth_getBlockByNumber": BLOCK}
        given = answers[call["method"]]
        told = {"error": {"code": -32601, "message": "method not found"}} if given is None else {"result": given}
        return json.dumps({"jsonrpc": "2.0", "id": call["id"], **told}).encode()


BLOCK = {
    "number": "0x1", "hash": "0x" + "11" * 32, "parentHash": "0x" + "22" * 32, "timestamp": "0x5",
    "stateRoot": "0x" + "33" * 32, "gasLimit": "0x5f5e100", "gasUsed": "0x0", "baseFeePerGas": hex(3 * GWEI),
    "transactions": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def suggesting() -> Iterator[tuple[Suggesting, RemoteNode]]:
    told = Suggesting()
    with answering(told) as url:
        node = RemoteNode(url)
        yield told, node
        node.close()


@pytest.mark.parametrize(
    ("tip", "price", "expected"),
    [
        ("0x0", None, 0),
        (hex(2 * GWEI), None, 2 * GWEI),
        (hex(10**30), None, 30 * GWEI),  # what a stranger would take
        (None, hex(5 * GWEI), 2 * GWEI),
        (None, hex(GWEI), 0),
        (None, hex(10**30), 30 * GWEI),
    ],
)
def test_a_node_s_suggestion_is_taken_within_reason(
    suggesting: tuple[Suggesting, RemoteNode], tip: Any, price: Any, expected: int
) -> None:
    told, node = suggesting
    told.tip, told.price = tip, price
    assert node.tip == expected


def test_nonsense_for_a_fee_is_refused(suggesting: tuple[Suggesting, RemoteNode]) -> None:
    told, node = suggesting
    for told.tip, told.price in (("much", "0x1"), (None, "much"), (None, None)):
        with pytest.raises(LedgerError):
            _ = node.tip


class Unaware(RemoteNode):
    """A client that knows of no transaction that waits, as after a run was killed."""

    def nonce(self, address: bytes) -> int:
        return int(self._ask("eth_getTransactionCount", f"0x{address.hex()}", "latest"), 16)


def test_what_waits_is_outbid_at_the_fees_of_the_chain() -> None:
    with anvil(1_000) as (url, _):
        node = Unaware(url)
        node.fund(ALICE.address, ETHER)
        sender = Sender(node, ALICE)
        fee = 2 * node.head.base_fee + node.tip
        waits = sign_transaction(
            ALICE, chain_id=node.chain_id, nonce=0, to=BOB.address, gas=21_000, value=1, max_fee=fee, tip=node.tip
        )
        node.submit(waits)
        (receipt,) = sender.send([Call(BOB.address, b"", value=7)], 2_000, "the payment")
        assert receipt.success
        assert node.balance(BOB.address) == 7
        # A member that has what it is enrolled with can object at once.
        sender.endow([POOR.address], 3_000)
        wanted = node.balance(POOR.address)
        assert 0 < wanted < ETHER
        assert sender.send([Call(BOB.address, b"")], 4_000, "the payment", POOR)[0].success
        node.close()
