"""JSON-RPC without a socket: the envelope, parameters, blocks and accounts, limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from at_once import AtOnce
from hypothesis import given
from hypothesis import strategies as st
from ledger_cases import ALICE, BOB, ETHER, transfer
from rpc_cases import GENESIS, LOGGER, create, error, log, request, result, send, service

from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.rpc.asked import METHODS, Limits
from commonwatt.ledger.rpc.backend import Backend
from commonwatt.ledger.rpc.service import Service
from commonwatt.ledger.rpc.values import quantity
from commonwatt.proof import keccak

ALICE_, BOB_ = f"0x{ALICE.address.hex()}", f"0x{BOB.address.hex()}"
TO = f"0x{'11' * 20}"
UNKNOWN = f"0x{'77' * 32}"
SEVEN = f"0x{7:064x}"
TOO_LONG = "The request took more than 2000 seconds and was ended; ask for less at a time."


def test_the_embedded_chain_and_a_standing_service_answer() -> None:
    rpc = service()
    backend: Backend = rpc.backend
    assert backend.syncing is None
    assert result(rpc, "eth_chainId") == hex(GENESIS.chain_id)
    assert result(rpc, "net_version") == str(GENESIS.chain_id)
    assert result(rpc, "eth_blockNumber") == "0x0"
    assert result(rpc, "eth_syncing") is False
    assert result(rpc, "net_listening") is True
    assert result(rpc, "net_peerCount") == "0x0"
    assert result(rpc, "eth_accounts") == []
    assert result(rpc, "web3_clientVersion").startswith("commonwatt/")
    assert result(rpc, "eth_gasPrice") == "0x7"
    assert result(rpc, "eth_maxPriorityFeePerGas") == "0x0"


# The envelope


@pytest.mark.parametrize(
    ("sent", "code", "told"),
    [
        (b"", -32700, "is not JSON"),
        (b"{", -32700, "is not JSON"),
        (b"\xff", -32700, "is not JSON"),
        (b'{"id": NaN}', -32700, "NaN is no number"),
        (b'{"id": %s}' % (b"9" * 5000), -32700, "is not JSON"),
        (b"[" * 100_000, -32700, "nested more than 32 deep"),
        (b'{"a":' * 100_000, -32700, "nested more than 32 deep"),
        (b"[]", -32600, "at least one call"),
        (b"7", -32600, "is an object"),
        (b'{"method": "eth_chainId", "id": 1}', -32600, '"jsonrpc": "2.0"'),
        (b'{"jsonrpc": "2.0", "method": 7, "id": 1}', -32600, '"method", which is text'),
        (b'{"jsonrpc": "2.0", "method": "eth_chainId", "id": {}}', -32600, "id of a call"),
        (b'{"jsonrpc": "2.0", "method": "eth_chainId", "id": 1e999}', -32600, "id of a call"),
        (b'{"jsonrpc": "2.0", "method": "eth_sign", "id": 1}', -32601, "'eth_sign' does not exist"),
        (b'{"jsonrpc": "2.0", "method": "eth_chainId", "id": 1, "params": {}}', -32602, "are a list"),
        (b'{"jsonrpc": "2.0", "method": "eth_chainId", "id": 1, "params": [1]}', -32602, "the method's are: none"),
        (b" " * ((1 << 20) + 1), -32600, "1048576 bytes at most"),
    ],
)
def test_what_is_no_call_is_told_so(sent: bytes, code: int, told: str) -> None:
    answer = json.loads(service().handle(sent) or b"")
    assert answer["error"]["code"] == code
    assert told in answer["error"]["message"]


def test_brackets_in_text_do_not_nest() -> None:
    text = "[" * 1000 + '\\"' + "{" * 1000
    sent = json.dumps({"jsonrpc": "2.0", "id": text, "method": "eth_chainId"}).encode()
    assert json.loads(service().handle(sent) or b"")["id"] == text


def test_a_batch_is_answered_in_order_and_a_notification_not_at_all() -> None:
    rpc = service()
    calls: list[Any] = [
        {"jsonrpc": "2.0", "id": "a", "method": "eth_chainId"},
        {"jsonrpc": "2.0", "method": "eth_chainId"},
        3,
        {"jsonrpc": "2.0", "id": 2.5, "method": "nothing"},
        {"jsonrpc": "2.0", "id": None, "method": "eth_blockNumber", "params": []},
        {"jsonrpc": "2.0", "method": "nothing"},
    ]
    answers = json.loads(rpc.handle(json.dumps(calls).encode()) or b"")
    assert [answer["id"] for answer in answers] == ["a", None, 2.5, None]
    assert [answer.get("error", {}).get("code") for answer in answers] == [None, -32600, -32601, None]
    assert rpc.handle(json.dumps(calls[1:2]).encode()) is None
    assert rpc.handle(json.dumps(calls[1]).encode()) is None
    long = json.loads(rpc.handle(json.dumps(calls[:1] * 101).encode()) or b"")
    assert long["error"] == {"code": -32600, "message": "A batch holds 100 calls at most, not 101."}


def test_an_answer_is_bounded_alone_and_in_a_batch() -> None:
    rpc = service(Limits(response=3000))
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["latest", False]}
    assert "result" in json.loads(rpc.handle(json.dumps(call).encode()) or b"")
    first, second, _ = json.loads(rpc.handle(json.dumps([call] * 3).encode()) or b"")
    assert "result" in first
    assert second["error"]["code"] == -32005
    alone = request(service(Limits(response=100)), "eth_getBlockByNumber", "latest", False)  # noqa: FBT003
    assert "more than 100 bytes" in alone["error"]["message"]


def test_a_fault_of_the_node_is_logged_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(AtOnce):
        def pending_nonce(self, address: bytes) -> int:
            raise ZeroDivisionError(address)

    rpc = Service(Broken(EmbeddedChain(None, GENESIS), lambda: 0))
    answer = error(rpc, "eth_getTransactionCount", ALICE_, "pending")
    assert answer == {"code": -32603, "message": "The node failed to answer; its log says why."}
    assert "ZeroDivisionError" in caplog.text


# Parameters


@pytest.mark.parametrize(
    ("method", "params", "told"),
    [
        ("eth_getBalance", [], "0 parameters were given; the method's are: address, block"),
        ("eth_getBalance", [ALICE_, "latest", 1], "3 parameters"),
        ("eth_getBalance", ["0x12"], "address is not an address"),
        ("eth_getBalance", [ALICE_[:-1] + "g"], "is not an address"),
        ("eth_getBalance", [None], "is not an address"),
        ("eth_getBalance", [ALICE_, "newest"], "block is not a block"),
        ("eth_getBalance", [ALICE_, "0x01"], "without leading zeros"),
        ("eth_getBalance", [ALICE_, 1], "is not a block"),
        ("eth_getBalance", [ALICE_, {"blockHash": UNKNOWN, "blockNumber": "0x0"}], "is not a block: an object"),
        ("eth_getBalance", [ALICE_, {"blockHash": "0x00"}], '"blockHash" that is not a hash'),
        ("eth_getBlockByNumber", ["0x0", 1], "full is not true or false"),
        ("eth_getBlockByHash", ["0x0", True], "block is not a hash"),
        ("eth_getStorageAt", [ALICE_, "0x"], "slot is not a word"),
        ("eth_getStorageAt", [ALICE_, "0x1" + "0" * 64], "slot is not a word, 0x and at most 64 digits"),
        ("eth_getStorageAt", [ALICE_, 0], "slot is not a word"),
        ("eth_sendRawTransaction", ["0x123"], "transaction is not bytes"),
        ("eth_sendRawTransaction", [7], "transaction is not bytes"),
        ("eth_call", [{"to": TO, "authorizationList": [{}]}], '"authorizationList", which transactions of this chain'),
        ("eth_call", [{"to": TO, "blobVersionedHashes": [UNKNOWN]}], '"blobVersionedHashes"'),
        ("eth_call", [{}, "latest", {TO: {"colour": "red"}}], "has the unknown key 'colour'"),
        ("eth_call", [{}, "latest", {"0x12": {}}], "is not an address"),
        ("eth_call", [{}, "latest", {TO: {"nonce": hex(2**64)}}], "does not fit 64 bits"),
        ("eth_call", [{}, "latest", {TO: {"state": {}, "stateDiff": {}}}], '"state" and also "stateDiff"'),
        ("eth_call", [{"to": TO, "data": "0x01", "input": "0x02"}], "that differ"),
        ("eth_call", [{"gas": "12"}], '"gas" that is not a number'),
        ("eth_call", [[]], "is not an object"),
        ("eth_call", [{"accessList": [{"address": TO, "storageKeys": [1]}]}], "is not a word"),
        ("eth_getLogs", [{"address": ["0x1"]}], '"address" that is not an address'),
        ("eth_getLogs", [{"topics": [None] * 5}], '"topics" that has more than 4 items'),
        ("eth_getLogs", [{"blockHash": UNKNOWN, "fromBlock": "0x0"}], '"blockHash" and also'),
        ("eth_getLogs", [{"fromBlock": "0x2", "toBlock": "0x1"}], "The first block, 2, is after the last, 1"),
        ("eth_feeHistory", ["0x1", "latest", [50, 10]], "percentiles do not ascend"),
        ("eth_feeHistory", ["0x1", "latest", [101]], "are not numbers from 0 to 100"),
        ("eth_feeHistory", [-1, "latest"], "count is not a number"),
        ("eth_subscribe", ["news"], "kind is not newHeads, logs or newPendingTransactions"),
    ],
)
def test_parameters_are_taken_strictly(method: str, params: list[Any], told: str) -> None:
    answer = error(service(), method, *params)
    assert answer["code"] == -32602
    assert told in answer["message"]


@given(st.integers(0, 2**256 - 1))
def test_a_quantity_is_read_as_it_is_written(number: int) -> None:
    assert quantity(hex(number)) == number


# Blocks, transactions, accounts


def test_a_block_its_transaction_and_receipt_agree() -> None:
    rpc = service()
    hash_ = send(rpc, transfer(0, wei=5, max_fee=100, tip=3))
    block = result(rpc, "eth_getBlockByNumber", "latest", True)  # noqa: FBT003
    assert block == result(rpc, "eth_getBlockByHash", block["hash"], True)  # noqa: FBT003
    short = result(rpc, "eth_getBlockByNumber", "0x1", False)  # noqa: FBT003
    assert short == {**block, "transactions": [hash_]}
    (found,) = block["transactions"]
    assert found == result(rpc, "eth_getTransactionByHash", hash_)
    assert found == result(rpc, "eth_getTransactionByBlockNumberAndIndex", "0x1", "0x0")
    assert found == result(rpc, "eth_getTransactionByBlockHashAndIndex", block["hash"], "0x0")
    assert (found["from"], found["to"], found["value"], found["gasPrice"]) == (ALICE_, TO, "0x5", hex(10))
    assert result(rpc, "eth_getBlockTransactionCountByHash", block["hash"]) == "0x1"
    raw = bytes.fromhex(result(rpc, "eth_getRawTransactionByHash", hash_)[2:])
    assert f"0x{keccak(raw).hex()}" == hash_
    receipt = result(rpc, "eth_getTransactionReceipt", hash_)
    assert [receipt] == result(rpc, "eth_getBlockReceipts", "0x1")
    assert (receipt["status"], receipt["gasUsed"], receipt["effectiveGasPrice"]) == ("0x1", hex(21_000), hex(10))
    # What the execution API demands of a block, sealed by work once, by another engine today.
    assert (block["nonce"], block["difficulty"], block["uncles"]) == ("0x" + "00" * 8, "0x0", [])
    assert result(rpc, "eth_getBalance", ALICE_) == hex(1000 * ETHER - 5 - 21_000 * 10)
    assert result(rpc, "eth_getBalance", ALICE_, "0x0") == hex(1000 * ETHER)
    assert result(rpc, "eth_getBalance", ALICE_, "earliest") == hex(1000 * ETHER)
    by_hash = {"blockHash": block["hash"], "requireCanonical": True}
    assert result(rpc, "eth_getTransactionCount", ALICE_, by_hash) == "0x1"
    assert result(rpc, "eth_getTransactionCount", ALICE_, {"blockNumber": "0x0"}) == "0x0"


def test_what_is_not_there_is_null_or_a_sentence() -> None:
    rpc = service()
    for method, params in (
        ("eth_getBlockByNumber", ["0x7", False]),
        ("eth_getBlockByNumber", ["finalized", False]),
        ("eth_getBlockByHash", [UNKNOWN, True]),
        ("eth_getBlockReceipts", ["0x7"]),
        ("eth_getBlockTransactionCountByNumber", ["0x7"]),
        ("eth_getTransactionByHash", [UNKNOWN]),
        ("eth_getRawTransactionByHash", [UNKNOWN]),
        ("eth_getTransactionReceipt", [UNKNOWN]),
        ("eth_getTransactionByBlockNumberAndIndex", ["0x0", "0xffffffffffffffffffff"]),
    ):
        assert result(rpc, method, *params) is None, method
    assert error(rpc, "eth_getBalance", ALICE_, "0x7") == {
        "code": -32000,
        "message": "header not found: the chain has no block 7.",
    }
    assert error(rpc, "eth_getBalance", ALICE_, "safe")["message"] == "This chain has no final block; ask for latest."
    assert error(rpc, "eth_getBalance", ALICE_, UNKNOWN)["code"] == -32000
    assert error(rpc, "eth_getLogs", {"blockHash": UNKNOWN})["code"] == -32000


def test_a_refused_transaction_says_why_in_words_that_wallets_know() -> None:
    rpc = service()
    send(rpc, transfer(0))
    for raw, told in (
        (transfer(0), "nonce too low"),
        (transfer(9), "nonce too high"),
        (transfer(1, wei=10**30), "insufficient funds"),
        (transfer(1, chain_id=1), "signed for chain 1, this is chain 2024"),
        (b"", "not a signed Ethereum transaction"),
        (b"\x01" + bytes(100), "not a signed Ethereum transaction"),
    ):
        answer = error(rpc, "eth_sendRawTransaction", f"0x{raw.hex()}")
        assert (answer["code"], told in answer["message"]) == (-32000, True), answer


# Running code


def test_calls_estimates_and_their_failures() -> None:
    rpc = service()
    contract = create(rpc, LOGGER)
    word = f"0x{5:064x}"
    assert result(rpc, "eth_call", {"to": contract, "data": word}) == "0x"
    assert result(rpc, "eth_getStorageAt", contract, "0x0") == f"0x{0:064x}"
    estimated = int(result(rpc, "eth_estimateGas", {"from": ALICE_, "to": contract, "input": word}), 16)
    used = int(result(rpc, "eth_getTransactionReceipt", log(rpc, contract, 1, 5))["gasUsed"], 16)
    assert used <= estimated <= used * 1.02
    assert result(rpc, "eth_getStorageAt", contract, "0x0") == word
    assert result(rpc, "eth_getCode", contract) == f"0x{LOGGER.hex()}"
    reverted = {"code": 3, "message": "execution reverted", "data": "0x6e6f"}
    for method in ("eth_call", "eth_estimateGas"):
        assert error(rpc, method, {"to": contract, "data": f"0x{0:064x}"}) == reverted
        assert error(rpc, method, {"to": contract, "data": word, "gas": hex(22_000)})["message"] == "out of gas"
        assert "insufficient funds" in error(rpc, method, {"from": TO, "to": contract, "value": "0x1"})["message"]
    assert "below the 21" in error(rpc, "eth_call", {"to": contract, "data": word, "gas": "0x1"})["message"]
    assert result(rpc, "eth_estimateGas", {"from": ALICE_, "to": TO, "value": "0x1"}) == hex(21_000)
    # The state of the head is as before all these questions.
    assert result(rpc, "eth_getBalance", TO) == "0x0"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("fe", "invalid opcode (Invalid opcode 0xfe @ 0)"),
        ("5f5f0c", "invalid opcode (Invalid opcode 0xc @ 2)"),
        ("5f01", "stack underflow (Wanted 2 stack items, only had 1)"),
        ("91", "stack underflow (Insufficient stack items for SWAP2)"),
        ("5f56", "invalid jump destination"),
        ("5b5f600056", "stack limit reached"),
        ("5b600056", "out of gas"),
        ("60015f5f3e", "return data out of bounds"),
    ],
)
def test_a_failure_has_the_words_that_libraries_look_for(code: str, message: str) -> None:
    call, accounts = {"to": TO, "gas": hex(200_000)}, {TO: {"code": f"0x{code}"}}
    for method in ("eth_call", "eth_estimateGas"):
        assert error(service(), method, call, "latest", accounts) == {"code": -32000, "message": message}


def test_a_call_has_one_kind_of_price() -> None:
    told = {"code": -32000, "message": "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified"}
    for method in ("eth_call", "eth_estimateGas"):
        for other in ("maxFeePerGas", "maxPriorityFeePerGas"):
            assert error(service(), method, {"from": ALICE_, "to": TO, "gasPrice": "0x7", other: "0x0"}) == told
        assert result(service(), method, {"from": ALICE_, "to": TO, "gasPrice": "0x7", "maxFeePerGas": None})


def test_a_question_that_runs_on_is_ended() -> None:
    ticks = iter(range(1_000_000))
    rpc = service(Limits(seconds=2000), cpu=lambda: next(ticks))
    answer = error(rpc, "eth_call", {"data": "0x5b5f56", "gas": hex(2**60)})
    assert answer == {"code": -32005, "message": TOO_LONG}


def test_calls_as_deep_as_the_rules_allow_come_back() -> None:
    rpc = service()
    contract = create(rpc, bytes.fromhex("5f5f5f5f5f305af1"))  # calls itself with all gas that is left
    assert result(rpc, "eth_call", {"to": contract, "gas": hex(2**24)}) == "0x"


# Documentation


def test_every_method_and_limit_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "json-rpc.md").read_text("utf-8")
    missing = [name for name in METHODS if f"`{name}`" not in page]
    assert missing == []


def test_a_file_that_another_process_writes_is_followed(path: Path, open_chain: Callable[..., EmbeddedChain]) -> None:
    writer = open_chain()
    reader = Service(AtOnce(open_chain(read_only=True), lambda: 0))
    assert result(reader, "eth_blockNumber") == "0x0"
    writer.seal(2000)
    assert result(reader, "eth_blockNumber") == "0x1"
    assert "reading only" in error(reader, "eth_sendRawTransaction", f"0x{transfer(0).hex()}")["message"]
