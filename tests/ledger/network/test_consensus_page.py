"""The page on the ways to agree says what was measured."""

import json
from types import ModuleType

import pytest
from benchmark_scripts import script


@pytest.fixture(scope="module")
def page() -> ModuleType:
    return script("_consensus_page")


def test_the_tables_are_those_of_the_results(page: ModuleType) -> None:
    assert dict(page.BLOCK.findall(page.PAGE.read_text("utf-8"))) == page.blocks()


def test_the_numbers_to_reach_are_reached_in_the_results(page: ModuleType) -> None:
    work = json.loads(page.RESULTS.read_text("utf-8"))["work"]
    assert work["hashes_per_second"]["ratio"] >= 0.8
    assert all(
        page.furthest(case, work["block_times"]["period"]) <= 0.15 for case in work["block_times"]["cases"].values()
    )
