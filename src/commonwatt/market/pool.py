"""What all pools share: one local price, a share for everyone, and who takes from whom.

A pool publishes a buying and a selling price that mix local energy with the utility's. It is written here as what
it is: bilateral trades at one local price, and the rest with the utility. With local energy m = min(supply, demand):

    sell = (local·m + feed_in·(supply − m)) / supply
    buy  = (local·m + ceiling·(demand − m)) / demand

`feed_in` is what the utility pays: the floor, or less where that is below zero and the floor of a local price is not.

Every buyer takes the same share of its demand from neighbours, every seller sells the same share of its supply to
them. So what buyers pay is what sellers and the utility receive, exactly, for any local price: no account stands
between members. A pool's own file is only its price, and `sharing_key` its shares.
Shares are by largest remainder, ties to the lower member index, or carried on from slot to slot; the local price is
rounded half up.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Final

import numpy as np

from commonwatt.market.interface import Frame, Outcome, Positions
from commonwatt.records import Trades
from commonwatt.units import IntArray, carried_remainder, largest_remainder, round_half_up

LocalPrice = Callable[[int, int, int, int], Fraction]
"""(supply, demand [Wh], ceiling, floor) to the exact local price [unit/kWh].

Where it lies above the ceiling or below the floor somebody would be worse off, and nothing is local.
"""

Share = Callable[[IntArray, IntArray, IntArray], tuple[IntArray, IntArray, IntArray]]
"""(demand, supply, kept) to how much of each is local, all shape (members,) [Wh], both results with one sum.

kept, and what it is afterwards, as of `Positions.kept`.
"""
NOTHING_KEPT: Final = np.zeros(0, dtype=np.int64)


def pro_rata(demand: IntArray, supply: IntArray, kept: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """The scarcer side is local as a whole, the other in proportion."""
    local = min(int(demand.sum()), int(supply.sum()))
    taken, kept = split(local, demand, kept)
    given, kept = split(local, supply, kept)
    return taken, given, kept


def split(total: int, weights: IntArray, kept: IntArray) -> tuple[IntArray, IntArray]:
    """By largest remainder, which is carried on where anything was `kept`. Whoever has no weight keeps its own."""
    if not len(kept):
        return largest_remainder(total, weights), kept
    shares, now = carried_remainder(total, weights, kept)
    return shares, np.where(weights > 0, now, kept)


def _nothing(demand: IntArray, supply: IntArray, kept: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    return np.zeros_like(demand), np.zeros_like(supply), kept


def clear(
    frame: Frame, inputs: tuple[Positions, ...], local_price: LocalPrice, share: Share = pro_rata
) -> tuple[Outcome, ...]:
    """Clear each slot by itself."""
    paid = frame.floor if frame.feed_in is None else frame.feed_in
    bounds = zip(frame.ceiling.tolist(), frame.floor.tolist(), paid.tolist(), strict=True)
    return tuple(
        _clear(positions, *corridor, local_price, share) for positions, corridor in zip(inputs, bounds, strict=True)
    )


def _clear(
    positions: Positions, ceiling: int, floor: int, feed_in: int, local_price: LocalPrice, share: Share
) -> Outcome:
    if ceiling < floor:
        # No price could help both sides: everybody meets the utility.
        return Outcome(prices={"sell": feed_in, "buy": ceiling}, diagnostics={"supply_wh": 0, "demand_wh": 0})
    demand, supply, local = agreeable(
        positions.net, positions, lambda offered, wanted: local_price(offered, wanted, ceiling, floor)
    )
    wanted, offered, price = int(demand.sum()), int(supply.sum()), round_half_up(local)
    taken, given, kept = (share if floor <= local <= ceiling else _nothing)(demand, supply, positions.kept)
    buyer, seller, wh = pair(taken, given)
    trades = Trades(buyer, seller, wh, np.full(len(wh), price, dtype=np.int64))
    sell, buy = blended(local, int(wh.sum()), offered, wanted, ceiling, feed_in)
    prices = {"sell": round_half_up(sell), "buy": round_half_up(buy)}
    return Outcome(trades, prices, {"supply_wh": offered, "demand_wh": wanted}, kept=kept)


def agreeable(
    net: IntArray, positions: Positions, local_price: Callable[[int, int], Fraction]
) -> tuple[IntArray, IntArray, Fraction]:
    """Leave out members whose limits the price would break, until it breaks none; who is out stays out.

    net : shape (members,) [Wh]; local_price : (supply, demand) to the exact price
    Returns the demand and the supply of the others, each shape (members,) [Wh] >= 0, and their exact price.
    """
    while True:
        demand, supply = np.maximum(net, 0), np.maximum(-net, 0)
        wanted, offered = int(demand.sum()), int(supply.sum())
        local = local_price(offered, wanted)
        price = round_half_up(local)
        unwilling = ((net > 0) & (positions.max_buy < price)) | ((net < 0) & (positions.min_sell > price))
        if not (unwilling.any() and wanted and offered):
            return demand, supply, local
        net = np.where(unwilling, 0, net)


def blended(
    local: Fraction, local_wh: int, supply: int, demand: int, ceiling: int, feed_in: int
) -> tuple[Fraction, Fraction]:
    """Exact selling and buying price of the pool [unit/kWh]; the local price where nobody is on a side.

    >>> [float(price) for price in blended(Fraction(80_000), 1, 1, 2, 200_000, 50_000)]
    [80000.0, 140000.0]
    """
    sold = Fraction(local_wh, supply) if supply else Fraction(1)
    bought = Fraction(local_wh, demand) if demand else Fraction(1)
    return local * sold + feed_in * (1 - sold), local * bought + ceiling * (1 - bought)


def pair(demand: IntArray, supply: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Who takes from whom when both sides, in index order, are laid along one line of energy.

    demand, supply : shape (members,) [Wh] >= 0 with equal sums
    Returns buyer, seller, wh, each shape (pairs,); there are fewer pairs than buyers and sellers together.
    """
    buyers, sellers = np.flatnonzero(demand), np.flatnonzero(supply)
    ends = np.concatenate([np.cumsum(demand[buyers]), np.cumsum(supply[sellers])])
    # A stable sort merges the two rising runs; of two equal ends it keeps the buyer's first.
    order = np.argsort(ends, kind="stable")
    cuts = ends[order]
    of_buyer = order < len(buyers)
    first = np.diff(cuts, prepend=0) > 0
    # At the first place of each cut, as many ends of either side lie before it as people are served by then.
    buyer = buyers[(np.cumsum(of_buyer) - of_buyer)[first]]
    seller = sellers[(np.cumsum(~of_buyer) - ~of_buyer)[first]]
    return buyer, seller, np.diff(cuts[first], prepend=0)
