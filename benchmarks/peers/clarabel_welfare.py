"""Orders as a linear programme with Clarabel: maximise Σ bid·x − Σ ask·y, Σ x = Σ y, nobody beyond its order."""

from __future__ import annotations

from typing import Any

import clarabel
import numpy as np
from _measure import Row, compete
from scipy import sparse


def prepare(rows: list[Row]) -> Any:
    """The solver with the programme in it; energy in kWh, for an interior point is sensitive to scale."""
    buys, wh, limit = np.array(rows, dtype=np.float64).T
    sign, count = np.where(buys > 0, 1.0, -1.0), len(rows)
    every = sparse.identity(count, format="csc")
    matrix = sparse.vstack([sparse.csc_matrix(sign), every, -every], format="csc")
    bounds = np.concatenate([[0.0], wh / 1000, np.zeros(count)])
    cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(2 * count)]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    nothing = sparse.csc_matrix((count, count))
    return clarabel.DefaultSolver(nothing, -sign * limit / 1e6, matrix, bounds, cones, settings)


def run(solver: Any) -> Any:
    """Solve it."""
    return solver.solve()


def read(found: Any, _: int) -> Any:
    """The energy of each order."""
    return (np.array(found.x) * 1000).tolist()


if __name__ == "__main__":
    compete("clarabel", prepare, run, read)
