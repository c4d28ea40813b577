"""Parameters that the utility's prices leave nothing for: said before anything runs, and no mechanism blames itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from math import inf
from pathlib import Path

import numpy as np
import pytest

from commonwatt.errors import ConfigError
from commonwatt.exchange.checking import load
from commonwatt.market import Frame, Orders, find
from commonwatt.simulation.oneslot import clear_file
from commonwatt.simulation.simulation import Simulation
from commonwatt.study.compare.comparison import compare

DAY = Frame(
    starts=np.arange(4) * 21_600,
    minutes=np.array([0, 360, 720, 1080]),
    hours=6.0,
    members=2,
    ceiling=np.array([200_000, 300_000, 300_000, 410_000]),
    floor=np.array([70_000, 70_000, 70_000, 70_000]),
)


def told(name: str, parameters: Mapping[str, object], most_kw: float = inf) -> dict[str, str]:
    return dict(find(name).parameters.model_validate(dict(parameters)).in_vain(DAY, most_kw))


@pytest.mark.parametrize(
    ("name", "parameters", "key", "words"),
    [
        (
            "fixed",
            {"price": "0.42"},
            "price",
            "0.07 to 0.20 from 00:00, 0.07 to 0.30 from 06:00, 0.07 to 0.41 from 18:00",
        ),
        ("fixed", {"price": "0.06"}, "price", "a price of 0.06 is outside"),
        ("fixed", {"price": "0.4", "window": ["06:00", "18:00"]}, "price", "a price of 0.40 is outside what"),
        ("fixed", {"share_of_average": "1.4"}, "share_of_average", "a price of 0.4235 is outside"),
        (
            "fixed",
            {"price": "0.2", "window": ["06:10", "11:50"]},
            "window",
            "none starts from 06:10 until before 11:50",
        ),
        (
            "fixed",
            {"price": "0.2", "min_excess_kw": 9.5},
            "min_excess_kw",
            "is 9.5, and no member can sell more than 9",
        ),
        ("coalition", {"reserve": "0.42"}, "reserve", "a price of 0.42 is outside"),
        ("sharing-key", {"price": "0.069999"}, "price", "a price of 0.069999 is outside"),
        ("sharing-key", {"key": "static", "shares": "0.5"}, "shares", "are 1, one for each of 2 members is needed"),
        ("sharing-key", {"key": "static", "shares": "0, 0"}, "shares", "leave everybody without"),
    ],
)
def test_what_can_never_bring_a_trade_is_said(
    name: str, parameters: Mapping[str, object], key: str, words: str
) -> None:
    found = told(name, parameters, 9.0)
    assert list(found) == [key]
    assert words in found[key]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("fixed", {"price": "0.41"}),
        ("fixed", {"price": "0.07", "window": ["23:00", "00:10"]}),
        ("fixed", {"share_of_average": "1.3", "min_excess_kw": 9.0}),
        ("coalition", {"reserve": "0.01"}),
        ("coalition", {}),
        ("sharing-key", {"price": "0.4", "key": "static", "shares": ["0", "1"]}),
        ("sdr", {}),
    ],
)
def test_what_brings_a_trade_in_one_slot_is_not_in_vain(name: str, parameters: Mapping[str, object]) -> None:
    assert told(name, parameters, 9.0) == {}


def test_a_fixed_price_outside_the_corridor_trades_nothing_there_and_the_rest_of_the_day_as_ever() -> None:
    ready = Orders(*np.array([[0, 1], [0, 1], [500, 500], [900_000, 0]]))
    clearings = find("fixed").clear(DAY, (ready,) * 4, {"price": "0.35"})
    assert [len(clearing.trades) for clearing in clearings] == [0, 0, 0, 1]
    assert all(clearing.proof.holds for clearing in clearings)


@pytest.mark.parametrize(
    ("name", "parameter", "words"),
    [
        (
            "fixed",
            {"price": "0.33"},
            "--param price: a price of 0.33 is outside what a local kWh may cost, 0.09 to 0.31",
        ),
        ("coalition", {"reserve": "0.32"}, "--param reserve: a price of 0.32"),
        ("sharing-key", {"price": "0.08"}, "--param price: a price of 0.08"),
        ("sharing-key", {"key": "static", "shares": "1"}, "--param shares: are 1, one for each of 2"),
    ],
)
def test_clearing_a_file_names_the_price(tmp_path: Path, name: str, parameter: Mapping[str, str], words: str) -> None:
    file = tmp_path / "slot.csv"
    file.write_text("order,member,side,wh,limit\n1,a,buy,300,0.70\n2,b,sell,300,0.01\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        clear_file(name, file, "0.31", "0.09", parameter)


def test_a_share_of_no_price_is_no_price(tmp_path: Path) -> None:
    file = tmp_path / "slot.csv"
    file.write_text("order,member,side,wh,limit\n1,a,buy,300,0.70\n2,b,sell,300,0.01\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="--param share_of_average: needs the utility's price"):
        clear_file("fixed", file, None, "0.09", {"share_of_average": "0.5"})
    assert clear_file("fixed", file, None, None, {"price": "0.5"})["trades"]


COMMUNITY = """
[community]
name = "Corridor"
currency = "CHF"
timezone = "Europe/Zurich"
slot = "30min"

[tariff]
retail = {retail}
feed_in = "0.11"

[market.ahead]
mechanism = "fixed"
gate = "11:00"
{parameters}

[members]
one = {{ load = "simbench:H0-A", annual_kwh = 3000 }}
two = {{ load = "simbench:H0-B", annual_kwh = 2000, pv = {{ profile = "simbench:PV5", kwp = 6 }} }}
"""
BANDS = (
    '[ { from = "00:00", price = "0.20" }, { from = "20:00", price = "0.30", days = ["mon"] }, '
    '{ from = "20:00", price = "0.36", days = ["sat"] } ]'
)


def community(folder: Path, retail: str, parameters: str) -> Path:
    (folder / "prices.csv").write_text("time,price\n2026-01-01T00:00Z,0.2\n2027-01-01T00:00Z,0.2\n", encoding="utf-8")
    file = folder / "community.toml"
    file.write_text(COMMUNITY.format(retail=retail, parameters=parameters), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("retail", "parameters", "finding"),
    [
        (
            '"0.27"',
            'price = "0.271"',
            "market.ahead.price: a price of 0.271 is outside what a local kWh may cost, 0.11",
        ),
        ('"0.27"', 'price = "0.10"', "market.ahead.price: a price of 0.10 is outside"),
        ('"0.27"', 'share_of_average = "1.01"', "market.ahead.share_of_average: a price of 0.2727"),
        ('"0.27"', 'price = "0.2"\nmin_excess_kw = 6.5', "no member can sell more than 6 kW"),
        ('"0.27"', 'price = "0.2"\nwindow = ["12:01", "12:29"]', "market.ahead.window: holds no slot"),
        (BANDS, 'price = "0.37"', "0.11 to 0.20 from 00:00, 0.11 to 0.30 from 20:00"),
        (BANDS, 'price = "0.25"\nwindow = ["08:00", "20:00"]', "may cost, 0.11 to 0.20; nothing"),
        (BANDS, 'price = "0.35"', None),
        (BANDS, 'price = "0.25"', None),
        ('{ file = "prices.csv" }', 'price = "0.9"', None),
    ],
)
def test_the_check_of_a_community_names_price_corridor_and_hours(
    tmp_path: Path, retail: str, parameters: str, finding: str | None
) -> None:
    file = community(tmp_path, retail, parameters)
    if finding is None:
        assert load(file).market
        return
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert finding in str(caught.value)
    assert len(caught.value.findings) == 1


def test_compare_leaves_out_what_could_trade_nothing_and_says_why(tmp_path: Path) -> None:
    file = community(tmp_path, '"0.27"', 'price = "0.2"')
    found = compare(file, "2026-06-15", 1, ["fixed:price=0.28", "sdr"])
    assert [row.design for row in found.rows] == ["utility only", "sdr"]
    assert "a price of 0.28 is outside what a local kWh may cost, 0.11 to 0.27" in found.left_out["fixed:price=0.28"]


def test_at_the_corridors_very_edge_neighbours_trade(tmp_path: Path) -> None:
    file = community(tmp_path, '"0.27"', 'price = "0.27"')
    result = Simulation(load(file), tmp_path, date(2026, 6, 15), 1, ledger="none").run()
    assert len(result.trades)
    result.close()


OWN = """
from commonwatt.market import MECHANISMS, Parameters
from dataclasses import replace

class Mine(Parameters):
    def in_vain(self, frame, most_kw):
        {body}

MINE = replace(MECHANISMS["listings"], parameters=Mine)
"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('yield "hour", f"none of {len(frame.starts)} slots has one"', "market.ahead.hour: none of 48 slots has one"),
        ("raise KeyError(7)", "market.ahead.mechanism: .*mine.py cannot be run: KeyError: 7"),
    ],
)
def test_a_mechanism_of_ones_own_says_what_is_in_vain_for_it(tmp_path: Path, body: str, words: str) -> None:
    (tmp_path / "mine.py").write_text(OWN.format(body=body), encoding="utf-8")
    file = community(tmp_path, '"0.27"', "")
    text = file.read_text("utf-8").replace('mechanism = "fixed"', 'mechanism = "mine.py:MINE"')
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        load(file)
