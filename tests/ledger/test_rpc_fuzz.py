"""Thousands of requests that no tool would send: each is answered, and none costs memory for good."""

from __future__ import annotations

import gc
import json
import sys
from random import Random
from typing import Any

import httpx
import pytest
from ledger_cases import ALICE, SOAK, transfer
from rpc_cases import GENESIS, LOGGER, create, log, result, served, service

from commonwatt.ledger.rpc.asked import METHODS, Limits

REQUESTS = 5000 if SOAK else 1500
SEED = 2024


class Fuzzer:
    """Requests near and far from sense; the same seed gives the same ones."""

    def __init__(self, seed: int, contract: str, known: list[str]) -> None:
        self._random = Random(seed)  # noqa: S311
        accounts = [f"0x{ALICE.address.hex()}", contract, f"0x{'77' * 20}"]
        hashes = [f"0x{'77' * 32}", f"0x{7:064x}", *known]
        blocks = ["latest", "pending", "earliest", "finalized", "0x0", "0x1", "0x7", {"blockHash": hashes[-1]}]
        self._good: dict[str, list[Any]] = {
            "address": accounts,
            "block": [*blocks, *hashes],
            "newest": blocks,
            "hash": hashes,
            "full": [True, False],
            "index": ["0x0", "0x1"],
            "slot": ["0x0", hashes[0]],
            "slots": [[], ["0x0", "0x1"]],
            "count": ["0x2", 4],
            "percentiles": [[10, 50], None],
            "kind": ["newHeads", "logs"],
            "filter": [{"fromBlock": "0x0", "topics": [None]}, {"blockHash": hashes[-1]}, {"address": accounts}, "0x1"],
            "subscription": ["0x1"],
            "overrides": [None, {}, {contract: {"balance": "0x1", "code": "0x00", "state": {"0x0": "0x01"}}}],
            "transaction": [
                {"to": contract, "data": f"0x{5:064x}"}, {"data": "0x5b5f56"}, {"to": contract, "gas": hex(10**9)},
                {"from": accounts[0], "to": accounts[2], "value": "0x1"}, f"0x{transfer(99).hex()}",
            ],
        }  # fmt: skip
        self._bad: list[Any] = [
            None, -1, 0, 2**70, 1.5, 1e308, "", "0x", "0xg", "0x00", "0X1", " 0x1", "0x" + "f" * 70, "é", "\x00",
            "\ud800", [], {}, [[]], {"a": {}}, "x" * 5000, ["0x1"] * 300, {"topics": [[], [[]]]}, {"address": {}},
            {"gas": -1}, {"blockNumber": "0x1", "blockHash": "0x1"}, {"accessList": [{}] * 3},
            {"fromBlock": "0x" + "f" * 60},
            {"toBlock": "safe"}, {"to": None}, {"value": hex(2**256 - 1)}, {"accessList": [{"address": contract}]},
        ]  # fmt: skip

    def request(self) -> bytes:
        """Bytes to be sent."""
        chance = self._random.random()
        if chance < 0.1:
            return self._random.randbytes(self._random.randrange(300))
        if chance < 0.2:
            return json.dumps([self._call() for _ in range(self._random.randrange(5))]).encode()
        body = json.dumps(self._call()).encode()
        if chance < 0.35:
            at = self._random.randrange(len(body))
            return (
                body[:at] + self._random.randbytes(self._random.randrange(4)) + body[at + self._random.randrange(9) :]
            )
        return body

    def _call(self) -> Any:
        name, method = self._random.choice(list(METHODS.items()))
        params = [self._random.choice(self._good[parameter]) for parameter, _ in method.parsers]
        call: dict[str, Any] = {
            "jsonrpc": "2.0", "id": self._random.choice([1, "a", None, -5, 10**30]), "method": name, "params": params,
        }  # fmt: skip
        chance = self._random.random()
        if chance < 0.3:
            params.insert(self._random.randrange(len(params) + 1), self._random.choice(self._bad))
        elif chance < 0.6 and params:
            params[self._random.randrange(len(params))] = self._random.choice(self._bad)
        elif chance < 0.7:
            call[self._random.choice([*call, "more"])] = self._random.choice([*self._bad, "eth_sign"])
        return call


def test_strange_requests_are_all_answered(caplog: pytest.LogCaptureFixture) -> None:
    rpc = service(Limits(seconds=0.02, filters=20, subscriptions=2))
    contract = create(rpc, LOGGER)
    transaction = log(rpc, contract, 1, 5)
    head = result(rpc, "eth_getBlockByNumber", "latest", False)["hash"]  # noqa: FBT003
    source = Fuzzer(SEED, contract, [transaction, head])
    connection = rpc.connection()
    codes: dict[int, int] = {}
    blocks = 0
    with served(rpc) as place, httpx.Client(base_url=f"http://{place}", trust_env=False) as client:
        for number in range(REQUESTS):
            if number == REQUESTS // 5:
                gc.collect()
                blocks = sys.getallocatedblocks()
            sent = source.request()
            if number % 5:
                answer = rpc.handle(sent, connection)
            else:
                found = client.post("/", content=sent, headers={"content-type": "application/json"})
                assert found.status_code in (200, 204), found.text
                answer = found.content
            list(rpc.news(connection))
            for each in _listed(json.loads(answer)) if answer else []:
                assert ("result" in each) != ("error" in each)
                code = each.get("error", {}).get("code", 0)
                codes[code] = codes.get(code, 0) + 1
        gc.collect()
        grown = sys.getallocatedblocks() - blocks
        healthy = client.post("/", json={"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []})
    assert healthy.json()["result"] == hex(GENESIS.chain_id)
    # What grew is what remembers accounts and traces of code; it is bounded, and small against so many requests.
    assert grown < 10 * REQUESTS, grown
    # Nothing was a fault of the node, and sense and nonsense were both there.
    assert -32603 not in codes, caplog.text
    assert {0, -32700, -32600, -32601, -32602, -32000, -32001, -32005} <= set(codes)
    assert codes[0] > REQUESTS // 5


def _listed(answer: Any) -> list[Any]:
    return answer if isinstance(answer, list) else [answer]
