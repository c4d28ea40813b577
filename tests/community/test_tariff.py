from datetime import date, time
from fractions import Fraction

import numpy as np
import pytest

from commonwatt.community.calendar import Slots, local_clock, local_days, standard_clock
from commonwatt.community.tariff import Band, Flat, Levy, Tariff, TimeOfUse, rate_per_slot, slot_prices
from commonwatt.errors import ConfigError

BERLIN = "Europe/Berlin"
TARIFF = Tariff(
    Flat(270_000),
    Flat(80_000),
    network_fee=30_000,
    levies=(Levy("tax", 20_500, local=False), Levy("concession", 13_200)),
    vat=Fraction(19, 100),
)


def test_a_local_kwh_gains_as_long_as_its_price_is_below_the_ceiling() -> None:
    prices = slot_prices(TARIFF, np.array([270_000]), np.array([80_000]))
    assert prices.gross[0] == round((270_000 + 20_500 + 13_200) * 1.19)
    assert prices.ceiling[0] == prices.gross[0] - round((30_000 + 13_200) * 1.19)
    assert prices.floor[0] == 80_000


def test_prices_below_zero_leave_local_prices_a_floor_of_their_own() -> None:
    prices = slot_prices(TARIFF, np.array([-50_000, -10_000, 270_000]), np.array([-67_000, -67_000, -1]))
    assert prices.gross.tolist() == [-19_397, 28_203, 361_403]
    assert prices.ceiling.tolist() == [-70_805, -23_205, 309_995]
    assert prices.feed_in.tolist() == [-67_000, -67_000, -1]
    assert prices.floor.tolist() == [0, 0, 0]


def test_a_price_with_vat_rounds_below_zero_as_above() -> None:
    for amount in (1, 3, 50, 67_005):
        assert TARIFF.with_vat(-amount) == -TARIFF.with_vat(amount)
    half = Tariff(Flat(0), Flat(0), vat=Fraction(1, 2))
    assert [half.with_vat(amount) for amount in (1, -1)] == [2, -2]


def test_bands_may_be_below_zero() -> None:
    rate = TimeOfUse((Band(time(0), 5), Band(time(12), -1), Band(time(13), -67_000)))
    assert rate_per_slot(rate, local_days(date(2026, 6, 15), 1, BERLIN, 3600), BERLIN)[11:14].tolist() == [
        5,
        -1,
        -67_000,
    ]


def test_time_of_use_follows_the_local_clock_over_a_change_of_clocks() -> None:
    rate = TimeOfUse((Band(time(0), 1), Band(time(2), 2), Band(time(3), 3)))
    spring = local_days(date(2026, 3, 29), 1, BERLIN)
    autumn = local_days(date(2026, 10, 25), 1, BERLIN)
    counts = [np.bincount(rate_per_slot(rate, slots, BERLIN), minlength=4).tolist() for slots in (spring, autumn)]
    assert counts == [[0, 8, 0, 84], [0, 8, 8, 84]]


def test_bands_on_weekdays_only() -> None:
    weekend = frozenset({5, 6})
    rate = TimeOfUse((Band(time(0), 5), Band(time(0), 9, weekend)))
    days = local_days(date(2026, 6, 15), 7, BERLIN, 3600)
    assert rate_per_slot(rate, days, BERLIN).reshape(7, 24)[:, 0].tolist() == [5, 5, 5, 5, 5, 9, 9]


def test_a_table_that_leaves_a_time_without_price_is_refused() -> None:
    with pytest.raises(ConfigError, match="without a price"):
        rate_per_slot(TimeOfUse((Band(time(6), 1),)), local_days(date(2026, 6, 15), 1, BERLIN), BERLIN)


@pytest.mark.parametrize(("day", "count"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100), (date(2026, 6, 1), 96)])
def test_days_have_92_96_or_100_quarters_and_follow_each_other(day: date, count: int) -> None:
    slots = local_days(day, 1, BERLIN)
    assert slots.count == count
    assert local_days(day, 2, BERLIN).start == slots.start
    clock = local_clock(slots, BERLIN)
    assert str(clock[0]).endswith("00:00:00")
    assert str(clock[-1]).endswith("23:45:00")


def test_the_suns_clock_does_not_change_with_daylight_saving() -> None:
    noon = Slots(int(np.datetime64("2026-07-01T11:00:00").astype(int)), 1)
    assert str(local_clock(noon, BERLIN)[0]).endswith("13:00:00")
    assert str(standard_clock(noon, BERLIN)[0]).endswith("12:00:00")
