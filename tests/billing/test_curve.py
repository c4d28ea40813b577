"""The month's curve stays in its frame and is as high as the energy."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.billing.curve import curve
from commonwatt.billing.sheet import Day

FIRST = date(2026, 10, 1)


@st.composite
def months(draw: st.DrawFn) -> list[Day]:
    days = []
    for place in range(draw(st.integers(0, 31))):
        drawn, fed = draw(st.integers(0, 10**9)), draw(st.integers(0, 10**9))
        days.append(Day(FIRST + timedelta(place), drawn, fed, draw(st.integers(0, drawn)), draw(st.integers(0, fed))))
    return days


@given(months())
def test_bars_are_in_the_frame_and_as_high_as_the_energy(days: list[Day]) -> None:
    made = curve(days, 400, 100)
    for bar in made.bars:
        assert bar.x >= 0
        assert bar.x + bar.width <= 400.001
        assert bar.y >= -0.001
        assert bar.y + bar.height <= 100.001
    for y, _ in made.ticks:
        assert -0.001 <= y <= 100.001
    span = max((each.drawn for each in days), default=0) + max((each.fed for each in days), default=0)
    for kind in ("drawn", "bought", "fed", "sold"):
        total = sum(getattr(each, kind) for each in days)
        high = sum(bar.height for bar in made.bars if bar.kind == kind)
        assert high == pytest.approx(100 * total / span if span else 0, rel=1e-9)


def test_ticks_are_round_and_days_are_every_fifth() -> None:
    made = curve([Day(FIRST + timedelta(place), 9000, 2500, 0, 0) for place in range(31)], 400, 100)
    assert [text for _, text in made.ticks] == ["2", "0", "2", "4", "6", "8"]
    assert [text for _, text in made.days] == ["1", "5", "10", "15", "20", "25", "30"]
    assert {bar.kind for bar in made.bars} == {"drawn", "fed"}


def test_a_month_without_energy_is_a_line() -> None:
    made = curve([Day(FIRST, 0, 0, 0, 0)], 400, 100)
    assert (made.bars, made.ticks) == ((), ((100, "0"),))
