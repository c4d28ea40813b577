"""What a kWh costs with the utility, and what a local kWh pays beside its price.

A kWh from the grid costs (retail + grid levies) with VAT; a kWh sold to the grid earns `feed_in`, without levies
or VAT. A local kWh pays the seller its price and the buyer's utility bill (network_fee + local levies) with VAT;
the price between neighbours itself bears no VAT. So a buyer gains as long as the price stays below
`SlotPrices.ceiling`, and a seller above `SlotPrices.floor`.

The utility's prices may be below zero. What neighbours pay each other goes to a ledger whose payments are not, so the
floor of a local price is zero at least: a seller who would have to pay the utility for its energy gains by giving it
away. Where the ceiling is below the floor, neighbours have nothing to gain and trade nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import time
from fractions import Fraction
from typing import Final

import numpy as np

from commonwatt.community.calendar import Slots, local_clock
from commonwatt.errors import ConfigError, Finding
from commonwatt.units import IntArray, rounded


@dataclass(frozen=True)
class Flat:
    """One price at all times [unit/kWh]; of either sign, as those below."""

    price: int


@dataclass(frozen=True)
class Band:
    """A price [unit/kWh] from the local time `start`, on `days` (0 = Monday), until the next band."""

    start: time
    price: int
    days: frozenset[int] = frozenset(range(7))


@dataclass(frozen=True)
class TimeOfUse:
    """Prices by local time of day and weekday. Every day of the week has a band that starts at 00:00."""

    bands: tuple[Band, ...]


@dataclass(frozen=True)
class PriceFile:
    """Prices from a file (timestamp, price per kWh), path relative to community.toml."""

    path: str


Rate = Flat | TimeOfUse | PriceFile


@dataclass(frozen=True)
class Levy:
    """A named charge per kWh [unit/kWh] >= 0 on grid energy, on local energy, or on both."""

    name: str
    price: int
    grid: bool = True
    local: bool = True


NETWORK_FEE: Final = "network fee"
BILL_LINES: Final = ("energy from the utility", "energy fed in", "neighbours", NETWORK_FEE, "VAT")
"""Lines that a bill has beside the levies; none of these is called like one of them."""


@dataclass(frozen=True)
class Tariff:
    """The utility's terms. network_fee : per local kWh [unit/kWh] >= 0; vat : rate as an exact fraction."""

    retail: Rate
    feed_in: Rate
    network_fee: int = 0
    levies: tuple[Levy, ...] = ()
    vat_name: str = "VAT"
    vat: Fraction = Fraction(0)

    def with_vat(self, amount: int) -> int:
        """`amount` of either sign with VAT, rounded to the nearest, halves away from zero [same unit]."""
        return rounded(amount * (1 + self.vat))

    @property
    def grid_levies(self) -> int:
        """Sum of levies on a kWh from the grid [unit/kWh]."""
        return sum(levy.price for levy in self.levies if levy.grid)

    @property
    def local_charges(self) -> int:
        """Network fee and levies on a local kWh, before VAT [unit/kWh]."""
        return self.network_fee + sum(levy.price for levy in self.levies if levy.local)


@dataclass(frozen=True)
class SlotPrices:
    """Prices per slot, each shape (slots,) [unit/kWh].

    retail : the supplier's price as on the bill, before levies and VAT
    feed_in : what the utility pays; below zero, who feeds in pays
    ceiling : the most that a local kWh may cost so that its buyer is no worse off
    floor : the least so that its seller is no worse off, and zero at least
    gross : a kWh from the grid with everything
    """

    retail: IntArray
    feed_in: IntArray
    ceiling: IntArray
    floor: IntArray
    gross: IntArray

    def part(self, chosen: slice) -> SlotPrices:
        """The prices of some of the slots."""
        return SlotPrices(*(getattr(self, column.name)[chosen] for column in fields(SlotPrices)))

    @classmethod
    def joined(cls, parts: Sequence[SlotPrices]) -> SlotPrices:
        """The prices of all slots, from those of consecutive parts."""
        columns = ([getattr(part, column.name) for part in parts] for column in fields(cls))
        return cls(*(np.concatenate(column) for column in columns))


def slot_prices(tariff: Tariff, retail: IntArray, feed_in: IntArray) -> SlotPrices:
    """The corridor for local prices, from the utility's prices per slot, shape (slots,)."""
    gross = np.array([tariff.with_vat(int(p) + tariff.grid_levies) for p in retail], dtype=np.int64)
    ceiling = gross - tariff.with_vat(tariff.local_charges)
    return SlotPrices(retail, feed_in, ceiling, np.maximum(feed_in, 0), gross)


def rate_per_slot(rate: Flat | TimeOfUse, slots: Slots, timezone: str) -> IntArray:
    """Price of each slot by its local start, shape (slots,) [unit/kWh]."""
    if isinstance(rate, Flat):
        return np.full(slots.count, rate.price, dtype=np.int64)
    clock = local_clock(slots, timezone).astype("datetime64[m]").astype(np.int64)
    minute, weekday = clock % 1440, (clock // 1440 + 3) % 7  # 1 January 1970 was a Thursday
    prices, known = np.zeros(slots.count, dtype=np.int64), np.zeros(slots.count, dtype=bool)
    for band in sorted(rate.bands, key=lambda band: band.start):
        holds = np.isin(weekday, list(band.days)) & (minute >= band.start.hour * 60 + band.start.minute)
        prices[holds], known[holds] = band.price, True
    if not known.all():
        raise ConfigError("tariff", [Finding("tariff", "the time-of-use table leaves a time without a price")])
    return prices
