"""Every kind of market day: other stages, other clocks, other tariffs, other money, weak wires."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from by_slot import proven, verify_bill
from exchange_cases import (
    AFTER,
    AHEAD,
    COMMUNITY,
    HEAD,
    MEMBERS,
    START,
    TARIFF,
    begin,
    homes_of,
    short_days,
    snapshot,
    written,
)

from commonwatt.community.calendar import Slots
from commonwatt.exchange import tables
from commonwatt.exchange.checking import load
from commonwatt.exchange.events import GateClosure
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation


def assert_whole(result: Result) -> None:
    """What holds for every run with a ledger."""
    a, client = result.arrays, result.books.client
    assert (a["load"] - a["generation"] + a["curtailed"] + a["charge"] - a["discharge"] == a["net"]).all()
    assert (a["ahead"] + a["after"] + a["grid"] == a["net"]).all()
    assert (a["credit"].sum(axis=0) == 0).all()
    for part in ("grid", "ahead", "after"):
        assert (a[part] * np.sign(a["net"]) >= 0).all()
    saving = result.charges_without_market.total - result.charges.total
    assert (saving >= -result.trades.height - result.period.count - 1).all()
    if client:
        assert result.ledger
        assert result.ledger.balances == result.ledger.deposits
        for bill in proven(result.books, result.bills):
            verify_bill(bill, client)
    result.close()


@pytest.mark.parametrize(
    ("stages", "used"),
    [(AHEAD, {"day_ahead"}), (AFTER, {"real_time"}), ("", set())],
    ids=["fixed", "sdr", "utility only"],
)
def test_a_day_with_some_stages_only(tmp_path: Path, stages: str, used: set[str]) -> None:
    with short_days():
        result = simulate(written(tmp_path, HEAD + TARIFF + stages + MEMBERS), START, 1)
    assert set(result.trades["stage"]) == used
    assert result.arrays["ahead"].any() == ("day_ahead" in used)
    assert result.arrays["after"].any() == ("real_time" in used)
    if not used:
        assert (result.charges.total == result.charges_without_market.total).all()
    assert_whole(result)


@pytest.mark.parametrize(
    ("start", "slot", "slots"),
    [("2026-03-29", "1h", 23), ("2026-10-25", "1h", 25), ("2026-03-29", "15min", 92), ("2026-10-25", "15min", 100)],
)
def test_days_on_which_the_clocks_change(tmp_path: Path, start: str, slot: str, slots: int) -> None:
    text = COMMUNITY.replace('slot = "1h"', f'slot = "{slot}"')
    result = simulate(written(tmp_path, text), start, 1, ledger="none")
    assert result.period.count == slots
    assert result.flows.height == 5 * slots
    local = result.slots["local"].to_list()
    assert local[0] == datetime.fromisoformat(start)
    hours = [clock.hour for clock in local]
    per_hour = 4 if slot == "15min" else 1
    assert hours.count(2) == {92: 0, 23: 0, 100: 2 * per_hour, 25: 2}[slots]
    assert_whole(result)


@pytest.mark.parametrize(
    ("start", "first", "hours"),
    [("2026-03-29", 1, [1, *range(3, 14)]), ("2026-10-25", 2, [2, *range(2, 12)])],
)
def test_nights_on_which_the_clocks_change_are_settled_with_the_morning_after(
    tmp_path: Path, start: str, first: int, hours: list[int]
) -> None:
    with short_days(first, len(hours)):
        result = simulate(written(tmp_path), start, 1)
    assert [clock.hour for clock in result.slots["local"]] == hours
    assert result.trades.height > 0
    assert_whole(result)


def test_two_days_in_a_row_over_a_change_of_clocks_and_a_restart(tmp_path: Path) -> None:
    with short_days(10, 26):  # until 10:00 of the second day
        simulation = begin(tmp_path, days=2, start="2026-10-24")
        assert len(simulation.rules.events) == 26 + 2
        for _ in range(20):
            simulation.advance()
        simulation.close()
        result = simulate(tmp_path / "community.toml", "2026-10-24", 2, out=tmp_path / "out")
    assert [clock.hour for clock in result.slots["local"]] == [*range(10, 24), 0, 1, 2, *range(2, 11)]
    assert {slot.day for slot in result.trades["slot"]} == {24, 25}
    assert_whole(result)


def test_each_slot_closes_by_itself_where_the_gate_is_a_lead_and_a_run_goes_on(tmp_path: Path) -> None:
    text = COMMUNITY.replace('gate = "12:00"', 'gate = "90min"')
    with short_days(10, 6):
        whole = simulate(written(tmp_path / "whole", text), START, 1, out=tmp_path / "whole" / "out")
        gates = [(event.at, event.slots) for event in whole.rules.events if isinstance(event, GateClosure)]
        assert gates == [(slot - 5400, Slots(slot, 1, 3600)) for slot in whole.period.starts.tolist()]
        for moved in range(len(whole.rules.events)):
            simulation = begin(tmp_path / "parts", text) if not moved else Simulation(
                load(tmp_path / "parts" / "community.toml"), tmp_path / "parts", date.fromisoformat(START), 1,
                out=tmp_path / "parts" / "out",
            )  # fmt: skip
            simulation.advance()
            simulation.close()
        again = simulate(tmp_path / "parts" / "community.toml", START, 1, out=tmp_path / "parts" / "out")
    assert whole.trades.filter(pl.col("phase") == "ahead").height > 0
    assert snapshot(again) == snapshot(whole)
    assert_whole(again)
    whole.close()


def test_agents_decide_one_slot_before_the_gate(tmp_path: Path) -> None:
    """What happens after that, they do not know, however the gate stands to the slots."""
    for gate in ("23:00", "23:30"):
        orders = []
        for surprise in (0, 21, 22):
            simulation = begin(tmp_path / f"{gate[:2]}-{gate[3:]}-{surprise}", COMMUNITY.replace("12:00", gate), days=2)
            world = simulation.homes.world
            if surprise:
                # Batteries fill in an hour in which nobody expects any sun.
                world.generation[:, world.first + surprise] += 4_000
            while simulation.exchange.committed.keys() <= {*simulation.rules.period.starts[:24].tolist()}:
                simulation.advance()
            tomorrow = int(simulation.rules.period.starts[24])
            committed = [simulation.exchange.committed[tomorrow + 3600 * hour] for hour in range(24)]
            slots = [each.cleared.declared.orders for each in committed]
            orders.append([(each.member.tolist(), each.side.tolist(), each.wh.tolist()) for each in slots])
            simulation.close()
        undisturbed, known, unknown = orders
        assert known != undisturbed
        assert unknown == undisturbed


def test_the_battery_s_charge_goes_on_from_day_to_day(tmp_path: Path) -> None:
    result = simulate(written(tmp_path), START, 2, ledger="none")
    battery = result.community.members[0].battery
    assert battery
    a = result.arrays
    stored = battery.kwh * 1000 * battery.soc_start + np.cumsum(
        battery.charge_efficiency * a["charge"][0] - a["discharge"][0] / battery.discharge_efficiency
    )
    assert stored.min() >= battery.kwh * 1000 * battery.soc_min - 1e-6
    assert stored.max() <= battery.kwh * 1000 * battery.soc_max + 1e-6
    assert stored[23] != battery.kwh * 1000 * battery.soc_start
    result.close()


def test_prices_by_time_of_use_bound_each_slot(tmp_path: Path) -> None:
    table = (
        'retail = [{ from = "00:00", price = "0.20" }, { from = "06:00", price = "0.30" }, '
        '{ from = "12:00", price = "0.15", days = ["mon"] }, { from = "18:00", price = "0.40" }]'
    )
    file = written(tmp_path, COMMUNITY.replace('retail = "0.27"', table))
    by_hour = simulate(file, START, 1, ledger="none").prices.retail.tolist()
    assert [by_hour[hour] for hour in (0, 5, 6, 11, 12, 17, 18, 23)] == [
        200_000, 200_000, 300_000, 300_000, 150_000, 150_000, 400_000, 400_000,
    ]  # fmt: skip
    with short_days(11):
        result = simulate(file, START, 1)
    assert set(result.prices.retail.tolist()) == {300_000, 150_000, 400_000}
    assert result.trades.height > 0
    prices = result.trades.join(result.slots, on="slot")
    assert (prices["price"] <= prices["ceiling"]).all()
    assert_whole(result)


def test_a_price_file_may_make_local_energy_worthless_for_hours(tmp_path: Path) -> None:
    """At noon the utility asks less than fee and levies on a local kWh: nobody trades, and the day goes on."""
    first = datetime(2026, 6, 14)  # noqa: DTZ001
    rows = [
        f"{first + timedelta(hours=hour):%Y-%m-%dT%H:%M},{'0.01' if 10 <= hour % 24 < 15 else '0.27'}"
        for hour in range(72)
    ]
    text = COMMUNITY.replace('retail = "0.27"', 'retail = { file = "prices.csv" }').replace(
        'network_fee = "0.02"', 'network_fee = "0.05"'
    )
    written(tmp_path, text).with_name("prices.csv").write_text("\n".join(["time,price", *rows]) + "\n")
    with short_days(8):
        result = simulate(tmp_path / "community.toml", START, 1)
    closed = result.prices.ceiling < result.prices.floor
    assert (result.prices.ceiling[closed] < 0).all()
    assert closed.tolist() == [10 <= hour < 15 for hour in range(8, 16)]
    assert (result.arrays["ahead"] + result.arrays["after"])[:, closed].any() == 0
    assert (result.arrays["ahead"] + result.arrays["after"])[:, ~closed].any()
    assert_whole(result)


def test_a_community_may_settle_in_ether(tmp_path: Path) -> None:
    with short_days():
        result = simulate(written(tmp_path, COMMUNITY.replace('currency = "EUR"', 'currency = "ETH"')), START, 1)
    client = result.books.client
    assert client
    assert client.addresses.token == bytes(20)
    assert client.terms.lane_unit == 10**12
    assert result.arrays["credit"].any()
    # The contract holds the members' ether, to the wei.
    assert client.node.balance(client.addresses.settlement) == 80_050_000 * 10**12
    key = homes_of(result).keys.members[0]
    at = client.node.head.timestamp
    client.pay(key.address, 10**18, at=at + 1)
    client.request_withdrawal(key, 1_000_000, at=at + 2)
    before = client.node.balance(key.address)
    client.claim_withdrawal(key, at=at + 10_000)
    assert client.node.balance(key.address) - before > 0.99 * 10**18
    assert client.node.balance(client.addresses.settlement) == 79_050_000 * 10**12
    result.close()


def test_hours_that_begin_at_half_past_on_the_clock_of_the_ledger(tmp_path: Path) -> None:
    with short_days():
        result = simulate(written(tmp_path, COMMUNITY.replace("Europe/Berlin", "Asia/Kolkata")), START, 1)
    assert result.period.start % 3600 == 1800
    assert_whole(result)


# A sunny street at the far end of a weak rural grid: at noon its wires cannot carry what the roofs make.
SUNNY = (
    HEAD
    + '\n[grid]\nnetwork = "simbench:rural1"\n'
    + TARIFF
    + AHEAD
    + AFTER
    + '\n[defaults]\ncollateral = "50"\nload = "simbench:H0-A"\nmandate = { sell_wh = 500000 }\n\n[members]\n'
)


def sunny(kwp: float) -> str:
    from commonwatt.data import read_grid

    buses = [bus for bus in read_grid("simbench:rural1").buses.name if "LV" in bus][-8:]
    plant = f', annual_kwh = 2500, pv = {{ profile = "simbench:PV1", kwp = {kwp} }}'
    # The first one may not sell; its roof loads the wires all the same.
    terms = [", mandate = { sell_wh = 0 }", *[""] * 7]
    homes = [
        f'home{number} = {{ bus = "{bus}"{plant if number < 6 else ", annual_kwh = 20000"}{terms[number]} }}'
        for number, bus in enumerate(buses)
    ]
    return SUNNY + "\n".join(homes) + "\n"


def test_where_the_wires_are_weak_feed_in_is_held_back_and_trades_with_it(tmp_path: Path) -> None:
    with short_days(5):
        result = simulate(written(tmp_path, sunny(200)), START, 1)
    a, sim = result.arrays, result.exchange
    caps = {row.slot: np.frombuffer(row.feed_in, dtype=np.int64) for row in sim.store.rows(tables.caps)}
    cap = np.array([caps[slot] for slot in result.period.starts.tolist()]).T
    weak = cap.max(axis=0) < 500_000
    assert weak.any()
    assert not weak.all()
    assert (np.maximum(-a["net"], 0) <= cap).all()
    assert a["curtailed"][:, weak].sum() > 0
    assert (a["curtailed"][:, ~weak] == 0).all()
    assert (a["curtailed"] <= a["generation"]).all()
    assert (a["ahead"][0] >= 0).all()
    assert (cap[0, weak] > 0).any()
    assert (a["net"][0, weak] < 0).any()
    starts = result.period.starts[weak].tolist()
    assert any(row[0] in starts for row in sim.store.columns(tables.trades, ("slot", "stage")) if row[1] == 0)
    sold = sim.store.columns(tables.orders, ("slot", "member", "side", "wh"))
    for slot, trades in result.trades.filter(result.trades["stage"] == "day_ahead").group_by("slot"):
        start = int(slot[0].timestamp())
        for seller, agreed in trades.group_by("seller").agg(pl.col("wh").sum()).iter_rows():
            member = next(m.index for m in result.community.members if m.id == seller)
            (offered,) = (row[3] for row in sold if row[:3] == (start, member, 1))
            assert agreed <= min(caps[start][member], offered)
    assert_whole(result)


def test_small_roofs_pass_the_same_wires(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, sunny(8)), START, 1, ledger="none")
    assert result.arrays["generation"].sum() > 0
    assert result.arrays["curtailed"].sum() == 0
    assert_whole(result)
