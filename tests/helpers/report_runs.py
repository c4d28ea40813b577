"""Runs that several tests of the study read; none writes to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from exchange_cases import short_days

from commonwatt.community.model import Community
from commonwatt.community.synthetic import village
from commonwatt.exchange.checking import load
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation

EXAMPLES = Path(__file__).parents[2] / "examples"
NASTY = "<script>alert(\"x\")</script> & 'Söhne'"


def run(community: Community, days: int = 1, ledger: str = "none") -> Result:
    """A finished run from 15 June 2026."""
    simulation = Simulation(community, EXAMPLES, date(2026, 6, 15), days, ledger=ledger)
    return simulation.run()


def synthetic(folder: Path, homes: int) -> Community:
    """A village without a grid."""
    file = folder / f"village-{homes}.toml"
    file.write_text(village(homes), encoding="utf-8")
    return load(file)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Eight homes, one day."""
    return run(synthetic(tmp_path_factory.mktemp("small"), 8))


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Eight homes, seven days: shown as their average day."""
    return run(synthetic(tmp_path_factory.mktemp("week"), 8), 7)


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Eighty homes, more than are named one by one."""
    return run(synthetic(tmp_path_factory.mktemp("large"), 80))


@pytest.fixture(scope="session")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Eight homes; the community and one home have names that try to be markup."""
    community = synthetic(tmp_path_factory.mktemp("nasty"), 8)
    first, *others = community.members
    return run(replace(community, name=NASTY, members=(replace(first, id=NASTY), *others)))


@pytest.fixture(scope="session")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """One home, which has nobody to trade with."""
    return run(synthetic(tmp_path_factory.mktemp("silent"), 1))


@pytest.fixture(scope="session")
def with_ledger(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Eight homes, two hours of a morning, settled on a chain."""
    with short_days(first=36):
        return run(synthetic(tmp_path_factory.mktemp("ledger"), 8), ledger="embedded")
