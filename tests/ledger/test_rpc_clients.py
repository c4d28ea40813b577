"""The same errands by the tools that people use: web3.py, ethers and Foundry's cast."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ledger_cases import ALICE, BOB, ETHER
from nodes import node_tool
from rpc_cases import ARTIFACTS, CONTRACTS, GENESIS, artifact, served, service
from web3 import Web3
from web3.exceptions import ContractCustomError, ContractLogicError, Web3RPCError

from commonwatt.ledger.client.abi import contract, revert

CARL = b"\xca" * 20
LANE_UNIT = 10**12
NOBODY = Web3.to_checksum_address(bytes(20))
TERMS = (LANE_UNIT, 900, 0, 600, 86400, 600, 86400, 0, NOBODY, NOBODY)


@pytest.fixture
def url() -> Iterator[str]:
    with served(service()) as place:
        yield f"http://{place}"


@pytest.fixture
def web3(url: str) -> Web3:
    return Web3(Web3.HTTPProvider(url))


def sent(web3: Web3, transaction: Any, key: Any = ALICE) -> Any:
    signed = web3.eth.account.sign_transaction(transaction, key.secret)
    return web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(signed.raw_transaction))


def deployed(web3: Web3, name: str, *arguments: Any) -> Any:
    compiled = artifact(name)
    factory = web3.eth.contract(abi=compiled["abi"], bytecode=compiled["bytecode"])
    receipt = sent(web3, factory.constructor(*arguments).build_transaction(paid(web3)))
    assert receipt.status == 1
    return web3.eth.contract(receipt.contractAddress, abi=compiled["abi"])


def paid(web3: Web3, key: Any = ALICE) -> dict[str, Any]:
    sender = Web3.to_checksum_address(key.address)
    return {"from": sender, "nonce": web3.eth.get_transaction_count(sender, "pending")}


def test_web3_deploys_pays_in_and_reads_events(web3: Web3) -> None:
    alice, bob = Web3.to_checksum_address(ALICE.address), Web3.to_checksum_address(BOB.address)
    nobody = Web3.to_checksum_address(bytes(20))
    community = deployed(web3, "Community", [alice], 1, bytes(32))
    register = community.functions.register([alice, bob], [nobody, nobody], [1, 1])
    sent(web3, register.build_transaction(paid(web3)))
    assert community.functions.memberOf(bob).call() == 1
    settlement = deployed(web3, "Settlement", community.address, nobody, TERMS)

    polled = settlement.events.Deposited.create_filter(from_block="latest")
    deposit = settlement.functions.deposit(5)
    receipt = sent(web3, deposit.build_transaction({**paid(web3, BOB), "value": 5 * LANE_UNIT}), BOB)
    (event,) = settlement.events.Deposited().process_receipt(receipt)
    assert (event.args.member, event.args.payer, event.args.lanes) == (1, bob, 5)
    assert [dict(each.args) for each in polled.get_new_entries()] == [dict(event.args)]
    assert settlement.events.Deposited.get_logs(from_block=0, argument_filters={"member": 1})[0] == event
    assert settlement.events.Deposited.get_logs(from_block=0, argument_filters={"member": 0}) == []
    assert settlement.functions.balanceOf(1).call() == 5
    # State of the past: before the deposit there was nothing.
    assert settlement.functions.balanceOf(1).call(block_identifier=receipt.blockNumber - 1) == 0
    assert web3.eth.get_balance(settlement.address) == 5 * LANE_UNIT
    assert (
        web3.eth.get_code(community.address).hex() in artifact("Community")["deployedBytecode"]
        or len(web3.eth.get_code(community.address)) == len(artifact("Community")["deployedBytecode"]) // 2 - 1
    )


def test_web3_learns_why_a_contract_refuses(web3: Web3) -> None:
    alice, bob = Web3.to_checksum_address(ALICE.address), Web3.to_checksum_address(BOB.address)
    community = deployed(web3, "Community", [alice], 1, bytes(32))
    settlement = deployed(web3, "Settlement", community.address, Web3.to_checksum_address(bytes(20)), TERMS)
    commit = settlement.functions.commit(900, [bytes(32)], [bytes(32)], [])
    for ask in (commit.call, commit.estimate_gas):
        with pytest.raises(ContractCustomError) as refused:
            ask({"from": bob})
        data = bytes.fromhex(str(refused.value.data)[2:])
        assert str(revert(data, "it")) == f"The contract refused it: NotAnOperator({bob})."
    with pytest.raises(ContractLogicError, match="execution reverted"):
        web3.eth.call({"to": community.address, "data": bytes(4)})


def test_web3_sends_every_type_of_transaction(web3: Web3) -> None:
    to = Web3.to_checksum_address(CARL)
    fees: list[dict[str, Any]] = [
        {"gasPrice": 10},
        {"gasPrice": 10, "accessList": [{"address": to, "storageKeys": ["0x" + "00" * 32]}]},
        {"maxFeePerGas": 100, "maxPriorityFeePerGas": 2},
    ]
    for kind, fee in enumerate(fees):
        gas = 21_000 + (2400 + 1900) * (kind == 1)
        wanted = {**paid(web3), "to": to, "value": 7, "gas": gas, "chainId": GENESIS.chain_id, **fee}
        receipt = sent(web3, wanted)
        found: Any = web3.eth.get_transaction(receipt.transactionHash)
        assert (receipt.type, found.type, receipt.status, receipt.gasUsed) == (kind, kind, 1, gas)
        assert receipt.effectiveGasPrice == found.gasPrice == (10 if kind < 2 else 9)
        assert (found["from"], found.to, found.value) == (Web3.to_checksum_address(ALICE.address), to, 7)
        block: Any = web3.eth.get_block(receipt.blockNumber, full_transactions=True)
        assert block.transactions == [found]
        assert web3.eth.get_raw_transaction(receipt.transactionHash)
    assert web3.eth.get_balance(to) == 21
    assert web3.eth.get_balance(Web3.to_checksum_address(ALICE.address)) < 1000 * ETHER - 21
    history = web3.eth.fee_history(3, "latest", [50])
    assert history["reward"] == [[3], [3], [2]]
    with pytest.raises(Web3RPCError, match="nonce too low"):
        sent(web3, {**paid(web3), "nonce": 0, "to": to, "gas": 21_000, "gasPrice": 10, "chainId": GENESIS.chain_id})


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_ethers_over_http_and_websocket(url: str) -> None:
    node = node_tool("node")
    if not (CONTRACTS / "node_modules" / "ethers").is_dir():
        pytest.skip("`npm ci --prefix contracts` was not run")
    given = {
        "URL": url, "KEY": f"0x{ALICE.secret.hex()}", "OTHER": f"0x{BOB.secret.hex()}", "CONTRACTS": str(CONTRACTS),
        "ARTIFACTS": str(ARTIFACTS),
    }  # fmt: skip
    found = json.loads(run(node, str(Path(__file__).parent / "ethers_errands.cjs"), **given))
    assert found == {
        "chainId": str(GENESIS.chain_id),
        "members": "2",
        "deposited": [["1", "5"]],
        "queried": [["1", "5"]],
        "balance": "5",
        "refused": "NotAnOperator",
        "types": [0, 1, 2],
        "statuses": [1, 1, 1],
        "received": "21",
        "funds": "INSUFFICIENT_FUNDS",
        "nonce": "NONCE_EXPIRED",
        "heads": True,
        "pending": True,
        "proved": True,
    }


def test_cast(url: str) -> None:
    cast = node_tool("cast")
    secret = f"0x{ALICE.secret.hex()}"

    def ask(*arguments: str) -> str:
        return run(cast, *arguments, ETH_RPC_URL=url)

    alice, bob = (Web3.to_checksum_address(key.address) for key in (ALICE, BOB))
    assert ask("chain-id") == str(GENESIS.chain_id)
    arguments = contract("Community").creation([ALICE.address], 1, bytes(32)).hex()
    created = json.loads(ask("send", "--private-key", secret, "--json", "--create", arguments))
    community = created["contractAddress"]
    assert ask("call", community, "isOperator(address)(bool)", alice) == "true"
    assert ask("call", community, "memberCount()(uint256)") == "0"
    zero = "0x" + "00" * 20
    roles = ("register(address[],address[],uint8[])", f"[{alice},{bob}]", f"[{zero},{zero}]", "[1,1]")
    estimated = int(ask("estimate", community, *roles, "--from", alice))
    receipt = json.loads(ask("send", "--private-key", secret, "--json", "--legacy", community, *roles))
    assert (receipt["status"], receipt["type"]) == ("0x1", "0x0")
    assert int(receipt["gasUsed"], 16) <= estimated <= 1.02 * int(receipt["gasUsed"], 16)
    meter = ("registerMeter(uint32,address)", "1", "0x" + "aa" * 20)
    assert json.loads(ask("send", "--private-key", secret, "--json", community, *meter))["type"] == "0x2"
    assert ask("call", community, "memberOfMeter(address)(uint32)", "0x" + "aa" * 20) == "1"
    logs = json.loads(
        ask(
            "logs",
            "--json",
            "--from-block",
            "0",
            "--address",
            community,
            "MemberRegistered(uint32 indexed,address indexed,uint8)",
        )
    )
    assert [int(log["topics"][1], 16) for log in logs] == [0, 1]
    refused = subprocess.run(
        [cast, "call", community, *meter, "--from", bob, "--rpc-url", url],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert refused.returncode != 0
    assert bob[2:].lower() in refused.stderr.lower()
    assert ask("balance", bob) == str(1000 * ETHER)
    assert ask("nonce", alice) == "3"
    assert json.loads(ask("block", "latest", "--json"))["number"] == "0x3"
    proof = json.loads(ask("proof", community, "0x0", "--json"))
    assert proof["address"].lower() == community.lower()
