"""The same day on the embedded chain and on another Ethereum node: the same balances, and bills that it proves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange_cases import COMMUNITY, START, all_rows, exchange_of, short_days, written
from nodes import anvil

from commonwatt.errors import ConfigError, LedgerError, StoreError, VerificationError
from commonwatt.member.verify import open_and_verify
from commonwatt.report.outputs import write_outputs
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result

BEFORE = 3600


@pytest.fixture(scope="module", autouse=True)
def _short() -> Iterator[None]:
    with short_days():
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("day"), COMMUNITY)


@pytest.fixture(scope="module")
def url(run: Result) -> Iterator[str]:
    with anvil(run.rules.events[0].at - BEFORE) as (running, _):
        yield running


@pytest.fixture(scope="module")
def elsewhere(file: Path, url: str) -> Path:
    """The folder of a run that was settled on anvil."""
    out = file.parent / "out"
    result = simulate(file, START, 1, ledger=url, out=out)
    write_outputs(result, out)
    result.close()
    return out


def test_both_engines_end_with_the_same_balances(file: Path, url: str, elsewhere: Path, run: Result) -> None:
    again = simulate(file, START, 1, ledger=url, out=elsewhere)
    mine, theirs = (exchange_of(result).outbox for result in (run, again))
    assert mine
    assert theirs
    assert theirs.client.balances().tolist() == mine.client.balances().tolist()
    assert run.ledger
    assert again.ledger
    assert (again.ledger.blocks, again.ledger.transactions) == (run.ledger.blocks, run.ledger.transactions)
    # Signatures are for one chain, and cost more or less by their bytes that are zero.
    assert again.ledger.gas == pytest.approx(run.ledger.gas, rel=1e-4)
    again.close()


def test_a_run_that_is_done_sends_nothing_more(file: Path, url: str, elsewhere: Path) -> None:
    before = all_rows(elsewhere)
    one = simulate(file, START, 1, ledger=url, out=elsewhere)
    head = exchange_of(one).client.node.head
    one.close()
    two = simulate(file, START, 1, ledger=url, out=elsewhere)
    assert exchange_of(two).client.node.head == head
    two.close()
    assert all_rows(elsewhere) == before


def test_every_bill_is_proved_by_the_node(url: str, elsewhere: Path) -> None:
    bills = sorted((elsewhere / "bills").glob("*.json"))
    assert len(bills) > 2
    for bill in bills:
        assert open_and_verify(bill, [url])[0].lines > 0
    forged = bills[0].with_suffix(".forged")
    forged.write_text(bills[0].read_text("utf-8").replace('"total":', '"total":1', 1), "utf-8")
    with pytest.raises(VerificationError):
        open_and_verify(forged, [url])
    forged.unlink()


def test_a_node_that_cannot_be_used_is_named_with_the_reason(file: Path, url: str, elsewhere: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be asked"):
        simulate(file, START, 1, ledger="http://127.0.0.1:9")
    with pytest.raises(LedgerError, match="after this run begins; start the node anew: anvil --no-mining"):
        simulate(file, START, 1, ledger=url)
    with pytest.raises(StoreError, match="holds another run"):
        simulate(file, START, 1, ledger="embedded", out=elsewhere)
    with pytest.raises(ConfigError, match="or a node's URL"):
        simulate(file, START, 1, ledger="ftp://somewhere")
