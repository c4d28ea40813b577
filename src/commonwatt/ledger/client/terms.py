"""Where a community's contracts are, what is fixed when they are created, and who is registered."""

from __future__ import annotations

from dataclasses import dataclass

from commonwatt.ledger.node import ZERO_ADDRESS


@dataclass(frozen=True)
class Addresses:
    """Where a community's contracts are, 20 bytes each; `token` is zero for an ether community."""

    community: bytes
    settlement: bytes
    token: bytes = ZERO_ADDRESS


@dataclass(frozen=True)
class Terms:
    """What is fixed when Settlement is created.

    lane_unit : base units of the asset in one lane unit (a token of six decimals: 1; ether: 10^12 wei)
    slot_seconds : length of a slot [s]; slots start slot_offset [s] after multiples of it
    window : time for objections to a post [s]
    grace : time to finalise after the window [s]
    answer_time : time to answer what a member demands within the window [s]; not zero unless the window is
    bond : what the sender of a post stakes on it until it is final or gone [lane unit]
    corrections : how long after its end a slot can be corrected [s]
    """

    lane_unit: int
    slot_seconds: int
    window: int
    grace: int
    slot_offset: int = 0
    answer_time: int = 1
    bond: int = 0
    corrections: int = 7 * 86_400


@dataclass(frozen=True)
class Enrolment:
    """A member to be registered. `role` is the number in Community.Role; a zero `meter` means none yet."""

    account: bytes
    role: int
    meter: bytes = ZERO_ADDRESS


@dataclass(frozen=True)
class Posting:
    """A posted revision of a slot.

    digest : EIP-712 digest of its Post
    posted_at : time of the post [unix s]
    final : whether it is applied
    held_until : until when a dispute keeps it from being applied [unix s]; 0 = none does
    """

    digest: bytes
    posted_at: int
    final: bool
    held_until: int = 0
