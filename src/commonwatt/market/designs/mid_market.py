"""`mid-market`: a pool at the middle of the utility's two prices.

    middle = (ceiling + floor) / 2
    supply = demand:  sell = buy = middle
    supply > demand:  buy = middle,  sell = (demand·middle + (supply − demand)·feed_in) / supply
    supply < demand:  sell = middle, buy = (supply·middle + (demand − supply)·ceiling) / demand

Source: the mid-market rate of Long et al., 2017 (peer-to-peer energy trading in a community microgrid), as known in
the field; the paper itself could not be read.
Energy between neighbours costs `middle` in all three cases; what remains mixes in the utility's price.
"""

from __future__ import annotations

from fractions import Fraction

from commonwatt.market import pool
from commonwatt.market.interface import Frame, Outcome, Parameters, Positions
from commonwatt.market.mechanism import Mechanism


class MidMarketParameters(Parameters):
    """`mid-market` has no parameters."""


def rule(frame: Frame, inputs: tuple[Positions, ...], _: MidMarketParameters) -> tuple[Outcome, ...]:
    """Clear each slot by itself."""
    return pool.clear(frame, inputs, local_price)


def local_price(_supply: int, _demand: int, ceiling: int, floor: int) -> Fraction:
    """Exact price between neighbours [unit/kWh], whatever supply and demand are."""
    return Fraction(ceiling + floor, 2)


def pool_prices(supply: int, demand: int, ceiling: int, floor: int) -> tuple[Fraction, Fraction]:
    """Exact selling and buying price [unit/kWh] for supply and demand [Wh].

    >>> [float(price) for price in pool_prices(1, 2, 200_000, 50_000)]
    [125000.0, 162500.0]
    """
    local = local_price(supply, demand, ceiling, floor)
    return pool.blended(local, min(supply, demand), supply, demand, ceiling, floor)


MID_MARKET = Mechanism("mid-market", "after", Positions, MidMarketParameters, rule, "Long et al. 2017, from the field")
