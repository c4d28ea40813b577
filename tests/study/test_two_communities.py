"""The study of two communities: whatever goes wrong, both posts become final or neither, and the money follows."""

from __future__ import annotations

import json

import pytest
from shell import Shell

from commonwatt.study.coupling.scenarios import SCENARIOS, drawn
from commonwatt.study.coupling.study import Study, run
from commonwatt.study.coupling.told import as_json, summary

NEITHER = {
    "A's post is false and struck",
    "B's post is false and struck",
    "A's operators are silent",
    "B's operators are silent",
    "the gateway is killed before it shows the key, for good",
}


@pytest.fixture(scope="module")
def study() -> Study:
    return run(len(SCENARIOS) + 2, seed=7)


def test_each_scenario_comes_before_any_comes_again() -> None:
    names = [each.name for each in drawn(2 * len(SCENARIOS), 3)]
    assert len({*names[: len(SCENARIOS)]}) == len({*names[len(SCENARIOS) :]}) == len(SCENARIOS)
    assert names != [each.name for each in drawn(2 * len(SCENARIOS), 4)]
    assert len(list(drawn(1, 3))) == 1


def test_both_or_neither_and_as_the_scenario_has_it(study: Study) -> None:
    assert len(study.runs) >= 20
    assert study.halves == 0
    assert {each.scenario for each in study.runs if not each.final_a} == NEITHER
    assert {each.scenario for each in study.both} == {each.name for each in SCENARIOS} - NEITHER


def test_only_what_is_final_moves_money_and_the_gateways_goes_from_a_to_b(study: Study) -> None:
    told = as_json(study)
    at_a, at_b = told["paid_in_a"], told["paid_in_b"]
    for each in told["runs"]:
        for moved in (each["moved_a"], each["moved_b"]):
            assert sum(moved.values()) == 0
            assert any(moved.values()) == each["final_a"] == each["final_b"]
        paid, had = -each["moved_a"]["gateway"], each["moved_b"]["gateway"]
        at_a, at_b = at_a - paid, at_b + had
        assert (each["gateway_a"], each["gateway_b"]) == (at_a, at_b)
        if each["final_a"]:
            members = len(each["moved_a"])
            assert 0 <= each["wh"] * each["price_a"] // 1_000 - paid < members
            assert had > paid
            assert each["saved_a"] > 0
            assert each["saved_b"] > 0
    assert at_a < told["paid_in_a"]
    assert at_b > told["paid_in_b"]


def test_the_command_tells_it(said: Shell) -> None:
    code, out, err = said("study", "coupling", "--runs", "2", "--seed", "5", "--json", "-")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [each["run"] for each in found["runs"]] == [1, 2]
    assert found["seed"] == 5
    code, out, _ = said("study", "coupling", "--runs", "1")
    assert code == 0
    assert "0 were half" in out


@pytest.mark.parametrize("runs", ["0", "201", "-1"])
def test_a_number_of_runs_out_of_range_is_refused(said: Shell, runs: str) -> None:
    code, _, err = said("study", "coupling", "--runs", runs)
    assert code == 2
    assert "is from 1 to 200" in err


def test_the_summary_says_what_both_save(study: Study) -> None:
    saved = sum(each.saved_a for each in study.both) / study.per_currency
    assert f"saves A's members {saved:.2f}" in summary(study)
