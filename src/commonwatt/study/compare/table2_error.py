"""What a forecast error does to the bills: the same day with forecasts of known quality."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Final

from commonwatt.community.model import Community
from commonwatt.exchange.rules import Rules
from commonwatt.simulation import world
from commonwatt.simulation.hindsight import Hindsight
from commonwatt.study.compare.comparison import ran
from commonwatt.study.compare.designs import Design

ERRORS: Final = (0.1, 0.3)
SEEDS: Final = (0, 1)


@dataclass(frozen=True)
class Margin:
    """One design. Money in currency units.

    bill : of all homes when everybody knows the day ahead
    more : what they pay more with each of `ERRORS`, each the mean over `SEEDS`; spread : of the largest error
    """

    design: Design
    bill: float
    more: tuple[float, ...]
    spread: float


def margins(
    community: Community, folder: Path, start: date, chosen: Sequence[Design], done: Callable[[], None]
) -> Iterator[Margin]:
    """The margin of each design on the day `start`. done : called after each design"""
    for design in chosen:
        changed = replace(community, market=design.stages)
        known = world.build(Rules.of(changed, folder, start, 1), folder, 1)

        def bill(error: float, seed: int, design: Design = design, known: world.World = known) -> float:
            forecaster = Hindsight(known, error, seed)
            with ran(community, folder, start, 1, design, forecaster=forecaster) as result:
                return float(sum(result.charges.total.tolist()) / community.per_currency)

        least = bill(0.0, 0)
        more = [[bill(error, seed) - least for seed in SEEDS] for error in ERRORS]
        yield Margin(design, least, tuple(map(fmean, more)), max(more[-1]) - min(more[-1]))
        done()
