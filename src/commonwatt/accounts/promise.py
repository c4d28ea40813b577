"""What a member is shown at the gate of a trade that was committed, so that it can tell when another one is posted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Promise:
    """A trade that a member was shown at the gate: its struct hash, and its siblings to the root of all committed."""

    trade: bytes
    siblings: tuple[bytes, ...]
