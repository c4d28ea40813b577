"""A day of a synthetic village as every mechanism takes it: the same homes as orders, positions or a neighbourhood."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np

from commonwatt.agents.planning import Outlook, neighbourhood
from commonwatt.community.synthetic import village
from commonwatt.exchange import tables
from commonwatt.exchange.checking import load
from commonwatt.forecast.expectation import Forecast
from commonwatt.market import Events, Frame, Mechanism, Neighbourhood, Orders, Positions, as_events
from commonwatt.market.schedule.input import Dispatch
from commonwatt.simulation.feeders import feeder_named
from commonwatt.simulation.result import Result
from commonwatt.study.compare.comparison import BASELINE, ran

START: Final = date(2026, 6, 15)
SLOT_SECONDS: Final = 3600


@dataclass(frozen=True)
class Day:
    """orders, positions : one per slot; the orders are the agents' own, from their forecasts.

    outlook : what homes can do, for mechanisms over the whole day; they are told the day as it comes
    """

    frame: Frame
    orders: tuple[Orders, ...]
    positions: tuple[Positions, ...]
    outlook: Outlook

    @classmethod
    def of(cls, homes: int) -> Day:
        """The day of a village with so many homes, in hours."""
        with tempfile.TemporaryDirectory() as name:
            file = Path(name) / "village.toml"
            file.write_text(village(homes), encoding="utf-8")
            community = replace(load(file), slot_seconds=SLOT_SECONDS)
            with ran(community, file.parent, START, 1, BASELINE) as result:
                return cls(result.rules.frame, _orders(result), _positions(result), _outlook(result))

    def given(self, mechanism: Mechanism[Any]) -> tuple[Any, ...] | None:
        """The day's input to a mechanism; None when it needs something else than these."""
        if mechanism.needs is Orders:
            return self.orders
        if mechanism.needs is Events:
            return tuple(map(as_events, self.orders))
        if mechanism.needs is Positions:
            return self.positions
        if mechanism.needs is Neighbourhood:
            return (self.neighbourhood,)
        return (self.dispatch,) if mechanism.needs is Dispatch else None

    @property
    def neighbourhood(self) -> Neighbourhood:
        """The homes as `bilateral` takes them."""
        return neighbourhood(self.outlook)

    @property
    def dispatch(self) -> Dispatch:
        """The homes as `schedule` takes them, one after the other at the nodes of the IEEE feeder of 33 buses."""
        feeder, node = feeder_named("ieee33")
        homes = self.neighbourhood.homes
        return Dispatch.of(feeder, node[1 + np.arange(homes.shape[0]) % (len(node) - 1)], homes)

    @property
    def wishes(self) -> int:
        """How many orders the day has."""
        return sum(len(orders.wh) for orders in self.orders)


def _orders(result: Result) -> tuple[Orders, ...]:
    rows = result.books.store.columns(tables.orders, ("slot", "member", "side", "wh", "limit"))
    by_slot = {slot: [row[1:] for row in group] for slot, group in groupby(rows, key=lambda row: row[0])}
    return tuple(
        Orders(*np.array(by_slot.get(slot, []), dtype=np.int64).reshape(-1, 4).T)
        for slot in result.period.starts.tolist()
    )


def _positions(result: Result) -> tuple[Positions, ...]:
    bounds = result.rules.limits
    return tuple(Positions(net, bounds.max_buy, bounds.min_sell) for net in result.arrays["net"].T)


def _outlook(result: Result) -> Outlook:
    a, prices, homes = result.arrays, result.prices, result.simulated
    day, fleet = Forecast(a["load"], a["generation"]), homes.fleet
    return Outlook(
        day,
        fleet,
        fleet.start,
        prices.ceiling,
        prices.floor,
        result.period.hours,
        feed_in=prices.feed_in,
        curtails=homes.curtails,
    )
