"""What a new charter of a community may change: prices, the market and rewards.

It is a file like the one that holds. Who belongs to the community, what its money counts and where it is settled stay.
"""

from __future__ import annotations

from typing import Final

from commonwatt.community.model import Community

_FIXED: Final = {
    "name": "the name",
    "currency": "the currency",
    "unit": "the unit of money",
    "timezone": "the time zone",
    "slot_seconds": "the slot length",
    "members": "the members",
    "by": "what members share, net energy or registers",
    "profiles": "the meter files",
    "grid": "the grid",
    "ledger": "the ledger",
    "seed": "the seed",
    "readings": "the simulation",
    "deadline": "the simulation's deadline",
}


def unchangeable(old: Community, new: Community) -> tuple[str, ...]:
    """What `new` has otherwise than `old`, and no vote can change, in words."""
    return tuple(word for name, word in _FIXED.items() if getattr(old, name) != getattr(new, name))
