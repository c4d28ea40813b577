"""Samples of a meter's registers, around the start of a slot, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from commonwatt.meter.slots import (
    Made,
    Rules,
    State,
    advance,
)

SLOT = 1_781_481_600
"""2026-06-15 00:00 UTC, where a slot begins."""
MS = SLOT * 1000
RULES = Rules(most_w=40_000)
ALONE = replace(RULES, registers=("import",))
EVER = MS + 10**12


@dataclass(frozen=True)
class Shown:
    """A sample at `at` ms after the slot's start."""

    at: int
    import_mwh: Any = None
    export_mwh: Any = None


def shown(second: float, import_mwh: Any = None, export_mwh: Any = None) -> Shown:
    """A sample so many seconds after the slot's start."""
    return Shown(MS + round(second * 1000), import_mwh, export_mwh)


def made(samples: Sequence[Shown], rules: Rules = RULES, now: int = EVER) -> Made:
    return advance(State.of(rules), samples, rules, now)[1]


def minutely(first: int, last: int, start: int = 10**6, watts: int = 3000) -> list[Shown]:
    """Samples of a steady import, one a minute from minute `first` to minute `last`; nothing is exported."""
    return [
        shown(60 * minute, start + watts * 1000 // 60 * (minute - first), 7000) for minute in range(first, last + 1)
    ]


def least(found: Made) -> int:
    """The least energy that anything has."""
    slots = [min(each.wh_in, each.wh_out) for each in found.slots]
    return min([*slots, *(min(each.wh_in, each.wh_out) for each in found.unassigned)], default=0)


def reasons(found: Made) -> list[tuple[str, object, str]]:
    return [(each.register, each.value, each.reason) for each in found.quarantined]
