from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import Commands
from ledger_cases import GENESIS

from commonwatt import cli
from commonwatt.ledger.chain.embedded import EmbeddedChain


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chain.db"


@pytest.fixture
def open_chain(path: Path) -> Iterator[Callable[..., EmbeddedChain]]:
    """Opens the chain at `path`; whatever is still open at the end is closed."""
    opened: list[EmbeddedChain] = []

    def open_(**options: bool) -> EmbeddedChain:
        opened.append(EmbeddedChain(path, None if path.exists() else GENESIS, **options))
        return opened[-1]

    yield open_
    for chain in opened:
        chain.close()


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """Starts commands as processes of their own."""
    made = Commands()
    yield made
    made.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command of `commonwatt chain`; gives what it printed, or said on stderr when it must fail."""

    def run(*arguments: object, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["commonwatt", "chain", *map(str, arguments)])
        try:
            cli.main()
            found = 0
        except SystemExit as stopped:
            found = int(stopped.code or 0)
        said = capsys.readouterr()
        assert found == code, said
        lines = said.err.count("\n")
        # Only findings have lines of their own, after the one that counts them.
        assert lines >= 2 if code == 2 else lines == (1 if code else 0)
        return said.err if code else said.out

    return run
