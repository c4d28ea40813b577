"""Solve the orders on stdin as a linear programme with HiGHS; seconds and the optimum on stdout, as JSON."""

from __future__ import annotations

import json
import sys
import time

import highspy
import numpy as np


def main() -> None:
    """Maximise Σ bid·x − Σ ask·y with Σ x = Σ y and nobody beyond its order. Building the model is not timed."""
    buys, wh, limit = np.array(json.load(sys.stdin), dtype=np.float64).T
    sign = np.where(buys > 0, 1.0, -1.0)
    solver = highspy.Highs()
    solver.silent()
    solver.addVars(len(wh), np.zeros(len(wh)), wh)
    every = np.arange(len(wh), dtype=np.int32)
    solver.changeColsCost(len(wh), every, sign * limit)
    solver.addRow(0.0, 0.0, len(wh), every, sign)
    solver.changeObjectiveSense(highspy.ObjSense.kMaximize)
    begin = time.process_time()
    solver.run()
    seconds = time.process_time() - begin
    energy = float(np.array(solver.getSolution().col_value)[buys > 0].sum())
    surplus = round(solver.getObjectiveValue()) // 1000
    json.dump({"seconds": seconds, "bought_wh": energy, "sold_wh": energy, "surplus": surplus}, sys.stdout)


if __name__ == "__main__":
    main()
