"""Market days of several stages, and days on which agents agree over the whole horizon before they order."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from by_slot import proven, verify_bill
from exchange_cases import (
    AFTER,
    BILATERAL,
    HEAD,
    LISTINGS,
    MEMBERS,
    POOLS,
    POOR,
    START,
    TARIFF,
    all_rows,
    begin,
    exchange_of,
    short_days,
    snapshot,
    written,
)

from commonwatt.errors import ConfigError, MarketError
from commonwatt.exchange import tables
from commonwatt.exchange.checking import load
from commonwatt.records import BUY, SELL
from commonwatt.simulation.api import simulate
from commonwatt.simulation.homes import plans
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation

UNIFORM = '\n[market.auction]\nmechanism = "uniform"\ngate = "12:00"\n'
MID_THEN_SDR = '\n[market.mid]\nmechanism = "mid-market"\n\n[market.rest]\nmechanism = "sdr"\n'
DAYS = {
    "auction, board, mid-market, sdr": UNIFORM + LISTINGS + MID_THEN_SDR,
    "bilateral, sdr": BILATERAL + AFTER,
    "bilateral, board, static key, sdr": BILATERAL + LISTINGS + POOLS,
}


def text_of(stages: str) -> str:
    return HEAD + TARIFF + stages + MEMBERS


@pytest.fixture(scope="module", params=DAYS, ids=lambda name: name)
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Result:
    with short_days():
        return simulate(written(tmp_path_factory.mktemp("day"), text_of(DAYS[request.param])), START, 1)


def test_energy_and_money_are_conserved(day: Result) -> None:
    a = day.arrays
    assert (a["load"] - a["generation"] + a["curtailed"] + a["charge"] - a["discharge"] == a["net"]).all()
    assert (a["ahead"] + a["after"] + a["grid"] == a["net"]).all()
    for part in ("grid", "ahead", "after"):
        assert (a[part] * np.sign(a["net"]) >= 0).all()
    for phase in ("ahead", "after"):
        assert (a[phase].sum(axis=0) == 0).all()
        settled = day.trades.filter(pl.col("phase") == phase)["settled_wh"].sum()
        assert settled == np.maximum(a[phase], 0).sum() > 0
    assert (a["credit"].sum(axis=0) == 0).all()
    assert day.ledger
    assert day.ledger.balances == day.ledger.deposits


def test_nobody_is_worse_off_than_with_the_utility_alone(day: Result) -> None:
    saving = day.charges_without_market.total - day.charges.total
    assert (saving >= -day.trades.height - day.period.count - 1).all()


def test_every_bill_verifies_on_the_chain(day: Result) -> None:
    client = exchange_of(day).client
    for bill in proven(day.books, day.bills):
        verify_bill(bill, client)


def test_no_order_is_used_twice(day: Result) -> None:
    """All stages ahead together stay within each signed order, in energy and in price."""
    sim = day.exchange
    ahead = len(sim.rules.ahead)
    used: dict[bytes, int] = {}
    orders = {row.hash: row for row in sim.store.rows(tables.orders)}
    for trade in sim.store.rows(tables.trades):
        if trade.stage < ahead:
            buy, sell = orders[trade.buy_order], orders[trade.sell_order]
            assert (buy.member, buy.side, sell.member, sell.side) == (trade.buyer, BUY, trade.seller, SELL)
            assert buy.slot == sell.slot == trade.slot
            assert sell.limit <= trade.price <= buy.limit
            for order in (buy, sell):
                used[order.hash] = used.get(order.hash, 0) + trade.wh
    assert used
    assert all(wh <= orders[order].wh for order, wh in used.items())


def test_each_stage_says_and_proves_what_it_did(day: Result) -> None:
    stages = day.community.market
    clearings = day.exchange.store.rows(tables.clearings)
    assert [(row.slot, row.stage) for row in clearings] == [
        (slot, number) for slot in day.period.starts.tolist() for number in range(len(stages))
    ]
    assert {stages[row.stage].mechanism for row in clearings} == {stage.mechanism for stage in stages}
    assert all(stages[row.stage].mechanism == row.mechanism for row in clearings)
    count, checks, holding = day.proofs
    assert count == len(clearings)
    assert checks == holding > 5 * count
    names = {stage.name for stage in stages}
    assert set(day.trades["stage"]) <= names
    assert {stage.name for stage, _ in day.local_prices.values()} <= names
    assert set(day.local_prices) <= set(day.slots.columns)
    assert len(day.diagnostics("ahead")) == day.period.count * len(day.rules.ahead)


def test_a_run_interrupted_anywhere_ends_like_any_other(tmp_path: Path) -> None:
    text = text_of(DAYS["bilateral, board, static key, sdr"])
    with short_days(10, 24):  # until 9:00 of the second day, whose gate closes within the first
        whole = simulate(written(tmp_path / "whole", text), START, 2, out=tmp_path / "whole" / "out")
        said = snapshot(whole)
        whole.close()
        simulation = begin(tmp_path / "parts", text, days=2)
        while simulation.exchange.next:
            simulation.advance()
            if simulation.exchange.done % 4 == 0:
                simulation.close()
                simulation = begin(tmp_path / "parts", text, days=2)
        simulation.close()
        again = simulate(tmp_path / "parts" / "community.toml", START, 2, out=tmp_path / "parts" / "out")
    assert snapshot(again) == said
    again.close()
    assert all_rows(tmp_path / "parts" / "out") == all_rows(tmp_path / "whole" / "out")


# What agents agreed, and what becomes of it


@pytest.fixture(scope="module")
def agreed(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return simulate(written(tmp_path_factory.mktemp("agreed"), text_of(BILATERAL)), START, 1)


def test_who_cannot_pay_is_not_traded_with_and_harms_nobody_else(agreed: Result) -> None:
    sim = agreed.exchange
    refused = {(row.slot, row.member) for row in sim.store.rows(tables.refusals)}
    assert {member for _, member in refused} == {POOR}
    for slot, _ in refused:
        assert all(row.buyer != POOR for row in sim.store.rows(tables.trades, slot=slot))
    assert any(row.slot in dict(refused) for row in sim.store.rows(tables.trades))


def test_batteries_hold_the_meter_at_what_was_agreed(agreed: Result) -> None:
    sim, members = agreed.exchange, len(agreed.community.members)
    beyond = np.array([np.frombuffer(row.grid, dtype=np.int64) for row in sim.store.rows(plans)]).T
    assert (beyond >= 0).all()  # what is charged from the grid
    targets = beyond.copy()
    for place, slot in enumerate(agreed.period.starts.tolist()):
        position = np.zeros(members, dtype=np.int64)
        for trade in sim.store.rows(tables.trades, slot=slot):
            position[trade.buyer] += trade.wh
            position[trade.seller] -= trade.wh
        targets[:, place] += position
    a, sun = agreed.arrays, 0
    beside, charge, discharge = (a["net"] - targets)[sun], a["charge"][sun], a["discharge"][sun]
    soc = 2500 + np.cumsum(0.95 * charge - discharge / 0.95)
    assert (beside == 0).sum() > 8
    # Elsewhere the battery is empty or full, or at its power.
    assert ((soc[beside > 0] < 502) | (discharge[beside > 0] == 2500)).all()
    assert ((soc[beside < 0] > 4998) | (charge[beside < 0] == 2500)).all()
    # The battery sells in the evening, which it never does for its own home.
    assert ((a["discharge"][sun] > 0) & (a["net"][sun] < 0)).any()


def test_a_battery_charges_at_night_where_the_plan_says_so(tmp_path: Path) -> None:
    """Cheap nights and dear evenings, in winter: the roof alone does not fill it."""
    table = 'retail = [{ from = "00:00", price = "0.12" }, { from = "06:00", price = "0.45" }]'
    text = text_of(BILATERAL).replace('retail = "0.27"', table)
    result = simulate(written(tmp_path, text), "2026-01-19", 2, ledger="none")
    a, sun = result.arrays, 0
    night = np.arange(48) % 24 < 6
    assert a["charge"][sun, night].sum() > a["generation"][sun, night].sum() + 1000
    assert a["grid"][sun, night].sum() > a["load"][sun, night].sum()
    result.close()


def test_without_signatures_the_same_is_agreed_but_for_collateral(tmp_path: Path) -> None:
    text = text_of(BILATERAL + LISTINGS + POOLS).replace('collateral = "0.05"', 'collateral = "20"')
    with short_days():
        results = [simulate(written(tmp_path, text), START, 1, ledger=choice) for choice in ("none", "embedded")]
    for name, array in results[0].arrays.items():
        assert (array == results[1].arrays[name]).all(), name
    for result in results:
        result.close()


def test_mandates_bound_what_is_agreed(tmp_path: Path) -> None:
    """Energy and prices beyond a mandate fall away, with or without signatures, and both ends meet the utility."""
    text = text_of(BILATERAL).replace(
        "kwp = 5 } }", 'kwp = 5 }, mandate = { sell_wh = 300, min_sell = "0.15", max_buy = "0.2" } }'
    )
    for ledger in ("none", "embedded"):
        with short_days():
            result = simulate(written(tmp_path, text), START, 1, ledger=ledger)
        ahead = result.trades
        sold = ahead.filter(pl.col("seller") == "roof")
        assert (sold["price"] >= 0.15).all()
        assert (ahead.filter(pl.col("buyer") == "roof")["price"] <= 0.2).all()
        per_slot = sold.group_by("slot").agg(pl.col("wh").sum())["wh"]
        assert 0 < per_slot.max() <= 300  # type: ignore[operator]
        cleared = [row.diagnostics for row in result.exchange.store.rows(tables.clearings)]
        assert len(cleared) == result.period.count
        result.close()


def test_preferences_by_distance_need_the_wires(tmp_path: Path) -> None:
    far = BILATERAL + 'preference = "distance"\n'
    with pytest.raises(ConfigError, match=r"market.neighbours: needs distances along the wires, which \[grid\]"):
        load(written(tmp_path, text_of(far)))
    with pytest.raises(ConfigError, match=r"market.neighbours: needs a matrix of preferences, which this file"):
        load(written(tmp_path, text_of(BILATERAL + 'preference = "matrix"\n')))
    buses = ("LV2.101 Bus 1", "LV2.101 Bus 3", "LV2.101 Bus 5", "LV2.101 Bus 93", "LV2.101 Bus 102")
    members = MEMBERS
    for name, bus in zip(("sun", "roof", "flat", "shop", "poor"), buses, strict=True):
        members = members.replace(f"{name} = {{ ", f'{name} = {{ bus = "{bus}", ')
    wired = HEAD + '\n[grid]\nnetwork = "simbench:rural2"\n' + TARIFF + far + members.replace('"0.05"', '"20"')
    near, plain = (
        simulate(written(tmp_path, text), START, 1, ledger="none").trades.filter(pl.col("seller") == "sun")
        for text in (wired, wired.replace('preference = "distance"\n', ""))
    )
    share = [
        int(trades.filter(pl.col("buyer").is_in(["roof", "flat"]))["wh"].sum()) / int(trades["wh"].sum())
        for trades in (near, plain)
    ]
    assert share[0] > share[1]


@pytest.mark.parametrize(
    ("stages", "sentence"),
    [
        (UNIFORM + BILATERAL, "market.neighbours.mechanism: bilateral clears the whole day at once; it must stand "
         "before auction"),
        (UNIFORM + LISTINGS.replace("12:00", "14:00"), "market.board.gate: is 14:00, and that of auction is 12:00; "
         "the orders of a slot close but once"),
        (AFTER + LISTINGS, "market.board: has a gate and so clears ahead of delivery; it must stand before real_time"),
    ],
)  # fmt: skip
def test_days_that_cannot_be_are_told(tmp_path: Path, stages: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text_of(stages)))
    assert [str(finding) for finding in caught.value.findings] == [sentence]


def test_a_mechanism_of_the_whole_day_runs_first_or_not_at_all(tmp_path: Path) -> None:
    from dataclasses import replace
    from datetime import date

    community = load(written(tmp_path, text_of(BILATERAL)))
    auction = load(written(tmp_path, text_of(UNIFORM))).market
    with pytest.raises(MarketError, match="bilateral clears the whole day at once; it must be the first stage"):
        Simulation(replace(community, market=(*auction, *community.market)), tmp_path, date(2026, 6, 15), 1,
                   ledger="none")  # fmt: skip


def test_a_mechanism_that_needs_what_no_community_has_is_told(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from commonwatt.market import Mechanism, Parameters\n"
        "class Weather: pass\n"
        'MINE = Mechanism("mine", "ahead", Weather, Parameters, lambda *_: (), "own")\n'
    )
    stage = '\n[market.own]\nmechanism = "own.py:MINE"\ngate = "12:00"\n'
    with pytest.raises(ConfigError, match=r"market.own.mechanism: mine needs a Weather, which is not known of a"):
        load(written(tmp_path, text_of(stage)))


def test_a_market_that_finds_nothing_leaves_everything_to_the_utility(tmp_path: Path) -> None:
    text = text_of(BILATERAL + "iterations = 1\n")
    result = simulate(written(tmp_path, text), START, 1, ledger="none")
    assert result.trades.height == 0
    assert {found["converged"] for found in result.diagnostics("ahead")} == {0}
    assert (result.arrays["grid"] == result.arrays["net"]).all()
    result.close()


@pytest.mark.parametrize(("start", "slots"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_days_on_which_the_clocks_change(tmp_path: Path, start: str, slots: int) -> None:
    result = simulate(written(tmp_path, text_of(BILATERAL + AFTER)), start, 1, ledger="none")
    assert result.period.count == slots
    assert (result.arrays["ahead"] + result.arrays["after"] + result.arrays["grid"] == result.arrays["net"]).all()
    result.close()


def test_hours_in_which_local_energy_is_worthless_are_left_out(tmp_path: Path) -> None:
    first = datetime(2026, 6, 14)  # noqa: DTZ001
    hours = [(first + timedelta(hours=hour), "0.01" if 10 <= hour % 24 < 15 else "0.27") for hour in range(72)]
    text = text_of(BILATERAL).replace('retail = "0.27"', 'retail = { file = "prices.csv" }')
    rows = ["time,price", *(f"{hour:%Y-%m-%dT%H:%M},{price}" for hour, price in hours)]
    written(tmp_path, text).with_name("prices.csv").write_text("\n".join(rows))
    result = simulate(tmp_path / "community.toml", START, 1, ledger="none")
    closed = result.prices.ceiling < result.prices.floor
    assert closed.any()
    assert not result.arrays["ahead"][:, closed].any()
    assert result.arrays["ahead"][:, ~closed].any()
    result.close()
