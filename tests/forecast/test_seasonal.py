"""The forecast from the same local time a week ago, on days of every length."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest

from commonwatt.community.calendar import Slots, local_clock, local_days
from commonwatt.forecast import SeasonalNaive
from commonwatt.units import IntArray

ZONE = "Europe/Berlin"


def clock_values(slots: Slots) -> IntArray:
    """One series that says at each slot what the local clock shows, as day of the year and minute."""
    minutes = local_clock(slots, ZONE).astype("datetime64[m]").astype(np.int64)
    return np.atleast_2d(minutes)


def predicted(day: date, seconds: int = 900, days_before: int = 9) -> tuple[Slots, IntArray]:
    """The forecast at the noon before `day`, for the time from then to the end of the day, of the clock itself."""
    horizon_end = local_days(day, 1, ZONE, seconds)
    noon = horizon_end.start - 12 * 3600
    past = Slots(noon - days_before * 86_400, days_before * 86_400 // seconds, seconds)
    horizon = Slots(noon, (horizon_end.end - noon) // seconds, seconds)
    return horizon, SeasonalNaive().predict(clock_values(past), past, horizon, ZONE)[0]


@pytest.mark.parametrize("day", [date(2026, 6, 15), date(2026, 4, 4), date(2026, 10, 30)])
@pytest.mark.parametrize("seconds", [900, 3600])
def test_the_same_clock_time_a_week_earlier_is_taken_also_over_a_change_of_clocks(day: date, seconds: int) -> None:
    horizon, values = predicted(day, seconds)
    week = 7 * 1440
    assert (clock_values(horizon)[0] - values == week).all()


def test_an_hour_that_the_clocks_repeat_takes_the_same_hour_twice() -> None:
    horizon, values = predicted(date(2026, 10, 25))
    assert (clock_values(horizon)[0] - values == 7 * 1440).all()
    hours = values % 1440 // 60
    assert (hours[-100:] == 2).sum() == 8


def test_an_hour_that_the_clocks_skip_is_not_asked_for() -> None:
    horizon, values = predicted(date(2026, 3, 29))
    assert horizon.count == 48 + 92
    assert (clock_values(horizon)[0] - values == 7 * 1440).all()


def test_for_an_hour_that_was_skipped_a_week_ago_the_slot_168_hours_before_is_taken() -> None:
    horizon, values = predicted(date(2026, 4, 5))
    shown = clock_values(horizon)[0]
    skipped = (shown - values) != 7 * 1440
    assert (shown[skipped] % 1440 // 60 == 2).all()
    assert skipped.sum() == 4
    # 168 hours before 02:00 summer time it was 01:00 winter time.
    assert (values[skipped] % 1440 // 60 == 1).all()


def test_of_an_hour_that_was_repeated_a_week_ago_the_first_is_taken() -> None:
    day = local_days(date(2026, 11, 1), 1, ZONE)
    past = Slots(day.start - 8 * 86_400, 8 * 96 - 48, 900)
    places = np.arange(past.count)[None, :]
    taken = SeasonalNaive().predict(places, past, day, ZONE)[0]
    at_two = (local_clock(day, ZONE) - local_clock(day, ZONE)[0]).astype(int) // 3600 == 2
    instants = past.starts[taken[at_two]]
    assert len(instants) == 4
    # 02:00 summer time on 25 October is 00:00 UTC, winter time an hour later.
    assert instants[0] == np.datetime64("2026-10-25T00:00").astype("datetime64[s]").astype(int)


def test_every_series_is_forecast_from_its_own_past() -> None:
    horizon = local_days(date(2026, 6, 15), 1, ZONE, 3600)
    past = Slots(horizon.start - 8 * 86_400, 8 * 24, 3600)
    history = np.random.default_rng(1).integers(0, 999, (4, past.count))
    together = SeasonalNaive().predict(history, past, horizon, ZONE)
    assert together.shape == (4, 24)
    for home in range(4):
        assert (SeasonalNaive().predict(history[[home]], past, horizon, ZONE)[0] == together[home]).all()
    assert (together == history[:, 24:48]).all()


def test_history_days_are_enough_for_every_gate() -> None:
    forecaster = SeasonalNaive()
    tomorrow = local_days(date(2026, 6, 15), 1, ZONE)
    for hour in (0, 12, 23):  # of the day before, when the gate closes
        gate = tomorrow.start - (24 - hour) * 3600
        past = Slots(gate - forecaster.history_days * 86_400, forecaster.history_days * 96, 900)
        horizon = Slots(gate, (tomorrow.end - gate) // 900, 900)
        assert forecaster.predict(clock_values(past), past, horizon, ZONE).shape == (1, horizon.count)


def test_without_a_whole_season_the_latest_day_stands_in_and_without_any_nothing_is_expected() -> None:
    """Six hours of 12 June, then the 13th until noon, when the gate closes."""
    begin, gate = (int(datetime(2026, 6, day, hour, tzinfo=UTC).timestamp()) for day, hour in ((12, 18), (13, 12)))
    past, horizon = Slots(begin, 18, 3600), Slots(gate, 36, 3600)
    known = np.arange(1, 19)[None, :]
    found = SeasonalNaive().predict(known, past, horizon, "UTC")
    afternoon, evening, morning = [0] * 6, [1, 2, 3, 4, 5, 6], list(range(7, 19))
    assert found.tolist() == [afternoon + evening + morning + afternoon + evening]
    nothing = Slots(gate, 0, 3600)
    assert SeasonalNaive().predict(np.zeros((2, 0), dtype=np.int64), nothing, horizon, ZONE).tolist() == [[0] * 36] * 2


def test_a_season_is_taken_wherever_it_is_known() -> None:
    """Of a past that begins in the middle of the day a week ago, the later half has its season."""
    horizon = local_days(date(2026, 6, 15), 1, ZONE, 3600)
    past = Slots(horizon.start - 7 * 86_400 + 12 * 3600, 7 * 24 - 12, 3600)
    places = np.arange(past.count)[None, :]
    found = SeasonalNaive().predict(places, past, horizon, ZONE)[0]
    assert found.tolist() == [*range(past.count - 24, past.count - 12), *range(12)]


def test_a_season_may_be_a_day() -> None:
    horizon = local_days(date(2026, 6, 15), 1, ZONE, 3600)
    past = Slots(horizon.start - 86_400, 24, 3600)
    assert SeasonalNaive(days=1).history_days == 2
    history = np.arange(24)[None, :]
    assert SeasonalNaive(days=1).predict(history, past, horizon, ZONE).tolist() == history.tolist()
