"""Nodes of a network that run as commands of their own."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import httpx


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def node_at(village: Path, port: int, *more: str) -> list[str]:
    """The command that runs the village's node."""
    command = ["chain", "node", str(village / "genesis.json"), "--key", str(village / "node-1.key")]
    return [*command, "--file", str(village / "chain.db"), "--listen", f"127.0.0.1:{port}", *more]


def reach(client: httpx.Client, port: int, block: int) -> None:
    """Wait until a node has a block."""
    deadline = time.monotonic() + 120
    while True:
        try:
            if client.get(f"http://127.0.0.1:{port}/status").json()["block"] >= block:
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)
