"""A made-up village of any size, for benchmarks and first steps: the text of a community.toml."""

from __future__ import annotations

import numpy as np

_LOADS = ("H0-A", "H0-B", "H0-C", "H0-G", "H0-H", "H0-L")

_HEAD = """\
# A synthetic village: {homes} homes, seed {seed}. Nobody lives there.

[community]
name = "Village of {homes}"
currency = "EUR"
timezone = "Europe/Berlin"
seed = "village-{homes}-{seed}"

[tariff]
retail = "0.32"
feed_in = "0.08"
network_fee = "0.02"

[market.day_ahead]
mechanism = "fixed"
gate = "12:00"
price = "0.20"

[market.real_time]
mechanism = "sdr"

[defaults]
collateral = "100"

[members]
"""


def village(homes: int, seed: int = 0) -> str:
    """The text of a community.toml with `homes` >= 1 homes; the same numbers give the same text.

    Each home has a SimBench household profile scaled to 1800 to 7000 kWh/a; of two homes one has PV of 3 to 10 kWp,
    of three PV plants one has a battery of about its size in kWh. There is no grid.
    Raises ValueError when there is no home.
    """
    if homes < 1:
        raise ValueError("a village has at least one home")
    chance = np.random.default_rng(seed).random((homes, 5))
    width = max(2, len(str(homes)))
    rows = (f"home-{number + 1:0{width}d} = {_home(chance[number].tolist(), number)}" for number in range(homes))
    return _HEAD.format(homes=homes, seed=seed) + "\n".join(rows) + "\n"


def _home(chance: list[float], number: int) -> str:
    """One home as an inline table, from its five numbers in [0, 1)."""
    size, roof, sun, storage, power = chance
    # Small homes are more common than large ones.
    annual_kwh = 1800 + 10 * round(520 * size * (0.4 + 0.6 * size))
    parts = [f'load = "simbench:{_LOADS[number % len(_LOADS)]}"', f"annual_kwh = {annual_kwh}"]
    if sun < 0.5:
        kwp = 3 + round(14 * roof) / 2
        parts.append(f'pv = {{ profile = "simbench:PV{1 + int(8 * power)}", kwp = {kwp} }}')
        if storage < 1 / 3:
            parts.append(f"battery = {{ kwh = {kwp}, kw = {kwp / 2} }}")
    return f"{{ {', '.join(parts)} }}"
