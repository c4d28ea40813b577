"""Files that are no tables, or too large to be one: told before they are read."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from commonwatt.data import table
from commonwatt.data.table import read_table
from commonwatt.errors import DataError


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_table(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert len(said.splitlines()) == 1
    return said.removeprefix(str(path))


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_what_has_no_end_is_not_begun(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"device{ending}").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / f"pipe{ending}")
    (tmp_path / f"folder{ending}").mkdir()
    (tmp_path / f"loop{ending}").symlink_to(f"loop{ending}")
    assert refusal(tmp_path / f"device{ending}") == " cannot be read: it is no regular file."
    assert refusal(tmp_path / f"pipe{ending}") == " cannot be read: it is no regular file."
    assert refusal(tmp_path / f"folder{ending}") == " cannot be read: it is a folder."
    assert " cannot be read: " in refusal(tmp_path / f"loop{ending}")


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"large{ending}"
    with path.open("wb") as file:
        file.truncate(300 * 2**20)
    assert refusal(path) == " cannot be read: it has 314572800 bytes; at most 268435456 are read."


def test_a_line_without_end_is_told(tmp_path: Path) -> None:
    path = tmp_path / "line.csv"
    path.write_text("time" + "," * 2**21)
    assert refusal(path) == " cannot be read: a line has more than 1048576 characters."


def test_a_table_of_very_many_columns_is_told(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("time," + ",".join(f"m{column}_kw" for column in range(20_000)) + "\n")
    assert refusal(path) == " cannot be read: it has 20001 columns; at most 10000 are read."


def test_a_parquet_file_that_unfolds_is_told_by_its_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.parquet"
    pl.select(time=pl.repeat(0, 200_000), a_kw=pl.repeat(0.0, 200_000)).write_parquet(path)
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(table, "MOST_VALUES", 399_999)
    assert refusal(path) == " cannot be read: it has 400000 values; at most 399999 are read."
    monkeypatch.setattr(table, "MOST_VALUES", 400_000)
    assert len(read_table(path).rows) == 200_000


def test_a_parquet_file_of_lists_is_told_by_its_head(tmp_path: Path) -> None:
    path = tmp_path / "lists.parquet"
    pl.DataFrame({"time": [1, 2], "a_kw": [[0.0] * 1000] * 2}).write_parquet(path)
    assert refusal(path) == ": column 'a_kw' holds List(Float64), not numbers."


def test_texts_of_a_parquet_file_that_unfold_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "texts.parquet"
    pl.DataFrame({"time": ["2026-03-02"] * 9, "a_kw": [" " * 10_000 + "1"] * 9}).write_parquet(path)
    monkeypatch.setattr(table, "MOST_BYTES", 90_098)
    assert refusal(path) == " cannot be read: its texts have more than 90098 bytes."
    monkeypatch.setattr(table, "MOST_BYTES", 90_099)
    assert read_table(path).columns[1].to_list() == ["1"] * 9


@pytest.mark.parametrize("cut", [0, 4, 40, -1])
def test_a_damaged_parquet_file_is_told(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.parquet"
    pl.DataFrame({"time": ["2026-03-02T00:00"] * 9, "a_kw": [0.5] * 9}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:cut])
    assert " cannot be read: " in refusal(path)


def test_a_name_with_stars_is_one_file(tmp_path: Path) -> None:
    for name in ("m[1].parquet", "m*.parquet", "m1.parquet"):
        pl.DataFrame({"time": ["x", "y"], name: [1, 2]}).write_parquet(tmp_path / "written")
        (tmp_path / "written").rename(tmp_path / name)
    assert read_table(tmp_path / "m[1].parquet").names == ("time", "m[1].parquet")
    assert read_table(tmp_path / "m*.parquet").names == ("time", "m*.parquet")


def test_an_empty_file_is_an_empty_table(tmp_path: Path) -> None:
    for content in ("", "\n\n", "sep=;\n"):
        (tmp_path / "empty.csv").write_text(content)
        assert read_table(tmp_path / "empty.csv").names == ()
