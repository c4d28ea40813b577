"""What each member owes for a period, with the market and without it. Integers; every rounding stated.

Per slot and member: energy from the utility at `retail` and to it at `feed_in`, prices of either sign, each payment
rounded towards zero. Per period: network fee and levies on the summed energy, each rounded down; VAT on (energy +
network fee + levies) as a whole, rounded to the nearest, halves away from zero; where prices below zero leave that sum
below zero, so is its VAT. Network fee and local levies are on what a member takes from its neighbours net of what it
sells in the same slot. Payments between neighbours bear no VAT and are on the ledger already. Where the tariff changes
within a period, each of its parts is a period in this sense.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Final

import numpy as np

from commonwatt.accounts.plants import Parts
from commonwatt.community.tariff import NETWORK_FEE, SlotPrices, Tariff
from commonwatt.units import IntArray, money, payment, payments, rounded, totals


@dataclass(frozen=True)
class Charges:
    """Amounts of all members, each shape (members,) [unit], positive = the member owes.

    grid_wh, feed_in_wh, local_wh : energy that the lines are for [Wh]
    energy : from the utility; feed_in : paid by it, negative; at prices below zero each has the other sign
    neighbours : net payment to neighbours, on the ledger
    fees : network fee and levies by name, which community.toml has checked to be all different; vat
    plants : what plants leave to their owners, of their energy and of what they would owe or be owed
    """

    grid_wh: IntArray
    feed_in_wh: IntArray
    local_wh: IntArray
    energy: IntArray
    feed_in: IntArray
    neighbours: IntArray
    fees: Mapping[str, IntArray]
    vat: IntArray
    plants: tuple[Parts, ...] = ()

    @property
    def total(self) -> IntArray:
        """What the member pays in all, shape (members,) [unit]."""
        parts = [self.energy, self.feed_in, self.neighbours, self.vat, *self.fees.values()]
        parts += [each.moved(len(self.vat)) for each in self.plants]
        return totals(np.stack(parts, axis=-1))


_AMOUNTS: Final = tuple(column for column in fields(Charges) if column.name not in ("fees", "plants"))


@dataclass(frozen=True, eq=False)
class Energy:
    """What charges are for, each shape (members, slots).

    imported, exported : from the utility and to it [Wh] >= 0; both may be above 0 where registers are shared
    taken : of the local energy, what network fee and local levies are on [Wh] >= 0
    credit : received from neighbours [unit]
    """

    imported: IntArray
    exported: IntArray
    taken: IntArray
    credit: IntArray

    @classmethod
    def net(cls, grid: IntArray, local: IntArray, credit: IntArray) -> Energy:
        """Where a member is one net flow. grid, local : [Wh], positive = imported and bought"""
        return cls(np.maximum(grid, 0), np.maximum(-grid, 0), np.maximum(local, 0), credit)

    @classmethod
    def alone(cls, drawn: IntArray, fed: IntArray) -> Energy:
        """Without a market: all that was drawn and fed in meets the utility."""
        nothing = np.zeros_like(drawn)
        return cls(drawn, fed, nothing, nothing)

    def part(self, places: slice) -> Energy:
        """Of some of the slots."""
        return Energy(*(column[:, places] for column in (self.imported, self.exported, self.taken, self.credit)))


@dataclass(frozen=True, eq=False)
class Sums:
    """What the charges of some slots under one tariff are made of, each shape (members,): those of several days add up.

    imported, exported, taken : see `Energy` [Wh] >= 0
    energy, feed_in, neighbours : see `Charges` [unit]
    """

    imported: IntArray
    exported: IntArray
    taken: IntArray
    energy: IntArray
    feed_in: IntArray
    neighbours: IntArray

    @classmethod
    def of(cls, prices: SlotPrices, used: Energy) -> Sums:
        """Of the slots of these prices."""
        energy, feed_in = (
            totals(payments(used.imported, prices.retail)),
            totals(payments(used.exported, prices.feed_in)),
        )
        whole = (used.imported.sum(axis=1), used.exported.sum(axis=1), used.taken.sum(axis=1))
        return cls(*whole, energy, -feed_in, -totals(used.credit))

    def __add__(self, other: Sums) -> Sums:
        """Of both."""
        columns = ((getattr(self, each.name), getattr(other, each.name)) for each in fields(Sums))
        return Sums(*(totals(np.stack(column, axis=-1)) for column in columns))


def charges(tariff: Tariff, prices: SlotPrices, grid: IntArray, local: IntArray, credit: IntArray) -> Charges:
    """The charges of a period in which each member is one net flow.

    grid : shape (members, slots) [Wh], positive = import; local : same shape [Wh], positive = bought
    credit : received from neighbours, shape (members, slots) [unit]
    Without a market: grid = metered net, local = credit = 0.
    """
    return charged(tariff, prices, Energy.net(grid, local, credit))


def charged(tariff: Tariff, prices: SlotPrices, used: Energy) -> Charges:
    """The charges of a period."""
    return owed(tariff, Sums.of(prices, used))


def owed(tariff: Tariff, sums: Sums) -> Charges:
    """The charges of a period from its sums alone."""
    fees = {NETWORK_FEE: _fee(sums.taken, tariff.network_fee)}
    for levy in tariff.levies:
        fees[levy.name] = _fee(sums.imported * levy.grid + sums.taken * levy.local, levy.price)
    taxed = totals(np.stack([sums.energy, *fees.values()], axis=-1))
    vat = money([vat_on(tariff.vat, amount) for amount in taxed.tolist()])
    energy = (sums.imported, sums.exported, sums.taken)
    return Charges(*energy, sums.energy, sums.feed_in, sums.neighbours, fees, vat)


def joined(parts: Sequence[Charges]) -> Charges:
    """The charges of a whole period from those of its parts, each under its own tariff and rounded on its own."""

    def sums(amounts: Iterable[IntArray]) -> IntArray:
        return totals(np.stack(list(amounts), axis=-1))

    columns: dict[str, Any] = {each.name: sums(getattr(part, each.name) for part in parts) for each in _AMOUNTS}
    names = dict.fromkeys(name for part in parts for name in part.fees)
    nothing = np.zeros_like(parts[0].vat)
    fees = {name: sums(part.fees.get(name, nothing) for part in parts) for name in names}
    return Charges(**columns, fees=fees)


def _fee(wh: IntArray, price: int) -> IntArray:
    """The energy of a whole period has no bound, so that each product is made in unbounded integers."""
    return money([payment(each, price) for each in wh.tolist()])


def vat_on(rate: Fraction, amount: int) -> int:
    """VAT on an amount of either sign [unit], rounded to the nearest, halves away from zero."""
    return rounded(rate * amount)
