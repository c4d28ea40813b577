import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grid_cases import CASES, line_of, read_case
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.errors import DataError
from commonwatt.grid.flow import power_flow
from commonwatt.grid.network import Lines


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_reference_case(folder: Path) -> None:
    network, p, q, expected = read_case(folder)
    tolerance = expected.pop("tolerance")
    flow = power_flow(network, p, q)
    assert flow.solved.all()
    for quantity, values in expected.items():
        within = tolerance["loading" if quantity.endswith("loading") else quantity]
        reached = np.array(values).reshape(getattr(flow, quantity).shape)
        np.testing.assert_allclose(getattr(flow, quantity), reached, rtol=0, atol=within, err_msg=quantity)


@given(
    r=st.floats(0.01, 0.5),
    x=st.just(0.0) | st.floats(1e-6, 0.5),
    share=st.floats(-0.9, 0.9),
    angle=st.floats(-1.0, 1.0),
)
def test_two_buses_in_closed_form(r: float, x: float, share: float, angle: float) -> None:
    """V^4 + (2(RP + XQ) - V1^2) V^2 + (R^2 + X^2)(P^2 + Q^2) = 0, upper root, up to 90 % of the collapse."""
    v1, direction = 400.0, np.array([math.cos(angle), math.sin(angle)])
    slope = 2 * (r * direction[0] + x * direction[1])
    steep = 2 * math.hypot(r, x)
    # The discriminant (V1^2 - slope S)^2 - (steep S)^2 is positive below this S.
    s = share * v1**2 / (steep + abs(slope))
    p, q = s * direction
    b = v1**2 - slope * s
    v2 = math.sqrt((b + math.sqrt(b**2 - (steep * s) ** 2)) / 2)
    flow = power_flow(line_of(2, r, x), np.array([[0.0], [p / 1e3]]), np.array([[0.0], [q / 1e3]]))
    assert flow.voltage[1, 0] == pytest.approx(v2 / v1, abs=1e-7)  # near collapse the last step counts more
    assert flow.losses_kw[0] == pytest.approx(r * s**2 / v2**2 / 1e3, rel=1e-6, abs=1e-6)


def test_slot_beyond_collapse_is_not_solved_and_the_others_are() -> None:
    """At unity power factor and X = 0 the cable carries at most V^2 / 4R = 400 kW."""
    flow = power_flow(line_of(2, 0.1, 0.0), np.array([[0.0, 0.0, 0.0], [10.0, 401.0, 10.0]]))
    assert flow.solved.tolist() == [True, False, True]
    assert np.isnan(flow.voltage[:, 1]).all()
    assert np.isnan(flow.losses_kw[1])
    assert flow.voltage[1, 0] == flow.voltage[1, 2]


def test_rows_that_the_engine_never_wrote_are_not_reckoned_with(monkeypatch: pytest.MonkeyPatch) -> None:
    import power_grid_model

    def poisoned(model: Any, **asked: Any) -> Any:
        found = engine(model, **asked)
        for columns in found.values():
            for values in columns.values():
                values[1] = np.where(np.arange(values.shape[1]) % 2, -np.inf, np.inf)
        return found

    engine = power_grid_model.PowerGridModel.calculate_power_flow
    monkeypatch.setattr(power_grid_model.PowerGridModel, "calculate_power_flow", poisoned)
    with np.errstate(all="raise"):
        flow = power_flow(line_of(3), np.array([[0.0, 0.0, 0.0], [1.0, 1e6, 1.0], [1.0, 1e6, 1.0]]))
    assert flow.solved.tolist() == [True, False, True]
    assert np.isnan(flow.losses_kw).tolist() == [False, True, False]


def test_batch_equals_single_slots() -> None:
    network, powers = line_of(6), np.random.default_rng(7).normal(0.0, 4.0, (6, 20))
    batch = power_flow(network, powers)
    for slot in range(20):
        single = power_flow(network, powers[:, [slot]])
        assert np.array_equal(single.voltage[:, 0], batch.voltage[:, slot])


def test_two_homes_on_a_ring_share_the_current() -> None:
    """A ring of three equal cables: two thirds of a home's current come the short way."""
    radial = line_of(3, max_a=100.0)
    ends = {"from_bus": np.array([0, 1, 2]), "to_bus": np.array([1, 2, 0])}
    alike = {name: np.full(3, getattr(radial.lines, name)[0]) for name in ("r_ohm", "x_ohm", "max_a", "c_nf")}
    lines = Lines(**ends, **alike)
    loading = power_flow(replace(radial, lines=lines), np.array([[0.0], [1.0], [0.0]])).line_loading[:, 0]
    assert loading[0] == pytest.approx(2 * loading[1], rel=1e-9)
    assert loading[1] == pytest.approx(loading[2], rel=1e-9)


def test_powers_at_the_end_of_the_floats_are_nothing() -> None:
    flow = power_flow(line_of(2), np.array([[0.0], [40.0]]), np.array([[0.0], [1e-308]]))
    assert flow.solved.all()


def test_no_slots() -> None:
    flow = power_flow(line_of(3), np.zeros((3, 0)))
    assert flow.voltage.shape == (3, 0)
    assert flow.losses_kw.shape == (0,)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("kind", ["active", "reactive"])
def test_what_is_not_finite_is_refused(value: float, kind: str) -> None:
    wrong = np.zeros((3, 4))
    wrong[1, 2] = value
    p, q = (wrong, np.zeros((3, 4))) if kind == "active" else (np.zeros((3, 4)), wrong)
    with pytest.raises(DataError, match=f"The {kind} power at bus 'bus 1' in slot 2"):
        power_flow(line_of(3), p, q)


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match="needs shape \\(3 buses, slots\\), not \\(2, 4\\)"):
        power_flow(line_of(3), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="reactive power \\(3, 5\\)"):
        power_flow(line_of(3), np.zeros((3, 4)), np.zeros((3, 5)))
