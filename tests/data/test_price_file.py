"""The user's own price files: what is read, and how each fault is told in the words of prices."""

from datetime import date
from pathlib import Path

import pytest

from commonwatt.community.calendar import local_days
from commonwatt.data.prices import read_price_file
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
        ("-0.05", "which is negative; prices below zero are not supported, write 0."),
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
