"""Plots are well-formed SVG, finite, within their frame, and escape every name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from svg_cases import check_svg

from commonwatt.report import svg
from commonwatt.report.homeplots import flows_svg, savings_svg
from commonwatt.report.plots import balance_svg, days_svg, prices_svg
from commonwatt.simulation.result import Result

PLOTS = (balance_svg, days_svg, prices_svg, savings_svg, flows_svg)
RUNS = ("small", "week", "large", "nasty", "silent")


@pytest.fixture(params=RUNS)
def result(request: pytest.FixtureRequest) -> Result:
    """Each of the runs in turn."""
    found: Result = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("width", [960, 360])
def test_every_plot_is_sound(plot: Callable[..., str], width: int, result: Result) -> None:
    check_svg(plot(result, width))


@pytest.mark.parametrize("plot", PLOTS)
def test_on_a_page_a_plot_brings_no_style_of_its_own(plot: Callable[..., str], small: Result) -> None:
    inside = plot(small, standalone=False)
    check_svg(inside)
    assert "<style" not in inside
    assert "<style" in plot(small)


@pytest.mark.parametrize("plot", [savings_svg, flows_svg])
def test_the_larger_homes_keep_their_names(plot: Callable[..., str], small: Result) -> None:
    assert "home-0" in plot(small)


def test_a_large_community_shows_its_smaller_homes_together(large: Result) -> None:
    assert "others</text>" in flows_svg(large, 360)
    assert "80 homes" in savings_svg(large)


def test_the_matrix_holds_all_that_was_delivered(large: Result) -> None:
    cells = re.findall(r"→ [^:]+: ([0-9.]+) kWh", flows_svg(large))
    assert math.isclose(1000 * sum(map(float, cells)), large.trades["settled_wh"].sum())


def test_a_period_of_a_week_is_an_average_day_of_24_hours(week: Result) -> None:
    plot = balance_svg(week)
    assert "average day" in plot
    assert plot.count(">24:00<") == 1


def test_coordinates_are_finite() -> None:
    with pytest.raises(ValueError, match="nan is not a coordinate"):
        svg.number(math.nan)


def test_ticks_are_round_and_hold_zero() -> None:
    ticks = svg.Scale(-67.3, 38.2, 0, 1).ticks(8)
    assert ticks == [-60, -50, -40, -30, -20, -10, 0, 10, 20, 30] or ticks == [-60, -40, -20, 0, 20]
    assert svg.Scale(0, 0, 5, 9)(0) == 5


def test_a_step_line_draws_each_change_once() -> None:
    assert svg.step_line([0, 1, 2, 3], [5, 5, 7]) == "M0 5H2V7H3"
    assert svg.step_area([0, 1], [4], [2]) == "M0 2H1L1 4H0Z"


def test_layers_stack_without_gaps() -> None:
    (low, high), (next_low, next_high) = svg.stack([np.array([1.0, 2.0]), np.array([3.0, 0.0])])
    assert low.tolist() == [0, 0]
    assert high.tolist() == next_low.tolist() == [1, 2]
    assert next_high.tolist() == [4, 2]
