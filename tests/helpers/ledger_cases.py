"""Accounts, a genesis and transactions for the tests of the chain."""

from __future__ import annotations

import os
from typing import Any

from commonwatt.ledger.chain.embedded import Genesis
from commonwatt.ledger.wallet import sign_transaction
from commonwatt.proof import Key

ALICE, BOB = Key.derive(b"tests", "alice"), Key.derive(b"tests", "bob")
ETHER = 10**18
SOAK = os.environ.get("COMMONWATT_SOAK") == "1"
"""Whether tests of chance go on for as long as their numbers ask, as `make soak` has them, or for a part of it."""
GENESIS = Genesis(chain_id=2024, balances={ALICE.address: 1000 * ETHER, BOB.address: ETHER}, timestamp=1000)


def transfer(nonce: int, *, key: Key = ALICE, to: bytes = b"\x11" * 20, wei: int = 1, **changes: int) -> bytes:
    fields: dict[str, Any] = {"chain_id": GENESIS.chain_id, "gas": 21_000, "value": wei, "nonce": nonce, **changes}
    return sign_transaction(key, to=to, **fields)
