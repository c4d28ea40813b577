"""The same days under every design."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.community.synthetic import village
from commonwatt.errors import CommonwattError
from commonwatt.market import MECHANISMS
from commonwatt.study.compare import BASELINE, Comparison, compare
from commonwatt.study.indices import gini, jain, peak_to_average, zhou


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    file = tmp_path_factory.mktemp("village") / "village.toml"
    file.write_text(village(12), encoding="utf-8")
    return compare(file, "2026-06-15", 1)


def test_every_design_runs_and_proves_itself(comparison: Comparison) -> None:
    assert {row.design for row in comparison.rows} == {BASELINE, *MECHANISMS}
    assert comparison.left_out == {}
    for row in comparison.rows[1:]:
        assert row.proofs == 96
        assert row.proofs_hold


def test_no_home_loses_and_money_is_where_energy_is(comparison: Comparison) -> None:
    baseline, *designs = comparison.rows
    assert baseline.saved == 0
    for row in designs:
        assert row.least_saved > -1e-3
        assert row.bill + row.saved == pytest.approx(baseline.bill)
        assert row.gap is not None
        assert -1e-9 <= row.gap <= 1


def test_what_the_market_cannot_change_is_the_same_in_every_row(comparison: Comparison) -> None:
    for name in ("self_consumption", "self_sufficiency", "peak_kw"):
        assert len({getattr(row, name) for row in comparison.rows}) == 1


def test_a_pool_after_delivery_misses_nothing_and_a_market_on_a_forecast_something(comparison: Comparison) -> None:
    gap = {row.design: row.gap for row in comparison.rows}
    assert gap["sdr"] == pytest.approx(0, abs=1e-9)
    assert gap["uniform"] is not None
    assert gap["uniform"] > 0.05


def test_an_unknown_design_or_day_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "village.toml"
    file.write_text(village(3), encoding="utf-8")
    with pytest.raises(CommonwattError, match="did you mean 'uniform'"):
        compare(file, "2026-06-15", 1, ["uniforn"])
    with pytest.raises(CommonwattError, match="is a date"):
        compare(file, "June", 1)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40))
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
    perfect = zhou(np.array([0.1, 0.1]), 0.2, net, np.zeros_like(net), 1.0)
    assert (perfect.value_tapping, perfect.participation, perfect.energy_balance) == (1.0, 1.0, 1.0)
