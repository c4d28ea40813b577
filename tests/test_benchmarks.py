"""The page of benchmarks says what its results say."""

import re
from pathlib import Path
from types import ModuleType

import pytest
from benchmark_scripts import script

ROOT = Path(__file__).parents[1]
# What other programs took elsewhere, and the certified gap that is asked for.
QUOTED = {"0.29", "1.8", "10.3", "0.1"}


# Older results may not know their commit, and say so.
FIRST_WITH_COMMIT = "2026-11-30"


@pytest.fixture(scope="module")
def page() -> ModuleType:
    return script("_page")


def test_the_tables_are_those_of_the_results(page: ModuleType) -> None:
    assert dict(page.BLOCK.findall(page.PAGE.read_text("utf-8"))) == page.blocks()


def test_no_other_decimal_number_stands_on_the_page(page: ModuleType) -> None:
    assert set(re.findall(r"\d+\.\d+", page.BLOCK.sub("", page.PAGE.read_text("utf-8")))) == QUOTED


RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_result_says_when_where_and_with_what(page: ModuleType, path: Path) -> None:
    found = page.read(path.stem)
    assert {"date", "commit", "machine", "versions"} <= set(found)
    assert {"cpu", "cores", "system", "python"} <= set(found["machine"])
    if path.stem in page.MEASURED:
        assert page.runs(found)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_result_says_which_commit_was_measured(page: ModuleType, path: Path) -> None:
    found = page.read(path.stem)
    unknown = found["commit"] == "unknown" and found["date"] < FIRST_WITH_COMMIT
    assert unknown or re.fullmatch(r"[0-9a-f]{40}", found["commit"]), "measure what is committed, and nothing else"
