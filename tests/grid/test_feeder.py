import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commonwatt.data import grid_names, read_grid
from commonwatt.data.feeders import read_feeder
from commonwatt.errors import DataError, MarketError
from commonwatt.grid import Lines, Network, power_flow
from commonwatt.grid.feeder import Feeder, flow, slopes
from commonwatt.simulation.feeders import feeder_named
from commonwatt.units import FloatArray

CASE = Path(__file__).parents[1] / "market/cases/schedule-ieee33-flow"


def drawn(nodes: int = 12, seed: int = 0, slots: int = 3) -> tuple[Feeder, FloatArray, FloatArray, Network]:
    """A random tree with loads and feed-in, and its network in the words of the room `grid`."""
    chance = np.random.default_rng(seed)
    lines = np.array([(chance.integers(0, node), node) for node in range(1, nodes)])
    r, x = chance.uniform(0.01, 0.1, nodes - 1), chance.uniform(0.01, 0.1, nodes - 1)
    kw = chance.uniform(-4, 6, (nodes, slots)) * (np.arange(nodes)[:, None] > 0)
    kvar = 0.3 * np.abs(kw)
    network = Network(
        "drawn",
        tuple(f"n{node}" for node in range(nodes)),
        np.full(nodes, 0.4),
        Lines(lines[:, 0], lines[:, 1], r, x, np.full(nodes - 1, 1e4), np.zeros(nodes - 1)),
        0,
        1.02,
    )
    return Feeder.of(lines, r, x, kv=0.4, base_kva=100, source=1.02), kw, kvar, network


def test_the_33_bus_feeder_at_its_nominal_loads() -> None:
    expected = json.loads((CASE / "expected.json").read_text(encoding="utf-8"))
    feeder, _ = feeder_named("ieee33")
    table = read_feeder("ieee33")
    p, q = np.zeros((33, 1)), np.zeros((33, 1))
    p[table.to_bus, 0], q[table.to_bus, 0] = table.kw / feeder.base_kva, table.kvar / feeder.base_kva
    found = flow(feeder, p, q)
    assert found.losses(feeder)[0] * feeder.base_kva == pytest.approx(expected["losses_kw"], abs=0.005)
    magnitude = np.sqrt(found.v[:, 0])
    assert magnitude.min() == pytest.approx(expected["lowest_voltage"], abs=0.5e-4)
    assert magnitude.argmin() == expected["lowest_bus"]


@pytest.mark.parametrize("seed", range(5))
def test_the_flow_is_that_of_the_newton_solver(seed: int) -> None:
    feeder, kw, kvar, network = drawn(seed=seed)
    found, reference = flow(feeder, kw / 100, kvar / 100), power_flow(network, kw, kvar)
    assert found.solved.all()
    assert np.abs(np.sqrt(found.v) - reference.voltage).max() < 1e-8
    assert found.losses(feeder) * 100 == pytest.approx(reference.losses_kw, abs=1e-6)
    assert found.P[0] * 100 == pytest.approx(kw.sum(axis=0) + reference.losses_kw, abs=1e-6)


@pytest.mark.parametrize("name", grid_names())
def test_a_packaged_grid_flows_as_with_capacitance_and_iron(name: str) -> None:
    grid = read_grid(name)
    feeder, node = feeder_named(name)
    kw = np.zeros((len(grid.buses.name), 2))
    np.add.at(kw, grid.loads.bus, 0.3 * grid.loads.kw[:, None] * np.array([1.0, 0.2]))
    np.add.at(kw, grid.pv.bus, -grid.pv.kw[:, None] * np.array([0.0, 0.3]))
    p = np.zeros_like(kw)
    p[node] = kw / feeder.base_kva
    found, reference = flow(feeder, p, np.zeros_like(p)), power_flow(Network.of(grid), kw)
    low_voltage = np.arange(len(node)) != grid.transformer.hv_bus
    assert np.abs(np.sqrt(found.v[node]) - reference.voltage)[low_voltage].max() < 5e-4
    # The reference takes apparent power at the more loaded end, and has the transformer's no-load part.
    loading = np.hypot(found.P[0], found.Q[0]) * feeder.base_kva / grid.transformer.kva
    assert loading == pytest.approx(reference.transformer_loading, abs=0.01)


def test_slopes_are_the_flows_differences() -> None:
    feeder, kw, kvar, _ = drawn()
    p, q, step = kw / 100, kvar / 100, 1e-6
    at = slopes(feeder, flow(feeder, p, q))
    for node in range(1, feeder.nodes):
        for reactive, (of_v, of_l, of_supply) in enumerate(((at.v, at.l, at.supply), (at.v_q, at.l_q, at.supply_q))):
            ends = []
            for sign in (-step, step):
                taken = [p.copy(), q.copy()]
                taken[reactive][node] += sign
                ends.append(flow(feeder, *taken))
            low, high = ends
            assert (high.v - low.v).T / (2 * step) == pytest.approx(of_v[:, :, node], abs=1e-6)
            assert (high.l - low.l).T / (2 * step) == pytest.approx(of_l[:, :, node], abs=1e-6)
            assert (high.P[0] - low.P[0]) / (2 * step) == pytest.approx(of_supply[node], abs=1e-6)


def test_a_voltage_that_collapses_is_not_solved_and_leaves_the_other_slots_alone() -> None:
    feeder = Feeder.of([(0, 1)], 0.5, 0.5, kv=0.4, base_kva=100)
    found = flow(feeder, np.array([[0.0, 0.0], [0.05, 5.0]]), np.zeros((2, 2)))
    assert found.solved.tolist() == [True, False]
    assert found.v[1, 0] == flow(feeder, np.array([[0.0], [0.05]]), np.zeros((2, 1))).v[1, 0]


def test_lines_come_in_any_order_and_direction() -> None:
    feeder = Feeder.of([(3, 1), (2, 0), (1, 0)], [0.3, 0.2, 0.1], 0.1, kv=1.0, base_kva=1000.0)
    assert feeder.parent.tolist() == [-1, 0, 0, 1]
    assert feeder.r.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert feeder.below.tolist() == [[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert not feeder.findings()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([(0, 1), (1, 2), (2, 0)], r"lines\[1\] closes a loop"),
        ([(0, 1), (0, 1)], r"lines\[1\] closes a loop"),
        ([(0, 1), (1, 1)], r"lines\[1\] closes a loop"),
        ([(0, 1), (2, 3)], "Node 2 has no path to node 0"),
        ([(0, 1), (-1, 2)], r"lines\[1\] has an end below zero"),
    ],
)
def test_what_is_no_tree_is_refused(lines: list[tuple[int, int]], sentence: str) -> None:
    with pytest.raises(MarketError, match=sentence):
        Feeder.of(lines, 0.1, 0.1, kv=0.4)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("r", [0.0, 0.1, -0.1], r"feeder.r\[2\]: is not a number above zero"),
        ("r", [0.0, np.nan, 0.1], r"feeder.r\[1\]: is not a number above zero"),
        ("x", [0.0, 0.1, np.inf], r"feeder.x\[2\]: is not a number from 0 on"),
        ("most", [0.0, 0.0, 1.0], r"feeder.most\[1\]: is not a number above zero"),
        ("parent", [-1, 2, 1], r"feeder.parent\[1\]: has no path to node 0"),
        ("parent", [-1, 0, 7], r"feeder.parent\[2\]: has no path to node 0"),
        ("parent", [0, 0, 1], "feeder: needs a node 0 with parent -1"),
    ],
)
def test_findings_name_the_node(column: str, value: list[float], sentence: str) -> None:
    feeder = Feeder.of([(0, 1), (1, 2)], 0.1, 0.1, kv=0.4)
    changed: dict[str, Any] = {column: np.array(value)}
    found = "; ".join(map(str, replace(feeder, **changed).findings()))
    assert re.search(sentence, found), found


def test_limits_in_the_wrong_order_and_unknown_names() -> None:
    assert Feeder.of([(0, 1)], 0.1, 0.1, kv=0.4, low=1.05, high=0.95).findings()
    with pytest.raises(DataError, match="ieee33"):
        read_feeder("ieee34")
