"""The table of a comparison as it is printed and as CSV."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from commonwatt.community.synthetic import village
from commonwatt.study.compare.claims import Claim
from commonwatt.study.compare.comparison import Comparison, compare
from commonwatt.study.compare.table import COLUMNS, WIDEST, Screen, columns, write_csv


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    file = tmp_path_factory.mktemp("village") / "village.toml"
    file.write_text(village(8), encoding="utf-8")
    return compare(file, "2026-06-15", 1, ["uniform", "sdr"])


def printed(comparison: Comparison, width: int) -> list[str]:
    text = StringIO()
    Console(file=text, width=width).print(Screen(comparison))
    return text.getvalue().splitlines()


def table(lines: list[str], rows: int) -> dict[str, dict[str, str]]:
    """The printed cells by design and head, of every block of the table."""
    found: dict[str, dict[str, str]] = {}
    for place, line in enumerate(lines):
        if line.startswith("design "):
            for row in lines[place + 1 : place + 1 + rows]:
                design, cells = re.fullmatch(r"(utility only|\S+) +(.*)", row).groups()  # type: ignore[union-attr]
                found.setdefault(design, {}).update(zip(line.split()[1:], cells.split(), strict=True))
    return found


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_every_cell_stands_under_its_head(comparison: Comparison, width: int) -> None:
    found = table(printed(comparison, width), 3)
    assert list(found) == [row.design for row in comparison.rows]
    shown = columns(comparison)[1:]
    for row in comparison.rows:
        assert found[row.design] == {column.head: column.shown(row) for column in shown}


def test_the_table_has_the_figures_of_the_rows(comparison: Comparison) -> None:
    found = table(printed(comparison, WIDEST), 3)
    for row in comparison.rows:
        cells = found[row.design]
        assert cells["bill"] == f"{row.bill:.2f}"
        assert cells["saved"] == f"{row.saved:.2f}"
        assert cells["least"].replace("−", "-") == f"{row.least_saved:z.2f}"
        assert cells["kWh"] == f"{row.local_kwh:.1f}"
        assert cells["trades"] == str(row.trades)
        assert cells["Zhou"] == f"{row.zhou.overall:.2f}"
    assert [found[row.design]["proofs"] for row in comparison.rows] == ["–", "✓", "✓"]


def test_a_broken_check_is_counted(comparison: Comparison) -> None:
    broken = replace(comparison.rows[1], holding=comparison.rows[1].checks - 3)
    lines = printed(replace(comparison, rows=(comparison.rows[0], broken)), WIDEST)
    assert any("3 broken" in line for line in lines)


def test_it_fits_its_width_and_explains_its_heads(comparison: Comparison) -> None:
    for width in (80, WIDEST):
        lines = printed(comparison, width)
        assert max(map(len, lines)) <= width
        said = " ".join(line.strip() for line in lines)
        for column in columns(comparison):
            assert f"{column.head}: {column.meaning}" in said or not column.meaning
    assert sum(line.startswith("design ") for line in printed(comparison, WIDEST)) == 1


def test_what_was_left_out_and_what_found_no_plan_is_said(comparison: Comparison) -> None:
    stuck = replace(comparison.rows[1], unsolved=96)
    changed = replace(comparison, rows=(comparison.rows[0], stuck), left_out={"mine": "it has no homes"})
    said = " ".join(line.strip() for line in printed(changed, WIDEST))
    assert "left out: mine: it has no homes" in said
    assert "uniform found no plan in 96 of 96 slots" in said


def test_batteries_that_end_emptier_are_said_with_their_worth(comparison: Comparison) -> None:
    emptied = replace(comparison.rows[1], stored_kwh=-10.0)
    changed = replace(comparison, rows=(comparison.rows[0], emptied))
    said = " ".join(line.strip() for line in printed(changed, WIDEST))
    low, high = 10 * min(comparison.floor), 10 * max(comparison.ceiling)
    assert (
        f"uniform ends with 10.0 kWh less in the batteries than the utility alone, worth {low:.2f} to {high:.2f}"
        in said
    )
    assert not any("in the batteries than" in line for line in printed(comparison, WIDEST))


def test_claims_are_printed_beside_what_came_out(comparison: Comparison) -> None:
    claim = Claim("Speed", "low", "high", "idle", "a day", ("design",), (("uniform",),), "neither is")
    lines = printed(replace(comparison, claims=(claim,)), WIDEST)
    assert [line.strip() for line in lines[-3:]] == [
        "Speed",
        "a review's table 2: auction low, scheduling high",
        "here: neither is",
    ]


def test_the_csv_has_every_figure(comparison: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "comparison.csv"
    write_csv(comparison, path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["design"] for row in rows] == [row.design for row in comparison.rows]
    for row, line in zip(comparison.rows, rows, strict=True):
        assert float(line["bill"]) == row.bill
        assert line["losses_kwh"] == ""
        assert float(line["zhou"]) == row.zhou.overall
        assert all(column.key in line for column in COLUMNS)
