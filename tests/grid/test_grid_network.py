from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from grid_cases import CASES, line_of, read_case

from commonwatt.data import grid_names, read_grid
from commonwatt.errors import ConfigError
from commonwatt.grid.network import Lines, Network

FEEDER = line_of(4)
STATION = read_case(next(folder for folder in CASES if folder.name == "transformer"))[0]


def findings(grid: Network, **changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        replace(grid, **changes)
    return [str(finding) for finding in caught.value.findings]


def with_line(line: int, **changes: Any) -> Lines:
    """The feeder's lines, with one value of some columns changed."""
    columns = {name: getattr(FEEDER.lines, name).copy() for name in Lines.__dataclass_fields__}
    for name, value in changes.items():
        columns[name][line] = value
    return Lines(**columns)


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"r_ohm": 0.0, "x_ohm": 0.0}, "line 1: impedance is zero; give both ends as one bus"),
        ({"r_ohm": np.nan}, "line 1: an impedance or capacitance is not a number"),
        ({"r_ohm": -0.1}, "line 1: resistance or capacitance is negative"),
        ({"max_a": 0.0}, "line 1: the largest current must be a positive number"),
        ({"max_a": np.nan}, "line 1: the largest current must be a positive number"),
        ({"to_bus": 9}, "line 1: an end is not in the 4 buses"),
        ({"from_bus": -1}, "line 1: an end is not in the 4 buses"),
        ({"to_bus": 1}, "line 1: both ends are the same bus"),
    ],
)
def test_a_wrong_line_is_named(changes: dict[str, float], finding: str) -> None:
    assert findings(FEEDER, lines=with_line(1, **changes)) == [finding]


def test_an_island_is_named() -> None:
    cut = with_line(1, from_bus=3, to_bus=2)
    assert findings(FEEDER, lines=replace(cut, from_bus=np.array([0, 3, 2]), to_bus=np.array([1, 2, 3]))) == [
        "buses: no path to the slack from 'bus 2', 'bus 3'"
    ]


def test_all_findings_come_at_once() -> None:
    found = findings(FEEDER, slack=7, slack_pu=400.0, kv=np.array([0.4, 0.4, np.nan, 0.4]))
    assert [finding.partition(":")[0] for finding in found] == ["buses", "slack", "slack_pu"]


def test_columns_of_different_length_are_found() -> None:
    assert findings(FEEDER, lines=replace(FEEDER.lines, r_ohm=np.ones(2))) == ["lines: the columns differ in length"]
    assert findings(FEEDER, kv=np.ones(2)) == ["buses: 4 buses need 4 nominal voltages, not shape (2,)"]


def test_a_bus_given_twice_is_found() -> None:
    assert findings(FEEDER, buses=("a", "b", "a", "c")) == ["buses: 'a' is given more than once"]


def test_a_line_between_voltage_levels_is_found() -> None:
    assert findings(FEEDER, kv=np.array([20.0, 0.4, 0.4, 0.4])) == ["line 0: the ends have different nominal voltages"]


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"hv_kv": 20_000.0}, "transformer: a rated voltage is more than 20 % off its bus"),
        ({"lv_bus": 0}, "transformer: 0 and 0 are not two of the 2 buses"),
        ({"kva": 0.0}, "transformer: rated power and voltages must be positive"),
        ({"vkr_percent": 5.0}, "transformer: needs 0 < vk_percent < 100 and 0 <= vkr_percent <= vk_percent"),
        ({"iron_kw": np.nan}, "transformer: needs iron_kw >= 0, i0_percent >= 0 and tap_percent within 50"),
    ],
)
def test_a_wrong_transformer_is_found(changes: dict[str, Any], finding: str) -> None:
    assert STATION.transformer
    assert findings(STATION, transformer=replace(STATION.transformer, **changes)) == [finding]


def test_homes_find_their_bus_and_add_up_there() -> None:
    at = FEEDER.at(["bus 3", "bus 1", "bus 3"])
    assert at.tolist() == [3, 1, 3]
    assert FEEDER.total(at, np.array([[1.0, 2.0], [4.0, 5.0], [-3.0, 0.5]])).tolist() == [
        [0.0, 0.0],
        [4.0, 5.0],
        [0.0, 0.0],
        [-2.0, 2.5],
    ]


def test_an_unknown_bus_is_named_with_its_home() -> None:
    with pytest.raises(ConfigError, match="home 1: 'bus 9' is no bus of the grid"):
        FEEDER.at(["bus 3", "bus 9"])


@pytest.mark.parametrize("name", grid_names())
def test_packaged_grids_are_valid(name: str) -> None:
    grid = Network.of(read_grid(name))
    assert grid.name == name
    assert grid.kv[grid.slack] == max(grid.kv)


def test_a_tap_on_the_low_side_raises_the_low_voltage() -> None:
    tables = read_grid("simbench:rural1")
    assert tables.transformer
    low = Network.of(replace(tables, transformer=replace(tables.transformer, tap=1, tap_percent=2.0, tap_side="lv")))
    assert low.transformer
    assert low.transformer.lv_kv == pytest.approx(0.408)
    assert low.transformer.tap_percent == 0
