"""A living exchange whose members have been there for nine days, and whose box has agents for them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asking_cases import HOUR, Doors

from commonwatt.community.wording import mandate_text
from commonwatt.exchange import founding
from commonwatt.meter.protocol import STORED
from commonwatt.proof import sign
from commonwatt.records import Mandate, Reading, Signed
from commonwatt.service.hosting import Hosting

DAY = 86_400
NET = (700, -900, 400, -1_200, 300, 650, -250, 800)
"""What each home counts in the slots of a day that are traded here, by number of the slot [Wh]."""


class Hosts(Doors):
    """As `Doors`, an hour before the gate; homes have reported nothing yet."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(founding, "_HEAD_START", 9 * DAY)
            super().__init__(folder, **settings)
        gate = self.exchange.next_gate
        assert gate
        self.gate = gate.at
        self.now = self.gate - HOUR

    def open(self) -> None:
        """See `Visited`."""
        super().open()
        self.hosting = Hosting(self.running, self.hosted)

    def last(self, count: int) -> list[int]:
        """The last slots that are over [start, unix s], in the order of time."""
        return [int(self.now) - HOUR * before for before in range(count, 0, -1)]

    def report(self, home: int, missing: Collection[int] = ()) -> None:
        """A home's meter brings what it counted in each hour of eight days, as it comes.

        missing : slots [start, unix s] that it never reports
        """
        meter = self.village.homes.meters[home]
        for number, slot in enumerate(self.last(8 * 24), 1):
            if slot not in missing:
                net = NET[(slot - self.starts[0]) // HOUR % 24 % len(NET)] + home
                signed: Signed[Reading] = meter.read(slot, max(net, 0), max(-net, 0), number)
                (judged,) = self.live.readings([signed], slot + HOUR)
                assert judged.status == STORED, judged

    def mandate(self, home: int, agent: bytes, **changes: Any) -> Signed[Mandate]:
        """The next mandate of a home, which names an agent [address]."""
        before = self.live.roster.at(self.starts[-1]).mandates[home].record
        record = replace(before, agent=agent, nonce=before.nonce + 1, **changes)
        community = self.exchange.rules.community
        words = community.currency, community.timezone, community.slot_seconds, community.unit
        return sign(self.exchange.domain, replace(record, text=mandate_text(record, *words)), self.members[home])
