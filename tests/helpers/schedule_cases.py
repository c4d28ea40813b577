"""What the tests of `schedule` share: feeders with homes, their frame, and the central optimum by Clarabel."""

from typing import Any

import numpy as np

from commonwatt.data.feeders import read_feeder
from commonwatt.devices.households import Households
from commonwatt.grid.feeder import Feeder
from commonwatt.market import Frame
from commonwatt.market.designs.schedule import SCHEDULE
from commonwatt.market.schedule.input import Dispatch, Flexible
from commonwatt.records import Clearing
from commonwatt.simulation.feeders import feeder_named
from commonwatt.units import FloatArray, IntArray


def frame(given: Dispatch, hours: float = 1.0) -> Frame:
    count, slots = given.homes.shape
    starts = np.arange(slots, dtype=np.int64) * int(3600 * hours)
    ceiling, floor = (
        np.rint(np.nan_to_num(price, posinf=1.0, neginf=0.0) * 1e6).astype(np.int64)
        for price in (given.retail, given.feed_in)
    )
    return Frame(starts, starts // 60 % 1440, hours, count, ceiling, floor)


def clear(given: Dispatch, hours: float = 1.0, **parameters: Any) -> tuple[Clearing, ...]:
    clearings = SCHEDULE.clear(frame(given, hours), (given,), parameters)
    assert all(clearing.proof.holds for clearing in clearings)
    return clearings


def line(nodes: int = 3, ohm: float = 0.1, **given: Any) -> Feeder:
    """A feeder that is one line of nodes after another, at 0.4 kV."""
    return Feeder.of([(node, node + 1) for node in range(nodes - 1)], ohm, ohm / 2, kv=0.4, base_kva=100.0, **given)


def village(
    feeder: Feeder, seed: int = 0, slots: int = 24, sun: float = 1.0, flexible: bool = True, **limits: Any
) -> Dispatch:
    """Homes drawn for the nodes of a feeder, one each but at node 0: PV, batteries, shapable and deferrable loads."""
    chance = np.random.default_rng(seed)
    homes = feeder.nodes - 1
    hour = np.arange(slots) * 24 / slots
    shape = 0.3 + 0.25 * np.exp(-(((hour - 8) / 1.5) ** 2)) + 0.7 * np.exp(-(((hour - 19) / 2.5) ** 2))
    load = shape * chance.lognormal(0, 0.4, (homes, 1)) * chance.lognormal(0, 0.3, (homes, slots))
    day = np.maximum(0, np.cos((hour - 12.5) / 24 * 2 * np.pi * 1.15)) ** 1.3 * (abs(hour - 12.5) < 6.5)
    pv = sun * day * chance.uniform(2, 7, (homes, 1)) * (chance.random((homes, 1)) < 0.5)
    capacity = np.where(chance.random(homes) < 0.4, chance.uniform(4, 12, homes), 0)
    battery = {"capacity": capacity, "power": capacity / 2.5, "low": 0.1 * capacity, "start": 0.5 * capacity}
    wear = {"charging": 0.95, "discharging": 0.93, "wear": 0.005}
    given = {"retail": 0.32, "feed_in": 0.08} | limits
    loads = _flexible(chance, homes, slots) if flexible else None
    taken = Households.of(load, pv=pv, **battery, **wear, **given)
    return Dispatch.of(feeder, np.arange(1, feeder.nodes), taken, 0.2 * load, loads)


def _flexible(chance: np.random.Generator, homes: int, slots: int) -> Flexible:
    power = np.where(chance.random(homes) < 0.5, 2.0, 0.0)
    profile = np.where(chance.random(homes) < 0.5, 1.0, 0.0)[:, None] * chance.uniform(0.2, 2.0, 3)
    energy = power * 24 / slots * chance.uniform(0, slots / 3, homes)
    return Flexible.of(homes, slots, power=power, energy=energy, begin=slots // 3, profile=profile, earliest=slots // 3)


def ieee33(seed: int = 0, scale: float = 0.6) -> Dispatch:
    """The 33-bus feeder with a home in the size of each bus's load, over a day."""
    table, (feeder, _) = read_feeder("ieee33"), feeder_named("ieee33")
    given = village(feeder, seed)
    order = np.argsort(table.to_bus)
    kw, kvar = table.kw[order, None], table.kvar[order, None]
    size = scale * kw / given.homes.load.max(axis=1, keepdims=True)
    homes, flexible = given.homes, given.flexible
    times = {name: getattr(homes, name) * size for name in ("load", "pv")}
    times |= {name: getattr(homes, name) * size[:, 0] for name in ("capacity", "low", "high", "start", "power")}
    kept = {name: getattr(homes, name) for name in ("retail", "feed_in", "charging", "discharging", "wear")}
    larger = Flexible(
        flexible.power * size[:, 0],
        flexible.energy * size[:, 0],
        flexible.begin,
        flexible.end,
        flexible.profile * size,
        flexible.earliest,
    )
    taken = Households.of(times.pop("load"), **times, **kept)
    return Dispatch.of(feeder, given.node, taken, taken.load * kvar / kw, larger)


class _Program:
    """Rows of a cone program, put together by names of variables; each has shape (rows, slots)."""

    def __init__(self, slots: int) -> None:
        self.slots, self.size = slots, 0
        self.at: dict[str, IntArray] = {}
        self.rows: dict[str, list[Any]] = {}
        self.right: dict[str, list[Any]] = {}

    def variable(self, name: str, rows: int) -> IntArray:
        self.at[name] = self.size + np.arange(rows * self.slots).reshape(rows, self.slots)
        self.size += rows * self.slots
        return self.at[name]

    def add(self, kind: str, right: Any, *terms: tuple[IntArray, Any]) -> IntArray:
        """Rows Σ coefficient·variable (= or <=) right; terms : (columns, coefficients), broadcast to right's shape."""
        right = np.asarray(right, dtype=float)
        count = sum(len(r) for r in self.right.get(kind, ()))
        row = count + np.arange(right.size).reshape(right.shape)
        for columns, values in terms:
            row_of = row if columns.ndim == right.ndim else row[..., None]
            parts = np.broadcast_arrays(row_of, columns, values)
            self.rows.setdefault(kind, []).append(tuple(part.ravel() for part in parts))
        self.right.setdefault(kind, []).append(right.ravel())
        return row

    def matrix(self, kind: str) -> tuple[Any, FloatArray]:
        from scipy import sparse

        row, column, value = (np.concatenate(each) for each in zip(*self.rows[kind], strict=True))
        right = np.concatenate(self.right[kind])
        return sparse.csc_matrix((value, (row, column)), (len(right), self.size)), right


def optimum(
    given: Dispatch, hours: float = 1.0, relief: float | FloatArray = 0.0
) -> tuple[float, FloatArray, FloatArray]:
    """Least cost with the branch flow relaxed to cones and starts to weights, nodal prices and nets, by Clarabel.

    relief : of the upper limits of squared voltages, shape (nodes, slots) [pu]
    """
    import clarabel
    from scipy import sparse

    homes, feeder, flexible = given.homes, given.feeder, given.flexible
    (count, slots), nodes, base = homes.shape, feeder.nodes, feeder.base_kva
    program = _Program(slots)
    names = ("charge", "discharge", "level", "held", "device", "shapable", "net")
    charge, discharge, level, held, device, shapable, net = (program.variable(name, count) for name in names)
    P, Q, l, v = (program.variable(name, nodes) for name in "PQlv")  # noqa: E741
    buy, sell = program.variable("buy", 1)[0], program.variable("sell", 1)[0]
    started, allowed = flexible.started(slots), flexible.allowed(slots)
    starts = started.shape[1]
    weight = program.size + np.arange(count * starts).reshape(count, starts)
    program.size += count * starts

    into, out = hours * homes.charging[:, None], hours / homes.discharging[:, None]
    add, one = program.add, np.ones(1)
    first = np.zeros((count, slots))
    first[:, 0] = homes.start
    before = np.where(np.arange(slots) > 0, -1.0, 0.0)
    earlier = np.roll(level, 1, axis=1)
    add("equal", first, (level, one), (earlier, before), (charge, -into), (discharge, out))
    add("equal", homes.start, (level[:, -1], one))
    terms = [(held, -one), (charge, -one), (discharge, one), (device, one), (shapable, -one)]
    add(
        "equal", homes.load - homes.pv, (net, one), *terms,
        (np.broadcast_to(weight[:, None, :], (count, slots, starts)), -started.transpose(0, 2, 1)),
    )  # fmt: skip
    has = flexible.profile.any(axis=1)
    add("equal", flexible.energy / hours, (shapable, np.where(flexible.window(slots), 1.0, 0.0)))
    add("equal", has.astype(float), (weight, one))

    r, x, parent = feeder.r[:, None], feeder.x[:, None], np.maximum(feeder.parent, 0)
    zero = np.zeros((nodes, slots))
    q = np.zeros((nodes, slots))
    np.add.at(q, given.node, given.reactive / base)
    children = [np.flatnonzero(feeder.parent == node) for node in range(nodes)]
    at_node = [np.flatnonzero(given.node == node) for node in range(nodes)]
    balance = np.empty((nodes, slots), dtype=int)
    for node in range(nodes):
        below, homes_here = children[node], at_node[node]
        balance[node] = add(
            "equal",
            zero[node],
            (P[node], one),
            (l[node], -r[node]),
            (P[below].T, -one),
            (net[homes_here].T, -one / base),
        )
        add("equal", q[node], (Q[node], one), (l[node], -x[node]), (Q[below].T, -one))
    outer = np.arange(1, nodes)
    add("equal", zero[outer], (v[outer], one), (v[parent[outer]], -one), (P[outer], 2 * r[outer]),
        (Q[outer], 2 * x[outer]), (l[outer], -(r[outer] ** 2 + x[outer] ** 2)))  # fmt: skip
    add("equal", np.full(slots, feeder.source**2), (v[0], one))
    add("equal", zero[0], (l[0], one))
    add("equal", zero[0], (P[0], one), (buy, -one / base), (sell, one / base))

    limits = [
        (charge, 0, homes.power[:, None]), (discharge, 0, homes.power[:, None]), (shapable, 0, flexible.most(slots)),
        (level, homes.low[:, None], homes.high[:, None]), (held, 0, homes.curtail[:, None] * homes.pv),
        (device, homes.p_min[:, None], homes.p_max[:, None]), (weight, 0, np.where(allowed, 1.0, 0.0)),
        (v[1:], feeder.low**2, None), (buy, 0, None), (sell, 0, None),
    ]  # fmt: skip
    if np.isfinite(homes.import_limit).all() and np.isfinite(homes.export_limit).all():
        limits.append((net, -homes.export_limit[:, None], homes.import_limit[:, None]))
    if np.isfinite(feeder.most[1:]).all():
        limits.append((l[1:], 0, (feeder.most**2)[1:, None]))
    for columns, low, high in limits:
        add("less", np.broadcast_to(-np.asarray(low, dtype=float), columns.shape), (columns, -one))
        if high is not None:
            add("less", np.broadcast_to(np.asarray(high, dtype=float), columns.shape), (columns, one))
    # The upper limit is on the voltage as if nothing were lost, less the relief.
    by_homes = np.broadcast_to(-feeder.drop[0][outer][:, given.node] / base, (slots, nodes - 1, count)).swapaxes(0, 1)
    room = feeder.high**2 + relief - feeder.lossless(np.zeros_like(q), q)
    nets = np.broadcast_to(net.T, (nodes - 1, slots, count))
    upper = add("less", room[outer], (nets, by_homes))
    for line_ in outer:
        up = v[parent[line_]]
        for slot in range(slots):
            a, b = l[line_, slot], up[slot]
            add("cone", [0.0], (np.array([[a, b]]), np.array([[-1.0, -1.0]])))
            add("cone", [0.0], (P[line_, slot : slot + 1], np.array([-2.0])))
            add("cone", [0.0], (Q[line_, slot : slot + 1], np.array([-2.0])))
            add("cone", [0.0], (np.array([[a, b]]), np.array([[-1.0, 1.0]])))

    cost, square = np.zeros(program.size), np.zeros(program.size)
    cost[charge] = cost[discharge] = hours * homes.wear[:, None]
    cost[device], square[device] = hours * homes.b[:, None], hours * homes.a[:, None]
    cost[buy], cost[sell] = hours * given.retail, -hours * given.feed_in
    parts = [program.matrix(kind) for kind in ("equal", "less", "cone")]
    cones = [clarabel.ZeroConeT(len(parts[0][1])), clarabel.NonnegativeConeT(len(parts[1][1]))]
    cones += [clarabel.SecondOrderConeT(4)] * (len(parts[2][1]) // 4)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    rows = sparse.vstack([matrix for matrix, _ in parts], format="csc")
    right = np.concatenate([part for _, part in parts])
    solved = clarabel.DefaultSolver(sparse.diags(square, format="csc"), cost, rows, right, cones, settings).solve()
    assert str(solved.status) in ("Solved", "AlmostSolved"), solved.status
    found, duals = np.array(solved.x), np.array(solved.z) / (hours * base)
    price = -duals[balance] - feeder.drop[0][outer].T @ duals[len(parts[0][1]) + upper]
    return float(solved.obj_val), price, found[net]
