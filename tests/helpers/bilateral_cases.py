"""What the tests of `bilateral` share: a village with PV and batteries, its frame, and its optimum by Clarabel."""

from typing import Any

import numpy as np

from commonwatt.devices.households import Households
from commonwatt.market import Frame
from commonwatt.market.bilateral.neighbourhood import Neighbourhood
from commonwatt.market.bilateral.routes import Routes
from commonwatt.market.designs.bilateral import BILATERAL
from commonwatt.records import Clearing
from commonwatt.units import FloatArray


def frame(homes: Households, hours: float = 1.0) -> Frame:
    count, slots = homes.shape
    starts = np.arange(slots, dtype=np.int64) * int(3600 * hours)
    return Frame(starts, starts // 60 % 1440, hours, count, np.full(slots, 320_000), np.full(slots, 80_000))


def clear(given: Neighbourhood, hours: float = 1.0, **parameters: Any) -> tuple[Clearing, ...]:
    clearings = BILATERAL.clear(frame(given.homes, hours), (given,), parameters)
    assert all(clearing.proof.holds for clearing in clearings)
    return clearings


def village(count: int, slots: int = 24, seed: int = 0, batteries: float = 0.4, **limits: Any) -> Neighbourhood:
    chance = np.random.default_rng(seed)
    hour = np.arange(slots) * 24 / slots
    shape = 0.3 + 0.25 * np.exp(-(((hour - 8) / 1.5) ** 2)) + 0.7 * np.exp(-(((hour - 19) / 2.5) ** 2))
    load = shape * chance.lognormal(0, 0.4, (count, 1)) * chance.lognormal(0, 0.3, (count, slots))
    sun = np.maximum(0, np.cos((hour - 12.5) / 24 * 2 * np.pi * 1.15)) ** 1.3 * (abs(hour - 12.5) < 6.5)
    pv = sun * chance.uniform(2, 7, (count, 1)) * (chance.random((count, 1)) < 0.5)
    capacity = np.where(chance.random(count) < batteries, chance.uniform(4, 12, count), 0)
    place = chance.random((count, 2))
    distance = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
    battery = {"capacity": capacity, "power": capacity / 2.5, "low": 0.1 * capacity, "start": 0.5 * capacity}
    wear = {"charging": 0.95, "discharging": 0.93, "wear": 0.005}
    prices = {"retail": 0.32, "feed_in": 0.08}
    limits = {"import_limit": 11.0, "export_limit": 8.0} | limits
    return Neighbourhood(Households.of(load, pv=pv, **prices, **battery, **wear, **limits), distance)


def optimum(homes: Households, routes: Routes, hours: float) -> float:
    """Least total cost by an interior-point method on the model as it is written down, one matrix for all homes."""
    import clarabel
    from scipy import sparse

    count, slots = homes.shape
    cells, flows = count * slots, len(routes.slot)
    names = ("imp", "exp", "held", "ch", "dis", "level", "p")
    place = {name: number * cells for number, name in enumerate(names)}
    size = len(names) * cells + flows
    cell = np.arange(cells)
    eye = sparse.identity(cells, format="csc")

    def wide(column: Any) -> FloatArray:
        return np.repeat(column, slots)

    def block(**parts: Any) -> Any:
        at = [parts.get(name, sparse.csc_matrix((cells, cells))) for name in names]
        return sparse.hstack([*at, parts.get("flows", sparse.csc_matrix((cells, flows)))], format="csc")

    number = np.arange(flows)
    out = sparse.csc_matrix((np.ones(flows), (routes.seller * slots + routes.slot, number)), (cells, flows))
    into = sparse.csc_matrix((np.ones(flows), (routes.buyer * slots + routes.slot, number)), (cells, flows))
    balance = block(imp=eye, exp=-eye, held=-eye, ch=-eye, dis=eye, p=eye, flows=into - out)
    first = cell % slots == 0
    before = sparse.csc_matrix((np.ones((~first).sum()), (cell[~first], cell[~first] - 1)), (cells, cells))
    charge, discharge = (sparse.diags(x) for x in (hours * wide(homes.charging), hours / wide(homes.discharging)))
    storage = block(level=eye - before, ch=-charge, dis=discharge)
    end = block(level=eye)[slots - 1 :: slots]
    equal = sparse.vstack([balance, storage, end], format="csc")
    right = [(homes.load - homes.pv).ravel(), np.where(first, wide(homes.start), 0.0), homes.start]
    zero, has = np.zeros(cells), wide(homes.capacity > 0)
    power = wide(homes.power) * has
    low = np.concatenate([zero, zero, zero, zero, zero, wide(homes.low), wide(homes.p_min), np.zeros(flows)])
    held = wide(homes.curtail) * homes.pv.ravel()
    parts = [homes.most_import.ravel(), homes.most_export.ravel(), held, power, power, wide(homes.high)]
    high = np.concatenate([*parts, wide(homes.p_max), routes.most])
    retail, feed_in = (np.where(np.isfinite(price), price, 0.0).ravel() for price in (homes.retail, homes.feed_in))
    wear = wide(homes.wear)
    cost = hours * np.concatenate([retail, -feed_in, zero, wear, wear, zero, wide(homes.b), routes.gamma])
    square = np.zeros(size)
    square[place["p"] : place["p"] + cells] = hours * wide(homes.a)
    every = sparse.identity(size, format="csc")
    rows = sparse.vstack([equal, every, -every], format="csc")
    bounds = np.concatenate([*right, high, -low])
    cones = [clarabel.ZeroConeT(equal.shape[0]), clarabel.NonnegativeConeT(2 * size)]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    solved = clarabel.DefaultSolver(sparse.diags(square, format="csc"), cost, rows, bounds, cones, settings).solve()
    assert str(solved.status) == "Solved", solved.status
    return float(solved.obj_val)
