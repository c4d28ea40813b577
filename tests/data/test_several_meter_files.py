"""Meter files whose times are ends, and several files as one."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.community.calendar import Slots, local_days
from commonwatt.community.model import OwnMeters
from commonwatt.data import read_meter_file, read_meter_files
from commonwatt.data.meterfile import Meters
from commonwatt.errors import DataError
from commonwatt.units import wh_from_kw

BERLIN = "Europe/Berlin"
# The clocks go forward on the first, back on the second.
DAYS = [local_days(date(2026, *day), 1, BERLIN, 3600) for day in ((3, 29), (10, 25), (6, 1))]
DAY = DAYS[2]


def clock(instant: int, style: str = "%d.%m.%Y %H:%M") -> str:
    return datetime.fromtimestamp(instant, ZoneInfo(BERLIN)).strftime(style)


@given(day=st.sampled_from(DAYS), wh=st.lists(st.integers(0, 5000), min_size=24, max_size=24), register=st.booleans())
def test_ends_are_begins_one_interval_later(
    tmp_path_factory: pytest.TempPathFactory, day: Slots, wh: list[int], *, register: bool
) -> None:
    wh = [*[*wh, *wh][: day.count - 1], 0]
    instants = [*day.starts.tolist(), day.end]
    shown = [sum(wh[:place]) for place in range(day.count + 1)]
    path = tmp_path_factory.mktemp("ends") / "m.csv"
    rows = zip(instants, shown, strict=True) if register else zip(instants[1:], wh, strict=True)
    name = "register [Wh]" if register else "a [Wh]"
    path.write_text("\n".join([f"time;{name}", *(f"{clock(end)};{value}" for end, value in rows)]))
    meters = read_meter_file(path, day, BERLIN, labels="end")
    assert wh_from_kw(meters.kw, day.hours)[0].tolist() == wh
    assert Meters.open(path, BERLIN, 3600, labels="end").slots(3600) == day


def test_the_last_hour_before_a_skipped_one_may_end_as_that_begins(tmp_path: Path) -> None:
    day = DAYS[0]
    ends = [clock(start, "%Y-%m-%d ") + f"{int(clock(start, '%H')) + 1:02}:00" for start in day.starts.tolist()]
    assert ends[1] == "2026-03-29 02:00"
    (tmp_path / "m.csv").write_text("\n".join(["time,a [kWh]", *(f"{end},1" for end in ends)]))
    assert read_meter_file(tmp_path / "m.csv", day, BERLIN, labels="end").kw.tolist() == [[1.0] * 23]
    with pytest.raises(DataError, match="skip the time 2026-03-29 02:00"):
        read_meter_file(tmp_path / "m.csv", day, BERLIN)


def written(path: Path, head: str, labels: str = "begin") -> OwnMeters:
    shift = 3600 if labels == "end" else 0
    rows = [f"{clock(start + shift)};{place % 7}" for place, start in enumerate(DAY.starts.tolist())]
    path.write_text("\n".join([head, *rows]))
    return OwnMeters(path.name, labels)  # type: ignore[arg-type]


def test_several_files_are_one(tmp_path: Path) -> None:
    files = [written(tmp_path / "1.csv", "time;a [kWh]"), written(tmp_path / "2.csv", "time;b [kW]", "end")]
    meters = read_meter_files(files, tmp_path, DAY, BERLIN)
    assert (meters.columns, meters.headers) == (("a", "b"), ("a [kWh]", "b [kW]"))
    assert meters.named("a").tolist() == meters.named("b [kW]").tolist() == [place % 7 for place in range(24)]
    assert read_meter_files([], tmp_path, DAY, BERLIN).kw.shape == (0, 24)


def test_a_meter_in_two_files_is_told(tmp_path: Path) -> None:
    files = [written(tmp_path / "1.csv", "time;a [kWh]"), written(tmp_path / "2.csv", "time;a [kW]")]
    with pytest.raises(DataError) as caught:
        read_meter_files(files, tmp_path, DAY, BERLIN)
    assert str(caught.value) == (
        f"{tmp_path / '2.csv'}: the meter 'a' is in {tmp_path / '1.csv'} too; each needs a name of its own."
    )
