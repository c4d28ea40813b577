"""Real processes that are killed, stopped and started again; the last of them is the chain itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from exchange_cases import COMMUNITY, SOURCE, written
from ledger_cases import ALICE

from commonwatt.errors import ChildError, NodeError
from commonwatt.exchange.founding import genesis_of
from commonwatt.exchange.loading import load
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.remote import RemoteNode
from commonwatt.ledger.wallet import sign_transaction
from commonwatt.service.children import Child, Program, chain, free_port, healthy
from commonwatt.service.health import Patience, State

SERVER = """
import http.server, signal, sys, time
if {deaf}: signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begins at", {port}, flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""
PATIENCE = Patience(first=0.05, most=0.2, start=60, silence=1, stop=1)
Log = list[str]


@pytest.fixture(autouse=True)
def _source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", SOURCE)


def server(port: int, *, deaf: bool = False, patience: Patience = PATIENCE) -> Program:
    command = [sys.executable, "-c", SERVER.format(port=port, deaf=deaf)]
    return Program("server", command, healthy(f"http://127.0.0.1:{port}/"), patience)


@asynccontextmanager
async def kept(program: Program, log: Log) -> AsyncIterator[Child]:
    """A child that is kept running, and stopped at the end."""
    child = Child(program, log.append)
    task = asyncio.create_task(child.run())
    try:
        yield child
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert (child.told.state, child.pid) == (State.STOPPED, None)


async def until(true: Callable[[], bool], seconds: float = 120) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


def test_a_child_that_is_killed_is_started_again_and_answers_at_the_same_place() -> None:
    log: Log = []

    async def scene() -> None:
        async with kept(server(free_port()), log) as child:
            for life in range(1, 4):
                await child.ready()
                assert (child.told.state, child.told.starts) == (State.RUNNING, life)
                assert child.pid
                os.kill(child.pid, signal.SIGKILL)
                await until(lambda life=life: child.told.starts > life)  # type: ignore[misc]
                assert child.told.code == -signal.SIGKILL
            await child.ready()
        assert child.told.code == -signal.SIGTERM

    asyncio.run(scene())
    assert sum("ended (signal 9)" in line for line in log) == 3
    assert sum("server: begins at" in line for line in log) == 4


def test_what_a_terminal_tells_its_own_programs_no_child_hears() -> None:
    async def main() -> None:
        async with kept(server(free_port()), []) as child:
            await child.ready()
            assert child.pid
            assert os.getpgid(child.pid) != os.getpgid(0)

    asyncio.run(main())


def test_a_child_that_hangs_is_killed_and_started_again() -> None:
    log: Log = []

    async def scene() -> None:
        async with kept(server(free_port()), log) as child:
            await child.ready()
            assert child.pid
            os.kill(child.pid, signal.SIGSTOP)
            await until(lambda: child.told.starts == 2)
            await child.ready()

    asyncio.run(scene())
    assert "server: does not answer, and is killed" in log


def test_a_child_that_is_silent_is_not_waited_for_at_the_end() -> None:
    async def scene() -> Child:
        patience = replace(PATIENCE, silence=600, stop=600)
        async with kept(server(free_port(), patience=patience), []) as child:
            await child.ready()
            assert child.pid
            os.kill(child.pid, signal.SIGSTOP)
            await until(lambda: child.told.state is State.SILENT)
        return child

    assert asyncio.run(scene()).told.code == -signal.SIGKILL


def test_a_child_that_does_not_end_when_it_is_told_is_killed() -> None:
    log: Log = []

    async def scene() -> Child:
        async with kept(server(free_port(), deaf=True), log) as child:
            await child.ready()
        return child

    assert asyncio.run(scene()).told.code == -signal.SIGKILL


def test_a_child_that_cannot_run_is_told_of_with_its_last_words() -> None:
    async def scene(program: Program) -> None:
        async with kept(program, []) as child:
            await until(lambda: child.told.starts > 1)
            await child.ready(0.2)

    async def never() -> bool:
        return False

    fails = [sys.executable, "-c", "import sys; sys.exit('the disk is full')"]
    with pytest.raises(ChildError, match=r"does not answer after 0 seconds; its last words: .*the disk is full\.$"):
        asyncio.run(scene(Program("server", fails, never, PATIENCE)))
    with pytest.raises(ChildError, match="/no/such/program cannot be started: No such file") as caught:
        asyncio.run(scene(Program("server", ["/no/such/program"], never, PATIENCE)))
    assert (caught.value.name, caught.value.exit_code) == ("server", 12)


def test_the_chain_goes_on_after_it_was_killed_and_ends_with_who_started_it(tmp_path: Path) -> None:
    log: Log = []
    folder, port = tmp_path / "own", free_port()
    folder.mkdir()
    with EmbeddedChain(folder / "ledger.sqlite", genesis_of(load(written(tmp_path, COMMUNITY)), ALICE.address, 1)):
        pass

    def pay(node: RemoteNode, nonce: int) -> int:
        raw = sign_transaction(ALICE, chain_id=node.chain_id, nonce=nonce, to=b"\x11" * 20, gas=21_000, value=1)
        return node.confirm([node.submit(raw)], 0)[0].block

    async def scene() -> None:
        async with kept(chain(folder, port), log) as child:
            await child.ready()
            with closing(RemoteNode(f"http://127.0.0.1:{port}", restarts=120)) as node:
                assert await asyncio.to_thread(pay, node, 0) == 1
                assert child.pid
                os.kill(child.pid, signal.SIGKILL)
                assert await asyncio.to_thread(pay, node, 1) == 2
                assert child.told.starts == 2
                await child.ready()
                node.there = lambda: child.told.state is not State.SILENT
                os.kill(child.pid, signal.SIGSTOP)
                await until(lambda: child.told.state is State.SILENT)
                with pytest.raises(NodeError, match="runs and does not answer"):
                    _ = node.head  # at once, so nobody waits for it
                os.kill(child.pid, signal.SIGCONT)
                await child.ready()
                await until(lambda: child.told.state is State.RUNNING)
                assert await asyncio.to_thread(pay, node, 2) == 3
                asking = asyncio.create_task(asyncio.to_thread(pay, node, 4))  # which no block can take
                await until(lambda: node.nonce(ALICE.address) == 3)
                node.close()
                with pytest.raises(NodeError):
                    await asking
        assert child.told.code == 0

    asyncio.run(scene())
    assert any("stopped" in line for line in log)
    with EmbeddedChain(folder / "ledger.sqlite", read_only=True) as left:
        assert left.head.number == 3


ORPHANED = """
import asyncio, pathlib, sys
from commonwatt.service.children import Child, chain
async def main():
    child = Child(chain(pathlib.Path(sys.argv[1]), int(sys.argv[2])), lambda line: None)
    task = asyncio.create_task(child.run())
    await child.ready()
    print(child.pid, flush=True)
    await task
asyncio.run(main())
"""


def test_no_chain_is_left_when_its_service_is_killed(tmp_path: Path) -> None:
    folder, port = tmp_path / "own", free_port()
    folder.mkdir()
    with EmbeddedChain(folder / "ledger.sqlite", genesis_of(load(written(tmp_path, COMMUNITY)), ALICE.address, 1)):
        pass
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANED, str(folder), str(port)], stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout
        number = int(service.stdout.readline())
        service.kill()
    asyncio.run(until(lambda: not _lives(number)))


def _lives(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
