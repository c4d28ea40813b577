"""The utility's prices of a period, from numbers, times of day or a file."""

from __future__ import annotations

from pathlib import Path

from commonwatt.community.calendar import Slots
from commonwatt.community.model import Community
from commonwatt.community.tariff import PriceFile, Rate, SlotPrices, rate_per_slot, slot_prices
from commonwatt.data.prices import read_price_file
from commonwatt.errors import DataError
from commonwatt.units import MAX_PRICE, MICRO, IntArray, decimal_text


def prices_of(community: Community, folder: Path, period: Slots) -> SlotPrices:
    tariff = community.tariff
    retail, feed_in = (_rate(rate, folder, period, community.timezone) for rate in (tariff.retail, tariff.feed_in))
    prices = slot_prices(tariff, retail, feed_in)
    # What community.toml says itself was checked there.
    if isinstance(tariff.retail, PriceFile) and (highest := int(prices.gross.max())) > MAX_PRICE:
        raise DataError(
            f"{folder / tariff.retail.path}: a kWh at {decimal_text(int(retail.max()), 2)} costs "
            f"{decimal_text(highest, 2)} with levies and VAT; the highest price is {MAX_PRICE // MICRO}."
        )
    return prices


def _rate(rate: Rate, folder: Path, slots: Slots, timezone: str) -> IntArray:
    if isinstance(rate, PriceFile):
        return read_price_file(folder / rate.path, slots, timezone)
    return rate_per_slot(rate, slots, timezone)
