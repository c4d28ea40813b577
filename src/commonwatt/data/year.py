"""A profile year on the days of any other year. Pure: no files.

The rule
--------
A requested day takes the day of the profile year that

1. lies in the profile year and is complete there (not a day on which the source's clocks changed),
2. has the same day of the week,
3. is nearest to the same day and month (29 February counts as the 28th where the profile year has none),
4. is the earlier one when two are equally near.

So a Monday in June is a Monday in June, at most three days away inside the year, six at its ends and seven where
rule 1 takes a day out. Public holidays are not moved: 1 May is whatever the profile year had near it.

Within the day the *clock* of the series selects the row:

* "wall": what people do follows the wall clock. The hour that the clocks skip is skipped in the series too, the hour
  they repeat is repeated: days of 92 and 100 quarter-hours.
* "standard": the sun and machines without a calendar keep standard time, all year.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from commonwatt.community.calendar import Slots, local_clock, standard_clock
from commonwatt.units import IntArray

Clock = Literal["wall", "standard"]

DAY: Final = 86_400
EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True)
class ProfileYear:
    """A year of regular rows, each stamped with its begin: row 0 is `first` at 00:00.

    first : first day
    days : number of days, at least 365
    seconds : length of a row [s], divides an hour
    incomplete : days on which the source's own clocks changed; no requested day takes them
    """

    first: date
    days: int
    seconds: int
    incomplete: frozenset[date] = frozenset()

    @property
    def last(self) -> date:
        """Last day."""
        return self.first + timedelta(days=self.days - 1)

    def day_like(self, day: date) -> date:
        """The day of this profile year that stands for `day`, by the rule above.

        >>> ProfileYear(date(2016, 1, 1), 366, 900).day_like(date(2026, 6, 15))
        datetime.date(2016, 6, 13)
        """
        same = self._same_date(day)
        next_weekday = same + timedelta(days=(day.weekday() - same.weekday()) % 7)
        near = [next_weekday + timedelta(weeks=weeks) for weeks in (-2, -1, 0, 1)]
        complete = [d for d in near if 0 <= (d - self.first).days < self.days and d not in self.incomplete]
        return min(complete, key=lambda d: (abs((d - same).days), d))

    def _same_date(self, day: date) -> date:
        """The date with the month and day of `day` inside the profile year."""
        starts_later = (day.month, day.day) < (self.first.month, self.first.day)
        year = self.first.year + starts_later
        return date(year, day.month, min(day.day, monthrange(year, day.month)[1]))

    def row_at(self, clock: NDArray[np.datetime64]) -> IntArray:
        """Row that stands for each clock time of `clock`, any shape [datetime64[s]]; same shape."""
        seconds = clock.astype("datetime64[s]").astype(np.int64)
        day_numbers, within = np.divmod(seconds, DAY)
        known, where = np.unique(day_numbers, return_inverse=True)
        first_rows = [
            (self.day_like(EPOCH + timedelta(days=int(number))) - self.first).days * (DAY // self.seconds)
            for number in known
        ]
        rows = np.array(first_rows, dtype=np.int64)[where.reshape(within.shape)]
        return np.asarray(rows + within // self.seconds, dtype=np.int64)

    def rows_of(self, slots: Slots, timezone: str, clock: Clock) -> IntArray:
        """Rows whose plain mean is the mean over each slot, shape (slots.count, parts).

        Slots finer than a row share it, its power spread evenly; coarser ones average several rows.
        """
        reading = local_clock if clock == "wall" else standard_clock
        into_row = reading(slots, timezone).astype(np.int64) % self.seconds
        part = int(np.gcd.reduce([slots.seconds, self.seconds, *np.unique(into_row).tolist()]))
        parts = slots.seconds // part
        fine = Slots(slots.start, slots.count * parts, part)
        return self.row_at(reading(fine, timezone)).reshape(slots.count, parts)
