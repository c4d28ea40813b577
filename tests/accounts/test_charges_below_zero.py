"""Charges at prices of either sign: linear in the slots, and the same below zero as above."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.accounts.charges import Charges, charges, vat_on
from commonwatt.accounts.document import grid_amount
from commonwatt.community.tariff import Flat, Levy, SlotPrices, Tariff, slot_prices
from commonwatt.units import payment

SLOTS, MEMBERS = 5, 3
prices = st.lists(st.integers(-2_000_000, 2_000_000), min_size=SLOTS, max_size=SLOTS)
energies = st.lists(st.integers(-20_000, 20_000), min_size=SLOTS, max_size=SLOTS)
grids = st.lists(energies, min_size=MEMBERS, max_size=MEMBERS).map(np.array)
rates = st.fractions(0, Fraction(99, 100), max_denominator=100)


def of(tariff: Tariff, retail: list[int], feed_in: list[int], grid: np.ndarray, local: np.ndarray) -> Charges:
    slots = slot_prices(tariff, np.array(retail), np.array(feed_in))
    return charges(tariff, slots, grid, local, -local)


@given(prices, prices, grids, grids, rates)
def test_charges_are_the_sum_of_those_of_each_slot(
    retail: list[int], feed_in: list[int], grid: np.ndarray, local: np.ndarray, vat: Fraction
) -> None:
    tariff = Tariff(Flat(0), Flat(0), 30_000, (Levy("levy", 20_500),), vat=vat)
    whole = of(tariff, retail, feed_in, grid, local)
    for member in range(MEMBERS):
        amounts = [
            (wh, grid_amount(wh, *pair)) for wh, *pair in zip(grid[member].tolist(), retail, feed_in, strict=True)
        ]
        assert whole.energy[member] == sum(amount for wh, amount in amounts if wh > 0)
        assert whole.feed_in[member] == sum(amount for wh, amount in amounts if wh < 0)
    assert whole.neighbours.tolist() == local.sum(axis=1).tolist()
    fees = sum(whole.fees.values())
    assert whole.vat.tolist() == [vat_on(vat, int(base)) for base in whole.energy + fees]
    assert whole.total.tolist() == (whole.energy + whole.feed_in + whole.neighbours + fees + whole.vat).tolist()


@given(prices, prices, grids, rates)
def test_what_is_paid_below_zero_is_what_would_be_owed_above(
    retail: list[int], feed_in: list[int], grid: np.ndarray, vat: Fraction
) -> None:
    tariff, nothing = Tariff(Flat(0), Flat(0), vat=vat), np.zeros_like(grid)
    above, below = (
        of(tariff, [sign * p for p in retail], [sign * p for p in feed_in], grid, nothing) for sign in (1, -1)
    )
    for line in ("energy", "feed_in", "vat", "total"):
        assert getattr(above, line).tolist() == (-getattr(below, line)).tolist()


@given(prices, grids)
def test_between_the_utility_and_members_no_unit_is_lost(price: list[int], grid: np.ndarray) -> None:
    """At one price for both, what is taken out and put in in a slot costs what it earns, to less than a unit each."""
    same = np.array(price)
    slots = SlotPrices(same, same, same, same, same)
    found = charges(Tariff(Flat(0), Flat(0)), slots, grid, 0 * grid, 0 * grid)
    exact = [sum(Fraction(wh * p, 1000) for wh, p in zip(row, price, strict=True)) for row in grid.tolist()]
    assert all(abs(total - true) < SLOTS for total, true in zip(found.total.tolist(), exact, strict=True))


def test_the_vat_of_energy_that_cost_less_than_nothing_is_paid_back() -> None:
    tariff = Tariff(Flat(0), Flat(0), levies=(Levy("levy", 10_000),), vat=Fraction(19, 100))
    grid = np.array([[2_500]])
    found = of(tariff, [-22_000], [-67_000], grid, 0 * grid)
    assert found.energy.tolist() == [payment(2_500, -22_000)] == [-55_000]
    assert found.fees["levy"].tolist() == [25_000]
    assert found.vat.tolist() == [-5_700]
    assert found.total.tolist() == [-35_700]
    assert [vat_on(Fraction(1, 2), base) for base in (-3, -1, 1, 3)] == [-2, -1, 1, 2]
