"""Figures of a run: formulas on small cases, and sums that must close on a real one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from commonwatt.report.metrics import (
    connection_point,
    disposal,
    figures,
    local_share,
    self_consumption,
    self_sufficiency,
    supply,
)
from commonwatt.simulation.result import Result


def test_the_connection_point_nets_members_within_a_slot_and_not_between_slots() -> None:
    imports, exports = connection_point(np.array([[500, 200], [-300, -900]]))
    assert imports.tolist() == [200, 0]
    assert exports.tolist() == [0, 700]


def test_shares_are_unknown_where_there_is_nothing_to_share() -> None:
    nothing = np.zeros((2, 3), dtype=np.int64)
    assert self_consumption(nothing, nothing) is None
    assert self_sufficiency(nothing, nothing) is None
    assert local_share(nothing, nothing) is None


def test_what_was_used_comes_from_somewhere_and_what_was_made_goes_somewhere(week: Result) -> None:
    came, went = supply(week.arrays), disposal(week.arrays)
    assert np.array_equal(sum(came.values()), week.arrays["load"].sum(axis=0))
    assert np.array_equal(sum(went.values()), week.arrays["generation"].sum(axis=0))
    assert all((layer >= 0).all() for layer in (*came.values(), *went.values()))


def test_own_use_and_trade_between_neighbours_are_the_same_from_both_sides(week: Result) -> None:
    came, went = supply(week.arrays), disposal(week.arrays)
    assert np.array_equal(came["own"], went["own"])
    assert np.array_equal(came["neighbours"], went["neighbours"])


def test_the_figures_are_those_of_the_tables(week: Result) -> None:
    found = figures(week)
    assert found.traded == week.slots["local_wh"].sum() == week.trades["settled_wh"].sum()
    assert found.used == week.homes["load_wh"].sum()
    assert found.bought_from_utility == week.slots["import_wh"].sum()
    assert found.saved == round(week.homes["saving"].sum() * 1_000_000)
    assert found.imported - found.exported == found.bought_from_utility - found.sold_to_utility


def test_shares_follow_from_the_energies(week: Result) -> None:
    found = figures(week)
    assert found.self_consumption == (found.made - found.exported) / found.made
    assert found.self_sufficiency == (found.used - found.imported) / found.used
    assert found.local_share == found.traded / (found.traded + found.bought_from_utility)


def test_bills_of_all_members_never_wrap(week: Result) -> None:
    """Each fits into 64 bits, in units that are worth a thousand micro-currency; their sum need not."""
    huge = SimpleNamespace(total=np.array([2**62, 2**62, 2**62, -5]))
    told = SimpleNamespace(
        arrays=week.arrays,
        trades=week.trades,
        community=SimpleNamespace(unit=1000),
        charges=huge,
        charges_without_market=huge,
    )
    found = figures(told)  # type: ignore[arg-type]
    assert found.bill == found.bill_without_market == (3 * 2**62 - 5) * 1000
    assert found.saved == 0
