from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger_cases import GENESIS

from commonwatt.ledger.embedded import EmbeddedChain


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
