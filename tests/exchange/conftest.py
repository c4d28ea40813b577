from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from exchange_cases import START, written

from commonwatt.exchange.api import simulate
from commonwatt.exchange.bills import proven
from commonwatt.exchange.result import Result


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    """One day of the small community, settled on its chain, files beside it."""
    folder = tmp_path_factory.mktemp("run")
    result = simulate(written(folder), START, 1, out=folder / "out")
    yield result
    result.simulation.close()


@pytest.fixture(scope="session")
def ledger(run: Result) -> Path:
    """The chain's file of that day; its writer is still there."""
    assert run.simulation.out
    return run.simulation.out / "ledger.sqlite"


@pytest.fixture(scope="session")
def bills(run: Result) -> list[dict[str, Any]]:
    """All bills of that day with their proofs."""
    return list(proven(run, run.bills))
