"""Nodes as processes: the commands, kills without warning, the demonstration."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from commonwatt.ledger.network.setup import read_key
from commonwatt.ledger.rpc_readers import HEADER, signed_header

COMMONWATT = [sys.executable, "-W", "error", "-m", "commonwatt.cli"]


def chain(*arguments: str, code: int = 0) -> str:
    run = subprocess.run([*COMMONWATT, "chain", *arguments], capture_output=True, text=True, timeout=600)
    assert run.returncode == code, run.stderr
    assert run.stderr.count("\n") == (1 if code else 0)
    return run.stdout + run.stderr


@pytest.fixture
def village(tmp_path: Path) -> Path:
    """A network of one member, a block each second."""
    chain("init", str(tmp_path / "net"), "--nodes", "1", "--period", "1")
    return tmp_path / "net"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def node(village: Path, port: int, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [*COMMONWATT, "chain", "node", str(village / "genesis.json"), "--key", str(village / "node-1.key")]
    command += ["--file", str(village / "chain.db"), "--listen", f"127.0.0.1:{port}", *more]
    with (village / "log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def reach(port: int, block: int) -> None:
    """Wait until a node has a block."""
    deadline = time.monotonic() + 120
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/status", trust_env=False).json()["block"] >= block:
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_node_killed_at_random_moments_goes_on_from_its_file(village: Path) -> None:
    rng = random.Random(3)  # noqa: S311
    block, port = 0, free_port()
    for _ in range(3):
        with node(village, port) as process:
            reach(port, block + 1)
            time.sleep(rng.random())
            process.send_signal(signal.SIGKILL)
            process.wait()
        words = chain("status", str(village / "chain.db")).split()
        assert int(words[3].rstrip(",")) > block
        block = int(words[3].rstrip(","))
    told = chain("verify", str(village / "chain.db"), "--genesis", str(village / "genesis.json"))
    assert f"is proved: {block} blocks" in told


def test_a_node_is_asked_stopped_and_started_twice(village: Path) -> None:
    port = free_port()
    with node(village, port) as process:
        reach(port, 1)
        told = chain("status", f"http://127.0.0.1:{port}")
        assert "consensus: poa" in told
        arguments = ["--key", str(village / "node-1.key"), "--file", str(village / "chain.db")]
        again = chain("node", str(village / "genesis.json"), *arguments, "--listen", f"127.0.0.1:{free_port()}", code=6)
        assert "is open in another process" in again
        arguments[-1] = str(village / "other.db")
        assert "cannot listen at" in chain(
            "node", str(village / "genesis.json"), *arguments, "--listen", f"127.0.0.1:{port}", code=6
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert (village / "log").read_text("utf-8").endswith(" stopped\n")
    assert "There is no node that answers" in chain("status", f"http://127.0.0.1:{port}", code=6)


def test_wallets_ask_a_node_and_are_told_of_its_blocks(village: Path) -> None:
    port = free_port()
    with node(village, port) as process:
        reach(port, 1)
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        assert httpx.post(f"http://127.0.0.1:{port}/", json=asked, trust_env=False).json()["result"] == "0x7e8"
        elsewhere = httpx.post(f"http://127.0.0.1:{port}/", json=asked, headers={"host": "evil"}, trust_env=False)
        assert elsewhere.status_code == 403
        with connect(f"ws://127.0.0.1:{port}/", proxy=None) as socket:
            socket.send(json.dumps({**asked, "method": "eth_subscribe", "params": ["newHeads"]}))
            name = json.loads(socket.recv(60))["result"]
            numbers = [json.loads(socket.recv(60))["params"] for _ in range(2)]
        assert [told["subscription"] for told in numbers] == [name, name]
        first, second = (int(told["result"]["number"], 16) for told in numbers)
        assert second == first + 1
        process.terminate()
        assert process.wait(60) == 0


def test_a_node_may_answer_its_readers_only(village: Path) -> None:
    port = free_port()
    with node(village, port, "--rpc", "readers"):
        reach(port, 1)
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}).encode()
        url, kind = f"http://127.0.0.1:{port}/", {"content-type": "application/json"}
        assert httpx.post(url, content=body, headers=kind, trust_env=False).status_code == 401
        key = read_key(village / "node-1.key")
        signed = {HEADER: signed_header(key, f"127.0.0.1:{port}", body, int(time.time()))}
        assert int(httpx.post(url, content=body, headers=kind | signed, trust_env=False).json()["result"], 16) >= 1


def test_a_file_that_was_changed_is_not_proved(village: Path) -> None:
    port = free_port()
    with node(village, port) as process:
        reach(port, 2)
        process.terminate()
        process.wait(60)
    genesis = json.loads((village / "genesis.json").read_text("utf-8"))
    other = village / "other.json"
    other.write_text(json.dumps(genesis | {"chain_id": 5}), "utf-8")
    told = chain("verify", str(village / "chain.db"), "--genesis", str(other), code=8)
    assert "was begun with another genesis" in told
    # The same members with another period: the blocks came too early.
    other.write_text(json.dumps(genesis | {"consensus": {"kind": "poa", "period": 9}}), "utf-8")
    assert "was begun with another genesis" in chain(
        "verify", str(village / "chain.db"), "--genesis", str(other), code=8
    )
    data = (village / "chain.db").read_bytes()
    (village / "chain.db").write_bytes(data[: len(data) // 2])
    told = chain("status", str(village / "chain.db"), code=6)
    assert "cannot be used as a chain" in told or "is damaged" in told


@pytest.mark.parametrize(
    ("arguments", "cause", "code"),
    [
        (["init", "x", "--nodes", "101"], "nodes: are at most 100", 2),
        (["init", "x", "--consensus", "pos", "--member", "0x" + "11" * 20], "member: is for poa and pow", 2),
        (["init", "x", "--member", "0x12"], "must be an address in quotes", 2),
        (["node", "missing.json", "--key", "missing.key"], "missing.key cannot be used", 6),
        (["verify", "missing.db", "--genesis", "missing.json"], "missing.json has 1 problem", 2),
        (["status", "missing.db"], "There is no chain at missing.db", 6),
    ],
)
def test_requests_that_are_wrong_are_told_why(tmp_path: Path, arguments: list[str], cause: str, code: int) -> None:
    run = subprocess.run([*COMMONWATT, "chain", *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == code
    assert cause in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("consensus", ["poa", "pow", "pos"])
def test_the_demonstration_succeeds(consensus: str) -> None:
    told = chain("demo", "--consensus", consensus)
    assert told.count("buys") == 12
    assert "one chain" in told
    assert "no trade was lost" in told
    assert told.count("its block is refused") == 3
    assert told.count("file is proved") == 3
