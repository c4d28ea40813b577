"""What each strategy of ordering earns: the same days and homes, every home once with every strategy.

For k strategies a design is run k times with a population that mixes them: in run r the home of place i plays strategy
(i + r) mod k. So each home plays each strategy once, among the others, and what the strategies earned is of the same
homes on the same days. Once more for each strategy, all homes play it: what it earns among its like. Earned is what a
home pays less than if it met the utility alone; learning begins anew in each run.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from commonwatt.community.model import Community
from commonwatt.errors import ConfigError, Finding, MarketError
from commonwatt.exchange.checking import active_stages
from commonwatt.exchange.loading import load
from commonwatt.exchange.own.code import OwnCode
from commonwatt.report.findings import silent
from commonwatt.simulation.api import Described, first_day
from commonwatt.simulation.result import Result
from commonwatt.study.compare.comparison import BASELINE, ran
from commonwatt.study.compare.designs import Design, designs, names_in
from commonwatt.units import WH_PER_KWH, FloatArray

if TYPE_CHECKING:
    from rich.console import RenderableType

TABLE: Final = "strategies.csv"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Score:
    """What a strategy earned under a design. Money in currency units, energy in kWh.

    mixed : of all homes, each playing it once among the other strategies; mixed_kwh : what they traded with neighbours
    alike, alike_kwh : the same where all homes play it at once
    """

    design: str
    agent: str
    mixed: float
    mixed_kwh: float
    alike: float
    alike_kwh: float

    @property
    def mixed_per_kwh(self) -> float | None:
        """Earned with each traded kWh among the others."""
        return self.mixed / self.mixed_kwh if self.mixed_kwh else None

    @property
    def alike_per_kwh(self) -> float | None:
        """The same among its like."""
        return self.alike / self.alike_kwh if self.alike_kwh else None


@dataclass(frozen=True)
class Strategies:
    """The scores, design by design. notes : what was left out, and homes whose agent failed"""

    community: str
    currency: str
    start: str
    days: int
    homes: int
    scores: tuple[Score, ...]
    notes: tuple[str, ...]


def compare(
    file: Described,
    start: str | date,
    days: int,
    mechanisms: Sequence[str] | str,
    agents: Sequence[str] | str,
    progress: Progress | None = None,
) -> Strategies:
    """Run every design with every strategy.

    mechanisms : "all", or names as in `compare_designs`
    agents : names, or "file.py:NAME" beside the file, in a list or with commas between them
    progress : called with how many designs are done, and of how many
    Raises ConfigError or DataError for what the caller can mend. A design that asks no agent for orders, or cannot run
    here, is left out; when none is left there is nothing to compare, a ConfigError.
    """
    community = load(file)
    folder = community.folder
    first, days, findings = first_day(start, days)
    names = list(dict.fromkeys(name.strip() for name in names_in(agents, "agents")))
    if not names:
        findings.append(Finding("agents", "are needed: names separated by commas"))
    findings += _unknown(names, folder, community.deadline)
    try:
        chosen = designs(community, folder, mechanisms)
    except ConfigError as error:
        raise ConfigError("The request", [*findings, *error.findings]) from None
    if findings:
        raise ConfigError("The request", findings)
    lab = _Laboratory(community, folder, first, days, names)
    obstacles = {design.name: _obstacle(community, folder, design) for design in chosen}
    taken = [design for design in chosen if not obstacles[design.name]]
    if not taken:
        told = [Finding(f"mechanisms {name}", f"{why}; name one such as uniform") for name, why in obstacles.items()]
        raise ConfigError("The request", told)
    notes = [f"left out: {name} {why}" for name, why in obstacles.items() if why]
    with ran(community, folder, first, days, BASELINE) as result:
        lab.alone = result.charges.total
    scores: list[Score] = []
    for number, design in enumerate(taken):
        if progress:
            progress(number, len(taken))
        try:
            scores += lab.scores(design)
        except MarketError as error:
            notes.append(f"left out: {design.name}: {error}")
    return Strategies(
        community.name, community.currency, first.isoformat(), days, len(lab.homes), tuple(scores),
        (*notes, *dict.fromkeys(lab.notes)),
    )  # fmt: skip


def _unknown(names: Sequence[str], folder: Path, deadline: int) -> Iterator[Finding]:
    with OwnCode(folder, deadline) as code:
        for name in names:
            try:
                code.agent(name)
            except MarketError as error:
                told = str(error).removesuffix(".")
                yield Finding(f"agents {name}".strip(), told[:1].lower() + told[1:])


def _obstacle(community: Community, folder: Path, design: Design) -> str:
    """Why no agent is asked for orders under a design, as what follows its name; empty when agents are asked."""
    try:
        ahead, _ = active_stages(replace(community, market=design.stages), folder)
    except MarketError as error:
        return f"cannot run here: {str(error).removesuffix('.')}"
    if not ahead:
        return "takes no orders before delivery"
    return "asks no agent: homes agree over the whole day among themselves" if ahead[0].over_horizon else ""


class _Laboratory:
    """The days on which the strategies meet. homes : index of each member that orders; alone : charges [unit]"""

    alone: Any

    def __init__(self, community: Community, folder: Path, start: date, days: int, names: Sequence[str]) -> None:
        self.community, self.folder, self.start, self.days, self.names = community, folder, start, days, names
        self.homes = [each.index for each in community.members if each.role.trades and not each.owners]
        self.notes: list[str] = []

    def scores(self, design: Design) -> list[Score]:
        """What each strategy earns under a design."""
        count = len(self.names)
        mixed, alike = np.zeros((2, count, 2))
        for turn in range(count):
            plays = {home: (place + turn) % count for place, home in enumerate(self.homes)}
            earned = self._earned(design, plays)
            for home, strategy in plays.items():
                mixed[strategy] += earned[home]
        for strategy in range(count):
            alike[strategy] = self._earned(design, dict.fromkeys(self.homes, strategy))[self.homes].sum(axis=0)
        return [
            Score(design.name, name, *mixed[strategy].tolist(), *alike[strategy].tolist())
            for strategy, name in enumerate(self.names)
        ]

    def _earned(self, design: Design, plays: Mapping[int, int]) -> FloatArray:
        """What each member earned [currency], and what it traded with neighbours [kWh], shape (members, 2)."""
        members = tuple(
            replace(each, agent=self.names[plays[each.index]]) if each.index in plays else each
            for each in self.community.members
        )
        with ran(replace(self.community, members=members), self.folder, self.start, self.days, design) as result:
            self.notes += [f"{design.name}: {told}" for told in (*result.uncleared[:1], *silent(result))]
            saved = (self.alone - result.charges.total) / self.community.per_currency
            return np.column_stack([saved, _traded(result)])


def _traded(result: Result) -> FloatArray:
    traded = np.abs(result.arrays["ahead"]) + np.abs(result.arrays["after"])
    return np.asarray(traded.sum(axis=1) / WH_PER_KWH)


def as_json(found: Strategies) -> dict[str, Any]:
    """The scores as plain JSON."""
    said = asdict(found)
    for score, line in zip(found.scores, said["scores"], strict=True):
        line |= {"mixed_per_kwh": score.mixed_per_kwh, "alike_per_kwh": score.alike_per_kwh}
    return said


def write_csv(found: Strategies, folder: Path) -> Path:
    """Write the scores as CSV into the folder, which is made if need be; returns the file's path. UTF-8."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = as_json(found)["scores"]
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, list(lines[0]) if lines else ["design", "agent"])
        rows.writeheader()
        rows.writerows(lines)
    return folder / TABLE


def table(found: Strategies) -> RenderableType:
    """The scores for the terminal."""
    from rich.table import Table

    from commonwatt.plain import many

    title = f"{found.community}, {many(found.homes, 'home')}, {many(found.days, 'day')} from {found.start}"
    shown = Table(box=None, pad_edge=False, title=f"{title}; earned in {found.currency}", title_justify="left")
    for head in ("design", "agent"):
        shown.add_column(head)
    for head in ("among others", "kWh", "per kWh", "among its like", "kWh", "per kWh"):
        shown.add_column(head, justify="right")
    for each in found.scores:
        money = (each.mixed, each.mixed_kwh, each.mixed_per_kwh), (each.alike, each.alike_kwh, each.alike_per_kwh)
        cells = [
            cell
            for saved, kwh, rate in money
            for cell in (f"{saved:.2f}", f"{kwh:.1f}", "–" if rate is None else f"{rate:.4f}")
        ]
        shown.add_row(each.design, each.agent, *cells)
    return shown
