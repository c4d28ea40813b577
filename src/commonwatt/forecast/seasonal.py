"""The forecast that every better one must beat: what happened at the same local time a season ago."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from commonwatt.community.calendar import Slots, local_clock
from commonwatt.errors import DataError
from commonwatt.units import IntArray


class Forecaster(Protocol):
    """Predicts every home's series from its own past, so that a home can run it alone."""

    @property
    def history_days(self) -> int:
        """Days of history that a prediction needs before the horizon's first slot."""
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
    repeated, the first.
    """

    days: int = 7

    @property
    def history_days(self) -> int:
        """One season, and a day more because the horizon ends after tomorrow's last slot."""
        return self.days + 1

    def predict(self, history: IntArray, past: Slots, horizon: Slots, timezone: str) -> IntArray:
        """See `Forecaster`. Raises DataError when the past does not reach back a season."""
        season = np.timedelta64(self.days, "D")
        seen: dict[np.datetime64, int] = {}
        for place, clock in enumerate(local_clock(past, timezone)):
            seen.setdefault(clock, place)
        by_lag = (horizon.starts - self.days * 86_400 - past.start) // past.seconds
        wanted = local_clock(horizon, timezone) - season
        places = np.array([seen.get(clock, lag) for clock, lag in zip(wanted, by_lag.tolist(), strict=True)])
        if len(places) and (places.min() < 0 or places.max() >= past.count):
            raise DataError(f"A forecast from the same time {self.days} days earlier needs that much history.")
        return history[:, places]
