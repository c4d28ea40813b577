"""The command, on the example: October, its correction, November, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from shell import Said, Shell

EXAMPLES = Path(__file__).parents[2] / "examples"


def settle(said: Shell, folder: Path, month: str, *more: object) -> Said:
    return said("settle", EXAMPLES / "eeg.toml", "--month", month, "--out", folder, *more)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def cents(amount: str) -> int:
    return round(float(amount) * 100)


def summary(found: Said) -> dict[str, Any]:
    assert found.code == 0, found.err
    made: dict[str, Any] = json.loads(found.out)
    return made


def test_october_its_correction_and_november(said: Shell, tmp_path: Path) -> None:
    folder, october = tmp_path / "eeg", ("--meters", EXAMPLES / "eeg-2026-10.xlsx")
    first = summary(settle(said, folder, "2026-10", *october, "--date", "2026-11-03", "--json", "-"))
    assert first["new"]
    # The grid company's own figures are met to the Wh, those of homes that draw and feed in too.
    for each in first["comparison"]:
        assert each["largestWh"] < 1
        assert abs(each["officialWh"] - each["oursWh"]) < 20
    charged = rows(folder / "charges.csv")
    assert sum(cents(row["gross"]) for row in charged) == sum(first["bills"].values()) == first["totals"]["balance"]
    bauer = json.loads((folder / "bills/bauer.json").read_text())["content"]
    assert bauer["payable"] == first["bills"]["bauer"]
    assert "Familie Bauer" in (folder / "bills/bauer.html").read_text()
    issued = (folder / "bills/bauer.json").read_bytes()

    resent = ("--meters", EXAMPLES / "eeg-2026-10-corrected.xlsx")
    second = summary(settle(said, folder, "2026-10", *resent, "--date", "2026-11-09", "--json", "-"))
    assert not second["new"]
    assert second["bills"] == first["bills"]
    assert second["revised"]
    assert abs(sum(each["difference"] for each in second["revised"])) < 1e-6
    assert (folder / "bills/bauer.json").read_bytes() == issued
    assert {row["member"] for row in rows(folder / "corrections.csv")} >= {"gruber", "mueller"}

    november = ("--meters", EXAMPLES / "eeg-2026-11.xlsx")
    third = summary(settle(said, folder, "2026-11", *november, "--date", "2026-12-03", "--json", "-"))
    carried = [row for row in rows(folder / "charges.csv") if row["month"] == "2026-10"]
    assert carried
    assert all("correction" in row["line"] for row in carried)
    assert sum(cents(row["gross"]) for row in rows(folder / "charges.csv")) == sum(third["bills"].values())
    # October's papers have a folder of their own now.
    assert (folder / "2026-10/bills/bauer.json").read_bytes() == issued
    numbers = [row["document"] for month in ("2026-10/", "") for row in rows(folder / f"{month}charges.csv")]
    assert sorted(set(numbers)) == [f"2026-{number:04}" for number in range(1, len(set(numbers)) + 1)]


def test_a_dry_run_writes_nothing(said: Shell, tmp_path: Path) -> None:
    found = settle(said, tmp_path / "out", "2026-10", "--meters", EXAMPLES / "eeg-2026-10.xlsx", "--dry-run")
    assert found.code == 0
    assert "AT0099900000000000000000000000103  export  kWh  2980 values" in found.out
    assert found.out.endswith("can be settled from this. Nothing was written.\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("month", "file", "told"),
    [
        ("2026-13", "eeg-2026-10.xlsx", "--month: is a month such as 2026-10, not '2026-13'"),
        ("2026-12", "eeg-2026-10.xlsx", "eeg-2026-10.xlsx"),
        ("2026-10", "village.toml", "village.toml"),
        ("2026-10", "nothing.xlsx", "nothing.xlsx"),
    ],
)
def test_what_is_refused_keeps_nothing(said: Shell, tmp_path: Path, month: str, file: str, told: str) -> None:
    found = settle(said, tmp_path / "out", month, "--meters", EXAMPLES / file)
    assert found.code != 0
    assert told in found.err
    assert "Traceback" not in found.err
    assert not (tmp_path / "out").exists()


def test_without_a_folder_nothing_is_settled(said: Shell) -> None:
    meters = ("--meters", EXAMPLES / "eeg-2026-10.xlsx")
    found = said("settle", EXAMPLES / "eeg.toml", "--month", "2026-10", *meters)
    assert found.code != 0
    assert "out: is missing: the folder for the bills" in found.err


def test_a_community_that_bills_nobody(said: Shell, tmp_path: Path) -> None:
    found = said("settle", EXAMPLES / "village.toml", "--month", "2026-10", "--out", tmp_path / "out")
    assert found.code != 0
    assert "billing: is missing: who the bills are from" in found.err


def test_a_month_is_not_billed_before_its_end(said: Shell, tmp_path: Path) -> None:
    october = ("--meters", EXAMPLES / "eeg-2026-10.xlsx", "--date", "2026-01-03")
    found = settle(said, tmp_path / "eeg", "2026-10", *october)
    assert (found.code, "before the end of 2026-10" in found.err) == (2, True)
    assert not (tmp_path / "eeg").exists()
