"""A run is written out whole, whatever market it has: bills, tables, report, and whose data it used."""

from __future__ import annotations

import ast
import doctest
import json
from datetime import date
from pathlib import Path

import pytest

from commonwatt.community.synthetic import village
from commonwatt.exchange.checking import load
from commonwatt.report import outputs
from commonwatt.report.export import TABLES
from commonwatt.report.notes import ODBL, notes
from commonwatt.report.outputs import write_outputs
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation

PAGE = Path(__file__).parents[2] / "docs" / "mechanisms" / "own.md"
START = date(2026, 6, 15)


def example() -> str:
    """The mechanism that docs/mechanisms/own.md shows."""
    (first, *_) = doctest.DocTestParser().get_examples(PAGE.read_text("utf-8"))
    (assignment,) = ast.parse(first.source).body
    assert isinstance(assignment, ast.Assign)
    return str(ast.literal_eval(assignment.value))


def own_market(folder: Path) -> Path:
    (folder / "half_price.py").write_text(example(), encoding="utf-8")
    text = village(4).replace('mechanism = "sdr"', 'mechanism = "half_price.py:HALF"')
    text = text.replace("[community]", '[community]\nslot = "1h"')
    file = folder / "village.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_run_with_a_market_of_its_own_is_written_out_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = simulate(own_market(tmp_path), START, 1, out=out)
    write_outputs(result, out)
    members = [member.id for member in result.community.members]
    assert sorted(path.stem for path in (out / "bills").iterdir()) == sorted(members)
    assert all(json.loads(path.read_text("utf-8"))["content"] for path in (out / "bills").iterdir())
    assert {path.stem for path in (out / "tables").iterdir()} == set(TABLES)
    page = (out / "report.html").read_text("utf-8")
    assert "half (an example), clears what the meters counted." in page
    result.close()


@pytest.mark.parametrize("step", ["trace", "write_report"])
def test_bills_are_written_even_where_the_page_cannot_be(
    with_ledger: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def unable(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(outputs, step, unable)
    with pytest.raises(RuntimeError):
        write_outputs(with_ledger, tmp_path)
    assert len(list((tmp_path / "bills").iterdir())) == len(with_ledger.community.members)
    assert (tmp_path / "tables" / "homes.csv").is_file()


MEMBERS: dict[str, str] = {
    "load": 'a = { load = "simbench:H0-A", annual_kwh = 3000 }',
    "heat pump": 'a = { load = "a", heat_pump = { profile = "simbench:Air_Parallel_1", annual_kwh = 4000 } }',
    "pv": 'a = { load = "a", pv = { profile = "simbench:PV5", kwp = 4 } }',
    "nothing": 'a = { load = "a" }',
}
TOML = """
[community]
name = "Sources"
currency = "EUR"
timezone = "Europe/Berlin"
slot = "1h"
profiles = "meters.csv"

[tariff]
retail = "0.30"
feed_in = "0.05"

[members]
"""


@pytest.mark.parametrize("what", MEMBERS)
def test_every_series_in_use_has_its_licence(tmp_path: Path, what: str) -> None:
    hours = (f"2026-06-{day:02}T{hour:02}:00Z,0.4" for day in range(1, 18) for hour in range(24))
    (tmp_path / "meters.csv").write_text("\n".join(["time,a_kw", *hours]), encoding="utf-8")
    (tmp_path / "c.toml").write_text(TOML + MEMBERS[what], encoding="utf-8")
    result = Simulation(load(tmp_path / "c.toml"), tmp_path, START, 1, ledger="none").run()
    told = "\n".join(text for subject, text in notes(result) if subject == "Data")
    result.close()
    assert (ODBL in told) == (what != "nothing")
