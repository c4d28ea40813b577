"""The user's own price files: what is read, and how each fault is told in the words of prices."""

from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from commonwatt.community.calendar import Slots, local_days
from commonwatt.community.tariff import Flat, PriceFile, Tariff
from commonwatt.data.prices import read_price_file, utility_prices
from commonwatt.errors import DataError

BERLIN = "Europe/Berlin"
DAY = local_days(date(2026, 3, 2), 1, BERLIN)


def hourly(folder: Path, head: str = "time,price", noon: str = "0.25") -> Path:
    path = folder / "prices.csv"
    path.write_text("\n".join([head, *(f"2026-03-02T{h:02}:00,{noon if h == 12 else '0.30'}" for h in range(24))]))
    return path


@pytest.mark.parametrize("name", ["price", "EUR/kWh", "price_per_kwh", "DE/LU price"])
def test_a_price_is_per_kwh_where_its_name_says_nothing_else(tmp_path: Path, name: str) -> None:
    prices = read_price_file(hourly(tmp_path, f"time,{name}"), DAY, BERLIN, "EUR")
    assert prices[47:53].tolist() == [300_000, *[250_000] * 4, 300_000]


@pytest.mark.parametrize(
    ("noon", "sentence"),
    [
        ("-1000000.1", "which is less than the lowest price per kWh, -1000000."),
        ("-1e300", "which is less than the lowest price per kWh, -1000000."),
        ("1000000.1", "which is more than the highest price per kWh, 1000000."),
        ("1e300", "which is more than the highest price per kWh, 1000000."),
        ("cheap", "which is not a number."),
    ],
)
def test_what_is_no_price_is_told_in_one_sentence(tmp_path: Path, noon: str, sentence: str) -> None:
    path = hourly(tmp_path, noon=noon)
    with pytest.raises(DataError) as caught:
        read_price_file(path, DAY, BERLIN, "EUR")
    assert str(caught.value) == f"{path}: column 'price' has '{noon}' at 2026-03-02 12:00 CET, {sentence}"


def test_a_price_may_be_below_zero(tmp_path: Path) -> None:
    prices = read_price_file(hourly(tmp_path, "time,spot [EUR/MWh]", "-67.5"), DAY, BERLIN, "EUR")
    assert prices[48:52].tolist() == [-67_500] * 4
    assert read_price_file(hourly(tmp_path, noon="-1000000"), DAY, BERLIN, "EUR")[48] == -(10**12)
    # An hour at -0.10 beside a quarter of an hour at 0.30: a slot of an hour has their mean.
    rows = ["time,price", "2026-03-02T00:00,-0.10", "2026-03-02T00:45,0.30", "2026-03-02T01:00,0.30"]
    (tmp_path / "steps.csv").write_text("\n".join(rows))
    hours = Slots(DAY.start, 1, 3600)
    assert read_price_file(tmp_path / "steps.csv", hours, BERLIN, "EUR").tolist() == [0]


def test_a_price_that_is_no_number_is_a_gap(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lacks values for 4 of 96 slots, first at 2026-03-02 12:00 CET"):
        read_price_file(hourly(tmp_path, noon="nan"), DAY, BERLIN, "EUR")


def test_a_price_far_below_zero_leaves_a_local_price_within_bounds(tmp_path: Path) -> None:
    hourly(tmp_path, noon="-999999")
    tariff = Tariff(PriceFile("prices.csv"), Flat(-(10**12)), network_fee=10**11, vat=Fraction(1, 5))
    with pytest.raises(DataError, match=r"a kWh at -999999.00 leaves -1319998.80 for .*; the lowest price is -1000000"):
        utility_prices(tariff, tmp_path, DAY, BERLIN, "EUR")


def test_a_price_file_has_one_column_of_prices(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 2 price columns; one is needed"):
        read_price_file(hourly(tmp_path, "time,a,b", "1,1"), DAY, BERLIN, "EUR")
    bars = tmp_path / "bars.csv"
    bars.write_text("time|price\n2026-03-02T00:00|0.3\n2026-03-02T01:00|0.3\n")
    with pytest.raises(DataError, match=r"a column of prices and at least two rows; .* by commas, semicolons or tab"):
        read_price_file(bars, DAY, BERLIN, "EUR")


def test_a_price_file_covers_the_period(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lacks values for 96 of 192 slots, first at 2026-03-03 00:00 CET"):
        read_price_file(hourly(tmp_path), local_days(date(2026, 3, 2), 2, BERLIN), BERLIN, "EUR")
