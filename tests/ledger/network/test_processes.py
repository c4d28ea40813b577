"""Nodes as processes: the commands, kills without warning, the demonstration."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from commands import Commands
from ledger_cases import SOAK
from node_processes import free_port, node_at, reach
from websockets.sync.client import connect

from commonwatt.ledger.keyfile import read_key
from commonwatt.ledger.readers import HEADER, signed_header

SHELL = [sys.executable, "-W", "error", "-m", "commonwatt.cli"]
Asked = Callable[..., str]


@pytest.fixture
def village(tmp_path: Path, asked: Asked) -> Path:
    """A network of one member, a block each second."""
    asked("init", tmp_path / "net", "--nodes", 1, "--period", 1)
    return tmp_path / "net"


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


@contextmanager
def started_by_the_shell(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file, subprocess.Popen([*SHELL, *command], stdout=file, stderr=file) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_a_node_killed_at_random_moments_goes_on_from_its_file(
    village: Path, client: httpx.Client, asked: Asked, commands: Commands
) -> None:
    rng = random.Random(3)  # noqa: S311
    block, port = 0, free_port()
    (village / "log").touch()
    for _ in range(5 if SOAK else 2):
        process = commands.start(node_at(village, port, "--rpc", "readers"), village / "log")
        reach(client, port, block + 1)
        readers_only_are_answered(client, port, village)
        time.sleep(rng.random())
        process.kill()
        process.wait()
        words = asked("status", village / "chain.db").split()
        assert int(words[3].rstrip(",")) > block
        block = int(words[3].rstrip(","))
    told = asked("verify", village / "chain.db", "--genesis", village / "genesis.json")
    assert f"is proved: {block} blocks" in told


def readers_only_are_answered(client: httpx.Client, port: int, village: Path) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}).encode()
    url, kind = f"http://127.0.0.1:{port}/", {"content-type": "application/json"}
    assert client.post(url, content=body, headers=kind).status_code == 401
    key = read_key(village / "node-1.key")
    signed = {HEADER: signed_header(key, f"127.0.0.1:{port}", body, int(time.time()))}
    assert int(client.post(url, content=body, headers=kind | signed).json()["result"], 16) >= 1


def test_a_node_answers_refuses_a_second_one_and_stops(village: Path, client: httpx.Client, asked: Asked) -> None:
    port = free_port()
    with started_by_the_shell(node_at(village, port), village / "log") as process:
        reach(client, port, 2)
        assert "consensus: poa" in asked("status", f"http://127.0.0.1:{port}")
        wallets_are_told_of_blocks(client, port)
        second = ["node", village / "genesis.json", "--key", village / "node-1.key", "--listen"]
        again = asked(*second, f"127.0.0.1:{free_port()}", "--file", village / "chain.db", code=6)
        assert "is open in another process" in again
        beside = asked(*second, f"127.0.0.1:{port}", "--file", village / "other.db", code=6)
        assert "cannot listen at" in beside
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert (village / "log").read_text("utf-8").endswith(" stopped\n")
    assert "There is no node that answers" in asked("status", f"http://127.0.0.1:{port}", code=6)
    what_was_changed_is_not_proved(village, asked)


def wallets_are_told_of_blocks(client: httpx.Client, port: int) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    assert client.post(f"http://127.0.0.1:{port}/", json=call).json()["result"] == "0x7e8"
    assert client.post(f"http://127.0.0.1:{port}/", json=call, headers={"host": "evil"}).status_code == 403
    with connect(f"ws://127.0.0.1:{port}/", proxy=None) as socket:
        socket.send(json.dumps({**call, "method": "eth_subscribe", "params": ["newHeads"]}))
        name = json.loads(socket.recv(60))["result"]
        told = [json.loads(socket.recv(60))["params"] for _ in range(2)]
    assert [each["subscription"] for each in told] == [name, name]
    first, second = (int(each["result"]["number"], 16) for each in told)
    assert second == first + 1


def what_was_changed_is_not_proved(village: Path, asked: Asked) -> None:
    genesis = json.loads((village / "genesis.json").read_text("utf-8"))
    other = village / "other.json"
    # Another chain id; the same members with another period.
    for change in ({"chain_id": 5}, {"consensus": {"kind": "poa", "period": 9}}):
        other.write_text(json.dumps(genesis | change), "utf-8")
        told = asked("verify", village / "chain.db", "--genesis", other, code=8)
        assert "was begun with another genesis" in told
    data = (village / "chain.db").read_bytes()
    (village / "chain.db").write_bytes(data[: len(data) // 2])
    told = asked("status", village / "chain.db", code=6)
    assert "cannot be used as a chain" in told or "is damaged" in told


@pytest.mark.parametrize(
    ("arguments", "cause", "code"),
    [
        (["init", "x", "--nodes", "101"], "nodes: are at most 100", 2),
        (["init", "x", "--consensus", "pos", "--member", "0x" + "11" * 20], "member: is for poa and pow", 2),
        (["init", "x", "--member", "0x12"], "must be an address in quotes", 2),
        (["node", "missing.json", "--key", "missing.key"], "missing.key cannot be used", 6),
        (["verify", "missing.db", "--genesis", "missing.json"], "missing.json has 1 problem", 2),
        (["tip", "missing.key"], "missing.key cannot be used", 6),
        (["tip", "missing.key", "--number", "100"], "number: is from 0 to 99, not 100", 2),
        (["node", "x", "--key", "x", "--hash-chains", "0"], "hash_chains: is from 1 to 100, not 0", 2),
        (["status", "missing.db"], "There is no chain at missing.db", 6),
    ],
)
def test_requests_that_are_wrong_are_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Asked, arguments: list[str], cause: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cause in asked(*arguments, code=code)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("consensus", ["poa", "pow", "pos"] if SOAK else ["poa"])
def test_the_demonstration_succeeds(consensus: str, asked: Asked) -> None:
    told = asked("demo", "--consensus", consensus)
    assert told.count("buys") == 12
    assert "one chain" in told
    assert "no trade was lost" in told
    assert told.count("its block is refused") == 3
    assert told.count("file is proved") == 3
