"""The same random transactions here and on anvil, an independent EVM (Rust, revm): every answer must be the same.

Same genesis, coinbase, block times, hard fork and zero fees. Compared are state roots, receipts and transactions; a
difference in any rule of the EVM that the programs touch would show.

anvil 1.7 keeps in its state what Ethereum does not: empty accounts that were touched (against EIP-161), and words of
storage that are zero because they were read, cleared or their writing was reverted. Random programs do all of that. So
for them the root is computed from anvil's accounts without those leftovers, and for transactions that leave none it is
the one in anvil's own header.
"""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import rlp
from at_once import AtOnce
from ledger_cases import SOAK
from nodes import node_tool
from random_transactions import BALANCES, SENDERS, Transactions
from rpc_cases import result
from trie.hexary import HexaryTrie

from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.rpc.service import Service
from commonwatt.ledger.rpc.values import hexed_word
from commonwatt.proof import keccak

GENESIS = Genesis(
    chain_id=31337, balances=BALANCES, timestamp=1_700_000_000,
    gas_limit=30_000_000, base_fee=0,
)  # fmt: skip
COUNT = 1000 if SOAK else 200
NOBODY = f"0x{'00' * 20}"


@contextmanager
def anvil(genesis: Path) -> Iterator[httpx.Client]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        [
            node_tool("anvil"), "--port", str(port), "--init", str(genesis), "--hardfork", "cancun", "--no-mining",
            "--order", "fifo", "--disable-min-priority-fee", "--disable-default-create2-deployer",
            "--base-fee", "0", "--accounts", "0", "--silent",
            "--gas-limit", str(GENESIS.gas_limit), "--chain-id", str(GENESIS.chain_id),
        ],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
    try:
        for _ in range(100):
            try:
                client.post("/", json={"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []})
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait()


def theirs(client: httpx.Client, method: str, *params: Any) -> Any:
    answer = client.post("/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
    assert "error" not in answer, answer
    return answer["result"]


def written(path: Path) -> Path:
    path.write_text(
        json.dumps(
            {
                "config": {"chainId": GENESIS.chain_id},
                "alloc": {f"0x{a.hex()}": {"balance": hex(wei)} for a, wei in GENESIS.balances.items()},
                "coinbase": NOBODY,
                "difficulty": "0x0",
                "extraData": "0x",
                "gasLimit": hex(GENESIS.gas_limit),
                "nonce": "0x0",
                "mixHash": f"0x{'00' * 32}",
                "timestamp": hex(GENESIS.timestamp),
                "baseFeePerGas": "0x0",
            }
        )
    )
    return path


def same(ours: Any, theirs: Any) -> None:
    """Equal in every field that both have but the block's hash: into it go fields that anvil sets in its own way."""
    for key in sorted(set(ours) & set(theirs) - {"blockHash", "logs"}):
        assert ours[key] == theirs[key], (key, ours, theirs)
    for log, other in zip(ours.get("logs", []), theirs.get("logs", []), strict=True):
        same(log, other)


def state_root(client: httpx.Client) -> str:
    """Root of anvil's accounts, as Ethereum defines it."""
    dump = json.loads(gzip.decompress(bytes.fromhex(theirs(client, "anvil_dumpState")[2:])))
    accounts = {}
    for address, found in dump["accounts"].items():
        words = {int(slot, 16): int(word, 16) for slot, word in found["storage"].items() if int(word, 16)}
        storage = trie_root({slot.to_bytes(32, "big"): rlp.encode(word) for slot, word in words.items()})
        code = bytes.fromhex(found["code"][2:])
        fields = [found["nonce"], int(found["balance"], 16), storage, keccak(code)]
        if any(fields[:2]) or code:
            accounts[bytes.fromhex(address[2:])] = rlp.encode(fields)
    return f"0x{trie_root(accounts).hex()}"


def trie_root(entries: dict[bytes, bytes]) -> bytes:
    trie = HexaryTrie({})
    for key, value in entries.items():
        trie[keccak(key)] = value
    return trie.root_hash


@pytest.mark.parametrize(("seed", "plain"), [(2024, True), (2024, False)])
def test_random_transactions_do_the_same_on_anvil(tmp_path: Path, *, seed: int, plain: bool) -> None:
    chain = EmbeddedChain(None, GENESIS)
    service = Service(AtOnce(chain, lambda: 0))
    source, chance = Transactions(seed, GENESIS.chain_id), Random(seed)  # noqa: S311
    receipts: list[Any] = []
    with anvil(written(tmp_path / "genesis.json")) as client:
        theirs(client, "anvil_setCoinbase", NOBODY)
        when = GENESIS.timestamp
        while len(receipts) < COUNT:
            size = min(chance.randrange(1, 15), COUNT - len(receipts))
            raws = [source.next_plain() if plain else source.next() for _ in range(size)]
            hashes = [f"0x{chain.submit(raw).hex()}" for raw in raws]
            assert [theirs(client, "eth_sendRawTransaction", f"0x{raw.hex()}") for raw in raws] == hashes
            when += chance.randrange(1, 100)
            number = hex(chain.seal(when).number)
            theirs(client, "evm_setNextBlockTimestamp", when)
            theirs(client, "evm_mine")
            asked = ("eth_getBlockByNumber", number, True)
            ours, other = result(service, *asked), theirs(client, *asked)
            assert [each["hash"] for each in ours["transactions"]] == hashes
            if plain:
                assert ours["stateRoot"] == other["stateRoot"], number
            elif int(number, 16) % 10 == 0 or len(receipts) + size == COUNT:  # the root of a later state tells as much
                assert ours["stateRoot"] == state_root(client), number
            for field in ("receiptsRoot", "transactionsRoot", "gasUsed", "logsBloom", "baseFeePerGas"):
                assert ours[field] == other[field], (field, number)
            for mine, another in zip(ours["transactions"], other["transactions"], strict=True):
                same(mine, another)
            block = result(service, "eth_getBlockReceipts", number)
            for mine, another in zip(block, theirs(client, "eth_getBlockReceipts", number), strict=True):
                same(mine, another)
            receipts += block
    # They did all kinds of things, or this would prove little.
    assert {each["type"] for each in receipts} == {"0x0", "0x1", "0x2"}
    assert sum(len(each["logs"]) for each in receipts) > COUNT // 20
    assert plain or COUNT // 20 < sum(each["status"] == "0x0" for each in receipts) < COUNT // 2


def test_proofs_are_those_of_anvil(tmp_path: Path) -> None:
    chain = EmbeddedChain(None, GENESIS)
    service = Service(AtOnce(chain, lambda: 0))
    source = Transactions(7, GENESIS.chain_id)
    with anvil(written(tmp_path / "genesis.json")) as client:
        theirs(client, "anvil_setCoinbase", NOBODY)
        for _ in range(40):
            raw = source.next_plain()
            chain.submit(raw)
            theirs(client, "eth_sendRawTransaction", f"0x{raw.hex()}")
        chain.seal(GENESIS.timestamp + 5)
        theirs(client, "evm_setNextBlockTimestamp", GENESIS.timestamp + 5)
        theirs(client, "evm_mine")
        stored = [hexed_word(slot) for slot in range(16) if chain.storage(source.contracts[0], [slot])[0]]
        for account, slots in ((source.contracts[0], stored), (SENDERS[0].address, []), (b"\x77" * 20, [])):
            asked = ("eth_getProof", f"0x{account.hex()}", slots, "latest")
            ours, other = result(service, *asked), theirs(client, *asked)
            for field in ("balance", "nonce", "codeHash", "storageHash", "accountProof"):
                assert ours[field] == other[field], field
            for mine, another in zip(ours["storageProof"], other["storageProof"], strict=True):
                assert (mine["value"], mine["proof"]) == (another["value"], another["proof"])
        assert stored
