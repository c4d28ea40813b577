"""What other clients of Ethereum would answer: tags, estimates, overrides, reasons, ranges."""

from __future__ import annotations

import json
from typing import Any

import pytest
from at_once import AtOnce
from eth_abi.abi import encode
from ledger_cases import ALICE, BOB, ETHER, transfer
from rpc_cases import GENESIS, error, result, service

from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.chain.evm import decode
from commonwatt.ledger.rpc.service import Service
from commonwatt.ledger.wallet import created_address, sign_transaction
from commonwatt.proof import Key

ALICE_ = f"0x{ALICE.address.hex()}"
TO = f"0x{'11' * 20}"
PLACE = f"0x{'aa' * 20}"
NOTHING_FINAL = {"code": -32001, "message": "This chain has no final block; ask for latest."}
# Gives back what it was called with: CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY CALLDATASIZE PUSH0 RETURN (or REVERT)
ECHO, REFUSE = "365f5f37365ff3", "365f5f37365ffd"
# Adds one to word 7 of its storage and gives that back.
COUNTER = "60075460010180600755" + "5f5260205ff3"
# Gives back its own balance.
BALANCE = "475f5260205ff3"


def send(rpc: Service, to: bytes = b"", key: Key = ALICE, **fields: Any) -> dict[str, Any]:
    nonce = int(result(rpc, "eth_getTransactionCount", f"0x{key.address.hex()}"), 16)
    raw = sign_transaction(key, **{"chain_id": GENESIS.chain_id, "nonce": nonce, "to": to, "gas": 500_000, **fields})
    hash_ = result(rpc, "eth_sendRawTransaction", f"0x{raw.hex()}")
    return dict(result(rpc, "eth_getTransactionReceipt", hash_))


def created(rpc: Service, code: str) -> str:
    body = bytes.fromhex(code)
    init = bytes([0x60, len(body), 0x80, 0x60, 0x09, 0x5F, 0x39, 0x5F, 0xF3]) + body
    return str(send(rpc, data=init)["contractAddress"])


# Tags


@pytest.mark.parametrize("tag", ["safe", "finalized"])
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getLogs", [{"toBlock": "TAG"}]),
        ("eth_getLogs", [{"fromBlock": "TAG"}]),
        ("eth_getLogs", [{"fromBlock": "earliest", "toBlock": "TAG", "address": TO}]),
        ("eth_newFilter", [{"toBlock": "TAG"}]),
        ("eth_newFilter", [{"fromBlock": "TAG", "topics": []}]),
        ("eth_getBalance", [ALICE_, "TAG"]),
        ("eth_getCode", [ALICE_, "TAG"]),
        ("eth_getTransactionCount", [ALICE_, "TAG"]),
        ("eth_getStorageAt", [ALICE_, "0x0", "TAG"]),
        ("eth_getProof", [ALICE_, [], "TAG"]),
        ("eth_call", [{}, "TAG"]),
        ("eth_estimateGas", [{}, "TAG"]),
        ("eth_feeHistory", ["0x1", "TAG"]),
        ("debug_getRawHeader", ["TAG"]),
    ],
)
def test_no_method_takes_another_block_for_a_final_one(method: str, params: list[Any], tag: str) -> None:
    asked = json.loads(json.dumps(params).replace("TAG", tag))
    assert error(service(), method, *asked) == NOTHING_FINAL


def test_no_subscription_takes_another_block_for_a_final_one() -> None:
    rpc = service()
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["logs", {"toBlock": "finalized"}]}
    assert json.loads(rpc.handle(json.dumps(call).encode(), rpc.connection()) or b"")["error"] == NOTHING_FINAL


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        ("0x0", "0x2", "block range extends beyond current head block"),
        ("0x5", "0x9", "block range extends beyond current head block"),
        ("0x9", None, "The first block, 9, is after the last, 1"),
        ("latest", "0x0", "The first block, 1, is after the last, 0"),
    ],
)
def test_ranges_that_are_none(first: str, last: str | None, told: str) -> None:
    rpc = service()
    send(rpc, to=bytes(20), value=1)
    answer = error(rpc, "eth_getLogs", {"fromBlock": first, "toBlock": last})
    assert answer["code"] == -32602
    assert told in answer["message"]


def test_a_filter_may_wait_for_blocks_to_come() -> None:
    rpc = service()
    contract = created(rpc, "5f5fa0")
    name = result(rpc, "eth_newFilter", {"fromBlock": "0x3", "toBlock": "0x3"})
    for _ in range(3):
        send(rpc, to=bytes.fromhex(contract[2:]))
    assert [log["blockNumber"] for log in result(rpc, "eth_getFilterChanges", name)] == ["0x3"]
    assert [log["blockNumber"] for log in result(rpc, "eth_getFilterLogs", name)] == ["0x3"]


def test_no_message_names_the_file(path: Any) -> None:
    with EmbeddedChain(path, GENESIS) as chain:
        rpc = Service(AtOnce(chain, lambda: 2000))
        for params in ([ALICE_, "0x63"], [ALICE_, f"0x{'77' * 32}"]):
            answer = error(rpc, "eth_getBalance", *params)
            assert answer["code"] == -32000
            assert answer["message"].startswith("header not found: the chain has no block ")
        with EmbeddedChain(path, read_only=True) as reading:
            sent = error(Service(AtOnce(reading, lambda: 0)), "eth_sendRawTransaction", f"0x{transfer(0).hex()}")
        assert sent["message"] == "the chain is open for reading only."


# Fees and estimates


def test_a_history_of_no_blocks_is_empty() -> None:
    rpc = service()
    send(rpc, to=bytes(20))
    lists = ("baseFeePerGas", "gasUsedRatio", "baseFeePerBlobGas", "blobGasUsedRatio")
    empty: dict[str, Any] = {name: [] for name in lists}
    for count in ("0x0", 0):
        assert result(rpc, "eth_feeHistory", count, "latest", [50]) == {"oldestBlock": "0x0", **empty}
    assert error(rpc, "eth_feeHistory", "0x1", "0x9")["message"].startswith("header not found")


@pytest.mark.parametrize(
    "fee", [{"gasPrice": hex(10**9)}, {"maxFeePerGas": hex(10**9)}, {"maxFeePerGas": hex(10**9), "gas": hex(10**9)}]
)
def test_with_a_fee_gas_is_what_the_balance_pays_for(fee: dict[str, str]) -> None:
    rpc = service()
    contract = created(rpc, COUNTER)
    poor = Key.derive(b"tests", "poor")
    send(rpc, to=poor.address, value=10**14)  # for 100 000 gas
    call = {"from": f"0x{poor.address.hex()}", "to": contract}
    free = result(rpc, "eth_estimateGas", call)
    assert int(result(rpc, "eth_estimateGas", {**call, **fee}), 16) <= 100_000
    assert result(rpc, "eth_estimateGas", {**call, **fee}) == free
    if "gas" not in fee:
        assert result(rpc, "eth_call", {**call, **fee}) == f"0x{1:064x}"
    receipt = send(rpc, to=bytes.fromhex(contract[2:]), key=poor, gas=int(free, 16))
    assert receipt["status"] == "0x1"


def test_who_cannot_pay_for_any_gas_is_told_so() -> None:
    rpc = service()
    for call in (
        {"from": TO, "to": TO, "gasPrice": "0x1"},
        {"from": ALICE_, "to": TO, "value": hex(1000 * ETHER), "maxFeePerGas": "0x7"},
        {"from": TO, "to": ALICE_, "value": "0x1"},
    ):
        assert "insufficient funds" in error(rpc, "eth_estimateGas", call)["message"]
        assert "insufficient funds" in error(rpc, "eth_call", call)["message"]


@pytest.mark.parametrize(
    ("number", "data", "most"),
    [(1, "", 24_100), (2, "0x616263", 21_300), (4, "0x00ff", 21_100), (6, "", 21_200), (8, "", 2_300_000)],
)
def test_precompiles_are_estimated_and_called(number: int, data: str, most: int) -> None:
    rpc = service()
    call = {"from": ALICE_, "to": f"0x{number:040x}", **({"data": data} if data else {})}
    gas = int(result(rpc, "eth_estimateGas", call), 16)
    assert 21_000 < gas <= most * 1.015
    result(rpc, "eth_call", {**call, "gas": hex(gas)})
    assert send(rpc, to=number.to_bytes(20, "big"), data=bytes.fromhex(data[2:]), gas=gas)["status"] == "0x1"


def test_a_call_for_another_chain_is_refused() -> None:
    rpc = service()
    told = {"code": -32000, "message": "chainId does not match node's (have=5, want=2024)"}
    for method in ("eth_call", "eth_estimateGas"):
        assert error(rpc, method, {"to": TO, "chainId": "0x5"}) == told
        assert result(rpc, method, {"to": TO, "chainId": hex(2024)})


def test_keys_of_a_call_that_mean_nothing_are_passed_over() -> None:
    rpc = service()
    call: dict[str, Any] = {
        "to": TO,
        "gasLimit": "0x5208",
        "customData": {"a": 1},
        "maxFeePerBlobGas": None,
        "blobs": [],
    }
    assert result(rpc, "eth_call", call) == "0x"


# Overrides


def test_a_question_may_take_accounts_to_be_otherwise() -> None:
    rpc = service()
    contract = created(rpc, COUNTER)

    def call(to: str, accounts: dict[str, Any], sender: str = TO, value: str = "0x0") -> str:
        return str(result(rpc, "eth_call", {"from": sender, "to": to, "value": value}, "latest", accounts))

    seven = f"0x{7:064x}"
    assert call(contract, {}) == f"0x{1:064x}"
    assert call(contract, {contract: {"stateDiff": {"0x7": "0x0f"}}}) == f"0x{16:064x}"
    assert call(contract, {contract: {"stateDiff": {seven: f"0x{41:064x}"}}}) == f"0x{42:064x}"
    assert call(contract, {contract: {"code": f"0x{BALANCE}", "balance": "0x2a"}}) == f"0x{42:064x}"
    assert call(PLACE, {PLACE: {"code": f"0x{BALANCE}"}, TO: {"balance": "0x9"}}, value="0x9") == f"0x{9:064x}"
    send(rpc, to=bytes.fromhex(contract[2:]))
    assert call(contract, {}) == f"0x{2:064x}"
    assert call(contract, {contract: {"state": {}}}) == f"0x{1:064x}"
    assert call(contract, {contract: {"state": {"0x7": "0x5"}}}) == f"0x{6:064x}"
    assert call(contract, {contract: {"stateDiff": {}}}) == f"0x{2:064x}"
    # Nothing of it stays.
    assert call(contract, {}) == f"0x{2:064x}"
    assert result(rpc, "eth_getBalance", TO) == "0x0"
    assert result(rpc, "eth_getCode", PLACE) == "0x"


def test_an_estimate_may_take_accounts_to_be_otherwise() -> None:
    rpc = service()
    rich = {TO: {"balance": hex(10**18)}}
    call = {"from": TO, "to": ALICE_, "value": hex(10**17), "gasPrice": "0x7"}
    assert "insufficient funds" in error(rpc, "eth_estimateGas", call)["message"]
    assert result(rpc, "eth_estimateGas", call, "latest", rich) == hex(21_000)
    # What a creation's address is depends on the number of transactions.
    address = created_address(bytes.fromhex(TO[2:]), 77)
    taken = {f"0x{address.hex()}": {"code": "0x00"}, TO: {"nonce": hex(77)}}
    assert result(rpc, "eth_call", {"from": TO, "data": "0x"}, "latest", {TO: {"nonce": hex(77)}}) == "0x"
    assert (
        error(rpc, "eth_call", {"from": TO, "data": "0x"}, "latest", taken)["message"] == "contract address collision"
    )


# Reasons


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (bytes.fromhex("08c379a0") + encode(["string"], ["note needed"]), "execution reverted: note needed"),
        (bytes.fromhex("08c379a0") + encode(["string"], ["zu teuer: 5 €"]), "execution reverted: zu teuer: 5 €"),
        (bytes.fromhex("4e487b71") + encode(["uint256"], [0x11]), "execution reverted: panic code 0x11"),
        (bytes.fromhex("08c379a0") + b"\xff" * 64, "execution reverted"),
        (bytes.fromhex("08c379a0") + encode(["bytes"], [b"\xff\xfe"]), "execution reverted"),
        (bytes.fromhex("12345678") + bytes(32), "execution reverted"),
        (b"", "execution reverted"),
    ],
)
def test_a_reason_that_is_text_is_in_the_message(data: bytes, told: str) -> None:
    rpc = service()
    contract = created(rpc, REFUSE)
    for method in ("eth_call", "eth_estimateGas"):
        answer = error(rpc, method, {"to": contract, "data": f"0x{data.hex()}"})
        assert answer == {"code": 3, "message": told, "data": f"0x{data.hex()}"}


# Words and defaults


@pytest.mark.parametrize("key", ["0x7", "0x07", "0x" + "0" * 62 + "7", "0x" + "0" * 63 + "7"])
def test_a_key_of_storage_may_have_leading_zeros(key: str) -> None:
    rpc = service()
    contract = created(rpc, COUNTER)
    send(rpc, to=bytes.fromhex(contract[2:]))
    assert result(rpc, "eth_getStorageAt", contract, key) == f"0x{1:064x}"
    (proof,) = result(rpc, "eth_getProof", contract, [key])["storageProof"]
    assert (proof["key"], proof["value"]) == (f"0x{7:064x}", "0x1")
    assert result(rpc, "eth_getProof", contract, [key]) == result(rpc, "eth_getProof", contract, [key], "latest")


def test_what_waits_is_told_by_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    rpc = service()
    waiting = [decode(transfer(nonce, key=key)) for key in (ALICE, BOB) for nonce in (1, 0, 3)]
    monkeypatch.setattr(rpc.backend, "waiting", lambda: waiting)
    assert result(rpc, "txpool_status") == {"pending": "0x4", "queued": "0x2"}
    content = result(rpc, "txpool_content")
    assert {sender.lower() for sender in content["pending"]} == {ALICE_, f"0x{BOB.address.hex()}"}
    assert [list(nonces) for nonces in content["pending"].values()] == [["0", "1"]] * 2
    assert [list(nonces) for nonces in content["queued"].values()] == [["3"]] * 2
