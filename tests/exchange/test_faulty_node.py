"""An exchange and a node that fail at random: transactions lost, chains reorganised, either one gone for a while.

Every day ends with the balances of a day on which nothing failed.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from exchange_cases import COMMUNITY, START, exchange_of, short_days, written
from nodes import anvil

from commonwatt.errors import LedgerError
from commonwatt.ledger import remote
from commonwatt.ledger.node import Receipt
from commonwatt.simulation.api import simulate

DEPTH = 6
FAULTS = 200 if os.environ.get("COMMONWATT_SOAK") else 10
TEXT = COMMUNITY + f"\n[ledger]\nconfirmations = {DEPTH}\n"


class Killed(BaseException):
    """The exchange dies here."""


class Faulty(remote.RemoteNode):
    """A node's client around which things go wrong, at most `left` times."""

    rng = random.Random(2026)  # noqa: S311
    left = FAULTS
    happened: ClassVar[Counter[str]] = Counter()
    process = 0

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options, timeout=0.5)

    def submit(self, raw: bytes) -> bytes:
        self._perhaps_die("killed before sending")
        hash_ = super().submit(raw)
        if self._strikes("transaction dropped"):
            self._ask("anvil_dropTransaction", f"0x{hash_.hex()}")
        self._perhaps_die("killed after sending")
        return hash_

    def confirm(self, transactions: Sequence[bytes], timestamp: int) -> tuple[Receipt, ...]:
        if self._strikes("node silent"):
            os.kill(Faulty.process, signal.SIGSTOP)
        receipts = super().confirm(transactions, timestamp)
        self._perhaps_die("killed after a block")
        return receipts

    def _mine(self, timestamp: int) -> None:
        super()._mine(timestamp)
        if self._strikes("reorganised"):
            self._ask("anvil_reorg", self.rng.randint(1, min(DEPTH, self.head.number)), [])

    def _strikes(self, fault: str) -> bool:
        # Mining comes much more often than all else.
        if not Faulty.left or self.rng.random() > (0.02 if fault == "reorganised" else 0.1):
            return False
        Faulty.left -= 1
        Faulty.happened[fault] += 1
        return True

    def _perhaps_die(self, when: str) -> None:
        if self._strikes(when):
            raise Killed


@pytest.fixture
def _short() -> Iterator[None]:
    with short_days():
        yield


@pytest.mark.usefixtures("_short")
def test_every_day_ends_with_the_same_balances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, TEXT)
    undisturbed = simulate(file, START, 1)
    expected = exchange_of(undisturbed).client.balances().tolist()
    opening = undisturbed.rules.events[0].at - 3600
    undisturbed.close()
    monkeypatch.setattr(remote, "RemoteNode", Faulty)
    days = 0
    while Faulty.left:
        days += 1
        with anvil(opening) as (url, process):
            Faulty.process = process
            assert settled(file, url, tmp_path / f"day-{days}") == expected
    assert sum(Faulty.happened.values()) == FAULTS
    assert len(Faulty.happened) == 6 or FAULTS < 100


def settled(file: Path, url: str, out: Path) -> list[int]:
    """Run the day again and again until it ends; its balances."""
    while True:
        try:
            result = simulate(file, START, 1, ledger=url, out=out)
        except Killed:
            continue
        except LedgerError as error:
            assert "cannot be asked" in str(error), error  # noqa: PT017
            os.kill(Faulty.process, signal.SIGCONT)
            continue
        balances: list[int] = exchange_of(result).client.balances().tolist()
        result.close()
        return balances
