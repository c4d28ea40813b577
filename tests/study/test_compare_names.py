"""The names of designs on the command line: lists in them, and what is said of those that mean nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from pathlib import Path

import pytest

from commonwatt.errors import ConfigError
from commonwatt.exchange.checking import load
from commonwatt.market import find
from commonwatt.study.compare.designs import designs, split

EXAMPLE = Path(__file__).parents[2] / "examples" / "five-homes.toml"
SHARES = "0.2,0.2,0.2,0.1,0.3"


def parameters(name: str) -> Mapping[str, object]:
    (design,) = designs(load(EXAMPLE), EXAMPLE.parent, name)
    (stage,) = design.stages
    return stage.parameters


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("sdr,uniform", ["sdr", "uniform"]),
        (" sdr , uniform+sdr", ["sdr", "uniform+sdr"]),
        (f"sharing-key:key=static:shares={SHARES},sdr", [f"sharing-key:key=static:shares={SHARES}", "sdr"]),
        ("fixed:price=0.2:window=22:30, 06:15,sdr", ["fixed:price=0.2:window=22:30, 06:15", "sdr"]),
        ('fixed:window=["08:00", "09:00"],a.py:B', ['fixed:window=["08:00", "09:00"]', "a.py:B"]),
        ("sdr,", ["sdr", ""]),
    ],
)
def test_commas_part_designs_and_stay_within_values(text: str, names: list[str]) -> None:
    assert split(text) == names


@pytest.mark.parametrize("window", ["22:30,06:15", "22:30, 06:15", '["22:30","06:15"]', '["22:30", "06:15"]'])
def test_a_window_is_two_times_with_a_comma(window: str) -> None:
    found = find("fixed").parameters.model_validate(dict(parameters(f"fixed:price=2:window={window}")))
    assert found.model_dump()["window"] == [time(22, 30), time(6, 15)]


@pytest.mark.parametrize("shares", [SHARES, SHARES.replace(",", ", ")])
def test_shares_are_decimals_with_commas(shares: str) -> None:
    assert parameters(f"sharing-key:key=static:shares={shares}")["shares"] == shares


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fixed:price=2:window=07:00", "window value should have at least 2"),
        ("fixed:price=2:window=['07:00','15:00']", "window.0 is a local time"),
        ("fixed:price=2:window=7,15", 'window.0 is a local time such as "09:00"'),
        ("sharing-key:key=static:shares=0.9,0.2", "shares are not negative and at most 1 together"),
        ("sharing-key:key=static:shares=half,half", "there is no mechanism 'half'"),
        ("sdr,0.5", "there is no mechanism 'sdr,0.5'"),
        ("sdr:0.5", "to take the mechanism '0.5' from"),
        ("fixed:window=07:00,15:00:prise=2", "prise is not a parameter of fixed"),
    ],
)
def test_what_means_nothing_is_said(name: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        designs(load(EXAMPLE), EXAMPLE.parent, name)
    assert told in str(caught.value)
