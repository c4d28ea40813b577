"""The user's own prices: a file of times and prices per kWh, checked and brought onto the slots."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from commonwatt.community.calendar import Slots
from commonwatt.data.timefile import TimeFile
from commonwatt.errors import DataError
from commonwatt.units import MAX_PRICE, MICRO, IntArray


def read_price_file(path: str | Path, slots: Slots, timezone: str) -> IntArray:
    """Price of each slot, shape (slots.count,) [micro-currency/kWh], rounded half to even.

    The file is a `commonwatt.data.timefile`: first column the time at which each price begins, second the price
    [currency/kWh], whatever its name, from 0 to 1 000 000. A slot that spans several prices takes their average.
    Raises DataError, one sentence that names the file and the place.
    """
    file = TimeFile.read(path, timezone, "a column of prices")
    if len(file.columns) != 1:
        raise DataError(f"{file.path} has {len(file.columns)} price columns; one is needed.")
    most = MAX_PRICE // MICRO
    prices = file.on_slots(
        file.columns[0],
        slots,
        most,
        "is negative; prices below zero are not supported, write 0",
        f"is more than the highest price per kWh, {most}",
    )
    scaled: IntArray = np.rint(prices * MICRO).astype(np.int64)
    return scaled
