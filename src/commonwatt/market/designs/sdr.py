"""`sdr`: a pool priced by the ratio of supply to demand.

Source of the design: "real-time P2P pool priced by supply/demand ratio" in the day-ahead and real-time market of
the household study after AlSkaif et al., IEEE TII 2021. The price formula is Liu et al., IEEE Trans. Power Syst.
2017, as known in the field and in public code; the paper itself could not be read.

    SDR = supply / demand
    0 <= SDR <= 1:  sell = floor·ceiling / ((ceiling − floor)·SDR + floor)
                    buy  = sell·SDR + ceiling·(1 − SDR)
    SDR > 1:        sell = buy = floor

`buy` mixes local energy at `sell` with the utility's at `ceiling`; `pool` says how that becomes trades.
"""

from __future__ import annotations

from fractions import Fraction

from commonwatt.market import pool
from commonwatt.market.interface import Frame, Outcome, Parameters, Positions
from commonwatt.market.mechanism import Mechanism
from commonwatt.market.pool import pair

__all__ = ["SDR", "SdrParameters", "local_price", "pair", "pool_prices", "rule"]


class SdrParameters(Parameters):
    """`sdr` has no parameters."""


def rule(frame: Frame, inputs: tuple[Positions, ...], _: SdrParameters) -> tuple[Outcome, ...]:
    """Clear each slot by itself."""
    return pool.clear(frame, inputs, local_price)


def local_price(supply: int, demand: int, ceiling: int, floor: int | Fraction) -> Fraction:
    """Exact price between neighbours [unit/kWh] for supply and demand [Wh]."""
    if supply == 0:
        return Fraction(ceiling)
    if supply > demand or floor <= 0:
        return Fraction(floor)
    return Fraction(floor * ceiling * demand) / ((ceiling - floor) * supply + floor * demand)


def pool_prices(supply: int, demand: int, ceiling: int, floor: int) -> tuple[Fraction, Fraction]:
    """Exact selling and buying price [unit/kWh] for supply and demand [Wh].

    >>> [float(price) for price in pool_prices(1, 2, 200_000, 50_000)]
    [80000.0, 140000.0]
    """
    local = local_price(supply, demand, ceiling, floor)
    return pool.blended(local, min(supply, demand), supply, demand, ceiling, floor)


SDR = Mechanism("sdr", "after", Positions, SdrParameters, rule, "Liu et al. 2017, via AlSkaif et al. 2021")
