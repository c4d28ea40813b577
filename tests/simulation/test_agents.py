"""Homes with agents and forecasts of their own: on a chain, killed and continued, and when these fail."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import plant_owners
import pytest
from agent_cases import BAD_AGENTS, FORECASTERS, MEMORY
from by_slot import proven, verify_bill
from exchange_cases import AFTER, BILATERAL, HEAD, MEMBERS, START, TARIFF, all_rows, short_days, written

from commonwatt.community.model import Community
from commonwatt.errors import ConfigError, StoreError
from commonwatt.exchange.checking import load
from commonwatt.exchange.tables import orders as stored_orders
from commonwatt.report.findings import findings
from commonwatt.report.notes import notes
from commonwatt.simulation.api import simulate
from commonwatt.simulation.ordering import memories
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation

UNIFORM = '\n[market.day_ahead]\nmechanism = "uniform"\ngate = "12:00"\n'
PATIENCE = '\n[simulation]\ndeadline = "1s"\n'
NAMES = ("sun", "roof", "flat", "shop", "poor")
SUN, ROOF, FLAT, SHOP, POOR = range(5)


def file(folder: Path, *, key: str = "agent", market: str = UNIFORM + AFTER, **chosen: str) -> Path:
    """The small community beside files with agents and forecasters; some members with one of their own."""
    members = "\n".join(
        line.removesuffix(" }") + f', {key} = "{chosen[name]}" }}'
        if (name := line.partition(" ")[0]) in chosen
        else line
        for line in MEMBERS.replace("\\\n", "").splitlines()
    )
    path = written(folder, HEAD + TARIFF + market + members + PATIENCE)
    for name, text in (("bad.py", BAD_AGENTS), ("memory.py", MEMORY), ("sky.py", FORECASTERS)):
        (folder / name).write_text(text)
    return path


def ahead(result: Result) -> dict[str, int]:
    """What each member agreed to ahead of delivery [Wh]."""
    rows = result.trades.filter(result.trades["phase"] == "ahead")
    return {name: int(rows.filter((rows["buyer"] == name) | (rows["seller"] == name))["wh"].sum()) for name in NAMES}


MIXED = {"sun": "memory.py:PATIENT", "roof": "zip", "flat": "zero-intelligence", "poor": "bad.py:GREEDY"}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    with short_days():
        result = simulate(file(tmp_path_factory.mktemp("mixed"), **MIXED), START, 1)
    yield result
    result.close()


def test_a_day_of_mixed_agents_is_settled_and_every_bill_proves_itself(mixed: Result) -> None:
    traded = ahead(mixed)
    assert all(traded[name] > 0 for name in ("sun", "roof", "flat", "shop"))
    client = mixed.books.client
    assert client
    for bill in proven(mixed.books, mixed.bills):
        verify_bill(bill, client)


def test_orders_beyond_the_mandate_are_refused_with_the_reason_and_harm_nobody(mixed: Result, tmp_path: Path) -> None:
    assert ahead(mixed)["poor"] == 0
    said = [each for each in findings(mixed) if "refused" in each]
    assert len(said) == 1
    assert "The market: 8 orders refused; the first of poor: the order is for 60" in said[0]
    assert said[0].endswith(" Wh, the mandate allows at most 50000 here.")
    with short_days():
        laboratory = simulate(file(tmp_path / "lab", **MIXED), START, 1, ledger="none")
        silent = simulate(file(tmp_path / "silent", **MIXED | {"poor": "bad.py:SILENT"}), START, 1, ledger="none")
    # Without signatures nobody believes them either.
    assert [each for each in findings(laboratory) if "refused" in each] == said
    assert laboratory.trades.equals(silent.trades)
    for result in (laboratory, silent):
        result.close()


def test_of_several_members_each_one_s_reason_is_told(tmp_path: Path) -> None:
    with short_days():
        result = simulate(file(tmp_path, flat="bad.py:GREEDY", shop="bad.py:GREEDY"), START, 1, ledger="none")
    (said,) = [each for each in findings(result) if "refused" in each]
    assert re.fullmatch(
        r"The market: 16 orders refused; the first of flat: .* here; the first of shop: .* here\.", said
    )
    result.close()


def test_what_is_drawn_comes_from_the_community_s_seed(tmp_path: Path) -> None:
    trades = []
    for number, seed in enumerate(("one", "one", "other")):
        path = file(tmp_path / f"{number}", sun="zero-intelligence", flat="zip")
        path.write_text(path.read_text().replace("[community]", f'[community]\nseed = "{seed}"'))
        with short_days():
            result = simulate(path, START, 1, ledger="none")
        trades.append(result.trades)
        result.close()
    assert trades[0].equals(trades[1])
    assert not trades[0].equals(trades[2])


def test_the_notes_name_each_agent_and_its_homes(mixed: Result) -> None:
    said = [text for subject, text in notes(mixed) if subject == "Agent"]
    assert said == [
        "patient (an example) of sun.",
        "zip (ZIP, Cliff, HP Laboratories HPL-97-91) of roof.",
        "zero-intelligence (ZI-C, Gode and Sunder, doi:10.1086/261868) of flat.",
        "bad of poor.",
    ]


def test_an_agent_of_all_homes_is_noted_once_and_who_has_no_meter_asks_for_no_history(tmp_path: Path) -> None:
    path = file(tmp_path)
    chosen = 'agent = "memory.py:PATIENT"\nforecast = "perfect"'
    text = path.read_text().replace("[defaults]", f"[defaults]\n{chosen}")
    path.write_text(text.replace("[members]", '[members]\noffice = { role = "regulator", collateral = "0" }'))
    result = simulate(path, START, 1, ledger="none")
    told = notes(result)
    assert [text for subject, text in told if subject == "Agent"] == ["patient (an example) of all homes."]
    assert dict(told)["Forecast"].startswith("what will happen, as nobody can know it; orders follow")
    assert result.simulated.world.wanted == 0
    result.close()


def continued(community: Community, folder: Path, out: Path, lives: list[int]) -> dict[str, Any]:
    """Three days, some events of them in each life and the rest in the last one; what its agents remember then."""
    for events in [*lives, 1000]:
        run = Simulation(community, folder, date.fromisoformat(START), 3, ledger="none", out=out)
        for _ in range(events):
            run.advance()
        kept = {NAMES[row.member]: json.loads(row.state) for row in run.store.rows(memories)}
        assert run.exchange.next is None or events < 1000
        run.close()
    return kept


def test_agents_that_learn_go_on_as_if_nobody_had_ended_the_run(tmp_path: Path) -> None:
    path = file(tmp_path, sun="memory.py:PATIENT", roof="zip", flat="zip")
    community = load(path)
    whole = continued(community, tmp_path, tmp_path / "whole", [])
    assert whole["sun"]["gates"] == 3
    assert len({*whole["roof"]["margin"][1]}) > 5
    # After the first gate; before the second one, after it, and later.
    for number, lives in enumerate([[1], [13, 1, 20]]):
        assert continued(community, tmp_path, tmp_path / f"{number}", lives) == whole
        assert all_rows(tmp_path / f"{number}") == all_rows(tmp_path / "whole")


@pytest.mark.parametrize("name", ["memory.py", "sky.py"])
def test_a_run_goes_on_only_with_the_same_agents_and_forecasters(tmp_path: Path, name: str) -> None:
    path = file(tmp_path, sun="memory.py:PATIENT") if name == "memory.py" else file(
        tmp_path, key="forecast", sun="sky.py:YESTERDAY"
    )  # fmt: skip
    simulation = Simulation(load(path), tmp_path, date.fromisoformat(START), 1, ledger="none", out=tmp_path / "out")
    simulation.advance()
    simulation.close()
    before = all_rows(tmp_path / "out")
    (tmp_path / name).write_text((tmp_path / name).read_text() + "\n# better\n")
    with pytest.raises(StoreError, match="holds another run"):
        simulate(path, START, 1, ledger="none", out=tmp_path / "out")
    assert all_rows(tmp_path / "out") == before


def test_an_agent_that_fails_costs_its_home_the_orders_of_one_gate_and_nobody_else(tmp_path: Path) -> None:
    faults = {"flat": "bad.py:RAISES", "shop": "bad.py:SHORT", "poor": "bad.py:LOOPS"}
    failed = simulate(file(tmp_path / "failed", **faults), START, 1, ledger="none")
    silent = simulate(file(tmp_path / "silent", **dict.fromkeys(faults, "bad.py:SILENT")), START, 1, ledger="none")
    folder = tmp_path / "failed"
    gate = "ordered nothing at the gate of 2026-06-14 12:00 CEST"
    assert [each for each in findings(failed) if each.startswith("The agents")] == [
        f"The agents: flat {gate}: {folder}/bad.py: 'RAISES' cannot be run: KeyError: 'weather' (line 18).",
        f"The agents: shop {gate}: {folder}/bad.py: 'SHORT' answers what cannot be used: its buy_wh has the shape "
        "(23,), not (24,).",
        f"The agents: poor {gate}: {folder}/bad.py: 'LOOPS' did not answer within 1 s.",
    ]
    assert all(ahead(failed)[name] == 0 for name in faults)
    assert failed.trades.equals(silent.trades)
    assert failed.homes.equals(silent.homes)
    for result in (failed, silent):
        result.close()


def test_agents_that_nothing_depends_on_are_not_asked_and_it_is_said(tmp_path: Path) -> None:
    for number, market in enumerate((AFTER, BILATERAL + AFTER)):
        path = file(tmp_path / f"{number}", market=market, flat="bad.py:RAISES")
        result = simulate(path, START, 1, ledger="none")
        assert "The agents: none was asked, because no stage of the market takes orders before delivery." in findings(
            result
        )
        assert not [each for each in findings(result) if "ordered nothing" in each]
        result.close()


@pytest.mark.parametrize("market", [UNIFORM + AFTER, BILATERAL + AFTER], ids=["orders", "over the day"])
def test_a_home_whose_forecast_fails_trades_nothing_ahead(tmp_path: Path, market: str) -> None:
    """Sun has a battery, with which it could trade even if nothing were made or used."""
    path = file(tmp_path, key="forecast", market=market, sun="sky.py:HOLE")
    result = simulate(path, START, 1, ledger="none")
    traded = ahead(result)
    assert traded["sun"] == 0
    assert traded["roof"] > 0
    assert (
        "The forecast: sun ordered nothing at the gate of 2026-06-14 12:00 CEST: "
        f"{tmp_path}/sky.py: 'HOLE' forecasts nan Wh for 2026-06-15 07:00 CEST, not from 0 to 1000000000."
    ) in findings(result)
    result.close()


def test_a_home_expects_what_its_own_forecast_says(tmp_path: Path) -> None:
    """Who knows what will happen orders that; the others go by another day."""
    results = {
        name: simulate(file(tmp_path / name, key="forecast", roof=chosen), START, 1, ledger="none")
        for name, chosen in (("week", "last-week"), ("day", "sky.py:YESTERDAY"), ("truth", "perfect"))
    }
    orders = {}
    for name, result in results.items():
        world, first = result.simulated.world, result.simulated.world.first
        net = world.load[ROOF] - world.generation[ROOF]
        lag = {"week": 168, "day": 24, "truth": 0}[name]
        past = net[first - lag : first - lag + 24]
        if name == "day":  # of which the hours from eleven on are not known yet when agents decide
            past = np.concatenate([net[first - 24 : first - 13], net[first - 37 : first - 24]])
        agreed = np.maximum(-result.arrays["ahead"][ROOF], 0)
        assert (agreed <= np.maximum(-past, 0)).all()
        assert agreed.any()
        orders[name] = agreed.tolist()
    assert len({tuple(each) for each in orders.values()}) == 3
    told = {name: dict(notes(result))["Forecast"] for name, result in results.items()}
    others = "each home's own series at the same local time 7 days before"
    assert told["week"] == f"{others}; orders follow the forecast, bills the meters."
    assert told["day"].startswith(f"{others} of sun, flat, shop, poor; sky.py:YESTERDAY of roof; ")
    assert told["truth"].startswith(
        f"{others} of sun, flat, shop, poor; what will happen, as nobody can know it of roof"
    )
    for result in results.values():
        result.close()


EAGER = """
import numpy as np
from commonwatt.agents import Agent, Quotes

def rule(home, state):
    some = np.full(len(home.net), 500)
    return Quotes(some, home.ceiling, some, home.floor), {"gates": state.get("gates", 0) + 1}

EAGER = Agent("eager", rule)

class Nothing:
    history_days = 1

    def predict(self, history, past, horizon, timezone):
        with open(__file__ + ".asked", "a") as file:
            print(horizon.start, file=file)
        return np.zeros((1, horizon.count))

NOTHING = Nothing()
"""
"""One orders whatever its home needs, and one expects nothing and writes down that it was asked."""


def ordering_slots(result: Result, member: int) -> set[int]:
    """Starts of the slots for which a member has an order."""
    rows = result.exchange.store.columns(stored_orders, ("slot", "member"))
    return {slot for slot, each in rows if each == member}


def test_who_is_no_member_on_a_day_is_not_asked_about_it(tmp_path: Path) -> None:
    """The second gate still asks what it expects of the rest of its last day; the third asks nothing."""
    path = file(tmp_path, flat="eager.py:EAGER")
    (tmp_path / "eager.py").write_text(EAGER)
    chosen = 'flat = { until = 2026-06-15, forecast = "eager.py:NOTHING",'
    path.write_text(path.read_text().replace("flat = {", chosen))
    result = simulate(path, START, 3)
    assert ordering_slots(result, FLAT) == set(result.period.starts[:24].tolist())
    (memory,) = (json.loads(row.state) for row in result.exchange.store.rows(memories) if row.member == FLAT)
    assert memory == {"gates": 1}
    asked = (tmp_path / "eager.py.asked").read_text().split()
    assert len(asked) == 4  # load and generation
    assert not [each for each in findings(result) if "flat" in each]
    result.close()


def test_an_owner_who_is_no_member_on_a_day_orders_nothing_of_its_plant(tmp_path: Path) -> None:
    """What the plant makes is still the owner's; the community buys it after delivery, and not by an order."""
    text = plant_owners.TEXT.replace("flat = {", "flat = { until = 2026-06-14,")
    with short_days():
        result = simulate(written(tmp_path, text), START, 1)
    assert not ordering_slots(result, plant_owners.FLAT)
    assert ordering_slots(result, plant_owners.SUN)
    result.close()


def test_wrong_names_are_findings_each_told_once(tmp_path: Path) -> None:
    path = file(tmp_path, sun="zipp", roof="zipp", flat="memory.py:ME", shop="sky.py:YESTERDAY")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [str(each) for each in caught.value.findings] == [
        "members.sun.agent: there is no agent 'zipp'; did you mean 'zip'?",
        f"members.flat.agent: {tmp_path}/memory.py has no agent called 'ME'",
        f"members.shop.agent: {tmp_path}/sky.py has no agent called 'YESTERDAY'; it is of the type a forecaster",
    ]
    path = file(tmp_path, key="forecast", sun="last-weak", roof="memory.py:PATIENT")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [str(each) for each in caught.value.findings] == [
        "members.sun.forecast: there is no forecaster 'last-weak'; did you mean 'last-week'?",
        f"members.roof.forecast: {tmp_path}/memory.py has no forecaster called 'PATIENT'; it is of the type an agent",
    ]
