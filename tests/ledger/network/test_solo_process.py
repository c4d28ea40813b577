"""A chain of one machine as a command: it seals on demand, loses no block when it is killed, and keeps to its doors."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from commands import Commands
from exchange_cases import COMMUNITY, SOURCE, until, written
from ledger_cases import ALICE, SOAK
from node_processes import free_port
from solo_cases import Clock, answers, running, sealing
from web3 import Web3

from commonwatt.errors import LedgerError, NodeError
from commonwatt.exchange.founding import genesis_of
from commonwatt.exchange.loading import load
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.sending import Call, Sender
from commonwatt.ledger.network.operator import HOLD, SEAL, operator_token, operator_url
from commonwatt.ledger.remote import RemoteNode
from commonwatt.ledger.wallet import sign_transaction
from commonwatt.proof.keys import checksum_address

Asked = Callable[..., str]


@pytest.fixture
def begun(tmp_path: Path) -> list[str]:
    """What begins the five homes' chain, whose ether is Alice's."""
    file = written(tmp_path, COMMUNITY)
    return ["--community", str(file), "--operator", checksum_address(ALICE.address)]


def head(folder: Path) -> int:
    with EmbeddedChain(folder / "ledger.sqlite", read_only=True) as chain:
        return chain.head.number


def test_a_block_comes_for_what_a_wallet_sends_and_none_when_nobody_does(
    tmp_path: Path, begun: list[str], asked: Asked, commands: Commands
) -> None:
    folder = tmp_path / "own"
    with running(commands, folder, *begun) as (url, _):
        web3 = Web3(Web3.HTTPProvider(url))
        assert web3.client_version.endswith("/on-demand")
        for number in range(1, 3):
            raw = sign_transaction(
                ALICE, chain_id=web3.eth.chain_id, nonce=number - 1, to=b"\x11" * 20, gas=21_000, value=7
            )
            receipt = web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(raw), timeout=60)
            block = web3.eth.get_block(receipt["blockNumber"])
            assert (block["number"], receipt["status"]) == (number, 1)
            assert block["timestamp"] <= time.time()
        size = (folder / "ledger.sqlite").stat().st_size
        time.sleep(2)
        assert web3.eth.block_number == 2
        assert (folder / "ledger.sqlite").stat().st_size == size
        assert folder.stat().st_mode & 0o77 == 0
    assert head(folder) == 2
    with running(commands, folder, end=signal.SIGINT) as (url, _):
        assert httpx.get(f"{url}/healthz").json()["block"] == 2
        assert "block: 2\n" in asked("status", url)


def test_a_node_answers_while_it_runs_a_block_that_takes_long(
    tmp_path: Path, begun: list[str], commands: Commands
) -> None:
    with running(commands, tmp_path / "own", *begun) as (url, _), closing(RemoteNode(url)) as node:
        # Code that jumps back for ever, until its gas is gone: JUMPDEST PUSH0 JUMP.
        raw = sign_transaction(ALICE, chain_id=node.chain_id, nonce=0, to=b"", gas=20_000_000, data=b"\x5b\x5f\x56")
        hash_, waits = node.submit(raw), []
        while node.receipt(hash_) is None:
            begin = time.monotonic()
            assert node.balance(ALICE.address)
            waits.append(time.monotonic() - begin)
        assert len(waits) > 10
        assert sorted(waits)[len(waits) // 2] < 0.5


def test_calls_that_are_sent_together_come_into_one_block_and_are_read_back(
    tmp_path: Path, begun: list[str], commands: Commands
) -> None:
    with running(commands, tmp_path / "own", *begun) as (url, _), closing(RemoteNode(url)) as node:
        assert not node.settable
        before = int(time.time())
        assert before <= node.now(0) <= before + 60
        receipts = Sender(node, ALICE).send([Call(bytes([n]) * 20, b"", value=1) for n in range(1, 30)], 5, "payments")
        # A busy machine may take so long between two of them that the first ones are in a block already.
        assert len({receipt.block for receipt in receipts}) <= 2
        assert node.head.timestamp <= time.time()


def test_nothing_sealed_is_lost_when_it_is_killed_at_any_moment(
    tmp_path: Path, begun: list[str], commands: Commands
) -> None:
    """What was sent and lost with the process is sent again by who waits for it."""
    rng, port, folder = random.Random(5), free_port(), tmp_path / "own"  # noqa: S311
    known: list[bytes] = []
    for life in range(20 if SOAK else 3):
        with (
            running(commands, folder, *([] if life else begun), port=port, end=signal.SIGKILL) as (url, pid),
            closing(RemoteNode(url)) as node,
        ):
            assert node.nonce(ALICE.address) >= len(known)
            assert all(node.receipt(hash_) for hash_ in known)
            killer = threading.Timer(rng.uniform(0.1, 2.5), os.kill, (pid, signal.SIGKILL))
            killer.start()
            known += _paid(node, life)
            killer.join()
    with EmbeddedChain(folder / "ledger.sqlite", read_only=True) as chain:
        assert len(known) > 1
        assert all(chain.receipt(hash_) for hash_ in known)


def _paid(node: RemoteNode, life: int) -> list[bytes]:
    """Payments that somebody saw in a block before the node was gone."""
    seen: list[bytes] = []
    try:
        for number in range(1_000):
            calls = [Call(bytes([life + 1]) * 20, b"", value=number + 1)] * 3
            seen += [receipt.transaction for receipt in Sender(node, ALICE).send(calls, 0, "payments")]
    except NodeError:
        pass
    return seen


def test_who_waits_is_answered_by_the_node_that_is_started_anew(
    tmp_path: Path, begun: list[str], commands: Commands
) -> None:
    port, folder = free_port(), tmp_path / "own"
    with running(commands, folder, *begun, port=port, end=signal.SIGKILL) as (url, pid):
        patient, hasty = RemoteNode(url, restarts=120), RemoteNode(url)
        chain_id, account = patient.chain_id, checksum_address(ALICE.address)
        assert hasty.chain_id == chain_id
        raw = sign_transaction(ALICE, chain_id=chain_id, nonce=0, to=b"\x11" * 20, gas=21_000, value=1)
        hash_ = patient.submit(raw)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not answers(port))
        with pytest.raises(NodeError, match="cannot be asked"):
            _ = hasty.head
    receipts: list[int] = []
    waiting = threading.Thread(target=lambda: receipts.append(patient.confirm([hash_], 0)[0].block))
    waiting.start()
    with running(commands, folder, port=port):
        waiting.join(120)
        assert receipts == [1]
        assert hasty.nonce(ALICE.address) == 1, account
    patient.close()
    hasty.close()


def test_the_operator_s_door_opens_with_its_token_alone(tmp_path: Path, begun: list[str], commands: Commands) -> None:
    folder, port = tmp_path / "own", free_port()
    asked = {"jsonrpc": "2.0", "id": 1, "method": "evm_mine", "params": []}
    with running(commands, folder, *begun, "--begin", "1000", "--settable", port=port) as (url, _):
        assert (folder / "operator.token").stat().st_mode & 0o77 == 0
        for headers in ({}, {"authorization": "Bearer 00"}, {"authorization": "Basic Og=="}):
            refused = httpx.post(f"{url}/operator", json=asked, headers=headers)
            assert (refused.status_code, "token" in refused.text) == (401, True)
        with closing(RemoteNode(f"{url}/operator")) as stranger, pytest.raises(NodeError, match="its token alone"):
            _ = stranger.head
        assert "error" in httpx.post(url, json=asked).json()
        with closing(RemoteNode(operator_url(port), token=operator_token(folder))) as node:
            assert (node.settable, node.now(77)) == (True, 77)
            assert node.confirm((), 2_000) == ()
            assert (node.head.number, node.head.timestamp) == (1, 2_000)
            with pytest.raises(LedgerError, match="refused anvil_setBalance"):
                node.fund(ALICE.address, 1)
    with running(commands, folder, port=port) as (url, _):
        assert httpx.post(f"{url}/operator", json=asked).status_code in (404, 405)
    (folder / "operator.token").write_text("")  # whoever made it was killed before it was written
    with pytest.raises(LedgerError, match="cannot be used: it is not 64 digits"):
        operator_token(folder)


def test_who_answers_in_its_place_is_not_believed(tmp_path: Path, begun: list[str]) -> None:
    own, port, secret = tmp_path / "own", free_port(), "5" * 64
    own.mkdir()
    (own / "operator.token").write_text(secret)
    with attached(own, port, *begun), closing(RemoteNode(f"http://127.0.0.1:{port}", secret=secret)) as node:
        assert node.balance(ALICE.address)
        with closing(RemoteNode(node.url, secret="6" * 64)) as another, pytest.raises(NodeError):
            _ = another.head
    community = load(written(tmp_path, COMMUNITY))
    with EmbeddedChain(None, genesis_of(community, ALICE.address, 1)) as false, sealing(false, Clock(1)) as url:
        assert httpx.get(f"{url}/healthz").is_success
        with closing(RemoteNode(url, secret=secret)) as node, pytest.raises(NodeError, match="another program answers"):
            _ = node.head


def test_no_block_is_made_while_its_holder_says_so(tmp_path: Path, begun: list[str]) -> None:
    own, port = tmp_path / "own", free_port()
    with attached(own, port, *begun) as process, closing(RemoteNode(f"http://127.0.0.1:{port}")) as node:
        assert process.stdin
        raw = [
            sign_transaction(ALICE, chain_id=node.chain_id, nonce=nonce, to=b"\x11" * 20, gas=21_000, value=1)
            for nonce in range(2)
        ]
        assert node.confirm([node.submit(raw[0])], 0)[0].block == 1
        process.stdin.write(HOLD)
        process.stdin.flush()
        hash_ = node.submit(raw[1])
        time.sleep(1)  # more than it would gather for
        assert (node.head.number, node.nonce(ALICE.address)) == (1, 2)
        process.stdin.write(SEAL)
        process.stdin.flush()
        assert node.confirm([hash_], 0)[0].block == 2


@contextmanager
def attached(folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A node that answers and ends with this process's hold on it."""
    command = [sys.executable, "-W", "error", "-m", "commonwatt.cli", "chain", "run", str(folder), *options]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen(
        [*command, "--port", str(port), "--attached"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        until(lambda: answers(port), 120)
        yield process
        assert process.stdin
        process.stdin.close()
        assert process.wait(60) == 0
        assert process.stdout
        assert process.stdout.read().endswith(b"stopped\n")


def test_pages_and_foreign_names_are_not_answered(tmp_path: Path, begun: list[str], commands: Commands) -> None:
    asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    names = ["--origin", "http://localhost:5100", "--name", "box.local"]
    with running(commands, tmp_path / "own", *begun, *names) as (url, _):
        for headers, status in (
            ({"Origin": "https://evil.example"}, 403),
            ({"Host": "evil.example"}, 403),
            ({"Origin": "http://localhost:5100"}, 200),
            ({"Host": "box.local"}, 200),
        ):
            assert httpx.post(url, json=asked, headers=headers).status_code == status


def test_it_ends_with_the_program_that_holds_its_input(tmp_path: Path, begun: list[str]) -> None:
    with attached(tmp_path / "own", free_port(), *begun) as process:
        assert process.poll() is None


def test_what_cannot_be_run_is_said_in_one_sentence(
    tmp_path: Path, begun: list[str], asked: Asked, commands: Commands
) -> None:
    folder = tmp_path / "own"
    assert "There is no chain at" in asked("run", folder, "--port", 0, code=6)
    assert not folder.exists()
    (tmp_path / "file").touch()
    assert "file cannot be made: File exists" in asked("run", tmp_path / "file", *begun, code=9)
    assert "community" in asked("run", folder, "--community", begun[1], code=2)
    assert "port" in asked("run", folder, "--port", 65_536, code=2)
    assert "operator" in asked("run", folder, *begun[:2], "--operator", "0x12", code=2)
    with running(commands, folder, *begun) as (url, _):
        port = int(url.rpartition(":")[2])
        told = asked("run", folder, "--port", 0, code=6)
        assert "is open in another process" in told
        other = asked("run", tmp_path / "other", *begun, "--port", port, code=6)
        assert re.search(f"cannot listen at 127.0.0.1:{port}", other)
    (folder / "ledger.sqlite").write_text("no chain, but long enough to be looked at " * 200)
    assert "cannot be used as a chain" in asked("run", folder, "--port", 0, code=6)
