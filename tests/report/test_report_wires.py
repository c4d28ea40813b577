"""What the wires did not carry stands on the screen, in the report, among the figures and in a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from commonwatt.exchange.checking import load
from commonwatt.grid import check_grid
from commonwatt.report.export import write_tables
from commonwatt.report.findings import findings
from commonwatt.report.report import report_html
from commonwatt.report.screen import render, summary
from commonwatt.report.wires import strains, wires_table
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation
from commonwatt.study.compare.comparison import compare
from commonwatt.study.compare.table import notes

TOML = """
[community]
name = "Feeder"
currency = "EUR"
timezone = "Europe/Berlin"
slot = "1h"

[grid]
network = "simbench:{grid}"

[tariff]
retail = {retail}
feed_in = "0.05"

[market.day]
mechanism = "{market}"
gate = "10:00"
{parameters}

[members]
mill = {{ load = "simbench:G0-A", annual_kwh = {mill}, bus = "{bus}" }}
farm = {{ load = "simbench:H0-B", annual_kwh = 4000, pv = {{ profile = "simbench:PV5", kwp = {kwp} }}, bus = "{bus}" }}
"""
CASES: dict[str, dict[str, Any]] = {
    "carried": {"mill": 9000, "kwp": 8},
    "imports": {"mill": 900_000, "kwp": 5},
    "collapse": {"mill": 30_000_000, "kwp": 5},
}


def toml(retail: str = '"0.30"', market: str = "listings", parameters: str = "", **sizes: Any) -> str:
    wired = {"grid": "rural1", "bus": "LV1.101 Bus 8"}
    return TOML.format(retail=retail, market=market, parameters=parameters, **wired, **sizes)


def ran(folder: Path, *market: str, **sizes: Any) -> Result:
    file = folder / "community.toml"
    file.write_text(toml(*market, **sizes), encoding="utf-8")
    return Simulation(load(file), folder, date(2026, 6, 17), 1, ledger="none").run()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Result]]:
    found = {name: ran(tmp_path_factory.mktemp(name), **sizes) for name, sizes in CASES.items()}
    yield found
    for result in found.values():
        result.close()


def shown(result: Result) -> str:
    console = Console(width=100, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(render(result, ()))
    return " ".join(captured.get().split())


def test_overloads_by_imports_are_named_everywhere(runs: dict[str, Result]) -> None:
    result = runs["imports"]
    wires = result.rules.wires
    assert wires
    kw = result.arrays["net"] / 1000
    check = check_grid(wires.network, wires.network.total(wires.at, kw))
    worst = int(check.line_loading.argmax())
    assert check.line_loading[worst] > 1
    line = int(check.line[worst])
    ends = (wires.network.buses[end[line]] for end in (wires.network.lines.from_bus, wires.network.lines.to_bus))
    hour = f"at {result.slots['local'][worst]:%H:%M} on 17 June"
    told = f"line {line} ({' to '.join(ends)}) loaded to {100 * check.line_loading[worst]:.1f} % {hour}"
    count = int((check.line_loading > 1).sum())
    assert f"The wires: {told}; beyond 100 % in {count} slots." in shown(result)
    assert told in report_html(result)
    assert told in summary(result)["findings"][0]
    assert summary(result)["wires"]["slots_ok"] == int(check.ok.sum()) < 24


def test_slots_without_a_power_flow_are_never_silent(runs: dict[str, Result]) -> None:
    result = runs["collapse"]
    assert result.wires
    lost = int(np.isnan(result.wires.v_low).sum())
    told = f"no power flow exists in {lost} slots, first at"
    assert lost > 0
    assert told in shown(result)
    assert told in report_html(result)
    assert summary(result)["wires"]["slots_without_power_flow"] == lost
    json.dumps(summary(result), allow_nan=False)


def test_wires_that_carry_everything_are_no_finding_and_say_how_near_they_came(runs: dict[str, Result]) -> None:
    result = runs["carried"]
    assert findings(result) == []
    assert [strain.slots for strain in strains(result)] == [0, 0, 0, 0]
    assert "wires: line up to " in shown(result)
    assert "<ul class='findings'>" not in report_html(result)
    assert "The worst of the metered energy" in report_html(result)


@pytest.mark.parametrize("name", CASES)
def test_the_table_has_every_slot(runs: dict[str, Result], name: str, tmp_path: Path) -> None:
    result = runs[name]
    write_tables(result, tmp_path)
    table = pl.read_parquet(tmp_path / "wires.parquet")
    made = wires_table(result)
    assert made is not None
    assert table.equals(made)
    assert (tmp_path / "wires.csv").is_file()
    assert table.height == 24
    assert result.wires
    assert table["ok"].to_list() == result.wires.ok.tolist()
    assert table["v_low_bus"].null_count() == int(np.isnan(result.wires.v_low).sum())


def test_without_wires_there_is_nothing_to_say_of_them(small: Result, tmp_path: Path) -> None:
    assert (small.wires, strains(small), wires_table(small), summary(small)["wires"]) == (None, (), None, None)
    write_tables(small, tmp_path)
    assert not (tmp_path / "wires.csv").exists()


def test_a_plan_that_was_not_found_is_said(tmp_path: Path) -> None:
    result = ran(tmp_path, '"0.30"', "schedule", "iterations = 1", mill=9000, kwp=8)
    told = "The market: schedule found no plan for 24 slots; there everyone met the utility."
    assert told in shown(result)
    assert told in summary(result)["findings"]
    result.close()


@pytest.mark.parametrize(("gamma_max", "told"), [("30", True), ("0.01", False)])
def test_preferences_that_bar_every_trade_are_said(tmp_path: Path, gamma_max: str, told: bool) -> None:
    parameters = f'preference = "surplus"\nsurplus = "match"\ngamma_max = "{gamma_max}"'
    result = ran(tmp_path, '"0.30"', "bilateral", parameters, mill=9000, kwp=80)
    assert ("left any two neighbours nothing to gain" in "".join(findings(result))) == told
    assert bool(len(result.trades)) != told
    result.close()


def test_compare_says_once_what_the_wires_do_not_carry(runs: dict[str, Result], tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(toml(**CASES["imports"]), encoding="utf-8")
    found = compare(tmp_path / "c.toml", runs["imports"].rules.start, 1, ["sdr", "uniform"])
    told = [line for line in notes(found) if "The wires: line" in line]
    assert len(told) == 1
    assert told[0].startswith("utility only, sdr, uniform: The wires: line ")
    assert told[0].endswith(findings(runs["imports"])[0])


def test_a_price_of_no_use_under_a_price_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("time,price\n2026-06-01T00:00Z,0.2\n2026-07-01T00:00Z,0.2\n", encoding="utf-8")
    result = ran(tmp_path, '{ file = "p.csv" }', "fixed", 'price = "0.21"', mill=9000, kwp=80)
    assert findings(result) == [
        "The market: nothing was traded in day, price: a price of 0.21 is outside what a local kWh may cost, 0.05 to "
        "0.20; nothing would be traded."
    ]
    result.close()
