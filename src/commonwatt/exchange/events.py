"""The market day as a list of events in order of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from commonwatt.community.calendar import Slots, local_days
from commonwatt.community.model import Community
from commonwatt.simulation import world


@dataclass(frozen=True)
class Gate:
    """Gate closure [unix s] for the slots of a local day."""

    at: int
    day: Slots


@dataclass(frozen=True)
class SlotEnd:
    """End of a slot [unix s]. place : of the slot in the period."""

    at: int
    place: int


def schedule(community: Community, start: date, days: int) -> list[Gate | SlotEnd]:
    """All events of the period in order of time; a slot that ends at a gate is settled before it closes."""
    events: list[Gate | SlotEnd] = []
    for day in (start + timedelta(days=number) for number in range(days)):
        slots = local_days(day, 1, community.timezone, community.slot_seconds)
        events.append(Gate(world.gate_of(community, day), slots))
    period = local_days(start, days, community.timezone, community.slot_seconds)
    events += [SlotEnd(int(at) + period.seconds, place) for place, at in enumerate(period.starts)]
    return sorted(events, key=lambda event: (event.at, isinstance(event, Gate)))
