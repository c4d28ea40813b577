"""Speed of JSON-RPC on the embedded chain and on a node; JSON on stdout.

The chain is a file in the temporary directory, behind HTTP in a process of its own; the client is one connection that
sends one request after the other. A transaction's time runs from sending it until its receipt is there: admission,
execution, a block, the write to the file, two requests. Signing is outside the clock. The embedded chain seals at once.
A node of the network seals when its turn comes, each second here, so there a transaction that comes at any moment waits
for half a second on average; the client asks for the receipt every ten milliseconds.
"""

from __future__ import annotations

import multiprocessing
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from _measure import show

from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.abi import COMMUNITY, contract
from commonwatt.ledger.network.setup import GENESIS_FILE, consensus_table, new_network
from commonwatt.ledger.wallet import created_address, sign_transaction
from commonwatt.proof import Key, checksum_address, keccak

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from at_once import AtOnce

_KEY = Key.derive(b"benchmark", "rpc")
_GENESIS = Genesis(1, {_KEY.address: 10**24})
_PAPER_SECONDS = 2.0
_PERIOD, _POLL = 1, 0.01
"""Between a node's blocks, and between two questions for a receipt [s]."""


def _serve(path: Path, listener: socket.socket) -> None:
    import uvicorn

    from commonwatt.ledger.rpc.app import application
    from commonwatt.ledger.rpc.service import Service

    chain = EmbeddedChain(path, _GENESIS)
    app = application(Service(AtOnce(chain, time.time)))
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off")).run(sockets=[listener])


@contextmanager
def _embedded(folder: Path) -> Iterator[_Client]:
    """A client of the embedded chain."""
    # With the protocol's number asyncio sends at once; without, each answer may wait 40 ms for an acknowledgement.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(folder / "chain.db", listener), daemon=True
        )
        server.start()
        client = _Client(listener.getsockname()[1])
        client.ask("eth_chainId")
        yield client
        server.terminate()
        server.join()


@contextmanager
def _node(folder: Path) -> Iterator[_Client]:
    """A client of a node that is the only authority of its network."""
    owner = checksum_address(_KEY.address)
    document = {
        "chain_id": 1, "time": int(time.time()), "consensus": consensus_table("poa", _PERIOD, [_KEY]),
        "members": [owner], "readers": [], "balances": {owner: str(10**24)},
    }  # fmt: skip
    (key,) = new_network(folder, document, [_KEY])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "commonwatt.cli", "chain", "node", str(folder / GENESIS_FILE), "--key", str(key)]
    command += ["--file", str(folder / "node.db"), "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        client = _Client(port)
        while not client.answers():
            time.sleep(0.1)
        yield client
        server.terminate()


class _Client:
    def __init__(self, port: int) -> None:
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)
        self._nonce = 0

    def ask(self, method: str, *params: Any) -> Any:
        answer = self._http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
        if "error" in answer:
            raise SystemExit(f"{method}: {answer['error']}")
        return answer["result"]

    def answers(self) -> bool:
        """Whether the server has begun."""
        try:
            return bool(self.ask("eth_chainId"))
        except httpx.TransportError:
            return False

    def signed(self, to: bytes, data: bytes = b"", gas: int = 21_000, value: int = 0) -> str:
        raw = sign_transaction(_KEY, chain_id=1, nonce=self._nonce, to=to, gas=gas, data=data, value=value)
        self._nonce += 1
        return f"0x{raw.hex()}"

    def settle(self, raw: str) -> float:
        """Seconds until the receipt is there."""
        started = time.perf_counter()
        transaction = self.ask("eth_sendRawTransaction", raw)
        while not (receipt := self.ask("eth_getTransactionReceipt", transaction)):
            time.sleep(_POLL)
        if receipt["status"] != "0x1":
            raise SystemExit("A transaction failed.")
        return time.perf_counter() - started


def latencies(client: _Client, count: int, apart: float = 0.0) -> dict[str, float]:
    """From sending a transfer to its receipt [ms]; each is sent after a random time of `apart` seconds at most."""
    raws = [client.signed(keccak(bytes([number % 250]))[:20], value=1) for number in range(count)]
    waits, found = random.Random(1), []  # noqa: S311
    for raw in raws:
        time.sleep(waits.uniform(0, apart))
        found.append(1000 * client.settle(raw))
    times = np.array(found)
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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _embedded(folder) as client:
            figures: dict[str, Any] = {
                "transaction_to_receipt": latencies(client, 1000),
                "paper_2_transaction_to_receipt_ms": 1000 * _PAPER_SECONDS,
                "requests_per_second": requests(client, 400),
            }
        with _node(folder) as client:
            latency = latencies(client, 60, apart=_PERIOD)
            figures["transaction_to_receipt_on_a_node"] = {"period_s": _PERIOD, **latency}
        show(figures, "py-evm", "starlette", "uvicorn")


if __name__ == "__main__":
    main()
