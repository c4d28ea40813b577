"""Homes of a living exchange agree over the horizon: what they say, what they are proposed, and what comes of it."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchange_cases import AFTER, BILATERAL, HEAD, LISTINGS, START, TARIFF, exchange_of, short_days, written
from hypothesis import given, settings
from hypothesis import strategies as st
from live_cases import RICH, Village

from commonwatt.agents.planning import Plan
from commonwatt.agents.strategy import Storage
from commonwatt.errors import RecordError
from commonwatt.exchange import tables
from commonwatt.exchange.agreement import HomeForecast, Proposal, outlook_of, plan_of
from commonwatt.exchange.events import GateClosure
from commonwatt.exchange.live import Said
from commonwatt.exchange.plugins import resolve
from commonwatt.exchange.store import Store
from commonwatt.exchange.told import all_told
from commonwatt.market import Frame, Orders
from commonwatt.records import BUY, SELL, ZERO_HASH
from commonwatt.simulation.api import simulate
from commonwatt.units import MAX_ORDER_WH

HOUR = 3600
HOMES = RICH[RICH.index("\n[defaults]") :]
DAY = HEAD + TARIFF + BILATERAL + AFTER + HOMES
BATTERY = Storage(charge=2500.0, low=500.0, high=5000.0, power=2500, charging=0.95, discharging=0.95)


def accounts(store: Store) -> list[tuple[Any, ...]]:
    return store.columns(tables.accounts, ("slot", "revision", "member", "net", "ahead", "after", "grid", "credit"))


def test_a_living_exchange_settles_what_the_homes_of_a_simulation_agree(tmp_path: Path) -> None:
    text = HEAD + TARIFF + BILATERAL + LISTINGS + AFTER + HOMES  # what homes leave open stands on the board
    with short_days():
        result = simulate(written(tmp_path / "simulated", text), START, 1)
    village = Village(tmp_path / "living", text)
    village.run(lambda _slot, _home: 0)
    village.exchange.outbox.finalise_due()
    store, expected = village.exchange.store, result.exchange.store
    assert accounts(store) == accounts(expected)
    assert village.exchange.client.balances().tolist() == exchange_of(result).client.balances().tolist()
    assert any(ahead for *_, ahead, _, _, _ in accounts(store))
    cleared = ("slot", "stage", "mechanism", "proof")
    assert store.columns(tables.clearings, cleared) == expected.columns(tables.clearings, cleared)
    assert store.rows(tables.forecasts) == []
    village.simulation.close()
    result.close()


@pytest.fixture
def village(tmp_path: Path) -> Iterator[Village]:
    found = Village(tmp_path, DAY)
    yield found
    found.simulation.close()


def said(village: Village) -> list[Said]:
    """What each home forecasts of the next gate, by member."""
    gate = village.exchange.next_gate
    assert gate
    outlook, _ = village.homes.outlook(gate, all_told(village.exchange.committed))
    meters = [meter.key.address for meter in village.homes.meters.values()]
    return [Said(meter, gate.slots.start, HomeForecast.of(outlook, home)) for home, meter in enumerate(meters)]


def test_who_says_nothing_is_left_out_and_who_does_not_sign_is_not_traded_with(village: Village) -> None:
    gate, live, homes = village.exchange.rules.events[0], village.live, village.homes
    slots = village.exchange.rules.period
    silent, unsigned = 3, 2
    every = said(village)
    assert live.outlooks(each for home, each in enumerate(every) if home != silent) == [None] * 4
    for early in (gate.at - HOUR - 1, gate.at - HOUR // 2 - 1):
        assert live.horizon.due(early) is None
    assert live.awaited() == gate.at - HOUR // 2 - 1
    assert live.proposal(every[0].meter) == Proposal(slots.start)
    agreement = live.horizon.due(gate.at - HOUR // 2)
    assert agreement
    live.horizon.agreed(agreement, agreement.plan())
    assert live.awaited() == gate.at - 1
    proposals = {home: live.proposal(each.meter) for home, each in enumerate(every)}
    assert not any(proposals[silent].buy + proposals[silent].sell)
    assert all(any(each.buy + each.sell) for home, each in proposals.items() if home != silent)
    plan = plan_of(proposals, 5, slots.count)
    assert columns(plan) == columns(agreement.plan())
    signed = [order for slot in homes.wishes(slots, plan).signed for order in slot]
    account = homes.keys.members[unsigned].address
    taken = live.orders([order for order in signed if order.record.member != account], gate.at - 1)
    assert taken
    assert all(isinstance(each, tuple) for each in taken)
    live.advance(gate.at)
    traded = {
        member
        for each in village.exchange.committed.values()
        for end in (each.cleared.trades.buyer, each.cleared.trades.seller)
        for member in end.tolist()
    }
    assert traded == {0, 1, 4}
    records = [trade for each in village.exchange.committed.values() for trade in each.records]
    assert ZERO_HASH not in [order for trade in records for order in (trade.buy_order, trade.sell_order)]


def test_an_exchange_that_is_killed_has_homes_agree_the_same_and_hears_no_other_forecast(village: Village) -> None:
    gate, every = village.exchange.rules.events[0], said(village)
    assert village.live.outlooks(every) == [None] * 5
    assert village.live.horizon.due(gate.at - HOUR)
    village.simulation.close()
    village.open()
    live, other = village.live, replace(every[0], outlook=replace(every[1].outlook))  # type: ignore[type-var]
    (refused,) = live.outlooks([other])
    assert "The homes agree already" in str(refused)
    agreement = live.horizon.due(gate.at - HOUR)
    assert agreement
    assert HomeForecast.of(agreement.outlook, 0) == every[0].outlook
    live.horizon.agreed(agreement, agreement.plan())
    assert live.horizon.due(gate.at - HOUR) is None
    proposed = live.proposal(every[0].meter)
    village.simulation.close()
    village.open()
    again = village.live.horizon.due(gate.at - 1)
    assert again
    village.live.horizon.agreed(again, again.plan())
    assert village.live.proposal(every[0].meter) == proposed
    # What comes after the gate is of no use.
    village.live.advance(gate.at)
    assert village.live.horizon.due(gate.at) is None
    village.live.horizon.agreed(again, again.plan())
    assert village.live.proposal(every[0].meter) == Proposal(village.exchange.rules.period.end)


def test_a_gate_at_which_homes_have_not_agreed_closes_without_trades_and_says_why(village: Village) -> None:
    gate, live, store = village.exchange.rules.events[0], village.live, village.exchange.store
    assert live.outlooks(said(village)) == [None] * 5
    live.advance(gate.at)
    committed = village.exchange.committed
    assert len(committed) == village.exchange.rules.period.count
    assert not any(each.records for each in committed.values())
    notes = [row.detail for row in store.rows(tables.journal) if row.what == "not cleared"]
    assert len(notes) == len(committed)
    assert all("The homes had not agreed when the gate closed" in note for note in notes)
    assert store.rows(tables.forecasts) == []


BAD = {
    "8 slots": {"load": (1,) * 7},
    "the next gate closes for 8": {"load": (1,) * 9, "generation": (1,) * 9},
    "from 0 to": {"load": (-1,) * 8},
    f"from 0 to {MAX_ORDER_WH}": {"generation": (MAX_ORDER_WH + 1,) * 8},
    "no more charge than high": {"battery": replace(BATTERY, charge=5001.0)},
    "0 <= low <= high": {"battery": replace(BATTERY, low=6000.0)},
    "A battery has power": {"battery": replace(BATTERY, power=-1)},
    "of at most": {"battery": replace(BATTERY, high=math.inf)},
    "and no more charge": {"battery": replace(BATTERY, charge=math.nan)},
    "efficiencies": {"battery": replace(BATTERY, charging=0.0)},
    "above 0 and at most 1": {"battery": replace(BATTERY, discharging=math.nan)},
}


def test_a_forecast_that_cannot_be_is_refused_alone_and_leaves_the_one_before(village: Village) -> None:
    live, every, store = village.live, said(village), village.exchange.store
    assert live.outlooks(every[:1]) == [None]
    good = every[0].outlook
    assert isinstance(good, HomeForecast)
    bad = [replace(every[0], outlook=replace(good, **change)) for change in BAD.values()]  # type: ignore[arg-type]
    strange = [replace(every[0], first=every[0].first + HOUR), replace(every[0], meter=bytes(20))]
    # A meter that counts only since then.
    early = replace(every[0], first=every[0].first - 30 * 86_400)
    answers = live.outlooks([*bad, *strange, early, every[1]])
    reasons = [*BAD, "the first of the next gate", "not enrolled", "does not count for all of these slots"]
    for reason, answer in zip(reasons, answers, strict=False):
        assert isinstance(answer, RecordError)
        assert reason in str(answer)
    assert answers[-1] is None
    agreement = live.horizon.due(village.exchange.rules.events[0].at - 1)
    assert agreement
    heard = [HomeForecast.of(agreement.outlook, home) for home in range(3)]
    assert heard == [good, every[1].outlook, HomeForecast((0,) * 8, (0,) * 8)]
    assert len(store.rows(tables.forecasts)) == 2


def test_where_homes_order_by_themselves_no_forecast_is_heard(tmp_path: Path) -> None:
    village = Village(tmp_path)
    (refused,) = village.live.outlooks(said(village)[:1])
    assert "Homes do not agree before the next gate" in str(refused)
    assert village.live.horizon.due(village.exchange.rules.events[0].at - 1) is None
    village.simulation.close()


def test_a_storage_over_wires_agrees_as_in_a_simulation_and_members_without_meters_take_no_part(tmp_path: Path) -> None:
    schedule = BILATERAL.replace('"bilateral"', '"schedule"').replace('roles = "free"\n', "")
    members = """
[members]
office = { role = "regulator" }
flat = { bus = "LV2.101 Bus 1", load = "simbench:H0-C", annual_kwh = 4000 }
roof = { bus = "LV2.101 Bus 2", load = "simbench:H0-A", annual_kwh = 2000, pv = { profile = "simbench:PV1", kwp = 8 } }
cellar = { bus = "LV2.101 Bus 3", role = "storage", battery = { kwh = 10, kw = 5 } }
"""
    village = Village(tmp_path, HEAD + '[grid]\nnetwork = "simbench:rural2"\n' + TARIFF + schedule + AFTER + members)
    gate, homes, live = village.exchange.rules.events[0], village.homes, village.live
    assert isinstance(gate, GateClosure)
    outlook, idle = homes.outlook(gate, {})
    said = {
        home: Said(meter.key.address, gate.slots.start, HomeForecast.of(outlook, home))
        for home, meter in homes.meters.items()
    }
    assert list(said) == [1, 2, 3]
    assert live.outlooks(said.values()) == [None] * 3
    agreement = live.horizon.due(gate.at - HOUR)
    assert agreement
    live.horizon.agreed(agreement, agreement.plan())
    expected = homes._plan(homes.rules.frame_of(gate.slots), outlook, idle)
    plan = plan_of({home: live.proposal(each.meter) for home, each in said.items()}, 4, gate.slots.count)
    assert columns(plan) == columns(expected)
    assert {member for orders in plan.orders for member in orders.member.tolist()} == {1, 2, 3}
    village.simulation.close()


def columns(plan: Plan) -> list[Any]:
    """All that a plan has but the clearings."""
    orders = [column.tolist() for slot in plan.orders for column in vars(slot).values()]
    return [plan.net.tolist(), plan.grid.tolist(), orders]


def test_a_mechanism_of_ones_own_comes_into_another_process(tmp_path: Path) -> None:
    code = "from dataclasses import replace\nfrom commonwatt.market import find\n"
    (tmp_path / "mine.py").write_text(f'{code}MINE = replace(find("bilateral"), name="mine")\n', encoding="utf-8")
    mine = resolve("mine.py:MINE", tmp_path)
    again = pickle.loads(pickle.dumps(mine))  # noqa: S301 (its own)
    assert (again.name, again.path, again.needs) == ("mine", tmp_path / "mine.py", mine.needs)


WH = st.integers(0, MAX_ORDER_WH)
CHARGES = st.lists(st.floats(0, MAX_ORDER_WH, exclude_min=True), min_size=3, max_size=3).map(sorted)
EFFICIENCY = st.floats(0, 1, exclude_min=True)
BATTERIES = st.builds(
    lambda held, power, *rates: Storage(held[1], held[0], held[2], power, *rates), CHARGES, WH, EFFICIENCY, EFFICIENCY
)
FORECASTS = st.builds(
    HomeForecast, *[st.lists(WH, min_size=4, max_size=4).map(tuple)] * 2, st.none() | BATTERIES, st.booleans()
)


@settings(max_examples=25)
@given(st.dictionaries(st.integers(0, 4), FORECASTS))
def test_what_homes_forecast_is_what_they_agree_from(forecasts: dict[int, HomeForecast]) -> None:
    none = np.zeros(4, dtype=np.int64)
    outlook = outlook_of(forecasts, Frame(none, none, 1.0, 5, none, none), None)
    for home in range(5):
        assert HomeForecast.of(outlook, home) == forecasts.get(home, HomeForecast((0,) * 4, (0,) * 4))
    for each in forecasts.values():
        each.require_possible(4)


@settings(max_examples=25)
@given(st.data())
def test_the_proposals_of_all_homes_are_the_plan(data: st.DataObject) -> None:
    ends = [(member, side) for member in range(3) for side in (BUY, SELL)]
    orders = []
    for _ in range(4):
        chosen = sorted(data.draw(st.sets(st.sampled_from(ends))))
        rows = [(*end, data.draw(st.integers(1, 9)), data.draw(st.integers(0, 9))) for end in chosen]
        orders.append(Orders(*np.array(rows, dtype=np.int64).reshape(-1, 4).T))
    net, grid = np.arange(24).reshape(2, 3, 4) - 12
    plan = Plan(tuple(orders), net, (), grid)
    proposals = {home: Proposal.of(plan, 0, home) for home in range(3)}
    assert columns(plan_of(proposals, 3, 4)) == columns(plan)
