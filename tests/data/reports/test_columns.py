"""What names of columns mean, and what they do not."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from report_files import OTHER, POINT, VIENNA, Cell, Columns, Dress, dressed, write, write_workbook

from commonwatt.community.calendar import local_days
from commonwatt.data.reports import Report, read_reports

DAY = local_days(date(2026, 10, 1), 1, VIENNA)
CSV = Dress(workbook=False)
TIMES = [f"01.10.2026 {place // 4:02}:{place % 4 * 15:02}" for place in range(DAY.count)]
SPACED = "AT 009990 00000 00000000000000000001"
COLUMNS: Columns = {
    (POINT, "import"): [(1000 * (place * 37 % 300), "L1") for place in range(DAY.count)],
    (OTHER, "export"): [(1000 * (place * 31 % 300), "L1") for place in range(DAY.count)],
}


def read(path: Path, **options: object) -> Report:
    return read_reports([path], DAY, VIENNA, **options)  # type: ignore[arg-type]


def export(
    path: Path, names: list[str], above: tuple[list[Cell], ...] = (), below: tuple[list[Cell], ...] = ()
) -> Path:
    """A portal's export in which each column has the values 0 to 6 and again."""
    rows: list[list[Cell]] = [[time, *[str(place % 7)] * len(names)] for place, time in enumerate(TIMES)]
    return write(path, [*above, ["Zeit", *names], *rows, *below], CSV)


NAMES = {
    "Wirkenergie Bezug [kWh]": "import",
    "Netzbezug (kWh)": "import",
    "Gemessener Verbrauch (kWh)": "import",
    "1-1:1.29.0*255 [kWh]": "import",
    "1.8.0 kWh": "import",
    "Stromverbrauch in kWh": "import",
    "Überschusseinspeisung [kWh]": "export",
    "Netzeinspeisung_kwh": "export",
    "Rücklieferung (kWh)": "export",
    "feed-in [Wh]": "export",
    "1-1:2.8.0 [kWh]": "export",
    "(kWh) Erzeugung": "export",
    "Eigendeckung (kWh)": "G.03",
    "Ideeller Anteil (kWh)": "G.02",
    "Restüberschuss [kWh]": "P.01",
    "G.03 [kWh]": "G.03",
    "1-1:2.9.0 G.01T [kWh]": "export",
    "kWh": "import",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_the_register(tmp_path: Path, name: str) -> None:
    report = read(export(tmp_path / "p.csv", [name], (["Messstelle", POINT],)))
    assert [(column.point, column.quantity) for column in report.files[0].columns] == [(POINT, NAMES[name])]


NOT_NEEDED = [
    "Restnetzbezug (kWh)",
    "Eigenverbrauch [kWh]",
    "Blindenergie Bezug [kWh]",
    "Eigendeckung aus erneuerbarer Energie [KWH]",
    "1-1:1.9.0 P.01 [kWh]",
    "G.03R [kWh]",
    "Preis [EUR/kWh]",
    "Bezug [kvarh]",
    "1-1:1.8.1 Huber [kWh]",
    "Temperatur",
]


@pytest.mark.parametrize("name", NOT_NEEDED)
def test_what_no_bill_needs_is_left_out_and_told(tmp_path: Path, name: str) -> None:
    (file,) = read(export(tmp_path / "p.csv", [name, f"{POINT} Bezug [kWh]"])).files
    assert [column.header for column in file.columns] == [f"{POINT} Bezug [kWh]"]
    assert [reason.startswith(f"column '{name}' ") for reason in file.left_out] == [True]


@pytest.mark.parametrize(
    ("above", "quantity"), [("2.8.0", "export"), ("1-1:1.29.0", "import"), ("Einspeisung", "export")]
)
def test_lines_above_the_names_say_point_and_register(tmp_path: Path, above: str, quantity: str) -> None:
    path = export(tmp_path / "p.csv", ["Wert [kWh]"], (["Zählpunkt", SPACED], ["OBIS-Code", above]))
    (column,) = read(path).files[0].columns
    assert (column.point, column.quantity) == (POINT, quantity)


def test_the_name_of_a_file_says_the_point(tmp_path: Path) -> None:
    assert read(export(tmp_path / f"lastgang_{POINT}_2026.csv", ["Bezug [kWh]"])).points == (POINT,)


def test_energy_counts_more_than_power_beside_it(tmp_path: Path) -> None:
    (file,) = read(export(tmp_path / "p.csv", [f"{POINT} Bezug [kWh]", f"{POINT} Bezug [kW]"])).files
    assert [column.unit for column in file.columns] == ["kWh"]
    assert file.left_out == (f"column '{POINT} Bezug [kW]' of {POINT}: another column has its energy",)


def test_footnotes_are_left_out_and_told(tmp_path: Path) -> None:
    path = export(tmp_path / "p.csv", [f"{POINT} Bezug [kWh]"], below=(["* vorläufige Werte"], ["Summe", "288"]))
    report = read(path)
    assert report.files[0].left_out == ("row 98, '* vorläufige Werte'", "row 99, 'Summe'")
    said = f"{path}: row 99 says 288 kWh for column '{POINT} Bezug [kWh]', but its values add up to 283.000000."
    assert report.findings == (said,)


def test_ids_may_have_spaces(tmp_path: Path) -> None:
    rows = [[SPACED if cell == POINT else cell for cell in row] for row in dressed(COLUMNS, DAY, Dress())]
    assert read(write(tmp_path / "r.xlsx", rows, Dress())).points == (POINT, OTHER)


def test_the_austrian_form_has_begins_whatever_is_said_of_other_files(tmp_path: Path) -> None:
    path = write(tmp_path / "r.xlsx", dressed(COLUMNS, DAY, Dress()), Dress())
    assert (read(path, labels="end").imported.mwh == read(path).imported.mwh).all()
    ends = write(tmp_path / "e.xlsx", dressed(COLUMNS, DAY, Dress(labels="end")), Dress())
    assert (read(ends, labels="end").imported.mwh == read(path).imported.mwh).all()


def test_a_log_of_quality_is_no_report(tmp_path: Path) -> None:
    rows = dressed(COLUMNS, DAY, Dress())
    log = [*rows[:5], rows[9], rows[30]]
    path = write_workbook(tmp_path / "r.xlsx", {"Summary": [["Summe", 7.0]], "Energiedaten": rows, "QoV Log": log})
    assert [file.sheet for file in read(path).files] == ["Energiedaten"]


def test_two_sheets_of_readings_are_both_read(tmp_path: Path) -> None:
    one, other = ({key: column} for key, column in COLUMNS.items())
    sheets = {"A": dressed(one, DAY, Dress()), "B": dressed(other, DAY, Dress())}
    report = read(write_workbook(tmp_path / "r.xlsx", sheets))
    assert ([file.sheet for file in report.files], report.points) == (["A", "B"], (POINT, OTHER))
