"""The user's own prices: a file of times and prices, checked and brought onto the slots.

    start,Day-ahead price [EUR/MWh]
    2026-03-01T00:00Z,85.3

The file is a `commonwatt.data.timefile`: first column the time from which each price holds until the next one, second
the price, from -1 000 000 to 1 000 000 per kWh. Its name may say the unit: the community's currency or cents, per kWh
or MWh. Without a unit it is currency per kWh.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from commonwatt.community.calendar import Slots
from commonwatt.community.tariff import (
    Flat,
    PriceFile,
    Rate,
    SlotPrices,
    Tariff,
    TimeOfUse,
    rate_per_slot,
    slot_prices,
)
from commonwatt.data.headers import price_unit
from commonwatt.data.timefile import TimeFile, until_the_next
from commonwatt.errors import DataError
from commonwatt.units import MAX_PRICE, MICRO, IntArray, decimal_text

_TOO_LOW: Final = f"is less than the lowest price per kWh, -{MAX_PRICE // MICRO}"
_TOO_HIGH: Final = f"is more than the highest price per kWh, {MAX_PRICE // MICRO}"


@dataclass(frozen=True, eq=False)
class PriceSeries:
    """A price file whose times and unit are understood.

    per_unit : currency per kWh in one of its values; unit_named : its header says so
    """

    file: TimeFile
    per_unit: float
    unit_named: bool

    @classmethod
    def open(cls, path: str | Path, timezone: str, currency: str) -> PriceSeries:
        """The file `path`. Raises DataError, one sentence that names the file and the place."""
        file = TimeFile.read(path, timezone, "a column of prices", until_the_next)
        if len(file.names) != 1:
            raise DataError(f"{file.path} has {len(file.names)} price columns; one is needed.")
        unit = price_unit(file.names[0], currency)
        if isinstance(unit, str):
            raise DataError(
                f"{file.path}: column '{file.names[0]}' is in {unit}; a price is in {currency}/kWh, {currency}/MWh or "
                "ct/kWh."
            )
        return cls(file, unit or 1.0, unit_named=unit is not None)

    @property
    def usual(self) -> float:
        """Median of the prices that are not zero, without sign [currency/kWh]; 0 when there is none."""
        values = np.abs(self.file.numbers(0))
        some = values[values > 0]
        return float(np.median(some)) * self.per_unit if len(some) else 0.0

    def highest(self, most: int) -> int:
        """Highest of the prices up to `most`, both [micro-currency/kWh]; 0 when there is none."""
        prices = self.file.numbers(0) * (self.per_unit * MICRO)
        return int(np.ceil(prices[prices <= most].max(initial=0.0)))

    def on_slots(self, slots: Slots, unit: int = 1) -> IntArray:
        """Price of each slot, shape (slots.count,) [unit/kWh], rounded half to even.

        unit : what money is counted in [micro-currency]
        A slot that spans several prices takes their average. Raises DataError.
        """
        file = self.file
        needed = (file.ends > slots.start) & (file.starts < slots.end)
        most = MAX_PRICE / MICRO / self.per_unit
        prices = file.checked(0, needed, most, _TOO_LOW, _TOO_HIGH, least=-most)
        means = file.covering(0, file.starts[needed], file.ends[needed], prices, slots)
        scaled: IntArray = np.rint(means * (self.per_unit * (MICRO / unit))).astype(np.int64)
        return scaled


def read_price_file(path: str | Path, slots: Slots, timezone: str, currency: str) -> IntArray:
    """Price of each slot, shape (slots.count,) [micro-currency/kWh]: `PriceSeries.on_slots` of the file `path`.

    Raises DataError, one sentence that names the file and the place.
    """
    return PriceSeries.open(path, timezone, currency).on_slots(slots)


def usual_price(rate: Flat | TimeOfUse) -> float:
    """Mean of the prices that community.toml says itself, without sign [currency/kWh]."""
    prices = [rate.price] if isinstance(rate, Flat) else [band.price for band in rate.bands]
    return float(np.mean(np.abs(prices))) / MICRO


def utility_prices(
    tariff: Tariff, folder: Path, slots: Slots, timezone: str, currency: str, unit: int = 1
) -> SlotPrices:
    """The corridor for local prices on `slots` [unit/kWh].

    tariff : in units; folder : of community.toml, for the files that the tariff names
    unit : what money is counted in [micro-currency]
    Raises DataError when a price file does not cover the slots, or a kWh costs more than the highest price or, for
    neighbours, less than the lowest.
    """
    rates = tariff.retail, tariff.feed_in
    retail, feed_in = (_on_slots(rate, folder, slots, timezone, currency, unit) for rate in rates)
    prices = slot_prices(tariff, retail, feed_in)
    # What community.toml says itself was checked there.
    if isinstance(tariff.retail, PriceFile):
        highest, lowest = int(prices.gross.max()) * unit, int(prices.ceiling.min()) * unit
        if highest > MAX_PRICE:
            raise DataError(
                f"{folder / tariff.retail.path}: a kWh at {decimal_text(int(retail.max()) * unit, 2)} costs "
                f"{decimal_text(highest, 2)} with levies and VAT; the highest price is {MAX_PRICE // MICRO}."
            )
        if lowest < -MAX_PRICE:
            raise DataError(
                f"{folder / tariff.retail.path}: a kWh at {decimal_text(int(retail.min()) * unit, 2)} leaves "
                f"{decimal_text(lowest, 2)} for a local kWh, with VAT and what is charged on that; the lowest price is "
                f"-{MAX_PRICE // MICRO}."
            )
    return prices


def _on_slots(rate: Rate, folder: Path, slots: Slots, timezone: str, currency: str, unit: int) -> IntArray:
    if isinstance(rate, PriceFile):
        return PriceSeries.open(folder / rate.path, timezone, currency).on_slots(slots, unit)
    return rate_per_slot(rate, slots, timezone)
