"""A day of a synthetic village as every mechanism takes it: the same homes as orders, positions or a neighbourhood."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np

from commonwatt.community.synthetic import village
from commonwatt.exchange import store as tables
from commonwatt.exchange.checking import load
from commonwatt.exchange.result import Result
from commonwatt.market import Events, Frame, Mechanism, Neighbourhood, Orders, Positions, as_events
from commonwatt.market.households import Households
from commonwatt.study.compare import BASELINE, ran
from commonwatt.units import MICRO, WH_PER_KWH

START: Final = date(2026, 6, 15)
SLOT_SECONDS: Final = 3600


@dataclass(frozen=True)
class Day:
    """orders, positions : one per slot; the orders are the agents' own, from their forecasts."""

    frame: Frame
    orders: tuple[Orders, ...]
    positions: tuple[Positions, ...]
    neighbourhood: Neighbourhood

    @classmethod
    def of(cls, homes: int) -> Day:
        """The day of a village with so many homes, in hours."""
        with tempfile.TemporaryDirectory() as name:
            file = Path(name) / "village.toml"
            file.write_text(village(homes), encoding="utf-8")
            community = replace(load(file), slot_seconds=SLOT_SECONDS)
            with ran(community, file.parent, START, 1, BASELINE) as result:
                return cls(result.simulation.frame, _orders(result), _positions(result), _neighbourhood(result))

    def given(self, mechanism: Mechanism[Any]) -> tuple[Any, ...] | None:
        """The day's input to a mechanism; None when it needs something that a village without wires does not have."""
        if mechanism.needs is Orders:
            return self.orders
        if mechanism.needs is Events:
            return tuple(map(as_events, self.orders))
        if mechanism.needs is Positions:
            return self.positions
        return (self.neighbourhood,) if mechanism.needs is Neighbourhood else None

    @property
    def wishes(self) -> int:
        """How many orders the day has."""
        return sum(len(orders.wh) for orders in self.orders)


def _orders(result: Result) -> tuple[Orders, ...]:
    rows = result.simulation.store.columns(tables.orders, ("slot", "member", "side", "wh", "limit"))
    by_slot = {slot: [row[1:] for row in group] for slot, group in groupby(rows, key=lambda row: row[0])}
    return tuple(
        Orders(*np.array(by_slot.get(slot, []), dtype=np.int64).reshape(-1, 4).T)
        for slot in result.period.starts.tolist()
    )


def _positions(result: Result) -> tuple[Positions, ...]:
    bounds = result.simulation.limits
    return tuple(Positions(net, bounds.max_buy, bounds.min_sell) for net in result.arrays["net"].T)


def _neighbourhood(result: Result) -> Neighbourhood:
    a, prices, fleet = result.arrays, result.prices_micro, result.simulation.fleet
    kw, hours = {name: a[name] / (WH_PER_KWH * result.period.hours) for name in ("load", "generation")}, WH_PER_KWH
    battery = {name: getattr(fleet, name) / hours for name in ("low", "start", "high", "power")}
    efficiency = {"charging": fleet.charging, "discharging": fleet.discharging}
    money = {"retail": prices.ceiling / MICRO, "feed_in": prices.floor / MICRO}
    return Neighbourhood(
        Households.of(kw["load"], pv=kw["generation"], capacity=battery["high"], **battery, **efficiency, **money)
    )
