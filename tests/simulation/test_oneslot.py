"""One slot from a file, cleared by any mechanism."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commonwatt.errors import ConfigError, DataError, MarketError
from commonwatt.market import MECHANISMS, Events, Neighbourhood, Orders, Positions
from commonwatt.simulation.oneslot import clear_file, in_words, insist_on_plan, read_slot

POSITIONS = "member,net_wh\na,500\nb,300\nc,-400\nd,0\n"
ORDERS = "order,member,side,wh,limit\n1,a,buy,500,0.30\n2,b,buy,300,0.20\n3,c,sell,400,0.10\n4,d,sell,0,0.10\n"
NEEDS = {"fixed": {"price": "0.2"}}


def written(folder: Path, text: str) -> Path:
    file = folder / "slot.csv"
    file.write_text(text, encoding="utf-8")
    return file


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


AGENTS = [
    {"id": "pv", "a": 1, "b": 2, "p_min": 0, "p_max": 10},
    {"id": "shop", "a": 1, "b": 8, "p_min": -5, "p_max": 0},
    {"id": "mill", "a": 1, "b": 10, "p_min": -5, "p_max": 0},
]


def agents(folder: Path, agents: object = AGENTS, **more: object) -> Path:
    return written(folder, json.dumps({"agents": agents, **more}))


def test_agents_without_links_find_the_one_price_of_a_pool(tmp_path: Path) -> None:
    found = clear_file("bilateral", agents(tmp_path), None, None, {"gap": "0.000001"})
    assert {trade["price"] for trade in found["trades"]} == {"6.666667"}
    assert {trade["seller"] for trade in found["trades"]} == {"pv"}
    assert sum(trade["wh"] for trade in found["trades"]) == pytest.approx(4667, abs=1)
    assert found["grid"] == {"import_wh": 0, "export_wh": 0}
    assert found["proof"]["holds"]
    assert found["diagnostics"]["converged"] == 1


def test_a_utility_bounds_what_agents_pay(tmp_path: Path) -> None:
    found = clear_file("bilateral", agents(tmp_path), "5", "1", {"roles": "free"})
    # At 5 the pv makes 3 kW for neighbours; shop takes 3 kW at a marginal value of 5, mill 5 kW, the rest from outside.
    assert sum(trade["wh"] for trade in found["trades"]) == pytest.approx(3000, abs=2)
    assert found["grid"] == {"import_wh": pytest.approx(5000, abs=3), "export_wh": 0}
    only_buys = clear_file("bilateral", agents(tmp_path, AGENTS[:1]), None, "5", {})
    assert only_buys["grid"] == {"import_wh": 0, "export_wh": 3000}


def test_only_linked_agents_trade(tmp_path: Path) -> None:
    links = [{"a": "shop", "b": "pv", "preference": 0.5}]
    found = clear_file("bilateral", agents(tmp_path, links=links), None, None, {})
    # p + 2 = 8 − q less both ends' preference of 0.5, and p = q.
    assert [(t["buyer"], t["seller"], t["wh"], t["price"]) for t in found["trades"]] == [
        ("shop", "pv", 2500, "5.000000")
    ]


def test_an_island_that_cannot_serve_its_load_trades_nothing_and_says_so(tmp_path: Path) -> None:
    needy = [{**AGENTS[1], "p_max": -1}, {**AGENTS[2], "p_max": -1}]
    found = clear_file("bilateral", agents(tmp_path, needy), None, None, {"iterations": "200"})
    assert found["trades"] == []
    assert found["diagnostics"]["converged"] == 0
    assert found["diagnostics"]["unmet_kw"] >= 1
    assert sum(found["unmet_wh"].values()) == 2000
    json.dumps(found, allow_nan=False)


MUST = [
    {"id": "mill", "a": 0, "b": 0, "p_min": 1.5, "p_max": 1.5},
    {"id": "farm", "a": 0, "b": 0, "p_min": -1.5, "p_max": -1.5},
    {"id": "shed", "a": 0, "b": 0, "p_min": 0, "p_max": 0},
]


@pytest.mark.parametrize("roles", ["forecast", "free"])
@pytest.mark.parametrize("prices", [("0.40", "0.06"), (None, None)])
@pytest.mark.parametrize("preference", [{}, {"preference": "surplus", "gamma_max": "0.01"}])
def test_who_must_run_trades(
    tmp_path: Path, roles: str, prices: tuple[str | None, str | None], preference: dict[str, str]
) -> None:
    found = clear_file("bilateral", agents(tmp_path, MUST), *prices, {"roles": roles, **preference})
    assert [(t["seller"], t["buyer"], t["wh"]) for t in found["trades"]] == [("mill", "farm", 1500)]
    assert found["grid"] == {"import_wh": 0, "export_wh": 0}
    assert found["unmet_wh"] == {}


@pytest.mark.parametrize(("b", "least", "most"), [((0, 0), 0, 0), ((3, 3), 3, 3), ((2, 9), 2, 9)])
def test_no_price_between_agents_that_must_run_is_made_up(
    tmp_path: Path, b: tuple[float, float], least: float, most: float
) -> None:
    ends = [{**agent, "b": worth} for agent, worth in zip(MUST[:2], b, strict=True)]
    (trade,) = clear_file("bilateral", agents(tmp_path, ends), None, None, {})["trades"]
    assert least <= float(trade["price"]) <= most


def test_preferences_that_leave_nothing_to_gain_are_said(tmp_path: Path) -> None:
    links = [{"a": "mill", "b": "farm", "preference": 0.2}]
    found = clear_file("bilateral", agents(tmp_path, MUST, links=links), "0.40", "0.06", {})
    assert found["trades"] == []
    assert "the preferences leave nothing to gain between any two" in list(in_words(found))
    links[0]["preference"] = 0.16
    assert clear_file("bilateral", agents(tmp_path, MUST, links=links), "0.40", "0.06", {})["trades"]


@pytest.mark.parametrize("prices", [("0", "0"), ("0.3", "0.1"), (None, None)])
@pytest.mark.parametrize("curve", [{"a": 0, "b": 0}, {"a": 1, "b": 0}])
def test_agents_without_power_or_without_money_are_plain_figures(
    tmp_path: Path, prices: tuple[str | None, str | None], curve: dict[str, int]
) -> None:
    for low, high in ((0, 0), (-3, 0), (0, 2)):
        only = [{"id": "x", **curve, "p_min": low, "p_max": high}]
        found = clear_file("bilateral", agents(tmp_path, only), *prices, {"iterations": "500"})
        assert (found["trades"], found["unmet_wh"]) == ([], {})
        json.dumps(found, allow_nan=False)
        insist_on_plan(found)


def test_nobody_to_trade_with_is_another_thing_than_no_plan(tmp_path: Path) -> None:
    two = [MUST[1], {**MUST[1], "id": "barn"}]
    served = clear_file("bilateral", agents(tmp_path, two), "0.40", "0.06", {})
    assert (served["diagnostics"]["routes"], served["diagnostics"]["converged"]) == (0, 1)
    assert "nobody can trade with anybody" in "\n".join(in_words(served))
    insist_on_plan(served)
    island = clear_file("bilateral", agents(tmp_path, two), None, None, {})
    assert island["unmet_wh"] == {"farm": 1500, "barn": 1500}
    assert island["diagnostics"]["iterations"] < 100
    with pytest.raises(MarketError, match="Nobody can trade with anybody; 3000 Wh are not served and 0 Wh not taken"):
        insist_on_plan(island)
    short = clear_file(
        "bilateral", agents(tmp_path, [{**MUST[0], "p_min": 1, "p_max": 1}, *two]), None, None, {"iterations": "100"}
    )
    told = "did not converge in 100 rounds, so nobody trades; 3000 Wh are not served and 1000 Wh"
    with pytest.raises(MarketError, match=told):
        insist_on_plan(short)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "is a list of agents with id"),
        ([{**AGENTS[0], "a": float("nan")}], "is not JSON: NaN is no number"),
        ([{**AGENTS[0], "b": float("inf")}], "is not JSON: Infinity is no number"),
        ([{**AGENTS[0], "p_max": None}], "agents[0].p_max: is a number; it is missing"),
        ([{**AGENTS[0], "p_max": True}], "agents[0].p_max: is a number; it is not true"),
        ([{**AGENTS[0], "p_max": 1e9}], "agents[0].p_max: is at most 1e+06 without sign"),
        ([{**AGENTS[0], "p_max": 10**400}], "is not JSON: a number has more than 78 digits"),
        ([{**AGENTS[0], "a": -1}], "agent 'pv', a: is negative"),
        ([{**AGENTS[0], "p_min": 11}], "agent 'pv', p_min: is above p_max"),
        ([AGENTS[0], AGENTS[0]], "agents[1].id: 'pv' is there already"),
        ([{**AGENTS[0], "id": 7}], "agents[0].id: is a name in quotes"),
        ([{**AGENTS[0], "colour": "red"}], "agents[0].colour: is not known here; known are a, b, id, p_max, p_min"),
        (["pv"], "agents[0]: is an object with a, b, id, p_max, p_min"),
    ],
)
def test_agents_that_cannot_be_used_are_named(tmp_path: Path, given: object, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        clear_file("bilateral", agents(tmp_path, given), None, None, {})
    assert told in str(caught.value)


def test_a_key_of_an_agent_stands_once(tmp_path: Path) -> None:
    text = json.dumps({"agents": AGENTS}).replace('"p_max": 10', '"p_max": 10, "p_max": 1')
    with pytest.raises(ConfigError) as caught:
        clear_file("bilateral", written(tmp_path, text), None, None, {})
    assert "'p_max' stands there twice" in str(caught.value)


@pytest.mark.parametrize(
    ("links", "told"),
    [
        ({}, "links: is a list of links"),
        ([], "links: is a list of links with a, b and preference; without it everyone may trade"),
        ([{"a": "pv", "b": "nobody"}], 'links[0].b: there is no agent "nobody"'),
        ([{"a": "pv", "b": ["shop"]}], 'links[0].b: there is no agent ["shop"]'),
        ([{"a": "pv", "b": "pv"}], "links[0]: joins 'pv' with itself"),
        ([{"a": "pv", "b": "shop", "preference": -1}], "links[0].preference: is 0 or more, not -1"),
        ([{"a": "pv", "b": "shop"}, {"a": "shop", "b": "pv"}], "which are joined already"),
    ],
)
def test_links_that_cannot_be_used_are_named(tmp_path: Path, links: object, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        clear_file("bilateral", agents(tmp_path, links=links), None, None, {})
    assert told in str(caught.value)


def test_the_wrong_kind_of_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not JSON"):
        clear_file("bilateral", written(tmp_path, POSITIONS), None, None, {})
    with pytest.raises(ConfigError, match="the first line is 'member,net_wh' or"):
        clear_file("sdr", agents(tmp_path), "0.3", "0.1", {})
    with pytest.raises(ConfigError, match="is an object with agents, links"):
        clear_file("bilateral", written(tmp_path, "[1]"), None, None, {})
    with pytest.raises(ConfigError, match="is not JSON"):
        clear_file("bilateral", written(tmp_path, "[" * 100_000), None, None, {})


def test_agents_that_two_readers_would_read_differently_are_refused(tmp_path: Path) -> None:
    file = agents(tmp_path, AGENTS)
    honest = file.read_text("utf-8")
    file.write_bytes(b"\xef\xbb\xbf" + honest.encode())
    assert clear_file("bilateral", file, None, "5", {})["grid"]
    for changed, told in (
        (honest.replace('"p_min":', '"p_min": 3, "p_min":', 1), "'p_min' stands there twice"),
        (honest.replace('"p_min":', '"p_min": 1e999, "p_max":', 1), "1e999 is beyond all bounds"),
        ("[" * 5000, "nested more than 64 deep"),
    ):
        file.write_text(changed, "utf-8")
        with pytest.raises(ConfigError, match=told):
            clear_file("bilateral", file, None, "5", {})
