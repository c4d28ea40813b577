"""`listings`: sellers post energy at a price, buyers take from what is posted.

Source: the sell and buy pages of two community exchanges: "SET", IJRASET 11(IV), 2023, and the Raspberry Pi and
ESP32 exchange with a private Ethereum ledger, where peers see amount, price and owner of what is for sale and press
Buy. Kang et al., ICCCS 2018, give the same as a contract: a purchase is matched when it offers at least the posted
price, and pays the posted price.

They leave open which listing a buyer takes and whether it takes a part. Here buyers come in the order of their rows
and each takes the cheapest listing that it can afford, of equal ones the earlier row; `fill` says whether in parts.
A listing is sold once: what is taken is gone. Nobody buys its own listing. Payments are rounded down.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import numpy as np

from commonwatt.market.interface import Frame, Orders, Outcome, Parameters
from commonwatt.market.mechanism import Mechanism
from commonwatt.records import BUY, Trades
from commonwatt.units import MAX_ORDER_WH

NEVER: Final = MAX_ORDER_WH + 1
"""More than any demand: the listing is gone."""


class ListingsParameters(Parameters):
    """Parameters of `listings`.

    fill : "partial", or "full" = a listing is bought whole or not at all
    """

    fill: Literal["partial", "full"] = "partial"


def rule(frame: Frame, inputs: tuple[Orders, ...], parameters: ListingsParameters) -> tuple[Outcome, ...]:
    """Clear each slot by itself. Nobody posts below the utility's price, nobody pays more than it."""
    bounds = zip(inputs, frame.ceiling.tolist(), frame.floor.tolist(), strict=True)
    whole = parameters.fill == "full"
    return tuple(_slot(orders, ceiling, floor, whole=whole) for orders, ceiling, floor in bounds)


def contract_buy(posted: int, offered: int, wh: int) -> tuple[int, int]:
    """Kang's contract: price and energy of a purchase that offers a price, (0, 0) when it is not matched.

    >>> [contract_buy(100, offered, 4000) for offered in (99, 100, 150)]
    [(0, 0), (100, 4000), (100, 4000)]
    """
    return (posted, wh) if offered >= posted else (0, 0)


def _slot(orders: Orders, ceiling: int, floor: int, *, whole: bool) -> Outcome:
    buys = orders.side == BUY
    sellers, buyers = np.flatnonzero(~buys), np.flatnonzero(buys)
    posted = np.maximum(orders.limit[sellers], floor)
    by_price = np.argsort(posted, kind="stable")
    sellers, posted = sellers[by_price], posted[by_price]
    affordable = np.searchsorted(posted, np.minimum(orders.limit[buyers], ceiling), side="right")
    board = _Board(orders.wh[sellers].tolist(), whole=whole)
    deals = _sell(orders, sellers.tolist(), zip(buyers.tolist(), affordable.tolist(), strict=True), board)
    if not deals:
        return Outcome(diagnostics={"listings": len(sellers), "sold_out": 0})
    buyer, listing, wh = np.array(deals, dtype=np.int64).T
    trades = Trades(orders.member[buyer], orders.member[sellers[listing]], wh, posted[listing])
    prices = {"lowest": int(trades.price.min()), "highest": int(trades.price.max())}
    return Outcome(trades, prices, {"listings": len(sellers), "sold_out": board.left.count(0)})


def _sell(
    orders: Orders, sellers: list[int], buyers: Iterable[tuple[int, int]], board: _Board
) -> list[tuple[int, int, int]]:
    """(row of the buyer, listing by price, energy) of each deal; a buyer can afford the first so many listings."""
    member, demand = orders.member.tolist(), orders.wh.tolist()
    deals = []
    for buyer, affordable in buyers:
        wanted, listing = demand[buyer], board.find(0, demand[buyer])
        while listing < affordable:
            if member[sellers[listing]] != member[buyer]:
                wh = board.take(listing, wanted)
                deals.append((buyer, listing, wh))
                wanted -= wh
            listing = board.find(listing + 1, wanted)
    return deals


class _Board:
    """What is for sale, cheapest first; finds the next listing that a demand can take in logarithmic time.

    A binary tree over the listings holds at each node the least demand that can take one of its leaves: the
    listing's energy when it is sold whole, else 1 Wh.
    """

    def __init__(self, left: list[int], *, whole: bool) -> None:
        self.left, self.whole = left, whole
        self.size = 1 << max(0, len(left) - 1).bit_length()
        self.needs = [NEVER] * self.size + (left if whole else [1] * len(left))
        self.needs += [NEVER] * (2 * self.size - len(self.needs))
        for node in range(self.size - 1, 0, -1):
            self.needs[node] = min(self.needs[2 * node], self.needs[2 * node + 1])

    def find(self, first: int, demand: int) -> int:
        """The first listing from `first` on that `demand` can take; a number past the end when there is none."""
        if first >= self.size:
            return first
        needs, node = self.needs, first + self.size
        while needs[node] > demand:
            # On to the next tree on the right; a right child has it further up, the root has none.
            while node & 1:
                node >>= 1
            if not node:
                return self.size
            node += 1
        while node < self.size:
            node *= 2
            node += needs[node] > demand
        return node - self.size

    def take(self, listing: int, demand: int) -> int:
        """Energy that `demand` takes from the listing."""
        wh = min(self.left[listing], demand)
        self.left[listing] -= wh
        if not self.left[listing]:
            node, needs = listing + self.size, self.needs
            needs[node] = NEVER
            while node > 1:
                node //= 2
                needs[node] = min(needs[2 * node], needs[2 * node + 1])
        return wh


LISTINGS = Mechanism(
    "listings",
    "ahead",
    Orders,
    ListingsParameters,
    rule,
    "SET, IJRASET 11(IV), 2023; Kang et al. 2018 as a survey prints their contract",
)
