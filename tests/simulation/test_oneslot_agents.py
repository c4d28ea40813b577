"""One slot of agents and links from a file, cleared by negotiation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from slot_files import POSITIONS, written

from commonwatt.errors import ConfigError, MarketError
from commonwatt.simulation.oneslot import clear_file, in_words, insist_on_plan

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
