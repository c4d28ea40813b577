"""Time of the bilateral market to a certified gap of 0.1 %, by arrays, compiled and by Clarabel; JSON on stdout.

The whole clearing, its proof included; the compiler's time is left out by a small market before. Homes are those of the
tests: half have PV, three in ten a battery, one day of 24 slots; so is the model for Clarabel, whose time includes
setting it up. It solves the same routes to its own tolerance, and says what the certified cost is worth.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from _measure import REPEAT, show, timed

from commonwatt.market.bilateral.neighbourhood import BilateralParameters
from commonwatt.market.designs.bilateral import BILATERAL

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from bilateral_cases import frame, optimum, village

MARKETS = ((100, "full"), (1000, "nearest"))


def main() -> None:
    """Measure and print."""
    ways = [False, True] if find_spec("numba") else [False]
    if len(ways) > 1:
        market(10, "full", "distance", compiled=True)
    cases = [(homes, graph, preference) for homes, graph in MARKETS for preference in ("distance", "surplus")]
    figures = [market(*case, compiled=compiled) for case in cases for compiled in ways]
    show({"markets": figures, "centrally": [centrally(*case) for case in cases]}, "numba", "clarabel")


def market(homes: int, graph: str, preference: str, *, compiled: bool) -> dict[str, Any]:
    """Ours, to a certified gap of 0.1 %."""
    case = {"homes": homes, "graph": graph, "preference": preference, "compiled": compiled}
    print(case, file=sys.stderr)
    given = village(homes, batteries=0.3)
    parameters = {"graph": graph, "preference": preference, "compiled": compiled}
    seconds, clearings = timed(lambda: (given,), lambda of: BILATERAL.clear(frame(given.homes), of, parameters))
    figures = clearings[0].diagnostics
    return case | {
        "seconds": seconds,
        "trades": sum(len(clearing.trades) for clearing in clearings),
        "proved": all(clearing.proof.holds for clearing in clearings),
        **{name: figures[name] for name in ("routes", "iterations", "gap", "cost", "bound", "converged")},
    }


def centrally(homes: int, graph: str, preference: str) -> dict[str, Any]:
    """The same homes and routes by an interior-point method."""
    given = village(homes, batteries=0.3)
    parameters = BilateralParameters.model_validate({"graph": graph, "preference": preference})
    solve = partial(optimum, given.homes, parameters.routes(given), 1.0)
    print("Clarabel", homes, graph, preference, file=sys.stderr)
    # Once where it takes minutes.
    seconds, cost = timed(lambda: None, lambda _: solve(), REPEAT if homes <= 100 else 1)
    return {"homes": homes, "graph": graph, "preference": preference, "seconds": seconds, "cost": cost}


if __name__ == "__main__":
    main()
