"""Indices by which market designs are compared: fairness, flatness, and Zhou's six. Pure functions.

Source of the names: Zhou, Wu, Long, Applied Energy 222 (2018) 993–1022, DOI 10.1016/j.apenergy.2018.02.089. Its
equations could not be read; the formulas below are those that the field uses under these names.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from commonwatt.community.tariff import SlotPrices
from commonwatt.units import MICRO, WH_PER_KWH, FloatArray, IntArray


def jain(values: FloatArray) -> float | None:
    """(Σx)² / (n Σx²) of x >= 0, in [1/n, 1]; negative values count as 0. None when all are 0.

    >>> round(jain(np.array([1.0, 1.0, 0.0])), 6)
    0.666667
    """
    x = np.maximum(values, 0.0)
    squares = float((x * x).sum())
    return float(x.sum()) ** 2 / (len(x) * squares) if squares else None


def gini(values: FloatArray) -> float | None:
    """Σ_i Σ_j |x_i − x_j| / (2 n² mean); negative values count as 0. None when all are 0.

    >>> round(gini(np.array([0.0, 0.0, 3.0])), 6)
    0.666667
    """
    x = np.sort(np.maximum(values, 0.0))
    total = float(x.sum())
    if not total:
        return None
    n = len(x)
    return float(2 * (np.arange(1, n + 1) * x).sum() / (n * total) - (n + 1) / n)


def peak_to_average(power: IntArray) -> float | None:
    """Highest over mean of a series, shape (slots,); None when the mean is 0."""
    mean = float(power.mean())
    return float(power.max()) / mean if mean else None


def possible_gain(
    drawn: IntArray, fed: IntArray, prices: SlotPrices, per_currency: int = MICRO
) -> tuple[float, FloatArray]:
    """Most that a community can gain by sharing this energy [currency], and what a kWh is worth in each slot.

        Σ_slots min(Σ_i drawn_i, Σ_i fed_i) · max(ceiling − floor, 0)

    drawn, fed : what each home took at its meters and fed in there, shape (members, slots) [Wh] >= 0
    per_currency : units of the prices in one of the currency
    Second result : shape (slots,) [currency/Wh]. With the energies given, a kWh between any two neighbours replaces one
    bought from the utility and one sold to it, so this is the welfare of the central optimum (`market.optimum`) as long
    as no mandate's limit is narrower than the utility's prices. It does not ask what batteries could do otherwise.
    """
    demand, supply = drawn.sum(axis=0), fed.sum(axis=0)
    room = np.maximum(prices.ceiling - prices.floor, 0) / (per_currency * WH_PER_KWH)
    return float((np.minimum(demand, supply) * room).sum()), room


@dataclass(frozen=True)
class Zhou:
    """Zhou's six, higher is better; None where it is not defined. Each is at most 1 while no battery is moved.

    value_tapping : saved, of what could be saved by sharing alone
    participation : share of members that are better off
    equality : 1 − Gini of the savings
    energy_balance : 1 − Σ|net|_market / Σ|net|_alone, at what members exchange with the utility
    flatness : 1 − σ_market / σ_alone, of the same
    self_sufficiency : of the community
    """

    value_tapping: float | None
    participation: float
    equality: float | None
    energy_balance: float | None
    flatness: float | None
    self_sufficiency: float | None

    @property
    def overall(self) -> float:
        """Mean of the six with equal weights, each kept within 0 and 1; one that is not defined counts as 0."""
        six = (
            self.value_tapping, self.participation, self.equality, self.energy_balance, self.flatness,
            self.self_sufficiency,
        )  # fmt: skip
        return sum(min(max(value or 0.0, 0.0), 1.0) for value in six) / len(six)


def zhou(
    savings: FloatArray, possible: float, alone: IntArray, with_market: IntArray, self_sufficiency: float | None
) -> Zhou:
    """The six indices.

    savings : per member [currency]; possible : most that the community could save [currency]
    alone, with_market : what each member takes from the utility and feeds in to it, shape (members, slots) [Wh] >= 0;
        `alone` is of the run without a market
    """
    exchanged, still = alone.sum(axis=0), with_market.sum(axis=0)
    spread = float(exchanged.std())
    return Zhou(
        value_tapping=float(savings.sum()) / possible if possible > 0 else None,
        participation=float((savings > 1e-6).mean()),
        equality=None if (unequal := gini(savings)) is None else 1 - unequal,
        energy_balance=1 - float(still.sum()) / float(exchanged.sum()) if exchanged.sum() else None,
        flatness=1 - float(still.std()) / spread if spread else None,
        self_sufficiency=self_sufficiency,
    )
