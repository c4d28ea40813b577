"""Electrical distance between homes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.data import grid_names, read_grid
from commonwatt.grid import Lines, Network, electrical_distance


def network(ends: list[tuple[int, int]], impedance: list[complex], buses: int) -> Network:
    z, count = np.array(impedance), len(ends)
    first, second = np.array(ends, dtype=np.int64).T
    lines = Lines(first, second, z.real, z.imag, np.full(count, 100.0), np.zeros(count))
    return Network("test", tuple(f"b{n}" for n in range(buses)), np.full(buses, 0.4), lines, slack=0)


@given(st.integers(2, 12).flatmap(lambda n: st.tuples(
    st.tuples(*(st.integers(0, child) for child in range(n - 1))),
    st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 1)), min_size=n - 1, max_size=n - 1),
)))  # fmt: skip
def test_in_a_tree_it_is_the_impedance_of_the_path(tree: tuple[tuple[int, ...], list[tuple[float, float]]]) -> None:
    parents, values = tree
    z = [complex(r, x) for r, x in values]
    buses = len(parents) + 1
    found = electrical_distance(
        network([(parent, child + 1) for child, parent in enumerate(parents)], z, buses), np.arange(buses)
    )

    def way(bus: int) -> set[int]:
        return {bus} | way(parents[bus - 1]) if bus else set()

    for one in range(buses):
        for other in range(buses):
            path = way(one) ^ way(other)
            assert found[one, other] == pytest.approx(abs(sum(z[bus - 1] for bus in path)), abs=1e-9)


def test_two_ways_between_two_buses_halve_the_distance() -> None:
    once = electrical_distance(network([(0, 1)], [0.2 + 0.1j], 2), np.arange(2))
    twice = electrical_distance(network([(0, 1), (0, 1)], [0.2 + 0.1j] * 2, 2), np.arange(2))
    assert twice == pytest.approx(once / 2)


@pytest.mark.parametrize("name", grid_names())
def test_in_packaged_grids_it_is_a_distance(name: str) -> None:
    grid = Network.of(read_grid(name))
    apart = electrical_distance(grid, np.arange(len(grid.buses)))
    assert np.array_equal(apart, apart.T)
    assert (apart.diagonal() == 0).all()
    low = np.flatnonzero(grid.kv < 1)
    assert 0 < apart[np.ix_(low, low)].max() < 5


def test_homes_at_one_bus_are_not_apart() -> None:
    apart = electrical_distance(network([(0, 1), (1, 2)], [0.1, 0.2], 3), np.array([2, 2, 1]))
    assert apart == pytest.approx(np.array([[0, 0, 0.2], [0, 0, 0.2], [0.2, 0.2, 0]]))
