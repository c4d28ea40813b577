"""The page of benchmarks says what its results say."""

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from benchmark_scripts import BENCHMARKS, script

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


@pytest.fixture
def against(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("against")


def test_every_ratio_to_reach_is_one_that_is_measured(page: ModuleType, against: ModuleType, tmp_path: Path) -> None:
    found: list[tuple[str, ...]] = []

    class Told(against.Sides):  # type: ignore[name-defined, misc]
        def run(self, side: str, *command: str | Path) -> dict[str, Any]:
            found.append((side, *map(str, command)))
            return dict.fromkeys(KEYS, 8 if side == "base" else 2)

    figures = [each.as_json() for each in against.measured(Told(ROOT, tmp_path, 2), (100, 1000), 1000, 1)]
    assert set(page.RATIOS) <= {figure["name"] for figure in figures}
    assert {figure["ratio"] for figure in figures} == {0.25}
    replays = [command for command in found if "replay" in command]
    assert [side for side, *_ in replays] == ["base", "now"] * 4
    assert {Path(folder).name for *_, folder in replays} == {"base-100", "base-1000"}


KEYS = (
    "cpu_seconds", "rss_mb", "seconds", "bytes", "verifying", "memory", "gas",
    *(f"{kind} {way}" for kind in ("token", "ether", "single") for way in ("made", "validated")),
)  # fmt: skip


def test_ratios_are_those_of_medians_and_of_the_best(against: ModuleType) -> None:
    seconds = against.Figure("time", "s", base=[4.0, 8.0, 6.0], now=[3.0, 1.0, 9.0]).as_json()
    assert (seconds["ratio"], seconds["of_the_best"]) == (0.5, 0.25)
    rate = against.Figure("rate", "per second", rate=True, base=[4.0, 8.0, 6.0], now=[3.0, 1.0, 16.0]).as_json()
    assert (rate["ratio"], rate["of_the_best"]) == (0.5, 2.0)
