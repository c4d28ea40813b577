"""What a run computes stays the same to the byte: chain, balances, bills and tables of one day of two communities.

A change that is meant to alter them writes tests/simulation/golden.json anew (`python tests/simulation/test_golden.py`)
and says in the changelog why.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from commonwatt.accounts.document import canonical
from commonwatt.exchange.bills import proven
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("golden.json")
RUNS = {
    f"{name} {ledger}": (name, start, ledger)
    for name, start in (("village", "2026-06-15"), ("five-homes", "2026-05-11"))
    for ledger in ("embedded", "none")
}


def digests(name: str, start: str, ledger: str) -> dict[str, str]:
    result = simulate(ROOT / "examples" / f"{name}.toml", start, 1, ledger=ledger)
    try:
        return _digests(result)
    finally:
        result.close()


def _digests(result: Result) -> dict[str, str]:
    tables = hashlib.sha256()
    for table in (result.flows, result.slots, result.trades, result.homes):
        tables.update(table.write_csv().encode())
    bills = hashlib.sha256()
    for content in result.bills.contents:
        bills.update(canonical(content))
    found = {"tables": tables.hexdigest(), "bills": bills.hexdigest()}
    client = result.books.client
    if client is None:
        return found
    proofs = hashlib.sha256()
    for bill in proven(result.books, result.bills):
        proofs.update(canonical(bill))
    balances = hashlib.sha256(json.dumps(client.balances().tolist()).encode()).hexdigest()
    return {**found, "proofs": proofs.hexdigest(), "balances": balances, "head": client.node.head.hash.hex()}


@pytest.mark.parametrize("run", RUNS)
def test_a_run_computes_the_same(run: str) -> None:
    assert digests(*RUNS[run]) == json.loads(GOLDEN.read_text("utf-8"))[run]


if __name__ == "__main__":
    found = {name: digests(*run) for name, run in RUNS.items()}
    GOLDEN.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
