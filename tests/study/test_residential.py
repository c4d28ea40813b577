"""Paper 001's study, on a few of its homes; in a plain run of its summer alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from ledger_cases import SOAK
from rich.console import Console

from commonwatt.errors import ConfigError
from commonwatt.exchange.checking import load
from commonwatt.exchange.rules import Rules
from commonwatt.simulation import world
from commonwatt.simulation.hindsight import Hindsight
from commonwatt.study.residential.claims import claims
from commonwatt.study.residential.page import VERDICTS, as_json, page, render
from commonwatt.study.residential.study import (
    BASELINE,
    HINDSIGHT,
    LAST_WEEK,
    NO_PUMPS,
    PUMPS,
    SEASONS,
    STRATEGIES,
    Residential,
    run,
    scenarios,
    study,
)

CASE = Path(str(files("commonwatt.study"))) / "cases" / "residential.toml"
HOMES = (0, 2, 3, 6, 8)
"""Of the neighbourhood: with and without PV, battery and heat pump."""
WANTED = tuple(each for each in scenarios() if SOAK or each.season == "summer")


@pytest.fixture(scope="module")
def found() -> Residential:
    community = load(CASE)
    members = tuple(replace(community.members[home], index=place) for place, home in enumerate(HOMES))
    return study(replace(community, members=members), CASE.parent, WANTED, 1)


def test_every_scenario_is_run_and_proves_itself(found: Residential) -> None:
    assert set(found.runs) == set(WANTED)
    assert all(run.proofs_hold and run.converged == run.days for run in found.runs.values())


def test_nobody_trades_in_the_baseline(found: Residential) -> None:
    for case in found.cases():
        base = found.run(*case, BASELINE)
        assert base.ahead.sum() == base.after.sum() == 0
        assert base.price is None


def test_in_hindsight_no_home_loses_and_the_utility_sees_less(found: Residential) -> None:
    # Up to the rounding of Wh: a micro-unit for each of the day's slots and a Wh at the utility's price.
    for season in found.seasons():
        for heating in (PUMPS, NO_PUMPS):
            base = found.run(season, heating, HINDSIGHT, BASELINE)
            for strategy in STRATEGIES:
                with_market = found.run(season, heating, HINDSIGHT, strategy)
                assert (with_market.cost <= base.cost + 0.002).all()
                assert with_market.interaction.sum() <= base.interaction.sum() + 0.01


def test_summer_trades_between_the_prices_of_the_utility(found: Residential) -> None:
    for forecast in (HINDSIGHT, LAST_WEEK):
        for strategy in STRATEGIES:
            run = found.run("summer", PUMPS, forecast, strategy)
            assert run.ahead.sum() > 1
            assert run.price is not None
            assert 0.08 <= run.price <= 0.32
            assert run.energy_by_hour.sum() == pytest.approx(run.ahead.sum())


def test_a_stronger_distaste_trades_no_more(found: Residential) -> None:
    for strategy in STRATEGIES:
        traded = [found.run("summer", PUMPS, HINDSIGHT, strategy, share).ahead.sum() for share in (0, 3)]
        # Within the gap that each market is certified to.
        assert traded[1] <= traded[0] * 1.02


def test_claims_say_what_the_figures_say(found: Residential) -> None:
    for claim in claims(found):
        if claim.name == "T1":
            season, heating, forecast, strategy = claim.case.split(", ")
            base = found.run(season, heating, forecast, BASELINE)
            more = found.run(season, heating, forecast, strategy).cost - base.cost
            assert claim.holds == bool((more <= 5e-7).all())
            losers = [found.community.members[home].id for home in np.flatnonzero(more > 5e-7)]
            assert all(name in claim.found for name in losers)
    assert {claim.name for claim in claims(found)} == {"T1", "T2", "T3", "T4", "T5", "T6"}


def test_screen_json_and_page_show_the_same(found: Residential) -> None:
    console = Console(width=120, record=True, file=StringIO())
    console.print(render(found))
    screen, html = console.export_text(), page(found)
    json.dumps(as_json(found), allow_nan=False)
    cost = f"{found.run('summer', PUMPS, HINDSIGHT, 'surplus').cost.sum():.2f}"
    assert cost in screen
    assert f"<td>{cost}</td>" in html
    assert len(html) < 1_000_000
    assert not re.search(r"(src|href)=|nan", html)
    for member in found.community.members:
        assert member.id in html


def test_hindsight_sees_what_comes_and_errs_as_much_as_told() -> None:
    community = load(CASE)
    truth = world.build(Rules.of(community, CASE.parent, SEASONS["summer"], 1), CASE.parent, 1)
    now = truth.first - 12
    past = replace(truth.slots, count=now)
    horizon = replace(truth.slots, start=truth.slots.start + now * 3600, count=truth.slots.count - now)
    for series in (truth.load, truth.generation):
        seen = Hindsight(truth).predict(series[:, :now], past, horizon, community.timezone)
        assert (seen == series[:, now:]).all()
        rough = Hindsight(truth, error=0.2).predict(series[:, :now], past, horizon, community.timezone)
        home = int(np.argmax(series[:, now:].sum(axis=1)))
        assert rough[home].sum() != seen[home].sum()
        assert rough[home] == pytest.approx(seen[home] * (rough[home].sum() / seen[home].sum()), abs=1)


@pytest.mark.parametrize("days", [0, 29])
def test_days_out_of_range(days: int) -> None:
    with pytest.raises(ConfigError, match="days: is from 1 to 28"):
        run(days)


def test_the_page_shows_what_was_measured() -> None:
    root = Path(__file__).parents[2]
    measured = json.loads((root / "benchmarks" / "results" / "residential.json").read_text(encoding="utf-8"))
    text = (root / "docs" / "studies" / "residential.md").read_text(encoding="utf-8")
    shown = {
        name: [
            [cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if "---" not in line
        ]
        for name, block in re.findall(r"<!-- begin (\w+) -->\n(.*?)<!-- end -->", text, re.DOTALL)
    }
    verdicts = [[c["name"], c["case"], VERDICTS[c["holds"]], c["found"]] for c in measured["claims"]]
    assert shown == {**measured["tables"], "claims": [["", "case", "verdict", "what came out"], *verdicts]}
