"""A community that can run: what it names exists."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear

from commonwatt.community.synthetic import village
from commonwatt.community.toml import parse
from commonwatt.errors import ConfigError, DataError, StoreError
from commonwatt.exchange import plugins
from commonwatt.exchange.checking import load
from commonwatt.exchange.rules import Rules
from commonwatt.simulation.simulation import Simulation
from commonwatt.simulation.world import build

HERE = Path(__file__).parents[1] / "community"
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
        '"LV2.101 Bus 3"',
        '"7"',
        "members.home-02.bus: there is no bus '7' in simbench:rural2; the nearest are 'LV2.101 Bus ",
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
    (
        'retail = "0.32"',
        'retail = { file = "prices.csv" }',
        "tariff.retail.file: {folder}/prices.csv cannot be read: there is no such file",
    ),
    (
        'slot = "15min"',
        'profiles = "meters.csv"',
        "community.profiles: {folder}/meters.csv cannot be read: there is no such file",
    ),
]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_can_run(path: Path) -> None:
    community = load(path)
    sizes = {"village": 44, "five-homes": 5, "measured17": 17, "house": 6, "eeg": 10}
    assert len(community.members) == sizes[path.stem]


@pytest.mark.parametrize(("old", "new", "sentence"), MISSING)
def test_what_does_not_exist_is_told(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    path = tmp_path / "community.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load(path)
    (finding,) = caught.value.findings
    assert str(finding).startswith(sentence.format(folder=tmp_path))


def test_what_does_not_exist_is_told_along_with_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "community.toml"
    path.write_text(GOOD.replace('"0.32"', "0.32").replace('"sdr"', '"srd"').replace('price = "0.20"', "prise = 1"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    paths = {finding.path for finding in caught.value.findings}
    assert paths >= {"tariff.retail", "market.real_time.mechanism", "market.day_ahead.prise"}


def test_columns_of_the_communitys_own_meter_file(tmp_path: Path) -> None:
    rows = [
        f"2026-06-{day:02}T{hour:02}:{minute:02},0.1,2"
        for day in (1, 2)
        for hour in range(24)
        for minute in (0, 15, 30, 45)
    ]
    (tmp_path / "meters.csv").write_text("\n".join(["timestamp,corner house [kWh],roof_kw", *rows]))
    scaled = GOOD.replace('slot = "15min"', 'profiles = "meters.csv"').replace("simbench:H0-A", "corner house")
    text = scaled.replace(", annual_kwh = 3200", "")
    path = tmp_path / "community.toml"
    path.write_text(scaled)
    with pytest.raises(
        ConfigError, match=r"home-01\.annual_kwh: has no effect: the values of 'corner house' .* as they"
    ):
        load(path)
    path.write_text(text.replace("simbench:PV5", "roof"))
    assert [load_.profile for load_ in load(path).members[0].loads] == ["corner house"]
    path.write_text(text.replace("simbench:PV5", "rof"))
    with pytest.raises(ConfigError, match=r"'rof' is not a column of meters\.csv; did you mean 'roof'"):
        load(path)
    path.write_text(text.replace("simbench:PV5", "x"))
    with pytest.raises(ConfigError, match=r"'x' is not a column of meters\.csv; there is 'corner house', 'roof'$"):
        load(path)


def test_a_meter_file_whose_columns_cannot_be_told_apart(tmp_path: Path) -> None:
    (tmp_path / "meters.csv").write_text("timestamp\troof_kw\n")
    path = tmp_path / "community.toml"
    path.write_text(GOOD.replace('slot = "15min"', 'profiles = "meters.csv"'))
    with pytest.raises(ConfigError, match=r"community\.profiles: .* separated by commas, semicolons or tabulators"):
        load(path)


OWN_MARKET = """
from commonwatt.market import MECHANISMS
MINE = MECHANISMS["sdr"]
"""


@pytest.fixture
def with_files(tmp_path: Path) -> Path:
    """A community that names a meter file, two price files and a mechanism of its own."""
    hours = [f"2026-06-{day:02}T{hour:02}:00" for day in range(1, 18) for hour in range(24)]
    for name, column, value in (("meters", "flat_kw", 0.5), ("retail", "price", 0.3), ("feed_in", "price", 0.08)):
        (tmp_path / f"{name}.csv").write_text("\n".join([f"time,{column}", *(f"{time},{value}" for time in hours)]))
    (tmp_path / "market.py").write_text(OWN_MARKET)
    text = GOOD.replace('slot = "15min"', 'slot = "1h"\nprofiles = "meters.csv"').replace('"sdr"', '"market.py:MINE"')
    text = text.replace('load = "simbench:H0-A", annual_kwh = 3200', 'load = "flat"')
    text = text.replace('"0.32"', '{ file = "retail.csv" }').replace('"0.08"', '{ file = "feed_in.csv" }')
    path = tmp_path / "community.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["meters.csv", "retail.csv", "feed_in.csv", "market.py"])
def test_the_digest_covers_every_file_that_is_named(with_files: Path, name: str) -> None:
    before = load(with_files).digest
    assert load(with_files).digest == before != parse(with_files.read_text(), "x").digest
    with (with_files.parent / name).open("a") as file:
        file.write("\n")
    assert load(with_files).digest != before


def test_a_run_does_not_go_on_with_another_file(with_files: Path, tmp_path: Path) -> None:
    prices = tmp_path / "retail.csv"

    def run() -> None:
        simulation = Simulation(load(with_files), tmp_path, date(2026, 6, 15), 1, ledger="none", out=tmp_path / "out")
        simulation.advance()
        simulation.close()

    # The market's own mechanism is looked up by the exchange; the files are what this is about.
    with_files.write_text(with_files.read_text().replace("market.py:MINE", "sdr"))
    run()
    run()
    prices.write_text(prices.read_text().replace("0.3", "0.31"))
    with pytest.raises(StoreError, match="holds another run"):
        run()


def test_a_mechanism_of_ones_own_that_cannot_be_used(with_files: Path) -> None:
    (with_files.parent / "market.py").write_text("MINE = 1")
    with pytest.raises(ConfigError, match=r"market\.real_time\.mechanism: .* has no Mechanism called 'MINE'"):
        load(with_files)
    (with_files.parent / "market.py").unlink()
    with pytest.raises(ConfigError, match=r"market\.real_time\.mechanism: there is no file .*market\.py"):
        load(with_files)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("sys.exit(0)", r"cannot be run: SystemExit: 0 \(line 5\)"),
        ("1 / 0", r"cannot be run: ZeroDivisionError: division by zero \(line 5\)"),
        ("return None", r"cannot be run: TypeError: 'NoneType' object is not iterable"),
        ("return ['nothing']", r"gives an answer that cannot be used: str in the place of an Outcome"),
        ("return ()", r"answers for 0 of 1 slots"),
    ],
)
def test_a_rule_of_ones_own_that_fails_is_told(with_files: Path, what: str, reason: str) -> None:
    (with_files.parent / "market.py").write_text(
        "import sys\nfrom dataclasses import replace\nfrom commonwatt.market import MECHANISMS\n"
        f"def rule(frame, inputs, parameters):\n    {what}\n"
        'MINE = replace(MECHANISMS["sdr"], rule=rule)\n'
    )
    run = Simulation(load(with_files), with_files.parent, date(2026, 6, 15), 1, ledger="none")
    result = run.run()
    assert len(result.uncleared) == 24
    assert all(re.search(rf"market\.py {reason}\.$", sentence) for sentence in result.uncleared)
    assert "real_time" not in set(result.trades["stage"])
    run.close()


def test_a_mechanism_of_ones_own_may_have_dataclasses(with_files: Path) -> None:
    (with_files.parent / "market.py").write_text(
        f"from __future__ import annotations\nfrom dataclasses import dataclass\n{OWN_MARKET}"
        "@dataclass\nclass Mine:\n    share: float\n"
    )
    assert load(with_files).market[-1].mechanism == "market.py:MINE"


def test_a_mechanism_of_ones_own_that_does_not_end_is_left_behind(
    with_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "LOADING_TIME", 0.2)
    stop = with_files.parent / "stop"
    (with_files.parent / "market.py").write_text(
        f"import pathlib, time\nwhile not pathlib.Path({str(stop)!r}).exists():\n    time.sleep(0.01)\n"
    )
    try:
        with pytest.raises(ConfigError, match=r"market\.py cannot be run: it has not come to its end after 0\.2 s"):
            load(with_files)
    finally:
        stop.touch()


def test_a_price_file_dearer_than_the_highest_price_with_vat(with_files: Path) -> None:
    prices = with_files.parent / "retail.csv"
    prices.write_text(prices.read_text().replace(",0.3", ",900000").replace("price", "EUR/kWh"))
    with pytest.raises(
        DataError, match=r"retail\.csv: a kWh at 900000\.00 costs 1071000\.01 .* highest price is 1000000"
    ):
        build(Rules.of(load(with_files), with_files.parent, date(2026, 6, 15), 1), with_files.parent, 7)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes('name = "Grünau"'.encode("latin-1"))
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "latin.toml")


@dear(3)
@given(st.integers(1, 60), st.integers(0, 2**32))
def test_a_synthetic_village_is_a_community(homes: int, seed: int) -> None:
    text = village(homes, seed)
    members = parse(text, "village").members
    assert len(members) == homes
    assert all(1800 <= (load_.annual_kwh or 0) <= 7000 for member in members for load_ in member.loads)
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
