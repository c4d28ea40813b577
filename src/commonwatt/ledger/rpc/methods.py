"""The methods of the Ethereum execution API, by name.

Source: https://ethereum.github.io/execution-apis/
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate, islice
from typing import Any

from eth.abc import BlockHeaderAPI

from commonwatt.ledger.chain.question import Answer, EstimateFailed, Question
from commonwatt.ledger.rpc.asked import Asked, method
from commonwatt.ledger.rpc.feed import (
    BlockWatch,
    Filters,
    LogQuery,
    LogWatch,
    PendingWatch,
    log_query,
    search,
    subscription,
)
from commonwatt.ledger.rpc.format import (
    Json,
    block_json,
    effective_gas_price,
    receipts_json,
    transaction_json,
    waiting_json,
)
from commonwatt.ledger.rpc.values import (
    FAILED,
    INVALID_PARAMS,
    LATEST,
    LIMIT,
    REVERTED,
    UNKNOWN_METHOD,
    RpcError,
    Where,
    address,
    block,
    call,
    count,
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
_MAX_HISTORY = 1024
_MAX_PERCENTILES = 100


# The node


@method("web3_clientVersion")
def _version(_: Asked) -> str:
    try:
        return f"commonwatt/{version('commonwatt')}"
    except PackageNotFoundError:  # run from its sources
        return "commonwatt/0"


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


def _by_hash(value: object) -> Where:
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


for _key, _parse in (("Number", block), ("Hash", _by_hash)):
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


@method("eth_getRawTransactionByHash", hash=hash32)
def _raw_transaction(asked: Asked, hash_: bytes) -> str | None:
    place = asked.reader.place(hash_)
    if place is None:
        queued = asked.backend.find(hash_)
        return hexed(queued.raw) if queued else None
    return hexed(asked.reader.transactions(asked.reader.header(place[0]))[place[1]].encode())


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


@method("eth_getProof", address=address, slots=_slots, block=block)
def _proof(asked: Asked, account: bytes, slots: list[int], where: Where) -> Json:
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


# Running code


@method("eth_call", required=1, transaction=call, block=block)
def _eth_call(asked: Asked, question: Question, where: Where = LATEST) -> str:
    answer = asked.reader.ask(_at_most(question, asked.limits.gas), asked.header(where).hash, asked.guard)
    if answer.error:
        raise _failure(answer)
    return hexed(answer.output)


@method("eth_estimateGas", required=1, transaction=call, block=block)
def _estimate(asked: Asked, question: Question, where: Where = LATEST) -> str:
    header = asked.header(where)
    most = min(asked.limits.gas, header.gas_limit)
    try:
        return hexed(asked.reader.estimate(_at_most(question, most), header.hash, asked.guard))
    except EstimateFailed as error:
        raise _failure(error.answer) from None


def _at_most(question: Question, gas: int) -> Question:
    return replace(question, gas=min(question.gas, gas))


def _failure(answer: Answer) -> RpcError:
    if answer.reverted:
        return RpcError(REVERTED, answer.error, hexed(answer.output))
    return RpcError(FAILED, f"The execution failed: {answer.error}.")


# Fees


@method("eth_gasPrice")
def _gas_price(asked: Asked) -> str:
    return hexed(asked.reader.next_base_fee)


@method("eth_maxPriorityFeePerGas")
def _tip(_: Asked) -> str:
    return hexed(0)  # whoever seals takes transactions without a tip


def _percentiles(value: object) -> list[float]:
    given = listed(value, _MAX_PERCENTILES)
    if any(isinstance(each, bool) or not isinstance(each, int | float) or not 0 <= each <= 100 for each in given):
        raise ValueError("are not numbers from 0 to 100")
    if given != sorted(given):
        raise ValueError("do not ascend")
    return [float(each) for each in given]


@method("eth_feeHistory", required=2, count=count, newest=block, percentiles=lambda value: _percentiles(value or []))
def _fee_history(asked: Asked, blocks: int, newest: Where, percentiles: list[float] | None = None) -> Json:
    last = asked.header(newest)
    first = max(last.block_number - min(blocks, _MAX_HISTORY) + 1, 0)
    headers = [asked.reader.header(number) for number in range(first, last.block_number + 1)]
    following = asked.reader.base_fee_after(last)
    history = {
        "oldestBlock": hexed(first),
        "baseFeePerGas": [hexed(header.base_fee_per_gas or 0) for header in headers] + [hexed(following)],
        "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
        "baseFeePerBlobGas": [hexed(1)] * (len(headers) + 1),
        "blobGasUsedRatio": [0.0] * len(headers),
    }
    if percentiles:
        history["reward"] = [_tips(asked, header, percentiles) for header in headers]
    return history


def _tips(asked: Asked, header: BlockHeaderAPI, percentiles: list[float]) -> list[str]:
    """Tips of a block's transactions at percentiles of its gas [wei per gas]."""
    asked.guard()
    base_fee = header.base_fee_per_gas or 0
    paid, before = [], 0
    for signed, receipt in zip(asked.reader.transactions(header), asked.reader.receipts(header), strict=True):
        paid.append((effective_gas_price(signed, header) - base_fee, receipt.gas_used - before))
        before = receipt.gas_used
    paid.sort()
    sums = list(accumulate(gas for _, gas in paid))
    wanted = [bisect_left(sums, before * percentile / 100) for percentile in percentiles]
    return [hexed(paid[min(index, len(paid) - 1)][0] if paid else 0) for index in wanted]


# Events


@method("eth_getLogs", filter=log_query)
def _logs(asked: Asked, query: LogQuery) -> list[Json]:
    return _search(asked, query)


def _search(asked: Asked, query: LogQuery) -> list[Json]:
    events = search(query, asked.reader, asked.limits.blocks, asked.guard)
    found = list(islice(events, asked.limits.events + 1))
    if len(found) > asked.limits.events:
        raise RpcError(LIMIT, f"More than {asked.limits.events} events were found; ask for fewer blocks.")
    return found


@method("eth_newFilter", filter=log_query)
def _new_filter(asked: Asked, query: LogQuery) -> str:
    return asked.filters.add(LogWatch(asked.reader, query))


@method("eth_newBlockFilter")
def _new_block_filter(asked: Asked) -> str:
    return asked.filters.add(BlockWatch(asked.reader, lambda header: hexed(header.hash)))


@method("eth_newPendingTransactionFilter")
def _new_pending_filter(asked: Asked) -> str:
    return asked.filters.add(PendingWatch(asked.arrivals))


def _name(value: object) -> str:
    return hexed(quantity(value))


@method("eth_getFilterChanges", filter=_name)
def _changes(asked: Asked, name: str) -> list[Any]:
    return asked.filters.get(name).news()


@method("eth_getFilterLogs", filter=_name)
def _filter_logs(asked: Asked, name: str) -> list[Json]:
    watch = asked.filters.get(name)
    if not isinstance(watch, LogWatch):
        raise RpcError(INVALID_PARAMS, "This filter is not one of events.")
    return _search(asked, watch.query)


@method("eth_uninstallFilter", filter=_name)
def _uninstall(asked: Asked, name: str) -> bool:
    return asked.filters.remove(name)


# Subscriptions


def _kind(value: object) -> str:
    if value not in ("newHeads", "logs", "newPendingTransactions"):
        raise ValueError("is not newHeads, logs or newPendingTransactions")
    return str(value)


@method("eth_subscribe", required=1, kind=_kind, filter=log_query)
def _subscribe(asked: Asked, kind: str, query: LogQuery | None = None) -> str:
    return _connection(asked).add(subscription(kind, query or LogQuery(), asked.reader, asked.arrivals))


@method("eth_unsubscribe", subscription=_name)
def _unsubscribe(asked: Asked, name: str) -> bool:
    return _connection(asked).remove(name)


def _connection(asked: Asked) -> Filters:
    if asked.subscriptions is None:
        raise RpcError(UNKNOWN_METHOD, "Subscriptions need a WebSocket.")
    return asked.subscriptions
