"""Nothing is lost and nothing invented: energy, money and proofs of a whole run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from exchange_cases import COMMUNITY, POOR, START, exchange_of, homes_of, short_days, snapshot, written

from commonwatt.exchange import tables
from commonwatt.exchange.rows import read_declared
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result
from commonwatt.units import MICRO


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    """The small community's whole day, with its night."""
    result = simulate(written(tmp_path_factory.mktemp("day")), START, 1)
    yield result
    result.close()


def test_the_ledger_holds_exactly_what_was_paid_in(run: Result) -> None:
    assert run.ledger
    assert run.ledger.balances == run.ledger.deposits == 80_050_000
    outbox = exchange_of(run).outbox
    assert outbox
    paid_in = np.array([member.collateral for member in run.community.members])
    assert (outbox.client.balances() == paid_in + run.arrays["credit"].sum(axis=1)).all()
    assert (outbox.client.balances() >= 0).all()


def test_neighbours_pay_each_other_exactly_what_they_receive_in_every_slot(run: Result) -> None:
    assert (run.arrays["credit"].sum(axis=0) == 0).all()
    assert (run.arrays["credit"] != 0).any()


def test_every_watt_hour_is_accounted_for(run: Result) -> None:
    a = run.arrays
    assert (a["load"] - a["generation"] + a["curtailed"] + a["charge"] - a["discharge"] == a["net"]).all()
    assert (a["ahead"] + a["after"] + a["grid"] == a["net"]).all()
    for name in ("load", "generation", "charge", "discharge", "curtailed"):
        assert (a[name] >= 0).all()
        assert name == "curtailed" or a[name].any()


def test_what_one_neighbour_buys_another_sells(run: Result) -> None:
    for stage in ("ahead", "after"):
        assert (run.arrays[stage].sum(axis=0) == 0).all()
        assert run.arrays[stage].any()


def test_a_home_that_draws_never_sells_and_one_that_feeds_in_never_buys(run: Result) -> None:
    a = run.arrays
    for part in ("grid", "ahead", "after"):
        assert (a[part] * np.sign(a["net"]) >= 0).all()


def test_the_tables_say_what_the_arrays_say(run: Result) -> None:
    a, members = run.arrays, len(run.community.members)
    assert run.flows.height == run.period.count * members == 24 * 5
    assert run.flows["net_wh"].to_numpy().reshape(-1, members).T.tolist() == a["net"].tolist()
    assert run.slots["local_wh"].sum() == run.homes["bought_wh"].sum() == run.homes["sold_wh"].sum() > 0
    settled = run.trades.filter(pl.col("settled_wh") > 0)
    for member in run.community.members:
        mine = settled.filter(pl.col("buyer") == member.id)["settled_wh"].sum()
        assert mine == run.homes.filter(pl.col("home") == member.id)["bought_wh"].item()
    assert (run.trades["settled_wh"] <= run.trades["wh"]).all()
    assert set(run.trades["stage"]) == {"day_ahead", "real_time"}


def test_the_price_of_every_trade_lies_between_feed_in_and_retail(run: Result) -> None:
    prices = run.trades.join(run.slots, on="slot")
    assert (prices["price"] <= prices["ceiling"]).all()
    assert (prices["price"] >= prices["feed_in"]).all()


def test_nobody_is_worse_off_than_with_the_utility_alone(run: Result) -> None:
    saving = run.charges_without_market.total - run.charges.total
    # Each payment is rounded down by less than a micro-unit, to the seller's loss; besides, the utility's payment for
    # what is fed in is rounded once per slot, and VAT once.
    trades = [int((run.trades["seller"] == member.id).sum()) for member in run.community.members]
    assert (saving >= -np.array(trades) - run.period.count - 1).all()
    assert saving.sum() > MICRO  # all in all, a gain that is no rounding


def test_the_poor_member_trades_as_far_as_its_collateral_goes(run: Result) -> None:
    assert exchange_of(run).outbox
    left = exchange_of(run).client.balances()[POOR]
    bought = run.homes["bought_wh"][POOR]
    wanted = run.trades.filter(pl.col("buyer") == "poor")["wh"].sum()
    assert 0 < bought < wanted
    assert 0 <= left < 1000
    refused = run.exchange.store.rows(tables.refusals)
    assert {row.member for row in refused} == {POOR}
    assert all("collateral is free" in row.reason for row in refused)


def test_every_record_is_in_the_store_with_its_signature(run: Result) -> None:
    from commonwatt.proof import recover, verify_order

    sim, domain = run.exchange, exchange_of(run).domain
    mandates = sim.store.rows(tables.mandates)
    assert [recover(domain.digest(row.hash), row.signature) for row in mandates] == [
        key.address for key in homes_of(run).keys.members
    ]
    readings, signed = sim.store.rows(tables.readings), 0
    assert len(readings) == 24 * 5
    for row in readings:
        assert recover(domain.digest(row.hash), row.signature) == homes_of(run).keys.meters[row.member].address
    for slot in run.period.starts.tolist():
        declared = read_declared(sim.store, slot)
        for member, order in zip(declared.members, declared.signed, strict=True):
            assert verify_order(domain, order, homes_of(run).keys.agents[member].address) == order.hash
            signed += 1
    orders = sim.store.rows(tables.orders)
    assert len(orders) == signed > 24
    assert {row.member for row in orders} == {0, 1, 2, 3}  # the poor one cannot pay for an hour in advance
    # Each of them signed once, at the one gate.
    assert len({(row.member, row.signature) for row in orders}) == 4


def test_the_words_of_a_mandate_say_what_its_numbers_say(run: Result) -> None:
    from commonwatt.community.wording import check_mandate

    community = run.community
    for signed in exchange_of(run).mandates:
        check_mandate(signed.record, community.currency, community.timezone, community.slot_seconds)
        assert "per 60 minutes" in signed.record.text


def test_every_clearing_in_the_store_proves_itself(run: Result) -> None:
    import json

    clearings = run.exchange.store.rows(tables.clearings)
    assert len(clearings) == 2 * 24
    for row in clearings:
        checks = json.loads(row.proof)
        assert len(checks) >= 5
        assert all(check["holds"] for check in checks)


def test_the_chain_has_two_blocks_per_slot(run: Result) -> None:
    assert run.ledger
    # Community, deposits, ether for the members, commitment, a post and a settlement per slot, the root of the bills.
    assert run.ledger.blocks == 3 + 1 + 2 * 24 + 1
    assert run.ledger.trades == int((run.trades["settled_wh"] > 0).sum()) > 20
    assert run.ledger.gas_per_trade == run.ledger.gas_settlement / run.ledger.trades


def test_the_same_run_in_files_gives_the_same_chain_and_the_same_bills(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "out")
    with short_days():
        inside, files = (
            simulate(finished.parent / "community.toml", START, 1, out=out) for out in (None, tmp_path / "out")
        )
        assert snapshot(inside) == snapshot(files)
    for result in (inside, files):
        result.close()


def test_without_a_ledger_the_market_is_the_same_but_for_collateral(tmp_path: Path) -> None:
    file = written(tmp_path, COMMUNITY.replace('collateral = "0.05"', 'collateral = "20"'))
    with short_days():
        results = [simulate(file, START, 1, ledger=choice) for choice in ("none", "embedded")]
    for name, array in results[0].arrays.items():
        assert (array == results[1].arrays[name]).all(), name
    assert results[0].ledger is None
    assert results[0].bills.contents[0]["ledger"] is None
    for result in results:
        result.close()
