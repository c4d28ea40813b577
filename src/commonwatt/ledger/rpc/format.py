"""Blocks, transactions, receipts and events as the Ethereum execution API writes them.

Source: https://github.com/ethereum/execution-apis/tree/main/src/schemas
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import rlp
from eth.abc import BlockHeaderAPI, ReceiptAPI, SignedTransactionAPI

from commonwatt.ledger.chain.evm import Queued
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.rpc.values import hexed, hexed_word
from commonwatt.ledger.wallet import created_address

Json = dict[str, Any]


def header_json(header: BlockHeaderAPI) -> Json:
    """A header, as a subscription to new heads sends it."""
    fields: Any = header
    return {
        "number": hexed(header.block_number),
        "hash": hexed(header.hash),
        "parentHash": hexed(header.parent_hash),
        "nonce": hexed(bytes(header.nonce)),
        "sha3Uncles": hexed(header.uncles_hash),
        "logsBloom": f"0x{header.bloom:0512x}",
        "transactionsRoot": hexed(header.transaction_root),
        "stateRoot": hexed(header.state_root),
        "receiptsRoot": hexed(header.receipt_root),
        "miner": hexed(header.coinbase),
        "difficulty": hexed(header.difficulty),
        "extraData": hexed(header.extra_data),
        "gasLimit": hexed(header.gas_limit),
        "gasUsed": hexed(header.gas_used),
        "timestamp": hexed(header.timestamp),
        "mixHash": hexed(header.mix_hash),
        "baseFeePerGas": hexed(fields.base_fee_per_gas),
        "withdrawalsRoot": hexed(fields.withdrawals_root),
        "blobGasUsed": hexed(fields.blob_gas_used),
        "excessBlobGas": hexed(fields.excess_blob_gas),
        "parentBeaconBlockRoot": hexed(fields.parent_beacon_block_root),
    }


def block_json(reader: Reader, header: BlockHeaderAPI, *, full: bool) -> Json:
    """A block with its transactions, or with their hashes only."""
    transactions = reader.transactions(header)
    withdrawals = reader.withdrawals(header)
    listed: list[object] = [hexed(signed.hash) for signed in transactions]
    if full:
        listed = [transaction_json(signed, header, index) for index, signed in enumerate(transactions)]
    return {
        **header_json(header),
        "size": hexed(block_size(header, transactions, withdrawals)),
        "transactions": listed,
        "uncles": [],
        "withdrawals": [
            {
                "index": hexed(paid.index),
                "validatorIndex": hexed(paid.validator_index),
                "address": hexed(paid.address),
                "amount": hexed(paid.amount),
            }
            for paid in withdrawals
        ],
    }


def transaction_json(signed: SignedTransactionAPI, header: BlockHeaderAPI, index: int) -> Json:
    """A transaction in a block."""
    price = effective_gas_price(signed, header)
    return {
        **_fields(signed, signed.sender, price),
        "blockHash": hexed(header.hash),
        "blockNumber": hexed(header.block_number),
        "blockTimestamp": hexed(header.timestamp),
        "transactionIndex": hexed(index),
    }


def waiting_json(queued: Queued) -> Json:
    """A transaction that waits for a block."""
    nowhere: Json = dict.fromkeys(("blockHash", "blockNumber", "blockTimestamp", "transactionIndex"))
    return {**_fields(queued.transaction, queued.sender, queued.transaction.max_fee_per_gas), **nowhere}


def _fields(signed: Any, sender: bytes, price: int) -> Json:
    kind = _kind(signed)
    fields: Json = {
        "type": hexed(kind),
        "hash": hexed(signed.hash),
        "from": hexed(sender),
        "to": hexed(signed.to) if signed.to else None,
        "nonce": hexed(signed.nonce),
        "value": hexed(signed.value),
        "gas": hexed(signed.gas),
        "gasPrice": hexed(price),
        "input": hexed(signed.data),
        "chainId": hexed(signed.chain_id),
        "r": hexed(signed.r),
        "s": hexed(signed.s),
        "v": hexed(signed.y_parity if kind else signed.v),
    }
    if kind:
        fields["yParity"] = hexed(signed.y_parity)
        fields["accessList"] = [
            {"address": hexed(account), "storageKeys": [hexed_word(slot) for slot in slots]}
            for account, slots in signed.access_list
        ]
    if kind == 2:
        fields["maxFeePerGas"] = hexed(signed.max_fee_per_gas)
        fields["maxPriorityFeePerGas"] = hexed(signed.max_priority_fee_per_gas)
    return fields


def receipts_json(reader: Reader, header: BlockHeaderAPI, only: int | None = None) -> list[Json]:
    """Receipts of a block's transactions, or of one of them."""
    found, used, logged = [], 0, 0
    receipts = reader.receipts(header)
    transactions = reader.transactions(header)
    for index, (signed, receipt) in enumerate(zip(transactions, receipts, strict=True)):
        if only in (None, index):
            place = _place(header, signed.hash, index)
            dated = place | _time(header)
            logs = [_log_json(log, dated, logged + offset) for offset, log in enumerate(receipt.logs)]
            found.append({**_receipt(signed, header, receipt, receipt.gas_used - used), **place, "logs": logs})
        used = receipt.gas_used
        logged += len(receipt.logs)
    return found


def _receipt(signed: SignedTransactionAPI, header: BlockHeaderAPI, receipt: ReceiptAPI, used: int) -> Json:
    success = bool(receipt.state_root)
    sender = signed.sender
    created = None if signed.to else created_address(sender, signed.nonce)
    return {
        "type": hexed(_kind(signed)),
        "status": hexed(int(success)),
        "from": hexed(sender),
        "to": hexed(signed.to) if signed.to else None,
        "contractAddress": hexed(created) if created else None,
        "gasUsed": hexed(used),
        "cumulativeGasUsed": hexed(receipt.gas_used),
        "effectiveGasPrice": hexed(effective_gas_price(signed, header)),
        "logsBloom": f"0x{receipt.bloom:0512x}",
    }


def logs_json(
    reader: Reader, header: BlockHeaderAPI, wanted: Callable[[Any], bool], *, removed: bool = False
) -> Iterator[Json]:
    """The wanted events of a block. `removed`: the block has left the chain."""
    logged = 0
    hashes = reader.hashes(header)
    for index, receipt in enumerate(reader.receipts(header)):
        for offset, log in enumerate(receipt.logs):
            if wanted(log):
                place = _place(header, hashes[index], index) | _time(header)
                yield _log_json(log, place, logged + offset, removed=removed)
        logged += len(receipt.logs)


def effective_gas_price(signed: SignedTransactionAPI, header: BlockHeaderAPI) -> int:
    """What a transaction in a block pays [wei per gas]."""
    return min(signed.max_fee_per_gas, (header.base_fee_per_gas or 0) + signed.max_priority_fee_per_gas)


def _place(header: BlockHeaderAPI, hash_: bytes, index: int) -> Json:
    return {
        "blockHash": hexed(header.hash),
        "blockNumber": hexed(header.block_number),
        "transactionHash": hexed(hash_),
        "transactionIndex": hexed(index),
    }


def _time(header: BlockHeaderAPI) -> Json:
    return {"blockTimestamp": hexed(header.timestamp)}


def _log_json(log: Any, place: Json, index: int, *, removed: bool = False) -> Json:
    return {
        "address": hexed(log.address),
        "topics": [hexed_word(topic) for topic in log.topics],
        "data": hexed(log.data),
        **place,
        "logIndex": hexed(index),
        "removed": removed,
    }


def _kind(signed: Any) -> int:
    """Type of a transaction; py-evm has none for a legacy one."""
    return signed.type_id or 0


def block_size(header: BlockHeaderAPI, transactions: Any, withdrawals: Any) -> int:
    """Bytes of the whole block, encoded."""
    return len(encoded_block(header, transactions, withdrawals))


def encoded_block(header: BlockHeaderAPI, transactions: Any, withdrawals: Any) -> bytes:
    """The whole block."""
    # A legacy transaction stands in the block as a list, any other as bytes.
    bodies = [signed.encode() if _kind(signed) else rlp.decode(signed.encode()) for signed in transactions]
    paid = [rlp.decode(rlp.encode(withdrawal)) for withdrawal in withdrawals]
    return bytes(rlp.encode([rlp.decode(rlp.encode(header)), bodies, [], paid]))
