"""Between agents' orders and agreed trades: who agreed to what, which trades the orders carry, what orders have left.

Orders come before trades in most markets. Where agents agree among themselves over a horizon, the trades come first and
each agent then orders what it agreed to; a trade counts only as far as both ends have an admitted order for it.
"""

from __future__ import annotations

import numpy as np

from commonwatt.market import Orders
from commonwatt.market.interface import Limits
from commonwatt.records import BUY, SELL, Clearing, Trades
from commonwatt.units import MAX_PRICE, IntArray


def agreed_orders(clearing: Clearing, bounds: Limits, highest: int, lowest: int, *, more: bool) -> Orders:
    """What each agent orders for the trades that it agreed to in a slot, within its mandate.

    highest, lowest : ceiling and floor of the slot [unit/kWh]
    more : later stages follow, so that what the plan leaves open is ordered, too
    The limit is the worst price that the agent agreed to, or for what is open the utility's if that is worse.
    """
    members = len(bounds.buy_wh)
    trades = within(clearing.trades, bounds)
    open_wh = clearing.grid if more else np.zeros(members, dtype=np.int64)
    dearest, cheapest = np.full(members, -1, dtype=np.int64), np.full(members, MAX_PRICE, dtype=np.int64)
    np.maximum.at(dearest, trades.buyer, trades.price)
    np.minimum.at(cheapest, trades.seller, trades.price)
    to_buy, to_sell = np.maximum(open_wh, 0), np.maximum(-open_wh, 0)
    dearest = np.maximum(dearest, np.where(to_buy > 0, np.minimum(bounds.max_buy, highest), -1))
    cheapest = np.minimum(cheapest, np.where(to_sell > 0, np.maximum(bounds.min_sell, lowest), MAX_PRICE))
    np.add.at(to_buy, trades.buyer, trades.wh)
    np.add.at(to_sell, trades.seller, trades.wh)
    wh = np.column_stack([np.minimum(to_buy, bounds.buy_wh), np.minimum(to_sell, bounds.sell_wh)])
    limit = np.column_stack([dearest, cheapest])
    # A limit below zero: a local kWh could help only if its buyer were paid for taking it.
    member, side = np.nonzero((wh > 0) & (limit >= 0))
    return Orders(member, side, wh[member, side], limit[member, side])


def within(trades: Trades, bounds: Limits) -> Trades:
    """The trades as far as both ends' bounds allow; those at a price that one end does not allow are not among them."""
    allowed = trades.keep(
        (trades.price <= bounds.max_buy[trades.buyer]) & (trades.price >= np.maximum(bounds.min_sell, 0)[trades.seller])
    )
    wh = _served(allowed, bounds.buy_wh, bounds.sell_wh)
    return Trades(allowed.buyer, allowed.seller, wh, allowed.price).keep(wh > 0)


def _served(trades: Trades, most_bought: IntArray, most_sold: IntArray) -> IntArray:
    """Each trade in its order, as far as both ends have room. most_bought, most_sold : shape (members,) [Wh]"""
    bought, sold = (np.bincount(end, trades.wh, len(most_sold)) for end in (trades.buyer, trades.seller))
    if (bought <= most_bought).all() and (sold <= most_sold).all():
        return trades.wh
    to_buy, to_sell, served = most_bought.tolist(), most_sold.tolist(), []
    for buyer, seller, wanted in zip(trades.buyer.tolist(), trades.seller.tolist(), trades.wh.tolist(), strict=True):
        wh = min(wanted, to_buy[buyer], to_sell[seller])
        to_buy[buyer], to_sell[seller] = to_buy[buyer] - wh, to_sell[seller] - wh
        served.append(wh)
    return np.array(served, dtype=np.int64)


def ordered(orders: Orders, members: int) -> Limits:
    """What the orders of a slot allow each member."""
    wh, limit = np.zeros((2, 2, members), dtype=np.int64)
    wh[orders.side, orders.member], limit[orders.side, orders.member] = orders.wh, orders.limit
    return Limits(limit[BUY], limit[SELL], wh[BUY], wh[SELL])


def left(orders: Orders, trades: Trades, members: int) -> Orders:
    """What the orders leave for the next stage."""
    used = np.zeros((2, members), dtype=np.int64)
    np.add.at(used[BUY], trades.buyer, trades.wh)
    np.add.at(used[SELL], trades.seller, trades.wh)
    wh = orders.wh - used[orders.side, orders.member]
    some = wh > 0
    return Orders(orders.member[some], orders.side[some], wh[some], orders.limit[some])


def joined(*parts: Trades) -> Trades:
    """All trades, in this order."""
    columns = zip(*((part.buyer, part.seller, part.wh, part.price) for part in parts), strict=True)
    return Trades(*(np.concatenate(column) for column in columns)) if parts else Trades()
