"""Answers against the schemas of the execution API, for transactions of every type that this chain carries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth_account import Account
from json_schema import faults
from ledger_cases import ALICE, BOB
from rpc_cases import GENESIS, result, service

from commonwatt.ledger.chain.evm import decode
from commonwatt.ledger.rpc.service import Service
from commonwatt.ledger.wallet import created_address
from commonwatt.proof import checksum_address, keccak

SCHEMAS = json.loads((Path(__file__).parent / "cases" / "execution-apis" / "schemas.json").read_text("utf-8"))
# Logs its caller's first word under topic 7, keeps it in slot 0, and logs twice more without topics.
CODE = bytes.fromhex("5f355f525f355f55600760205fa15f5fa060205fa0")
CONTRACT = created_address(ALICE.address, 0)


@pytest.fixture(scope="module")
def rpc() -> Service:
    """A chain with a creation, calls of types 0, 1 and 2, a transfer and a failure."""
    rpc = service()
    to, word = checksum_address(CONTRACT), f"0x{9:064x}"
    access = [{"address": to, "storageKeys": [f"0x{0:064x}"]}]
    init = bytes([0x60, len(CODE), 0x80, 0x60, 0x09, 0x5F, 0x39, 0x5F, 0xF3]) + CODE
    wanted: list[dict[str, Any]] = [
        {"data": f"0x{init.hex()}", "gasPrice": 9},
        {"to": to, "data": word, "gasPrice": 9},
        {"to": to, "data": word, "gasPrice": 9, "accessList": access},
        {"to": to, "data": word, "maxFeePerGas": 100, "maxPriorityFeePerGas": 3, "accessList": access},
        {"to": checksum_address(BOB.address), "value": 1, "maxFeePerGas": 7, "maxPriorityFeePerGas": 0},
        {"data": "0xfe", "gasPrice": 7},
    ]
    for nonce, fields in enumerate(wanted):
        whole = {"nonce": nonce, "gas": 200_000, "chainId": GENESIS.chain_id, "value": 0, **fields}
        result(
            rpc, "eth_sendRawTransaction", f"0x{Account.sign_transaction(whole, ALICE.secret).raw_transaction.hex()}"
        )
    return rpc


def answers(rpc: Service) -> Iterator[tuple[str, str, Any]]:
    """Method, schema and answer."""
    for number in map(hex, range(int(result(rpc, "eth_blockNumber"), 16) + 1)):
        for full in (False, True):
            block = result(rpc, "eth_getBlockByNumber", number, full)
            yield "eth_getBlockByNumber", "block", block
            yield "eth_getBlockByHash", "block", result(rpc, "eth_getBlockByHash", block["hash"], full)
        for transaction in block["transactions"]:
            hash_ = transaction["hash"]
            yield "in a full block", "transaction", transaction
            yield "eth_getTransactionByHash", "transaction", result(rpc, "eth_getTransactionByHash", hash_)
            for way, name in (("Number", number), ("Hash", block["hash"])):
                method = f"eth_getTransactionByBlock{way}AndIndex"
                yield method, "transaction", result(rpc, method, name, "0x0")
            yield "eth_getTransactionReceipt", "receipt", result(rpc, "eth_getTransactionReceipt", hash_)
        for receipt in result(rpc, "eth_getBlockReceipts", number):
            yield "eth_getBlockReceipts", "receipt", receipt
    for log in result(rpc, "eth_getLogs", {"fromBlock": "0x0"}):
        yield "eth_getLogs", "log", log
    for count, percentiles in (("0x0", None), ("0x1", []), ("0x4", [0, 50, 100]), ("0x400", None)):
        yield "eth_feeHistory", "feeHistory", result(rpc, "eth_feeHistory", count, "latest", percentiles)
    for account, slots in ((CONTRACT, ["0x00", "0x" + "0" * 63 + "1"]), (b"\x99" * 20, [])):
        yield "eth_getProof", "proof", result(rpc, "eth_getProof", f"0x{account.hex()}", slots)


def test_answers_are_what_the_specification_says(rpc: Service) -> None:
    seen: dict[str, int] = {}
    for method, schema, answer in answers(rpc):
        assert list(faults(answer, SCHEMAS[schema], SCHEMAS)) == [], method
        seen[schema] = seen.get(schema, 0) + 1
    # Three events each of three calls; receipts twice, transactions four times, blocks from the genesis on four times.
    assert seen == {"block": 28, "transaction": 24, "receipt": 12, "log": 9, "feeHistory": 4, "proof": 2}
    kinds = {block["transactions"][0]["type"] for block in blocks(rpc)[1:]}
    assert kinds == {"0x0", "0x1", "0x2"}


def blocks(rpc: Service) -> list[dict[str, Any]]:
    last = int(result(rpc, "eth_blockNumber"), 16)
    return [result(rpc, "eth_getBlockByNumber", hex(number), True) for number in range(last + 1)]  # noqa: FBT003


def test_the_checker_finds_what_is_wrong(rpc: Service) -> None:
    block = blocks(rpc)[2]
    assert not list(faults(block, SCHEMAS["block"], SCHEMAS))
    for change in ({"number": "0x01"}, {"gasUsed": 5}, {"colour": "red"}, {"uncles": None}, {"nonce": "0x0"}):
        assert list(faults(block | change, SCHEMAS["block"], SCHEMAS)), change
    assert list(faults({key: block[key] for key in block if key != "size"}, SCHEMAS["block"], SCHEMAS))
    (transaction,) = block["transactions"]
    assert list(faults({**transaction, "type": "0x2"}, SCHEMAS["transaction"], SCHEMAS))


def test_times_are_those_of_the_blocks(rpc: Service) -> None:
    for block in blocks(rpc)[1:]:
        (transaction,) = block["transactions"]
        receipt = result(rpc, "eth_getTransactionReceipt", transaction["hash"])
        times = {transaction["blockTimestamp"], *(log["blockTimestamp"] for log in receipt["logs"])}
        assert times == {block["timestamp"]}


def test_what_is_encoded_has_its_hash(rpc: Service) -> None:
    block = blocks(rpc)[3]
    header = bytes.fromhex(result(rpc, "debug_getRawHeader", "0x3")[2:])
    assert f"0x{keccak(header).hex()}" == block["hash"]
    whole = bytes.fromhex(result(rpc, "debug_getRawBlock", block["hash"])[2:])
    assert len(whole) == int(block["size"], 16)
    assert rlp.decode(whole)[0] == rlp.decode(header)
    (transaction,) = block["transactions"]
    raw = result(rpc, "debug_getRawTransaction", transaction["hash"])
    assert raw == result(rpc, "eth_getRawTransactionByHash", transaction["hash"])
    assert decode(bytes.fromhex(raw[2:])).hash.hex() == transaction["hash"][2:]
    (receipt,) = result(rpc, "debug_getRawReceipts", "0x3")
    assert receipt.startswith("0x01f9")  # of type 1


def test_uncles_are_none_and_blobs_cost_nothing(rpc: Service) -> None:
    hash_ = blocks(rpc)[1]["hash"]
    assert result(rpc, "eth_getUncleByBlockHashAndIndex", hash_, "0x0") is None
    assert result(rpc, "eth_getUncleByBlockNumberAndIndex", "latest", "0x0") is None
    assert result(rpc, "eth_getUncleCountByBlockHash", hash_) == "0x0"
    assert result(rpc, "eth_getUncleCountByBlockNumber", "0x77") is None
    assert result(rpc, "eth_blobBaseFee") == "0x1"
    assert result(rpc, "eth_baseFee") == result(rpc, "eth_gasPrice") == "0x7"
    assert result(rpc, "txpool_status") == {"pending": "0x0", "queued": "0x0"}
