"""The same days under every market design: one row per design, the same homes, weather, forecasts and devices.

A design of phase *ahead* trades on the day-ahead forecast and settles what is delivered; one of phase *after* shares
what was metered. Nothing else differs between the rows, so what differs in their figures is the design.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from datetime import time as clock
from pathlib import Path
from typing import Any, Final

import numpy as np

from commonwatt.community.model import Community, Stage
from commonwatt.errors import ConfigError, Finding, MarketError
from commonwatt.exchange.checking import load
from commonwatt.exchange.result import Result
from commonwatt.exchange.simulation import Simulation
from commonwatt.market import MECHANISMS, find
from commonwatt.study.indices import Zhou, gini, jain, peak_to_average, zhou
from commonwatt.study.metrics import connection_point, local_share, self_consumption, self_sufficiency
from commonwatt.units import MICRO, WH_PER_KWH

BASELINE: Final = "utility only"
GATE: Final = clock(12)


@dataclass(frozen=True)
class Row:
    """One design on these days. Money in currency units, energy in kWh, power in kW.

    gap : share of the possible gain that was missed; the possible gain is that of sharing each slot's smaller side
        at the distance between ceiling and floor
    proofs_hold : of all checks of all its clearings
    seconds : CPU time of the run [s]
    """

    design: str
    phase: str
    bill: float
    saved: float
    gap: float | None
    least_saved: float
    local_kwh: float
    trades: int
    local_share: float | None
    self_consumption: float | None
    self_sufficiency: float | None
    peak_kw: float
    peak_to_average: float | None
    jain: float | None
    gini: float | None
    zhou: Zhou
    proofs: int
    proofs_hold: bool
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """All rows, the baseline first, and the designs that could not be run here with the reason."""

    community: str
    currency: str
    start: str
    days: int
    rows: tuple[Row, ...]
    left_out: Mapping[str, str]


def compare(
    file: str | Path,
    start: str | date,
    days: int = 1,
    mechanisms: Sequence[str] | str = "all",
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Run every applicable mechanism on the same days of the community in `file`.

    mechanisms : names, or "all"; a mechanism that the file sets up keeps the file's parameters
    Raises ConfigError for what the caller can mend.
    """
    community, folder = load(file), Path(file).parent
    names = list(MECHANISMS) if mechanisms == "all" else list(mechanisms)
    if days < 1:
        raise ConfigError("The request", [Finding("days", f"is at least 1, not {days}")])
    try:
        first = date.fromisoformat(start) if isinstance(start, str) else start
        for name in names:
            find(name)
    except ValueError:
        raise ConfigError("The request", [Finding("start", f"is a date such as 2026-06-15, not '{start}'")]) from None
    rows, left_out = [_run(community, folder, first, days, ())], {}
    for done, name in enumerate(names, 1):
        try:
            rows.append(_run(community, folder, first, days, _stages(community, name), name))
        except (MarketError, ConfigError) as error:
            left_out[name] = str(error).splitlines()[-1].strip()
        if progress:
            progress(done, len(names))
    return Comparison(community.name, community.currency, first.isoformat(), days, tuple(rows), left_out)


def _stages(community: Community, name: str) -> tuple[Stage, ...]:
    """The market day with this mechanism alone, with the parameters of the file or plain ones."""
    mechanism = find(name)
    given = next((stage.parameters for stage in community.market if stage.mechanism == name), None)
    parameters = given if given is not None else plain_parameters(name)
    problems = mechanism.problems(parameters)
    if problems:
        raise ConfigError(name, [Finding(key, text) for key, text in problems])
    return (Stage(mechanism.phase, name, GATE if mechanism.phase == "ahead" else None, parameters),)


def plain_parameters(name: str) -> dict[str, object]:
    """What a mechanism is compared with when the community's file says nothing: one price halfway."""
    if "share_of_average" in find(name).parameters.model_fields:
        return {"share_of_average": "0.6"}
    return {}


def _run(
    community: Community, folder: Path, start: date, days: int, stages: tuple[Stage, ...], name: str = BASELINE
) -> Row:
    begin = time.process_time()
    simulation = Simulation(replace(community, market=stages), folder, start, days, ledger="none")
    try:
        return row(simulation.run(), name, time.process_time() - begin)
    finally:
        simulation.close()


def row(result: Result, name: str, seconds: float) -> Row:
    """The figures of one run."""
    a, prices = result.arrays, result.prices_micro
    local = a["ahead"] + a["after"]
    savings = (result.charges_without_market.total - result.charges.total) / MICRO
    demand, supply = np.maximum(a["net"], 0).sum(axis=0), np.maximum(-a["net"], 0).sum(axis=0)
    room = np.maximum(prices.ceiling - prices.floor, 0) / (MICRO * WH_PER_KWH)
    possible = float((np.minimum(demand, supply) * room).sum())
    gained = float((np.maximum(local, 0).sum(axis=0) * room).sum())
    imported, _ = connection_point(a["net"])
    sufficiency = self_sufficiency(a["load"], a["net"])
    clearings, checks, holding = result.proofs
    stages = result.community.market
    return Row(
        design=name,
        phase=find(stages[0].mechanism).phase if stages else "",
        bill=float(result.charges.total.sum()) / MICRO,
        saved=float(savings.sum()),
        gap=1 - gained / possible if possible else None,
        least_saved=float(savings.min()),
        local_kwh=float(np.maximum(local, 0).sum()) / WH_PER_KWH,
        trades=int((result.trades["settled_wh"] > 0).sum()),
        local_share=local_share(local, a["grid"]),
        self_consumption=self_consumption(a["generation"] - a["curtailed"], a["net"]),
        self_sufficiency=sufficiency,
        peak_kw=float(imported.max()) / WH_PER_KWH / result.period.hours,
        peak_to_average=peak_to_average(imported),
        jain=jain(savings),
        gini=gini(savings),
        zhou=zhou(savings, possible, a["net"], a["grid"], sufficiency),
        proofs=clearings,
        proofs_hold=checks == holding,
        seconds=round(seconds, 3),
    )


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain JSON."""
    return asdict(comparison)


def render(comparison: Comparison) -> Any:
    """The table for the terminal."""
    from rich.console import Group
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left")
    heads = (
        "design",
        "bill",
        "saved",
        "gap",
        "local kWh",
        "trades",
        "jain",
        "gini",
        "Zhou",
        "least saved",
        "proofs",
        "s",
    )
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left", no_wrap=True)
    for each in comparison.rows:
        table.add_row(
            each.design,
            f"{each.bill:.2f}",
            f"{each.saved:.2f}",
            f"{each.least_saved:.2f}",
            _share(each.gap),
            f"{each.local_kwh:.1f}",
            str(each.trades),
            _figure(each.jain),
            _figure(each.gini),
            f"{each.zhou.overall:.2f}",
            "✓" if each.proofs_hold else "broken",
        )
    head = f"{comparison.community}, {comparison.days} day(s) from {comparison.start}; money in {comparison.currency}"
    head += (
        "\nbill and saved: of all homes; least: of the home that saved least; gap: share of the possible gain missed"
    )
    head += "\nkWh: between neighbours; Zhou: mean of six indices; proof: whether every check of every clearing holds"
    notes = [f"left out: {name}: {reason}" for name, reason in comparison.left_out.items()]
    return Group(head, table, *notes)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
