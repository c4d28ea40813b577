"""The packaged series, homes and grids against figures read in the published files."""

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import commonwatt.data
from commonwatt.community.calendar import Slots, local_clock, local_days
from commonwatt.data import (
    annual_kwh,
    catalogue,
    grid_names,
    read_grid,
    read_homes,
    read_profiles,
    read_reactive,
)
from commonwatt.errors import DataError

BERLIN, CALIFORNIA = "Europe/Berlin", "America/Los_Angeles"
FOLDER = Path(commonwatt.data.__file__).parent

LOADS = [p.name for s in catalogue() for p in s.profiles if p.kind == "load"]
PV = [p.name for s in catalogue() for p in s.profiles if p.kind == "pv"]


def at(local: str, zone: str, seconds: int = 900) -> Slots:
    """The one slot that begins at a local time."""
    return Slots(int(datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).timestamp()), 1, seconds)


def test_the_catalogue_names_what_is_there() -> None:
    counts = {
        (data_set.name, kind): sum(p.kind == kind for p in data_set.profiles)
        for data_set in catalogue()
        for kind in ("load", "pv", "price", "carbon")
    }
    assert counts["simbench", "load"] == 50
    assert counts["simbench", "pv"] == 8
    assert counts["citylearn", "load"] == counts["citylearn", "pv"] == 17
    assert counts["citylearn", "price"] == counts["citylearn", "carbon"] == 1
    assert [(s.licence, s.year.seconds, s.year.first, s.year.last) for s in catalogue()] == [
        ("ODbL 1.0", 900, date(2016, 1, 1), date(2016, 12, 31)),
        ("MIT", 3600, date(2016, 8, 1), date(2017, 7, 31)),
    ]


def test_licences_lie_beside_the_data_and_all_of_it_is_small() -> None:
    assert "Open Database License" in (FOLDER / "simbench/LICENSE-ODbL-1.0.txt").read_text("utf-8")
    assert "10.3390/en13123290" in (FOLDER / "simbench/NOTICE.txt").read_text("utf-8")
    assert "MIT License" in (FOLDER / "citylearn/LICENSE-MIT.txt").read_text("utf-8")
    assert sum(file.stat().st_size for file in FOLDER.rglob("*.parquet")) <= 4_000_000


@pytest.mark.parametrize(
    ("name", "local", "published"),
    [
        ("simbench:H0-A", "2016-01-01T00:00", 0.276685),
        ("simbench:H0-A", "2016-07-15T12:00", 0.077247),
        ("simbench:H0-A", "2016-12-31T23:45", 0.110955),
        ("simbench:G1-A", "2016-07-15T12:00", 0.674964),
        # Heat pumps keep standard time: the source's row of 12:00 summer time is its 11:00 of standard time.
        ("simbench:Soil_Alternative_1", "2016-01-20T19:00", 0.892032),
        ("simbench:Soil_Alternative_1", "2016-03-28T12:00", 0.711293),
    ],
)
def test_simbench_loads_are_the_published_rows(name: str, local: str, published: float) -> None:
    share = read_profiles([name], at(local, BERLIN), BERLIN) * annual_kwh([name])

    assert share.item() == pytest.approx(published, rel=1e-6)


def test_simbench_pv_is_moved_from_utc() -> None:
    power = read_profiles(["simbench:PV5"], at("2016-07-15T10:00", "UTC"), BERLIN)

    assert power.item() == pytest.approx(0.472673695, rel=1e-6)


def test_citylearn_homes_are_the_published_rows() -> None:
    slots = Slots(at("2016-08-01T00:00", CALIFORNIA).start, 15, 3600)
    (load,) = read_profiles(["citylearn:Building_1"], slots, CALIFORNIA) * annual_kwh(["citylearn:Building_1"])
    (pv,) = read_profiles(["citylearn:Building_1.pv"], slots, CALIFORNIA)

    np.testing.assert_allclose(load[[0, 1, 2, 12]], [2.2758, 0.851166667, 0.8346, 0.764433333], rtol=1e-6)
    np.testing.assert_allclose(pv[[5, 6, 12]], [0, 0.014504167, 0.759825], rtol=1e-6)


@pytest.mark.parametrize("zone", [BERLIN, CALIFORNIA])
def test_a_year_of_a_load_is_its_annual_consumption(zone: str) -> None:
    power = read_profiles(LOADS, local_days(date(2026, 1, 1), 365, zone), zone)

    assert (power >= 0).all()
    # Days are exchanged for near ones: 4 % where a car or a heating season hangs on few days.
    np.testing.assert_allclose(power.sum(axis=1) / 4, 1, rtol=0.04)


def test_annual_energy_as_published() -> None:
    assert annual_kwh(["citylearn:Building_1", "simbench:H0-A"]) == pytest.approx([10583.35, 1219], rel=1e-3)
    yields = dict(zip(PV, annual_kwh(PV), strict=True))
    assert yields["simbench:PV4"] == pytest.approx(696, abs=1)
    assert yields["citylearn:Building_1.pv"] == pytest.approx(1803, abs=1)
    assert yields["citylearn:Building_15.pv"] == pytest.approx(29, abs=1)
    with pytest.raises(DataError, match="'citylearn:price' is no energy"):
        annual_kwh(["citylearn:price"])


@pytest.mark.parametrize(
    ("names", "zone", "longitude"),
    [(["simbench:PV4", "simbench:PV5"], BERLIN, 9.5), (["citylearn:Building_1.pv"], CALIFORNIA, -117.4)],
)
@pytest.mark.parametrize("month", [1, 3, 4, 6, 7, 10, 11, 12])
def test_the_sun_is_highest_at_solar_noon_all_year(names: list[str], zone: str, longitude: float, month: int) -> None:
    """The centre of generation of a month lies near 12:00 mean solar time; a wrong clock is an hour off."""
    slots = local_days(date(2026, month, 2), 26, zone)
    power = read_profiles(names, slots, zone).mean(axis=0)
    solar_hour = ((slots.starts + 450) / 3600 + longitude / 15) % 24

    assert (power * solar_hour).sum() / power.sum() == pytest.approx(12, abs=0.6)


def test_offices_open_at_the_same_wall_clock_before_and_after_the_change() -> None:
    def opening(first: date) -> float:
        slots = local_days(first, 5, BERLIN)
        (power,) = read_profiles(["simbench:G1-A"], slots, BERLIN)
        clock = local_clock(slots, BERLIN).astype(np.int64) % 86_400 / 3600
        return float(np.mean([power[clock == hour].mean() > power.max() / 4 for hour in np.arange(5, 9, 0.25)]))

    assert opening(date(2026, 3, 23)) == pytest.approx(opening(date(2026, 3, 30)), abs=0.13)


def test_price_peaks_from_16_to_21_on_the_wall_clock() -> None:
    slots = local_days(date(2026, 6, 15), 1, CALIFORNIA, 3600)
    price, carbon = read_profiles(["citylearn:price", "citylearn:carbon"], slots, CALIFORNIA)

    assert price.tolist() == [0.22] * 16 + [0.54] * 5 + [0.22] * 3
    assert ((carbon > 0.05) & (carbon < 0.4)).all()


@pytest.mark.parametrize("minutes", [5, 15, 30, 60])
def test_coarser_slots_average_and_finer_ones_share(minutes: int) -> None:
    names = ["simbench:H0-B", "citylearn:Building_3", "simbench:PV2", "citylearn:Building_3.pv"]
    day = date(2026, 10, 25)
    quarter_hours = read_profiles(names, local_days(day, 1, BERLIN), BERLIN)
    power = read_profiles(names, local_days(day, 1, BERLIN, minutes * 60), BERLIN)

    np.testing.assert_allclose(power.mean(axis=1), quarter_hours.mean(axis=1), rtol=1e-12)
    if minutes == 60:
        np.testing.assert_allclose(power, quarter_hours.reshape(4, 25, 4).mean(axis=-1), rtol=1e-12)


def test_order_and_repetition_of_names_are_kept() -> None:
    slots = local_days(date(2026, 5, 4), 1, BERLIN)
    names = ["simbench:PV1", "simbench:H0-A", "citylearn:Building_2", "simbench:PV1"]
    together = read_profiles(names, slots, BERLIN)

    for row, name in zip(together, names, strict=True):
        np.testing.assert_array_equal(row, read_profiles([name], slots, BERLIN)[0])
    assert read_profiles([], slots, BERLIN).shape == (0, 96)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("simbench:H0A", "simbench:H0-A"),
        ("H0-A", "simbench:H0-A"),
        ("citylearn:Bulding_1", "citylearn:Building_1"),
    ],
)
def test_an_unknown_profile_is_answered_with_near_names(wrong: str, near: str) -> None:
    with pytest.raises(DataError, match=f"no profile '{wrong}'.*{near}"):
        read_profiles([wrong], Slots(0, 1), BERLIN)


def test_an_unknown_time_zone_is_a_data_error() -> None:
    with pytest.raises(DataError, match="no time zone 'Europe/Kassel'"):
        read_profiles(["simbench:H0-A"], Slots(0, 1), "Europe/Kassel")


def test_reactive_power_is_a_share_of_nominal_kvar() -> None:
    slots = at("2016-01-01T00:00", BERLIN)

    assert read_reactive(["simbench:H0-A"], slots, BERLIN).item() == pytest.approx(-0.067519, rel=1e-6)
    with pytest.raises(DataError, match="'citylearn:Building_1' has no reactive power"):
        read_reactive(["citylearn:Building_1"], slots, BERLIN)


def test_homes_carry_their_devices() -> None:
    homes = read_homes()

    assert len(homes) == 17
    assert homes[3].load == "citylearn:Building_4"
    assert homes[3].pv == "citylearn:Building_4.pv"
    assert (homes[3].pv_kwp, homes[3].battery_kwh, homes[3].battery_kw) == (5.0, 6.4, 5.0)
    assert homes[3].annual_kwh == pytest.approx(10793, abs=1)


@pytest.mark.parametrize(
    ("name", "buses", "loads", "plants", "batteries", "kva"),
    [
        ("simbench:rural1", 15, 14, 8, 4, 160),
        ("simbench:rural2", 97, 103, 9, 0, 250),
        ("simbench:rural3", 129, 145, 25, 14, 400),
        ("simbench:semiurb4", 44, 44, 1, 1, 400),
        ("simbench:semiurb5", 111, 118, 14, 10, 630),
        ("simbench:urban6", 59, 112, 7, 0, 630),
    ],
)
def test_grids_are_the_published_trees(
    name: str, buses: int, loads: int, plants: int, batteries: int, kva: float
) -> None:
    grid = read_grid(name)

    assert (len(grid.buses.kv), len(grid.loads.kw), len(grid.pv.kw)) == (buses, loads, plants)
    assert (len(grid.storage.kwh), grid.transformer.kva) == (batteries, kva)
    reached = {grid.transformer.hv_bus, grid.transformer.lv_bus}
    branches = set(zip(grid.lines.from_bus.tolist(), grid.lines.to_bus.tolist(), strict=True))
    assert len(branches) == buses - 2
    for _ in range(buses):
        reached |= {bus for branch in branches if reached & set(branch) for bus in branch}
    assert reached == set(range(buses))
    assert set(grid.loads.profile) <= set(LOADS)
    assert set(grid.pv.profile) <= set(PV)
    assert grid.buses.kv[grid.transformer.hv_bus] == 20
    assert (np.delete(grid.buses.kv, grid.transformer.hv_bus) == 0.4).all()


def test_grid_figures_are_in_the_stated_units() -> None:
    grid = read_grid("simbench:rural1")

    # NAYY 4x150: 0.2067 ohm/km, 0.0804 ohm/km, 270 A; the first line is 55.8 m long.
    assert grid.lines.km[0] == pytest.approx(0.055767, rel=1e-4)
    assert grid.lines.r_ohm[0] == pytest.approx(0.055767 * 0.2067, rel=1e-4)
    assert grid.lines.x_ohm[0] == pytest.approx(0.055767 * 0.080425, rel=1e-4)
    assert grid.lines.max_a[0] == 270
    assert (grid.loads.profile[0], grid.loads.kw[0], grid.loads.kvar[0]) == ("simbench:L2-A", 6.0, 2.4)
    assert grid.storage.kw[0] == pytest.approx(73.4)
    assert grid.storage.kwh[0] == pytest.approx(146.7)
    assert (grid.transformer.vk_percent, grid.transformer.tap_side) == (4.0, "hv")


def test_an_unknown_grid_is_answered_with_near_names() -> None:
    assert len(grid_names()) == 6
    with pytest.raises(DataError, match=r"no grid 'rural4'.*simbench:rural"):
        read_grid("rural4")
