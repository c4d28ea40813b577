"""One slot from a file, cleared by any mechanism."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from slot_files import POSITIONS, written

from commonwatt.errors import ConfigError, DataError, MarketError
from commonwatt.market import MECHANISMS, Events, Neighbourhood, Orders, Positions
from commonwatt.simulation.oneslot import clear_file, in_words, read_slot

ORDERS = "order,member,side,wh,limit\n1,a,buy,500,0.30\n2,b,buy,300,0.20\n3,c,sell,400,0.10\n4,d,sell,0,0.10\n"
NEEDS = {"fixed": {"price": "0.2"}}


FROM_TABLES = [name for name, mechanism in MECHANISMS.items() if mechanism.needs in (Orders, Positions, Events)]


@pytest.mark.parametrize("name", FROM_TABLES)
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


BY_ORDERS = [name for name in FROM_TABLES if MECHANISMS[name].needs is not Positions]
POOLS = [name for name in FROM_TABLES if MECHANISMS[name].needs is Positions]
HEAD = "order,member,side,wh,limit\n"


@pytest.mark.parametrize("name", FROM_TABLES)
@pytest.mark.parametrize(
    ("buy", "sell"), [("0.12", "0.28"), ("0.09", "0.31"), ("0.08", "0.09"), ("0.31", "0.32"), ("-0.05", "0.01")]
)
def test_no_limit_is_broken_and_who_is_left_out_meets_the_utility(
    tmp_path: Path, name: str, buy: str, sell: str
) -> None:
    rows = f"1,shop,buy,900,{buy}\n2,roof,sell,700,{sell}\n"
    found = clear_file(name, written(tmp_path, HEAD + rows), "0.32", "0.08", NEEDS.get(name, {}))
    assert found["trades"] == []
    assert found["grid"] == {"import_wh": 900, "export_wh": 700}


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_without_the_unwilling_serves_the_others(tmp_path: Path, name: str) -> None:
    rows = "1,a,buy,400,0.32\n2,b,buy,400,0.08\n3,c,sell,300,0.08\n4,d,sell,900,0.32\n"
    found = clear_file(name, written(tmp_path, HEAD + rows), "0.32", "0.08", {})
    assert [(t["seller"], t["buyer"]) for t in found["trades"]] == [("c", "a")]
    assert {check["name"]: check["figure"] for check in found["proof"]["checks"]}["asked"] == 0


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize(
    "rows",
    [
        "1,a,buy,500,0.30\n2,a,sell,200,0.10\n3,b,sell,300,0.10\n",
        "1,a,buy,500,0.30\n2,a,buy,200,0.10\n3,b,sell,300,0.10\n",
        "1,b,sell,300,0.10\n2,a,sell,1,0.10\n3,a,sell,1,0.11\n",
    ],
)
def test_a_pool_takes_no_orders_that_are_not_one_position(tmp_path: Path, name: str, rows: str) -> None:
    with pytest.raises(ConfigError, match="member 'a': has orders on both sides or with several limits"):
        clear_file(name, written(tmp_path, HEAD + rows), "0.32", "0.08", {})


def test_orders_of_one_side_and_limit_are_one_position(tmp_path: Path) -> None:
    parts = "1,a,buy,500,0.30\n2,a,buy,200,0.30\n3,b,sell,350,0.10\n"
    found = clear_file("mid-market", written(tmp_path, HEAD + parts), "0.32", "0.08", {})
    assert [(t["buyer"], t["wh"]) for t in found["trades"]] == [("a", 350)]


@pytest.mark.parametrize("name", FROM_TABLES)
@pytest.mark.parametrize("prices", [(None, None), ("0.32", None), (None, "0.08")])
def test_no_price_is_made_up_for_positions(tmp_path: Path, name: str, prices: tuple[str | None, str | None]) -> None:
    with pytest.raises(ConfigError, match="give --retail and --feed-in"):
        clear_file(name, written(tmp_path, POSITIONS), *prices, NEEDS.get(name, {}))
    if name in POOLS:
        with pytest.raises(ConfigError, match="its prices lie between the utility's; give --retail and --feed-in"):
            clear_file(name, written(tmp_path, ORDERS), *prices, {})


@pytest.mark.parametrize("name", BY_ORDERS)
@pytest.mark.parametrize(
    "rows",
    [
        "",
        "1,a,buy,0,0.30\n2,b,sell,0,0.10\n",
        "1,a,buy,700,0.30\n",
        "1,b,sell,700,0.10\n",
        "1,a,buy,700,0.05\n2,b,sell,700,0.06\n",
        "1,a,buy,700,0.30\n2,a,sell,700,0.10\n",
    ],
)
def test_without_a_utility_nothing_but_orders_makes_a_price(tmp_path: Path, name: str, rows: str) -> None:
    found = clear_file(name, written(tmp_path, HEAD + rows), None, None, NEEDS.get(name, {}))
    assert found["trades"] == []
    assert found["grid"] == {"import_wh": 0, "export_wh": 0}
    assert all(0.05 <= float(price) <= 0.30 for price in found["prices"].values())


@pytest.mark.parametrize("name", FROM_TABLES)
@pytest.mark.parametrize(
    "text", [HEAD, HEAD + "1,x,sell,0,0.2\n2,y,buy,0,0.2\n", "member,net_wh\n", "member,net_wh\nx,0\ny,0\n"]
)
def test_nothing_wanted_is_nothing_traded(tmp_path: Path, name: str, text: str) -> None:
    found = clear_file(name, written(tmp_path, text), "0.32", "0.08", NEEDS.get(name, {}))
    assert found["trades"] == []
    assert found["grid"] == {"import_wh": 0, "export_wh": 0}
    assert found["unmet_wh"] == {}


def test_what_no_utility_provides_or_takes_is_said(tmp_path: Path) -> None:
    rows = "1,a,buy,800,0.30\n2,b,sell,500,0.10\n3,c,buy,40,0.05\n"
    for retail, feed_in, unmet in (
        ("0.32", "0.08", {}),
        (None, "0.08", {"a": 300}),
        (None, None, {"a": 300, "c": 40}),
    ):
        found = clear_file("pay-as-bid", written(tmp_path, HEAD + rows), retail, feed_in, {})
        assert {member: wh for member, wh in found["unmet_wh"].items() if member == "a" or not feed_in} == unmet
        assert ("not served: a 300 Wh" in " ".join(in_words(found))) == bool(unmet)


def test_a_refused_order_is_called_as_in_the_file_and_its_member_meets_the_utility(tmp_path: Path) -> None:
    rows = "none,a,buy,0,0.30\neager,a,buy,500,0.60\nfair,b,sell,200,0.10\n"
    found = clear_file("uniform", written(tmp_path, HEAD + rows), "0.32", "0.08", {})
    assert found["diagnostics"]["order eager"] == "refused: its limit 600000 is above the ceiling 320000"
    assert "refused: 1 of the orders; --json says why" in list(in_words(found))
    for outside in ("clamp", "refuse"):
        found = clear_file("continuous", written(tmp_path, HEAD + rows), "0.32", "0.08", {"outside": outside})
        traded = sum(trade["wh"] for trade in found["trades"])
        assert traded == (200 if outside == "clamp" else 0)
        assert found["grid"] == {"import_wh": 500 - traded, "export_wh": 200 - traded}


def test_a_broken_promise_of_the_one_slot_names_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = MECHANISMS["uniform"]

    def dear(*given: Any) -> Any:
        return tuple(
            replace(outcome, trades=replace(outcome.trades, price=outcome.trades.price + 150_000))
            for outcome in honest.rule(*given)
        )

    monkeypatch.setitem(MECHANISMS, "uniform", replace(honest, rule=dear))
    file = tmp_path / "orders.csv"
    file.write_text("order,member,side,wh,limit\na,x,buy,500,0.20\nb,y,sell,500,0.20\n", "utf-8")
    told = "^uniform broke its promise, by 0.15 of the currency per kWh beyond a member's price limit.$"
    with pytest.raises(MarketError, match=told):
        clear_file("uniform", file, "0.32", "0.08", {})


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
        ("member,net_wh\na\n", ["row 2: has 1 value; 2 are needed"]),
        (
            "order,member,side,wh,limit\n1,a,hold,-5,x\n1,b,buy,5,0.1\n",
            ["side is buy or sell", "wh is between 0", "decimal number", "order '1' is there already"],
        ),
        ("member,net_wh\n\na,500\n\n\nb,x\n", ["row 6: net_wh is a whole number of Wh, not 'x'"]),
        ("\nmember;net_wh;\na;1_000;\nb;５;\n", ["row 3: net_wh is a whole", "row 4: net_wh is a whole"]),
        ("member,net_wh\na,1,2\n", ["row 2: has 3 values; 2 are needed"]),
        ("member,net_wh\na," + "9" * 30, ["row 2: net_wh is between"]),
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


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffmember,net_wh\r\na,500\r\n\r\nb,300\r\nc,-400\r\nd,0\r\n\r\n",
        "sep=;\nmember;net_wh;\na;500;\nb;300;\nc;-400;\nd;0;\n;;\n",
        '"member", net_wh\na, 500\nb,+300\nc,-400\nd,0',
    ],
    ids=["with a mark", "as Excel saves it", "with spaces"],
)
def test_a_slot_as_a_spreadsheet_saves_it(tmp_path: Path, text: str) -> None:
    found, plain = read_slot(written(tmp_path, text)), read_slot(written(tmp_path, POSITIONS))
    assert (found.members, found.net) == (plain.members, plain.net)


def test_a_slot_that_has_no_end_is_not_begun(tmp_path: Path) -> None:
    for name in ("sdr", "bilateral"):
        (tmp_path / name).symlink_to("/dev/zero")
        with pytest.raises(DataError, match="cannot be read: it is no regular file"):
            clear_file(name, tmp_path / name, "0.2", "0.05", {})


def test_wrong_prices_and_parameters_are_named(tmp_path: Path) -> None:
    file = written(tmp_path, POSITIONS)
    with pytest.raises(ConfigError, match="less than --feed-in"):
        clear_file("sdr", file, "0.05", "0.20", {})
    with pytest.raises(ConfigError, match="--retail: 'cheap' is not a decimal number"):
        clear_file("sdr", file, "cheap", "0.20", {})
    with pytest.raises(ConfigError, match="is not a parameter of sdr"):
        clear_file("sdr", file, "0.2", "0.05", {"kappa": "1"})
    with pytest.raises(DataError, match="cannot be read: there is no such file"):
        clear_file("sdr", tmp_path / "nothing.csv", "0.2", "0.05", {})


def test_what_clears_whole_days_on_wires_says_what_to_use_instead(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="schedule clears whole days of a community; use 'commonwatt simulate'"):
        clear_file("schedule", written(tmp_path, POSITIONS), "0.3", "0.1", {})


def test_the_inputs_that_mechanisms_need_are_known() -> None:
    assert {mechanism.needs for mechanism in MECHANISMS.values()} >= {Orders, Positions, Events, Neighbourhood}
