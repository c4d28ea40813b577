"""Readings that were refused: what operators look at when a meter's do not count."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from commonwatt.meter.protocol import Judgement
from commonwatt.records import Reading, Signed

_LAST: Final = 20


@dataclass(frozen=True)
class Refused:
    """A reading that its meter signed and that was refused at `at` [unix s]; why : one sentence"""

    slot: int
    sequence: int
    at: int
    why: str


@dataclass
class OfMeter:
    """What was refused of one meter.

    count : of readings that it signed; last : the last of them, the newest last
    forged : how many came in its name that it did not sign; anybody can send such
    """

    count: int = 0
    forged: int = 0
    last: deque[Refused] = field(default_factory=lambda: deque(maxlen=_LAST))


class Refusals:
    """What was refused since the start, in memory.

    meters : by address; of those alone that are or were enrolled, as anybody can make up others
    strangers : how many readings of other meters came
    """

    def __init__(self) -> None:
        self.meters: dict[bytes, OfMeter] = {}
        self.strangers = 0

    def note(self, signed: Signed[Reading], judged: Judgement, now: int, *, enrolled: bool) -> None:
        """Remember that a reading was refused at `now` [unix s]."""
        if not enrolled:
            self.strangers += 1
            return
        own = self.meters.setdefault(signed.record.meter, OfMeter())
        if judged.genuine:
            own.count += 1
            own.last.append(Refused(signed.record.slot, signed.record.sequence, now, judged.why))
        else:
            own.forged += 1
