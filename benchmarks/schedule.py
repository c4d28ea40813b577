"""Time of `schedule` to a certified gap of 0.1 % on two feeders, and of Clarabel on the same; JSON on stdout.

The whole clearing, its proof included. Homes are those of the tests, one at each node, over a day of 24 slots, voltages
within 0.95 and 1.05: on the IEEE feeder of 33 buses in the size of each bus's load, on SimBench's semiurb4 as they are.
Clarabel solves the relaxed branch flow with any starts of deferrable loads, its set-up included; what costs more than
its optimum is the certified gap, and starts that can only be whole.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from _measure import show, timed

from commonwatt.market.designs.schedule import SCHEDULE
from commonwatt.market.schedule.input import Dispatch
from commonwatt.simulation.feeders import feeder_named

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from schedule_cases import frame, ieee33, optimum, village

RUNS = 3


def main() -> None:
    """Measure and print."""
    feeders = {"ieee33": ieee33(seed=1, scale=0.9), "simbench:semiurb4": village(feeder_named("simbench:semiurb4")[0])}
    show({"feeders": [measured(name, given) for name, given in feeders.items()]}, "clarabel")


def measured(name: str, given: Dispatch) -> dict[str, Any]:
    """Ours, and centrally."""
    print(name, file=sys.stderr)
    seconds, clearings = timed(lambda: (given,), lambda of: SCHEDULE.clear(frame(given), of), RUNS)
    centrally, (cost, *_) = timed(lambda: given, optimum, RUNS)
    figures = clearings[0].diagnostics
    chosen = ("iterations", "converged", "gap", "gap_with_any_starts", "cost", "bound", "lowest_voltage")
    return {
        "feeder": name,
        "buses": given.feeder.nodes,
        "homes": given.homes.shape[0],
        "slots": given.homes.shape[1],
        "seconds": seconds,
        "proved": all(clearing.proof.holds for clearing in clearings),
        **{key: figures[key] for key in (*chosen, "highest_voltage", "losses_kwh")},
        "centrally": {"seconds": centrally, "cost": cost},
    }


if __name__ == "__main__":
    main()
