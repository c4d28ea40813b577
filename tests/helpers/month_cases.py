"""A small community that is billed after the fact, hour by hour, and files of what its registers counted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from commonwatt.accounts.document import anchored
from commonwatt.billing.archive import Archive
from commonwatt.billing.month import Month
from commonwatt.billing.run import Billed, settle_month, understand
from commonwatt.community.calendar import local_days
from commonwatt.units import IntArray

NOW: Final = 1_800_000_000
OCTOBER, NOVEMBER, DECEMBER = Month(2026, 10), Month(2026, 11), Month(2026, 12)
COMMUNITY: Final = """
[community]
name = "Hill"
currency = "EUR"
timezone = "Europe/Vienna"
slot = "1h"

[tariff]
retail = "0.2450"
feed_in = "0.0620"

[market]
by = "registers"

[market.sharing]
mechanism = "sharing-key"
price = "0.1107"

[billing]
creditor = "Hill"
vat = "small business"
member_fee = "2.00"
point_fee = "0.50"

[ledger]
kind = "none"

[members]
anna.points = [{ import = "A1" }]
ben.points = [{ import = "B1", export = "B2" }]
cleo.points = [{ import = "C1" }, { import = "C2" }]
plant = { points = [{ export = "P2" }], billing = { name = "Roof Ltd", vat = "0.20" } }
"""
CHAINED: Final = COMMUNITY.replace('kind = "none"', 'collateral = "none"')
"""The same with a chain of its own."""
IMPORTS, EXPORTS = ("A1", "B1", "C1", "C2"), ("B2", "P2")


def hours(month: Month) -> IntArray:
    """Begins of the month's hours [unix s]."""
    return local_days(month.first, month.days, "Europe/Vienna", 3600).starts


def counted(month: Month, seed: int, most: int = 900) -> dict[str, IntArray]:
    """Energy of each register and hour [Wh], drawn from the seed."""
    chance = np.random.default_rng(seed)
    shape = len(hours(month))
    return {name: chance.integers(0, most, shape) * (chance.random(shape) < 0.7) for name in IMPORTS + EXPORTS}


def write_export(path: Path, month: Month, values: Mapping[str, IntArray], chosen: slice = slice(None)) -> Path:
    """A portal's export of these registers, of some of the month's hours."""
    names = [f"{name} {'import' if name in IMPORTS else 'export'} [kWh]" for name in values]
    lines = [";".join(["time", *names])]
    for place in range(len(hours(month)))[chosen]:
        start = datetime.fromtimestamp(int(hours(month)[place]), UTC)
        cells = (f"{int(each[place]) / 1000:.3f}".replace(".", ",") for each in values.values())
        lines.append(";".join([f"{start:%Y-%m-%dT%H:%M:%SZ}", *cells]))
    path.write_text("\n".join(lines) + "\n")
    return path


def community(folder: Path, text: str = COMMUNITY) -> Path:
    """The community's file."""
    file = folder / "hill.toml"
    file.write_text(text)
    return file


def settled(folder: Path, month: Month, files: list[Path], text: str = COMMUNITY) -> Billed:
    """The month, settled from these files, with the books in the folder; bills bear the first of the month after."""
    archive = Archive(folder / "books")
    understood = understand(community(folder, text), month, files, archive, "begin")
    return settle_month(understood, files, archive, month.last, NOW)


October = Callable[..., Billed]


@pytest.fixture(scope="session")
def octobers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Billed]]:
    """Folder and bills of an October by a community's file, settled once for all who ask."""

    @cache
    def first(text: str) -> tuple[Path, Billed]:
        folder = tmp_path_factory.mktemp("october")
        return folder, settled(folder, OCTOBER, [write_export(folder / "a.csv", OCTOBER, counted(OCTOBER, 1))], text)

    return first


@pytest.fixture
def october_by(octobers: Callable[[str], tuple[Path, Billed]], tmp_path: Path) -> October:
    """Puts an October by this file, its books and its export `a.csv` into the test's folder, and returns its bills."""

    def put(text: str = COMMUNITY) -> Billed:
        folder, billed = octobers(text)
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        return billed

    return put


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """The document under a root of its own, as an operator could make it who anchors it."""
    tree = anchored([document["page"]["content"], document["content"]]).tree
    ways = [[f"0x{each.hex()}" for each in tree.proof(place)] for place in (0, 1)]
    return {
        "content": document["content"],
        "anchor": {"root": f"0x{tree.root.hex()}", "index": 1, "siblings": ways[1]},
        "page": {"content": document["page"]["content"], "siblings": ways[0]},
    }
