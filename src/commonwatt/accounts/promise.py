"""What a member is shown at the gate of what was committed, so that it can tell when something else is posted."""

from __future__ import annotations

from dataclasses import dataclass

from commonwatt.records import Order


@dataclass(frozen=True)
class Promise:
    """A trade that a member was shown at the gate: its struct hash, and its siblings to the root of all committed."""

    trade: bytes
    siblings: tuple[bytes, ...]


@dataclass(frozen=True)
class Placed:
    """An order of the member's own, its place among the committed orders of the slot, and siblings to their root."""

    order: Order
    position: int
    siblings: tuple[bytes, ...]
