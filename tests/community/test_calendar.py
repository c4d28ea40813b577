"""Local days as slots, where calendars and clocks are unusual."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from commonwatt.community.calendar import local_days, local_midnight
from commonwatt.community.toml import parse
from commonwatt.errors import ConfigError
from commonwatt.exchange.events import gate_of, schedule

GOOD = (Path(__file__).parent / "good.toml").read_text()
LORD_HOWE, APIA = "Australia/Lord_Howe", "Pacific/Apia"


@pytest.mark.parametrize(("first", "days"), [(date(2026, 4, 5), 1), (date(2026, 4, 1), 250)])
def test_a_day_that_is_no_whole_number_of_slots_is_named(first: date, days: int) -> None:
    with pytest.raises(
        ConfigError, match=r"of 60 min does not fit Australia/Lord_Howe: its day 2026-04-05 has 1470 min"
    ):
        local_days(first, days, LORD_HOWE, 3600)
    assert local_days(date(2026, 4, 5), 1, LORD_HOWE, 1800).count == 49


@pytest.mark.parametrize(("first", "days"), [(date(2011, 12, 30), 1), (date(2011, 12, 29), 3)])
def test_a_day_that_the_calendar_left_out_is_named(first: date, days: int) -> None:
    with pytest.raises(ConfigError, match="calendar of Pacific/Apia has no day 2011-12-30"):
        local_days(first, days, APIA)


def test_the_gate_of_the_day_after_it_closes_on_the_day_that_was() -> None:
    community = parse(GOOD.replace("Europe/Berlin", APIA), "x")
    gate = gate_of(community, date(2011, 12, 31))
    assert datetime.fromtimestamp(gate, ZoneInfo(APIA)) == datetime(2011, 12, 29, 12, tzinfo=ZoneInfo(APIA))
    assert gate < local_midnight(date(2011, 12, 31), APIA)
    assert schedule(community, date(2011, 12, 31), 1)[0].at == gate


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 3, 30), date(2026, 10, 26), date(2026, 6, 15)])
def test_the_gate_closes_at_its_local_time_on_the_day_before(day: date) -> None:
    before = datetime.combine(day - timedelta(days=1), time(12), ZoneInfo("Europe/Berlin"))
    assert gate_of(parse(GOOD, "x"), day) == int(before.timestamp())
