"""The same days under every design."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_runs import EXAMPLES

from commonwatt.community.synthetic import village
from commonwatt.errors import ConfigError
from commonwatt.market import MECHANISMS, Frame, Positions
from commonwatt.market.optimum import optimum
from commonwatt.simulation.api import simulate
from commonwatt.study.compare.comparison import BASELINE, Comparison, Row, as_json, compare
from commonwatt.study.compare.indices import gini, jain, peak_to_average, zhou
from commonwatt.study.compare.table2_size import SCHEDULE, kind

OWN = """
from commonwatt.market import Mechanism, Outcome, Parameters, Positions

MINE = Mechanism("mine", "after", Positions, Parameters, lambda frame, inputs, _: tuple(Outcome() for _ in inputs), "")
BROKEN = Mechanism("broken", "after", Positions, Parameters, lambda frame, inputs, _: 1 / 0, "")
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("village")
    (folder / "own.py").write_text(OWN, encoding="utf-8")
    file = folder / "village.toml"
    file.write_text(village(12).replace("[community]", '[community]\nslot = "1h"'), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def comparison(file: Path) -> Comparison:
    return compare(file, "2026-06-15", 1)


@pytest.fixture(scope="module")
def wired() -> Comparison:
    """Homes on a grid."""
    return compare(EXAMPLES / "village.toml", "2026-06-15", 1, ["uniform", "sdr", "mid-market"])


def by_name(comparison: Comparison) -> dict[str, Row]:
    return {row.design: row for row in comparison.rows}


def after(comparison: Comparison) -> list[Row]:
    return [row for row in comparison.rows if row.phase == "after"]


def test_every_design_runs_and_proves_itself(comparison: Comparison) -> None:
    asked = {BASELINE.name, "fixed+sdr", *MECHANISMS}
    assert {row.design for row in comparison.rows} == asked - comparison.left_out.keys()
    # Only a design that plans for the wires cannot do without a grid.
    assert all(kind(MECHANISMS[name]) == SCHEDULE for name in comparison.left_out)
    for row in comparison.rows[1:]:
        assert row.proofs >= 24
        assert row.proofs_hold
        assert row.checks > row.proofs
        assert row.unsolved == 0


def test_the_market_day_of_the_file_is_what_simulate_finds(comparison: Comparison, file: Path) -> None:
    result = simulate(file, "2026-06-15", 1, ledger="none")
    row = by_name(comparison)["fixed+sdr"]
    assert row.bill == pytest.approx(result.homes["bill"].sum())
    assert row.saved_by_home == pytest.approx(result.homes["saving"].to_list())
    assert row.phase == "ahead + after"


def test_savings_are_against_the_run_without_a_market(comparison: Comparison) -> None:
    baseline, *designs = comparison.rows
    assert (baseline.saved, baseline.least_saved, set(baseline.saved_by_home)) == (0, 0, {0})
    for row in designs:
        assert row.bill + row.saved == pytest.approx(baseline.bill)
        assert sum(row.saved_by_home) == pytest.approx(row.saved)
        assert min(row.saved_by_home) == row.least_saved
        assert row.jain == pytest.approx(jain(np.array(row.saved_by_home)))


def test_no_home_loses_by_sharing_what_was_metered(comparison: Comparison) -> None:
    for row in after(comparison):
        assert row.least_saved > -1e-3
        assert row.gap is not None
        assert -1e-9 <= row.gap <= 1


def test_what_a_pool_cannot_change_is_the_same_in_every_row(comparison: Comparison) -> None:
    for name in ("self_consumption", "self_sufficiency", "peak_kw", "stored_kwh", "import_kw_by_slot"):
        assert len({getattr(row, name) for row in (comparison.rows[0], *after(comparison))}) == 1


def test_a_pool_after_delivery_misses_nothing_and_a_market_on_a_forecast_something(comparison: Comparison) -> None:
    rows = by_name(comparison)
    assert rows["sdr"].gap == pytest.approx(0, abs=1e-9)
    assert rows["uniform"].gap is not None
    assert rows["uniform"].gap > 0.05
    assert rows[BASELINE.name].gap == 1


def test_the_possible_gain_is_the_central_optimum_of_the_metered_energy(file: Path) -> None:
    result = simulate(file, "2026-06-15", 1, ledger="none")
    prices, net, period = result.prices, result.arrays["net"], result.period
    frame = Frame(period.starts, period.starts, period.hours, len(net), prices.ceiling, prices.floor)
    most, least = np.full(len(net), 10**9), np.full(len(net), -(10**9))
    best = sum(optimum(frame, slot, Positions(net[:, slot], most, least)) for slot in range(period.count))
    saved = sum(by_name(compare(file, "2026-06-15", 1, ["sdr"]))["sdr"].saved_by_home)
    assert saved == pytest.approx(best / 1e9, abs=1e-3)


def test_a_plant_of_several_owners_is_no_home_that_saves_nothing() -> None:
    found = compare(EXAMPLES / "house.toml", "2026-06-15", 1, ["sdr"])
    rows = by_name(found)
    assert found.homes == ("anna", "ben", "carla", "dora", "shop")
    assert rows["sdr"].least_saved > 0.01
    assert rows["sdr"].price is not None
    assert rows["sdr"].price > 0.08
    assert rows[BASELINE.name].price is None  # what owners take has none


def test_without_a_grid_nothing_is_said_of_wires(comparison: Comparison) -> None:
    assert comparison.wires is None
    assert {(row.losses_kwh, row.distance_ohm) for row in comparison.rows} == {(None, None)}


def test_wires_lose_the_same_however_trades_are_paired(wired: Comparison) -> None:
    rows = by_name(wired)
    lost, far = rows[BASELINE.name].losses_kwh, rows["uniform"].distance_ohm
    assert lost is not None
    assert lost > 0
    assert rows["sdr"].losses_kwh == rows["mid-market"].losses_kwh == lost
    assert rows[BASELINE.name].distance_ohm is None
    assert far is not None
    assert 0 < far < 1


def test_prices_are_means_of_what_was_settled(comparison: Comparison) -> None:
    row = by_name(comparison)["mid-market"]
    known = [price for price in row.price_by_slot if price is not None]
    assert len(row.price_by_slot) == len(comparison.clock) == 24
    assert 0 < len(known) < 24
    assert row.price is not None
    assert min(known) <= row.price <= max(known)


def test_a_design_may_have_parameters_come_from_a_file_or_be_a_whole_day(file: Path) -> None:
    names = ["fixed", "fixed:price=0.1", "own.py:MINE", "uniform+mid-market", "fixed"]
    found = compare(file, "2026-06-15", 1, names)
    assert [row.design for row in found.rows] == [BASELINE.name, *names[:4]]
    rows = by_name(found)
    # The file's own price is 0.20, and a mechanism under other parameters has others.
    assert set(rows["fixed"].price_by_slot) == {0.2, None}
    assert set(rows["fixed:price=0.1"].price_by_slot) == {0.1, None}
    assert (rows["own.py:MINE"].trades, rows["own.py:MINE"].gap) == (0, 1)
    both = rows["uniform+mid-market"]
    assert both.gap == pytest.approx(0, abs=1e-9)
    assert both.phase == "ahead + after"


def test_code_of_ones_own_that_fails_leaves_its_design_out(file: Path) -> None:
    found = compare(file, "2026-06-15", 1, ["own.py:BROKEN", "sdr"])
    assert [row.design for row in found.rows] == [BASELINE.name, "sdr"]
    reason = f"{file.parent / 'own.py'} cannot be run: ZeroDivisionError: division by zero (line 5)."
    assert found.left_out == {"own.py:BROKEN": reason}


def test_everything_wrong_with_a_request_is_said_at_once(file: Path) -> None:
    names = ["uniforn", "own.py:NONE", "fixed:price=dear", "sdr+uniform", "sdr"]
    with pytest.raises(ConfigError) as caught:
        compare(file, "June", 0, names)
    said = str(caught.value)
    assert len(caught.value.findings) == 6
    for part in ("did you mean 'uniform'", "no Mechanism called 'NONE'", "price", "must stand before", "is a date",
                 "days: is from 1"):  # fmt: skip
        assert part in said
    with pytest.raises(ConfigError, match="are needed"):
        compare(file, "2026-06-15", 1, [])


def test_json_holds_numbers_only(comparison: Comparison) -> None:
    found = json.loads(json.dumps(as_json(comparison), allow_nan=False))
    assert len(found["homes"]) == len(found["rows"][0]["saved_by_home"]) == 12
    assert found["rows"][1]["zhou"]["overall"] == pytest.approx(comparison.rows[1].zhou.overall)


def test_progress_ends_where_it_said(file: Path) -> None:
    seen: list[tuple[int, int]] = []
    compare(file, "2026-06-15", 1, ["sdr"], lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, 2 * 25 + 1))
    assert {total for _, total in seen} == {2 * 25}


# Savings are whole units of money.
savings = st.integers(0, 10**12).map(lambda units: units / 10**6)


@given(st.lists(savings, min_size=1, max_size=40))
def test_fairness_indices_keep_their_bounds(values: list[float]) -> None:
    x = np.array(values)
    if (found := jain(x)) is not None:
        assert 1 / len(x) - 1e-9 <= found <= 1 + 1e-9
    if (found := gini(x)) is not None:
        assert -1e-9 <= found <= 1 - 1 / len(x) + 1e-9
        n = len(x)
        direct = np.abs(x[:, None] - x[None, :]).sum() / (2 * n * n * x.mean())
        assert found == pytest.approx(direct, abs=1e-6)


def test_equal_savings_are_fair_and_indices_know_their_limits() -> None:
    assert jain(np.ones(4)) == 1
    assert gini(np.ones(4)) == pytest.approx(0)
    assert jain(np.zeros(3)) is None
    assert peak_to_average(np.zeros(3, dtype=np.int64)) is None
    net = np.array([[1000, 0], [-1000, 0]])
    perfect = zhou(np.array([0.1, 0.1]), 0.2, abs(net), np.zeros_like(net), 1.0)
    assert (perfect.value_tapping, perfect.participation, perfect.energy_balance) == (1.0, 1.0, 1.0)
    assert replace(perfect, value_tapping=3.0).overall == perfect.overall
    assert replace(perfect, value_tapping=-3.0).overall == pytest.approx(perfect.overall - 1 / 6)
