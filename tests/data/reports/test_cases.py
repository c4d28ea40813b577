"""Small exports in the forms that grid companies and portals use, each read as it says beside it."""

from __future__ import annotations

import csv
import tomllib
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest

from commonwatt.community.calendar import local_days
from commonwatt.data.reports import Quality, preview, read_reports

CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir())
VIENNA = "Europe/Vienna"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_export_is_read_as_it_is_meant(case: Path) -> None:
    options = case / "case.toml"
    says = tomllib.loads(options.read_text("utf-8")) if options.exists() else {}
    slots = local_days(date.fromisoformat(says.get("day", "2026-10-01")), 1, VIENNA)
    report = read_reports([case / "export.csv"], slots, VIENNA, labels=says.get("labels"))
    with (case / "expected.csv").open(encoding="utf-8") as file:
        expected = list(csv.DictReader(file))
    found = [
        {
            "point": report.points[place],
            "quantity": quantity,
            "start": datetime.fromtimestamp(int(slots.starts[slot]), report.zone).isoformat(),
            "mwh": str(energy.mwh[place, slot]),
            "quality": Quality(int(energy.quality[place, slot])).name,
        }
        for quantity, energy in report.energy.items()
        for place, slot in np.argwhere(energy.there)
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)
    shown = "\n".join(preview(report))
    for reason in says.get("left_out", []):
        assert any(reason in each for file in report.files for each in file.left_out)
        assert f"left out: {next(each for file in report.files for each in file.left_out if reason in each)}" in shown
    assert len(report.findings) == len(says.get("findings", []))
    for finding in says.get("findings", []):
        assert finding in shown


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_says_where_its_form_is_from(case: Path) -> None:
    assert "by hand" in (case / "PROVENANCE.md").read_text("utf-8")
