"""Where homes agree over the horizon before they order: what each says of itself, and what each is then proposed.

At a living exchange homes say what they forecast, the exchange has them agree as the homes of a simulation do, by
`agents.planning.agree`, and each home's agent orders what it is proposed, or does not: an agreed trade counts as far as
both ends have signed orders for it. Energy is Wh, positive = into the home; prices are units of money per kWh.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np

from commonwatt.agents.planning import Outlook, Plan, agree
from commonwatt.agents.strategy import Storage
from commonwatt.devices import Fleet
from commonwatt.errors import RecordError
from commonwatt.exchange.wires import GridWires
from commonwatt.forecast.expectation import Forecast
from commonwatt.market import Frame, Limits, Orders
from commonwatt.market.stage import ActiveStage
from commonwatt.records import BUY, SELL
from commonwatt.units import MAX_ORDER_WH, IntArray

_COLUMNS: Final = ("power", "low", "high", "charging", "discharging")
"""What a fleet's columns and a home's battery have in common."""


@dataclass(frozen=True)
class HomeForecast:
    """What a home expects of consecutive slots, and what it can do: its part of an `Outlook`.

    load, generation : of each slot [Wh] >= 0
    battery : None = it has none
    curtails : whether it holds generation back for its price
    """

    load: tuple[int, ...]
    generation: tuple[int, ...]
    battery: Storage | None = None
    curtails: bool = False

    @classmethod
    def of(cls, outlook: Outlook, home: int) -> Self:
        """The part of one home, by index."""
        fleet, curtails = outlook.fleet, outlook.curtails
        battery = None
        if fleet.high[home] > 0:
            columns = {name: getattr(fleet, name)[home].item() for name in _COLUMNS}
            battery = Storage(charge=float(outlook.soc[home]), **columns)
        load, generation = (tuple(each[home].tolist()) for each in (outlook.expected.load, outlook.expected.generation))
        return cls(load, generation, battery, bool(curtails is None or curtails[home]))

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """From its fields, as JSON has them."""
        battery = given["battery"] and Storage(**given["battery"])
        return cls(tuple(given["load"]), tuple(given["generation"]), battery, given["curtails"])

    def require_possible(self, slots: int) -> None:
        """Raise RecordError when no home can be so in so many slots."""
        if not len(self.load) == len(self.generation) == slots:
            told = f"{len(self.load)} values of load and {len(self.generation)} of generation"
            raise RecordError(f"The forecast has {told}; the next gate closes for {slots} slots.")
        if not all(0 <= wh <= MAX_ORDER_WH for wh in (*self.load, *self.generation)):
            raise RecordError(f"Load and generation are from 0 to {MAX_ORDER_WH} Wh in a slot.")
        if (b := self.battery) is None:
            return
        if not (0 <= b.power <= MAX_ORDER_WH and 0 <= b.low <= b.high <= MAX_ORDER_WH and 0 <= b.charge <= b.high):
            raise RecordError(
                f"A battery has power and 0 <= low <= high of at most {MAX_ORDER_WH} Wh, and no more charge than high."
            )
        if not (0 < b.charging <= 1 and 0 < b.discharging <= 1):
            raise RecordError("A battery's efficiencies, charging and discharging, are above 0 and at most 1.")


@dataclass(frozen=True)
class Proposal:
    """What a home is proposed of consecutive slots from `first` [start, unix s] on; of none before homes have agreed.

    net : what would go through its meter; grid : at what its battery would hold the meter beside the trades
    buy, sell : what its agent would order [Wh] >= 0; dearest, cheapest : the limits of these orders
    """

    first: int
    net: tuple[int, ...] = ()
    grid: tuple[int, ...] = ()
    buy: tuple[int, ...] = ()
    dearest: tuple[int, ...] = ()
    sell: tuple[int, ...] = ()
    cheapest: tuple[int, ...] = ()

    @classmethod
    def of(cls, plan: Plan, first: int, home: int) -> Self:
        """What the plan is for one home, by index."""
        sides = np.zeros((2, 2, len(plan.orders)), dtype=np.int64)
        for slot, orders in enumerate(plan.orders):
            own = orders.member == home
            sides[orders.side[own], :, slot] = np.column_stack([orders.wh[own], orders.limit[own]])
        columns = (plan.net[home], plan.grid[home], *sides[BUY], *sides[SELL])
        return cls(first, *(tuple(column.tolist()) for column in columns))


def plan_of(proposals: Mapping[int, Proposal], members: int, slots: int) -> Plan:
    """The plan of which these are the proposals, by home; who has none does nothing. members : how many there are"""
    net, grid = np.zeros((2, members, slots), dtype=np.int64)
    sides = np.zeros((2, 2, members, slots), dtype=np.int64)
    for home, each in proposals.items():
        net[home], grid[home] = each.net, each.grid
        sides[BUY][:, home], sides[SELL][:, home] = (each.buy, each.dearest), (each.sell, each.cheapest)
    return Plan(tuple(_orders(*sides[..., slot].swapaxes(0, 1)) for slot in range(slots)), net, (), grid)


def _orders(wh: IntArray, limit: IntArray) -> Orders:
    """The orders of one slot by member and side. wh, limit : shape (sides, members)"""
    member, side = np.nonzero(wh.T)
    return Orders(member, side, wh[side, member], limit[side, member])


@dataclass(frozen=True, eq=False)
class Agreement:
    """What homes agree from over the slots of one gate.

    stage : the first of the market day; frame : of the slots; outlook : of all homes; bounds : of the mandates
    more : other stages ahead of delivery follow
    """

    stage: ActiveStage
    frame: Frame
    outlook: Outlook
    bounds: Limits
    more: bool

    @property
    def first(self) -> int:
        """The first slot [start, unix s]."""
        return int(self.frame.starts[0])

    def plan(self) -> Plan:
        """What they agree."""
        return agree(self.stage, self.frame, self.outlook, self.bounds, more=self.more, firm=False)


def outlook_of(forecasts: Mapping[int, HomeForecast], frame: Frame, wires: GridWires | None) -> Outlook:
    """What all homes expect, by what each said; whoever said nothing needs and makes nothing, and has no battery."""
    shape = (frame.members, len(frame.starts))
    load, generation = np.zeros((2, *shape), dtype=np.int64)
    fleet, soc = Fleet.of([None] * frame.members, frame.hours), np.zeros(frame.members)
    curtails = np.zeros(frame.members, dtype=np.bool_)
    for home, said in forecasts.items():
        load[home], generation[home], curtails[home] = said.load, said.generation, said.curtails
        if said.battery:
            soc[home] = said.battery.charge
            for name in _COLUMNS:
                getattr(fleet, name)[home] = getattr(said.battery, name)
    outlook = Outlook(
        Forecast(load, generation), fleet, soc, frame.ceiling, frame.floor, frame.hours,
        feed_in=frame.feed_in, curtails=curtails,
    )  # fmt: skip
    return replace(outlook, network=wires.network, at=wires.at) if wires else outlook
