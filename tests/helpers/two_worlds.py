"""The small community's finished day, and the day as somebody else made it up: same names, other keys and chain."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from exchange_cases import COMMUNITY, START, short_days, written

from commonwatt.exchange.bill_files import write_bills
from commonwatt.simulation.api import simulate

MEMBERS = ("sun", "roof", "flat", "shop", "poor")
ROOF = 1


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same community's day as somebody else made it up, with keys of another seed."""
    folder = tmp_path_factory.mktemp("made-up")
    seed = COMMUNITY.replace('slot = "1h"\n', 'slot = "1h"\nseed = "made up"\n')
    with short_days():
        result = simulate(written(folder, seed), START, 1, out=folder / "out")
    write_bills(result.books, result.bills, folder / "out" / "bills")
    result.close()
    return folder / "out"


@pytest.fixture
def own_world(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "own"))


@pytest.fixture
def false_world(made_up: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_up, tmp_path / "false"))


def card_of(out: Path, member: int = ROOF) -> Path:
    return out / "cards" / f"{MEMBERS[member]}.json"


def bill_of(out: Path, member: int = ROOF) -> Path:
    return out / "bills" / f"{member}.json"
