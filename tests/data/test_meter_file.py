"""The user's own meter files: what is read, and how each fault is reported."""

from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear

from commonwatt.community.calendar import Slots, local_clock, local_days
from commonwatt.data import read_meter_file
from commonwatt.data.timefile import resample
from commonwatt.errors import DataError

BERLIN = "Europe/Berlin"
DAY = local_days(date(2026, 3, 2), 1, BERLIN)


def write(folder: Path, lines: list[str], name: str = "meter.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def quarter_hours(slots: Slots = DAY) -> list[str]:
    """A header and one row for each slot, in local time without a zone."""
    return ["time,home_kwh", *(f"{time},0.1" for time in clock(slots))]


def clock(slots: Slots) -> list[str]:
    return [str(time)[:16] for time in local_clock(slots, BERLIN)]


def test_kw_and_kwh_columns_become_kw(tmp_path: Path) -> None:
    rows = [f"{time},0.25,0.25,1" for time in clock(DAY)]
    path = write(tmp_path, ["timestamp,home1 [kWh],home2_kW,pv [kW]", *rows])

    meters = read_meter_file(path, DAY, BERLIN)

    assert meters.columns == ("home1", "home2", "pv")
    assert meters.kw.shape == (3, 96)
    np.testing.assert_allclose(meters.kw, np.array([[1.0], [0.25], [1.0]]) * np.ones(96), rtol=1e-12)


def test_the_argument_gives_the_unit_of_columns_without_one(tmp_path: Path) -> None:
    path = write(tmp_path, ["time,a,b_kw", *(f"{time},0.25,3" for time in clock(DAY))])

    np.testing.assert_allclose(read_meter_file(path, DAY, BERLIN, unit="kWh").kw[:, 5], [1, 3])
    with pytest.raises(
        DataError,
        match=r"'a' does not end with its unit, W, .* or MWh; rename it 'a \[kWh\]' or 'a \[kW\]', or leave it out\.$",
    ):
        read_meter_file(path, DAY, BERLIN)
    with pytest.raises(DataError, match=r"kWh or MWh, not 'kVA'"):
        read_meter_file(path, DAY, BERLIN, unit="kVA")  # type: ignore[arg-type]


def test_semicolons_allow_decimal_commas(tmp_path: Path) -> None:
    path = write(tmp_path, ["Zeit;Haus_kW", *(f"{time};1,5" for time in clock(DAY))])

    assert read_meter_file(path, DAY, BERLIN).kw[0, 0] == 1.5


def test_parquet_with_and_without_a_zone(tmp_path: Path) -> None:
    local = [datetime.fromisoformat(time) for time in clock(DAY)]
    values = np.arange(96) / 10
    for name, times in (
        ("local", pl.Series(local)),
        ("zoned", pl.Series(local).dt.replace_time_zone(BERLIN)),
        ("utc", pl.Series(local).dt.replace_time_zone(BERLIN).dt.convert_time_zone("UTC")),
    ):
        pl.DataFrame({"time": times, "home_kw": values}).write_parquet(tmp_path / f"{name}.parquet")
        meters = read_meter_file(tmp_path / f"{name}.parquet", DAY, BERLIN)
        np.testing.assert_allclose(meters.kw[0], values, atol=1e-12)


def test_times_with_a_zone_are_instants(tmp_path: Path) -> None:
    utc = [datetime.fromtimestamp(start, ZoneInfo("UTC")) for start in DAY.starts.tolist()]
    path = write(tmp_path, ["time,home_kw", *(f"{t:%Y-%m-%dT%H:%M:%SZ},{n}" for n, t in enumerate(utc))])

    np.testing.assert_allclose(read_meter_file(path, DAY, BERLIN).kw[0], np.arange(96), atol=1e-9)


@pytest.mark.parametrize(("day", "count"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100)])
def test_days_on_which_the_clocks_change_are_read_in_order(tmp_path: Path, day: date, count: int) -> None:
    slots = local_days(day, 1, BERLIN)
    path = write(tmp_path, ["time,home_kw", *(f"{time},{n}" for n, time in enumerate(clock(slots)))])

    np.testing.assert_allclose(read_meter_file(path, slots, BERLIN).kw[0], np.arange(count), atol=1e-9)


def test_the_repeated_hour_given_once_is_summer_time_and_leaves_a_gap(tmp_path: Path) -> None:
    slots = local_days(date(2026, 10, 25), 1, BERLIN)
    once = list(dict.fromkeys(quarter_hours(slots)))

    with pytest.raises(DataError, match=r"'home_kwh' lacks .* 4 of 100 slots, first at 2026-10-25 02:00 CET;"):
        read_meter_file(write(tmp_path, once), slots, BERLIN)


def test_a_time_that_the_clocks_skip_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, ["time,home_kw", "2026-03-29T01:45,1", "2026-03-29T02:00,1"])

    with pytest.raises(DataError, match=r"clocks of Europe/Berlin skip the time 2026-03-29 02:00"):
        read_meter_file(path, local_days(date(2026, 3, 29), 1, BERLIN), BERLIN)


def test_rows_and_faults_outside_the_slots_do_not_matter(tmp_path: Path) -> None:
    three_days = local_days(date(2026, 3, 1), 3, BERLIN)
    rows = quarter_hours(three_days)
    rows[3] = rows[3].replace("0.1", "")
    del rows[250]

    assert read_meter_file(write(tmp_path, rows), DAY, BERLIN).kw.sum() / 4 == pytest.approx(9.6)


@pytest.mark.parametrize("hole", ["row", "", "NaN", " "])
def test_a_gap_names_column_place_and_number_of_slots(tmp_path: Path, hole: str) -> None:
    rows = quarter_hours()
    for row in (41, 42, 61):
        rows[row] = "" if hole == "row" else rows[row].replace("0.1", hole)
    rows = [row for row in rows if row]

    with pytest.raises(DataError, match=r"'home_kwh' lacks .* 3 of 96 slots, first at 2026-03-02 10:00 CET;"):
        read_meter_file(write(tmp_path, rows), DAY, BERLIN)


def test_a_gap_counts_in_slots(tmp_path: Path) -> None:
    rows = quarter_hours()
    del rows[30]

    with pytest.raises(DataError, match=r"1 of 24 slots, first at 2026-03-02 07:00 CET"):
        read_meter_file(write(tmp_path, rows), local_days(date(2026, 3, 2), 1, BERLIN, 3600), BERLIN)


@pytest.mark.parametrize(
    ("first", "count", "message"),
    [
        (date(2026, 3, 1), 3, r"192 of 288 slots, first at 2026-03-01 00:00 CET"),
        (date(2026, 3, 2), 3, r"192 of 288 slots, first at 2026-03-03 00:00 CET"),
        (date(2027, 1, 1), 1, r"96 of 96 slots, first at 2027-01-01 00:00 CET"),
    ],
)
def test_a_file_that_does_not_cover_the_slots(tmp_path: Path, first: date, count: int, message: str) -> None:
    message += r"; the file runs from 2026-03-02 00:00 CET to 2026-03-03 00:00 CET"

    with pytest.raises(DataError, match=message):
        read_meter_file(write(tmp_path, quarter_hours(DAY)), local_days(first, count, BERLIN), BERLIN)


def test_duplicates_and_disorder_are_told_apart(tmp_path: Path) -> None:
    rows = quarter_hours()
    with pytest.raises(DataError, match=r"2026-03-02 02:15 CET stands twice"):
        read_meter_file(write(tmp_path, [*rows[:11], rows[10], *rows[11:]]), DAY, BERLIN)
    with pytest.raises(DataError, match=r"2026-03-02 02:15 CET comes after 2026-03-02 02:30 CET"):
        read_meter_file(write(tmp_path, [*rows[:10], rows[11], rows[10], *rows[12:]]), DAY, BERLIN)


def test_an_hour_that_stands_three_times_is_a_duplicate(tmp_path: Path) -> None:
    slots = local_days(date(2026, 10, 25), 1, BERLIN)
    rows = quarter_hours(slots)

    with pytest.raises(DataError, match=r"2026-10-25 02:00 CET stands twice"):
        read_meter_file(write(tmp_path, [*rows[:17], *rows[13:17], *rows[17:]]), slots, BERLIN)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("-0.2", r"'home_kwh' has '-0.2' at 2026-03-02 01:00 CET, which is negative"),
        ("much", r"'home_kwh' has 'much' at 2026-03-02 01:00 CET, which is not a number"),
        ("inf", r"'home_kwh' has 'inf' at 2026-03-02 01:00 CET, which is not a number"),
        ("250001", r"'home_kwh' has '250001' at 2026-03-02 01:00 CET, which is more than 1000000 kW"),
        ("1e300", r"'home_kwh' has '1e300' at 2026-03-02 01:00 CET, which is more than 1000000 kW"),
    ],
)
def test_values_that_cannot_be_energy(tmp_path: Path, value: str, message: str) -> None:
    rows = quarter_hours()
    rows[3] = rows[3].replace("0.1", "")
    rows[5] = rows[5].replace("0.1", value)

    with pytest.raises(DataError, match=message):
        read_meter_file(write(tmp_path, rows), DAY, BERLIN)


def test_parquet_columns_must_be_numbers(tmp_path: Path) -> None:
    times = [datetime(2026, 3, 2) + timedelta(minutes=15 * n) for n in range(96)]  # noqa: DTZ001
    pl.DataFrame({"time": times, "home_kw": [True] * 96}).write_parquet(tmp_path / "m.parquet")

    with pytest.raises(DataError, match=r"'home_kw' holds Boolean, not numbers"):
        read_meter_file(tmp_path / "m.parquet", DAY, BERLIN)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["time,a_kw", "2026-03-02T00:00,1", "2 March,1"], r"row 3 has '2 March'"),
        (["time,a_kw", ",1", "2026-03-02T00:00,1"], r"row 2 has nothing; the row above it must hold the names"),
        (["time,a_kw", "2026-03-02T00:00,1"], r"at least two rows"),
        (["time", "2026-03-02T00:00", "2026-03-02T00:15"], r"a column per meter"),
        (["time|a_kw", "2026-03-02T00:00|1", "2026-03-02T00:15|1"], r"separated by commas, semicolons or tabulators"),
        (["time,a_kw,a_kwh", "2026-03-02T00:00,1,1", "2026-03-02T00:15,1,1"], r"'a' has 2 columns"),
        (["time,a_kw,a_kw", "2026-03-02T00:00,1,1", "2026-03-02T00:15,1,1"], r"'a' has 2 columns"),
        (["time,a_kw", "2026-03-02T00:00,1,1", "2026-03-02T00:15,1"], r"row 2 has 3 values, but"),
        (
            [
                "time,a_kw",
                *(f"2026-03-02T{time},1" for time in ("00:00", "00:15", "00:30", "00:40", "00:45")),
            ],
            r"rows are 15 min apart, but 2026-03-02 00:40 CET does not fit",
        ),
    ],
)
def test_tables_that_are_no_meter_file(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_meter_file(write(tmp_path, lines), DAY, BERLIN)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv cannot be read: there is no such file"):
        read_meter_file(tmp_path / "nowhere.csv", DAY, BERLIN)
    with pytest.raises(DataError, match=r"neither a \.csv, a \.parquet nor an \.xlsx file"):
        read_meter_file(write(tmp_path, ["x"], "meter.txt"), DAY, BERLIN)
    with pytest.raises(DataError, match=r"meter\.xlsx cannot be read: it is no \.xlsx workbook, or a damaged one"):
        read_meter_file(write(tmp_path, ["x"], "meter.xlsx"), DAY, BERLIN)
    with pytest.raises(DataError, match=r"cannot be read"):
        read_meter_file(write(tmp_path, ["no parquet"], "meter.parquet"), DAY, BERLIN)
    with pytest.raises(DataError, match=r"no time zone 'Berlin'"):
        read_meter_file(write(tmp_path, quarter_hours()), DAY, "Berlin")


@dear(3)
@given(
    source_minutes=st.sampled_from([1, 5, 7, 10, 15, 20, 30, 60, 120]),
    slot_minutes=st.sampled_from([5, 10, 15, 30, 60]),
    lead=st.integers(0, 3600),
    watts=st.lists(st.integers(0, 20_000), min_size=250, max_size=250),
)
def test_resampling_preserves_energy(source_minutes: int, slot_minutes: int, lead: int, watts: list[int]) -> None:
    """Each slot holds the energy of its seconds, counted one by one."""
    step = source_minutes * 60
    kw = np.array(watts) / 1000
    starts = step * np.arange(250, dtype=np.int64)
    second = np.repeat(kw, step)
    slots = Slots(min(lead, step), (250 * step - min(lead, step)) // (slot_minutes * 60), slot_minutes * 60)

    power = resample(np.append(starts, starts[-1] + step), kw, slots)

    by_second = second[slots.start : slots.end].reshape(slots.count, slots.seconds).mean(axis=1)
    np.testing.assert_allclose(power, by_second, rtol=1e-9, atol=1e-9)
    assert (power >= 0).all()
