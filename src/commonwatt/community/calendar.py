"""Slots of the market day. UTC everywhere; local time only here and at the edges (gates, tariffs, bills).

A local day has 96 quarter-hour slots, 92 on the day when clocks go forward and 100 when they go back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from commonwatt.errors import ConfigError, Finding
from commonwatt.units import IntArray


@dataclass(frozen=True)
class Slots:
    """`count` consecutive market intervals of `seconds` each; the first starts at `start` [unix s, UTC]."""

    start: int
    count: int
    seconds: int = 900

    @property
    def starts(self) -> IntArray:
        """Start of each slot, shape (count,) [unix s]."""
        return self.start + self.seconds * np.arange(self.count, dtype=np.int64)

    @property
    def end(self) -> int:
        """End of the last slot [unix s]."""
        return self.start + self.seconds * self.count

    @property
    def hours(self) -> float:
        """Length of one slot [h]."""
        return self.seconds / 3600


def local_days(first: date, days: int, timezone: str, seconds: int = 900) -> Slots:
    """The slots of `days` local calendar days from `first` in `timezone`.

    Raises ConfigError when one of the days did not exist there or is no whole number of slots.

    >>> local_days(date(2026, 3, 29), 1, "Europe/Berlin").count
    92
    >>> local_days(date(2026, 10, 25), 1, "Europe/Berlin").count
    100
    """
    dates = [first + timedelta(days=number) for number in range(days + 1)]
    midnights = [local_midnight(day, timezone) for day in dates]
    for day, start, end in zip(dates, midnights, midnights[1:], strict=False):
        if start == end:
            raise ConfigError("The request", [Finding("start", f"the calendar of {timezone} has no day {day}")])
        if (end - start) % seconds:
            message = (
                f"of {seconds // 60} min does not fit {timezone}: its day {day} has {(end - start) / 60:g} min, which "
                "is no whole number of slots"
            )
            raise ConfigError("The request", [Finding("community.slot", message)])
    return Slots(midnights[0], (midnights[-1] - midnights[0]) // seconds, seconds)


def days_between(start: int, end: int, timezone: str) -> Iterator[tuple[date, int, int]]:
    """The local days that are between two instants, whole or in part: each with its first instant there and its end.

    >>> [(str(day), until - since) for day, since, until in days_between(1_774_800_000, 1_774_915_200, "Europe/Berlin")]
    [('2026-03-29', 21600), ('2026-03-30', 86400), ('2026-03-31', 7200)]
    """
    zone, at = ZoneInfo(timezone), start
    while at < end:
        day = datetime.fromtimestamp(at, zone).date()
        # Where clocks go back over midnight, a day may have begun before.
        until = min(max(local_midnight(day + timedelta(days=1), timezone), at + 1), end)
        yield day, at, until
        at = until


def local_midnight(day: date, timezone: str) -> int:
    """Start of the local `day` [unix s]."""
    return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)).timestamp())


def local_clock(slots: Slots, timezone: str) -> NDArray[np.datetime64]:
    """Wall-clock time at each slot's start, shape (count,), without zone [datetime64[s]].

    An hour that the clocks skip does not occur; one that they repeat occurs twice.
    """
    zone = ZoneInfo(timezone)
    offsets = [_utc_offset(zone, int(start)) for start in slots.starts]
    return (slots.starts + np.array(offsets, dtype=np.int64)).astype("datetime64[s]")


def standard_clock(slots: Slots, timezone: str) -> NDArray[np.datetime64]:
    """As `local_clock`, without daylight saving time: the clock that the sun keeps, shape (count,)."""
    zone = ZoneInfo(timezone)
    middle = datetime.fromtimestamp(slots.start, UTC)
    january, july = (datetime(middle.year, month, 1, tzinfo=zone).utcoffset() for month in (1, 7))
    standard = min(january or timedelta(0), july or timedelta(0))
    return (slots.starts + int(standard.total_seconds())).astype("datetime64[s]")


def _utc_offset(zone: ZoneInfo, start: int) -> int:
    offset = datetime.fromtimestamp(start, zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0
