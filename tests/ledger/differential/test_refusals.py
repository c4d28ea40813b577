"""Transactions that cannot be executed are refused as py-evm refuses them, and leave the block as it was."""

from __future__ import annotations

from typing import Any

import pytest
from strong_blocks import CHAIN_ID, GENESIS, SENDERS
from twins import Twins

from commonwatt.ledger.wallet import sign_transaction
from commonwatt.proof import Key

POOR = Key.derive(b"strong", "poor")


def signed(key: Key = SENDERS[0], **changes: Any) -> bytes:
    fields = {"chain_id": CHAIN_ID, "nonce": 1, "to": bytes(20), "gas": 60_000, "value": 1, **changes}
    return sign_transaction(key, **fields)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (signed(nonce=0), "nonce"),
        (signed(nonce=9), "nonce"),
        (signed(POOR, nonce=0), "Sender"),
        (signed(value=10**30), "Sender"),
        (signed(gas=10**8, max_fee=10**16), "Sender"),
        (signed(gas=20_999), "gas"),
        (signed(data=b"\x01" * 2_500), "gas"),
        (signed(max_fee=6), "fee"),
        (signed(to=b"", gas=10**7, data=bytes(49_153)), "code"),
    ],
)
def test_what_py_evm_refuses_is_refused_in_its_words(bad: bytes, told: str) -> None:
    twins = Twins(GENESIS)
    twins.seal([signed(nonce=0)])
    assert told in twins.refuse(bad, signed(max_fee=100))
    twins.seal([signed(nonce=2)])
