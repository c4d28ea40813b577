"""docs/results.md explains every column of every table, and no other."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import polars as pl
import pytest

import commonwatt
from commonwatt.report.export import TABLES
from commonwatt.report.finished import Finished
from commonwatt.report.wires import wires_table

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "results.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
ANY_PRICE = "STAGE_PRICE"
VILLAGE = ROOT / "examples" / "village.toml"


def explained(section: str) -> list[str]:
    """The first column of the section's table, in its order."""
    return re.findall(r"^\| `([^`]+)` \|", SECTIONS[section], re.MULTILINE)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a ledger, some of whose readings come late."""
    late = commonwatt.load(ROOT / "examples" / "five-homes.toml").with_({"simulation": {"late": "5 %"}})
    folder = tmp_path_factory.mktemp("kept")
    commonwatt.simulate(late, "2026-05-11", out=folder)
    return folder


@pytest.fixture(scope="module")
def wired() -> Finished:
    return commonwatt.simulate(VILLAGE, "2026-06-15", ledger="none")


@pytest.mark.parametrize("name", TABLES)
def test_each_column_of_a_result_is_explained(wired: Finished, kept: Path, name: str) -> None:
    table: pl.DataFrame = getattr(wired, name)
    prices = list(wired.local_prices) if name == "slots" else []
    assert (ANY_PRICE in explained(f"result.{name}")) == bool(prices)
    columns = [column for column in table.columns if column not in prices] + [ANY_PRICE] * bool(prices)
    if name == "flows":
        columns = getattr(commonwatt.open(kept), name).columns
        assert set(columns) - set(table.columns) == {"metered"}
    assert explained(f"result.{name}") == columns


def test_each_column_of_the_wires_is_explained(wired: Finished) -> None:
    table = wires_table(wired)
    assert table is not None
    assert explained("The table wires") == table.columns


def test_each_column_of_a_comparison_is_explained() -> None:
    found = commonwatt.compare(VILLAGE, "2026-06-15", mechanisms="sdr")
    assert explained("comparison.table") == found.table.columns
    assert pl.Null not in found.table.dtypes


def test_each_column_of_a_sweep_is_explained(tmp_path: Path) -> None:
    key = "tariff.feed_in"
    start = date(2026, 5, 11)
    for rows, out in (("run", None), ("run", tmp_path)):
        table = commonwatt.sweep(ROOT / "examples" / "five-homes.toml", {key: ["1.4"]}, start=start, out=out)
        expected = [key, *(name for name in explained("commonwatt.sweep") if out or name != "run")]
        assert table.columns == expected, rows


def test_each_file_of_a_folder_is_explained(kept: Path) -> None:
    files = {f"{path.name}/" if path.is_dir() else path.name for path in kept.iterdir()}
    assert set(explained("Files of a folder")) == {f"out/{name}" for name in files}
