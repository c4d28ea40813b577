"""Prices among a mechanism's parameters are in the frame's unit of money; parts of something are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.market import Frame, Orders, Positions, find
from commonwatt.market.interface import Parameters
from commonwatt.market.parameters import Millionths, Money
from commonwatt.records import BUY, SELL
from commonwatt.units import UNITS, price_text

RIAL = Frame(
    starts=np.array([3600]),
    minutes=np.array([60]),
    hours=1.0,
    members=2,
    ceiling=np.array([180_000]),
    floor=np.array([60_000]),
    unit=100_000,
)
"""18 000 and 6 000 rial per kWh, counted in tenths."""
ORDERS = Orders(np.array([0, 1]), np.array([BUY, SELL]), np.array([700, 900]), np.array([180_000, 60_000]))
POSITIONS = Positions(np.array([700, -900]), np.full(2, 180_000), np.full(2, 60_000))


class Own(Parameters):
    """What somebody's own mechanism may take."""

    fee: Money = 3
    part: Millionths = 5


@pytest.mark.parametrize(
    ("name", "parameters", "given_", "price"),
    [
        ("fixed", {"price": "11000.5"}, ORDERS, 110_005),
        ("fixed", {"share_of_average": "0.654321"}, ORDERS, 117_777),
        ("coalition", {"reserve": "9000.1", "pricing": "uniform"}, ORDERS, 90_001),
        ("sharing-key", {"price": "17999.9"}, POSITIONS, 179_999),
    ],
)
def test_a_price_is_paid_in_the_frame_s_unit(
    name: str, parameters: Mapping[str, object], given_: Orders | Positions, price: int
) -> None:
    mechanism = find(name)
    assert mechanism.problems(parameters, RIAL.unit) == []
    assert mechanism.in_vain(parameters, RIAL) == []
    (clearing,) = mechanism.clear(RIAL, (given_,), parameters)
    assert clearing.trades.wh.tolist() == [700]
    assert clearing.trades.price.tolist() == [price]


@pytest.mark.parametrize(
    ("name", "parameters", "key", "asked"),
    [
        ("fixed", {"price": "5999.9"}, "price", "5999.90"),
        ("sharing-key", {"price": "18000.1"}, "price", "18000.10"),
        ("coalition", {"reserve": "18000.1"}, "reserve", "18000.10"),
    ],
)
def test_a_price_outside_the_corridor_is_told_in_the_currency(
    name: str, parameters: Mapping[str, object], key: str, asked: str
) -> None:
    words = f"a price of {asked} is outside what a local kWh may cost, 6000.00 to 18000.00; nothing would be traded"
    assert find(name).in_vain(parameters, RIAL) == [(key, words)]


@pytest.mark.parametrize(
    ("name", "parameters", "key"),
    [
        ("fixed", {"price": "11000.55"}, "price"),
        ("sharing-key", {"price": "0.000001"}, "price"),
        ("coalition", {"reserve": "9000.01"}, "reserve"),
        ("bilateral", {"gamma_max": "0.05"}, "gamma_max"),
    ],
)
def test_a_price_between_two_units_is_refused(name: str, parameters: Mapping[str, object], key: str) -> None:
    assert find(name).problems(parameters) == []
    ((where, sentence),) = find(name).problems(parameters, RIAL.unit)
    assert where == key
    assert "no multiple of 0.10, in which money is counted here" in sentence


@pytest.mark.parametrize("name", ["bilateral", "schedule"])
def test_a_gap_is_no_money(name: str) -> None:
    assert find(name).problems({"gap": "0.000123"}, UNITS[-1]) == []
    read = find(name).parameters.model_validate({"gap": "0.000123"}, context={"unit": UNITS[-1]})
    assert read.model_dump()["gap"] == 123


@given(st.sampled_from(UNITS), st.integers(0, 10**6), st.integers(0, 10**6))
def test_money_is_divided_and_millionths_are_not(unit: int, units: int, part: int) -> None:
    written = {"fee": price_text(units * unit), "part": price_text(part)}
    read = Own.model_validate(written, context={"unit": unit})
    assert (read.fee, read.part) == (units, part)


def test_a_part_of_the_frame_keeps_its_unit() -> None:
    assert RIAL.part(slice(0, 1)).unit == RIAL.unit
    assert replace(RIAL, unit=1).part(np.array([True])).unit == 1
