"""Batteries: every Wh accounted for, no limit passed, one home like many."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.community.model import Battery
from commonwatt.devices import Fleet, curtail, plan, step
from commonwatt.units import IntArray

efficiencies = st.floats(0.5, 1.0)
shares = st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted)


@st.composite
def batteries(draw: st.DrawFn) -> Battery | None:
    if draw(st.integers(0, 3)) == 0:
        return None
    low, start, high = draw(shares)
    return Battery(
        kwh=draw(st.floats(0.1, 50)), kw=draw(st.floats(0.1, 20)), charge_efficiency=draw(efficiencies),
        discharge_efficiency=draw(efficiencies), soc_min=low, soc_max=high, soc_start=start,
    )  # fmt: skip


HOMES, SLOTS = 3, 8
homes = st.lists(batteries(), min_size=HOMES, max_size=HOMES)
days = st.lists(
    st.lists(st.integers(-30_000, 30_000), min_size=SLOTS, max_size=SLOTS), min_size=HOMES, max_size=HOMES
).map(lambda rows: np.array(rows, dtype=np.int64))
hours = st.sampled_from([1.0, 0.5, 0.25, 1 / 12])


@given(homes, days, hours)
def test_no_battery_passes_its_limits_and_every_wh_is_stored_lost_or_given_back(
    homes: list[Battery | None], net_load: IntArray, hours: float
) -> None:
    fleet = Fleet.of(homes, hours)
    soc = fleet.start
    for slot in range(SLOTS):
        need = net_load[:, slot]
        taken = step(fleet, soc, need)
        assert ((taken.charge >= 0) & (taken.charge <= fleet.power)).all()
        assert ((taken.discharge >= 0) & (taken.discharge <= fleet.power)).all()
        assert not (taken.charge * taken.discharge).any()
        # Never more than the home's own surplus or deficit: a battery does not trade with the grid by itself.
        assert (taken.charge <= np.maximum(-need, 0)).all()
        assert (taken.discharge <= np.maximum(need, 0)).all()
        stored = taken.soc - soc
        assert np.allclose(stored, fleet.charging * taken.charge - taken.discharge / fleet.discharging)
        assert (stored <= taken.charge + 1e-6).all()
        assert (-stored[taken.discharge > 0] >= taken.discharge[taken.discharge > 0] - 1e-6).all()
        assert (taken.soc >= fleet.low - 1e-6).all()
        assert (taken.soc <= fleet.high + 1e-6).all()
        soc = taken.soc


@given(homes, days)
def test_many_homes_at_once_are_each_home_alone(homes: list[Battery | None], net_load: IntArray) -> None:
    together, soc = plan(Fleet.of(homes, 0.25), Fleet.of(homes, 0.25).start, net_load)
    for home, battery in enumerate(homes):
        alone = Fleet.of([battery], 0.25)
        net, charge = plan(alone, alone.start, net_load[[home]])
        assert (net.tolist(), charge.tolist()) == ([together[home].tolist()], [soc[home]])


@given(homes, days)
def test_a_plan_is_what_happens_when_the_forecast_is_right(homes: list[Battery | None], net_load: IntArray) -> None:
    fleet = Fleet.of(homes, 1.0)
    (planned, expected), soc = plan(fleet, fleet.start, net_load), fleet.start
    for slot in range(SLOTS):
        taken = step(fleet, soc, net_load[:, slot])
        assert (planned[:, slot] == net_load[:, slot] + taken.net).all()
        soc = taken.soc
    assert (soc == expected).all()


def test_a_home_without_a_battery_passes_everything_on() -> None:
    fleet = Fleet.of([None], 1.0)
    net, charge = plan(fleet, fleet.start, np.array([[5, -5, 0]]))
    assert (net.tolist(), charge.tolist()) == ([[5, -5, 0]], [0])


def test_a_cycle_by_hand() -> None:
    """10 kWh, half full, 2 kW, 90 % each way, one-hour slots."""
    fleet = Fleet.of([Battery(10, 2, 0.9, 0.9, soc_min=0.1, soc_max=1.0, soc_start=0.5)], 1.0)
    first = step(fleet, fleet.start, np.array([-3000]))
    assert (first.charge.tolist(), first.soc.tolist()) == ([2000], [6800.0])
    second = step(fleet, first.soc, np.array([900]))
    assert (second.discharge.tolist(), second.soc.tolist()) == ([900], [5800.0])
    nearly_empty = step(fleet, np.array([1100.0]), np.array([5000]))
    assert nearly_empty.discharge.tolist() == [90]  # 100 Wh above the floor give 90 at the terminals
    nearly_full = step(fleet, np.array([9910.0]), np.array([-5000]))
    assert nearly_full.charge.tolist() == [100]


@given(
    st.lists(st.tuples(st.integers(-9000, 9000), st.integers(0, 9000), st.integers(0, 9000)), min_size=1, max_size=9)
)
def test_curtailment_holds_back_the_excess_and_never_more_than_is_made(rows: list[tuple[int, int, int]]) -> None:
    net, generation, cap = np.array(rows).T
    held_back = curtail(net, generation, cap)
    assert ((held_back >= 0) & (held_back <= generation)).all()
    after = net + held_back
    assert ((after >= -cap) | (held_back == generation)).all()
    assert (held_back[net >= -cap] == 0).all()
    assert (after <= np.maximum(net, -cap)).all()
