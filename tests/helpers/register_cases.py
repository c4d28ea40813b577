"""A community of members with metering points, whose registers move both ways within an hour."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from commonwatt.units import IntArray

START = "2026-10-02"
FIRST = datetime(2026, 9, 22, 22, tzinfo=UTC)
HOURS = 24 * 11
IMPORTS, EXPORTS = ("A1", "B1", "C1", "D1"), ("B2", "C2", "P2")
HEAD = """
[community]
name = "Hill"
currency = "EUR"
timezone = "Europe/Vienna"
slot = "1h"
profiles = "meters.csv"

[tariff]
retail = "0.2450"
feed_in = "0.0620"
network_fee = "0.03"
"""
SHARED = """
[market]
by = "registers"
"""
KEY = """
[market.sharing]
mechanism = "sharing-key"
price = "0.11"
"""
MEMBERS = """
[defaults]
collateral = "20"

[members]
anna.points = [{ import = "A1" }]
ben.points = [{ import = "B1", export = "B2" }]
cleo.points = [{ import = "C1", export = "C2" }, { import = "D1" }]
plant.points = [{ export = "P2" }]
"""
ANNA, BEN, CLEO, PLANT = range(4)


def meters(folder: Path, values: Mapping[str, IntArray]) -> None:
    """The community's own meter file, hour by hour."""
    lines = [",".join(["time", *(f"{name} [Wh]" for name in values)])]
    for place in range(HOURS):
        start = FIRST + timedelta(hours=place)
        cells = (str(int(each[place])) for each in values.values())
        lines.append(",".join([f"{start:%Y-%m-%dT%H:%M:%SZ}", *cells]))
    (folder / "meters.csv").write_text("\n".join(lines) + "\n")


def drawn_by_lot(seed: int, most: int = 900) -> dict[str, IntArray]:
    """Energy of each register and hour [Wh]; about half of them move."""
    chance = np.random.default_rng(seed)
    return {
        name: chance.integers(0, most, HOURS) * (chance.random(HOURS) < 0.6) for name in (*IMPORTS, *EXPORTS, "H", "S")
    }
