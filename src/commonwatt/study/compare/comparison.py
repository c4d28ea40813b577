"""The same days under every market design: one row per design, the same homes, weather, forecasts and devices.

A design of phase *ahead* trades on the day-ahead forecast and settles what is delivered; one of phase *after* shares
what was metered. Nothing else differs between the rows, so what differs in their figures is the design.

Every saving is against one run without any local market, in which each home meets the utility alone and its battery
serves only itself. A design that plans batteries for the neighbourhood is so measured by all that it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from commonwatt.community.model import Community
from commonwatt.errors import ConfigError, MarketError
from commonwatt.exchange.corridor import in_vain
from commonwatt.exchange.loading import load
from commonwatt.exchange.plugins import resolve
from commonwatt.forecast import Forecaster
from commonwatt.plain import many
from commonwatt.report.finished import chosen
from commonwatt.report.html import as_html
from commonwatt.report.metrics import connection_point, local_share, self_consumption, self_sufficiency
from commonwatt.report.svg import Plot
from commonwatt.report.wires import overloads
from commonwatt.simulation.api import Described, first_day
from commonwatt.simulation.result import OWN_PLANTS, Result
from commonwatt.simulation.simulation import Simulation
from commonwatt.study.compare.claims import Claim
from commonwatt.study.compare.designs import Design, designs
from commonwatt.study.compare.indices import Zhou, gini, jain, peak_to_average, possible_gain, zhou
from commonwatt.study.compare.network_use import Wiring, losses_kwh
from commonwatt.units import WH_PER_KWH, FloatArray

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType

BASELINE: Final = Design("utility only", ())
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Row:
    """One design on these days. Money in currency units, energy in kWh, power in kW.

    bill, saved : of all homes; least_saved : of the home that saved least. Against the run without a market
    gap : share of the possible gain that was missed, given what the meters counted (`indices.possible_gain`)
    plan_gap : of a design that plans: cost of its plan over the certified bound, relative, worst day; None otherwise
    local_kwh : between neighbours; price : mean of it [currency/kWh]
    peak_kw : highest import at the connection point
    losses_kwh : in the wires; distance_ohm : mean electrical distance of a traded kWh; both None without a grid
    stored_kwh : in the batteries at the end, more than without a market
    proofs : clearings; checks : all their checks, of which `holding` hold; unsolved : clearings without a plan
    seconds : CPU time of the run [s]
    overloads : what the wires did not carry, in sentences
    saved_by_home : in the community's order; price_by_slot, import_kw_by_slot : None where nothing was traded
    """

    design: str
    phase: str
    bill: float
    saved: float
    least_saved: float
    gap: float | None
    plan_gap: float | None
    local_kwh: float
    trades: int
    price: float | None
    local_share: float | None
    self_consumption: float | None
    self_sufficiency: float | None
    peak_kw: float
    peak_to_average: float | None
    jain: float | None
    gini: float | None
    zhou: Zhou
    losses_kwh: float | None
    distance_ohm: float | None
    stored_kwh: float
    proofs: int
    checks: int
    holding: int
    unsolved: int
    seconds: float
    overloads: tuple[str, ...]
    saved_by_home: tuple[float, ...]
    price_by_slot: tuple[float | None, ...]
    import_kw_by_slot: tuple[float, ...]

    @property
    def proofs_hold(self) -> bool:
        """Whether every check of every clearing holds."""
        return self.checks == self.holding


@dataclass(frozen=True, repr=False)
class Comparison:
    """All rows, the baseline first, and the designs that could not be run here with the reason.

    clock : local time at which each slot starts; wires : name of the grid, if there is one
    ceiling, floor : of a local price in each slot, so that nobody is worse off [currency/kWh]
    claims : a paper's claims beside what came out here, if they were put to the test
    """

    community: str
    currency: str
    start: str
    days: int
    homes: tuple[str, ...]
    clock: tuple[str, ...]
    ceiling: tuple[float, ...]
    floor: tuple[float, ...]
    wires: str | None
    rows: tuple[Row, ...]
    left_out: Mapping[str, str]
    claims: tuple[Claim, ...] = ()

    @property
    def table(self) -> pl.DataFrame:
        """One row per design: all figures of the terminal's table and those of its CSV."""
        from commonwatt.study.compare.table import frame

        return frame(self)

    def plot(self, kind: str = "savings", *, width: float = 960) -> Plot:
        """A plot of the comparison, which a notebook shows.

        kind : "savings" of each home, "bills", "peaks", "prices", "imports", and where the wires are known "losses" and
            "distances"; width : [px]
        Raises ConfigError for another kind.
        """
        from commonwatt.study.compare.plots import PLOTS

        return Plot(chosen(kind, PLOTS, width)(self, width))

    def __rich__(self) -> RenderableType:
        """The table of the shell."""
        from commonwatt.study.compare.table import Screen

        return Screen(self)

    def _repr_html_(self) -> str:
        from commonwatt.study.compare.table import WIDEST

        return as_html(self.__rich__(), WIDEST)

    def __repr__(self) -> str:
        designs = ", ".join(row.design for row in self.rows[1:]) or "none could be run"
        return f"<Comparison {self.community}, {many(self.days, 'day')} from {self.start}: {designs}>"


def compare(
    file: Described,
    start: str | date,
    days: int = 1,
    mechanisms: Sequence[str] | str = "all",
    progress: Progress | None = None,
) -> Comparison:
    """Run every design on the same days of a community.

    mechanisms : "all", or names as in `compare_designs`
    progress : called with how much is done and of how much
    Raises ConfigError or DataError for what the caller can mend; what cannot run in this community is left out.
    """
    community = load(file)
    folder = community.folder
    first, days, asked = _request(community, folder, start, days, mechanisms)
    count = len(asked) + 1
    with ran(community, folder, first, days, BASELINE, _share(progress, 0, count)) as baseline:
        wiring = Wiring.of(community)
        rows, left_out = [row(baseline, baseline, BASELINE, wiring)], {}
        for number, design in enumerate(asked, 1):
            try:
                if told := _in_vain(community, folder, design):
                    raise MarketError(told)
                with ran(community, folder, first, days, design, _share(progress, number, count)) as result:
                    if result.uncleared:
                        raise MarketError(result.uncleared[0])
                    rows.append(row(result, baseline, design, wiring))
            except (ConfigError, MarketError) as error:
                left_out[design.name] = str(error).splitlines()[-1].strip()
        return Comparison(
            community=community.name,
            currency=community.currency,
            start=first.isoformat(),
            days=days,
            homes=tuple(member.id for member in community.members if not member.owners),
            clock=tuple(baseline.slots["local"].dt.strftime("%Y-%m-%dT%H:%M").to_list()),
            ceiling=tuple((baseline.prices.ceiling / community.per_currency).tolist()),
            floor=tuple((baseline.prices.floor / community.per_currency).tolist()),
            wires=community.grid,
            rows=tuple(rows),
            left_out=left_out,
        )


def _request(
    community: Community, folder: Path, start: str | date, days: int, mechanisms: Sequence[str] | str
) -> tuple[date, int, tuple[Design, ...]]:
    """Everything that is wrong with a request is said at once."""
    first, days, findings = first_day(start, days)
    try:
        asked = designs(community, folder, mechanisms)
    except ConfigError as error:
        raise ConfigError("The request", [*findings, *error.findings]) from None
    if findings:
        raise ConfigError("The request", findings)
    return first, days, asked


def _share(progress: Progress | None, number: int, count: int) -> Progress | None:
    """What the run with this number reports of all of them."""
    return progress and (lambda done, total: progress(number * total + done, count * total))


def _in_vain(community: Community, folder: Path, design: Design) -> str:
    """Why a design can trade nothing under the community's tariff; empty when it can. Raises MarketError."""
    found = [in_vain(community, resolve(stage.mechanism, folder), stage.parameters) for stage in design.stages]
    return "; ".join(f"{key}: {told}" for each in found for key, told in each.items())


@contextmanager
def ran(
    community: Community,
    folder: Path,
    start: date,
    days: int,
    design: Design,
    progress: Progress | None = None,
    forecaster: Forecaster | None = None,
) -> Iterator[Result]:
    """These days under one design, in memory and without a ledger."""
    changed = replace(community, market=design.stages)
    simulation = Simulation(changed, folder, start, days, ledger="none", forecaster=forecaster)
    try:
        yield simulation.run(progress)
    finally:
        simulation.close()


def row(result: Result, baseline: Result, design: Design, wiring: Wiring | None) -> Row:
    """The figures of one run. baseline : the same days without a local market."""
    a, alone, trades = result.arrays, baseline.arrays, result.trades
    per_currency = result.community.per_currency
    # A plant of several owners saves nothing itself.
    savings = np.delete(baseline.charges.total - result.charges.total, [each.index for each in result.rules.plants])
    savings = savings / per_currency
    possible, room = possible_gain(a["drawn"], a["fed"], result.prices, per_currency)
    # What a member's registers supplied to each other is shared too, though it is in no trade.
    gained = float((result.books.energy.taken.sum(axis=0) * room).sum())
    traded = float(a["bought"].sum()) / WH_PER_KWH
    imported, _ = connection_point(a["net"])
    kw = imported / (WH_PER_KWH * result.period.hours)
    sufficiency = self_sufficiency(a["load"], a["net"])
    most, _ = possible_gain(alone["drawn"], alone["fed"], result.prices, per_currency)
    clearings, checks, holding = result.proofs
    paid, energy, said = *_by_slot(result), result.diagnostics("ahead")
    return Row(
        design=design.name,
        phase=design.phase,
        bill=sum(result.charges.total.tolist()) / per_currency,
        saved=float(savings.sum()),
        least_saved=float(savings.min()),
        gap=1 - gained / possible if possible else None,
        plan_gap=max((found["gap"] for found in said if "bound" in found), default=None),
        local_kwh=traded,
        trades=int((trades["settled_wh"] > 0).sum()),
        price=round(float(paid.sum() / energy.sum()), 6) if energy.sum() else None,
        local_share=local_share(a["bought"], a["imported"]),
        self_consumption=self_consumption(a["generation"] - a["curtailed"], a["net"]),
        self_sufficiency=sufficiency,
        peak_kw=float(kw.max()),
        peak_to_average=peak_to_average(imported),
        jain=jain(savings),
        gini=gini(savings),
        zhou=zhou(savings, most, alone["imported"] + alone["exported"], a["imported"] + a["exported"], sufficiency),
        losses_kwh=losses_kwh(result),
        distance_ohm=wiring.mean_distance(trades) if wiring else None,
        stored_kwh=_stored(result) - _stored(baseline),
        proofs=clearings,
        checks=checks,
        holding=holding,
        unsolved=sum(found.get("converged") == 0 for found in said),
        seconds=round(sum(result.seconds.values()), 3),
        overloads=tuple(overloads(result)),
        saved_by_home=tuple(savings.tolist()),
        price_by_slot=tuple(
            round(p / e, 6) if e else None for p, e in zip(paid.tolist(), energy.tolist(), strict=True)
        ),
        import_kw_by_slot=tuple(kw.tolist()),
    )


def _by_slot(result: Result) -> tuple[FloatArray, FloatArray]:
    """What was paid between neighbours, and for how much energy, each shape (slots,) [currency], [kWh].

    Without what owners took of their plants, which has no price.
    """
    trades = result.trades.filter(result.trades["stage"] != OWN_PLANTS)
    settled = trades["settled_wh"].to_numpy() / WH_PER_KWH
    seconds = trades["slot"].dt.epoch("s").to_numpy()
    place = (seconds - result.period.start) // result.period.seconds
    count = result.period.count
    paid = np.bincount(place, settled * trades["price"].to_numpy(), count)
    return paid.astype(float), np.bincount(place, settled, count).astype(float)


def _stored(result: Result) -> float:
    """Energy in all batteries at the end [kWh]."""
    return float(result.simulated.soc.sum()) / WH_PER_KWH


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain JSON."""
    found = asdict(comparison)
    for each, line in zip(comparison.rows, found["rows"], strict=True):
        line["zhou"]["overall"] = each.zhou.overall
        line["proofs_hold"] = each.proofs_hold
    return found
