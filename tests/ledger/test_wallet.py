from __future__ import annotations

import pytest
from eth_account import Account

from commonwatt.ledger.wallet import sign_transaction
from commonwatt.proof import Key, checksum_address


@pytest.mark.parametrize(("to", "data", "value"), [(b"\x22" * 20, b"", 5), (b"", b"\x60\x00", 0)])
def test_transactions_are_signed_as_by_eth_account(to: bytes, data: bytes, value: int) -> None:
    key = Key.derive(b"tests", "wallet")
    ours = sign_transaction(key, chain_id=1, nonce=0, to=to, gas=60_000, data=data, value=value, max_fee=9, tip=2)
    fields = {
        "type": 2, "chainId": 1, "nonce": 0, "gas": 60_000, "data": data, "value": value, "maxFeePerGas": 9,
        "maxPriorityFeePerGas": 2, **({"to": checksum_address(to)} if to else {}),
    }  # fmt: skip
    assert ours == Account.sign_transaction(fields, key.secret).raw_transaction
