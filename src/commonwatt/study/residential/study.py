"""Paper 001's day-ahead market: one neighbourhood, a week in summer and one in winter, two ways to prefer neighbours.

AlSkaif, Crespo-Vazquez, Sekuloski, van Leeuwen, Catalão, "Blockchain-Based Fully Peer-to-Peer Energy Trading Strategies
for Residential Energy Systems", IEEE Trans. Ind. Inform. 2021. The abstract claims that under both strategies every
home's cost and grid interaction are lower than in the baseline; the rest of the paper could not be read, so the
homes, the prices and the formulas of the preferences are ours (docs/studies/residential.md says which).

Each run is an ordinary simulation: a strategy = `bilateral` the day before, what was not foreseen in the pool `sdr`;
baseline = the same model of a home with the utility alone. Either in hindsight, where forecasts come true and batteries
hold to the plan, as such models assume; or as the product runs, with forecasts of the same hour a week ago and
batteries that hold to what was agreed. The first shows what is the market's doing, the second what is the forecast's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from commonwatt.community.model import Community, Stage
from commonwatt.errors import ConfigError, Finding
from commonwatt.exchange.checking import load
from commonwatt.exchange.rules import Rules
from commonwatt.simulation import world
from commonwatt.simulation.hindsight import Hindsight
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation
from commonwatt.units import WH_PER_KWH, FloatArray, decimal_text

SEASONS: Final = {"summer": date(2026, 6, 15), "winter": date(2026, 1, 12)}
BASELINE: Final = "baseline"
STRATEGIES: Final = ("surplus", "distance")
DESIGNS: Final = (BASELINE, *STRATEGIES)
HINDSIGHT, LAST_WEEK = "hindsight", "last week"
PUMPS, NO_PUMPS = "heat pumps", "no heat pumps"
SHARES: Final = (0, 1, 2, 3)
"""γ_max of the sensitivity, in eighths of the spread between retail and feed-in price; 2 is the mechanism's own."""


@dataclass(frozen=True)
class Scenario:
    """What was run. share : γ_max in eighths of the spread, of a strategy."""

    season: str
    heating: str
    forecast: str
    design: str
    share: int = 2

    @property
    def title(self) -> str:
        """In words."""
        return f"{self.season}, {self.heating}, {self.forecast}"


@dataclass(frozen=True)
class Run:
    """One week. Arrays have shape (homes,); energy in kWh, money in the community's currency.

    cost : what each home owes in all; imported, exported : from and to the utility, each home for itself
    ahead, after : bought from neighbours on the day before, and in the pool
    price : mean price of the kWh settled between neighbours that were agreed the day before; None = none were
    energy_by_hour, price_by_hour : of those trades, shape (24,); not a number where there are none
    import_cost : what the homes together pay the utility for what they take
    converged : days on which the market found a certified plan; proofs_hold : every check of every clearing
    """

    scenario: Scenario
    cost: FloatArray
    imported: FloatArray
    exported: FloatArray
    ahead: FloatArray
    after: FloatArray
    price: float | None
    energy_by_hour: FloatArray
    price_by_hour: FloatArray
    import_cost: float
    converged: int
    days: int
    proofs_hold: bool

    @property
    def interaction(self) -> FloatArray:
        """Energy that passes between each home and the utility in either direction, shape (homes,) [kWh]."""
        return self.imported + self.exported


@dataclass(frozen=True)
class Residential:
    """All runs, by scenario."""

    community: Community
    days: int
    runs: dict[Scenario, Run]

    def run(self, season: str, heating: str, forecast: str, design: str, share: int = 2) -> Run:
        """The run of one scenario."""
        return self.runs[Scenario(season, heating, forecast, design, share)]

    def seasons(self) -> list[str]:
        """Those that were run."""
        return list(dict.fromkeys(season for season, _, _ in self.cases()))

    def cases(self) -> list[tuple[str, str, str]]:
        """(season, heating, forecast) of each comparison of the three designs."""
        return list(dict.fromkeys((s.season, s.heating, s.forecast) for s in self.runs if s.design == BASELINE))


def run(days: int = 7, progress: Callable[[int, int], None] | None = None) -> Residential:
    """Every scenario of `days` days. Raises ConfigError."""
    if not 1 <= days <= 28:
        raise ConfigError("The request", [Finding("days", f"is from 1 to 28, not {days}")])
    with as_file(files("commonwatt.study") / "cases" / "residential.toml") as path:
        return study(load(path), path.parent, tuple(scenarios()), days, progress)


def study(
    community: Community,
    folder: Path,
    wanted: Sequence[Scenario],
    days: int,
    progress: Callable[[int, int], None] | None = None,
) -> Residential:
    """The scenarios with the homes of `community`, whose market day begins with `bilateral`."""
    runs = {}
    for done, scenario in enumerate(wanted, 1):
        runs[scenario] = week(community, folder, scenario, days)
        if progress:
            progress(done, len(wanted))
    return Residential(community, days, runs)


def scenarios() -> Iterator[Scenario]:
    """Three designs for each season, forecast and heating; and γ_max from nothing to three eighths of the spread."""
    for season in SEASONS:
        for forecast, heating in ((HINDSIGHT, PUMPS), (HINDSIGHT, NO_PUMPS), (LAST_WEEK, PUMPS)):
            for design in DESIGNS:
                yield Scenario(season, heating, forecast, design)
    for strategy in STRATEGIES:
        for share in SHARES:
            if share != 2:
                yield Scenario("summer", PUMPS, HINDSIGHT, strategy, share)


def week(community: Community, folder: Path, scenario: Scenario, days: int) -> Run:
    """Run one scenario."""
    members = community.members
    if scenario.heating == NO_PUMPS:
        members = tuple(replace(member, heat_pump=None) for member in members)
    changed = replace(community, members=members, market=tuple(_stages(community, scenario)))
    start = SEASONS[scenario.season]
    forecaster = None
    if scenario.forecast == HINDSIGHT:
        forecaster = Hindsight(world.build(Rules.of(changed, folder, start, days), folder, 1))
    firm = scenario.forecast == HINDSIGHT
    simulation = Simulation(changed, folder, start, days, ledger="none", forecaster=forecaster, firm=firm)
    try:
        return _figures(simulation.run(), scenario, days)
    finally:
        simulation.close()


def _stages(community: Community, scenario: Scenario) -> Iterator[Stage]:
    """The baseline is the same model of a home with a distaste for neighbours beyond any price, and no pool."""
    strategy = STRATEGIES[-1] if scenario.design == BASELINE else scenario.design
    preference = {"preference": strategy}
    if scenario.design == BASELINE:
        preference["gamma_max"] = decimal_text(100 * _spread(community))
    elif scenario.share != 2:
        preference["gamma_max"] = decimal_text(_spread(community) * scenario.share // 8)
    for stage in community.market:
        if stage.gate is not None:
            yield replace(stage, parameters={**stage.parameters, **preference})
        elif scenario.design != BASELINE:
            yield stage


def _spread(community: Community) -> int:
    """Retail less feed-in price, flat in this case [micro-currency/kWh]."""
    tariff = community.tariff
    return community.unit * int(tariff.retail.price - tariff.feed_in.price)  # type: ignore[union-attr]


def _figures(result: Result, scenario: Scenario, days: int) -> Run:
    a, charges, per_currency = result.arrays, result.charges, result.community.per_currency
    trades = result.trades.filter((pl.col("settled_wh") > 0) & (pl.col("phase") == "ahead"))
    hour = trades["slot"].dt.convert_time_zone(result.community.timezone).dt.hour().to_numpy()
    energy = trades["settled_wh"].to_numpy() / WH_PER_KWH
    money = energy * trades["price"].to_numpy()
    by_hour = np.bincount(hour, energy, 24)
    with np.errstate(invalid="ignore"):
        price_by_hour = np.bincount(hour, money, 24) / by_hour
    diagnostics = [found.get("converged", 1) for found in result.diagnostics("ahead")]
    _, checks, holding = result.proofs
    return Run(
        scenario=scenario,
        cost=charges.total / per_currency,
        imported=np.maximum(a["grid"], 0).sum(axis=1) / WH_PER_KWH,
        exported=np.maximum(-a["grid"], 0).sum(axis=1) / WH_PER_KWH,
        ahead=np.maximum(a["ahead"], 0).sum(axis=1) / WH_PER_KWH,
        after=np.maximum(a["after"], 0).sum(axis=1) / WH_PER_KWH,
        price=float(money.sum() / energy.sum()) if len(energy) else None,
        energy_by_hour=by_hour / days,
        price_by_hour=price_by_hour,
        import_cost=sum(charges.energy.tolist()) / per_currency,
        converged=round(sum(diagnostics) / max(len(diagnostics), 1) * days),
        days=days,
        proofs_hold=checks == holding,
    )


def names(community: Community, places: Sequence[int]) -> str:
    """The homes of these places, in words."""
    return ", ".join(community.members[place].id for place in places) or "none"
