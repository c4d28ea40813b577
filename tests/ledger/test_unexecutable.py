"""Transactions that cannot be executed: refused at the door, and never more than their own loss."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import pytest
import rlp
from eth.db.trie import make_trie_root_and_nodes
from eth.exceptions import PyEVMError, VMError
from eth_typing import Address
from ledger_cases import ALICE, ETHER, GENESIS, transfer
from network_cases import Network, grow, new_tree, rota
from network_cases import transfer as member_transfer
from rpc_cases import error, result, service

from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.chain.evm import decode
from commonwatt.ledger.chain.execution import Execution
from commonwatt.ledger.chain.question import Question
from commonwatt.ledger.chain.rules import ChainComputation, Unexecutable
from commonwatt.ledger.network.block import InvalidBlock
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.wallet import sign_transaction
from commonwatt.proof import Key, keccak

LARGEST = 49_152
"""Bytes of init code (EIP-3860)."""


def creation(size: int, **changes: Any) -> bytes:
    fields = {"chain_id": GENESIS.chain_id, "nonce": 0, "to": b"", "gas": 9_000_000, "data": bytes(size), **changes}
    return sign_transaction(ALICE, **fields)


def legacy(chain_id: int | None, key: Key = ALICE, **changes: Any) -> bytes:
    """A transaction of before EIP-2718, signed for a chain or for none."""
    numbers = {"nonce": 0, "price": 10, "gas": 21_000, "to": b"\x11" * 20, "value": 1, "data": b"", **changes}
    fields = list(numbers.values())
    replay = [] if chain_id is None else [chain_id, 0, 0]
    signature = key.sign_digest(keccak(rlp.encode([*fields, *replay])))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    v = signature[64] if chain_id is None else signature[64] - 27 + 35 + 2 * chain_id
    return bytes(rlp.encode([*fields, v, r, s]))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (creation(LARGEST + 1), "max initcode size exceeded: code size 49153, limit 49152"),
        (creation(120_000), "max initcode size exceeded: code size 120000"),
        (creation(64, gas=53_255), "below the 53260 it needs at least (intrinsic gas too low)"),
        (transfer(2**64 - 1), "Nonce must be less than 2^64-1"),
        (transfer(2**70), "1180591620717411303424"),
        (
            transfer(0, gas=2**256, max_fee=7),
            "115792089237316195423570985008687907853269984665640564039457584007913129639936",
        ),
        (transfer(0, max_fee=2**256), "max_fee_per_gas"),
        (transfer(0, tip=8, max_fee=7), "max priority fee per gas higher than max fee per gas"),
        (transfer(0, max_fee=6), "max fee per gas less than block base fee"),
        (transfer(0, gas=GENESIS.gas_limit + 1, max_fee=7), "exceeds block gas limit"),
        (transfer(0, gas=20_999), "intrinsic gas too low"),
        (transfer(0, wei=2000 * ETHER), "insufficient funds"),
        (transfer(0, to=b"\x11" * 19), "not a signed Ethereum transaction"),
        (legacy(None), "signed for no chain (EIP-155) and could be replayed"),
        (legacy(7), "signed for chain 7, this is chain 2024"),
        (legacy(GENESIS.chain_id, value=2**256), "value"),
        (b"\x03" + bytes(200), "no transactions of type 3 (transaction type not supported)"),
        (b"\x04" + bytes(200), "no transactions of type 4 (transaction type not supported)"),
        (b"\x7f", "no transactions of type 127"),
        (b"\x80", "not a signed Ethereum transaction"),
    ],
)
def test_what_cannot_be_executed_is_refused_at_the_door(raw: bytes, told: str) -> None:
    rpc = service()
    answer = error(rpc, "eth_sendRawTransaction", f"0x{raw.hex()}")
    assert answer["code"] == -32000
    assert told in answer["message"]
    assert "damaged" not in answer["message"]
    assert result(rpc, "eth_sendRawTransaction", f"0x{transfer(0).hex()}")


def test_the_largest_creation_is_sealed() -> None:
    rpc = service()
    hash_ = result(rpc, "eth_sendRawTransaction", f"0x{creation(LARGEST).hex()}")
    assert result(rpc, "eth_getTransactionReceipt", hash_)["status"] == "0x1"


def test_a_transaction_that_is_stopped_midway_leaves_nothing_behind() -> None:
    with EmbeddedChain(None, GENESIS) as chain:
        run = Execution(chain._chain, chain.header(), timestamp=2000)
        with pytest.raises(Unexecutable, match="EIP-3860"):
            run.apply(decode(creation(LARGEST + 1)))
        run.apply(decode(transfer(0, wei=5)))  # the nonce was not used up
        assert run.close().header.gas_used == 21_000
        assert run._vm.state.get_balance(Address(ALICE.address)) == 1000 * ETHER - 5 - 21_000 * 7


ODD = [PyEVMError("odd"), VMError("odd"), ZeroDivisionError("odd"), AssertionError("odd")]


def fail_for_two_bytes(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A library that raises what nobody foresaw, for every creation with two bytes of code."""

    def fail(message: Any) -> None:
        if len(message.code) == 2:
            raise error

    monkeypatch.setattr(ChainComputation, "validate_create_message", staticmethod(fail))


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_fault_of_the_library_costs_its_transaction_only(monkeypatch: pytest.MonkeyPatch, odd: Exception) -> None:
    fail_for_two_bytes(monkeypatch, odd)
    network = Network(rota())
    first: Machine = next(iter(network))
    bad = member_transfer(0, to=b"", data=b"ab", gas=100_000, wei=0)
    first.submit(bad, network.now)
    network.run(20)
    assert len(network.heads) == 1
    assert first.tree.head.number >= 3
    assert decode(bad).hash not in first.pool
    good = member_transfer(0)
    first.submit(good, network.now)
    network.run(20)
    assert first.tree.receipt(decode(good).hash)


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_block_of_others_that_cannot_be_executed_is_invalid(monkeypatch: pytest.MonkeyPatch, odd: Exception) -> None:
    tree = new_tree()
    block = grow(new_tree(), member_transfer(0, to=b"", data=b"ab", gas=100_000, wei=0))
    fail_for_two_bytes(monkeypatch, odd)
    with pytest.raises(InvalidBlock, match="breaks the rules of the EVM: odd"):
        tree.add(block, 2_000_000)
    grow(tree, member_transfer(0))
    assert tree.head.number == 1


def test_a_block_that_cannot_be_closed_is_made_without_its_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(rota())
    first: Machine = next(iter(network))
    close = Execution.close

    def fail(self: Execution, withdrawals: Any = ()) -> Any:
        if self.done:
            raise Unexecutable("odd")
        return close(self, withdrawals)

    with monkeypatch.context() as broken:
        broken.setattr(Execution, "close", fail)
        first.submit(member_transfer(0), network.now)
        network.run(30)
        assert first.tree.head.number >= 4
        assert all(len(machine.pool) == 0 for machine in network)
    first.submit(member_transfer(0, wei=2), network.now)
    network.run(20)
    assert first.tree.receipt(decode(member_transfer(0, wei=2)).hash)


def test_a_block_with_an_oversized_creation_is_invalid() -> None:
    tree = new_tree()
    raw = member_transfer(0, to=b"", data=bytes(LARGEST + 1), gas=9_000_000, wei=0)
    root, _ = make_trie_root_and_nodes([decode(raw).transaction])
    forged = grow(tree, raw, transaction_root=root, gas_used=9_000_000)
    with pytest.raises(InvalidBlock, match="max initcode size exceeded"):
        tree.add(forged, 2_000_000)


def test_a_question_that_the_library_cannot_answer_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_for_two_bytes(monkeypatch, ODD[0])
    rpc = service()
    assert error(rpc, "eth_call", {"data": "0x6162"}) == {"code": -32000, "message": "odd"}
    for method in ("eth_call", "eth_estimateGas"):
        told = error(rpc, method, {"data": f"0x{bytes(LARGEST + 1).hex()}"})["message"]
        assert told == "max initcode size exceeded: code size 49153, limit 49152."


# Prices


def call(to: int, data: bytes, gas: int = 10_000_000) -> Any:
    with EmbeddedChain(None, GENESIS) as chain:
        return chain.ask(Question(gas, to.to_bytes(20, "big"), data=data))


def rounds(count: int) -> bytes:
    """A BLAKE2 compression of EIP-152's fifth test vector, with as many rounds."""
    state = "48c9bdf267e6096a3ba7ca8485ae67bb2bf894fe72f36e3cf1361d5f3af54fa5"
    state += "d182e6ad7f520e511f6c3e2b8c68059b6bbd41fbabd9831f79217e1319cde05b"
    return count.to_bytes(4, "big") + bytes.fromhex(state + "616263".ljust(256, "0") + "03".ljust(32, "0") + "01")


@pytest.mark.parametrize(
    ("to", "data", "gas"),
    [
        (7, bytes(31) + b"\x01" + bytes(31) + b"\x02" + bytes(32), 120_000),
        (8, b"", 2_250_000),
        (8, bytes(192), 3_950_000),
        (9, rounds(12), 1_200),
        (6, bytes(128), 150),
        (1, bytes(128), 3_000),
    ],
)
def test_precompiles_have_the_prices_of_this_chain(to: int, data: bytes, gas: int) -> None:
    answer = call(to, data)
    assert answer.error == ""
    calldata = sum(16 if byte else 4 for byte in data)
    assert answer.gas_used == 21_000 + calldata + gas


def test_blake2_still_compresses() -> None:
    assert call(9, rounds(12)).output == hashlib.blake2b(b"abc").digest()


@pytest.mark.parametrize("data", [rounds(2**32 - 1), rounds(10**7), rounds(2**24)])
def test_more_rounds_than_the_gas_bears_are_not_begun(data: bytes) -> None:
    started = time.process_time()
    assert call(9, data).error == "out of gas"
    assert time.process_time() - started < 5  # the rounds would take minutes


def test_blobs_have_no_precompile() -> None:
    """An address like any other: a call of it gives nothing back and is over at once."""
    started = time.process_time()
    answer = call(10, bytes(192))
    assert (answer.error, answer.output, answer.gas_used) == ("", b"", 21_000 + 4 * 192)
    assert time.process_time() - started < 1
