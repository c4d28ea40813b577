"""Registers as participants of the pools: what the law's rule says of exact numbers, and what never happens."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from commonwatt.accounts.registers import Registers
from commonwatt.exchange.sharing import share
from commonwatt.exchange.states import Account, Cleared, Committed, Declared, Delivered
from commonwatt.market import Frame, Limits, Orders, find
from commonwatt.market.stage import ActiveStage
from commonwatt.proof import Tree
from commonwatt.records import Trades
from commonwatt.units import IntArray

SLOT, CEILING, FLOOR, PRICE = 1_790_000_000, 300_000, 60_000, 110_000
# Three homes: the first draws alone, the second has both registers, the third has two points, the fourth feeds in.
OWNERS, NAMES, IMPORTING = [0, 1, 2, 2, 1, 2, 3], ("a", "b", "c", "d", "b-out", "d-out", "e-out"), 4
REGISTERS = Registers(np.array(OWNERS), NAMES, IMPORTING)
FRAME = Frame(np.array([SLOT]), np.array([0]), 0.25, 4, np.array([CEILING]), np.array([FLOOR]))
BOUNDS = Limits(*(np.full(4, value) for value in (CEILING, FLOOR, 10**9, 10**9)))
NONE = np.zeros(0, dtype=np.int64)
counts = arrays(np.int64, (len(OWNERS), 12), elements=st.integers(0, 400))


def account(counted: IntArray, kept: IntArray, free: int = 10**12, **parameters: str) -> Account:
    cleared = Cleared(Declared(SLOT, Orders(*[NONE] * 4), (), ()), (), Trades(), NONE, NONE)
    committed = Committed(cleared, (), Tree.of([]), Tree.of([]))
    delivered = Delivered(committed, REGISTERS.net(counted, 4), (), counted=counted, kept=kept)
    stage = ActiveStage(0, find("sharing-key"), {"price": "0.11", **parameters})
    return share(delivered, [stage], FRAME, BOUNDS, np.full(4, free), REGISTERS).account


def through(counted: IntArray, **parameters: str) -> list[Account]:
    """The accounts of slots that follow each other."""
    found, kept = [], np.zeros(len(OWNERS), dtype=np.int64)
    for column in counted.T:
        found.append(account(column, kept, 10**12, **parameters))
        kept = found[-1].shares.kept
    return found


@given(counts)
def test_each_register_has_the_law_s_share_within_a_wh_and_over_time(counted: IntArray) -> None:
    given = [0] * len(OWNERS)
    due = [Fraction(0)] * len(OWNERS)
    for column, found in zip(counted.T.tolist(), through(counted), strict=True):
        needed, offered = sum(column[:IMPORTING]), sum(column[IMPORTING:])
        local = min(needed, offered)
        for place, wh in enumerate(column):
            side = needed if place < IMPORTING else offered
            exact = Fraction(local * wh, side) if side else Fraction(0)
            assert abs(found.shares.shared[place] - exact) < 1
            given[place], due[place] = given[place] + int(found.shares.shared[place]), due[place] + exact
    # Rounding is carried on, so that it does not add up.
    assert all(abs(wh - exact) < 2 for wh, exact in zip(given, due, strict=True))


@given(counts)
def test_energy_and_money_are_conserved_and_nobody_pays_itself(counted: IntArray) -> None:
    for column, found in zip(counted.T, through(counted), strict=True):
        shared, worth = found.shares.shared, found.shares.worth
        assert shared[:IMPORTING].sum() == shared[IMPORTING:].sum()
        assert worth[:IMPORTING].sum() == worth[IMPORTING:].sum() == shared[:IMPORTING].sum() * PRICE
        assert (shared >= 0).all()
        assert (shared <= column).all()
        assert (found.trades.buyer != found.trades.seller).all()
        assert found.local.sum() == found.credit.sum() == 0
        assert (found.local == REGISTERS.net(shared, 4)).all()
        assert (found.local + found.grid == REGISTERS.net(column, 4)).all()


@given(counts, st.lists(st.integers(0, 250_000), min_size=4, max_size=4))
def test_a_static_key_never_gives_more_than_its_share_or_what_was_counted(counted: IntArray, key: list[int]) -> None:
    shares = ", ".join(f"{part / 10**6:.6f}" for part in key)
    given, due = np.zeros(4, dtype=np.int64), [Fraction(0)] * 4
    for column, found in zip(counted.T.tolist(), through(counted, key="static", shares=shares), strict=True):
        offered = sum(column[IMPORTING:])
        exact = [min(Fraction(offered * part, 10**6), Fraction(column[place])) for place, part in enumerate(key)]
        assert all(abs(int(wh) - part) < 1 for wh, part in zip(found.shares.shared, exact, strict=False))
        assert found.shares.shared[:4].sum() == found.shares.shared[4:].sum() <= offered
        given, due = given + found.shares.shared[:4], [a + b for a, b in zip(due, exact, strict=True)]
    assert all(abs(int(wh) - part) < 3 for wh, part in zip(given, due, strict=True))


def test_what_a_member_shares_with_itself_moves_no_money() -> None:
    counted = np.array([0, 100, 0, 0, 60, 0, 0])
    found = account(counted, np.zeros(7, dtype=np.int64))
    assert found.shares.shared.tolist() == [0, 60, 0, 0, 60, 0, 0]
    assert len(found.trades) == 0
    assert found.grid.tolist() == [0, 40, 0, 0]


def test_who_cannot_pay_meets_the_utility() -> None:
    counted = np.array([1000, 0, 0, 0, 0, 0, 1000])
    found = account(counted, np.zeros(7, dtype=np.int64), free=11_000)
    assert found.settled.tolist() == [100]
    assert found.shares.shared.tolist() == [100, 0, 0, 0, 0, 0, 100]
    assert found.shares.worth.tolist() == [100 * PRICE, 0, 0, 0, 0, 0, 100 * PRICE]


def test_a_share_for_each_register_of_import() -> None:
    stage = find("sharing-key")
    frame = replace(FRAME, members=7, importing=4)
    assert not stage.in_vain({"key": "static", "shares": "0.1, 0.2, 0.3, 0.4"}, frame)
    told = dict(stage.in_vain({"key": "static", "shares": "0.5, 0.5"}, frame))
    assert told["shares"] == "are 2, one for each of 4 registers of import is needed"
