"""The rule that maps days of any year onto a profile year, and slots onto its rows."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.community.calendar import Slots, local_days
from commonwatt.data.year import ProfileYear

CALENDAR_2016 = ProfileYear(date(2016, 1, 1), 366, 900, frozenset({date(2016, 3, 27), date(2016, 10, 30)}))
AUGUST_TO_JULY = ProfileYear(date(2016, 8, 1), 365, 3600, frozenset({date(2016, 11, 6), date(2017, 3, 12)}))
YEARS = pytest.mark.parametrize("year", [CALENDAR_2016, AUGUST_TO_JULY], ids=["2016", "2016/17"])

CLOCKS_CHANGE = [date(2026, 3, 8), date(2026, 3, 29), date(2026, 4, 5), date(2026, 10, 4), date(2026, 10, 25)]
"""In California, Berlin and on Lord Howe Island, there by half an hour."""

days = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@pytest.mark.parametrize(
    ("day", "like"),
    [
        (date(2016, 6, 15), date(2016, 6, 15)),  # itself
        (date(2026, 6, 15), date(2016, 6, 13)),  # a Monday, two days back rather than five on
        (date(2026, 1, 1), date(2016, 1, 7)),  # the Thursday before lies in 2015
        (date(2027, 12, 31), date(2016, 12, 30)),  # a Friday, one day back
        (date(2023, 12, 31), date(2016, 12, 25)),  # the Sunday after lies in 2017
        (date(2016, 3, 27), date(2016, 3, 20)),  # clocks changed; the Sundays around are equally near
        (date(2024, 2, 29), date(2016, 3, 3)),
    ],
)
def test_the_nearest_complete_day_with_the_same_weekday_stands_for_a_day(day: date, like: date) -> None:
    assert CALENDAR_2016.day_like(day) == like


def test_a_leap_day_counts_as_28_february_in_a_year_without_one() -> None:
    assert AUGUST_TO_JULY.day_like(date(2024, 2, 29)) == date(2017, 3, 2)


def test_a_profile_year_may_begin_in_august() -> None:
    assert AUGUST_TO_JULY.day_like(date(2026, 8, 1)) == date(2016, 8, 6)
    assert AUGUST_TO_JULY.day_like(date(2026, 7, 31)) == date(2017, 7, 28)
    assert AUGUST_TO_JULY.last == date(2017, 7, 31)


@YEARS
@given(day=days)
def test_no_other_complete_day_is_nearer(year: ProfileYear, day: date) -> None:
    like = year.day_like(day)
    everything = [year.first + timedelta(days=number) for number in range(year.days)]
    month_day = (2, 28) if (day.month, day.day) == (2, 29) and year is AUGUST_TO_JULY else (day.month, day.day)
    same = next(d for d in everything if (d.month, d.day) == month_day)
    allowed = [d for d in everything if d.weekday() == day.weekday() and d not in year.incomplete]

    assert like in allowed
    assert all((abs(d - same), d) >= (abs(like - same), like) for d in allowed)


@YEARS
@given(day=days)
def test_an_ordinary_day_reads_each_row_of_one_day_once(year: ProfileYear, day: date) -> None:
    rows = year.rows_of(local_days(day, 1, "UTC", year.seconds), "UTC", "wall")

    per_day = 86_400 // year.seconds
    assert rows.ravel().tolist() == list(range(rows[0, 0], rows[0, 0] + per_day))
    assert rows[0, 0] == (year.day_like(day) - year.first).days * per_day


def quarters(day: date, clock: str) -> list[int]:
    """Quarter-hour of the day that each slot of a Berlin day reads."""
    rows = CALENDAR_2016.rows_of(local_days(day, 1, "Europe/Berlin"), "Europe/Berlin", clock)  # type: ignore[arg-type]
    return [int(row) for row in rows[:, 0] % 96]


def test_a_day_of_92_slots_skips_an_hour_of_the_wall_clock() -> None:
    assert quarters(date(2026, 3, 29), "wall") == [*range(8), *range(12, 96)]


def test_a_day_of_100_slots_repeats_an_hour_of_the_wall_clock() -> None:
    assert quarters(date(2026, 10, 25), "wall") == [*range(12), *range(8, 96)]


def test_standard_time_neither_skips_nor_repeats() -> None:
    assert quarters(date(2026, 3, 29), "standard") == list(range(92))
    assert quarters(date(2026, 10, 25), "standard") == [*range(92, 96), *range(96)]
    assert quarters(date(2026, 7, 1), "standard") == [*range(92, 96), *range(92)]


@YEARS
@given(
    day=st.dates(date(2024, 1, 1), date(2030, 12, 31)) | st.sampled_from(CLOCKS_CHANGE),
    minutes=st.sampled_from([5, 6, 10, 12, 15, 20, 30, 60]),
    zone=st.sampled_from(["Europe/Berlin", "America/Los_Angeles", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    clock=st.sampled_from(["wall", "standard"]),
)
def test_energy_does_not_depend_on_the_resolution(
    year: ProfileYear, day: date, minutes: int, zone: str, clock: str
) -> None:
    series = np.random.default_rng(1).random(year.days * 86_400 // year.seconds)
    finest = local_days(day, 1, zone, 60)
    reference = series[year.rows_of(finest, zone, clock)].mean(axis=-1)  # type: ignore[arg-type]

    slots = Slots(finest.start, finest.count // minutes, minutes * 60)
    means = series[year.rows_of(slots, zone, clock)].mean(axis=-1)  # type: ignore[arg-type]

    by_slot = reference[: slots.count * minutes].reshape(slots.count, minutes).mean(axis=-1)
    np.testing.assert_allclose(means, by_slot, rtol=1e-12)
