"""`commonwatt data fill`: a new file in which every value that was filled is marked."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
from report_files import POINT, VIENNA, Columns, Dress, dressed, write
from shell import Shell

from commonwatt.community.calendar import local_days
from commonwatt.data.reports import Quality, filled, read_reports

TWO_WEEKS = local_days(date(2026, 10, 19), 14, VIENNA)
EXAMPLE = Path(__file__).parents[3] / "examples" / "eeg-2026-11.xlsx"
PORTAL = Dress(austrian=False, workbook=False)


def holed(*gaps: tuple[int, int]) -> Columns:
    """A series that falls and rises, without values from one slot to another."""
    values: list[tuple[int, str] | None] = [(1000 * (50 + place * 37 % 300), "L1") for place in range(TWO_WEEKS.count)]
    for first, last in gaps:
        values[first:last] = [None] * (last - first)
    return {(POINT, "import"): values}


def test_a_line_a_week_before_or_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", dressed(holed((0, 2), (100, 103), (800, 803)), TWO_WEEKS, PORTAL), PORTAL)
    report = read_reports([path], TWO_WEEKS, VIENNA)
    mwh = report.imported.mwh[0]
    line, week, zero = (filled(report, how, 3600).imported for how in ("interpolate", "last-week", "zero"))
    assert line.mwh[0, 100:103].tolist() == [round(mwh[99] + (mwh[103] - mwh[99]) * k / 4) for k in (1, 2, 3)]
    assert line.there[0].tolist() == [place > 1 for place in range(TWO_WEEKS.count)]
    # The clocks go back in between: the same local time a week before is four slots further away.
    assert TWO_WEEKS.count == 14 * 96 + 4
    assert week.mwh[0, 800:803].tolist() == mwh[800 - 676 : 803 - 676].tolist()
    assert np.flatnonzero(~week.there[0]).tolist() == [0, 1, 100, 101, 102]
    assert zero.there.all()
    assert zero.mwh[0, [0, 1, 100, 800]].tolist() == [0, 0, 0, 0]
    for each in (line, week, zero):
        assert ((each.quality == Quality.FILLED) == (each.there & ~report.imported.there)).all()


def test_the_command_writes_a_file_that_is_read_again(tmp_path: Path, said: Shell) -> None:
    path = write(tmp_path / "m.csv", dressed(holed((100, 103), (800, 820)), TWO_WEEKS, PORTAL), PORTAL)
    new = tmp_path / "new.csv"
    ended = said("data", "fill", path, "--how", "interpolate", "--most", "2h", "--out", new)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"{POINT} import: 3 slots filled",
        "1 gap, left empty:",
        f"  2026-10-27 07:00 CET to 2026-10-27 12:00 CET, 20 slots: {POINT} import",
        f"3 values filled in {new}.",
    ]
    report = read_reports([new], TWO_WEEKS, VIENNA)
    assert np.flatnonzero(report.imported.quality[0] == Quality.FILLED).tolist() == [100, 101, 102]
    assert [(gap.slots, gap.point) for gap in report.gaps()] == [(20, POINT)]
    content = new.read_bytes()
    again = said("data", "fill", path, "--how", "zero", "--most", "9h", "--out", new)
    assert (again.code, again.err) == (9, f"{new} is there already; choose another name, or remove it.\n")
    assert new.read_bytes() == content


def test_figures_as_json(tmp_path: Path, said: Shell) -> None:
    path = write(tmp_path / "m.csv", dressed(holed((100, 103), (800, 820)), TWO_WEEKS, PORTAL), PORTAL)
    ended = said("data", "fill", path, "--how", "zero", "--most", "2h", "--out", tmp_path / "n.csv", "--json", "-")
    start = int(TWO_WEEKS.starts[800])
    assert json.loads(ended.out) == {
        "filled": {f"{POINT} import": 3},
        "gaps": [{"point": POINT, "quantity": "import", "start": start, "slots": 20}],
    }


def test_what_cannot_be_read_leaves_no_file(tmp_path: Path, said: Shell) -> None:
    (tmp_path / "m.csv").write_text("hello")
    ended = said("data", "fill", tmp_path / "m.csv", "--how", "zero", "--most", "2h", "--out", tmp_path / "n.csv")
    assert ended.code == 3
    assert ended.err.startswith(f"{tmp_path / 'm.csv'} holds no readings")
    assert not (tmp_path / "n.csv").exists()
    ended = said("data", "fill", tmp_path / "m.csv", "--how", "zero", "--most", "2 hours", "--out", tmp_path / "n.csv")
    assert (ended.code, "--most: is a span such as" in ended.err) == (2, True)
    for slot in ("0min", "7min", "2h"):
        ended = said(
            "data", "fill", EXAMPLE, "--how", "zero", "--most", "2h", "--slot", slot, "--out", tmp_path / "n.csv"
        )
        assert (ended.code, f"--slot: is one minute, or more that divides the hour, not {slot}" in ended.err) == (
            2,
            True,
        )


def test_the_list_of_what_is_packaged_is_still_there(said: Shell) -> None:
    assert "simbench" in said("data").out
