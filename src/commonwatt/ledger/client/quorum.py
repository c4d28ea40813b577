"""What several operators sign, as the contracts take it."""

from __future__ import annotations

from collections.abc import Sequence

from commonwatt.ledger.client.abi import TOKEN, contract
from commonwatt.proof import Domain, hash_struct, keccak, recover
from commonwatt.records import Gate, Mint
from commonwatt.records.schema import Record


def ascending(domain: Domain, record: Record, signatures: Sequence[bytes]) -> list[bytes]:
    """The signatures over a record in the order that the contracts ask for: by the signers' addresses."""
    digest = domain.digest(hash_struct(record))
    return sorted(signatures, key=lambda signature: recover(digest, signature))


def mint(domain: Domain, issue: Mint, signatures: Sequence[bytes]) -> bytes:
    """Data of the transaction that issues tokens.

    domain : of the token's contract
    signatures : of enough operators over `issue`, 65 bytes each, in any order
    """
    values = (issue.to, issue.amount, issue.nonce)
    return contract(TOKEN).functions["mint"].encode(values, ascending(domain, issue, signatures))


def gate_of(first_slot: int, orders: Sequence[bytes], trades: Sequence[bytes]) -> Gate:
    """What operators sign before delivery: the roots of orders and trades of consecutive slots."""
    return Gate(first_slot, keccak(b"".join(orders)), keccak(b"".join(trades)))
