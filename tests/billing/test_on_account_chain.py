"""Where the roots of months are: a chain with the books, which is not founded twice, or a node that is named."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from commands import Commands
from month_cases import CHAINED, NOVEMBER, NOW, OCTOBER, October, counted, settled, write_export
from node_processes import free_port, node_at, reach
from nodes import anvil
from shell import Shell

from commonwatt.billing.outputs import write
from commonwatt.errors import LedgerError, StoreError


def test_bills_that_are_lost_are_not_made_otherwise(tmp_path: Path, october_by: October) -> None:
    october_by(CHAINED)
    issued = tmp_path / "books/2026-10/issued.json"
    issued.unlink()
    dearer = CHAINED.replace('member_fee = "2.00"', 'member_fee = "3.00"')
    with pytest.raises(LedgerError, match=r"put issued\.json of the month back"):
        settled(tmp_path, OCTOBER, [], dearer)
    assert not issued.exists()


def test_half_of_a_chain_is_refused(tmp_path: Path, october_by: October) -> None:
    export = [tmp_path / "a.csv"]
    october_by(CHAINED)
    for name in ("ledger.sqlite", "operator.key"):
        file = tmp_path / "books" / name
        kept = file.rename(tmp_path / name)
        with pytest.raises(StoreError, match="is missing; put it back"):
            settled(tmp_path, OCTOBER, export, CHAINED)
        kept.rename(file)
    assert not settled(tmp_path, OCTOBER, export, CHAINED).new


def test_a_node_that_the_community_names_holds_the_roots(said: Shell, tmp_path: Path) -> None:
    export = [write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))]
    with anvil(NOW - 10) as (url, _):
        text = CHAINED.replace("[ledger]", f'[ledger]\nkind = "{url}"')
        write(settled(tmp_path, OCTOBER, export, text), tmp_path)
        more = [write_export(tmp_path / "c.csv", NOVEMBER, counted(NOVEMBER, 2))]
        write(settled(tmp_path, NOVEMBER, more, text), tmp_path)
        assert not (tmp_path / "books/ledger.sqlite").exists()
        for folder in (tmp_path, tmp_path / "2026-10"):
            card = tmp_path / "cards/ben.json"
            found = said("verify", folder / "bills/ben.json", "--card", card, "--ledger", url)
            assert found.code == 0, found.err
    # The node is another one now.
    with anvil(NOW - 10) as (url, _):
        elsewhere = CHAINED.replace("[ledger]", f'[ledger]\nkind = "{url}"')
        with pytest.raises(LedgerError, match="does not hold the contracts of these books"):
            settled(tmp_path, OCTOBER, [], elsewhere)
    with pytest.raises(LedgerError, match=url):
        settled(tmp_path, OCTOBER, [], elsewhere)


def test_a_node_of_a_network_does_as_well(said: Shell, commands: Commands, tmp_path: Path) -> None:
    """It goes by its own clock, and the operator pays for its transactions."""
    village, port = tmp_path / "net", free_port()
    assert said("chain", "init", village, "--nodes", 1, "--period", 1).code == 0
    (tmp_path / "log").touch()
    commands.start(node_at(village, port), tmp_path / "log")
    with httpx.Client(trust_env=False) as client:
        reach(client, port, 1)
    url = f"http://127.0.0.1:{port}"
    text = CHAINED.replace("[ledger]", f'[ledger]\nkind = "{url}"')
    export = [write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))]
    with pytest.raises(LedgerError, match=r"has nothing at .* to pay for transactions with; it is the account of"):
        settled(tmp_path, OCTOBER, export, text)
    (tmp_path / "books/operator.key").write_bytes((village / "node-1.key").read_bytes())
    write(settled(tmp_path, OCTOBER, export, text), tmp_path)
    for name in ("anna", "plant"):
        found = said(
            "verify", tmp_path / f"bills/{name}.json", "--card", tmp_path / f"cards/{name}.json", "--ledger", url
        )
        assert found.code == 0, found.err
