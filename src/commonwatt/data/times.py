"""Times as files write them, to instants.

    2026-03-01T00:15   2026-03-01 00:15:00.000   2026-03-01T00:15Z   2026-03-01 00:15+01:00   2026-03-01
    01.03.2026 00:15   13/03/2026 00:15          03/13/2026 00:15

* With a zone ("Z", "+01:00") a time is that instant; without, it is the community's wall clock. There an hour that the
  clocks repeat stands twice: the first time is summer time, the second standard time. A time that the clocks skip is
  an error.
* Dates with points have the day first. With slashes or dashes the file itself must show which number is the day: one
  that is above 12.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from commonwatt.errors import DataError
from commonwatt.units import IntArray

_WRITTEN: Final = re.compile(
    r"(?:(?P<year>\d{4})[-/.](?P<month>\d\d)[-/.](?P<day>\d\d)"
    r"|(?P<one>\d{1,2})(?P<mark>[-/.])(?P<other>\d{1,2})(?P=mark)(?P<years>\d{4}))"
    r"(?:(?:T|,? )(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,]\d+)?)?"
    r" ?(?P<zone>Z|UTC|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_YEARS: Final = range(1971, 2200)


@dataclass(frozen=True)
class TimeColumn:
    """The first column of a file, of the times at which intervals begin, or the second, at which they end.

    rows : their numbers in the file
    zone : of times that name none
    """

    path: Path
    rows: Sequence[int]
    zone: ZoneInfo
    ends: bool = False

    def instants(self, column: pl.Series) -> IntArray:
        """Each time of the column, strictly increasing, shape (rows,) [unix s].

        Raises DataError, one sentence that names the file and the row or the time.
        """
        written = column.to_list()
        day_first = _day_first(written)
        instants: list[int] = []
        for row, text in zip(self.rows, written, strict=True):
            time = self._time(row, text, day_first)
            instants.append(self._instant(time, instants))
        return np.array(instants, dtype=np.int64)

    def local(self, instant: int) -> str:
        """The instant on the wall clock."""
        return local(instant, self.zone)

    def _time(self, row: int, written: object, day_first: bool | None) -> datetime:
        if isinstance(written, datetime) and written.year in _YEARS:
            return written
        found = _WRITTEN.fullmatch(str(written))
        if found is None:
            # Words below the first row are more names; a time in another form is none of them.
            words = row == self.rows[0] and not str(written)[:1].isdigit()
            hint = "; the row above it must hold the names of the columns" if words else ""
            said = "nothing" if written is None else f"'{written}'"
            raise self._wrong(row, f"{said}{hint}")
        if found["mark"] in ("/", "-") and day_first is None:
            raise self._wrong(row, f"'{written}', of which the day could be either number")
        if found["hour"] == "24" and not self.ends:
            raise self._wrong(row, f"'{written}', at which an interval ends; write when it begins")
        try:
            return _assembled(found, day_first=day_first is not False or found["mark"] == ".")
        except ValueError:
            raise self._wrong(row, f"'{written}'") from None

    def _wrong(self, row: int, what: str) -> DataError:
        return DataError(
            f"{self.path}: the {'second' if self.ends else 'first'} column must hold times such as 2026-03-01T00:15, "
            f"but row {row} has {what}."
        )

    def _instant(self, time: datetime, before: Sequence[int]) -> int:
        """The instant of `time`, after all those `before`."""
        begin = int(time.timestamp()) if time.tzinfo else int(time.replace(tzinfo=self.zone).timestamp())
        if time.tzinfo is None:
            if self._skipped(time, begin):
                raise DataError(f"{self.path}: the clocks of {self.zone.key} skip the time {time:%Y-%m-%d %H:%M}.")
            if before and begin <= before[-1]:
                begin = int(time.replace(tzinfo=self.zone, fold=1).timestamp())
        if before and begin <= before[-1]:
            what = "stands twice" if begin in before else f"comes after {self.local(before[-1])}"
            raise DataError(f"{self.path}: {self.local(begin)} {what}; sort the rows and keep each time once.")
        return begin

    def _skipped(self, time: datetime, instant: int) -> bool:
        """Whether no clock shows the time; the interval before a skipped hour may be said to end as that begins."""
        shown = [
            datetime.fromtimestamp(instant - early, self.zone).replace(tzinfo=None) for early in range(1 + self.ends)
        ]
        return all(each != time.replace(microsecond=0) - timedelta(seconds=early) for early, each in enumerate(shown))


def is_time(written: object) -> bool:
    """Whether this can be the time of a row."""
    return isinstance(written, date) or (isinstance(written, str) and _WRITTEN.fullmatch(written) is not None)


def is_time_of_day(written: object) -> bool:
    """Whether this is a time without a date, such as 00:15."""
    return isinstance(written, time) or re.fullmatch(r"\d{1,2}:\d\d(:\d\d)?", str(written), re.ASCII) is not None


def run_backwards(written: Sequence[object]) -> bool:
    """Whether the first of these times comes after the last one."""
    found = [_WRITTEN.fullmatch(str(text)) for text in (written[0], written[-1])]
    day_first = _day_first(written) is not False
    try:
        first, last = (
            _assembled(each, day_first=day_first or each["mark"] == ".").replace(tzinfo=None) for each in found if each
        )
    except ValueError:
        return False
    return first > last


def local(instant: int, zone: ZoneInfo) -> str:
    """The instant [unix s] on the wall clock of `zone`, for messages."""
    return datetime.fromtimestamp(instant, zone).strftime("%Y-%m-%d %H:%M %Z")


def _day_first(written: Iterable[object]) -> bool | None:
    """Whether the day stands before the month, by the first number that can be no month; None when there is none."""
    for text in written:
        found = _WRITTEN.fullmatch(str(text))
        if found and found["mark"] in ("/", "-"):
            if int(found["one"]) > 12:
                return True
            if int(found["other"]) > 12:
                return False
    return None


def _assembled(found: re.Match[str], *, day_first: bool) -> datetime:
    """Raises ValueError when there is no such time."""
    year = int(found["year"] or found["years"])
    if year not in _YEARS:
        raise ValueError(year)
    one, other = found["one"], found["other"]
    day, month = (found["day"], found["month"]) if found["year"] else (one, other) if day_first else (other, one)
    hour, minute, second = (int(found[part] or 0) for part in ("hour", "minute", "second"))
    midnight = datetime(year, int(month), int(day))  # noqa: DTZ001  (the zone is put on below, or by the caller)
    if hour == 24 and not (minute or second):
        return midnight + timedelta(days=1)
    time = midnight.replace(hour=hour, minute=minute, second=second)
    if (zone := found["zone"]) is None:
        return time
    return time.replace(tzinfo=UTC if zone in ("Z", "UTC") else datetime.strptime(f"{zone:0<5}", "%z").tzinfo)
