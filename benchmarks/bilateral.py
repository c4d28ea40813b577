"""Time of the bilateral market to a certified gap of 0.1 %: `python benchmarks/bilateral.py [--compiled]`, JSON out.

CPU seconds of the whole clearing, its proof included, on one process; the compiler's time is left out by a small market
before. Homes are drawn with a fixed seed: half have PV, three in ten a battery, one day of 24 slots.
"""

import argparse
import json
import time

import numpy as np

from commonwatt.market import Frame
from commonwatt.market.bilateral import BILATERAL
from commonwatt.market.households import Households
from commonwatt.market.neighbourhood import Neighbourhood

SLOTS = 24


def village(homes: int) -> Neighbourhood:
    chance = np.random.default_rng(0)
    hour = np.arange(SLOTS)
    shape = 0.3 + 0.25 * np.exp(-(((hour - 8) / 1.5) ** 2)) + 0.7 * np.exp(-(((hour - 19) / 2.5) ** 2))
    load = shape * chance.lognormal(0, 0.4, (homes, 1)) * chance.lognormal(0, 0.3, (homes, SLOTS))
    sun = np.maximum(0, np.cos((hour - 12.5) / 24 * 2 * np.pi * 1.15)) ** 1.3 * (abs(hour - 12.5) < 6.5)
    pv = sun * chance.uniform(2, 7, (homes, 1)) * (chance.random((homes, 1)) < 0.5)
    capacity = np.where(chance.random(homes) < 0.3, chance.uniform(4, 12, homes), 0)
    battery = {"capacity": capacity, "power": capacity / 2.5, "low": 0.1 * capacity, "start": 0.5 * capacity}
    limits = {"charging": 0.95, "discharging": 0.95, "wear": 0.005, "import_limit": 11.0, "export_limit": 8.0}
    place = chance.random((homes, 2))
    distance = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
    return Neighbourhood(Households.of(load, pv=pv, retail=0.32, feed_in=0.08, **battery, **limits), distance)


def measure(homes: int, **parameters: object) -> dict[str, object]:
    given = village(homes)
    starts = np.arange(SLOTS, dtype=np.int64) * 3600
    prices = np.full(SLOTS, 320_000), np.full(SLOTS, 80_000)
    frame = Frame(starts, starts // 60, 1.0, homes, *prices)
    begin = time.process_time()
    clearings = BILATERAL.clear(frame, (given,), parameters)
    cpu = time.process_time() - begin
    figures = clearings[0].diagnostics
    return {
        "homes": homes,
        **parameters,
        "cpu_s": round(cpu, 3),
        "trades": sum(len(clearing.trades) for clearing in clearings),
        "proved": all(clearing.proof.holds for clearing in clearings),
        **{name: figures[name] for name in ("routes", "iterations", "gap", "cost", "bound", "converged")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiled", action="store_true", help="with numba (extra `fast`)")
    compiled = parser.parse_args().compiled
    measure(10, compiled=compiled)
    cases = [
        {"homes": homes, "graph": graph, "preference": preference, "roles": roles, "compiled": compiled}
        for homes, graph in ((100, "full"), (1000, "nearest"))
        for preference in ("distance", "surplus")
        for roles in ("forecast", "free")
    ]
    print(json.dumps([measure(**case) for case in cases], indent=1))


if __name__ == "__main__":
    main()
