"""What every mechanism has: a phase, what it needs, what it promises, its parameters, and one pure function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from commonwatt.records import BUY, Trades
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, IntArray


@dataclass(frozen=True)
class Frame:
    """The market's surroundings over a horizon of slots; all arrays shape (slots,).

    starts : start of each slot [unix s]
    minutes : local time of day at the start [min]
    hours : length of a slot [h]
    members : number of members
    ceiling, floor : a local price above the one or below the other leaves somebody worse off than with the
        utility alone [unit/kWh]; MAX_PRICE and -MAX_PRICE where there is no utility
    unit : what one integer of money is worth [micro-currency]
    feed_in : what the utility pays [unit/kWh], where that may be below the floor; None = the floor
    importing : how many of the members can buy, the first ones, where each is a register; None = all may do both
    """

    starts: IntArray
    minutes: IntArray
    hours: float
    members: int
    ceiling: IntArray
    floor: IntArray
    unit: int = 1
    feed_in: IntArray | None = None
    importing: int | None = None

    def part(self, chosen: slice | NDArray[np.bool_]) -> Frame:
        """The frame of some of its slots."""
        return replace(
            self,
            starts=self.starts[chosen],
            minutes=self.minutes[chosen],
            ceiling=self.ceiling[chosen],
            floor=self.floor[chosen],
            feed_in=None if self.feed_in is None else self.feed_in[chosen],
        )


@dataclass(frozen=True)
class Orders:
    """The admitted orders of one slot as columns, each shape (orders,); at most one per member and side.

    side : BUY or SELL; wh : [Wh] > 0; limit : [unit/kWh]
    """

    member: IntArray
    side: IntArray
    wh: IntArray
    limit: IntArray

    @property
    def net(self) -> IntArray:
        """Signed energy per order, shape (orders,) [Wh], positive = buy."""
        return np.where(self.side == BUY, self.wh, -self.wh)

    @property
    def by_member(self) -> Orders:
        """The same orders by member and side."""
        places = np.lexsort((self.side, self.member))
        return Orders(self.member[places], self.side[places], self.wh[places], self.limit[places])


@dataclass(frozen=True)
class Positions:
    """Net energy of each member in one slot, for mechanisms that need no orders; each shape (members,).

    net : [Wh], positive = buys
    max_buy, min_sell : the members' price limits [unit/kWh]
    kept : what rounding has kept from each in the slots before, where that is carried on [millionths of a Wh]; else
        empty
    """

    net: IntArray
    max_buy: IntArray
    min_sell: IntArray
    kept: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class Events:
    """What happened to the order book of one slot, in order of arrival; columns, each shape (events,).

    kind : ADD, AMEND or CANCEL
    order : number of the order; ADD brings a new one, the others name an existing one
    member, side, wh, limit : as in Orders; of an AMEND the new values, of a CANCEL not looked at
    time : arrival [unix s], never decreasing; expiry : the order is void from then on [unix s]
    """

    kind: IntArray
    order: IntArray
    member: IntArray
    side: IntArray
    wh: IntArray
    limit: IntArray
    time: IntArray
    expiry: IntArray

    @property
    def net(self) -> IntArray:
        """Signed energy per event, shape (events,) [Wh], positive = buy."""
        return np.where(self.side == BUY, self.wh, -self.wh)


ADD, AMEND, CANCEL = 0, 1, 2


class Parameters(BaseModel):
    """Parameters of a mechanism, as an operator writes them; unknown keys are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def in_vain(self, frame: Frame, most_kw: float) -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """Why nothing can be traded with these parameters in any slot of the frame: (key, sentence) each.

        most_kw : the most that any member can sell; inf = not known
        """
        return iter(())


@dataclass(frozen=True)
class Outcome:
    """What a mechanism's own rule yields for one slot, before it is proved.

    evidence : what the mechanism's own proof needs beside the trades, such as the multipliers of an optimum
    kept : as of `Positions`, after this slot; empty where nothing is carried on
    """

    trades: Trades = field(default_factory=Trades)
    prices: Mapping[str, int] = field(default_factory=dict)
    diagnostics: Mapping[str, int | float | str] = field(default_factory=dict)
    evidence: object = None
    kept: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


BOUNDS = f"an order is at most {MAX_ORDER_WH} Wh and a price at most {MAX_PRICE} units of money per kWh"


@dataclass(frozen=True)
class Limits:
    """What the mandates allow, each shape (members,): prices [unit/kWh], energy per slot [Wh]."""

    max_buy: IntArray
    min_sell: IntArray
    buy_wh: IntArray
    sell_wh: IntArray
