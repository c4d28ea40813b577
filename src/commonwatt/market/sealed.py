"""Sealed bids in two phases, without I/O: commit to a hash, then reveal what is in it.

    Committing ── close ──► Revealing ── close ──► Opened

The coalition announces its energy and the two deadlines; buyers send the hash of their bid with a random nonce, and
after the first deadline bid and nonce. Nobody can know another's bid in time to answer it. Who commits and does not
reveal forfeits the deposit: otherwise a buyer could commit twice and reveal what suits it better.

A driver brings messages and the time, from a contract's events or a server, and gets the bids as `Orders` in order of
commitment, which is the tie rule of `coalition`. Each refusal is a RecordError that says why.
Commit and reveal is from knowledge of the field; the review that describes the design says only that a buyer does not
know the others' decisions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from commonwatt.errors import RecordError
from commonwatt.market.interface import Orders
from commonwatt.proof import keccak
from commonwatt.records import BUY
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE

NONCE_BYTES = 32


@dataclass(frozen=True)
class Announcement:
    """What the coalition offers before the bids.

    slot : start [unix s]; energy : [Wh]; deposit : of each buyer [unit]
    commit_until, reveal_until : the phases end then [unix s]
    """

    slot: int
    energy: int
    deposit: int
    commit_until: int
    reveal_until: int


@dataclass(frozen=True)
class Bid:
    """What a buyer seals: energy [Wh] and the most it pays [unit/kWh]."""

    wh: int
    limit: int


def seal(announcement: Announcement, member: int, bid: Bid, nonce: bytes) -> bytes:
    """Hash that a buyer commits to; keccak-256 of five words, as a contract computes it with abi.encode.

    Slot and member are part of it, so that a copied commitment cannot be revealed by anyone else or another time.
    """
    words = (announcement.slot, member, bid.wh, bid.limit)
    return keccak(b"".join(word.to_bytes(32, "big") for word in words) + nonce)


@dataclass
class Committing:
    """First phase: one hash per buyer, in order of arrival."""

    announcement: Announcement
    seals: dict[int, bytes] = field(default_factory=dict)

    def commit(self, member: int, sealed: bytes, now: int) -> None:
        """Take a buyer's hash. Raises RecordError when it is late, the buyer's second, or not a hash."""
        if now >= self.announcement.commit_until:
            raise RecordError(f"member {member} commits after the end of the phase")
        if member in self.seals:
            raise RecordError(f"member {member} has committed before")
        if len(sealed) != NONCE_BYTES:
            raise RecordError(f"member {member} commits to {len(sealed)} bytes, not to a hash of 32")
        self.seals[member] = sealed

    def close(self, now: int) -> Revealing:
        """The second phase. Raises RecordError before the deadline."""
        if now < self.announcement.commit_until:
            raise RecordError("the bids are still being committed")
        return Revealing(self.announcement, dict(self.seals))


@dataclass
class Revealing:
    """Second phase: each buyer opens its hash."""

    announcement: Announcement
    seals: dict[int, bytes]
    bids: dict[int, Bid] = field(default_factory=dict)

    def reveal(self, member: int, bid: Bid, nonce: bytes, now: int) -> None:
        """Take a bid. Raises RecordError when it is late, out of bounds, or not what was committed to."""
        if now >= self.announcement.reveal_until:
            raise RecordError(f"member {member} reveals after the end of the phase")
        if member not in self.seals:
            raise RecordError(f"member {member} has not committed to a bid")
        if not (0 < bid.wh <= MAX_ORDER_WH and 0 <= bid.limit <= MAX_PRICE and len(nonce) == NONCE_BYTES):
            raise RecordError(f"member {member} reveals a bid out of bounds")
        if seal(self.announcement, member, bid, nonce) != self.seals[member]:
            raise RecordError(f"member {member} reveals another bid than it committed to")
        self.bids[member] = bid

    def close(self, now: int) -> Opened:
        """The end. Raises RecordError before the deadline."""
        if now < self.announcement.reveal_until:
            raise RecordError("the bids are still being revealed")
        rows = [
            (member, BUY, self.bids[member].wh, self.bids[member].limit) for member in self.seals if member in self.bids
        ]
        silent = tuple(member for member in self.seals if member not in self.bids)
        return Opened(Orders(*np.array(rows, dtype=np.int64).reshape(-1, 4).T), silent, self.announcement.deposit)


@dataclass(frozen=True)
class Opened:
    """The revealed bids in order of commitment; who stayed silent and forfeits the deposit [unit]."""

    bids: Orders
    silent: tuple[int, ...]
    deposit: int

    def with_offers(self, offers: Orders) -> Orders:
        """One book of the coalition's offers and the bids, for the mechanism to clear."""
        pairs = zip(
            (offers.member, offers.side, offers.wh, offers.limit),
            (self.bids.member, self.bids.side, self.bids.wh, self.bids.limit),
            strict=True,
        )
        return Orders(*(np.concatenate(pair) for pair in pairs))
