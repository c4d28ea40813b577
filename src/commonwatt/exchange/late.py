"""Settled slots of which readings have come that do not count yet, and when each of them is settled anew."""

from __future__ import annotations

from typing import Final

from commonwatt.meter.protocol import SlotRules

QUIET: Final = 30
"""Once nothing has come for a slot for so long, all that came before is one correction [s]."""
LONGEST: Final = 600
"""No reading waits longer for others, nor is any waited for when the slot closes within this time [s]."""
RETRY: Final = 60
"""When a slot that could not be settled anew is tried again [s]."""


class Late:
    """By slot [start, unix s], when it is due [unix s], and when at the latest, whatever comes until then."""

    def __init__(self, slots: SlotRules) -> None:
        self._slots = slots
        self._due = dict[int, tuple[int, int]]()

    def __len__(self) -> int:
        return len(self._due)

    def came(self, slot: int, now: int) -> None:
        """A reading of the slot has come at `now` [unix s]."""
        _, latest = self._due.get(slot) or (0, min(now + LONGEST, self._closes(slot) - LONGEST))
        self._due[slot] = min(now + QUIET, latest), latest

    def due(self, now: int) -> list[int]:
        """The slots that are due at `now` [unix s], in the order in which they became so; none that has closed."""
        self._due = {slot: due for slot, due in self._due.items() if now <= self._closes(slot)}
        return [slot for at, slot in sorted((at, slot) for slot, (at, _) in self._due.items()) if at <= now]

    def settled(self, slot: int) -> None:
        """All that had come for the slot counts."""
        del self._due[slot]

    def put_off(self, slot: int, now: int) -> None:
        """The slot could not be settled anew at `now` [unix s]."""
        self._due[slot] = now + RETRY, now + RETRY

    def _closes(self, slot: int) -> int:
        return slot + self._slots.seconds + self._slots.corrections
