"""The page on operating says what was measured of a living exchange."""

from __future__ import annotations

from types import ModuleType

import pytest
from benchmark_scripts import script


@pytest.fixture(scope="module")
def page() -> ModuleType:
    return script("_living_page")


def test_the_tables_are_those_of_the_results(page: ModuleType) -> None:
    assert dict(page.BLOCK.findall(page.PAGE.read_text("utf-8"))) == page.blocks()


def test_the_numbers_to_reach_of_a_village_are_reached_in_the_results(page: ModuleType) -> None:
    live, demand = page.results("live"), page.results("demand")
    idle, most = live["idle"], live["at_most"]["idle"]
    assert all(idle[name] <= limit for name, limit in most.items())
    assert demand["milliseconds"]["close"]["p99"] <= demand["at_most"]["p99"]
    assert all(live["slot"][name] <= limit for name, limit in live["at_most"]["slot"].items())
    assert live["gate"]["exchange_cpu"] <= live["at_most"]["gate"]["exchange_cpu"]
