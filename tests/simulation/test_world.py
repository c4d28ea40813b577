"""The truth that a simulation runs through."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from commonwatt.community.toml import parse
from commonwatt.data import read_profiles
from commonwatt.exchange.rules import Rules
from commonwatt.simulation.world import build

FILE = """
[community]
name = "Two"
currency = "EUR"
timezone = "Europe/Berlin"

[tariff]
retail = "0.32"
feed_in = "0.08"

[market.real_time]
mechanism = "sdr"

[members]
cold = { load = "simbench:H0-A", annual_kwh = 3200 }

[members.warm]
load = "simbench:H0-A"
annual_kwh = 3200
heat_pump = { profile = "simbench:Air_Parallel_1", annual_kwh = 2500 }
"""


def test_a_heat_pump_is_added_to_the_load() -> None:
    community = parse(FILE, "two.toml")
    world = build(Rules.of(community, Path(), date(2026, 1, 12), 1), Path(), 7)
    (pump,) = read_profiles(["simbench:Air_Parallel_1"], world.slots, community.timezone) * 2500
    added = world.load[1] - world.load[0]
    assert added.sum() > 0
    # Each series of whole Wh is within a Wh of its own.
    assert np.abs(added - 1000 * pump * world.slots.hours).max() <= 2
