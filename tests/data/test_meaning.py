"""What the values of a file mean: registers, intervals that are too long, units and the usual height of prices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from commonwatt.community.calendar import Slots, local_days
from commonwatt.data import read_meter_file
from commonwatt.data.headers import meter_name, price_unit
from commonwatt.data.prices import read_price_file
from commonwatt.errors import DataError, GapError

OSLO = "Europe/Oslo"
DAY = local_days(date(2026, 2, 10), 1, OSLO, 3600)


def hourly(folder: Path, head: str, values: Sequence[object], minutes: int = 60, name: str = "file.csv") -> Path:
    first = datetime(2026, 2, 10)  # noqa: DTZ001
    times = (first + timedelta(minutes=minutes * row) for row in range(len(values)))
    path = folder / name
    path.write_text(
        "\n".join(
            [f"time,{head}", *(f"{time:%Y-%m-%dT%H:%M},{value}" for time, value in zip(times, values, strict=True))]
        )
    )
    return path


USED = [200 + 130 * hour % 700 for hour in range(24)]
SHOWN = [round(8312.4 + sum(USED[:hour]) / 1000, 3) for hour in range(25)]


@pytest.mark.parametrize(
    "head", ["hytte register [kWh]", "hytte_counter_kwh", "hytte reading (kWh)", "Zählerstand kWh"]
)
def test_the_differences_of_a_register_are_the_energy(tmp_path: Path, head: str) -> None:
    kw = read_meter_file(hourly(tmp_path, head, list(SHOWN)), DAY, OSLO).kw
    np.testing.assert_allclose(kw[0] * 1000, USED, atol=1e-6)


def test_a_register_in_watt_hours_and_quarter_hours(tmp_path: Path) -> None:
    shown: list[object] = [5_000_000 + 30 * row for row in range(97)]
    kw = read_meter_file(hourly(tmp_path, "hytte_register_Wh", shown, 15), DAY, OSLO).kw
    np.testing.assert_allclose(kw, np.full((1, 24), 0.12))


def test_the_last_row_of_a_register_only_ends_an_interval(tmp_path: Path) -> None:
    with pytest.raises(GapError, match=r"'x_register_kwh' lacks values for 1 of 24 slots, first at 2026-02-10 23:00"):
        read_meter_file(hourly(tmp_path, "x_register_kwh", list(SHOWN[:24])), DAY, OSLO)


def test_a_missing_row_of_a_register_leaves_both_intervals_out(tmp_path: Path) -> None:
    path = hourly(tmp_path, "x_register_kwh", [*SHOWN[:9], "", *SHOWN[10:]])
    with pytest.raises(GapError, match=r"lacks values for 2 of 24 slots, first at 2026-02-10 08:00"):
        read_meter_file(path, DAY, OSLO)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:10], *lines[11:]]))
    with pytest.raises(GapError, match=r"lacks values for 2 of 24 slots, first at 2026-02-10 08:00"):
        read_meter_file(path, DAY, OSLO)


def test_a_register_never_falls(tmp_path: Path) -> None:
    path = hourly(tmp_path, "x_register_kwh", [*SHOWN[:9], 0.0, *SHOWN[10:]])
    with pytest.raises(
        DataError, match=r"has '0\.0' at 2026-02-10 09:00 CET, which is less than the one before; a reg"
    ):
        read_meter_file(path, DAY, OSLO)


LOOKS_LIKE_A_REGISTER: dict[str, Sequence[object]] = {
    "hours of a meter": SHOWN,
    "whole kWh": [round(shown) for shown in SHOWN],
    "hours of a meter just made": [round(shown - SHOWN[0], 3) for shown in SHOWN],
    "with gaps": [*SHOWN[:4], "", *SHOWN[5:]],
    "a new meter after many rises": [*(500 + row for row in range(120)), *(row for row in range(60))],
}


@pytest.mark.parametrize("what", LOOKS_LIKE_A_REGISTER)
def test_what_rises_as_a_register_is_not_taken_for_energy(tmp_path: Path, what: str) -> None:
    path = hourly(tmp_path, "x_kwh", LOOKS_LIKE_A_REGISTER[what])
    with pytest.raises(DataError) as caught:
        read_meter_file(path, DAY, OSLO)
    assert str(caught.value) == (
        f"{path}: column 'x_kwh' keeps rising, as the register of a meter does; if its differences are the energy, "
        "say so in its name with register, counter, reading or Zählerstand, or give kW instead."
    )


@pytest.mark.parametrize(
    "values",
    [[0.3] * 24, [0.1] * 12 + [0.4] * 12, [0] * 8 + [0.1 * hour for hour in range(16)], [*range(23), 0]],
    ids=["the same", "a step", "a morning", "a day's rise and the night"],
)
def test_energy_that_rises_for_a_while_is_energy(tmp_path: Path, values: list[float]) -> None:
    np.testing.assert_allclose(read_meter_file(hourly(tmp_path, "x_kwh", values), DAY, OSLO).kw, np.array([values]))


def test_power_may_rise(tmp_path: Path) -> None:
    assert read_meter_file(hourly(tmp_path, "x_kw", list(SHOWN)), DAY, OSLO).kw[0, 0] == SHOWN[0]


@pytest.mark.parametrize(("minutes", "slot"), [(60, 900), (120, 3600), (30, 900), (1440, 3600)])
def test_energy_is_not_spread_over_slots(tmp_path: Path, minutes: int, slot: int) -> None:
    path = hourly(tmp_path, "x_kwh", [6, 5, 7], minutes)
    with pytest.raises(DataError) as caught:
        read_meter_file(path, Slots(DAY.start, 1, slot), OSLO)
    assert str(caught.value) == (
        f"{path}: rows are {minutes} min apart, the community's slots {slot // 60} min; energy is not spread over "
        "slots, so take longer slots or finer readings."
    )


PRICES = {
    "EUR/kWh": 1.0,
    "Price [EUR/MWh]": 1e-3,
    "Deutschland/Luxemburg [€/MWh] Originalauflösungen": 1e-3,
    "price_eur_per_mwh": 1e-3,
    "Price (EUR/MWhe)": "EUR/MWhe",
    "Arbeitspreis ct/kWh": 0.01,
    "Cent per kWh": 0.01,
    "c€/kWh": 0.01,
    "EUR per kWh": 1.0,
    "price per kWh": 1.0,
    "Euro/MWh": 1e-3,
    "price_ct_kwh": 0.01,
    "price_eur_mwh": 1e-3,
    "price_usd_kwh": "usd",
    "price_kwh": "price_kwh",
    "price/MWh": "price/MWh",
    "price": None,
    "DE/LU": None,
    "price_eur": None,
    "price_chf": "chf",
    "Price in USD": "USD",
    "USD/kWh": "USD/kWh",
    "price_usd_per_kwh": "usd/kwh",
    "$/kWh": "$/kWh",
    "price [ct]": "ct",
    "price [EUR/GJ]": "EUR/GJ",
    "EUR/GJ": "EUR/GJ",
    "ct/kW": "ct/kW",
    "price (net)": "net",
    "roof_kwh": "roof_kwh",
}


@pytest.mark.parametrize("header", PRICES)
def test_the_unit_of_a_price(header: str) -> None:
    assert price_unit(header, "EUR") == PRICES[header]


def test_the_money_is_the_communitys() -> None:
    assert price_unit("NOK/MWh", "NOK") == price_unit("nok_per_mwh", "NOK") == 1e-3
    assert price_unit("£/kWh", "GBP") == 1.0
    assert price_unit("EUR/MWh", "NOK") == "EUR/MWh"


def test_prices_per_mwh_and_in_cents_are_the_same_integers(tmp_path: Path) -> None:
    expected = [85_300 + 1000 * hour for hour in range(24)]
    for head, per in (("EUR/kWh", 1_000_000), ("Day-ahead [EUR/MWh]", 1000), ("ct/kWh", 10_000)):
        path = hourly(tmp_path, head, [price / per for price in expected])
        assert read_price_file(path, DAY, OSLO, "EUR").tolist() == expected


def test_a_price_in_another_money_is_refused(tmp_path: Path) -> None:
    path = hourly(tmp_path, "Spot [EUR/MWh]", [80] * 24)
    with pytest.raises(DataError) as caught:
        read_price_file(path, DAY, OSLO, "NOK")
    assert str(caught.value) == (
        f"{path}: column 'Spot [EUR/MWh]' is in EUR/MWh; a price is in NOK/kWh, NOK/MWh or ct/kWh."
    )


def prices(folder: Path, starts: list[str], values: list[float]) -> Path:
    path = folder / "prices.csv"
    rows = [f"2026-02-{start},{value}" for start, value in zip(starts, values, strict=True)]
    path.write_text("\n".join(["from,price", *rows]))
    return path


def test_each_price_holds_until_the_next_one(tmp_path: Path) -> None:
    hours = [f"10T{hour:02}:00" for hour in range(12)]
    quarters = [f"10T{hour:02}:{minute:02}" for hour in range(12, 24) for minute in (0, 15, 30, 45)]
    path = prices(tmp_path, [*hours, *quarters], [0.1] * 12 + [0.2, 0.3, 0.4, 0.5] * 12)
    assert read_price_file(path, DAY, OSLO, "EUR").tolist() == [100_000] * 12 + [350_000] * 12
    fine = Slots(DAY.start + 11 * 3600, 8, 900)
    assert read_price_file(path, fine, OSLO, "EUR").tolist() == [100_000] * 4 + [200_000, 300_000, 400_000, 500_000]


def test_prices_may_change_at_irregular_times(tmp_path: Path) -> None:
    path = prices(tmp_path, ["09T22:00", "10T06:00", "10T22:00", "11T06:00"], [0.1, 0.4, 0.2, 0.3])
    assert read_price_file(path, DAY, OSLO, "EUR").tolist() == [100_000] * 6 + [400_000] * 16 + [200_000] * 2


@pytest.mark.parametrize(("lost", "slots", "first"), [(1, 1, "05:00"), (3, 3, "05:00")])
def test_a_missing_price_is_a_gap(tmp_path: Path, lost: int, slots: int, first: str) -> None:
    hours = [f"10T{hour:02}:00" for hour in range(24) if not 5 <= hour < 5 + lost]
    path = prices(tmp_path, hours, [0.1] * len(hours))
    with pytest.raises(GapError, match=rf"lacks values for {slots} of 24 slots, first at 2026-02-10 {first} CET"):
        read_price_file(path, DAY, OSLO, "EUR")


def test_a_price_file_begins_with_names(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("".join(f"2026-02-10T{hour:02}:00,0.3\n" for hour in range(24)))
    with pytest.raises(
        DataError, match=r"must begin with the names of its columns, but begins with '2026-02-10T00:00'"
    ):
        read_price_file(path, DAY, OSLO, "EUR")


def test_intervals_of_meters_are_constant_where_their_ends_are_told(tmp_path: Path) -> None:
    path = tmp_path / "meters.csv"
    rows = [f"2026-02-10T{hour:02}:00,2026-02-10T{hour:02}:{59 if hour % 2 else 30},1" for hour in range(24)]
    path.write_text("\n".join(["from,until,x_kwh", *rows]))
    with pytest.raises(DataError, match=r"not all intervals are 30 min long; they must be constant\.$"):
        read_meter_file(path, DAY, OSLO)


@pytest.mark.parametrize("header", ["x", "pv_w", "low", "roof west w", "x [kvarh]", "x_kWhs", "[kWh] x", "x [m³]"])
def test_headers_without_a_unit(header: str) -> None:
    assert meter_name(header) is None


def test_a_header_may_be_a_unit_alone() -> None:
    named = meter_name("kWh")
    assert named
    assert (named.name, named.energy) == ("kWh", True)
