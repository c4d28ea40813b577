"""The demonstration when something goes wrong: it says what, and leaves nothing running."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

import pytest
from commands import Command, Commands

from commonwatt.errors import LedgerError
from commonwatt.ledger.network import demo as demos


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, commands: Commands) -> list[Command]:
    """The processes of the nodes that the demonstration starts; its folders lie in `tmp_path`."""
    processes: list[Command] = []

    def start(command: list[str], *, stdout: BinaryIO, stderr: int) -> Command:
        assert command[:3] == [sys.executable, "-m", "commonwatt.cli"]
        processes.append(commands.start(command[3:], Path(stdout.name)))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return processes


@pytest.mark.parametrize("step", ["three nodes agree", "the wires of node 3 are cut"])
def test_a_node_that_dies_is_named_with_its_last_words_and_the_logs_are_kept(
    started: list[Command], tmp_path: Path, step: str
) -> None:
    told: list[str] = []

    def say(line: str) -> None:
        told.append(line)
        if step in line:
            started[1].kill()
            started[1].wait()

    with pytest.raises(LedgerError, match=r"node 2 has ended. Its last words: .*(peer|block|node)"):
        demos.demo("poa", say)
    (folder,) = tmp_path.iterdir()
    assert told[-1] == f"the nodes' files and logs are kept in {folder}"
    assert "chain 2024" in (folder / "node-2.log").read_text("utf-8")
    assert all(process.poll() is not None for process in started)


def test_a_node_that_cannot_start_says_why(
    started: list[Command], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demos, "_HOST", "203.0.113.1")  # no address of this machine
    with pytest.raises(LedgerError, match=r"node \d has ended. Its last words: .*cannot listen at 203.0.113.1:0"):
        demos.demo("poa", lambda _: None)
    assert len(started) == 3
    assert list(tmp_path.glob("*/node-1.log"))


def test_what_is_missing_is_said_when_nothing_goes_on(
    started: list[Command], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that hangs: it lives, and neither answers nor logs."""
    monkeypatch.setattr(demos, "_QUIET", 3.0)

    def say(line: str) -> None:
        if "wires of node 3 are cut" in line:
            for process in started:
                process.send_signal(signal.SIGSTOP)

    with pytest.raises(LedgerError, match=r"node 1 does not answer|waited in vain for this: .* Missing: "):
        demos.demo("poa", say)
    assert all(process.poll() is not None for process in started)


def test_nothing_is_left_behind_when_it_is_interrupted(started: list[Command], tmp_path: Path) -> None:
    def say(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demos.demo("poa", say)
    assert list(tmp_path.iterdir()) == []
    assert all(process.poll() is not None for process in started)
