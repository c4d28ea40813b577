from __future__ import annotations

import json
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
    """One day of the small community, settled on a chain in memory."""
    result = simulate(written(tmp_path_factory.mktemp("run")), START, 1)
    yield result
    result.simulation.close()


@pytest.fixture(scope="session")
def bills(run: Result) -> list[dict[str, Any]]:
    """All bills of that day with their proofs."""
    return list(proven(run, run.bills))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same day with both files, closed, and the bills in bills/0.json and so on."""
    folder = tmp_path_factory.mktemp("finished")
    result = simulate(written(folder), START, 1, out=folder / "out")
    (folder / "out" / "bills").mkdir()
    for number, bill in enumerate(proven(result, result.bills)):
        (folder / "out" / "bills" / f"{number}.json").write_text(json.dumps(bill), encoding="utf-8")
    result.simulation.close()
    return folder / "out"
