"""One slot from a file, cleared by any mechanism."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonwatt.errors import ConfigError
from commonwatt.exchange.oneslot import clear_file
from commonwatt.market import MECHANISMS, Orders, Positions

POSITIONS = "member,net_wh\na,500\nb,300\nc,-400\nd,0\n"
ORDERS = "order,member,side,wh,limit\n1,a,buy,500,0.30\n2,b,buy,300,0.20\n3,c,sell,400,0.10\n4,d,sell,0,0.10\n"
NEEDS = {"fixed": {"price": "0.2"}}


def written(folder: Path, text: str) -> Path:
    file = folder / "slot.csv"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("name", MECHANISMS)
@pytest.mark.parametrize("text", [POSITIONS, ORDERS])
def test_every_mechanism_clears_every_kind_of_file(tmp_path: Path, name: str, text: str) -> None:
    found = clear_file(name, written(tmp_path, text), "0.32", "0.08", NEEDS.get(name, {}))
    assert found["proof"]["holds"]
    traded = sum(trade["wh"] for trade in found["trades"])
    assert found["grid"] == {"import_wh": 800 - traded, "export_wh": 400 - traded}
    assert traded == 400
    assert all(0.08 <= float(trade["price"]) <= 0.32 for trade in found["trades"])


def test_the_pool_of_the_reference_table(tmp_path: Path) -> None:
    found = clear_file("sdr", written(tmp_path, POSITIONS), "0.20", "0.05", {})
    assert found["prices"] == {"sell": "0.080000", "buy": "0.140000"}
    assert [(trade["buyer"], trade["wh"]) for trade in found["trades"]] == [("a", 250), ("b", 150)]


def test_an_island_has_no_bound_on_prices(tmp_path: Path) -> None:
    text = "order,member,side,wh,limit\n1,a,buy,500,900\n2,b,sell,500,800\n"
    found = clear_file("uniform", written(tmp_path, text), None, None, {})
    assert 800 <= float(found["prices"]["local"]) <= 900


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("member,net_wh\na,1\na,2\n", ["row 3: member 'a' has a position already"]),
        ("member,net_wh\na,NaN\nb,1.5\n", ["row 2: net_wh is a whole number", "row 3: net_wh is a whole number"]),
        ("member,net_wh\na,1000000001\n", ["row 2: net_wh is between"]),
        ("member,net_wh\na\n", ["row 2: has 1 values; 2 are needed"]),
        (
            "order,member,side,wh,limit\n1,a,hold,-5,x\n1,b,buy,5,0.1\n",
            ["side is buy or sell", "wh is between 0", "decimal number", "order '1' is there already"],
        ),
        ("home,wh\n", ["the first line is 'member,net_wh' or"]),
        ("", ["the first line is"]),
    ],
)
def test_every_row_that_cannot_be_used_is_named(tmp_path: Path, text: str, findings: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        clear_file("uniform", written(tmp_path, text), "0.32", "0.08", {})
    told = str(caught.value)
    assert [finding for finding in findings if finding not in told] == []
    assert len(caught.value.findings) == len(findings)


def test_wrong_prices_and_parameters_are_named(tmp_path: Path) -> None:
    file = written(tmp_path, POSITIONS)
    with pytest.raises(ConfigError, match="less than --feed-in"):
        clear_file("sdr", file, "0.05", "0.20", {})
    with pytest.raises(ConfigError, match="--retail: 'cheap' is not a decimal number"):
        clear_file("sdr", file, "cheap", "0.20", {})
    with pytest.raises(ConfigError, match="is not a parameter of sdr"):
        clear_file("sdr", file, "0.2", "0.05", {"kappa": "1"})
    with pytest.raises(ConfigError, match="cannot be read"):
        clear_file("sdr", tmp_path / "nothing.csv", "0.2", "0.05", {})


def test_the_inputs_that_mechanisms_need_are_known() -> None:
    assert {mechanism.needs for mechanism in MECHANISMS.values()} >= {Orders, Positions}
