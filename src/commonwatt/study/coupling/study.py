"""All runs of the study of two communities, one slot after the other on the same two chains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Final

from commonwatt.errors import ConfigError, Finding
from commonwatt.study.coupling.run import TICK, Bargain, Run, Trade, bargain
from commonwatt.study.coupling.scenarios import drawn
from commonwatt.study.coupling.sides import Side

START: Final = date(2026, 6, 15)
MOST_RUNS: Final = 200
_SLOTS_A_DAY: Final = 20
"""In so many of a summer day's slots one community has something to spare that the other lacks, at least."""


@dataclass(frozen=True)
class Study:
    """The runs, one slot after the other on the same two chains.

    names_a, names_b : of the members; paid_in_a, paid_in_b : by the gateway at the beginning [lane unit]
    per_currency : lane units
    """

    runs: tuple[Run, ...]
    seed: int
    names_a: tuple[str, ...]
    names_b: tuple[str, ...]
    paid_in_a: int
    paid_in_b: int
    currency: str
    per_currency: int

    @property
    def halves(self) -> int:
        """How many runs left one post final and the other not."""
        return sum(run.half for run in self.runs)

    @property
    def both(self) -> list[Run]:
        """The runs in which both posts became final."""
        return [run for run in self.runs if run.final_a and run.final_b]


def run(runs: int = 24, seed: int = 7, progress: Callable[[int, int], None] | None = None) -> Study:
    """Play both communities' days, and then the trades of their slots.

    progress : called with the number of runs done and of all. Raises ConfigError for a number of runs out of range.
    """
    if not 1 <= runs <= MOST_RUNS:
        raise ConfigError("The request", [Finding("runs", f"is from 1 to {MOST_RUNS}, not {runs}")])
    days = -(-runs // _SLOTS_A_DAY)
    with (
        closing(Side("surplus.toml", START, days, surplus=True)) as a,
        closing(Side("deficit.toml", START, days, surplus=False)) as b,
    ):
        paid_in_a, paid_in_b = (int(side.balances()[side.gateway]) for side in (a, b))
        found: list[Run] = []
        for scenario, wanted in zip(drawn(runs, seed), _bargains(a, b), strict=False):
            now = max(a.chain.head.timestamp, b.chain.head.timestamp)
            found.append(Trade(a, b, wanted, scenario, now + TICK).play())
            if progress:
                progress(len(found), runs)
        names, unit = (a.names, b.names), a.community
        return Study(tuple(found), seed, *names, paid_in_a, paid_in_b, unit.currency, unit.per_currency)


def _bargains(a: Side, b: Side) -> Iterator[Bargain]:
    """What there is to trade, slot by slot."""
    for slot in a.exchange.rules.period.starts.tolist():
        if wanted := bargain(a, b, slot):
            yield wanted
