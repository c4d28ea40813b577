from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger_cases import GENESIS
from shell import Shell

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


@pytest.fixture
def asked(said: Shell) -> Callable[..., str]:
    """Runs a command of `commonwatt chain`; gives what it printed, or said on stderr when it must fail."""

    def run(*arguments: object, code: int = 0) -> str:
        told = said("chain", *arguments)
        assert told.code == code, told
        lines = told.err.count("\n")
        # Only findings have lines of their own, after the one that counts them.
        assert lines >= 2 if code == 2 else lines == (1 if code else 0)
        return told.err if code else told.out

    return run
