"""Real nodes that tests start: anvil, the development node of Ethereum's tools."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rpc_cases import CONTRACTS

from commonwatt.errors import LedgerError
from commonwatt.ledger.remote import RemoteNode


def node_tool(name: str) -> str:
    """A program that npm has installed beside the contracts."""
    if shutil.which("node") is None:
        _left_out("Node is missing")
    if name == "node":
        return "node"
    path = CONTRACTS / "node_modules" / ".bin" / name
    if not path.exists():
        _left_out(f"npm has no {name} for this system, or `npm ci --prefix contracts` was not run")
    return str(path)


def _left_out(reason: str) -> None:
    if os.environ.get("COMMONWATT_ALL_TESTS"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def anvil(timestamp: int, *options: str) -> Iterator[tuple[str, int]]:
    """URL and process of an anvil that begins at `timestamp` [unix s] and mines on command, fees as on Ethereum."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [
        node_tool("anvil"), "--port", str(port), "--timestamp", str(timestamp), "--hardfork", "cancun", "--no-mining",
        "--order", "fifo", "--accounts", "0", "--silent", "--gas-limit", "100000000", "--chain-id", "4242", *options,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    node = RemoteNode(url)
    try:
        for _ in range(200):
            try:
                assert node.chain_id == 4242
                break
            except LedgerError:
                time.sleep(0.05)
        yield url, process.pid
    finally:
        node.close()
        process.terminate()
        process.wait()
