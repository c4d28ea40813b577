"""JSON-RPC without a socket: filters, events, subscriptions, and fees of the past."""

from __future__ import annotations

import json
from typing import Any

from ledger_cases import ALICE, BOB, transfer
from rpc_cases import GENESIS, LOGGER, create, error, log, result, send, service

from commonwatt.ledger.rpc.asked import Limits
from commonwatt.ledger.rpc.service import Service

ALICE_, BOB_ = f"0x{ALICE.address.hex()}", f"0x{BOB.address.hex()}"
TO = f"0x{'11' * 20}"
UNKNOWN = f"0x{'77' * 32}"
SEVEN = f"0x{7:064x}"


def test_filters_give_each_thing_once() -> None:
    rpc = service()
    contract = create(rpc, LOGGER)
    blocks, pending = result(rpc, "eth_newBlockFilter"), result(rpc, "eth_newPendingTransactionFilter")
    events = result(rpc, "eth_newFilter", {"address": contract, "topics": [SEVEN]})
    others = result(rpc, "eth_newFilter", {"address": [TO]})
    hashes = [log(rpc, contract, nonce, nonce) for nonce in (1, 2)]
    assert len(result(rpc, "eth_getFilterChanges", blocks)) == 2
    assert result(rpc, "eth_getFilterChanges", pending) == hashes
    found = result(rpc, "eth_getFilterChanges", events)
    assert [(each["transactionHash"], int(each["data"], 16), each["removed"]) for each in found] == [
        (hashes[0], 1, False),
        (hashes[1], 2, False),
    ]
    for name in (blocks, pending, events, others):
        assert result(rpc, "eth_getFilterChanges", name) == []
    # A filter without blocks is about the head.
    assert result(rpc, "eth_getFilterLogs", events) == found[1:]
    assert error(rpc, "eth_getFilterLogs", blocks)["code"] == -32602
    assert result(rpc, "eth_uninstallFilter", events) is True
    assert result(rpc, "eth_uninstallFilter", events) is False
    assert error(rpc, "eth_getFilterChanges", events) == {"code": -32000, "message": "filter not found"}


def test_events_are_found_by_address_topic_and_block() -> None:
    rpc = service()
    contract = create(rpc, LOGGER)
    for nonce in (1, 2, 3):
        log(rpc, contract, nonce, 10 + nonce)

    def words(**query: Any) -> list[int]:
        return [int(each["data"], 16) for each in result(rpc, "eth_getLogs", {"fromBlock": "0x0", **query})]

    assert words() == words(address=contract) == words(address=[TO, contract]) == [11, 12, 13]
    assert words(topics=[SEVEN]) == words(topics=[[UNKNOWN, SEVEN]]) == words(topics=[None]) == [11, 12, 13]
    assert words(topics=[UNKNOWN]) == words(topics=[SEVEN, None]) == words(address=TO) == []
    assert words(fromBlock="0x3", toBlock="0x3") == [12]
    assert words(fromBlock="0x4", toBlock="latest") == [13]
    block = result(rpc, "eth_getBlockByNumber", "0x2", False)  # noqa: FBT003
    (event,) = result(rpc, "eth_getLogs", {"blockHash": block["hash"]})
    assert (event["logIndex"], event["transactionIndex"], event["blockNumber"]) == ("0x0", "0x0", "0x2")
    assert error(service(Limits(blocks=0)), "eth_getLogs", {})["message"] == "These are 1 blocks; ask for 0 at a time."
    few = Service(rpc.backend, Limits(events=2))
    assert "More than 2 events" in error(few, "eth_getLogs", {"fromBlock": "0x0"})["message"]


def test_a_filter_that_nobody_polls_is_forgotten() -> None:
    time = [0.0]
    rpc = service(Limits(filters=2), clock=lambda: time[0])
    first = result(rpc, "eth_newBlockFilter")
    time[0] = 200
    assert result(rpc, "eth_getFilterChanges", first) == []
    time[0] = 499
    assert result(rpc, "eth_getFilterChanges", first) == []
    time[0] = 799
    assert error(rpc, "eth_getFilterChanges", first)["message"] == "filter not found"


def test_for_one_filter_more_the_one_that_waits_longest_gives_way() -> None:
    time = [0.0]
    rpc = service(Limits(filters=3), clock=lambda: time[0])
    polled = result(rpc, "eth_newBlockFilter")
    for _ in range(20):  # of somebody who wants them all
        time[0] += 1
        result(rpc, "eth_newPendingTransactionFilter")
        assert result(rpc, "eth_getFilterChanges", polled) == []
    own = result(rpc, "eth_newFilter", {})
    assert result(rpc, "eth_getFilterChanges", own) == []


def test_subscriptions_need_a_connection_and_stay_on_it() -> None:
    rpc = service(Limits(subscriptions=2))
    assert error(rpc, "eth_subscribe", "newHeads") == {"code": -32601, "message": "Subscriptions need a WebSocket."}
    one, other = rpc.connection(), rpc.connection()

    def ask(method: str, *params: Any, connection: Any = one) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return json.loads(rpc.handle(json.dumps(body).encode(), connection) or b"")

    heads = ask("eth_subscribe", "newHeads")["result"]
    ask("eth_subscribe", "newPendingTransactions")
    assert ask("eth_subscribe", "logs", {})["error"]["code"] == -32005
    assert ask("eth_unsubscribe", heads, connection=other)["result"] is False
    hash_ = send(rpc, transfer(0))
    told = [json.loads(message) for message in rpc.news(one) if message]
    assert [each["method"] for each in told] == ["eth_subscription"] * 2
    assert told[0]["params"]["subscription"] == heads
    assert told[0]["params"]["result"]["number"] == "0x1"
    assert told[1]["params"]["result"] == hash_
    assert [message for connection in (one, other) for message in rpc.news(connection) if message] == []
    assert ask("eth_unsubscribe", heads)["result"] is True


def test_fees_of_the_past() -> None:
    rpc = service()
    send(rpc, transfer(0, max_fee=100, tip=3))
    send(rpc, transfer(1, max_fee=8, tip=3))
    history = result(rpc, "eth_feeHistory", "0x2", "latest", [0, 100])
    assert history["oldestBlock"] == "0x1"
    assert history["baseFeePerGas"] == ["0x7"] * 3
    assert history["gasUsedRatio"] == [21_000 / GENESIS.gas_limit] * 2
    assert history["reward"] == [["0x3", "0x3"], ["0x1", "0x1"]]
    assert result(rpc, "eth_feeHistory", 1000, "0x1")["oldestBlock"] == "0x0"
    assert "reward" not in result(rpc, "eth_feeHistory", "0x1", "latest", None)
