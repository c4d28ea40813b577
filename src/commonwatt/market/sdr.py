"""`sdr`: a pool priced by the ratio of supply to demand.

Source of the design: "real-time P2P pool priced by supply/demand ratio" in the day-ahead and real-time market of
the household study after AlSkaif et al., IEEE TII 2021. The price formula is Liu et al., IEEE Trans. Power Syst.
2017, as known in the field and in public code; the paper itself could not be read.

    SDR = supply / demand
    0 <= SDR <= 1:  sell = floor·ceiling / ((ceiling − floor)·SDR + floor)
                    buy  = sell·SDR + ceiling·(1 − SDR)
    SDR > 1:        sell = buy = floor

`buy` mixes local energy at `sell` with the utility's at `ceiling`. The pool is therefore written as what it is:
every buyer takes the same share of its demand from neighbours at `sell` and the rest from the utility, and for
SDR > 1 every seller the same share of its supply. The money is the same and no account stands between members.
Shares are by largest remainder, ties to the lower member index; `sell` is rounded half up.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from commonwatt.market.interface import Frame, Mechanism, Outcome, Parameters, Positions
from commonwatt.records import Trades
from commonwatt.units import IntArray, largest_remainder, round_half_up


class SdrParameters(Parameters):
    """`sdr` has no parameters."""


def rule(frame: Frame, inputs: tuple[Positions, ...], _: SdrParameters) -> tuple[Outcome, ...]:
    """Clear each slot by itself."""
    bounds = zip(frame.ceiling.tolist(), frame.floor.tolist(), strict=True)
    return tuple(_pool(positions, ceiling, floor) for positions, (ceiling, floor) in zip(inputs, bounds, strict=True))


def pool_prices(supply: int, demand: int, ceiling: int, floor: int) -> tuple[Fraction, Fraction]:
    """Exact selling and buying price [micro-currency/kWh] for supply and demand [Wh].

    >>> [float(price) for price in pool_prices(1, 2, 200_000, 50_000)]
    [80000.0, 140000.0]
    """
    if supply == 0:
        return Fraction(ceiling), Fraction(ceiling)
    if supply > demand or floor == 0:
        sell = Fraction(floor)
    else:
        sell = Fraction(floor * ceiling * demand, (ceiling - floor) * supply + floor * demand)
    ratio = min(Fraction(1), Fraction(supply, demand)) if demand else Fraction(1)
    return sell, sell * ratio + ceiling * (1 - ratio)


def pair(demand: IntArray, supply: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Who takes from whom when both sides, in index order, are laid along one line of energy.

    demand, supply : shape (members,) [Wh] >= 0 with equal sums
    Returns buyer, seller, wh, each shape (pairs,); there are fewer pairs than buyers and sellers together.
    """
    demand_until, supply_until = np.cumsum(demand), np.cumsum(supply)
    cuts = np.union1d(demand_until, supply_until)
    cuts = cuts[cuts > 0]
    buyer = np.searchsorted(demand_until, cuts, side="left")
    seller = np.searchsorted(supply_until, cuts, side="left")
    return buyer, seller, np.diff(cuts, prepend=0)


def _pool(positions: Positions, ceiling: int, floor: int) -> Outcome:
    """Leave out members whose limits the price would break, until it breaks none; then share and pair."""
    net = positions.net if ceiling >= floor else np.zeros_like(positions.net)
    while True:
        demand, supply = np.maximum(net, 0), np.maximum(-net, 0)
        wanted, offered = int(demand.sum()), int(supply.sum())
        sell, buy = pool_prices(offered, wanted, ceiling, floor)
        price = round_half_up(sell)
        unwilling = ((net > 0) & (positions.max_buy < price)) | ((net < 0) & (positions.min_sell > price))
        if not (unwilling.any() and wanted and offered):
            break
        net = np.where(unwilling, 0, net)
    local = min(wanted, offered)
    buyer, seller, wh = pair(largest_remainder(local, demand), largest_remainder(local, supply))
    trades = Trades(buyer, seller, wh, np.full(len(wh), price, dtype=np.int64))
    diagnostics = {"supply_wh": offered, "demand_wh": wanted}
    return Outcome(trades, {"sell": price, "buy": round_half_up(buy)}, diagnostics)


SDR = Mechanism("sdr", "after", Positions, SdrParameters, rule, "Liu et al. 2017, via AlSkaif et al. 2021")
