"""Readings of one meter, what the exchange says to them, and messages of them."""

from __future__ import annotations

from collections.abc import Sequence

from commonwatt.meter import SimulatedMeter
from commonwatt.meter.protocol import (
    InService,
    Judgement,
    Known,
    SlotRules,
    judge,
)
from commonwatt.proof import Domain, Key
from commonwatt.records import Reading, Signed

DOMAIN = Domain(9, b"\x09" * 20)
METER = SimulatedMeter(Key.derive(b"tests", "meter"), DOMAIN)
OTHER = SimulatedMeter(Key.derive(b"tests", "another meter"), DOMAIN)
ADDRESS = METER.key.address
SLOT = 1_781_481_600
RULES = SlotRules()
ENROLLED = InService(ADDRESS, 0)


def judged(
    signed: Signed[Reading],
    known: Sequence[Signed[Reading]] = (),
    now: int = SLOT + 900,
    service: InService | None = ENROLLED,
    rules: SlotRules = RULES,
) -> Judgement:
    return judge(DOMAIN, [Known(each.record.sequence, each.hash) for each in known], signed, now, service, rules)


def message(*numbers: int) -> list[Signed[Reading]]:
    return [METER.read(SLOT + 900 * number, 5, 0, number) for number in numbers]


TAKEN, SAME = Judgement("stored"), Judgement("duplicate")
NEVER = Judgement("refused", "No.")
LATER = Judgement("refused", "Not yet.", again=True)


def numbers(readings: Sequence[Signed[Reading]]) -> list[int]:
    return [each.record.sequence for each in readings]
