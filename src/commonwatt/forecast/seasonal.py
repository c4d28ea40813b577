"""The forecast that every better one must beat: what happened at the same local time a season ago."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from commonwatt.community.calendar import Slots, local_clock
from commonwatt.units import IntArray


class Forecaster(Protocol):
    """Predicts every home's series from its own past, so that a home can run it alone."""

    @property
    def history_days(self) -> int:
        """Days of history before the horizon's first slot that a prediction looks at; where there are fewer, it gets
        those that there are."""
        ...

    def predict(self, history: IntArray, past: Slots, horizon: Slots, timezone: str) -> IntArray:
        """The series over the horizon.

        history : shape (series, past.count) [Wh]; returns shape (series, horizon.count) [Wh]
        """
        ...


@dataclass(frozen=True)
class SeasonalNaive:
    """The value at the same local time `days` earlier (7: same weekday).

    For an hour that the clocks skipped then, the value `days` times 24 hours earlier is taken; for one that they
    repeated, the first. Where the past does not reach back so far, the latest day takes that day's place that has a
    value at that time; where none has, 0 is expected.
    """

    days: int = 7

    @property
    def history_days(self) -> int:
        """One season, and a day more because the horizon ends after tomorrow's last slot."""
        return self.days + 1

    def predict(self, history: IntArray, past: Slots, horizon: Slots, timezone: str) -> IntArray:
        """See `Forecaster`."""
        season, shape = np.timedelta64(self.days, "D"), (len(history), horizon.count)
        seen: dict[np.datetime64, int] = {}
        for place, clock in enumerate(local_clock(past, timezone)):
            seen.setdefault(clock, place)
        by_lag = (horizon.starts - self.days * 86_400 - past.start) // past.seconds
        wanted = local_clock(horizon, timezone) - season
        places = np.array([seen.get(clock, lag) for clock, lag in zip(wanted, by_lag.tolist(), strict=True)])
        unknown = (places < 0) | (places >= past.count)
        if not unknown.any():
            return history[:, places]
        days = [np.timedelta64(day, "D") for day in range(1, self.days + 1)]
        for place in np.flatnonzero(unknown).tolist():
            clock = wanted[place] + season
            places[place] = next((seen[clock - day] for day in days if clock - day in seen), -1)
        return np.where(places >= 0, history[:, places], 0) if past.count else np.zeros(shape, dtype=np.int64)
