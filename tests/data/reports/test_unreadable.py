"""What cannot be read is told in one sentence that names the place; nothing of it comes into a report."""

from __future__ import annotations

import random
import shutil
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path

import pytest
from report_files import OTHER, POINT, VIENNA, Cell, Columns, Dress, dressed, write, write_workbook

from commonwatt.community.calendar import local_days
from commonwatt.data.reports import Report, read_reports
from commonwatt.errors import DataError

DAY = local_days(date(2026, 10, 1), 1, VIENNA)
CSV = Dress(workbook=False)
EXAMPLE = Path(__file__).parents[3] / "examples" / "eeg-2026-10.xlsx"


def values(slots: int = DAY.count) -> list[tuple[int, str] | None]:
    return [(1000 * (place * 37 % 300), "L1") for place in range(slots)]


COLUMNS: Columns = {(POINT, "import"): values(), (POINT, "G.03"): values(), (OTHER, "export"): values()}


def read(path: Path) -> Report:
    return read_reports([path], DAY, VIENNA)


def refusal(path: Path, reader: Callable[[Path], Report] = read) -> str:
    with pytest.raises(DataError) as caught:
        reader(path)
    said = str(caught.value)
    assert str(path) in said
    assert said.endswith(".")
    assert len(said.splitlines()) == 1
    return said.removeprefix(str(path))


def with_cell(row: int, column: int, cell: Cell, dress: Dress) -> list[list[Cell]]:
    """A report with another cell, both counted from 1."""
    rows = dressed(COLUMNS, DAY, dress)
    rows[row - 1][column - 1] = cell
    return rows


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("n/a", "has 'n/a' in cell D16 of sheet 'Blatt' at 2026-10-01 02:30 CEST, which is not a number."),
        ("0.5 kWh", "has '0.5 kWh' in cell D16 of sheet 'Blatt' at 2026-10-01 02:30 CEST, which is not a number."),
        (
            datetime(2026, 10, 1),  # noqa: DTZ001  (a workbook knows no zones)
            "has '2026-10-01' in cell D16 of sheet 'Blatt' at 2026-10-01 02:30 CEST, which is not a number.",
        ),
        (
            -0.25,
            "has '-0.25' in cell D16 of sheet 'Blatt' at 2026-10-01 02:30 CEST, which is negative; load and",
        ),
        (
            3e9,
            "has '3000000000.0' in cell D16 of sheet 'Blatt' at 2026-10-01 02:30 CEST, which is more than 1000000 kW.",
        ),
    ],
)
def test_a_cell_that_is_no_energy_is_told_with_its_address(tmp_path: Path, cell: Cell, said: str) -> None:
    path = write(tmp_path / "r.xlsx", with_cell(16, 4, cell, Dress()), Dress())
    assert f"column '{POINT} Eigendeckung gemeinschaftliche Erzeugung [KWH]' {said}" in refusal(path)


def test_a_text_that_is_no_number_is_told_with_its_time(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", with_cell(16, 4, "kaputt", CSV), CSV)
    assert "has 'kaputt' at 2026-10-01 02:30 CEST, which is not a number." in refusal(path)


def test_texts_of_numbers_are_numbers(tmp_path: Path) -> None:
    rows = dressed(COLUMNS, DAY, Dress())
    texts = [[f"{cell:.6f}".replace(".", ",") if isinstance(cell, float) else cell for cell in row] for row in rows]
    both = read(write(tmp_path / "texts.xlsx", texts, Dress())), read(write(tmp_path / "r.xlsx", rows, Dress()))
    assert (both[0].imported.mwh == both[1].imported.mwh).all()


def test_times_may_be_dates_of_the_spreadsheet_or_texts_and_both(tmp_path: Path) -> None:
    rows = dressed(COLUMNS, DAY, Dress(times="date"))
    texts = dressed(COLUMNS, DAY, Dress())
    mixed = [*rows[:30], *texts[30:]]
    files = [write(tmp_path / f"{place}.xlsx", each, Dress()) for place, each in enumerate((rows, texts, mixed))]
    read_ones = [read(file).imported for file in files]
    assert all((each.mwh == read_ones[0].mwh).all() and each.there[0].all() for each in read_ones)


def test_a_report_of_another_month_has_nothing_to_bill(tmp_path: Path) -> None:
    november = local_days(date(2026, 11, 1), 30, VIENNA)
    path = write(tmp_path / "october.xlsx", dressed(COLUMNS, DAY, Dress()), Dress())
    assert refusal(path, lambda each: read_reports([each], november, VIENNA)) == (
        ", sheet 'Blatt' runs from 2026-10-01 00:00 CEST to 2026-10-02 00:00 CEST and has nothing between 2026-11-01 "
        "00:00 CET and 2026-12-01 00:00 CET."
    )


@pytest.mark.parametrize("dress", [Dress(), CSV])
def test_two_headers_in_a_sheet_are_told_with_their_rows(tmp_path: Path, dress: Dress) -> None:
    rows = dressed(COLUMNS, DAY, dress)
    path = write(tmp_path / f"two.{'xlsx' if dress.workbook else 'csv'}", [*rows, *rows], dress)
    assert "has two headers: rows 1 and 102 both begin with 'MeteringpointID'; put each report into a" in refusal(path)


@pytest.mark.parametrize(("row", "name"), [(0, "MeteringpointID"), (4, "Metercode")])
def test_a_report_without_a_row_that_it_needs_is_told(tmp_path: Path, row: int, name: str) -> None:
    rows = dressed(COLUMNS, DAY, Dress())
    del rows[row]
    said = f", sheet 'Blatt' is the report of an energy community, but no row begins with '{name}'."
    assert refusal(write(tmp_path / "r.xlsx", rows, Dress())) == said


def test_a_point_twice_is_read_when_it_says_the_same(tmp_path: Path) -> None:
    rows = [[*row, *row[1:3]] for row in dressed(COLUMNS, DAY, Dress())]
    assert read(write(tmp_path / "same.xlsx", rows, Dress())).points == (POINT, OTHER)
    rows[40][-2] = 0.7
    said = refusal(write(tmp_path / "other.xlsx", rows, Dress()))
    assert "says 0.700000 kWh in 'Gesamtverbrauch lt. Messung (bei Teilnahme gem. Erzeugung) [KWH]', but " in said
    assert f"for import of {POINT} at 2026-10-01 08:45 CEST; leave one out, or give the later one as a correct" in said


def counter(rows: Sequence[float], name: str = "Zählerstand Bezug") -> list[list[Cell]]:
    head: list[Cell] = ["Zeit", f"{POINT} {name} [kWh]"]
    times = [f"2026-10-01 {place // 4:02}:{place % 4 * 15:02}" for place in range(len(rows))]
    cells: list[list[Cell]] = [[time, each] for time, each in zip(times, rows, strict=True)]
    return [head, *cells]


def test_a_register_that_runs_backwards_is_told(tmp_path: Path) -> None:
    rising = [100.0 + place / 10 for place in range(40)]
    path = write(tmp_path / "r.csv", counter([*rising[:20], 101.85, *rising[21:]]), CSV)
    said = refusal(path)
    assert said.endswith(
        "has '101,850000' at 2026-10-01 05:00 CEST, which is less than the one before; a register never falls."
    )
    assert read(write(tmp_path / "s.csv", counter(rising), CSV)).imported.wh.sum() == 3900


def test_a_register_that_is_not_called_one_is_told(tmp_path: Path) -> None:
    rising = [100.0 + place / 10 for place in range(40)]
    path = write(tmp_path / "r.csv", counter(rising, "Bezug"), CSV)
    assert "keeps rising, as the register of a meter does; if its differences are the energy, say so" in refusal(path)
    called = write(tmp_path / "obis.csv", counter(rising, "1-1:1.8.0*255"), CSV)
    assert read(called).imported.wh.sum() == 3900


def test_times_that_look_like_ends_are_asked_about(tmp_path: Path) -> None:
    dress = Dress(austrian=False, workbook=False, labels="end")
    path = write(tmp_path / "p.csv", dressed(COLUMNS, DAY, dress), dress)
    assert refusal(path) == (
        " runs from 2026-10-01 00:15 CEST to 2026-10-02 00:00 CEST, as times do at which intervals end; say with "
        "--labels end or --labels begin which they are."
    )
    asked = [read_reports([path], DAY, VIENNA, labels=labels).imported for labels in ("end", "begin")]
    assert (asked[0].mwh[0, :-1] == asked[1].mwh[0, 1:]).all()


@pytest.mark.parametrize(
    ("name", "labels"), [("Ende", "end"), ("bis", "end"), ("Intervallbeginn", "begin"), ("von", "begin")]
)
def test_what_a_file_says_of_its_times_counts_more_than_what_is_asked(tmp_path: Path, name: str, labels: str) -> None:
    rows = [[name, f"{POINT} Bezug [Wh]"], *([f"2026-10-01 08:{m}", m] for m in ("15", "30", "45"))]
    path = write(tmp_path / "p.csv", rows, CSV)
    reports = [read_reports([path], DAY, VIENNA, labels=each) for each in ("begin", "end", None)]
    assert {report.files[0].labels for report in reports} == {labels}


def test_begin_and_end_of_an_interval_need_no_word(tmp_path: Path) -> None:
    dress = Dress(austrian=False, workbook=False, labels="both")
    path = write(tmp_path / "p.csv", dressed(COLUMNS, DAY, dress), dress)
    asked = [read_reports([path], DAY, VIENNA, labels=each).imported.mwh for each in ("begin", "end", None)]
    assert all((each == asked[0]).all() for each in asked)


STEPS = {
    "hours": (60, "rows are 60 min apart, the community's slots 15 min; energy is not spread over slots, so ask for"),
    "ten minutes": (10, "the interval of 10 min from 2026-10-01 00:00 CEST on is no part of a slot of 15 min."),
    "twenty-five seconds past": (-15, "the interval of 15 min from 2026-10-01 00:05 CEST on is no part of a slot"),
}


@pytest.mark.parametrize("what", STEPS)
def test_intervals_that_are_no_part_of_a_slot_are_told(tmp_path: Path, what: str) -> None:
    step, said = STEPS[what]
    minutes = [place * abs(step) + (5 if step < 0 else 0) for place in range(20)]
    rows = [["Zeit", f"{POINT} Bezug [Wh]"], *([f"2026-10-01 {m // 60:02}:{m % 60:02}", "7"] for m in minutes)]
    assert said in refusal(write(tmp_path / "p.csv", rows, CSV))


WITHOUT = {
    "a direction": (
        ["Zeit", "huber [kWh]"],
        "no column says what a metering point took or fed in: column 'huber [kWh]' says",
    ),
    "a unit": (["Zeit", f"{POINT} Bezug"], "Bezug' does not end with its unit, W, kW, MW, Wh, kWh or MWh."),
    "a point": (
        ["Zeit", "Bezug [kWh]"],
        "column 'Bezug [kWh]' names no metering point, and neither does the file; put",
    ),
    "columns": (["Zeit", "Kommentar"], "column 'Kommentar' does not end with its unit"),
}


@pytest.mark.parametrize("what", WITHOUT)
def test_a_portal_s_export_without_something_is_told(tmp_path: Path, what: str) -> None:
    head, said = WITHOUT[what]
    rows = [head, *([f"2026-10-01 {hour:02}:15", "0,7"] for hour in range(9))]
    assert said in refusal(write(tmp_path / "p.csv", rows, CSV))


def test_the_direction_of_an_id_alone_is_import_unless_somebody_says_export(tmp_path: Path) -> None:
    rows = [["Zeit", f"{POINT} [kWh]"], *([f"2026-10-01 {hour:02}:{m}", "0,7"] for hour in range(9) for m in (15, 30))]
    path = write(tmp_path / "p.csv", rows, CSV)
    assert read(path).imported.known.tolist() == [True]
    exported = read_reports([path], DAY, VIENNA, exporting=[POINT])
    assert exported.exported.known.tolist() == [True]
    for report, direction in ((read(path), "import"), (exported, "export")):
        said = f"the names of columns do not say import or export; taken are {POINT} for {direction}."
        assert report.findings == (f"{path}: {said}",)


def test_flags_that_nobody_knows_are_told(tmp_path: Path) -> None:
    report = read(write(tmp_path / "r.xlsx", with_cell(16, 3, "Q7", Dress()), Dress()))
    assert report.findings == (f"{tmp_path / 'r.xlsx'}, sheet 'Blatt': the flag 'Q7' of 1 value is not known.",)


def test_a_value_whose_flag_says_that_there_is_none_is_none(tmp_path: Path) -> None:
    report = read(write(tmp_path / "r.xlsx", with_cell(16, 3, "L0", Dress()), Dress()))
    assert [(gap.point, gap.quantity, gap.slots) for gap in report.gaps()] == [(POINT, "import", 1)]


def test_sheets_without_times_are_passed_over_and_the_others_are_named(tmp_path: Path) -> None:
    rows = dressed(COLUMNS, DAY, Dress())
    path = write_workbook(tmp_path / "r.xlsx", {"Summary": [["Zeitraum von", "01.10.2026"], ["Summe", 7.0]], "E": rows})
    assert [file.sheet for file in read(path).files] == ["E"]


def test_what_holds_no_readings_is_told(tmp_path: Path) -> None:
    said = "holds no readings: no row begins with a time such as 01.10.2026 00:15."
    assert said in refusal(write_workbook(tmp_path / "empty.xlsx", {"Blatt": []}))
    assert said in refusal(write_workbook(tmp_path / "words.xlsx", {"Blatt": [["Summe", 7.0]]}))
    (tmp_path / "empty.csv").write_text("")
    assert said in refusal(tmp_path / "empty.csv")
    head = write(tmp_path / "head.xlsx", dressed(COLUMNS, DAY, Dress())[:5], Dress())
    assert refusal(head) == ", sheet 'Blatt' holds no readings: below its header no row begins with a time."
    assert "must begin with the names of its columns" in refusal(
        write(tmp_path / "bare.csv", [["2026-10-01 00:00", "1"], ["2026-10-01 00:15", "2"]], CSV)
    )
    one = write(tmp_path / "one.xlsx", dressed(COLUMNS, DAY, Dress())[:6], Dress())
    assert "at least two rows" in refusal(one)


def test_workbooks_of_other_kinds_are_told(tmp_path: Path) -> None:
    old = " cannot be read: it is a workbook of the old kind, .xls, or one with a password; save it as .xlsx without a"
    for name in ("old.xls", "locked.xlsx"):
        (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
        assert refusal(tmp_path / name).startswith(old)
    (tmp_path / "r.ods").write_bytes(b"PK")
    assert refusal(tmp_path / "r.ods") == " is neither a .csv nor an .xlsx file."
    with zipfile.ZipFile(tmp_path / "other.xlsx", "w") as archive:
        archive.writestr("a.xml", "<a/>")
    assert "it is no .xlsx workbook, or a damaged one" in refusal(tmp_path / "other.xlsx")


def test_garbage_is_told(tmp_path: Path) -> None:
    junk = random.Random(7).randbytes(5 * 2**20)  # noqa: S311  (no secret)
    for name in ("junk.csv", "junk.xlsx"):
        (tmp_path / name).write_bytes(junk)
        assert " cannot be read: it is no " in refusal(tmp_path / name)
    words = "".join(chr(33 + each % 90) for each in junk[: 2**20])
    (tmp_path / "words.csv").write_text("\n".join(words[place : place + 99] for place in range(0, len(words), 99)))
    refusal(tmp_path / "words.csv")


@pytest.mark.parametrize("cut", [100, 20_000, 700_000])
def test_a_workbook_that_was_cut_short_is_told(tmp_path: Path, cut: int) -> None:
    shutil.copy(EXAMPLE, tmp_path / "cut.xlsx")
    (tmp_path / "cut.xlsx").write_bytes((tmp_path / "cut.xlsx").read_bytes()[:cut])
    assert "it is no .xlsx workbook, or a damaged one" in refusal(tmp_path / "cut.xlsx")
