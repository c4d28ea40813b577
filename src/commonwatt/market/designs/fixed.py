"""`fixed`: one price for the day, the largest surplus serves the largest demand first.

Source: Saini, Purohit, Kumar, Al-Sumaiti, Energies 2023, 16, 1253, DOI 10.3390/en16031253, section 4.2.
The paper states the price, the window, the least excess and "first trade the one that has higher demand"; it
leaves open whether a seller may serve part of a demand, so that is the switch `fill`. Nobody sells to itself.
Ties go to the lower member index. Payments are rounded down to a unit of money.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator
from datetime import time
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from commonwatt.market.interface import Frame, Orders, Outcome, Parameters
from commonwatt.market.mechanism import Mechanism
from commonwatt.market.parameters import Clock, Millionths, Money, outside
from commonwatt.records import BUY, Trades
from commonwatt.units import MAX_PRICE, MICRO, WH_PER_KWH

_Ranked = tuple[int, int]
"""Energy with its sign turned, so that the largest comes first, and the member [Wh, index]."""
_Deal = tuple[int, int, int]
"""Buyer, seller and energy [index, index, Wh]."""


def _times(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


class FixedParameters(Parameters):
    """Parameters of `fixed`.

    price : [currency/kWh], or share_of_average : of the day's mean price ceiling; exactly one of them
    window : local times between which slots start; min_excess_kw : sellers with less stay out [kW]
    fill : "partial", or "full" = a demand is served whole by one seller or not at all
    """

    price: Money | None = None
    share_of_average: Millionths | None = None
    window: Annotated[list[Clock], BeforeValidator(_times), Field(min_length=2, max_length=2)] = [time(0), time(0)]  # noqa: RUF012
    min_excess_kw: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    fill: Literal["partial", "full"] = "partial"

    @model_validator(mode="after")
    def _one_price(self) -> FixedParameters:
        if (self.price is None) == (self.share_of_average is None):
            raise ValueError("needs either price or share_of_average")
        return self

    def in_vain(self, frame: Frame, most_kw: float) -> Iterator[tuple[str, str]]:
        """A price outside the corridor while the window is open, a window without a slot, too high a least excess."""
        key = "share_of_average" if self.price is None else "price"
        first, last = self.window
        is_open = in_window(frame, self)
        if self.price is None and int(frame.ceiling.max(initial=0)) == MAX_PRICE:
            yield key, "needs the utility's price"
        elif told := outside(day_price(frame, self), frame.part(is_open)):
            yield key, told
        if not is_open.any():
            yield "window", f"holds no slot: none starts from {first:%H:%M} until before {last:%H:%M}"
        if self.min_excess_kw > most_kw:
            yield "min_excess_kw", f"is {self.min_excess_kw:g}, and no member can sell more than {most_kw:g} kW"


def rule(frame: Frame, inputs: tuple[Orders, ...], parameters: FixedParameters) -> tuple[Outcome, ...]:
    """Clear each slot of the day at the day's price; where that leaves somebody worse off, nothing is traded."""
    price = day_price(frame, parameters)
    fair = (frame.floor <= price) & (price <= frame.ceiling)
    return tuple(
        _match(orders, price, parameters, frame.hours) if is_open else Outcome(prices={"local": price})
        for orders, is_open in zip(inputs, (fair & in_window(frame, parameters)).tolist(), strict=True)
    )


def day_price(frame: Frame, parameters: FixedParameters) -> int:
    """The price of all slots [unit/kWh]; a share of the average is rounded down."""
    if parameters.price is not None:
        return parameters.price
    total = int(frame.ceiling.sum()) * (parameters.share_of_average or 0)
    return total // (MICRO * max(1, len(frame.ceiling)))


def in_window(frame: Frame, parameters: FixedParameters) -> NDArray[np.bool_]:
    """Whether each slot starts within [from, until), shape (slots,); equal times mean the whole day."""
    first, last = (clock.hour * 60 + clock.minute for clock in parameters.window)
    after, before = frame.minutes >= first, frame.minutes < last
    return after & before if first < last else after | before


def _match(orders: Orders, price: int, parameters: FixedParameters, hours: float) -> Outcome:
    """Sellers in order of surplus; each serves the largest demand of others that remains, again and again."""
    least_wh = parameters.min_excess_kw * hours * WH_PER_KWH
    rows = zip(*(column.tolist() for column in (orders.member, orders.side, orders.wh, orders.limit)), strict=True)
    demands, surpluses = [], []
    for member, side, wh, limit in rows:
        if side == BUY and limit >= price:
            demands.append((-wh, member))
        elif side != BUY and limit <= price and wh >= least_wh:
            surpluses.append((-wh, member))
    serve = _in_parts if parameters.fill == "partial" else _whole
    deals, unserved = serve(sorted(surpluses), sorted(demands))
    return Outcome(_trades(deals, price), {"local": price}, {"sellers": len(surpluses), "unserved": unserved})


def _in_parts(surpluses: list[_Ranked], demands: list[_Ranked]) -> tuple[list[_Deal], int]:
    """The deals when a seller may serve part of a demand, and how many demands are left."""
    deals: list[_Deal] = []
    for minus_surplus, seller in surpluses:
        surplus, own = -minus_surplus, None
        while surplus and demands:
            minus_demand, buyer = demands[0]
            if buyer == seller:
                own = heapq.heappop(demands)
                continue
            wh = min(surplus, -minus_demand)
            deals.append((buyer, seller, wh))
            surplus -= wh
            if wh == -minus_demand:
                heapq.heappop(demands)
            else:
                heapq.heapreplace(demands, (minus_demand + wh, buyer))
        if own:
            heapq.heappush(demands, own)
    return deals, len(demands)


def _whole(surpluses: list[_Ranked], demands: list[_Ranked]) -> tuple[list[_Deal], int]:
    """The deals when a demand is served whole or not at all, and how many demands are left."""
    deals: list[_Deal] = []
    sizes = [minus_demand for minus_demand, _ in demands]
    # From each demand the next that is not served, by short cuts: nobody walks along served ones twice.
    following = list(range(len(demands) + 1))

    def unserved(at: int) -> int:
        while following[at] != at:
            following[at] = following[following[at]]
            at = following[at]
        return at

    for minus_surplus, seller in surpluses:
        at = unserved(bisect_left(sizes, minus_surplus))
        while at < len(demands):
            minus_demand, buyer = demands[at]
            if buyer != seller:
                deals.append((buyer, seller, -minus_demand))
                minus_surplus -= minus_demand
                following[at] = at + 1
            at = unserved(max(at + 1, bisect_left(sizes, minus_surplus)))
    return deals, len(demands) - len(deals)


def _trades(deals: list[_Deal], price: int) -> Trades:
    if not deals:
        return Trades()
    buyer, seller, wh = np.array(deals, dtype=np.int64).T
    return Trades(buyer, seller, wh, np.full(len(deals), price, dtype=np.int64))


FIXED = Mechanism("fixed", "ahead", Orders, FixedParameters, rule, "Saini et al. 2023, DOI 10.3390/en16031253")
