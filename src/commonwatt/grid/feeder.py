"""A radial feeder and what flows in it: branch flow, exactly, for many slots at once.

Node 0 is where the utility holds the voltage; every other node stands for its line to its parent too. With p, q what a
node takes, P, Q what flows into its line, l the squared current and v the squared voltage, all in per unit:

    P = p + Σ_children P + r·l        Q = q + Σ_children Q + x·l
    v = v_parent − 2(r·P + x·Q) + (r² + x²)·l        l·v_parent = P² + Q²

(Baran, Wu 1989; Farivar, Low 2013.) Limits are on the voltage's magnitude, hence on v between their squares. The model
is balanced and leaves out the lines' capacitance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from commonwatt.errors import Finding, MarketError
from commonwatt.units import FloatArray, IntArray

SWEEPS, SETTLED = 200, 1e-13
"""Forward and backward sweeps at most, and the change of a line's loss at which they have settled [pu]."""
LEAST_VOLTAGE, MOST_CURRENT = 0.5, 1e6
"""A slot in which a voltage falls below the one has no solution; squared currents are cut at the other [pu]."""


@dataclass(frozen=True, eq=False)
class Feeder:
    """A tree of nodes; arrays shape (nodes,).

    parent : index of the next node towards the utility; parent[0] is -1
    r, x : of the line to the parent [pu]; at node 0 zero
    base_kva : one per unit of power [kVA]
    low, high : limits of the voltage's magnitude at every node [pu]
    source : voltage at node 0 [pu]
    most : largest current of the line to the parent [pu]; inf = no limit
    """

    parent: IntArray
    r: FloatArray
    x: FloatArray
    base_kva: float
    low: float
    high: float
    source: float
    most: FloatArray

    @classmethod
    def of(
        cls,
        lines: Sequence[tuple[int, int]] | IntArray,
        r_ohm: Any,
        x_ohm: Any,
        *,
        kv: float,
        base_kva: float = 1000.0,
        low: float = 0.95,
        high: float = 1.05,
        source: float = 1.0,
        max_a: Any = np.inf,
    ) -> Feeder:
        """The feeder of these lines.

        lines : pairs of nodes in any order and direction; kv : nominal voltage between phases [kV]
        r_ohm, x_ohm, max_a : shape (lines,) or one for all [ohm, ohm, A]
        Raises MarketError naming the line or node when these make no tree from node 0.

        >>> Feeder.of([(2, 1), (0, 1)], [0.5, 0.2], 0.1, kv=0.4, base_kva=100).parent.tolist()
        [-1, 0, 1]
        """
        ends = np.array(lines, dtype=np.int64).reshape(-1, 2)
        parent, line = _tree(ends)
        ohm = kv**2 * 1e3 / base_kva
        ampere = base_kva / (np.sqrt(3.0) * kv)

        def column(values: Any, unit: float, at_root: float) -> FloatArray:
            given = np.broadcast_to(np.asarray(values, dtype=float), len(ends)) / unit
            return np.concatenate([[at_root], given[line[1:]]])

        most = column(max_a, ampere, np.inf)
        return cls(parent, column(r_ohm, ohm, 0.0), column(x_ohm, ohm, 0.0), base_kva, low, high, source, most)

    @property
    def nodes(self) -> int:
        """How many there are, node 0 included."""
        return len(self.parent)

    def findings(self) -> list[Finding]:
        """What is wrong, naming the line by its outer node; empty when nothing is."""
        count = self.nodes
        if {len(column) for column in (self.r, self.x, self.most)} != {count} or not count or self.parent[0] != -1:
            return [Finding("feeder", "needs a node 0 with parent -1, and r, x and most of every node")]
        found = [
            Finding(f"feeder.{name}[{node}]", message)
            for name, good, message in (
                ("r", np.isfinite(self.r) & (self.r > 0), "is not a number above zero"),
                ("x", np.isfinite(self.x) & (self.x >= 0), "is not a number from 0 on"),
                ("most", self.most > 0, "is not a number above zero"),
            )
            for node in np.flatnonzero(~good).tolist()
            if node
        ]
        if not (np.isfinite(self.base_kva) and self.base_kva > 0):
            found.append(Finding("feeder.base_kva", "is not a number above zero"))
        if not (LEAST_VOLTAGE < self.low < self.high < 2 and LEAST_VOLTAGE < self.source < 2):
            found.append(Finding("feeder.low", "low, high and source are not voltages near 1, low below high"))
        reached = self._reached()
        found += [
            Finding(f"feeder.parent[{node}]", "has no path to node 0") for node in np.flatnonzero(~reached).tolist()
        ]
        return found

    def _reached(self) -> Any:
        inside = (self.parent >= 0) & (self.parent < self.nodes)
        up = np.where(inside, self.parent, 0)
        reached = np.arange(self.nodes) == 0
        for _ in range(self.nodes):
            reached = reached | (inside & reached[up])
        return reached

    @cached_property
    def inward(self) -> IntArray:
        """All nodes but 0, children before parents."""
        depth, node = np.zeros(self.nodes, dtype=np.int64), np.arange(self.nodes)
        while node.any():
            depth += node > 0
            node = np.maximum(self.parent[node], 0)
        return np.lexsort((np.arange(self.nodes), -depth))[:-1]

    @cached_property
    def below(self) -> FloatArray:
        """Shape (nodes, nodes): 1 where the column's node is the row's or beyond it; of node 0 all."""
        below = np.eye(self.nodes)
        for node in self.inward:
            below[self.parent[node]] += below[node]
        return below

    @cached_property
    def drop(self) -> tuple[FloatArray, FloatArray]:
        """By how much p and q of the column's node lower v of the row's, if nothing is lost; shape (nodes, nodes)."""
        by_p, by_q = (2 * self.below.T @ (part[:, None] * self.below) for part in (self.r, self.x))
        return by_p, by_q

    def lossless(self, p: FloatArray, q: FloatArray) -> FloatArray:
        """Squared voltages if nothing is lost, shape (nodes, slots) [pu]: never below those of the flow."""
        by_p, by_q = self.drop
        voltage: FloatArray = self.source**2 - by_p @ p - by_q @ q
        return voltage


def _tree(ends: IntArray) -> tuple[IntArray, IntArray]:
    """Parent of each node and the line that leads to it, -1 at node 0."""
    nodes = int(ends.max(initial=0)) + 1
    if ends.min(initial=0) < 0:
        raise MarketError(f"lines[{int(np.argwhere(ends < 0)[0, 0])}] has an end below zero.")
    neighbours: list[list[tuple[int, int]]] = [[] for _ in range(nodes)]
    for row, (one, other) in enumerate(ends.tolist()):
        neighbours[one].append((other, row))
        neighbours[other].append((one, row))
    parent, line = np.full(nodes, -1), np.full(nodes, -1)
    queue = [0]
    for node in queue:
        for other, row in neighbours[node]:
            if row == line[node]:
                continue
            if other == 0 or line[other] >= 0:
                raise MarketError(f"lines[{row}] closes a loop; a feeder is a tree, so open one line of it.")
            parent[other], line[other] = node, row
            queue.append(other)
    if len(queue) < nodes:
        missing = sorted(set(range(nodes)) - set(queue))
        raise MarketError(f"Node {missing[0]} has no path to node 0.")
    return parent, line


@dataclass(frozen=True, eq=False)
class Flow:
    """What flows when nodes take p and q; arrays shape (nodes, slots) [pu], as at the top; solved : shape (slots,).

    At node 0, P and Q are what comes from the utility. What is not `solved` is nothing.
    """

    P: FloatArray
    Q: FloatArray
    l: FloatArray  # noqa: E741
    v: FloatArray
    solved: np.typing.NDArray[np.bool_]

    def losses(self, feeder: Feeder) -> FloatArray:
        """Of all lines, shape (slots,) [pu]."""
        lost: FloatArray = feeder.r @ self.l
        return lost

    def relief(self, feeder: Feeder, p: FloatArray, q: FloatArray) -> FloatArray:
        """How much losses lower the squared voltages, shape (nodes, slots) [pu] >= 0; p, q : what flows."""
        lowered: FloatArray = np.maximum(feeder.lossless(p, q) - self.v, 0.0)
        return lowered


def flow(feeder: Feeder, p: FloatArray, q: FloatArray) -> Flow:
    """The branch flow by sweeps, currents from the voltages before; p, q : shape (nodes, slots) [pu], taken."""
    below, r, x = feeder.below, feeder.r[:, None], feeder.x[:, None]
    up = np.maximum(feeder.parent, 0)
    current = np.zeros_like(p)
    for _ in range(SWEEPS):
        P, Q = below @ (p + r * current), below @ (q + x * current)
        v = feeder.source**2 - below.T @ (2 * (r * P + x * Q) - (r**2 + x**2) * current)
        before, current = current, np.minimum((P**2 + Q**2) / np.maximum(v[up], LEAST_VOLTAGE**2), MOST_CURRENT)
        current[0] = 0.0
        moved = np.abs(r * (current - before)).max(axis=0, initial=0.0)
        if moved.max(initial=0.0) <= SETTLED:
            break
    solved = (moved <= SETTLED * 1e3) & (v.min(axis=0, initial=1.0) > LEAST_VOLTAGE**2)
    return Flow(P, Q, before, v, solved)


@dataclass(frozen=True, eq=False)
class Slopes:
    """How a flow answers to what nodes take; shape (slots, nodes, nodes), row: what answers, column: the node.

    v, l : of p; v_q, l_q : of q; supply, supply_q : of what comes from the utility, shape (nodes, slots)
    """

    v: FloatArray
    l: FloatArray  # noqa: E741
    supply: FloatArray
    v_q: FloatArray
    l_q: FloatArray
    supply_q: FloatArray


def slopes(feeder: Feeder, at: Flow) -> Slopes:
    """The derivatives of the branch flow, from its equations differentiated."""
    below, count, up = feeder.below, feeder.nodes, np.maximum(feeder.parent, 0)
    r, x = feeder.r[:, None], feeder.x[:, None]
    by_p, by_q = feeder.drop
    by_l = below.T @ (2 * r * (below * feeder.r) + 2 * x * (below * feeder.x)) - below.T * (feeder.r**2 + feeder.x**2)
    P, Q, current, v = (each.T[:, :, None] for each in (at.P, at.Q, at.l, at.v))
    left = v[:, up] * np.eye(count) - current * by_l[up] - 2 * P * (below * feeder.r) - 2 * Q * (below * feeder.x)
    right = np.concatenate([2 * P * below + current * by_p[up], 2 * Q * below + current * by_q[up]], axis=2)
    left[:, 0], right[:, 0] = np.eye(count)[0], 0.0
    moved = np.linalg.solve(left, right)
    l_p, l_q = moved[:, :, :count], moved[:, :, count:]
    supply, supply_q = 1.0 + feeder.r @ l_p, feeder.r @ l_q
    return Slopes(-(by_p + by_l @ l_p), l_p, supply.T, -(by_q + by_l @ l_q), l_q, supply_q.T)
