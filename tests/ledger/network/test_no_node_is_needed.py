"""Processes: nodes that joined through one node live on without it, listen before they seal, and vote as they run."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import Commands

from commonwatt.ledger.keyfile import read_key
from commonwatt.proof import checksum_address

Asked = Callable[..., str]
QUIET = 120.0
"""Seconds without a new line in any log after which a test gives up."""
LINES = 1000


class Process:
    """One node of a network's folder, at a port that the system chooses and others learn from it."""

    def __init__(self, net: Path, number: int, commands: Commands) -> None:
        self.net, self.number, self._commands = net, number, commands
        self.log = net / f"log-{number}"
        self.key = read_key(net / f"node-{number}.key")
        self.port = 0
        self._client = httpx.Client(trust_env=False, timeout=QUIET)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *more: str) -> None:
        command = ["chain", "node", str(self.net / "genesis.json"), "--key", str(self.net / f"node-{self.number}.key")]
        command += ["--file", str(self.net / f"chain-{self.number}.sqlite")]
        command += ["--listen", f"127.0.0.1:{self.port}", *more]
        self.log.write_bytes(b"")
        self.process = self._commands.start(command, self.log)
        until(lambda: self.lines(" at 127.0.0.1:"), [self])
        found = re.search(r"127\.0\.0\.1:([0-9]+)", self.lines(" at 127.0.0.1:")[0])
        assert found
        self.port = int(found[1])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def lines(self, part: str = "") -> list[str]:
        return [line for line in self.log.read_text("utf-8").splitlines() if part in line]

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(f"{self.url}/status").json()
        return found

    def close(self) -> None:
        self._client.close()
        if hasattr(self, "process"):
            self.kill()


def until(done: Callable[[], object], nodes: list[Process]) -> None:
    """Wait as long as the nodes live and log anything, for some hundred blocks at most."""
    told, since = 0, time.monotonic()
    most = sum(len(node.lines()) for node in nodes) + LINES
    while not done():
        logs = [node.lines() for node in nodes]
        assert all(node.process.poll() is None for node in nodes), [lines[-3:] for lines in logs]
        if sum(map(len, logs)) > told:
            told, since = sum(map(len, logs)), time.monotonic()
        assert told < most, [lines[-3:] for lines in logs]
        assert time.monotonic() - since < QUIET, [lines[-3:] for lines in logs]
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Ports for nodes that name their URL, which must be known before they start."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


@pytest.fixture
def village(tmp_path: Path, asked: Asked, commands: Commands) -> Iterator[list[Process]]:
    """Three authorities, a block each second; none of them runs yet."""
    asked("init", tmp_path / "net", "--nodes", 3, "--period", 1)
    nodes = [Process(tmp_path / "net", number, commands) for number in (1, 2, 3)]
    yield nodes
    for node in nodes:
        node.close()


def block(node: Process) -> int:
    return int(node.status()["block"])


def test_the_rest_goes_on_without_the_node_that_all_joined_through(village: list[Process], asked: Asked) -> None:
    first, second, third = village
    for node, port in zip(village, free_ports(3), strict=True):
        node.port = port
        node.start("--url", node.url, *(() if node is first else ("--peer", first.url)))
    until(lambda: min(map(block, village)) >= 4, village)
    until(lambda: all(len(node.status()["peers"]) == 2 for node in village), village)
    first.kill()
    rest = [second, third]
    before = max(map(block, rest))
    until(lambda: min(map(block, rest)) >= before + 4, rest)
    # Each has the others' addresses in its file: it needs no peer that it is told of.
    third.kill()
    until(lambda: second.lines("does not take messages"), [second])
    third.start("--url", third.url)
    until(lambda: min(map(block, rest)) >= before + 8, rest)
    # The first one comes back elsewhere, and is found there.
    first.port = free_ports(1)[0]
    first.start("--url", first.url)
    until(lambda: block(first) >= before + 12 and len(first.status()["peers"]) == 2, village)
    until(lambda: len(second.status()["peers"]) == 2, village)


def test_a_wiped_node_listens_before_it_seals(village: list[Process], asked: Asked) -> None:
    first, second, third = village
    first.start()
    second.start("--peer", first.url)
    until(lambda: block(second) >= 4, [first, second])
    third.start("--peer", first.url)
    until(lambda: third.lines("sealed block"), village)
    assert int(third.lines("sealed block")[0].split("sealed block ")[1].split()[0]) > 4
    assert third.lines("caught up")


def test_a_majority_votes_while_its_nodes_run(village: list[Process], asked: Asked, commands: Commands) -> None:
    first, second, third = village
    first.start()
    second.start("--peer", first.url)
    third.start("--peer", first.url, "--peer", second.url)
    until(lambda: min(map(block, village)) >= 2, village)
    fourth = asked("key", first.net / "node-4.key").strip()
    told = asked("vote", first.url, "--key", first.net / "node-1.key", "--admit", fourth)
    assert f"votes to admit with its next block. {fourth} is no authority; 0 of the 2 votes" in told
    key = first.net / "node-2.key"
    assert "not a reader of this node" in asked("vote", first.url, "--key", key, "--admit", fourth, code=6)
    assert "needs one of" in asked("vote", first.url, "--key", key, code=2)
    until(lambda: block(first) >= 8, village)
    # The vote of the first one is kept when it is killed; the second one's makes the majority.
    first.kill()
    first.start("--peer", second.url)
    asked("vote", second.url, "--key", key, "--admit", fourth)
    joining = Process(first.net, 4, commands)
    try:
        # The third one did not vote and knows of the new one by the chain alone.
        joining.start("--peer", third.url)
        until(lambda: checksum_address(joining.key.address) in third.status()["peers"], [*village, joining])
        until(lambda: joining.lines("sealed block"), [*village, joining])
    finally:
        joining.close()
    assert json.loads((first.net / "genesis.json").read_text("utf-8"))["members"].count(fourth) == 0
