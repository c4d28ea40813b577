"""A small community with two plants that belong to several of its members, and its day."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from exchange_cases import AFTER, AHEAD, HEAD, TARIFF, begin, exchange_of, short_days

from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation

HOMES = """
[members]
sun = { load = "simbench:H0-A", annual_kwh = 2000, collateral = "20", pv = { profile = "simbench:PV1", kwp = 4 }, \
battery = { kwh = 5, kw = 2.5 } }
flat = { load = "simbench:H0-C", annual_kwh = 9000, collateral = "20" }
shop = { load = "simbench:H0-G", annual_kwh = 6000, collateral = "20" }
office = { role = "regulator" }
"""
PLANTS = """
[plants.barn]
pv = { profile = "simbench:PV3", kwp = 6 }
owners = { shop = 0.5, flat = 1, sun = 1, office = 1 }

[plants.roof]
pv = { profile = "simbench:PV5", kwp = 3 }
owners = { flat = 2, shop = 1 }
"""
TEXT = HEAD + TARIFF + AHEAD + AFTER + HOMES + PLANTS
SUN, FLAT, SHOP, OFFICE, BARN, ROOF = range(6)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the day on a chain, before its bills are anchored."""
    folder = tmp_path_factory.mktemp("shared")
    with short_days():
        simulation = begin(folder, TEXT)
    while simulation.advance():
        pass
    exchange_of(simulation).outbox.finalise_due()
    simulation.close()
    return folder


def going_on(folder: Path, to: Path) -> Simulation:
    """The same day in a folder of its own."""
    shutil.copytree(folder / "out", to / "out")
    with short_days():
        return begin(to, TEXT)


@pytest.fixture(scope="session")
def shared_day(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    """That day to its end."""
    result = going_on(shared, tmp_path_factory.mktemp("day")).run()
    yield result
    result.close()


def paid(result: Result) -> list[int]:
    """What has come into each account beside what it traded and what was paid in."""
    collateral = np.array([member.collateral for member in result.community.members])
    moved = exchange_of(result).client.balances() - collateral - result.arrays["credit"].sum(axis=1)
    return [int(each) for each in moved]
