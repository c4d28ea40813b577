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

CONTRACTS = Path(__file__).parents[2] / "contracts"
ARTIFACTS = CONTRACTS.parent / "src/commonwatt/ledger/artifacts"
GENESIS = Genesis(chain_id=2024, balances={ALICE.address: 1000 * ETHER, BOB.address: 1000 * ETHER}, timestamp=1000)


def artifact(name: str) -> dict[str, Any]:
    """A compiled contract of the package."""
    return json.loads((ARTIFACTS / f"{name}.json").read_text("utf-8"))


def service(limits: Limits | None = None, clock: Any = time.monotonic, cpu: Any = time.process_time) -> Service:
    """On a new chain in memory that seals each transaction at once, with a clock that stands still."""
    return Service(AtOnce(EmbeddedChain(None, GENESIS), lambda: 2000), limits, clock, cpu)


def request(service: Service, method: str, *params: Any) -> dict[str, Any]:
    """The whole answer to one call."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    answer = service.handle(json.dumps(body).encode())
    assert answer is not None
    return json.loads(answer)


def result(service: Service, method: str, *params: Any) -> Any:
    """The result of one call that must succeed."""
    answer = request(service, method, *params)
    assert "error" not in answer, answer
    return answer["result"]


def error(service: Service, method: str, *params: Any) -> dict[str, Any]:
    """The error of one call that must fail."""
    answer = request(service, method, *params)
    assert "error" in answer, answer
    return answer["error"]


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
