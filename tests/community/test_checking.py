"""A community that can run: what it names exists."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonwatt.community.synthetic import village
from commonwatt.community.toml import parse
from commonwatt.errors import ConfigError
from commonwatt.exchange.checking import load

HERE = Path(__file__).parent
EXAMPLES = sorted((HERE.parents[1] / "examples").glob("*.toml"))
GOOD = (HERE / "good.toml").read_text()

MISSING = [
    ('"sdr"', '"srd"', "market.real_time.mechanism: there is no mechanism 'srd'; did you mean 'sdr'?"),
    (
        'mechanism = "fixed"\ngate = "12:00"\nprice = "0.20"\n\n[market.real_time]\nmechanism = "sdr"',
        'mechanism = "fixed"\nprice = "0.20"',
        'market.day_ahead.gate: is missing: fixed clears the day before; write gate = "12:00"',
    ),
    (
        'mechanism = "fixed"\ngate = "12:00"\nprice = "0.20"\n\n[market.real_time]\nmechanism = "sdr"',
        'mechanism = "sdr"\ngate = "12:00"',
        "market.day_ahead.gate: has no meaning: sdr clears after delivery",
    ),
    ('"simbench:rural2"', '"simbench:rural9"', "grid.network: there is no grid 'simbench:rural9'; the nearest are "),
    (
        '"LV2.101 Bus 3"',
        '"LV2.101 Bus 333"',
        "members.home-02.bus: there is no bus 'LV2.101 Bus 333' in simbench:rural2; did you",
    ),
    (
        '"simbench:H0-C"',
        '"simbench:H0-Z"',
        "members.home-02.load: there is no profile 'simbench:H0-Z'; the nearest are ",
    ),
    (
        '"simbench:PV5"',
        '"simbench:H0-A"',
        "members.home-02.pv.profile: 'simbench:H0-A' is a load profile; a pv profile",
    ),
    ('retail = "0.32"', 'retail = { file = "prices.csv" }', "tariff.retail.file: there is no file "),
    ('slot = "15min"', 'profiles = "meters.csv"', "community.profiles: there is no file "),
]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_can_run(path: Path) -> None:
    community = load(path)
    sizes = {"village": 44, "five-homes": 5, "measured17": 17}
    assert len(community.members) == sizes[path.stem]


@pytest.mark.parametrize(("old", "new", "sentence"), MISSING)
def test_what_does_not_exist_is_told(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    path = tmp_path / "community.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load(path)
    (finding,) = caught.value.findings
    assert str(finding).startswith(sentence)


def test_what_does_not_exist_is_told_along_with_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "community.toml"
    path.write_text(GOOD.replace('"0.32"', "0.32").replace('"sdr"', '"srd"').replace('price = "0.20"', "prise = 1"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    paths = {finding.path for finding in caught.value.findings}
    assert paths >= {"tariff.retail", "market.real_time.mechanism", "market.day_ahead.prise"}


def test_columns_of_the_communitys_own_meter_file(tmp_path: Path) -> None:
    (tmp_path / "meters.csv").write_text("timestamp,corner house [kWh],roof_kw\n")
    text = GOOD.replace('slot = "15min"', 'profiles = "meters.csv"').replace("simbench:H0-A", "corner house")
    path = tmp_path / "community.toml"
    path.write_text(text.replace("simbench:PV5", "roof"))
    assert load(path).members[0].load.profile == "corner house"
    path.write_text(text.replace("simbench:PV5", "rof"))
    with pytest.raises(ConfigError, match=r"'rof' is not a column of meters\.csv; did you mean 'roof'"):
        load(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes('name = "Grünau"'.encode("latin-1"))
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "latin.toml")


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(0, 2**32))
def test_a_synthetic_village_is_a_community(homes: int, seed: int) -> None:
    text = village(homes, seed)
    members = parse(text, "village").members
    assert len(members) == homes
    assert all(1800 <= (member.load.annual_kwh or 0) <= 7000 for member in members)
    assert all(member.pv is None or 3 <= member.pv.kwp <= 10 for member in members)
    assert village(homes, seed) == text


def test_a_synthetic_village_has_the_usual_devices(tmp_path: Path) -> None:
    path = tmp_path / "village.toml"
    path.write_text(village(1000))
    members = load(path).members
    roofs, batteries = (sum(bool(getattr(member, key)) for member in members) for key in ("pv", "battery"))
    assert 450 < roofs < 550
    assert 0.28 < batteries / roofs < 0.39
    assert village(5, 1) != village(5, 2)
