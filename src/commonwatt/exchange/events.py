"""The market day as a list of events in order of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from commonwatt.community.calendar import Slots, local_days, local_midnight
from commonwatt.community.model import Community

DEFAULT_GATE: Final = time(12)
TO_COMMIT: Final = 60
"""How long before a slot its gate has to close [s]: its commitment must be in a block before it begins."""


@dataclass(frozen=True)
class GateClosure:
    """Gate closure [unix s] for the slots of a local day. A driver that was away brings it later than it was due."""

    at: int
    day: Slots

    @property
    def ahead(self) -> Slots:
        """Those slots of the day that can still be committed before they begin."""
        day = self.day
        missed = -(-(self.at + TO_COMMIT - day.start) // day.seconds)
        missed = min(max(missed, 0), day.count)
        return Slots(day.start + missed * day.seconds, day.count - missed, day.seconds)

    @property
    def missed(self) -> Slots:
        """The others: nothing can be committed for them, so nothing posted, and everybody meets the utility."""
        return Slots(self.day.start, self.day.count - self.ahead.count, self.day.seconds)


@dataclass(frozen=True)
class SlotEnd:
    """End of a slot [unix s]. place : of the slot in the period."""

    at: int
    place: int


@dataclass(frozen=True)
class Correction:
    """A slot is settled anew at this time [unix s], with readings that came after its end. place : as of SlotEnd

    It is no event of the market day: when readings come late nobody can know before.
    """

    at: int
    place: int


Event = GateClosure | SlotEnd


def schedule(community: Community, start: date, days: int) -> tuple[Event, ...]:
    """All events of the period in order of time; a slot that ends at a gate is settled before it closes."""
    events: list[Event] = []
    for day in (start + timedelta(days=number) for number in range(days)):
        slots = local_days(day, 1, community.timezone, community.slot_seconds)
        events.append(GateClosure(gate_of(community, day), slots))
    period = local_days(start, days, community.timezone, community.slot_seconds)
    events += [SlotEnd(int(at) + period.seconds, place) for place, at in enumerate(period.starts)]
    return tuple(sorted(events, key=in_order))


def in_order(event: Event) -> tuple[int, bool]:
    """What events are sorted by: time, and of one time a gate comes last."""
    return event.at, isinstance(event, GateClosure)


def gate_of(community: Community, day: date) -> int:
    """Gate closure for the local `day`: on the day before, at the first ahead stage's gate [unix s].

    The day before is the one that was; where a calendar leaves one out, that is two dates earlier.
    """
    zone = ZoneInfo(community.timezone)
    before = datetime.fromtimestamp(local_midnight(day, community.timezone) - 1, zone).date()
    gate = next((stage.gate for stage in community.market if stage.gate is not None), DEFAULT_GATE)
    return int(datetime.combine(before, gate, zone).timestamp())
