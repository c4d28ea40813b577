"""A report with anything in any cell, rows that are missing, doubled or short: it is read, or told in one sentence."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st
from report_files import OTHER, POINT, VIENNA, Cell, Columns, Dress, dressed, write

from commonwatt.community.calendar import local_days
from commonwatt.data.reports import Report, preview, read_reports
from commonwatt.errors import DataError

DAY = local_days(date(2026, 10, 25), 1, VIENNA)
COLUMNS: Columns = {
    key: [(1000 * (place * factor % 300), "L1") for place in range(DAY.count)]
    for factor, key in ((37, (POINT, "import")), (31, (POINT, "G.03")), (29, (OTHER, "export")))
}
WEIRD: list[Cell] = [
    None, "x", " ", "-", "nan", "inf", "1e400", "0,5", "1.000,5", "٣", "\u202e", '"', "=1+1", "L9", "AT", "kWh",
    "[kWh]", "01.10.2026", "24:00", "2026-10-25 02:30", "25.10.2026 99:99", "2026-13-45", "9999-12-31 23:45",
    "25.10.2026 02:30 +25:00", "MeteringpointID", "Metercode", "Energy direction", "Summe", "Zählpunkt", "OBIS",
    "Status", "von", "bis", "1-1:1.8.0", "G.03", "P.01 [kWh]", "Bezug [kWh]", "99999999999999999999", -1.0, 1e12,
]  # fmt: skip
dresses = st.builds(
    Dress,
    austrian=st.booleans(),
    workbook=st.booleans(),
    times=st.sampled_from(["text", "zoned"]),
    flags=st.booleans(),
    separator=st.sampled_from(";,\t"),
)
# Most of what matters stands at the top.
places = st.integers(0, 8) | st.integers(0, 110)
edits = st.tuples(
    st.sampled_from(["cell", "delete", "double", "cut", "short", "column"]), places, places, st.sampled_from(WEIRD)
)


def mutilated(rows: list[list[Cell]], edit: tuple[str, int, int, Cell]) -> list[list[Cell]]:
    kind, place, column, cell = edit
    place %= len(rows)
    if kind == "cell" and column < len(rows[place]):
        rows[place][column] = cell
    elif kind == "delete":
        del rows[place]
    elif kind == "double":
        rows.insert(column % len(rows), [*rows[place]])
    elif kind == "cut":
        rows = rows[: place + 1]
    elif kind == "short":
        rows[place] = rows[place][:column]
    elif kind == "column":
        rows = [[*row[:column], cell, *row[column:]] for row in rows]
    return rows or [["x"]]


def read_or_told(path: Path) -> Report | str:
    try:
        return read_reports([path], DAY, VIENNA)
    except DataError as error:
        return str(error)


@given(dress=dresses, changes=st.lists(edits, min_size=1, max_size=4))
@example(
    dress=Dress(austrian=False, workbook=False, times="text", flags=True, separator=";"),
    changes=[("cell", 3, 5, "inf"), ("cell", 4, 5, "inf")],
)
def test_what_is_mutilated_is_read_or_told(dress: Dress, changes: list[tuple[str, int, int, Cell]]) -> None:
    rows = dressed(COLUMNS, DAY, dress)
    for edit in changes:
        rows = mutilated(rows, edit)
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / ("r.xlsx" if dress.workbook else "r.csv"), rows, dress)
        found = read_or_told(path)
    if isinstance(found, str):
        assert str(path) in found
        assert len(found.splitlines()) == 1
    else:
        assert all("\n" not in line for line in preview(found))
        assert all((energy.mwh >= 0).all() for energy in found.energy.values())
