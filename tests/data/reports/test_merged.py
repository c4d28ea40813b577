"""Several files: what they say twice, what a correction changes, what stays missing."""

from __future__ import annotations

from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_files import OTHER, POINT, VIENNA, Columns, Dress, dressed, write

from commonwatt.community.calendar import Slots, local_days
from commonwatt.data.reports import Quality, corrected, preview, read_reports
from commonwatt.data.reports.report import runs
from commonwatt.errors import DataError

TWO_DAYS = local_days(date(2026, 10, 1), 2, VIENNA)
FIRST, SECOND = (local_days(date(2026, 10, day), 1, VIENNA) for day in (1, 2))
PORTAL = Dress(austrian=False, workbook=False)


def values(slots: Slots, factor: int = 37, flag: str = "L1") -> list[tuple[int, str] | None]:
    return [(1001 * (place * factor % 300), flag) for place in range(slots.count)]


def written(path: Path, columns: Columns, slots: Slots, dress: Dress = PORTAL) -> Path:
    return write(path, dressed(columns, slots, dress), dress)


def test_files_of_several_points_steps_and_forms_are_one_report(tmp_path: Path) -> None:
    fine = Slots(FIRST.start, FIRST.count * 3, 300)
    files = [
        written(tmp_path / "fine.csv", {("huber", "import"): values(fine)}, fine),
        written(
            tmp_path / "eda.xlsx", {(POINT, "import"): values(FIRST), (OTHER, "export"): values(FIRST)}, FIRST, Dress()
        ),
        written(
            tmp_path / "roof.csv",
            {("huber", "export"): values(FIRST)},
            FIRST,
            Dress(austrian=False, workbook=False, labels="both"),
        ),
    ]
    report = read_reports(files, FIRST, VIENNA)
    assert report.points == ("huber", POINT, OTHER)
    assert report.imported.mwh[0].sum() == sum(value[0] for value in values(fine) if value)
    assert report.exported.known.tolist() == [True, False, True]
    assert [file.step for file in report.files] == [300, 900, 900]
    assert report.gaps() == ()


def test_what_overlaps_and_agrees_is_one_value_of_the_better_kind(tmp_path: Path) -> None:
    both = {("a", "import"): values(TWO_DAYS, flag="L3")}
    files = [
        written(tmp_path / "1.csv", both, TWO_DAYS),
        written(tmp_path / "2.csv", {("a", "import"): values(FIRST)}, FIRST),
    ]
    for order in (files, files[::-1]):
        report = read_reports(order, TWO_DAYS, VIENNA)
        assert (report.imported.mwh[0] == [value[0] for value in values(TWO_DAYS) if value]).all()
        assert report.imported.quality[0].tolist() == [Quality.MEASURED] * 96 + [Quality.ESTIMATED] * 96


def test_what_overlaps_and_differs_is_told_with_both_files(tmp_path: Path) -> None:
    other = values(FIRST)
    other[30] = (7, "L1")
    one = written(tmp_path / "1.csv", {("a", "import"): values(FIRST)}, FIRST)
    two = written(tmp_path / "2.csv", {("a", "import"): other}, FIRST)
    with pytest.raises(DataError) as caught:
        read_reports([one, two], FIRST, VIENNA)
    assert str(caught.value) == (
        f"{two} says 0.000007 kWh in 'a Bezug [kWh]', but {one} says 0.210210 kWh in 'a Bezug [kWh]' for import of a "
        "at 2026-10-01 07:30 CEST; leave one out, or give the later one as a correction."
    )


def test_a_correction_changes_its_day_and_is_told_value_by_value(tmp_path: Path) -> None:
    month = read_reports(
        [written(tmp_path / "m.csv", {("a", "import"): values(TWO_DAYS, flag="L3")}, TWO_DAYS)], TWO_DAYS, VIENNA
    )
    again = values(FIRST)
    again[30], again[31] = (7, "L1"), (8, "L2")
    day = read_reports(
        [written(tmp_path / "d.csv", {("a", "import"): again, ("b", "export"): values(FIRST)}, FIRST)], TWO_DAYS, VIENNA
    )
    both, changes = corrected(month, day)
    assert both.points == ("a", "b")
    of_a = [change for change in changes if change.point == "a"]
    starts = FIRST.starts[30:32].tolist()
    assert [(each.quantity, each.slot, each.old, each.new) for each in of_a] == [
        ("import", starts[0], 1001 * 210, 7),
        ("import", starts[1], 1001 * 247, 8),
    ]
    assert len(changes) == 2 + 96
    assert all(change.old is None for change in changes if change.point == "b")
    untouched = np.flatnonzero(both.imported.mwh[0] == month.imported.mwh[0])
    assert len(untouched) == TWO_DAYS.count - 2
    assert (both.imported.wh[0][untouched] == month.imported.wh[0][untouched]).all()
    assert both.imported.quality[0].tolist() == [*day.imported.quality[0, :96], *month.imported.quality[0, 96:]]
    assert corrected(both, day)[1] == ()
    assert len(both.files) == 2


def test_a_correction_of_other_slots_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "m.csv", {("a", "import"): values(TWO_DAYS)}, TWO_DAYS)
    with pytest.raises(DataError, match="must be read for the same slots"):
        corrected(read_reports([path], FIRST, VIENNA), read_reports([path], SECOND, VIENNA))


def test_all_gaps_are_told_at_once(tmp_path: Path) -> None:
    holed = [None if place in (0, 1, 2, 50, 95) else value for place, value in enumerate(values(FIRST))]
    joined = [None if place < 40 else value for place, value in enumerate(values(FIRST))]
    columns = {("a", "import"): holed, ("b", "export"): joined, ("c", "import"): values(FIRST)}
    report = read_reports([written(tmp_path / "m.csv", columns, FIRST)], FIRST, VIENNA)
    gaps = [(gap.point, gap.quantity, gap.slots) for gap in report.gaps()]
    assert gaps == [("a", "import", 3), ("a", "import", 1), ("a", "import", 1), ("b", "export", 40)]
    shown = preview(report)
    assert "4 gaps, left empty:" in shown
    assert "  2026-10-01 12:30 CEST to 2026-10-01 12:45 CEST, 1 slot: a import" in shown
    assert "  2026-10-01 00:00 CEST to 2026-10-01 10:00 CEST, 40 slots: b export" in shown


def test_a_gap_of_very_many_columns_takes_one_line(tmp_path: Path) -> None:
    joined = [None if place < 40 else value for place, value in enumerate(values(FIRST))]
    columns = {(f"home {number}", quantity): joined for number in range(9) for quantity in ("import", "export")}
    report = read_reports([written(tmp_path / "m.csv", columns, FIRST)], FIRST, VIENNA)
    said = "  2026-10-01 00:00 CEST to 2026-10-01 10:00 CEST, 40 slots: 18 columns of 9 points, from home 0 on"
    assert preview(report)[-2:] == ("18 gaps, left empty:", said)


def test_a_missing_row_is_a_gap_of_all_columns(tmp_path: Path) -> None:
    rows = dressed({("a", "import"): values(FIRST), ("b", "import"): values(FIRST)}, FIRST, PORTAL)
    report = read_reports([write(tmp_path / "m.csv", rows[:20] + rows[22:], PORTAL)], FIRST, VIENNA)
    assert [(gap.point, gap.slots) for gap in report.gaps()] == [("a", 2), ("b", 2)]
    assert datetime.fromtimestamp(report.gaps()[0].start, report.zone).strftime("%H:%M") == "04:15"


@given(st.lists(st.booleans(), max_size=30))
def test_runs_are_all_that_is_marked(marked: list[bool]) -> None:
    again = np.zeros(len(marked), dtype=np.bool_)
    found = runs(np.array(marked, dtype=np.bool_))
    for first, last in found:
        again[first:last] = True
    assert again.tolist() == marked
    assert all(one[1] < other[0] for one, other in pairwise(found))
