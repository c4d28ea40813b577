"""Signing of Ethereum transactions of type 2 (EIP-1559), and the addresses that they create."""

from __future__ import annotations

import rlp

from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import Key

_TYPE = b"\x02"
MAX_FEE = 10**9
"""Wei per gas that a transaction offers at most unless told otherwise, 1 gwei; it pays the chain's base fee."""


def sign_transaction(
    key: Key,
    *,
    chain_id: int,
    nonce: int,
    to: bytes,
    gas: int,
    data: bytes = b"",
    value: int = 0,
    max_fee: int = MAX_FEE,
    tip: int = 0,
) -> bytes:
    """The raw transaction, ready to submit.

    `to` empty creates a contract from `data`. `value` is in wei, `max_fee` and `tip` in wei per gas.
    Source: EIP-1559, https://eips.ethereum.org/EIPS/eip-1559 (the access list stays empty).
    """
    fields: list[object] = [chain_id, nonce, tip, max_fee, gas, to, value, data, []]
    signature = key.sign_digest(keccak(_TYPE + rlp.encode(fields)))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return _TYPE + bytes(rlp.encode([*fields, signature[64] - 27, r, s]))


def created_address(sender: bytes, nonce: int) -> bytes:
    """Address of the contract that a transaction of `sender` with this nonce creates, 20 bytes."""
    return keccak(rlp.encode([sender, nonce]))[12:]
