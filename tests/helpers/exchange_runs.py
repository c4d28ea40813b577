"""The small community's day in its forms: running in memory, finished, founded, not yet anchored. Eight slots of it.

All days are the same one, and none writes to what it gets.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from by_slot import by_day, proven
from dishonest import anchor
from exchange_cases import START, Forks, begin, exchange_of, homes_of, short_days, written

from commonwatt.exchange.exchange import Exchange
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """A process whose forks run, and die on order."""
    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    """One day of the small community, settled on a chain in memory."""
    with short_days():
        result = simulate(written(tmp_path_factory.mktemp("run")), START, 1)
    yield result
    result.close()


@pytest.fixture(scope="session")
def bills(run: Result) -> list[dict[str, Any]]:
    """All bills of that day with their proofs, by slot."""
    return list(proven(run.books, run.bills))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same day with both files, closed, and the bills in bills/0.json and so on."""
    folder = tmp_path_factory.mktemp("finished")
    with short_days():
        result = simulate(written(folder), START, 1, out=folder / "out")
    (folder / "out" / "bills").mkdir()
    for number, bill in enumerate(proven(result.books, result.bills)):
        (folder / "out" / "bills" / f"{number}.json").write_text(json.dumps(by_day(bill)), encoding="utf-8")
    result.close()
    return folder / "out"


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the chain of that day before its first event."""
    folder = tmp_path_factory.mktemp("founded")
    with short_days():
        begin(folder).close()
    return folder / "out"


@pytest.fixture(scope="session")
def unanchored(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same day with everything final and no bills anchored."""
    folder = tmp_path_factory.mktemp("unanchored")
    shutil.copytree(founded, folder / "out")
    with short_days():
        simulation = begin(folder)
    while simulation.exchange.next:
        simulation.advance()
    assert isinstance(simulation.exchange, Exchange)
    simulation.exchange.outbox.finalise_due()
    simulation.close()
    return folder / "out"


@pytest.fixture
def dishonest(run: Result, unanchored: Path, tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], LedgerClient]]:
    """Anchors whatever content it is given with the operator's key, on a chain where nothing was anchored before."""
    shutil.copy(unanchored / "ledger.sqlite", tmp_path / "ledger.sqlite")
    keys, honest = homes_of(run).keys, exchange_of(run).outbox
    with EmbeddedChain(tmp_path / "ledger.sqlite") as chain:
        client = LedgerClient(chain, keys.operator, honest.client.addresses)

        def anchoring(bill: dict[str, Any]) -> LedgerClient:
            index = bill["anchor"]["index"]
            contents = [bill["content"] if number == index else {} for number in range(5)]
            bill["anchor"] = anchor(client, keys.operator, contents)[index]
            return client

        yield anchoring
