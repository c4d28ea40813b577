"""Tables as files hold what the tables hold."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from commonwatt.report.export import TABLES, write_tables
from commonwatt.simulation.result import Result


def test_both_formats_are_written_and_their_paths_returned(small: Result, tmp_path: Path) -> None:
    paths = write_tables(small, tmp_path / "new" / "tables")
    assert sorted(path.name for path in paths) == sorted(f"{t}.{kind}" for t in TABLES for kind in ("csv", "parquet"))
    assert all(path.is_file() for path in paths)
    assert len(write_tables(small, tmp_path / "one", ["csv"])) == len(TABLES)


@pytest.mark.parametrize("run", ["small", "silent", "nasty"])
def test_lines_add_up_to_bills(run: str, request: pytest.FixtureRequest) -> None:
    result: Result = request.getfixturevalue(run)
    sums = result.lines.group_by("home", maintain_order=True).agg(pl.col("amount").sum())
    assert sums["home"].to_list() == result.homes["home"].to_list()
    assert sums["amount"].to_list() == pytest.approx(result.homes["bill"].to_list(), abs=1e-6)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("run", ["small", "silent", "nasty"])
def test_every_row_comes_back(name: str, run: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    result: Result = request.getfixturevalue(run)
    table: pl.DataFrame = getattr(result, name)
    write_tables(result, tmp_path)
    assert_frame_equal(pl.read_parquet(tmp_path / f"{name}.parquet"), table)
    schema = {column: pl.String if kind.is_temporal() else kind for column, kind in table.schema.items()}
    read = pl.read_csv(tmp_path / f"{name}.csv", schema_overrides=schema)
    times = [column for column, kind in table.schema.items() if kind.is_temporal()]
    assert_frame_equal(read.drop(times), table.drop(times))
    for column in times:
        zone = "UTC" if column == "slot" else None
        moments = read[column].str.to_datetime("%Y-%m-%dT%H:%M:%S" + ("Z" if zone else "")).dt.replace_time_zone(zone)
        assert moments.to_list() == table[column].to_list()
