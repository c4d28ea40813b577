"""Methods about events: searches, filters that are polled, subscriptions."""

from __future__ import annotations

from typing import Any

from commonwatt.ledger.rpc.asked import Asked, Steps, method
from commonwatt.ledger.rpc.feed import (
    BlockWatch,
    Filters,
    LogQuery,
    LogWatch,
    PendingWatch,
    log_query,
    searched,
    subscription,
)
from commonwatt.ledger.rpc.format import Json
from commonwatt.ledger.rpc.values import INVALID_PARAMS, LIMIT, UNKNOWN_METHOD, RpcError, hexed, quantity

# Of one poll; the rest comes with the next one.
_BLOCKS = 128
# Blocks whose header alone is looked at, until others are let in between.
_STRIDE = 256


# Searches


@method("eth_getLogs", filter=log_query)
def _logs(asked: Asked, query: LogQuery) -> Steps[list[Json]]:
    return _search(asked, query, clipped=False)


def _search(asked: Asked, query: LogQuery, *, clipped: bool) -> Steps[list[Json]]:
    """The work is counted and not the time, so that the same question has the same answer on every machine."""
    found: list[Json] = []
    read = 0
    for looked, header in enumerate(searched(query, asked.reader, asked.limits.blocks, clipped=clipped), 1):
        if header is not None:
            found += query.found(asked.reader, header)
            read += sum(1 + len(receipt.logs) for receipt in asked.reader.receipts(header))
            if read > asked.limits.read:
                raise RpcError(LIMIT, f"More than {asked.limits.read} receipts and events; ask for fewer blocks.")
        if len(found) > asked.limits.events:
            raise RpcError(LIMIT, f"More than {asked.limits.events} events were found; ask for fewer blocks.")
        if header is not None or looked % _STRIDE == 0:
            yield
    return found


# Filters


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
    found: list[Any] = []
    for looked, block in enumerate(asked.filters.get(name).news(), 1):
        found += block
        if looked >= _BLOCKS or len(found) >= asked.limits.events:
            break
    return found


@method("eth_getFilterLogs", filter=_name)
def _filter_logs(asked: Asked, name: str) -> Steps[list[Json]]:
    watch = asked.filters.get(name)
    if not isinstance(watch, LogWatch):
        raise RpcError(INVALID_PARAMS, "This filter is not one of events.")
    return _search(asked, watch.query, clipped=True)


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
