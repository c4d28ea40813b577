"""The user's own prices: a file of times and prices per kWh, checked and brought onto the slots."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from commonwatt.community.calendar import Slots
from commonwatt.errors import DataError
from commonwatt.units import MICRO, IntArray


def read_price_file(path: str | Path, slots: Slots, timezone: str) -> IntArray:
    """Price of each slot, shape (slots.count,) [micro-currency/kWh], rounded half to even.

    The file is read like a meter file (`commonwatt.data.meterfile`): first column the time at which each price begins,
    second the price [currency/kWh]. A slot that spans several prices takes their average.
    Raises DataError as `read_meter_file`, and when the file has more than one price column.
    """
    from commonwatt.data.meterfile import read_meter_file

    prices = read_meter_file(path, slots, timezone, unit="kW").kw
    if len(prices) != 1:
        raise DataError(f"{path} has {len(prices)} price columns; one is needed.")
    scaled: IntArray = np.rint(prices[0] * MICRO).astype(np.int64)
    return scaled
