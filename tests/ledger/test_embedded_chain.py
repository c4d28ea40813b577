"""The chain in its ordinary life: blocks, receipts, fees, refusals, reopening."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth.chains.base import Chain
from eth.db.atomic import AtomicDB
from eth.vm.forks.cancun.state import CancunState
from eth_typing import BlockNumber
from ledger_cases import ALICE, BOB, ETHER, GENESIS, transfer

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain import evm
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.chain.evm import chain_class, write_genesis
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.node import CallReverted, Node
from commonwatt.ledger.opening import open_to_read, open_to_write
from commonwatt.ledger.wallet import sign_transaction
from commonwatt.proof import keccak

Open = Callable[..., EmbeddedChain]

# Init code of a contract that logs its calldata's first word under topic 7 and keeps it in slot 0; when that is
# zero it reverts with the bytes "no".
_LOGGER = bytes.fromhex("5f3580156014575f52600760205fa15f515f55005b616e6f5f526002601efd")


def _deploy(code: bytes) -> bytes:
    """Init code that returns `code`."""
    return bytes([0x60, len(code), 0x80, 0x60, 0x09, 0x5F, 0x39, 0x5F, 0xF3]) + code


def test_the_embedded_chain_is_a_node() -> None:
    chain: Node = EmbeddedChain(None, GENESIS)
    assert chain.chain_id == GENESIS.chain_id
    assert (chain.head.number, chain.head.timestamp, chain.head.base_fee) == (0, 1000, 7)
    assert chain.balance(BOB.address) == ETHER


def test_a_transfer_moves_ether_and_burns_the_fee() -> None:
    chain = EmbeddedChain(None, GENESIS)
    hash_ = chain.submit(transfer(0, wei=5))
    assert chain.receipt(hash_) is None
    assert chain.nonce(ALICE.address) == 1
    block = chain.seal(1007)
    receipt = chain.receipt(hash_)
    assert receipt
    assert (receipt.success, receipt.gas_used, receipt.block, receipt.contract) == (True, 21_000, 1, b"")
    assert (block.number, block.timestamp, block.transactions, block.gas_used) == (1, 1007, (hash_,), 21_000)
    assert chain.balance(b"\x11" * 20) == 5
    assert chain.balance(ALICE.address) == 1000 * ETHER - 5 - 21_000 * 7


def test_everything_survives_reopening(open_chain: Open) -> None:
    chain = open_chain()
    hashes = [chain.submit(sign_creation(0)), chain.submit(transfer(1, wei=9))]
    (created, _) = chain.confirm(hashes, 2000)
    call: dict[str, Any] = {"chain_id": GENESIS.chain_id, "to": created.contract, "gas": 100_000}
    hashes.append(chain.submit(sign_transaction(ALICE, nonce=2, data=b"\x01".rjust(32, b"\0"), **call)))
    hashes.append(chain.submit(sign_transaction(ALICE, nonce=3, data=bytes(32), **call)))
    chain.seal(2001)

    def picture(chain: EmbeddedChain) -> list[object]:
        return [
            chain.head, [chain.block(n) for n in range(3)], [chain.receipt(h) for h in hashes],
            [chain.transaction(h) for h in hashes], chain.logs(0, 99), chain.code(created.contract),
            chain.storage(created.contract, [0, 1]), chain.nonce(ALICE.address), chain.balance(ALICE.address),
        ]  # fmt: skip

    before = picture(chain)
    chain.close()
    again = open_chain()
    assert picture(again) == before
    logged, failed = (again.receipt(h) for h in hashes[2:])
    assert logged
    assert failed
    assert [log.topics for log in logged.logs] == [((7).to_bytes(32, "big"),)]
    assert (failed.success, failed.output, failed.logs) == (False, b"no", ())
    assert again.storage(created.contract, [0, 1]) == [1, 0]
    assert again.logs(0, 99, address=created.contract) == list(logged.logs)
    assert again.logs(0, 99, topic=(7).to_bytes(32, "big")) == list(logged.logs)
    assert again.logs(0, 1) == again.logs(0, 99, address=BOB.address) == []
    assert again.seal(2002).parent == before[0].hash  # type: ignore[attr-defined]
    with pytest.raises(CallReverted) as reverted:
        again.call(created.contract, bytes(32))
    assert reverted.value.data == b"no"


def sign_creation(nonce: int) -> bytes:
    data = _deploy(_LOGGER)
    return sign_transaction(ALICE, chain_id=GENESIS.chain_id, nonce=nonce, to=b"", gas=200_000, data=data)


def test_py_evm_imports_the_blocks_by_executing_them_again(open_chain: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = open_chain()
    for number in range(5):
        chain.submit(transfer(3 * number))
        chain.submit(sign_creation(3 * number + 1))
        chain.submit(transfer(3 * number + 2))
        chain.seal(2000 + number)
    monkeypatch.setattr(evm._VM, "_state_class", CancunState)  # py-evm's own accounts and tries
    other = _py_evm(GENESIS)
    for number in map(BlockNumber, range(1, 6)):
        encoded = rlp.encode(chain._chain.get_canonical_block_by_number(number))
        block = rlp.decode(encoded, sedes=other.get_vm_class_for_block_number(number).get_block_class())
        other.import_block(block)
    assert other.get_canonical_head().hash == chain.head.hash


def _py_evm(genesis: Genesis) -> Chain:
    store = Store(None)
    write_genesis(store, genesis)
    entries = dict(store._file.execute("SELECT key, value FROM entries"))
    database = AtomicDB()
    for key, value in entries.items():
        database[key] = value
    return chain_class(genesis.chain_id)(database)


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (transfer(1), "nonce is 1, the account's next one is 0"),
        (transfer(0, chain_id=1), "signed for chain 1, this is chain 2024"),
        (transfer(0, key=BOB, wei=ETHER), "the account holds 1000000000000000000 wei"),
        (transfer(0, gas=20_999), "below the 21000"),
        (transfer(0, gas=100_000_001), "above a block's 100000000"),
        (transfer(0, max_fee=6), "below the base fee of 7"),
        (transfer(0, max_fee=9, tip=10), "tip is above"),
        (transfer(0)[:-33] + b"\0" * 33, "This is not a signed Ethereum transaction"),
        (transfer(0)[:-1], "This is not a signed Ethereum transaction"),
        (b"", "This is not a signed Ethereum transaction"),
    ],
)
def test_what_cannot_be_executed_is_refused_with_its_cause(raw: bytes, cause: str) -> None:
    chain = EmbeddedChain(None, GENESIS)
    with pytest.raises(LedgerError, match=cause):
        chain.submit(raw)
    assert chain.seal(1001).transactions == ()


def test_a_signature_that_is_altered_is_refused() -> None:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    fields = rlp.decode(transfer(0)[1:])
    parity, r, s = fields[9:]
    mirrored = order - int.from_bytes(s, "big")
    other_parity = b"" if parity else b"\x01"
    chain = EmbeddedChain(None, GENESIS)
    with pytest.raises(LedgerError, match="high s value"):
        chain.submit(b"\x02" + rlp.encode([*fields[:9], other_parity, r, mirrored]))
    with pytest.raises(LedgerError, match=r"belongs to no key|holds 0 wei"):
        chain.submit(b"\x02" + rlp.encode([*fields[:9], parity, r, b"\x01" + s[1:]]))


def test_queued_transactions_of_an_account_are_counted_together() -> None:
    chain = EmbeddedChain(None, GENESIS)
    chain.submit(transfer(0, key=BOB, wei=ETHER * 6 // 10))
    with pytest.raises(LedgerError, match="its queued transactions may cost"):
        chain.submit(transfer(1, key=BOB, wei=ETHER * 6 // 10))
    with pytest.raises(LedgerError, match="next one is 1"):
        chain.submit(transfer(0, key=BOB))


def test_what_does_not_fit_a_block_waits_for_the_next() -> None:
    chain = EmbeddedChain(None, Genesis(2024, GENESIS.balances, gas_limit=50_000))
    hashes = [chain.submit(transfer(nonce)) for nonce in range(3)]
    assert chain.seal(1).transactions == tuple(hashes[:2])
    assert chain.nonce(ALICE.address) == 3
    assert [receipt.block for receipt in chain.confirm(hashes, 2)] == [1, 1, 2]
    assert [chain.block(number).gas_limit for number in range(3)] == [50_000] * 3


def test_the_base_fee_follows_eip_1559() -> None:
    chain = EmbeddedChain(None, Genesis(2024, GENESIS.balances, gas_limit=42_000))
    fees, nonce = [], 0
    for second, transactions in enumerate([1, 1, 2, 2, 2, 0, 0, 0, 0], start=1):
        for _ in range(transactions):
            chain.submit(transfer(nonce))
            nonce += 1
        fees.append(chain.seal(second).base_fee)
    # At the target of half a block it stays, above it rises by an eighth (at least 1 wei), below it falls again.
    assert fees == [7, 7, 7, 8, 9, 10, 9, 8, 7]


def test_a_transaction_that_the_base_fee_outruns_is_dropped_with_its_cause() -> None:
    chain = EmbeddedChain(None, Genesis(2024, GENESIS.balances, gas_limit=42_000))
    hashes = [chain.submit(transfer(nonce, max_fee=7)) for nonce in range(3)]
    with pytest.raises(LedgerError, match="lower than block's base fee"):
        chain.confirm(hashes, 1)
    assert chain.nonce(ALICE.address) == 2


def test_time_goes_forwards() -> None:
    chain = EmbeddedChain(None, GENESIS)
    with pytest.raises(LedgerError, match="cannot have the time 1000"):
        chain.seal(1000)
    hash_ = chain.submit(transfer(0))
    chain.confirm([hash_], 5)
    assert chain.head.timestamp == 1001


def test_what_is_not_there() -> None:
    chain = EmbeddedChain(None, GENESIS)
    with pytest.raises(LedgerError, match="has no block 1"):
        chain.block(1)
    with pytest.raises(LedgerError, match="was not submitted"):
        chain.confirm([bytes(32)], 2000)
    assert chain.receipt(bytes(32)) is None
    assert chain.transaction(bytes(32)) is None
    assert chain.code(BOB.address) == chain.call(BOB.address, b"") == b""


def test_a_chain_keeps_its_genesis(path: Path) -> None:
    with pytest.raises(LedgerError, match="needs a genesis"):
        EmbeddedChain(path)
    EmbeddedChain(path, GENESIS).close()
    EmbeddedChain(path, GENESIS).close()
    with pytest.raises(LedgerError, match="another genesis"):
        EmbeddedChain(path, Genesis(2024))


def test_contract_addresses_follow_from_sender_and_nonce() -> None:
    chain = EmbeddedChain(None, GENESIS)
    (receipt,) = chain.confirm([chain.submit(sign_creation(0))], 2000)
    assert receipt.contract == keccak(rlp.encode([ALICE.address, 0]))[12:]
    assert chain.code(receipt.contract) == _LOGGER
    assert receipt.success
    assert len(astuple(receipt)) == 8


def test_nobody_but_its_node_adds_to_the_file_of_a_network(tmp_path: Path) -> None:
    file = tmp_path / "chain.sqlite"
    with EmbeddedChain(file, Genesis(2024, {}, 1_000, extra_data=b"a network")):
        pass
    with pytest.raises(LedgerError, match="is a node's chain, and only the node adds to it"):
        open_to_write(str(file))
    with open_to_read(str(file)) as node:
        assert node.chain_id == 2024
