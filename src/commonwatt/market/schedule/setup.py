"""The setup of the public code that goes with Münsing, Mather, Moura 2017, on any feeder, drawn with a seed.

Prices, profiles and ranges are those of `emunsing/energyblockchain`; its draws were not seeded, so no number of its own
can be repeated.
"""

from __future__ import annotations

import numpy as np

from commonwatt.devices.households import Households
from commonwatt.grid.feeder import Feeder
from commonwatt.market.schedule.input import Dispatch, Flexible
from commonwatt.units import FloatArray

PRICE = np.array(
    [
        *(10.69, 9.76, 9.54, 9.62, 12, 15, 18.73, 22.62, 22.92, 23.18, 22.50, 22.47),
        *(20.11, 20.19, 20.14, 20.11, 20.93, 22, 24, 22.67, 20.40, 17.37, 15.20, 9.36),
    ]
)
"""Of the hours of a day [$/MWh]."""
SUN = np.array([0] * 5 + [96, 345, 594, 821, 1011, 1149, 1228, 1241, 1187, 1071, 899, 685, 442, 189, 9] + [0] * 4)
"""Of the hours of a day, of any unit."""
DEFERRABLE = np.array([0.1, 1.5, 2.0, 0.5, 0.5, 1.0])


def author_setup(
    feeder: Feeder, seed: int, *, scale: float = 1.0, feed_in: float = 1.0, reactive: float = 0.3
) -> Dispatch:
    """A home at every node but 0, over a day of hours.

    scale : of all powers; feed_in : price of export in parts of that of import; reactive : kvar per kW of load
    """
    chance = np.random.default_rng(seed)
    homes = feeder.nodes - 1
    shape = 0.3 * chance.random((homes, 24)) + 0.7 * PRICE / PRICE.max()
    load = scale * chance.uniform(2, 10, (homes, 1)) * shape
    peak, mean = load.max(axis=1), load.mean(axis=1)
    pv = 1.5 * peak[:, None] * (chance.random((homes, 1)) < 0.6) * SUN / SUN.max()
    power = 0.5 * peak
    price = PRICE / 1000
    battery = {"power": power, "capacity": 4 * power, "low": 0.2 * 4 * power, "high": 0.8 * 4 * power}
    return Dispatch.of(
        feeder,
        np.arange(1, feeder.nodes),
        Households.of(load, pv=pv, retail=price, feed_in=feed_in * price, charging=0.95, discharging=0.95, **battery),
        reactive * load,
        _flexible(chance, peak, mean, power),
    )


def _flexible(chance: np.random.Generator, peak: FloatArray, mean: FloatArray, power: FloatArray) -> Flexible:
    homes = len(peak)
    begin = np.floor(chance.uniform(9, 18, homes)).astype(int)
    length = np.floor(4 + chance.uniform(0, 6, homes)).astype(int)
    return Flexible.of(
        homes,
        24,
        power=2 * peak,
        energy=3 * chance.random(homes) * power,
        begin=begin,
        end=np.minimum(begin + length, 24),
        profile=mean[:, None] * DEFERRABLE / DEFERRABLE.max(),
        earliest=8,
    )
