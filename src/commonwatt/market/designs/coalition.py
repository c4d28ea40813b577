"""`coalition`: the sellers pool their energy and sell it to the highest bids; the revenue follows the energy.

Source: Sabounchi and Wei, IEEE EI2 2017, as described in the review by Salian, Shah, Shah and Samdani ("Review of
Blockchain Enabled Decentralized Energy Trading Mechanisms", section VII.A): all sellers of a cycle form one coalition;
buyers bid individually and unaware of each other; the highest price wins the round; the profit goes to the sellers in
proportion to their energy; the price stays below the main grid's; what is short comes from the main grid. `sealed`
holds the bids' commit and reveal phases.

The original could not be read. From knowledge of the field, not from it: what a winner pays (`pricing`), the reserve,
the ties and the last bid's partial fill. Rounds are held until the energy or the bids are at an end:

    bids       within the corridor and not below the reserve, dearest first; ties to the earlier order (commitment)
    "first"    a winner pays its bid
    "uniform"  every winner pays the highest bid that was not served whole, or else the reserve
    "vickrey"  a winner pays what it displaces: the bids its energy would have served, beyond those the reserve.
               With one lot this is the second price; per kWh it is rounded down to a unit of money
    reserve    the parameter, or else the lowest at which the coalition sells the most; sellers who want more stay out
    delivery   in proportion to the energy offered, by largest remainder, ties to the earlier order; the rest is fed in

Winners' prices may differ, the sellers' share may not. `even_pairs` therefore gives each seller dear and cheap buyers
in such parts that its mean price is the pool's: no account stands between members, and a seller's revenue differs
from its exact share by less than 4 Wh at the spread of the prices (`share_error`): where its energy starts and where
it ends, a whole Wh of the two lines' points and one of the place between them are rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from commonwatt.market import curves
from commonwatt.market.exact import exact_dot, exact_sum, wide
from commonwatt.market.interface import Frame, Orders, Outcome, Parameters
from commonwatt.market.mechanism import Mechanism
from commonwatt.market.parameters import Money, outside
from commonwatt.market.pool import pair
from commonwatt.records import Trades
from commonwatt.units import MAX_PRICE, IntArray, largest_remainder

Pricing = Literal["first", "vickrey", "uniform"]


class CoalitionParameters(Parameters):
    """Parameters of `coalition`.

    pricing : "first", "vickrey" or "uniform"; reserve : the least price of the coalition [currency/kWh]
    """

    pricing: Pricing = "first"
    reserve: Money | None = None

    def in_vain(self, frame: Frame, most_kw: float) -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """A reserve that no bid may reach."""
        # One below the floor is raised to it.
        least = int(frame.floor.min(initial=MAX_PRICE))
        if self.reserve is not None and (told := outside(max(self.reserve, least), frame)):
            yield "reserve", told


def rule(frame: Frame, inputs: tuple[Orders, ...], parameters: CoalitionParameters) -> tuple[Outcome, ...]:
    """Clear each slot by itself."""
    bounds = zip(frame.ceiling.tolist(), frame.floor.tolist(), strict=True)
    return tuple(_auction(orders, parameters, *corridor) for orders, corridor in zip(inputs, bounds, strict=True))


def _auction(orders: Orders, parameters: CoalitionParameters, ceiling: int, floor: int) -> Outcome:
    book = curves.admit(orders, ceiling, floor)
    reserve = _reserve(book, parameters, floor)
    pool = book.asks.only(book.asks.limit <= reserve)
    bids = book.bids.only(book.bids.limit >= reserve)
    bids = bids.only(bids.ranked())
    won = _served(bids.wh, exact_sum(pool.wh))
    sold = exact_sum(won)
    figures = {"sold_wh": sold, "pooled_wh": exact_sum(pool.wh), "outside": len(book.asks.wh) - len(pool.wh)}
    if not sold:
        # Without sellers and without a utility nothing says what a coalition would ask.
        prices = {"reserve": reserve} if reserve > -MAX_PRICE else {}
        return Outcome(prices=prices, diagnostics={**figures, **book.refused})
    price = _prices(bids, won, reserve, parameters.pricing)
    delivered = largest_remainder(sold, pool.wh)
    buyer, seller, wh = even_pairs(won, price, delivered)
    trades = Trades(bids.member[buyer], pool.member[seller], wh, price[buyer])
    figures["share_error"] = _share_error(seller, trades, delivered)
    prices = {"reserve": reserve, "average": exact_dot(won, price) // sold}
    return Outcome(trades.keep(trades.buyer != trades.seller), prices, {**figures, **book.refused})


def _reserve(book: curves.Book, parameters: CoalitionParameters, floor: int) -> int:
    """The least price of the coalition; a coalition that sells nothing asks what its most modest member asks."""
    if parameters.reserve is not None:
        return max(parameters.reserve, floor)
    meeting = curves.meet(book.bids, book.asks)
    return meeting.last_ask if meeting.wh else min(book.asks.limit.tolist(), default=floor)


def _served(wanted: IntArray, offered: int) -> IntArray:
    """The first ones whole, one in part, the rest not at all."""
    until = np.cumsum(wanted)
    served: IntArray = np.clip(offered - (until - wanted), 0, wanted)
    return served


def _prices(bids: curves.Side, won: IntArray, reserve: int, pricing: Pricing) -> IntArray:
    """What each bid pays if it won, shape (bids,) [unit/kWh]."""
    if pricing == "first":
        return bids.limit
    if pricing == "vickrey":
        return _displaced(bids, won, reserve)
    losing = bids.limit[won < bids.wh]
    return np.full(len(won), losing[0] if len(losing) else reserve, dtype=np.int64)


def _displaced(bids: curves.Side, won: IntArray, reserve: int) -> IntArray:
    """Price of each winner by what its energy would have brought from the others, best bids first."""
    bound = exact_sum(bids.wh) * int(bids.limit.max() - reserve)
    won, lost, worth = wide(bound, won, bids.wh - won, bids.limit - reserve)
    energy, value = np.cumsum(lost), np.cumsum(lost * worth)

    def brought(wh: IntArray) -> IntArray:
        """Value above the reserve of the first `wh` that lost."""
        within = np.minimum(wh, energy[-1])
        last = np.searchsorted(energy, within, side="left")
        total: IntArray = value[last] - (energy[last] - within) * worth[last]
        return total

    # A bid served in part is the first that lost, and does not displace itself.
    own = np.where(won > 0, lost, 0)
    paid = brought(won + own) - brought(own)
    return (reserve + paid // np.maximum(won, 1)).astype(np.int64)


def even_pairs(won: IntArray, price: IntArray, delivered: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Who takes from whom so that every seller gets the mean price, as nearly as whole Wh allow.

    Buyers above the mean are laid on one line, the others on a second. Walking both so that what the one has paid
    above the mean always equals what the other has paid below it, every stretch of the walk has the mean price. The
    sellers take consecutive stretches.

    won, price : shape (buyers,) [Wh] and [unit/kWh]; delivered : shape (sellers,) [Wh], of equal sum
    """
    # In units of the sum of all energy, so that the mean is exact: what is paid above it is what is paid below it.
    sold = exact_sum(won)
    (price,) = wide(int(price.max()) * sold, price)
    above = price * sold - exact_dot(won, price)
    dear, cheap = np.flatnonzero((above > 0) & (won > 0)), np.flatnonzero((above <= 0) & (won > 0))
    if not len(dear):
        return pair(won, delivered)
    cheap = cheap[np.argsort(-above[cheap], kind="stable")]
    walked, of_dear = _walk(won[dear], above[dear], won[cheap], -above[cheap])
    from_dear = np.diff(_interpolated(np.cumsum(delivered), walked, of_dear), prepend=0)
    first, second = pair(won[dear], from_dear), pair(won[cheap], delivered - from_dear)
    buyer = np.concatenate([dear[first[0]], cheap[second[0]]])
    return buyer, np.concatenate([first[1], second[1]]), np.concatenate([first[2], second[2]])


def _walk(dear: IntArray, gain: IntArray, cheap: IntArray, loss: IntArray) -> tuple[IntArray, IntArray]:
    """Energy walked in all and on the dear line, at every point where either line reaches its next buyer [Wh]."""
    dear, gain, cheap, loss = wide(int(dear.sum()) * int(gain.max()), dear, gain, cheap, loss)
    levels = np.union1d(np.cumsum(dear * gain), np.cumsum(cheap * loss))
    of_dear = _reached(levels, dear, gain)
    return (
        np.concatenate([[0], of_dear + _reached(levels, cheap, loss)]).astype(np.int64),
        np.concatenate([[0], of_dear]).astype(np.int64),
    )


def _reached(levels: IntArray, wh: IntArray, rate: IntArray) -> IntArray:
    """Energy at which the running sum of wh·rate reaches each level, rounded down [Wh]."""
    energy, money = np.append(0, np.cumsum(wh)), np.append(0, np.cumsum(wh * rate))
    whole = np.searchsorted(money[1:], levels, side="right")
    beyond = (levels - money[whole]) // np.append(rate, 1)[whole]
    reached: IntArray = energy[whole] + np.where(whole < len(wh), beyond, 0)
    return reached


def _interpolated(at: IntArray, x: IntArray, y: IntArray) -> IntArray:
    """y at `at` along the line through the points (x, y), rounded down; both x and y never fall."""
    index = np.searchsorted(x, at, side="right") - 1
    step, rise = np.diff(x, append=x[-1] + 1)[index], np.diff(y, append=y[-1])[index]
    beyond, rise = wide(int(step.max()) * int(rise.max()), at - x[index], rise)
    return y[index] + (beyond * rise // step).astype(np.int64)


def _share_error(seller: IntArray, trades: Trades, delivered: IntArray) -> int:
    """Largest distance of a seller's revenue from its exact share of all revenue [unit]."""
    revenue = np.zeros(len(delivered), dtype=np.int64)
    np.add.at(revenue, seller, trades.payments)
    total, sold = exact_sum(revenue), exact_sum(delivered)
    revenue, delivered = wide(sold * max(1, total), revenue, delivered)
    return int(np.abs(revenue - total * delivered // sold).max())


COALITION = Mechanism(
    "coalition", "ahead", Orders, CoalitionParameters, rule, "Sabounchi and Wei 2017, via Salian et al."
)
