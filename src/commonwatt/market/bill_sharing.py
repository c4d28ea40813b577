"""Bill sharing: the community meets the utility as one, and shares that one bill at the end of the billing window.

    buy  = Σ_t retail_t · import_t  / Σ_t Σ_n consumed_nt
    sell = Σ_t feed_in_t · export_t / Σ_t Σ_n generated_nt

Import and export of a slot are netted over all members at the connection point; consumed and generated are the net
purchase and the net sale of each member in each slot, as its meter counts them.

Source: bill sharing of Long et al., 2017 (peer-to-peer energy trading in a community microgrid), as known in the
field; the paper itself could not be read, and that both sums are of net energy per member and slot is assumed.

This is a rule over a window, not a mechanism that clears a slot: no slot has a price until the last one is over.
Energy between neighbours is free of charge, so who sells much may well be worse off than with the utility alone;
`alone` tells. Each slot's money with the utility is rounded down, members' shares are by largest remainder, ties to
the lower member index: what members pay and receive is the community's bill exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from commonwatt.errors import MarketError
from commonwatt.market.exact import wide
from commonwatt.units import MAX_MONEY, MAX_ORDER_WH, MAX_PRICE, WH_PER_KWH, IntArray, largest_remainder


@dataclass(frozen=True)
class SharedBill:
    """One window's bill, shared.

    buy, sell : exact prices of the window [unit/kWh]; zero where nobody bought or sold
    bills : shape (members,) [unit], positive = the member owes; their sum is the community's bill
    """

    buy: Fraction
    sell: Fraction
    bills: IntArray


def share_bill(net: IntArray, retail: IntArray, feed_in: IntArray) -> SharedBill:
    """Share the community's bill with the utility among its members.

    net : shape (members, slots) [Wh], positive = into the home
    retail, feed_in : the utility's prices, shape (slots,) [unit/kWh]

    Raises MarketError when shapes differ or a value is out of bounds.

    >>> shared = share_bill(np.array([[600], [400], [-500]]), np.array([200_000]), np.array([50_000]))
    >>> shared.bills.tolist(), float(shared.buy)
    ([60000, 40000, 0], 100000.0)
    """
    _refuse_unusable(net, retail, feed_in)
    total = net.sum(axis=0)
    owed, earned = int(_money(np.maximum(total, 0), retail)), int(_money(np.maximum(-total, 0), feed_in))
    consumed, generated = np.maximum(net, 0).sum(axis=1), np.maximum(-net, 0).sum(axis=1)
    bills = _split(owed, consumed) - _split(earned, generated)
    return SharedBill(_price(owed, consumed), _price(earned, generated), bills)


def alone(net: IntArray, retail: IntArray, feed_in: IntArray) -> IntArray:
    """What each member would owe with the utility alone, shape (members,) [unit]; arguments as above."""
    _refuse_unusable(net, retail, feed_in)
    owed, earned = _money(np.maximum(net, 0), retail), _money(np.maximum(-net, 0), feed_in)
    bills: IntArray = np.array([_within(int(bill)) for bill in owed.astype(object) - earned], dtype=np.int64)
    return bills


def _money(wh: IntArray, price: IntArray) -> Any:
    """Money of all slots, the last axis [unit], each slot's rounded towards zero as `units.payment`."""
    bound = int(wh.max(initial=0)) * int(np.abs(price).max(initial=0)) * max(1, len(price))
    wh, price = wide(bound, wh, price)
    return np.where(price >= 0, wh * price // WH_PER_KWH, -(wh * -price // WH_PER_KWH)).sum(axis=-1)


def _split(money: int, weights: IntArray) -> IntArray:
    """Shares of `money` in proportion to `weights`; negative money, of negative prices, is split like positive."""
    shares = largest_remainder(abs(_within(money)), weights)
    return shares if money >= 0 else -shares


def _within(money: int) -> int:
    if abs(money) > MAX_MONEY:
        raise MarketError("bill sharing was given a window with a bill beyond 2^63 units of money.")
    return money


def _price(money: int, weights: IntArray) -> Fraction:
    energy = sum(weights.tolist())
    return Fraction(money * WH_PER_KWH, energy) if energy else Fraction(0)


def _refuse_unusable(net: IntArray, retail: IntArray, feed_in: IntArray) -> None:
    if net.ndim != 2 or retail.shape != net.shape[1:] or feed_in.shape != net.shape[1:]:
        raise MarketError(
            f"bill sharing needs net energy of shape (members, slots) and one price per slot, "
            f"but was given {net.shape}, {retail.shape} and {feed_in.shape}."
        )
    if int(np.abs(net).max(initial=0)) > MAX_ORDER_WH or net.size * MAX_ORDER_WH > MAX_MONEY:
        raise MarketError(f"bill sharing was given more than {MAX_ORDER_WH} Wh for a member and slot, or too many.")
    if int(np.abs([retail, feed_in]).max(initial=0)) > MAX_PRICE:
        raise MarketError(f"bill sharing was given a price beyond {MAX_PRICE} units of money per kWh.")
