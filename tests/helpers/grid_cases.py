"""Reference cases: one folder each, readable by any engine."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from commonwatt.grid.network import Lines, Network, Transformer
from commonwatt.units import FloatArray

CASES = sorted(path for path in (Path(__file__).parents[1] / "grid" / "cases").iterdir() if path.is_dir())


def read_case(folder: Path) -> tuple[Network, FloatArray, FloatArray, dict[str, Any]]:
    """Network, p_kw, q_kvar and what is expected, with tolerances."""
    given = json.loads((folder / "input.json").read_text())
    columns: dict[str, Any] = {
        name: np.array(values, dtype=np.int64 if name.endswith("bus") else np.float64)
        for name, values in given["lines"].items()
    }
    network = Network(
        name=folder.name,
        buses=tuple(given["buses"]),
        kv=np.array(given["kv"]),
        lines=Lines(**columns),
        slack=given["slack"],
        slack_pu=given["slack_pu"],
        transformer=Transformer(**given["transformer"]) if given["transformer"] else None,
    )
    expected = json.loads((folder / "expected.json").read_text())
    return network, np.array(given["p_kw"]), np.array(given["q_kvar"]), expected


def line_of(buses: int, r: float = 0.1, x: float = 0.05, max_a: float = 250.0, kv: float = 0.4) -> Network:
    """A feeder of equal cables one after the other; the first bus is the slack."""
    count = buses - 1
    start = np.arange(count)
    return Network(
        name="feeder",
        buses=tuple(f"bus {bus}" for bus in range(buses)),
        kv=np.full(buses, kv),
        lines=Lines(start, start + 1, np.full(count, r), np.full(count, x), np.full(count, max_a), np.zeros(count)),
        slack=0,
    )
