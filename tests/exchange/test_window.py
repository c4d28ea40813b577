"""A living exchange goes from day to day by rules of the days around it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from exchange_cases import COMMUNITY, exchange_of, homes_of, written
from live_cases import RICH, WAIT

from commonwatt.errors import DataError
from commonwatt.exchange import rows
from commonwatt.exchange.checking import load
from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.events import GateClosure, SlotEnd
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.live import Live
from commonwatt.exchange.store import Store
from commonwatt.exchange.told import all_told, told
from commonwatt.exchange.window import around
from commonwatt.simulation.api import simulate
from commonwatt.simulation.simulation import Simulation

FIRST, DAYS = date(2026, 10, 24), 3  # on the second of which clocks change
SHORT = RICH.replace("[members]", '[ledger]\ncorrections = "3h"\n\n[members]')


def test_a_window_holds_what_is_open_and_moves_on(tmp_path: Path) -> None:
    file = written(tmp_path, SHORT)
    community, store = load(file), Store(None)
    midnight = around(community, tmp_path, store, 0, FIRST).period.start
    for now in (midnight - 5 * 86_400, midnight, midnight + 3600):
        rules = around(community, tmp_path, store, now, FIRST)
        assert (rules.start, rules.days) == (FIRST, 3)
    # As long as nothing is settled, everything is open.
    assert around(community, tmp_path, store, midnight + 30 * 86_400 + 43_200, FIRST).days == 33
    store.close()


def test_days_go_by_with_windows_as_in_one_period(tmp_path: Path) -> None:
    file = written(tmp_path / "whole", SHORT)
    whole = simulate(file, FIRST.isoformat(), DAYS)
    expected = exchange_of(whole).client.balances().tolist()
    whole.close()

    folder = tmp_path / "live"
    file = written(folder, SHORT)
    # Founded with the first day alone; its homes know the world of all three.
    simulation = Simulation(load(file), folder, FIRST, DAYS, out=folder / "out")
    founded, homes = exchange_of(simulation), homes_of(simulation)
    roster = Enrolled(founded.store, founded.client, founded.rules.community)
    roster.follow()
    windows = list[date]()

    def rules_at(now: int) -> object:
        rules = around(founded.rules.community, folder, founded.store, now, FIRST)
        windows.append(rules.start)
        return rules

    first = around(founded.rules.community, folder, founded.store, 0, FIRST)
    exchange = Exchange(first, founded.store, founded.client, founded.outbox.quorum, roster)
    live = Live(exchange, roster, rules_at, WAIT)  # type: ignore[arg-type]
    end, seconds = founded.rules.period.end, 3600
    declared: GateClosure | None = None
    now = founded.rules.events[0].at - 2 * seconds
    while (last := rows.last_ended(founded.store)) + seconds < end:
        gate = exchange.next_gate
        if gate and gate != declared and gate.at - seconds <= now and gate.slots.start < end:
            wishes = homes.declare(gate, all_told(exchange.committed))
            live.orders([order for slot in wishes.signed for order in slot], now)
            for member, nets in enumerate(wishes.planned.tolist()):
                live.plan(member, dict(zip(gate.ahead.starts.tolist(), nets, strict=True)))
            declared = gate
        for slot, committed in sorted(exchange.committed.items()):
            if last < slot <= now - seconds and slot < end:
                net = homes.deliver(told(committed))["net"]
                live.readings([each for each in homes.read(slot, net).signed if each], now)
        done = live.advance(now)
        assert all(isinstance(event, GateClosure | SlotEnd) for event in done)
        now += seconds
    exchange.outbox.finalise_due()
    assert exchange.client.balances().tolist() == expected
    assert windows[-1] >= FIRST + timedelta(days=1)
    simulation.close()


def test_days_without_prices_are_told(tmp_path: Path) -> None:
    prices = "start,price\n" + "".join(f"2026-06-{15 + hour // 24} {hour % 24:02}:00,0.27\n" for hour in range(96))
    first = date(2026, 6, 15)
    text = COMMUNITY.replace('retail = "0.27"', 'retail = { file = "prices.csv" }')
    file = written(tmp_path, text)
    (tmp_path / "prices.csv").write_text(prices, encoding="utf-8")
    community, store = load(file), Store(None)
    midnight = around(community, tmp_path, store, 0, first).period.start
    assert around(community, tmp_path, store, midnight + 86_399 + 86_400, first).days == 4
    with pytest.raises(DataError, match=r"prices\.csv"):
        around(community, tmp_path, store, midnight + 2 * 86_400, first)
    store.close()
