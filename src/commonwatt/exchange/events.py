"""The market day as events in order of time: gate closures and ends of slots, each known by its slots."""

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
_TO_SEND: Final = 5
"""How long a commitment may be on its way to a block [s]."""


@dataclass(frozen=True)
class GateClosure:
    """Gate closure [unix s] for some slots: those of a local day, or a single one where each has a gate of its own.

    A driver that was away brings it later than it was due.
    """

    at: int
    slots: Slots

    @property
    def ahead(self) -> Slots:
        """Those slots that can still be committed before they begin."""
        slots = self.slots
        missed = -(-(self.at + TO_COMMIT - slots.start) // slots.seconds)
        missed = min(max(missed, 0), slots.count)
        return Slots(slots.start + missed * slots.seconds, slots.count - missed, slots.seconds)

    @property
    def missed(self) -> Slots:
        """The others: nothing can be committed for them, so nothing posted, and everybody meets the utility."""
        return Slots(self.slots.start, self.slots.count - self.ahead.count, self.slots.seconds)


@dataclass(frozen=True)
class SlotEnd:
    """End of a slot [unix s]. slot : its start [unix s]"""

    at: int
    slot: int


@dataclass(frozen=True)
class Correction:
    """A slot [start, unix s] is settled anew at this time [unix s], with readings that came after its end.

    It is no event of the market day: when readings come late nobody can know before.
    """

    at: int
    slot: int


Event = GateClosure | SlotEnd


def schedule(community: Community, start: date, days: int) -> tuple[Event, ...]:
    """All events of the period in order of time; a slot that ends at a gate is settled before it closes."""
    period = local_days(start, days, community.timezone, community.slot_seconds)
    ends = [SlotEnd(slot + period.seconds, slot) for slot in period.starts.tolist()]
    gate, gates = gate_time(community), list[GateClosure]()
    if isinstance(gate, int):
        gates = [GateClosure(slot - gate, Slots(slot, 1, period.seconds)) for slot in period.starts.tolist()]
    else:
        for day in (start + timedelta(days=number) for number in range(days)):
            slots = local_days(day, 1, community.timezone, community.slot_seconds)
            gates.append(GateClosure(gate_of(community, day), slots))
    return tuple(sorted([*gates, *ends], key=in_order))


def in_order(event: Event) -> tuple[int, bool]:
    """What events are sorted by: time, and of one time a gate comes last."""
    return event.at, isinstance(event, GateClosure)


def gate_time(community: Community) -> time | int:
    """When orders close, the same for all stages: a local time on the day before, or how long before each slot [s]."""
    return next((stage.gate for stage in community.market if stage.gate is not None), DEFAULT_GATE)


def gate_of(community: Community, day: date) -> int:
    """The first gate closure for a slot of the local `day` [unix s].

    The day before is the one that was; where a calendar leaves one out, that is two dates earlier.
    """
    midnight, gate = local_midnight(day, community.timezone), gate_time(community)
    if isinstance(gate, int):
        return midnight - gate
    zone = ZoneInfo(community.timezone)
    before = datetime.fromtimestamp(midnight - 1, zone).date()
    return int(datetime.combine(before, gate, zone).timestamp())


def not_begun(slots: Slots, now: int) -> Slots:
    """Those of the slots that begin after the next block, at `now` [unix s] or a little later."""
    begun = min(max(-(-(now + _TO_SEND + 1 - slots.start) // slots.seconds), 0), slots.count)
    return Slots(slots.start + begun * slots.seconds, slots.count - begun, slots.seconds)
