"""`fixed`: one price for the day, the largest surplus serves the largest demand first.

Source: Saini, Purohit, Kumar, Al-Sumaiti, Energies 2023, 16, 1253, DOI 10.3390/en16031253, section 4.2.
The paper states the price, the window, the least excess and "first trade the one that has higher demand"; it
leaves open whether a seller may serve part of a demand, so that is the switch `fill`.
Ties go to the lower member index. Payments are rounded down to the micro-unit.
"""

from __future__ import annotations

import heapq
from datetime import time
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from commonwatt.market.interface import Frame, Mechanism, Orders, Outcome, Parameters
from commonwatt.market.parameters import Clock, Money
from commonwatt.records import BUY, Trades
from commonwatt.units import MICRO, WH_PER_KWH


class FixedParameters(Parameters):
    """Parameters of `fixed`.

    price : [currency/kWh], or share_of_average : of the day's mean price ceiling; exactly one of them
    window : local times between which slots start; min_excess_kw : sellers with less stay out [kW]
    fill : "partial", or "full" = a demand is served whole by one seller or not at all
    """

    price: Money | None = None
    share_of_average: Money | None = None
    window: Annotated[list[Clock], Field(min_length=2, max_length=2)] = [time(0), time(0)]  # noqa: RUF012
    min_excess_kw: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    fill: Literal["partial", "full"] = "partial"

    @model_validator(mode="after")
    def _one_price(self) -> FixedParameters:
        if (self.price is None) == (self.share_of_average is None):
            raise ValueError("needs either price or share_of_average")
        return self


def rule(frame: Frame, inputs: tuple[Orders, ...], parameters: FixedParameters) -> tuple[Outcome, ...]:
    """Clear each slot of the day at the day's price."""
    price = day_price(frame, parameters)
    open_slots = in_window(frame, parameters)
    return tuple(
        _match(orders, price, parameters, frame.hours) if is_open else Outcome(prices={"local": price})
        for orders, is_open in zip(inputs, open_slots, strict=True)
    )


def day_price(frame: Frame, parameters: FixedParameters) -> int:
    """The price of all slots [micro-currency/kWh]; a share of the average is rounded down."""
    if parameters.price is not None:
        return parameters.price
    total = int(frame.ceiling.sum()) * (parameters.share_of_average or 0)
    return total // (MICRO * max(1, len(frame.ceiling)))


def in_window(frame: Frame, parameters: FixedParameters) -> list[bool]:
    """Whether each slot starts within [from, until); equal times mean the whole day."""
    first, last = (clock.hour * 60 + clock.minute for clock in parameters.window)
    if first == last:
        return [True] * len(frame.minutes)
    if first < last:
        return [first <= minute < last for minute in frame.minutes.tolist()]
    return [minute >= first or minute < last for minute in frame.minutes.tolist()]


def _match(orders: Orders, price: int, parameters: FixedParameters, hours: float) -> Outcome:
    """Sellers in order of surplus; each serves the largest demand that remains, again and again."""
    least_wh = parameters.min_excess_kw * hours * WH_PER_KWH
    rows = zip(*(column.tolist() for column in (orders.member, orders.side, orders.wh, orders.limit)), strict=True)
    demands, surpluses = [], []
    for member, side, wh, limit in rows:
        if side == BUY and limit >= price:
            demands.append((-wh, member))
        elif side != BUY and limit <= price and wh >= least_wh:
            surpluses.append((-wh, member))
    heapq.heapify(demands)
    serve = _serve_partial if parameters.fill == "partial" else _serve_full
    deals: list[tuple[int, int, int]] = []
    for minus_surplus, seller in sorted(surpluses):
        if not demands:
            break
        serve(seller, -minus_surplus, demands, deals)
    return Outcome(_trades(deals, price), {"local": price}, {"sellers": len(surpluses), "unserved": len(demands)})


def _serve_partial(
    seller: int, surplus: int, demands: list[tuple[int, int]], deals: list[tuple[int, int, int]]
) -> None:
    while surplus and demands:
        minus_demand, buyer = demands[0]
        wh = min(surplus, -minus_demand)
        deals.append((buyer, seller, wh))
        surplus -= wh
        if wh == -minus_demand:
            heapq.heappop(demands)
        else:
            heapq.heapreplace(demands, (minus_demand + wh, buyer))


def _serve_full(seller: int, surplus: int, demands: list[tuple[int, int]], deals: list[tuple[int, int, int]]) -> None:
    passed_over = []
    while surplus and demands:
        minus_demand, buyer = heapq.heappop(demands)
        if -minus_demand > surplus:
            passed_over.append((minus_demand, buyer))
            continue
        deals.append((buyer, seller, -minus_demand))
        surplus += minus_demand
    for demand in passed_over:
        heapq.heappush(demands, demand)


def _trades(deals: list[tuple[int, int, int]], price: int) -> Trades:
    if not deals:
        return Trades()
    buyer, seller, wh = np.array(deals, dtype=np.int64).T
    return Trades(buyer, seller, wh, np.full(len(deals), price, dtype=np.int64))


FIXED = Mechanism("fixed", "ahead", Orders, FixedParameters, rule, "Saini et al. 2023, DOI 10.3390/en16031253")
