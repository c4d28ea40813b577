"""`commonwatt compare` on the shell."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest
from shell import Shell

from commonwatt.community.synthetic import village
from commonwatt.study.compare.report import PAGE, TABLE
from commonwatt.study.compare.table import WIDEST


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "village.toml"
    file.write_text(village(6), encoding="utf-8")
    return file


@pytest.fixture
def compared(said: Shell) -> Shell:
    return partial(said, "compare")


def test_the_table_is_printed_and_the_page_written(compared: Shell, file: Path) -> None:
    out = file.parent / "compared"
    told = compared(file, "--mechanisms", "sdr, uniform+sdr", "--out", out)
    lines = told.out.splitlines()
    assert lines[1].split()[:3] == ["design", "bill", "saved"]
    assert [line.split()[0] for line in lines[2:5]] == ["utility", "sdr", "uniform+sdr"]
    assert max(map(len, lines[:-1])) <= WIDEST
    assert lines[-1] == f"Report: {out / PAGE}"
    assert (out / PAGE).exists()
    assert (out / TABLE).exists()


def test_json_alone_is_all_that_stdout_gets(compared: Shell, file: Path) -> None:
    told = compared(file, "--mechanisms", "sdr", "--json", "-", "--out", file.parent / "compared")
    assert [row["design"] for row in json.loads(told.out)["rows"]] == ["utility only", "sdr"]
    assert told.err == ""


@pytest.mark.parametrize(
    ("arguments", "sentences"),
    [
        (("--mechanisms", "uniforn,sdrr"), ("did you mean 'uniform'", "did you mean 'sdr'")),
        (("--mechanisms", "mine.py:MINE"), ("there is no file",)),
        (("--mechanisms", "fixed:prize=1"), ("prize is not a parameter of fixed",)),
        (("--days", "0", "--start", "soon"), ("days: is from 1 to", "start: is a date")),
        (("--start", "1950-01-01"), ("start: is a day from",)),
        (("--mechanisms", ""), ("there is no mechanism ''",)),
    ],
)
def test_a_request_that_cannot_be_met_ends_in_sentences(
    compared: Shell, file: Path, arguments: tuple[str, ...], sentences: tuple[str, ...]
) -> None:
    told = compared(file, *arguments)
    assert told.out == ""
    assert "Traceback" not in told.err
    assert all(sentence in told.err for sentence in sentences), told


def test_days_that_a_meter_file_does_not_cover_end_in_a_sentence(compared: Shell, file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace("[community]", '[community]\nprofiles = "mine.csv"')
    changed, times = re.subn(r'load = "simbench:H0-A", annual_kwh = \d+', 'load = "mine"', text)
    assert times
    file.write_text(changed, encoding="utf-8")
    rows = [
        f"2026-06-0{day}T{hour:02}:{minute:02},0.1"
        for day in (1, 2)
        for hour in range(24)
        for minute in (0, 15, 30, 45)
    ]
    (file.parent / "mine.csv").write_text("\n".join(["time,mine_kwh", *rows]) + "\n", encoding="utf-8")
    told = compared(file, "--start", "2026-08-15", "--mechanisms", "sdr")
    assert told.out == ""
    assert "Traceback" not in told.err
    assert "mine.csv" in told.err
