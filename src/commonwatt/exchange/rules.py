"""What is fixed before the first gate of a period: its events, prices, limits, wires and the stages of its market.

A community may go by another charter from some midnight on: then each slot has the rules of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from commonwatt.accounts.plants import Plant, plants_of
from commonwatt.accounts.registers import Registers
from commonwatt.community.calendar import Slots, local_clock, local_days, local_midnight
from commonwatt.community.charter import unchangeable
from commonwatt.community.model import Community, Member, Stage
from commonwatt.community.tariff import SlotPrices
from commonwatt.data.prices import utility_prices
from commonwatt.errors import ConfigError, DataError, Finding
from commonwatt.exchange.checking import active_stages
from commonwatt.exchange.events import Event, in_order, schedule
from commonwatt.exchange.parties import limits
from commonwatt.exchange.wires import GridWires, wires_of
from commonwatt.market import Frame, Limits
from commonwatt.market.stage import ActiveStage


@dataclass(frozen=True)
class Then:
    """A later charter of a period. day : the first local day for which it holds; folder : of its file"""

    day: date
    community: Community
    folder: Path


@dataclass(frozen=True, eq=False)
class Charter:
    """One file of the community, and the stages of its market, each in the order of the day.

    since : the first slot for which it holds [unix s]; 0 = from the beginning
    ahead, after : the stages that clear ahead of delivery and after it; no two charters share a number
    """

    community: Community
    since: int
    ahead: tuple[ActiveStage, ...]
    after: tuple[ActiveStage, ...]

    @property
    def horizon(self) -> ActiveStage | None:
        """The first stage, where homes agree over the whole horizon before they order."""
        return self.ahead[0] if self.ahead and self.ahead[0].over_horizon else None


@dataclass(frozen=True, eq=False)
class Part:
    """Consecutive slots under one charter. places : of the slots in the period"""

    charter: Charter
    slots: Slots
    places: slice


@dataclass(frozen=True, eq=False)
class Rules:
    """The rules of one community over `days` local days from `start`.

    community : as its first charter has it; members, money and ledger are the same in all
    prices : the utility's, of the period's slots
    frame : of all slots of the period; limits : of the members' mandates
    wires : None where the community names none
    charters : by the time from which they hold; one, unless the community goes by others later
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
    charters: tuple[Charter, ...]

    @classmethod
    def of(cls, community: Community, folder: Path, start: date, days: int, then: Sequence[Then] = ()) -> Rules:
        """The rules that community.toml and the files beside it, in `folder`, give.

        then : later charters, by day; each may change prices and market alone
        Raises ConfigError when a later charter cannot be one, DataError when a price file does not cover the period or
        the utility always pays more than it asks, MarketError when a mechanism cannot be used.
        """
        period = local_days(start, days, community.timezone, community.slot_seconds)
        files = (Then(start, community, folder), *then)
        if findings := _impossible(files, days):
            raise ConfigError("The request", findings)
        lengths = [(after.day - each.day).days for each, after in pairwise(files)]
        lengths.append(days - sum(lengths))
        zone, prices, events = community.timezone, list[SlotPrices](), list[Event]()
        for each, length in zip(files, lengths, strict=True):
            slots = local_days(each.day, length, zone, community.slot_seconds)
            tariff = each.community.tariff
            prices.append(utility_prices(tariff, each.folder, slots, zone, community.currency, community.unit))
            events += schedule(each.community, each.day, length)
        joined = SlotPrices.joined(prices)
        if (joined.gross < joined.feed_in).all():
            raise DataError(
                f"The utility's prices: in none of {period.count} slots from {start} on does a kWh from the grid cost "
                "as much as one that is fed in earns; retail and feed_in may stand for each other."
            )
        minutes = local_clock(period, zone).astype("datetime64[m]").astype(np.int64) % 1440
        members = len(community.members)
        return cls(
            community,
            start,
            days,
            period,
            tuple(sorted(events, key=in_order)),
            joined,
            Frame(
                period.starts,
                minutes,
                period.hours,
                members,
                joined.ceiling,
                joined.floor,
                community.unit,
                joined.feed_in,
            ),
            limits(community, joined),
            wires_of(community),
            _charters(files),
        )

    @property
    def last(self) -> date:
        """The last local day."""
        return self.start + timedelta(days=self.days - 1)

    @property
    def members(self) -> int:
        """Number of members."""
        return len(self.community.members)

    def with_members(self, members: tuple[Member, ...]) -> Rules:
        """The same rules for all who are members by now, by number."""
        community = replace(self.community, members=members)
        return replace(self, community=community, wires=wires_of(community))

    @cached_property
    def plants(self) -> tuple[Plant, ...]:
        """The plants that belong to other members."""
        return plants_of(self.community.members)

    @cached_property
    def registers(self) -> Registers | None:
        """Where registers are shared, those of all members; else None."""
        return Registers.of(self.community.members) if self.community.by == "registers" else None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The period by charter, in the order of time."""
        return self.parts_of(self.period)

    def parts_of(self, period: Slots) -> tuple[Part, ...]:
        """Some of the period's slots by charter, in the order of time; places are among these."""
        found = list[Part]()
        ends = [*(each.since for each in self.charters[1:]), period.end]
        for charter, end in zip(self.charters, ends, strict=True):
            first = max(charter.since - period.start, 0) // period.seconds
            last = max(min(end, period.end) - period.start, 0) // period.seconds
            if first < last:
                slots = Slots(period.start + first * period.seconds, last - first, period.seconds)
                found.append(Part(charter, slots, slice(first, last)))
        return tuple(found)

    @property
    def market(self) -> tuple[Stage, ...]:
        """The stages of all charters by their numbers."""
        return tuple(stage for charter in self.charters for stage in charter.community.market)

    @property
    def ahead(self) -> tuple[ActiveStage, ...]:
        """The stages ahead of delivery, of all charters."""
        return tuple(stage for charter in self.charters for stage in charter.ahead)

    @property
    def after(self) -> tuple[ActiveStage, ...]:
        """The stages after delivery, of all charters."""
        return tuple(stage for charter in self.charters for stage in charter.after)

    def charter_at(self, slot: int) -> Charter:
        """The charter that holds for a slot [unix s]."""
        return next(charter for charter in reversed(self.charters) if charter.since <= slot)

    def place(self, slot: int) -> int:
        """Place in the period of the slot that begins then [unix s]."""
        return (slot - self.period.start) // self.period.seconds

    def frame_of(self, slots: Slots) -> Frame:
        """The frame of some of the period's slots."""
        first = self.place(slots.start)
        return self.frame.part(slice(first, first + slots.count))


def _impossible(files: Sequence[Then], days: int) -> list[Finding]:
    """What speaks against the later ones of these files as charters of a period of `days` from the day of the first."""
    first, findings = files[0], list[Finding]()
    for before, each in pairwise(files):
        where = f"then {each.day}"
        if not before.day < each.day:
            findings.append(Finding(where, f"must come after {before.day}"))
        elif (each.day - first.day).days >= days:
            findings.append(Finding(where, "comes after the last day"))
        if fixed := unchangeable(first.community, each.community):
            findings.append(Finding(where, f"changes {', '.join(fixed)}, which no vote can change"))
        elif each.community.digest == before.community.digest:
            findings.append(Finding(where, "changes nothing"))
    return findings


def _charters(files: Sequence[Then]) -> tuple[Charter, ...]:
    found, number = list[Charter](), 0
    for each in files:
        stages = active_stages(each.community, each.folder)
        ahead, after = ([replace(stage, number=number + stage.number) for stage in side] for side in stages)
        since = local_midnight(each.day, each.community.timezone) if found else 0
        found.append(Charter(each.community, since, tuple(ahead), tuple(after)))
        number += len(each.community.market)
    return tuple(found)
