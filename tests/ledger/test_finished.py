"""A finished chain served by a command of its own: Ethereum's tools read it, and nothing is written."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy, copytree

import httpx
import pytest
from exchange_cases import SOURCE
from ledger_cases import transfer
from nodes import node_tool
from rpc_cases import CONTRACTS
from shell import Shell
from web3 import Web3
from web3.exceptions import Web3RPCError

from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.abi import SETTLEMENT, contract
from commonwatt.ledger.network import finished as serving

URL = re.compile(r"http://127\.0\.0\.1:[0-9]+")


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(copytree(finished, tmp_path / "out"))


@contextmanager
def served(file: Path, *options: str, end: int = signal.SIGINT) -> Iterator[str]:
    """The URL of a node of this file, which ends cleanly when it is interrupted."""
    command = [sys.executable, "-W", "error", "-m", "commonwatt.cli", "chain", "serve", str(file), "--port", "0"]
    with subprocess.Popen(
        [*command, *options], env={**os.environ, "PYTHONPATH": SOURCE}, stdout=subprocess.PIPE, text=True
    ) as node:
        assert node.stdout
        try:
            announced = URL.search(node.stdout.readline())
            assert announced
            yield announced[0]
        finally:
            node.send_signal(end)
            rest = node.communicate(timeout=60)[0]
        assert (node.returncode, rest) == (0, "stopped\n")


def content(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, but for what SQLite keeps beside a file for its readers."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.name.endswith(("-wal", "-shm")))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_a_finished_day_is_read_by_ethereum_s_tools(out: Path, said: Shell) -> None:
    before = content(out)
    named = json.loads((out / "bills" / "1.json").read_text("utf-8"))["content"]["ledger"]
    with EmbeddedChain(out / "ledger.sqlite", read_only=True) as chain:
        head, number = chain.head, chain.chain_id
    with served(out / "ledger.sqlite") as url:
        web3 = Web3(Web3.HTTPProvider(url))
        assert (web3.eth.chain_id, web3.eth.block_number) == (number, head.number)
        block = web3.eth.get_block("latest", full_transactions=True)
        assert block["hash"] == head.hash
        settlement = web3.eth.contract(
            Web3.to_checksum_address(named["settlement"]), abi=json.loads(artifact(SETTLEMENT))["abi"]
        )
        assert web3.to_checksum_address(named["community"]) == settlement.functions.community().call()
        deposits = settlement.events.Deposited().get_logs(from_block=0)
        assert sorted(event.args.member for event in deposits) == [0, 1, 2, 3, 4]
        assert web3.eth.get_transaction_count(block["miner"]) >= 0
        with pytest.raises(Web3RPCError, match="a chain that is finished, and takes no transactions"):
            web3.eth.send_raw_transaction(transfer(0))
        verified = said("verify", out / "bills" / "1.json", "--ledger", url, "--card", out / "cards" / "roof.json")
        assert verified.code == 0, verified.err
        assert f"Believed: {url} about chain {number}" in verified.out
        # An explorer asks for health and head; a page of another site is refused.
        assert f"block: {head.number}\n" in said("chain", "status", url).out
        assert httpx.get(f"{url}/status", headers={"Host": "evil.example"}).status_code == 403
        assert httpx.get(f"{url}/healthz").json()["block"] == head.number
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
        assert httpx.post(url, json=asked, headers={"Origin": "https://evil.example"}).status_code == 403
        assert httpx.post(url, json=asked, headers={"Host": "evil.example"}).status_code == 403
    assert content(out) == before


def artifact(name: str) -> str:
    """The text of a compiled contract."""
    assert contract(name).functions
    return (Path(SOURCE) / "commonwatt/ledger/artifacts" / f"{name}.json").read_text("utf-8")


def test_ethers_reads_a_finished_day(out: Path) -> None:
    script = (
        "const {JsonRpcProvider} = require('ethers');"
        "const node = new JsonRpcProvider(process.argv[1]);"
        "node.getBlockNumber().then((number) => { console.log(number); node.destroy(); });"
    )
    node_tool("node")
    if not (CONTRACTS / "node_modules" / "ethers").exists():
        node_tool("ethers")
    with EmbeddedChain(out / "ledger.sqlite", read_only=True) as chain:
        head = chain.head.number
    with served(out / "ledger.sqlite") as url:
        told = subprocess.run(
            ["node", "-e", script, url], capture_output=True, text=True, cwd=CONTRACTS, check=True, timeout=60
        )
    assert told.stdout.strip() == str(head)


def test_a_page_that_is_allowed_may_ask(out: Path) -> None:
    asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    with served(out / "ledger.sqlite", "--origin", "http://localhost:5100", end=signal.SIGTERM) as url:
        answer = httpx.post(url, json=asked, headers={"Origin": "http://localhost:5100"})
        assert answer.headers["access-control-allow-origin"] == "http://localhost:5100"


def test_a_chain_that_another_process_writes_is_refused(out: Path, said: Shell) -> None:
    file = out / "ledger.sqlite"
    with EmbeddedChain(file) as writer:
        told = said("chain", "serve", file, "--port", "0")
        assert (told.code, told.out) == (6, "")
        assert "is open in another process, which adds to it" in told.err
        writer.seal(writer.head.timestamp + 1)  # it was not hindered
    with serving.opened(file) as reader:
        assert reader.head.number


@pytest.mark.parametrize("kind", ["missing", "text", "store", "folder", "empty"])
def test_a_file_that_is_no_chain_is_refused(out: Path, said: Shell, kind: str) -> None:
    files = {
        "missing": out / "none.sqlite", "text": out / "notes.txt", "store": out / "exchange.sqlite", "folder": out,
        "empty": out / "empty.sqlite",
    }  # fmt: skip
    files["text"].write_text("Not a database, but long enough to be looked at." * 100, "utf-8")
    files["empty"].touch()
    before = content(out)
    told = said("chain", "serve", files[kind], "--port", "0")
    assert (told.code, told.out, told.err.count("\n")) == (6, "", 1)
    assert content(out) == before


def test_a_port_that_is_taken_is_told(out: Path, said: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = said("chain", "serve", out / "ledger.sqlite", "--port", taken.getsockname()[1])
    assert (told.code, "The node cannot listen at 127.0.0.1:" in told.err) == (6, True)
    for port in (65_536, -1):
        assert said("chain", "serve", out / "ledger.sqlite", "--port", port).code == 2


def test_what_a_killed_run_left_behind_is_shown_and_stays(out: Path) -> None:
    """The log beside the file has the last blocks; whoever only reads leaves it where it is."""
    file = out / "ledger.sqlite"
    child = os.fork()
    if not child:
        chain = EmbeddedChain(file)
        chain.seal(chain.head.timestamp + 1)
        os._exit(0)  # no connection is closed
    os.waitpid(child, 0)
    log = file.with_name("ledger.sqlite-wal")
    assert log.stat().st_size
    before = content(out), log.read_bytes()
    with EmbeddedChain(file, read_only=True) as chain:
        head = chain.head.number
    with served(file) as url:
        assert Web3(Web3.HTTPProvider(url)).eth.block_number == head
    assert (content(out), log.read_bytes()) == before


def test_a_finished_day_is_shown_where_nothing_can_be_written(finished: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(copy(finished / "ledger.sqlite", name))
        file.chmod(0o444)
        file.parent.chmod(0o555)
        child = os.fork()
        if not child:
            if os.geteuid() == 0:  # permissions do not bind root
                os.setuid(65534)
            with serving.opened(file) as reader:
                os._exit(0 if reader.head.number else 2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [entry.name for entry in file.parent.iterdir()] == ["ledger.sqlite"]
        file.parent.chmod(0o755)
