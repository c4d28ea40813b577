"""Methods that explorers and tools ask for beside those of the execution API's core."""

from __future__ import annotations

import rlp

from commonwatt.ledger.rpc.asked import Asked, method
from commonwatt.ledger.rpc.format import Json, encoded_block, waiting_json
from commonwatt.ledger.rpc.methods import by_hash
from commonwatt.ledger.rpc.values import Where, block, hash32, hexed, quantity
from commonwatt.proof.keys import checksum_address

# Uncles, of which this chain has none


def _uncle(asked: Asked, where: Where, index: int) -> None:  # noqa: ARG001
    return None


def _uncle_count(asked: Asked, where: Where) -> str | None:
    return hexed(0) if asked.known(where) else None


for _key, _parse in (("Number", block), ("Hash", by_hash)):
    method(f"eth_getUncleByBlock{_key}AndIndex", block=_parse, index=quantity)(_uncle)
    method(f"eth_getUncleCountByBlock{_key}", block=_parse)(_uncle_count)


# What waits


@method("txpool_status")
def _pool_status(asked: Asked) -> Json:
    return {kind: hexed(sum(map(len, senders.values()))) for kind, senders in _pool(asked).items()}


@method("txpool_content")
def _pool(asked: Asked) -> dict[str, dict[str, Json]]:
    """By sender and nonce: `pending` may come into the next block, `queued` wait for others of their sender."""
    found: dict[str, dict[str, Json]] = {"pending": {}, "queued": {}}
    following: dict[bytes, int] = {}
    for queued in sorted(asked.backend.waiting(), key=lambda queued: queued.transaction.nonce):
        sender, nonce = queued.sender, queued.transaction.nonce
        ready = nonce == following.setdefault(sender, asked.reader.nonce(sender))
        following[sender] += ready
        of_sender = found["pending" if ready else "queued"].setdefault(checksum_address(sender), {})
        of_sender[str(nonce)] = waiting_json(queued)
    return found


# As it is encoded


@method("debug_getRawHeader", block=block)
def _raw_header(asked: Asked, where: Where) -> str:
    return hexed(bytes(rlp.encode(asked.header(where))))


@method("debug_getRawBlock", block=block)
def _raw_block(asked: Asked, where: Where) -> str:
    header, reader = asked.header(where), asked.reader
    return hexed(encoded_block(header, reader.transactions(header), reader.withdrawals(header)))


@method("debug_getRawReceipts", block=block)
def _raw_receipts(asked: Asked, where: Where) -> list[str]:
    return [hexed(receipt.encode()) for receipt in asked.reader.receipts(asked.header(where))]


@method("eth_getRawTransactionByHash", hash=hash32)
@method("debug_getRawTransaction", hash=hash32)
def _raw_transaction(asked: Asked, hash_: bytes) -> str | None:
    place = asked.reader.place(hash_)
    if place is None:
        queued = asked.backend.find(hash_)
        return hexed(queued.raw) if queued else None
    return hexed(asked.reader.transactions(asked.reader.header(place[0]))[place[1]].encode())
