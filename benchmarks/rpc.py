"""Speed of JSON-RPC on the embedded chain; JSON on stdout.

The chain is a file in the temporary directory, behind HTTP in a process of its own; the client is one connection that
sends one request after the other. A transaction's time runs from sending it until its receipt is there: admission,
execution, a block, the write to the file, two requests. Signing is outside the clock.
"""

from __future__ import annotations

import multiprocessing
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from _measure import show

from commonwatt.ledger.contracts import COMMUNITY, contract
from commonwatt.ledger.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.wallet import created_address, sign_transaction
from commonwatt.proof import Key, keccak

_KEY = Key.derive(b"benchmark", "rpc")
_GENESIS = Genesis(1, {_KEY.address: 10**24})
_PAPER_SECONDS = 2.0


def _serve(path: Path, listener: socket.socket) -> None:
    import uvicorn

    from commonwatt.ledger.rpc import Service
    from commonwatt.ledger.rpc_app import application
    from commonwatt.ledger.rpc_backend import AtOnce

    chain = EmbeddedChain(path, _GENESIS)
    app = application(Service(AtOnce(chain, time.time)))
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off")).run(sockets=[listener])


class _Client:
    def __init__(self, port: int) -> None:
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)
        self._nonce = 0

    def ask(self, method: str, *params: Any) -> Any:
        answer = self._http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
        if "error" in answer:
            raise SystemExit(f"{method}: {answer['error']}")
        return answer["result"]

    def signed(self, to: bytes, data: bytes = b"", gas: int = 21_000, value: int = 0) -> str:
        raw = sign_transaction(_KEY, chain_id=1, nonce=self._nonce, to=to, gas=gas, data=data, value=value)
        self._nonce += 1
        return f"0x{raw.hex()}"

    def settle(self, raw: str) -> float:
        """Seconds until the receipt is there."""
        started = time.perf_counter()
        receipt = self.ask("eth_getTransactionReceipt", self.ask("eth_sendRawTransaction", raw))
        if receipt["status"] != "0x1":
            raise SystemExit("A transaction failed.")
        return time.perf_counter() - started


def latencies(client: _Client, count: int) -> dict[str, float]:
    """From sending a transfer to its receipt [ms]."""
    raws = [client.signed(keccak(bytes([number % 250]))[:20], value=1) for number in range(count)]
    times = 1000 * np.array([client.settle(raw) for raw in raws])
    p50, p95, p99 = np.percentile(times, [50, 95, 99]).round(1).tolist()
    return {"transfers": count, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "longest_ms": float(times.max().round(1))}


def requests(client: _Client, count: int) -> dict[str, float]:
    """Requests answered per second, by method."""
    create = contract(COMMUNITY).creation([_KEY.address], 1, bytes(32))
    client.settle(client.signed(b"", create, 8_000_000))
    community = f"0x{created_address(_KEY.address, client._nonce - 1).hex()}"
    asked = contract(COMMUNITY).functions["isOperator"].encode(_KEY.address)
    question = {"to": community, "data": f"0x{asked.hex()}"}
    account = f"0x{_KEY.address.hex()}"
    cases: dict[str, Callable[[], Any]] = {
        "eth_blockNumber": lambda: client.ask("eth_blockNumber"),
        "eth_getBalance": lambda: client.ask("eth_getBalance", account, "latest"),
        "eth_call": lambda: client.ask("eth_call", question, "latest"),
        "eth_estimateGas": lambda: client.ask("eth_estimateGas", question),
        "eth_getBlockByNumber": lambda: client.ask("eth_getBlockByNumber", "latest", True),  # noqa: FBT003
        "eth_getLogs": lambda: client.ask("eth_getLogs", {"fromBlock": "0x0", "address": community}),
    }
    rates = {}
    for name, case in cases.items():
        repeats = count // 20 if name == "eth_getLogs" else count
        started = time.perf_counter()
        for _ in range(repeats):
            case()
        rates[name] = round(repeats / (time.perf_counter() - started), 1)
    return rates


def main() -> None:
    """Measure and print."""
    # With the protocol's number asyncio sends at once; without, each answer may wait 40 ms for an acknowledgement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with tempfile.TemporaryDirectory() as name, listening as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(Path(name) / "chain.db", listener), daemon=True
        )
        server.start()
        client = _Client(listener.getsockname()[1])
        client.ask("eth_chainId")
        figures = {
            "transaction_to_receipt": latencies(client, 1000),
            "paper_2_transaction_to_receipt_ms": 1000 * _PAPER_SECONDS,
            "requests_per_second": requests(client, 400),
        }
        server.terminate()
        server.join()
    show(figures, "py-evm", "starlette", "uvicorn")


if __name__ == "__main__":
    main()
