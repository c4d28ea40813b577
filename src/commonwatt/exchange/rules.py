"""What is fixed before the first gate of a period: its events, prices, limits, wires and the stages of its market."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from commonwatt.community.calendar import Slots, local_clock, local_days
from commonwatt.community.model import Community
from commonwatt.community.tariff import SlotPrices
from commonwatt.data.prices import utility_prices
from commonwatt.exchange.checking import active_stages
from commonwatt.exchange.events import Event, schedule
from commonwatt.exchange.parties import limits
from commonwatt.exchange.wires import GridWires, wires_of
from commonwatt.market import Frame, Limits
from commonwatt.market.stage import ActiveStage


@dataclass(frozen=True, eq=False)
class Rules:
    """The rules of one community over `days` local days from `start`.

    prices : the utility's, of the period's slots
    frame : of all slots of the period; limits : of the members' mandates
    wires : None where the community names none
    ahead, after : the stages that clear ahead of delivery and after it, each in the order of the day
    """

    community: Community
    start: date
    days: int
    period: Slots
    events: tuple[Event, ...]
    prices: SlotPrices
    frame: Frame
    limits: Limits
    wires: GridWires | None
    ahead: tuple[ActiveStage, ...]
    after: tuple[ActiveStage, ...]

    @classmethod
    def of(cls, community: Community, folder: Path, start: date, days: int) -> Rules:
        """The rules that community.toml and the files beside it, in `folder`, give.

        Raises DataError when a price file does not cover the period, MarketError when a mechanism cannot be used.
        """
        period = local_days(start, days, community.timezone, community.slot_seconds)
        prices = utility_prices(
            community.tariff, folder, period, community.timezone, community.currency, community.unit
        )
        ahead, after = active_stages(community, folder)
        minutes = local_clock(period, community.timezone).astype("datetime64[m]").astype(np.int64) % 1440
        members = len(community.members)
        return cls(
            community,
            start,
            days,
            period,
            schedule(community, start, days),
            prices,
            Frame(period.starts, minutes, period.hours, members, prices.ceiling, prices.floor, community.unit),
            limits(community, prices),
            wires_of(community),
            tuple(ahead),
            tuple(after),
        )

    @property
    def members(self) -> int:
        """Number of members."""
        return len(self.community.members)

    def frame_of(self, slots: Slots) -> Frame:
        """The frame of some of the period's slots."""
        first = (slots.start - self.period.start) // self.period.seconds
        return self.frame.part(slice(first, first + slots.count))
