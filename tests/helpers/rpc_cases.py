"""A service on the embedded chain, and a real HTTP server of it, for the tests of JSON-RPC."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from at_once import AtOnce
from ledger_cases import ALICE, BOB, ETHER

from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.network.connections import Connection
from commonwatt.ledger.rpc.app import Access, application
from commonwatt.ledger.rpc.asked import Limits
from commonwatt.ledger.rpc.service import Service
from commonwatt.ledger.rpc.serving import WebSocketProtocol
from commonwatt.ledger.wallet import created_address, sign_transaction

CONTRACTS = Path(__file__).parents[2] / "contracts"
ARTIFACTS = CONTRACTS.parent / "src/commonwatt/ledger/artifacts"
GENESIS = Genesis(chain_id=2024, balances={ALICE.address: 1000 * ETHER, BOB.address: 1000 * ETHER}, timestamp=1000)
# A contract that logs its calldata's first word under topic 7 and keeps it in slot 0; zero makes it revert with "no".
LOGGER = bytes.fromhex("5f3580156014575f52600760205fa15f515f55005b616e6f5f526002601efd")


def artifact(name: str) -> dict[str, Any]:
    """A compiled contract of the package."""
    return dict(json.loads((ARTIFACTS / f"{name}.json").read_text("utf-8")))


def service(limits: Limits | None = None, clock: Any = time.monotonic, cpu: Any = time.process_time) -> Service:
    """On a new chain in memory that seals each transaction at once, with a clock that stands still."""
    return Service(AtOnce(EmbeddedChain(None, GENESIS), lambda: 2000), limits, clock, cpu)


def request(service: Service, method: str, *params: Any) -> dict[str, Any]:
    """The whole answer to one call."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    answer = service.handle(json.dumps(body).encode())
    assert answer is not None
    return dict(json.loads(answer))


def result(service: Service, method: str, *params: Any) -> Any:
    """The result of one call that must succeed."""
    answer = request(service, method, *params)
    assert "error" not in answer, answer
    return answer["result"]


def error(service: Service, method: str, *params: Any) -> dict[str, Any]:
    """The error of one call that must fail."""
    answer = request(service, method, *params)
    assert "error" in answer, answer
    return dict(answer["error"])


@contextmanager
def served(service: Service, access: Access | None = None) -> Iterator[str]:
    """The service behind HTTP on a free port of this machine; gives host and port."""
    # With the protocol's number asyncio sends at once; without, an answer may wait 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    config = uvicorn.Config(
        application(service, access),
        log_level="warning",
        http=Connection,
        ws=WebSocketProtocol,
        lifespan="off",
        ws_per_message_deflate=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def send(rpc: Service, raw: bytes) -> str:
    return str(result(rpc, "eth_sendRawTransaction", f"0x{raw.hex()}"))


def create(rpc: Service, code: bytes, nonce: int = 0) -> str:
    """Address of a new contract of Alice's with this code."""
    init = bytes([0x60, len(code), 0x80, 0x60, 0x09, 0x5F, 0x39, 0x5F, 0xF3]) + code
    send(rpc, sign_transaction(ALICE, chain_id=GENESIS.chain_id, nonce=nonce, to=b"", gas=500_000, data=init))
    return f"0x{created_address(ALICE.address, nonce).hex()}"


def log(rpc: Service, contract: str, nonce: int, word: int) -> str:
    to = bytes.fromhex(contract[2:])
    data = word.to_bytes(32, "big")
    return send(rpc, sign_transaction(ALICE, chain_id=GENESIS.chain_id, nonce=nonce, to=to, gas=100_000, data=data))
