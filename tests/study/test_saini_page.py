import re
import subprocess
import sys
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from commonwatt.study.saini.case import read_case
from commonwatt.study.saini.study import SainiStudy, run
from commonwatt.study.saini.tables import PARTS, bill_notes, chain_notes, headlines, render, rule_notes
from commonwatt.units import decimal_text

PAGE = Path(__file__).parents[2] / "docs" / "studies" / "saini.md"
BLOCK = re.compile(r"<!-- begin (\w+) -->\n(.*?)<!-- end -->\n", re.DOTALL)


@pytest.fixture(scope="module")
def study() -> SainiStudy:
    return run()


def blocks(study: SainiStudy) -> dict[str, str]:
    """What the page must say between its markers, by name."""
    return {
        "headlines": bullets(headlines(study)),
        "table7": table7(study),
        "bills": bullets(bill_notes(study)),
        "rule": bullets(rule_notes(study)),
        "findings": bullets(f"{found.where}. {found.sentence}" for found in study.inconsistencies),
        "chain": bullets(chain_notes(study)),
    }


def bullets(lines: Iterable[str]) -> str:
    return "".join(f"* {line}\n" for line in lines)


def table7(study: SainiStudy) -> str:
    rows = ["| User | | scenario 1 | investment | grid | peers | operating | net |", "|---|---|" + "---:|" * len(PARTS)]
    for row in study.bills:
        for name, bill in (("printed", row.printed), ("ours", row.ours)):
            money = " | ".join(decimal_text(getattr(bill, part), 4) for part in PARTS)
            rows.append(f"| {row.user} | {name} | {money} |")
    return "\n".join(rows) + "\n"


def test_the_page_says_what_the_code_computes(study: SainiStudy) -> None:
    page = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    assert page == blocks(study)


def test_no_other_decimal_number_stands_on_the_page() -> None:
    prose = re.sub(r"\[[^]]*\]\([^)]*\)|section \d\.\d", "", BLOCK.sub("", PAGE.read_text(encoding="utf-8")))
    case = read_case()
    assert set(re.findall(r"\d+\.\d+", prose)) <= {decimal_text(case.price, 2), str(case.min_excess_kw)}


def test_a_price_fixed_for_the_day_can_lie_above_the_synthetic_grid_price() -> None:
    case = read_case()
    traded = {int(deal.hour[:2]) for deal in case.printed.deals}
    assert [hour for hour in sorted(traded) if case.day.price[hour] < case.price] == [9]


def test_the_terminal_shows_everything_within_100_columns(study: SainiStudy) -> None:
    out = StringIO()
    Console(file=out, width=100).print(render(study))
    shown = " ".join(out.getvalue().split())
    assert max(map(len, out.getvalue().splitlines())) <= 100
    assert "…" not in shown
    for line in (*headlines(study), *bill_notes(study), *rule_notes(study), *chain_notes(study)):
        assert line in shown


def test_running_the_study_needs_neither_rich_nor_polars() -> None:
    code = (
        "import sys, commonwatt.study.saini.study as s; s.run(); print(sorted({'rich', 'polars'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
