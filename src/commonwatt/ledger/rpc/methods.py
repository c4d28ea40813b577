"""The methods of the Ethereum execution API about the node, its blocks, transactions and accounts.

Source: https://ethereum.github.io/execution-apis/
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from commonwatt.ledger.node import ON_DEMAND
from commonwatt.ledger.rpc.asked import Asked, method
from commonwatt.ledger.rpc.format import (
    Json,
    block_json,
    receipts_json,
    transaction_json,
    waiting_json,
)
from commonwatt.ledger.rpc.values import (
    LATEST,
    Where,
    address,
    block,
    data,
    flag,
    hash32,
    hexed,
    hexed_word,
    listed,
    quantity,
    word,
)

_MAX_SLOTS = 256


# The node


def client(kind: str = "") -> str:
    """What this program calls itself. kind : of node, where that says what can be asked of it"""
    try:
        return f"commonwatt/{version('commonwatt')}{kind}"
    except PackageNotFoundError:  # run from its sources
        return f"commonwatt/0{kind}"


@method("web3_clientVersion")
def _version(asked: Asked) -> str:
    return client(ON_DEMAND if asked.backend.next_time is not None else "")


@method("net_version")
def _network(asked: Asked) -> str:
    return str(asked.reader.chain_id)


@method("net_listening")
def _listening(_: Asked) -> bool:
    return True


@method("net_peerCount")
def _peers(asked: Asked) -> str:
    return hexed(asked.backend.peers)


@method("eth_chainId")
def _chain_id(asked: Asked) -> str:
    return hexed(asked.reader.chain_id)


@method("eth_syncing")
def _syncing(asked: Asked) -> Any:
    sync = asked.backend.syncing
    if sync is None:
        return False
    return {
        "startingBlock": hexed(sync.start),
        "currentBlock": hexed(sync.current),
        "highestBlock": hexed(sync.highest),
    }


@method("eth_accounts")
def _accounts(_: Asked) -> list[str]:
    return []  # keys stay with their owners


# Blocks


@method("eth_blockNumber")
def _number(asked: Asked) -> str:
    return hexed(asked.reader.header().block_number)


def by_hash(value: object) -> Where:
    """A block that is named by its hash only."""
    return Where(hash32(value))


def _block(asked: Asked, where: Where, full: bool) -> Json | None:
    header = asked.known(where)
    return block_json(asked.reader, header, full=full) if header else None


def _transaction_count(asked: Asked, where: Where) -> str | None:
    header = asked.known(where)
    return hexed(len(asked.reader.transactions(header))) if header else None


def _transaction_at(asked: Asked, where: Where, index: int) -> Json | None:
    header = asked.known(where)
    transactions = asked.reader.transactions(header) if header else ()
    return transaction_json(transactions[index], header, index) if header and index < len(transactions) else None


for _key, _parse in (("Number", block), ("Hash", by_hash)):
    method(f"eth_getBlockBy{_key}", block=_parse, full=flag)(_block)
    method(f"eth_getBlockTransactionCountBy{_key}", block=_parse)(_transaction_count)
    method(f"eth_getTransactionByBlock{_key}AndIndex", block=_parse, index=quantity)(_transaction_at)


@method("eth_getBlockReceipts", block=block)
def _block_receipts(asked: Asked, where: Where) -> list[Json] | None:
    header = asked.known(where)
    return receipts_json(asked.reader, header) if header else None


# Transactions


@method("eth_getTransactionByHash", hash=hash32)
def _transaction(asked: Asked, hash_: bytes) -> Json | None:
    place = asked.reader.place(hash_)
    if place is None:
        queued = asked.backend.find(hash_)
        return waiting_json(queued) if queued else None
    header = asked.reader.header(place[0])
    return transaction_json(asked.reader.transactions(header)[place[1]], header, place[1])


@method("eth_getTransactionReceipt", hash=hash32)
def _receipt(asked: Asked, hash_: bytes) -> Json | None:
    place = asked.reader.place(hash_)
    return receipts_json(asked.reader, asked.reader.header(place[0]), place[1])[0] if place else None


@method("eth_sendRawTransaction", transaction=data)
def _send(asked: Asked, raw: bytes) -> str:
    hash_ = asked.backend.submit(raw)
    asked.arrivals.note([hash_])
    return hexed(hash_)


# The state of an account


@method("eth_getBalance", required=1, address=address, block=block)
def _balance(asked: Asked, account: bytes, where: Where = LATEST) -> str:
    return hexed(asked.reader.balance(account, asked.header(where).hash))


@method("eth_getCode", required=1, address=address, block=block)
def _code(asked: Asked, account: bytes, where: Where = LATEST) -> str:
    return hexed(asked.reader.code(account, asked.header(where).hash))


@method("eth_getStorageAt", required=2, address=address, slot=word, block=block)
def _storage(asked: Asked, account: bytes, slot: int, where: Where = LATEST) -> str:
    return hexed_word(asked.reader.storage(account, [slot], asked.header(where).hash)[0])


@method("eth_getTransactionCount", required=1, address=address, block=block)
def _nonce(asked: Asked, account: bytes, where: Where = LATEST) -> str:
    if where.pending:
        return hexed(asked.backend.pending_nonce(account))
    return hexed(asked.reader.nonce(account, asked.header(where).hash))


def _slots(value: object) -> list[int]:
    return [word(slot) for slot in listed(value, _MAX_SLOTS)]


@method("eth_getProof", required=2, address=address, slots=_slots, block=block)
def _proof(asked: Asked, account: bytes, slots: list[int], where: Where = LATEST) -> Json:
    proof = asked.reader.proof(account, slots, asked.header(where).hash)
    return {
        "address": hexed(account),
        "balance": hexed(proof.balance),
        "nonce": hexed(proof.nonce),
        "codeHash": hexed(proof.code_hash),
        "storageHash": hexed(proof.storage_root),
        "accountProof": [hexed(node) for node in proof.path],
        "storageProof": [
            {"key": hexed_word(slot), "value": hexed(value), "proof": [hexed(node) for node in nodes]}
            for slot, value, nodes in proof.words
        ],
    }
