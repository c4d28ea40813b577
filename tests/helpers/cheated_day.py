"""The small community's day, told by an exchange that cheats in one of its slots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from by_slot import verify_bill
from dishonest import Bill, Dishonest

from commonwatt.errors import VerificationError
from commonwatt.records import ZERO_HASH
from commonwatt.simulation.result import Result

SUN, ROOF, FLAT, SHOP, POOR = range(5)
NOTHING = f"0x{ZERO_HASH.hex()}"
Cheat = Callable[..., Dishonest]


@pytest.fixture(scope="session")
def noon(run: Result) -> int:
    """A slot with day-ahead trades, of which some are settled."""
    return int(run.period.starts[6])


@pytest.fixture(scope="session")
def pooled(run: Result) -> int:
    """A slot without day-ahead trades, in which flat and shop buy from sun in the pool."""
    return int(run.period.starts[7])


@pytest.fixture(scope="session")
def two_left(
    run: Result, founded: Path, unanchored: Path, noon: int, pooled: int, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The file of a chain that was told everything but these two slots."""
    folder = tmp_path_factory.mktemp("two_left")
    exchange = Dishonest(run, unanchored, founded / "ledger.sqlite", folder)
    exchange.tell(without=(noon, pooled))
    exchange.close()
    return folder / "ledger.sqlite"


@pytest.fixture
def cheat(run: Result, founded: Path, unanchored: Path, two_left: Path, tmp_path: Path) -> Iterator[Cheat]:
    """An exchange to cheat with in those two slots, or before the gate in all."""
    opened = []

    def opening(*, before_the_gate: bool = False) -> Dishonest:
        chain = founded / "ledger.sqlite" if before_the_gate else two_left
        opened.append(Dishonest(run, unanchored, chain, tmp_path))
        return opened[-1]

    yield opening
    for exchange in opened:
        exchange.close()


def refused(exchange: Dishonest, bill: Bill, sentence: str) -> None:
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(bill, exchange.client)


def believed(exchange: Dishonest, bills: list[Bill], *members: int) -> None:
    for member in members:
        assert verify_bill(bills[member], exchange.client).total == bills[member]["content"]["total"]


def line_of(content: Bill, at: int) -> Any:
    return next(line for line in content["slots"] if line["slot"] == at)


def proof_of(bill: Bill, at: int) -> Any:
    return bill["proofs"][str(at)]
