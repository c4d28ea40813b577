from dataclasses import replace

import numpy as np
import pytest
from grid_cases import CASES, line_of, read_case
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear

from commonwatt.errors import DataError
from commonwatt.grid.check import EN_50160, Limits, check_grid, curtail

FEEDER = line_of(4)
STATION = read_case(next(folder for folder in CASES if folder.name == "transformer"))[0]
QUIET = np.zeros((4, 1))


def powers(*columns):
    """Shape (buses, slots) from one tuple per slot."""
    return np.array(columns, dtype=float).T


def test_the_worst_of_each_slot_is_named():
    found = check_grid(FEEDER, powers((0, 0, 0, 30), (0, -10, 0, -60), (0, 0, 0, 0)))
    assert found.ok.tolist() == [True, False, True]
    assert (found.v_low_bus[0], found.v_high_bus[0]) == (3, 0)
    assert (found.v_low_bus[1], found.v_high_bus[1], found.line[1]) == (0, 3, 0)
    assert found.v_high[1] == pytest.approx(1.105, abs=0.01)
    assert [str(finding) for finding in found.findings(FEEDER)] == [
        f"slot 1: {found.v_high[1]:.4f} pu at bus 'bus 3', at most 1.1 allowed"
    ]


def test_every_kind_of_violation_is_a_finding():
    thin = replace(FEEDER, lines=replace(FEEDER.lines, max_a=np.array([50.0, 500.0, 500.0])))
    low, line, collapse = check_grid(thin, powers((0, 0, 0, 50), (0, 9e3, 0, 0))).findings(thin)
    assert str(low).startswith("slot 0: 0.8")
    assert str(low).endswith(" pu at bus 'bus 3', at least 0.9 needed")
    assert str(line).startswith("slot 0: line 0 loaded to 1")
    assert str(collapse) == "slot 1: no solution: the voltage would collapse"
    heavy = check_grid(STATION, powers((0, 170.0)), Limits(v_min=0.5))
    assert heavy.findings(STATION)[0].message.startswith("transformer loaded to 1")
    assert heavy.line.tolist() == [-1]
    assert heavy.line_loading.tolist() == [0.0]


def test_a_slot_without_solution_is_not_ok_and_has_no_worst_bus():
    found = check_grid(FEEDER, powers((0, 9e3, 0, 0)))
    assert not found.ok[0]
    assert (found.v_low_bus[0], found.v_high_bus[0], found.line[0]) == (-1, -1, -1)
    assert np.isnan([found.v_low[0], found.line_loading[0], found.transformer_loading[0]]).all()


def test_curtailment_in_closed_form():
    """X = 0, no consumption: V = 1.1 V1 when RP = 1.1 * 0.1 V1^2, so P = 0.11 * 400^2 / 0.1 = 176 kW stays of 220."""
    network = line_of(2, r=0.1, x=0.0, max_a=1e6)
    cut = curtail(network, powers((0, -220), (0, -176.0 + 1e-3)), tolerance=1e-6)
    assert cut.scale[0] == pytest.approx(0.8, abs=1e-6)
    assert cut.scale[1] == 1
    assert cut.p_kw[1, 0] == pytest.approx(-176, abs=3e-4)
    assert cut.after.ok.all()


def test_a_line_and_a_transformer_limit_curtail_too():
    thin = replace(FEEDER, lines=replace(FEEDER.lines, max_a=np.array([50.0, 500.0, 500.0])))
    cut = curtail(thin, powers((0, -60, 0, 0)))
    assert cut.after.line_loading[0] == pytest.approx(1, abs=3e-3)
    cut = curtail(STATION, powers((0, -320.0)), Limits(v_max=2.0))
    assert cut.after.transformer_loading[0] == pytest.approx(1, abs=3e-3)


def test_slots_without_violation_are_untouched():
    p = powers((0, -1, 2, -3), (0, -10, 0, -80), (0, 5, 5, 5))
    cut = curtail(FEEDER, p)
    assert cut.scale[[0, 2]].tolist() == [1, 1]
    assert cut.scale[1] < 1
    assert np.array_equal(cut.p_kw[:, [0, 2]], p[:, [0, 2]])
    assert curtail(FEEDER, QUIET).scale.tolist() == [1]


def test_what_imports_cause_is_reported_and_not_repaired():
    cut = curtail(FEEDER, powers((0, 0, 0, 80), (0, -5, 0, 80), (0, 9e3, 0, 0)))
    assert cut.scale.tolist() == [1, 1, 1]
    assert not cut.after.ok.any()


def test_feed_in_is_curtailed_beside_a_violation_by_imports():
    """Two feeders from one station: one draws too much, the other feeds in too much."""
    fork = replace(
        line_of(3, max_a=1e6),
        lines=replace(line_of(3, max_a=1e6).lines, from_bus=np.array([0, 0]), to_bus=np.array([1, 2])),
    )
    cut = curtail(fork, powers((0, 180, -220), (0, 180, -20)))
    assert cut.after.v_high[0] == pytest.approx(1.1, abs=1e-3)
    assert cut.after.v_high[0] <= 1.1
    assert cut.scale[1] == 1
    assert cut.after.v_low.tolist() == pytest.approx(cut.before.v_low.tolist(), abs=1e-9)
    assert (cut.after.v_low < 0.9).all()


def test_exports_that_change_nothing_are_untouched():
    """The utility's own voltage is too high; a plant at its busbar moves it by no more than the source's stiffness."""
    cut = curtail(replace(FEEDER, slack_pu=1.12), powers((-1000, 0, 0, 0)))
    assert cut.scale.tolist() == [1]
    assert not cut.after.ok[0]


def test_homes_at_one_bus_are_curtailed_by_what_each_exports():
    """One home exports 100 kW, another takes 40: the fraction belongs to the 100, not to the net 60."""
    net, export = powers((0, 0, 0, -60)), powers((0, 0, 0, 100))
    as_homes, as_net = curtail(FEEDER, net, export_kw=export), curtail(FEEDER, net)
    assert 40 - 100 * as_homes.scale[0] == pytest.approx(-60 * as_net.scale[0], abs=0.2)
    assert as_homes.scale[0] > as_net.scale[0]


def test_wrong_arguments_are_refused():
    with pytest.raises(DataError, match="negative"):
        curtail(FEEDER, QUIET, export_kw=QUIET - 1)
    with pytest.raises(DataError, match="not finite"):
        curtail(FEEDER, QUIET, export_kw=QUIET * np.nan)
    with pytest.raises(ValueError, match="shape"):
        curtail(FEEDER, QUIET, export_kw=np.zeros((4, 2)))
    with pytest.raises(ValueError, match="tolerance"):
        curtail(FEEDER, QUIET, tolerance=0.0)
    with pytest.raises(DataError, match="active power at bus 'bus 0' in slot 0"):
        curtail(FEEDER, QUIET * np.nan)


@dear(2)
@given(seed=st.integers(0, 2**32 - 1), buses=st.integers(2, 12))
def test_curtailment_is_feasible_and_the_largest(seed, buses):
    """Feeders without consumption: the result keeps every limit, and one tolerance more would break one."""
    chance, tolerance = np.random.default_rng(seed), 1e-3
    network = line_of(buses, r=chance.uniform(0.01, 0.1), x=chance.uniform(0, 0.1), max_a=chance.uniform(50, 300))
    p = -chance.exponential(40 / buses, (buses, 8))
    cut = curtail(network, p, tolerance=tolerance)
    assert cut.after.ok.all()
    assert np.array_equal(cut.scale == 1, cut.before.ok)
    more = check_grid(network, p * np.minimum(cut.scale + tolerance, 1))
    assert not more.ok[cut.scale < 1].any()
    assert (cut.scale >= 0).all()


def test_the_default_limits_are_the_standard():
    assert Limits(v_min=0.9, v_max=1.1, loading=1.0) == EN_50160
