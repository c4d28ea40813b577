"""A sweep: one row for each combination and day, as its runs made singly; what is wrong is said before the first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from exchange_cases import START, short_days, written

import commonwatt
from commonwatt.errors import CommonwattError, ConfigError, DataError
from commonwatt.report.metrics import figures

NEXT = "2026-06-16"
BATTERIES = "members.*.battery.kwh"
RETAIL = "tariff.retail"
OWN = "from commonwatt.market import MECHANISMS\nMINE = MECHANISMS['sdr']\n"
PRICES = "time,price\n2026-06-15T00:00,0.05\n2026-06-15T12:00,0.06\n"


@pytest.fixture(autouse=True)
def _short(request: pytest.FixtureRequest) -> Iterator[None]:
    """Days are short, but in processes of their own, which know nothing of that."""
    if "processes" in request.node.name:
        yield
        return
    with short_days():
        yield


def test_each_row_is_what_a_run_of_its_own_gives(tmp_path: Path) -> None:
    file = written(tmp_path)
    table = commonwatt.sweep(file, {BATTERIES: [0, 6], RETAIL: ["0.30", "0.45"]}, start=[START, NEXT])
    assert table.columns[:5] == [BATTERIES, RETAIL, "start", "days", "error"]
    assert table.height == 8
    assert table["start"].to_list() == [date.fromisoformat(START)] * 4 + [date.fromisoformat(NEXT)] * 4
    assert table["error"].null_count() == 8
    community = commonwatt.load(file)
    for row in table.iter_rows(named=True):
        changed = community.with_({key: row[key] for key in (BATTERIES, RETAIL)})
        result = commonwatt.simulate(changed, row["start"], ledger="none")
        homes, found = result.homes, figures(result)
        for name in ("load_wh", "generation_wh", "import_wh", "export_wh"):
            assert row[name] == homes[name].sum() == result.slots[name].sum(), name
        assert row["local_wh"] == homes["bought_wh"].sum()
        assert row["bill"] == pytest.approx(homes["bill"].sum())
        assert row["saving"] == pytest.approx(row["bill_without_market"] - row["bill"])
        assert (row["trades"], row["self_sufficiency"]) == (found.trades, found.self_sufficiency)


def test_homes_have_a_row_each(tmp_path: Path) -> None:
    file = written(tmp_path)
    table = commonwatt.sweep(file, {RETAIL: ["0.30", "0.45"]}, start=START, rows="home")
    result = commonwatt.simulate(commonwatt.load(file).with_({RETAIL: "0.45"}), START, ledger="none")
    assert table.filter(pl.col(RETAIL) == "0.45").select(result.homes.columns).equals(result.homes)
    assert table.height == 2 * len(result.homes)


def test_values_may_have_names_and_several_processes_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    community = commonwatt.load(written(tmp_path))
    markets = {"mine": {"pool": {"mechanism": "own.py:MINE"}}, "none": {}, "nothing": {}}
    given: dict[str, Any] = {"market": markets, BATTERIES: [0, 6]}
    one = commonwatt.sweep(community, given, start=START)
    two = commonwatt.sweep(community, given, start=START, workers=2, out=tmp_path / "out")
    assert one["market"].to_list() == ["mine", "mine", "none", "none", "nothing", "nothing"]
    assert one.filter(pl.col("market") != "mine")["trades"].to_list() == [0] * 4
    assert one.equals(two.drop("run"))
    assert two["run"].n_unique() == 6


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    file, out = written(tmp_path), tmp_path / "out"

    def stop(done: int, total: int) -> None:
        assert total == 4
        if done == 2:
            raise KeyboardInterrupt

    given = {BATTERIES: [0, 2, 4, 6]}
    with pytest.raises(KeyboardInterrupt):
        commonwatt.sweep(file, given, start=START, out=out, progress=stop)
    begun = {path.name: (path / "exchange.sqlite").stat().st_ino for path in out.iterdir()}
    assert len(begun) == 2
    table = commonwatt.sweep(file, given, start=START, out=out)
    assert table.drop("run").equals(commonwatt.sweep(file, given, start=START))
    assert {name: (out / name / "exchange.sqlite").stat().st_ino for name in table["run"][:2]} == begun
    assert pl.read_parquet(out / "sweep.parquet").equals(table)
    assert pl.read_csv(out / "sweep.csv").columns == table.columns
    found = commonwatt.open(out / table["run"][3])
    assert found.homes["bill"].sum() == pytest.approx(table["bill"][3])


def test_a_run_that_is_not_possible_says_why_in_its_row(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(PRICES)
    community = commonwatt.load(written(tmp_path)).with_({"tariff.feed_in": {"file": "prices.csv"}})
    out = tmp_path / "out"
    table = commonwatt.sweep(community, {BATTERIES: [0]}, start=[START, "2026-07-01"], out=out)
    assert table["error"][0] is None
    assert "lacks values" in table["error"][1]
    assert table["run"].null_count() == table["saving"].null_count() == 1
    with pytest.raises(DataError, match="lacks values"):
        commonwatt.sweep(community, {BATTERIES: [0]}, start="2026-07-01")


@pytest.mark.parametrize(
    ("values", "more", "findings"),
    [
        ({BATTERIES: 4}, {}, ["members.*.battery.kwh: needs a list of values, or values by name, not 4"]),
        ({RETAIL: "0.30"}, {}, ["tariff.retail: needs a list of values, or values by name, not '0.30'"]),
        ({RETAIL: []}, {}, ["tariff.retail: needs at least one value"]),
        ({BATTERIES: [1, 2, 1]}, {}, ["members.*.battery.kwh: has 1 twice"]),
        ({"members.*.batery.kwh": [1]}, {}, ["members.*.batery.kwh: there is no 'members.*.batery'; did you mean"]),
        ({RETAIL: [0.3, "x"]}, {}, ["tariff.retail: money is written in quotes", "tariff.retail: 'x'"]),
        ({}, {"start": []}, ["start: is a date such as 2026-06-15"]),
        ({}, {"start": "soon", "days": 0}, ["days: is from 1", "start: is a date"]),
        ({}, {"workers": 0}, ["workers: are a whole number, at least 1, not 0"]),
        ({}, {"workers": "2"}, ["workers: are a whole number, at least 1, not '2'"]),
        ({}, {"start": 5}, ["start: is a date such as 2026-06-15, not '5'"]),
        ({}, {"start": [START, NEXT, START]}, [f"start: has {START} twice"]),
        (None, {}, ["values: are lists by dotted key"]),
        ({}, {"rows": "day"}, ['rows: are those of each "run" or "home", not \'day\'']),
        ({}, {"ledger": "chain"}, ["ledger: is embedded, none"]),
    ],
)
def test_what_is_wrong_is_said_before_the_first_run(
    tmp_path: Path, values: dict[str, Any], more: dict[str, Any], findings: list[str]
) -> None:
    def never(*_: int) -> None:
        raise AssertionError

    with pytest.raises(ConfigError) as caught:
        commonwatt.sweep(written(tmp_path), values, **{"start": START, "progress": never, **more})
    told = [str(each) for each in caught.value.findings]
    assert all(found.startswith(wanted) for found, wanted in zip(told, findings, strict=True)), told


def test_a_script_that_does_not_guard_its_call_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commonwatt.study.sweep.multiprocessing.parent_process", lambda: object())
    with pytest.raises(CommonwattError, match="if __name__ == '__main__'"):
        commonwatt.sweep(written(tmp_path), {BATTERIES: [0, 1]}, start=START, workers=2)


def test_days_are_a_column_of_days(tmp_path: Path) -> None:
    days = [date(2026, 6, 15), date(2026, 6, 16)]
    table = commonwatt.sweep(written(tmp_path), {"members.sun.from": days}, start=START)
    assert table["members.sun.from"].to_list() == days
    assert table["load_wh"][0] > table["load_wh"][1]
