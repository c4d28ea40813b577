"""The pages on the chain say what was measured."""

from types import ModuleType

import pytest
from benchmark_scripts import script


@pytest.fixture(scope="module")
def page() -> ModuleType:
    return script("_chain_page")


def test_the_figures_are_those_of_the_results(page: ModuleType) -> None:
    found = [block for path in page.PAGES for block in page.BLOCK.findall(path.read_text("utf-8"))]
    assert dict(found) == page.blocks()


def test_the_numbers_to_reach_are_reached_in_the_results(page: ModuleType) -> None:
    network, rpc = page.read("network"), page.read("rpc")
    assert network["token_transfers_per_second_in_full_blocks"]["made"]["cpu"] >= 150
    assert network["single_transaction_blocks_per_second"]["made"]["cpu"] >= 60
    assert network["catching_up"]["seconds"]["cpu"] <= 300
    assert rpc["transaction_to_receipt"]["p99_ms"] <= 250
    process = page.read("chain_process")
    assert all(case["posted_and_final"]["chain_cpu"] <= 0.6 for case in process["settlements"])
    assert (process["idle"]["percent_of_a_core"] <= 1, process["idle"]["bytes_grown"]) == (True, 0)
