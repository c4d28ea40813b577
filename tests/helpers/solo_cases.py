"""A chain that seals on demand: as a part of this process, over real HTTP, and as a command of its own."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from commands import Commands
from node_processes import free_port
from starlette.applications import Starlette

from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.network.listening import config, listening
from commonwatt.ledger.network.solo import SoloNode
from commonwatt.ledger.network.solo_process import Process
from commonwatt.ledger.node import Block
from commonwatt.ledger.rpc.app import routes
from commonwatt.ledger.rpc.service import Service


class Clock:
    """A clock that goes on by a second whenever somebody looks, so that no block has to wait for it."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> float:
        self.now += 1
        return float(self.now)


def sealed(node: SoloNode) -> Block:
    """The next block, made at once."""
    steps = node.seal()
    while True:
        try:
            next(steps)
        except StopIteration as done:
            block = done.value
            assert isinstance(block, Block)
            return block


@contextmanager
def sealing(chain: EmbeddedChain, clock: Clock) -> Iterator[str]:
    """The URL of a node in a thread of this process, which seals what comes by this clock."""
    node = SoloNode(chain, clock)
    process = Process(node, lambda _: None, attached=False)
    listener = listening("127.0.0.1", 0)
    server = uvicorn.Server(config(Starlette(routes=routes(Service(node)), lifespan=process.running)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
    assert process.failure is None


def answers(port: int) -> bool:
    """Whether a node answers there."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def running(
    commands: Commands, folder: Path, *options: str, port: int = 0, end: int = signal.SIGTERM
) -> Iterator[tuple[str, int]]:
    """URL and number of `commonwatt chain run`, once it answers; it ends in order unless it was killed."""
    port = port or free_port()
    log = folder.with_name(f"{folder.name}.log")
    log.touch()
    with commands.start(["chain", "run", str(folder), "--port", str(port), *options], log) as process:
        deadline = time.monotonic() + 120
        while not answers(port):
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.send_signal(end)
            code = process.wait(60)
    assert code in (0, -signal.SIGKILL), log.read_text("utf-8")
    if not code:
        assert log.read_text("utf-8").splitlines()[-1].endswith("stopped")
