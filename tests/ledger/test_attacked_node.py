"""A node as a process, while somebody does his worst: blocks go on, and others are answered."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import Command, Commands

from commonwatt.ledger.keyfile import read_key
from commonwatt.ledger.wallet import created_address, sign_transaction
from commonwatt.proof import Key

PATIENCE = 150.0
"""Seconds that a slow machine may take; without the bounds each attack takes minutes on a fast one."""
GAS = 5_000_000
"""Of a block."""
# Of BLAKE2; about as many as the gas of a block bears.
ROUNDS = 45_000
_COMMITMENT = bytes([0xC0]) + bytes(47)
PRECOMPILES = {
    7: (1).to_bytes(32, "big") + (2).to_bytes(32, "big") + b"\xff" * 32,
    8: bytes(192),
    9: ROUNDS.to_bytes(4, "big") + bytes(209),
    10: b"\x01" + sha256(_COMMITMENT).digest()[1:] + bytes(64) + _COMMITMENT * 2,
}


@dataclass
class Node:
    """A running node."""

    folder: Path
    url: str
    process: Command
    client: httpx.Client

    def ask(self, method: str, *params: object) -> Any:
        """A result, or an error's object."""
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self.client.post(self.url, json=call).json()
        return answer.get("result", answer.get("error"))

    @property
    def key(self) -> Key:
        """The node's own account."""
        return read_key(self.folder / "node-1.key")

    def nonce(self) -> int:
        """Number of its next transaction."""
        return int(self.ask("eth_getTransactionCount", f"0x{self.key.address.hex()}", "pending"), 16)

    def send(self, to: bytes, data: bytes, gas: int = GAS) -> str:
        """Send a transaction of the node's own account; its hash."""
        raw = sign_transaction(self.key, chain_id=2024, nonce=self.nonce(), to=to, gas=gas, data=data)
        return str(self.ask("eth_sendRawTransaction", f"0x{raw.hex()}"))

    def sealed(self, hash_: str) -> dict[str, Any]:
        """Wait for a receipt."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if receipt := self.ask("eth_getTransactionReceipt", hash_):
                return dict(receipt)
            time.sleep(0.1)
        raise AssertionError(f"no block holds {hash_}")

    def goes_on(self) -> float:
        """Another block comes, and questions are answered meanwhile; the longest wait for an answer [s]."""
        first, longest = int(self.ask("eth_blockNumber"), 16), 0.0
        end = time.monotonic() + PATIENCE
        while True:
            began = time.monotonic()
            number = int(self.ask("eth_blockNumber"), 16)
            longest = max(longest, time.monotonic() - began)
            if number > first:
                return longest
            assert self.process.poll() is None, (self.folder.parent / "log").read_text("utf-8")
            assert began < end
            time.sleep(0.1)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Iterator[Node]:
    """A network of one, a block each second."""
    folder = tmp_path_factory.mktemp("attacked") / "net"
    log = folder.parent / "log"
    log.touch()
    options = ["--nodes", "1", "--period", "1", "--gas-limit", str(GAS)]
    assert commands.start(["chain", "init", str(folder), *options], log).wait(PATIENCE) == 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = ["chain", "node", str(folder / "genesis.json"), "--key", str(folder / "node-1.key")]
    command += ["--file", str(folder / "chain.db"), "--listen", f"127.0.0.1:{port}"]
    with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
        running = Node(folder, f"http://127.0.0.1:{port}", commands.start(command, log), client)
        try:
            end = time.monotonic() + PATIENCE
            while True:
                with suppress(httpx.HTTPError):
                    if int(running.ask("eth_blockNumber"), 16) >= 1:
                        break
                assert time.monotonic() < end
                time.sleep(0.1)
            yield running
        finally:
            running.process.kill()


@contextmanager
def another(work: Callable[[], object]) -> Iterator[threading.Thread]:
    """Somebody else, who does his work beside us."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(PATIENCE)


def repeated(number: int) -> bytes:
    """Code that calls a precompile with what it was given, until its gas is used up."""
    # CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY JUMPDEST PUSH0 PUSH0 CALLDATASIZE PUSH0 PUSH1 n GAS STATICCALL POP …
    return bytes.fromhex("365f5f375b5f5f365f60") + bytes([number]) + bytes.fromhex("5afa506004 56")


def test_slow_precompiles_in_transactions_hold_no_block_up(node: Node) -> None:
    """They all wait for a block together, so that one full block follows the other."""
    sent = []
    for number, data in PRECOMPILES.items():
        code = repeated(number)
        once = node.send(number.to_bytes(20, "big"), data)
        contract = created_address(node.key.address, node.nonce())
        init = bytes([0x60, len(code), 0x80, 0x60, 0x09, 0x5F, 0x39, 0x5F, 0xF3]) + code
        # At the last one's address is nothing: a call of it costs little, unless it were there and took seconds.
        gas = GAS if number < 10 else GAS // 10
        sent.append((once, node.send(b"", init, 500_000), node.send(contract, data, gas)))
    node.goes_on()
    for once, created, ran_out in sent:
        node.sealed(once)
        assert node.sealed(created)["status"] == "0x1"
        assert node.sealed(ran_out)["status"] == "0x0"
    node.goes_on()


def test_slow_precompiles_in_questions_keep_nobody_waiting(node: Node) -> None:
    def attack() -> None:
        for number, data in PRECOMPILES.items():
            question = {"to": f"0x{number:040x}", "data": f"0x{data.hex()}", "gas": hex(2**64)}
            looping = {**question, "to": f"0x{0xAA:040x}"}
            node.ask("eth_estimateGas", question)
            node.ask("eth_call", looping, "latest", {looping["to"]: {"code": f"0x{repeated(number).hex()}"}})

    with another(attack) as attacker:
        while attacker.is_alive():
            node.goes_on()


def test_a_creation_that_is_too_large_does_not_end_the_node(node: Node) -> None:
    told = node.send(b"", bytes(49_153))
    assert "max initcode size exceeded" in told
    assert node.sealed(node.send(b"", bytes(49_152)))["status"] == "0x1"
    node.goes_on()


def test_long_searches_in_one_batch_keep_nobody_waiting(node: Node) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [{"fromBlock": "0x0"}]}

    def attack() -> None:
        while not over.is_set():
            node.client.post(node.url, json=[call] * 100)

    over = threading.Event()
    with another(attack):
        try:
            node.goes_on()
        finally:
            over.set()
    health = node.client.get(f"{node.url}/healthz").json()
    assert health["block"] >= 2
    assert (health["peers"], health["behind"], health["waiting"]) == (0, 0, 0)
