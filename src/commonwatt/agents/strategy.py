"""What an agent is asked at a gate, and what it answers: one home at a time, all slots that are for sale at once.

An agent is a pure function. All that it learns is in the state that it gives back and gets again at the next gate; all
chance comes from the seed that it is given. So a run that was killed goes on as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np

from commonwatt.errors import MarketError
from commonwatt.market import Orders
from commonwatt.records import BUY, SELL
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, FloatArray, IntArray

State = Mapping[str, Any]
"""What an agent remembers: names and whatever JSON can hold. Empty at its first gate."""


@dataclass(frozen=True)
class Quotes:
    """What a home orders, each shape (slots,); a slot may have an order on either side, or on both.

    buy_wh, sell_wh : [Wh], 0 = no order on this side
    buy_limit : the most that it pays; sell_limit : the least that it takes [unit/kWh]
    """

    buy_wh: IntArray
    buy_limit: IntArray
    sell_wh: IntArray
    sell_limit: IntArray


@dataclass(frozen=True)
class Storage:
    """A home's battery.

    charge : expected at the first slot, within low and high [Wh]
    power : most energy in or out per slot at the terminals [Wh]; charging, discharging : efficiencies in (0, 1]
    """

    charge: float
    low: float
    high: float
    power: int
    charging: float
    discharging: float


@dataclass(frozen=True)
class Results:
    """What came of the home's orders at the gate before, each shape (slots,) of that gate.

    starts, minutes, ceiling, floor : as of `Situation`; quotes : what the home ordered
    bought, sold : what was agreed of it [Wh]
    paid, earned : mean price of that [unit/kWh], NaN where nothing was
    price : mean price of all that was agreed in the slot, which everybody learns [unit/kWh], NaN where nothing was
    """

    starts: IntArray
    minutes: IntArray
    ceiling: IntArray
    floor: IntArray
    quotes: Quotes
    bought: IntArray
    sold: IntArray
    paid: FloatArray
    earned: FloatArray
    price: FloatArray


@dataclass(frozen=True)
class Situation:
    """What a home knows when a gate closes; arrays have shape (slots,).

    starts : of the slots that are for sale [unix s]; minutes : local time of day then [min]; hours : length of one [h]
    unit : what one integer of money is worth [micro-currency]
    load, generation : what the home expects to use and to make [Wh] >= 0
    net : what its battery's plan, and its shares in plants, leave at the meter [Wh], positive = into the home
    ceiling, floor : above the one a buyer, below the other a seller fares worse than with the utility [unit/kWh]
    max_buy, min_sell, buy_wh, sell_wh : what the mandate allows [unit/kWh], [Wh per slot]
    battery : None = the home has none; past : None = it ordered nothing at a gate before this one
    seed : for whatever is drawn; another one for each home and gate
    """

    starts: IntArray
    minutes: IntArray
    hours: float
    unit: int
    load: IntArray
    generation: IntArray
    net: IntArray
    ceiling: IntArray
    floor: IntArray
    max_buy: int
    min_sell: int
    buy_wh: int
    sell_wh: int
    battery: Storage | None
    past: Results | None
    seed: int

    @property
    def highest(self) -> IntArray:
        """The most that the home gains from paying, shape (slots,) [unit/kWh]: the mandate's limit or the ceiling."""
        return np.minimum(self.max_buy, self.ceiling)

    @property
    def lowest(self) -> IntArray:
        """The least that it gains from taking, shape (slots,) [unit/kWh]: the mandate's limit or the floor."""
        return np.maximum(self.min_sell, self.floor)

    @property
    def to_buy(self) -> IntArray:
        """What the plan lacks, as far as the mandate goes, shape (slots,) [Wh]."""
        return np.clip(self.net, 0, self.buy_wh)

    @property
    def to_sell(self) -> IntArray:
        """What the plan has over, as far as the mandate goes, shape (slots,) [Wh]."""
        return np.clip(-self.net, 0, self.sell_wh)


Rule = Callable[[Situation, State], tuple[Quotes, State]]


@dataclass(frozen=True)
class Agent:
    """How a home orders. rule : from what it knows and remembers to its orders and what it remembers next"""

    name: str
    rule: Rule
    source: str = ""


LOWEST_LIMIT: Final = 0
"""Of an order: who would want to be paid for taking energy orders nothing."""


def faults(quotes: Quotes, slots: int) -> Iterator[str]:
    """What of these quotes no order can hold, as parts of sentences. Nothing is rounded: 0.2 is no price of 0."""
    for column in fields(quotes):
        values, name = getattr(quotes, column.name), column.name
        if np.shape(values) != (slots,):
            yield f"its {name} has the shape {np.shape(values)}, not ({slots},)"
            continue
        low, high = (0, MAX_ORDER_WH) if name.endswith("wh") else (LOWEST_LIMIT, MAX_PRICE)
        numbers = np.asarray(values)
        if numbers.dtype.kind not in "iuf":
            yield f"its {name} does not hold numbers"
            continue
        ordered = np.ones(slots, dtype=bool) if name.endswith("wh") else _ordered(quotes, name)
        # NaN is within no bounds.
        wrong = ordered & ~((numbers >= low) & (numbers <= high) & (numbers == np.rint(numbers)))
        if wrong.any():
            value = numbers[wrong][0]
            yield f"its {name} holds {value}, but must hold whole numbers from {low} to {high}"


def _ordered(quotes: Quotes, limit: str) -> Any:
    """Where a limit belongs to an order. Elsewhere it is not looked at."""
    wh = np.asarray(getattr(quotes, limit.replace("limit", "wh")))
    return wh > 0 if wh.shape == np.shape(getattr(quotes, limit)) else np.ones(np.shape(getattr(quotes, limit)), bool)


def usable(quotes: Quotes, slots: int) -> Quotes:
    """The quotes as whole numbers, limits without an order as 0. Raises MarketError, with what is wrong with them."""
    for fault in faults(quotes, slots):
        raise MarketError(fault)
    sides = ((quotes.buy_wh, quotes.buy_limit), (quotes.sell_wh, quotes.sell_limit))
    return Quotes(*(np.where(np.asarray(wh) > 0, column, 0).astype(np.int64) for wh, limit in sides
                    for column in (wh, limit)))  # fmt: skip


def ordered_by(orders: tuple[Orders, ...], quoted: Mapping[int, Quotes]) -> tuple[Orders, ...]:
    """The orders of each slot, where these members order what they quote instead, by member and side."""
    if not quoted:
        return orders
    members = np.array(sorted(quoted), dtype=np.int64)
    columns = [[getattr(quoted[member], column.name) for member in members.tolist()] for column in fields(Quotes)]
    buy_wh, buy_limit, sell_wh, sell_limit = (np.stack(rows, axis=1) for rows in columns)
    found = []
    for slot, others in enumerate(orders):
        rest = ~np.isin(others.member, members)
        sides = np.full((2, len(members)), BUY, dtype=np.int64)
        sides[1] = SELL
        wh, limit = np.stack([buy_wh[slot], sell_wh[slot]]), np.stack([buy_limit[slot], sell_limit[slot]])
        some = wh > 0
        both = Orders(
            np.concatenate([others.member[rest], np.broadcast_to(members, wh.shape)[some]]),
            np.concatenate([others.side[rest], sides[some]]),
            np.concatenate([others.wh[rest], wh[some]]),
            np.concatenate([others.limit[rest], limit[some]]),
        )
        found.append(both.by_member)
    return tuple(found)
