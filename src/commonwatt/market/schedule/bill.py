"""What each home pays for its part of a schedule, once the meters have counted: the second contract of the paper.

    pay = Σ_slots price·scheduled + Σ_slots π·|metered − scheduled|          Σ_homes price·scheduled = utility + rent

Everyone pays or is paid the price of its node; what that leaves over the utility's bill for the whole feeder, losses
included, is the wires' rent: what losses and limits are worth. At these prices, each home's plan is its cheapest.
Readings that are not signed or come late are not for this function to refuse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from commonwatt.errors import MarketError
from commonwatt.units import WH_PER_KWH, IntArray


@dataclass(frozen=True, eq=False)
class Bills:
    """Of a horizon; arrays shape (homes,) [unit], negative = paid out.

    energy : scheduled, at nodal prices; deviation : what the meter counted otherwise, >= 0
    utility : what the feeder's supply costs; rent : energy of all less utility
    """

    energy: IntArray
    deviation: IntArray
    utility: int
    rent: int

    @property
    def pay(self) -> IntArray:
        """What each home pays."""
        return self.energy + self.deviation


def bills(
    price: IntArray, scheduled: IntArray, metered: IntArray, deviation: int, supply: IntArray, utility: IntArray
) -> Bills:
    """The bills of all homes; each slot's amount is rounded down, and a deviation's up.

    price : at the homes' nodes, shape (homes, slots) [unit/kWh]
    scheduled, metered : taken, same shape [Wh]; deviation : price of a difference, >= 0 [unit/kWh]
    supply : of the feeder, losses included, shape (slots,) [Wh], negative = export; utility : its price for that

    >>> one = np.array([[1000]])
    >>> bills(300_000 * one // 1000, one, one - 100, 50_000, one[0], np.array([280_000])).pay.tolist()
    [305000]

    Raises MarketError when shapes differ or the price of a deviation is below zero.
    """
    if not price.shape == scheduled.shape == metered.shape or not supply.shape == utility.shape == price.shape[1:]:
        raise MarketError(
            f"Bills need one price, plan and reading of each home and slot, not {metered.shape} readings."
        )
    if deviation < 0:
        raise MarketError("A deviation from the schedule cannot be paid for; its price is at least 0.")
    energy = (price * scheduled // WH_PER_KWH).sum(axis=1)
    apart = -(-deviation * np.abs(metered - scheduled) // WH_PER_KWH).sum(axis=1)
    met = int((supply * utility // WH_PER_KWH).sum())
    return Bills(energy, apart, met, int(energy.sum()) - met)
