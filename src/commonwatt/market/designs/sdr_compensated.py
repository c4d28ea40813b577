"""`sdr-compensated`: the pool `sdr` with a compensation for sellers.

With `sdr`, sellers get no more than the utility's price as soon as there is enough local energy. Here the price never
falls below the floor raised by a share κ of the spread:

    compensation = κ·(ceiling − floor)
    0 <= SDR <= 1:  sell = (floor + compensation)·ceiling
                           / ((ceiling − floor − compensation)·SDR + floor + compensation)
                    buy  = sell·SDR + ceiling·(1 − SDR)
    SDR > 1:        sell = floor + compensation/SDR
                    buy  = floor + compensation

Source: known in the field as compensated SDR and found as public code (INESC TEC, rec-operation, one price for both
sides, which is `sell` here); `buy` follows from the balance of the pool's budget. No paper could be read.
Between neighbours this is `sdr` with the raised floor; beyond that, energy goes to the utility at its own floor.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial

from commonwatt.market import pool
from commonwatt.market.designs import sdr
from commonwatt.market.interface import Frame, Outcome, Parameters, Positions
from commonwatt.market.mechanism import Mechanism
from commonwatt.market.parameters import Portion


class CompensatedParameters(Parameters):
    """Parameters of `sdr-compensated`.

    kappa : compensation as a share of the utility's spread, "0" (as `sdr`) to "1" (the local price is the ceiling)
    """

    kappa: Portion = Fraction(1, 2)


def rule(frame: Frame, inputs: tuple[Positions, ...], parameters: CompensatedParameters) -> tuple[Outcome, ...]:
    """Clear each slot by itself."""
    return pool.clear(frame, inputs, partial(local_price, parameters.kappa))


def local_price(kappa: Fraction, supply: int, demand: int, ceiling: int, floor: int) -> Fraction:
    """Exact price between neighbours [unit/kWh] for supply and demand [Wh]."""
    return sdr.local_price(supply, demand, ceiling, floor + kappa * (ceiling - floor))


def pool_prices(kappa: Fraction, supply: int, demand: int, ceiling: int, floor: int) -> tuple[Fraction, Fraction]:
    """Exact selling and buying price [unit/kWh] for supply and demand [Wh].

    >>> [float(price) for price in pool_prices(Fraction(1, 5), 2, 1, 200_000, 50_000)]
    [65000.0, 80000.0]
    """
    local = local_price(kappa, supply, demand, ceiling, floor)
    return pool.blended(local, min(supply, demand), supply, demand, ceiling, floor)


SDR_COMPENSATED = Mechanism(
    "sdr-compensated", "after", Positions, CompensatedParameters, rule, "Known in the field; INESC TEC rec-operation"
)
