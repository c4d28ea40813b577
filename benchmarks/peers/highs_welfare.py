"""Orders as a linear programme with HiGHS: maximise Σ bid·x − Σ ask·y, Σ x = Σ y, nobody beyond its order."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
from _measure import Row, compete


def prepare(rows: list[Row]) -> Any:
    """The solver with the programme in it."""
    buys, wh, limit = np.array(rows, dtype=np.float64).T
    sign, every = np.where(buys > 0, 1.0, -1.0), np.arange(len(rows), dtype=np.int32)
    solver = highspy.Highs()
    solver.silent()
    solver.addVars(len(wh), np.zeros(len(wh)), wh)
    solver.changeColsCost(len(wh), every, sign * limit)
    solver.addRow(0.0, 0.0, len(wh), every, sign)
    solver.changeObjectiveSense(highspy.ObjSense.kMaximize)
    return solver


def run(solver: Any) -> Any:
    """Solve it."""
    solver.run()
    return solver


def read(solver: Any, _: int) -> Any:
    """The energy of each order."""
    return np.array(solver.getSolution().col_value).tolist()


if __name__ == "__main__":
    compete("highspy", prepare, run, read)
