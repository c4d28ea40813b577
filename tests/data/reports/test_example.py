"""The example reports: what they say by an independent reckoning, and that the tool still writes them so."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from datetime import date
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from report_files import VIENNA

from commonwatt.community.calendar import local_days
from commonwatt.data.reports import QUANTITIES, Quality, Report, corrected, read_reports

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
OCTOBER, NOVEMBER = (local_days(date(2026, month, 1), days, VIENNA) for month, days in ((10, 31), (11, 30)))


@pytest.fixture(scope="module")
def october() -> Report:
    return read_reports([EXAMPLES / "eeg-2026-10.xlsx"], OCTOBER, VIENNA)


def point(number: int) -> str:
    return f"AT00999{number:026d}"


def test_the_tool_writes_these_files(tmp_path: Path) -> None:
    tool = [sys.executable, str(ROOT / "tools" / "make_settle_example.py"), str(tmp_path)]
    subprocess.run(tool, check=True)
    written = sorted(tmp_path.iterdir())
    assert [path.name for path in written] == ["eeg-2026-10-corrected.xlsx", "eeg-2026-10.xlsx", "eeg-2026-11.xlsx"]
    for path in written:
        # How well they are compressed is the library's, what they hold is not.
        with zipfile.ZipFile(path) as one, zipfile.ZipFile(EXAMPLES / path.name) as other:
            assert {name: one.read(name) for name in one.namelist()} == {
                name: other.read(name) for name in other.namelist()
            }
        assert path.stat().st_size < 1_500_000


def test_every_column_is_understood(october: Report) -> None:
    (file,) = october.files
    assert (file.kind, file.sheet, file.step, file.rows) == ("Austrian report", "ConsumptionDataReport", 900, 2980)
    assert len(file.columns) == 9 * 3 + 4 * 2
    assert file.left_out == ()
    assert october.findings == ()
    assert october.points == tuple(map(point, [*range(1, 10), 103, 104, 105, 109]))
    qualities = {Quality.MEASURED, Quality.SUBSTITUTED, Quality.ESTIMATED}
    assert {each for column in file.columns for each, _ in column.quality} == qualities


def test_who_joins_in_the_middle_has_no_values_before(october: Report) -> None:
    joined = local_days(date(2026, 10, 15), 1, VIENNA).start
    assert {(gap.point, gap.start, gap.end) for gap in october.gaps()} == {(point(8), OCTOBER.start, joined)}
    november = read_reports([EXAMPLES / "eeg-2026-11.xlsx"], NOVEMBER, VIENNA)
    joined = local_days(date(2026, 11, 16), 1, VIENNA).start
    assert {(gap.point, gap.start, gap.end) for gap in november.gaps()} == {(point(10), NOVEMBER.start, joined)}


def test_official_shares_follow_the_dynamic_rule(october: Report) -> None:
    taken, fed = october.imported.mwh, october.exported.mwh
    both = 0
    for slot in range(0, OCTOBER.count, 11):
        needed, offered = int(taken[:, slot].sum()), int(fed[:, slot].sum())
        for place in range(len(october.points)):
            share = Fraction(offered * int(taken[place, slot]), needed) if needed else Fraction(0)
            got = min(share, Fraction(int(taken[place, slot])))
            left = Fraction(max(0, offered - needed) * int(fed[place, slot]), offered) if offered else Fraction(0)
            for quantity, exact in (("G.02", share), ("G.03", got), ("P.01", left)):
                assert abs(int(october.energy[quantity].mwh[place, slot]) - exact) <= Fraction(1, 2)  # type: ignore[index]
        both += bool(needed and offered)
    assert both > 50


def test_roofs_move_both_registers_in_many_quarter_hours(october: Report) -> None:
    for number in (3, 4, 5):
        took = october.imported.wh[october.points.index(point(number))] > 0
        fed = october.exported.wh[october.points.index(point(100 + number))] > 0
        assert (took & fed).sum() > 500


def test_the_correction_is_of_one_day_and_two_points(october: Report) -> None:
    resent = read_reports([EXAMPLES / "eeg-2026-10-corrected.xlsx"], OCTOBER, VIENNA)
    both, changes = corrected(october, resent)
    day = local_days(date(2026, 10, 5), 1, VIENNA)
    assert {change.slot for change in changes} <= set(day.starts.tolist())
    assert {(each.point, each.quantity) for each in changes if each.quantity in ("import", "export")} == {
        (point(2), "import"),
        (point(105), "export"),
    }
    assert both.gaps() == october.gaps()
    before = [october.energy[quantity].quality == Quality.ESTIMATED for quantity in QUANTITIES]
    assert sum(map(np.count_nonzero, before)) > 0
    assert not any((both.energy[quantity].quality == Quality.ESTIMATED).any() for quantity in QUANTITIES)
