"""All runs of the study of two communities, as figures, as JSON and on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from commonwatt.errors import ConfigError, Finding
from commonwatt.study.coupling.run import FEE, TICK, Bargain, Run, Trade, bargain
from commonwatt.study.coupling.scenarios import drawn
from commonwatt.study.coupling.sides import Side
from commonwatt.units import WH_PER_KWH

if TYPE_CHECKING:
    from rich.console import RenderableType

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


def as_json(study: Study) -> dict[str, Any]:
    """Everything; money in micro-currency, `moved_a` and `moved_b` by member, the gateway with them."""
    return {
        "seed": study.seed,
        "fee": FEE,
        "halves": study.halves,
        "both": len(study.both),
        "gateway_a": study.paid_in_a,
        "gateway_b": study.paid_in_b,
        "saved_a": sum(run.saved_a for run in study.runs),
        "saved_b": sum(run.saved_b for run in study.runs),
        "runs": [_run(study, number, run) for number, run in enumerate(study.runs, 1)],
    }


def _run(study: Study, number: int, run: Run) -> dict[str, Any]:
    return {
        "run": number,
        "scenario": run.scenario,
        "slot": run.bargain.slot,
        "wh": run.bargain.wh,
        "price_a": run.bargain.price_a,
        "price_b": run.bargain.price_b,
        "final_a": run.final_a,
        "final_b": run.final_b,
        "moved_a": dict(zip(study.names_a, run.moved_a.tolist(), strict=True)),
        "moved_b": dict(zip(study.names_b, run.moved_b.tolist(), strict=True)),
        "gateway_a": run.gateway_a,
        "gateway_b": run.gateway_b,
        "saved_a": run.saved_a,
        "saved_b": run.saved_b,
        "steps": [step.name.lower() for step in run.steps],
    }


def render(study: Study) -> RenderableType:
    """A table of the runs, and what both have of it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("slot")
    table.add_column("scenario", ratio=1)
    for name in ("kWh", "final", "A saves", "B saves", "gateway in A", "in B"):
        table.add_column(name, justify="right")
    for each in study.runs:
        money = (each.saved_a, each.saved_b, each.gateway_a, each.gateway_b)
        figures = [f"{amount / study.per_currency:.3f}" for amount in money]
        ends = "HALF" if each.half else "both" if each.final_a else "neither"
        slot = datetime.fromtimestamp(each.bargain.slot, UTC)
        table.add_row(f"{slot:%d %H:%M}", each.scenario, f"{each.bargain.wh / WH_PER_KWH:.3f}", ends, *figures)
    return Group(table, Text(summary(study)))


def summary(study: Study) -> str:
    """What it all came to."""
    wh = sum(each.bargain.wh for each in study.both)
    saved = [sum(getattr(each, name) for each in study.both) / study.per_currency for name in ("saved_a", "saved_b")]
    return (
        f"Of {len(study.runs)} trades {len(study.both)} became final on both ledgers and "
        f"{len(study.runs) - len(study.both) - study.halves} on neither; {study.halves} were half. "
        f"{wh / WH_PER_KWH:.3f} kWh went from A to B, which saves A's members {saved[0]:.2f} and B's {saved[1]:.2f} "
        f"{study.currency} against their utilities alone."
    )
