"""What a node knows of its peers, and when it has had enough of one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from commonwatt.ledger.network.consensus.interface import Header
from commonwatt.ledger.network.messages import GetBlocks, Hello, Message, Status, Transactions

_FAILURES = 3
_PACE = 1
"""Seconds of waiting that each block that becomes the head is worth."""
_SPARE = 3
"""Answers that may be waited for as long as possible before a block becomes the head."""


@dataclass(frozen=True)
class Patience:
    """How much a node bears.

    burst, rate : messages that a peer may send at once, and per second thereafter; each KiB counts as one more, or
        each signature to be checked where that is more
    served, service : blocks that a peer gets at once, and per second thereafter; each KiB counts as one more
    ban : seconds for which a peer that broke a rule is not listened to
    answer : seconds in which a request is answered; twice as many after each failure, since a slow peer may not lie
    silence : seconds after which what a peer said of its chain is no longer believed
    """

    burst: int = 4000
    rate: int = 500
    served: int = 4000
    service: int = 2000
    ban: int = 600
    answer: int = 10
    silence: int = 60


@dataclass
class Allowance:
    """So much at once, and `rate` per second thereafter."""

    most: float
    rate: float
    at: int
    left: float = 0.0

    def __post_init__(self) -> None:
        self.left = self.most

    def have(self, now: int) -> float:
        """What is left."""
        self.left = min(self.most, self.left + max(0, now - self.at) * self.rate)
        self.at = now
        return self.left

    def spend(self, cost: float, now: int) -> bool:
        """Take something away; False when there was less."""
        self.left = self.have(now) - cost
        return self.left >= 0


@dataclass
class Peer:
    """One peer.

    speech : what it may send
    room : what it still bears of transactions; half of its speech, so that blocks always find room
    service : what it may have of blocks
    """

    heard: int
    speech: Allowance
    room: Allowance
    service: Allowance
    status: Status | None = None
    resting: int = 0
    """Time before which it is asked for nothing, because it failed."""
    failures: int = 0
    """How often in a row it did not bring the chain that it claims; no more than `_FAILURES` are counted."""
    wants: GetBlocks | None = None
    """Its last request, until it is answered; an honest peer has only one."""

    def says(self, message: Message, size: int, now: int) -> bool:
        """A message of so many bytes comes from the peer; False when it may not say so much."""
        self.heard = now
        return self.speech.spend(cost(size, message), now)

    def answers_within(self, patience: Patience) -> int:
        """Seconds in which it must answer."""
        return patience.answer << self.failures

    def fail(self, now: int, patience: Patience) -> None:
        """It did not bring what it claims: let it rest, longer each time."""
        self.resting = now + _SPARE * self.answers_within(patience)
        self.failures = min(self.failures + 1, _FAILURES)

    def bears(self, message: Message, size: int, now: int) -> bool:
        """Whether a message of transactions may be sent to the peer, which would take more for a flood."""
        return self.room.have(now) >= (price := cost(size, message)) and self.room.spend(price, now)


def cost(size: int, message: Message) -> int:
    """What a message takes from what its sender may say, by the work that it asks for: each signature counts."""
    match message:
        case Transactions():
            signatures = len(message.raw)
        case Hello():
            signatures = len(message.locations)
        case _:
            signatures = 0
    return max(1 + size // 1024, signatures)


@dataclass
class Peers:
    """Those that are connected, and those that are not listened to for a while."""

    patience: Patience
    connected: dict[bytes, Peer] = field(default_factory=dict)
    banned: dict[bytes, int] = field(default_factory=dict)

    def join(self, key: bytes, now: int) -> bool:
        """Connect a peer; False when it is banned or connected already."""
        if self.is_banned(key, now) or key in self.connected:
            return False
        bound = self.patience
        self.connected[key] = Peer(
            now, Allowance(bound.burst, bound.rate, now), Allowance(bound.burst / 2, bound.rate / 2, now),
            Allowance(bound.served, bound.service, now),
        )  # fmt: skip
        return True

    def leave(self, key: bytes) -> bool:
        """Disconnect a peer; False when it was not connected."""
        return self.connected.pop(key, None) is not None

    def ban(self, key: bytes, now: int) -> None:
        """Disconnect a peer and listen to it no more for the time of a ban."""
        self.leave(key)
        self.banned[key] = now + self.patience.ban

    def is_banned(self, key: bytes, now: int) -> bool:
        """Whether a peer's ban lasts."""
        if self.banned.get(key, now) > now:
            return True
        self.banned.pop(key, None)
        return False

    def set_back(self, now: int) -> None:
        """The clock was set back to `now`: nothing lasts longer than it does from here."""
        self.banned = {key: min(until, now + self.patience.ban) for key, until in self.banned.items()}
        for peer in self.connected.values():
            peer.heard, peer.resting = min(peer.heard, now), 0

    def heard(self, now: int) -> list[bytes]:
        """Peers that have said something not long ago."""
        return [key for key, peer in self.connected.items() if now - peer.heard <= self.patience.silence]

    def begin(self, key: bytes, request: int, now: int) -> Sync:
        """A sync with a peer that is asked now."""
        within = self.connected[key].answers_within(self.patience)
        return Sync(key, request, now, within, _SPARE * within)

    def best(self, now: int) -> tuple[bytes, Status] | None:
        """The peer that claims most work; of equals, the one whose head has the lowest hash, then the lowest key."""
        claims = [
            (-peer.status.score, peer.status.head, key, peer.status)
            for key, peer in ((key, self.connected[key]) for key in self.heard(now))
            if peer.status and peer.resting <= now
        ]
        if not claims:
            return None
        _, _, key, status = min(claims, key=lambda claim: claim[:3])
        return key, status


@dataclass
class Sync:
    """Blocks on their way from one peer: asked for in batches, validated one by one."""

    peer: bytes
    request: int
    asked: int
    within: int
    """Seconds in which the answer must come."""
    left: int
    """Seconds that it may be waited for, this answer and all further ones, until a block becomes the head."""
    last: Header | None = None
    """The newest block of the peer's branch that is here."""
    highest: int = 0
    """Number of the highest block that it has sent, so that it cannot send the same ones for ever."""
    claimed: Status | None = None
    """Where the peer's chain ended when it answered; None while an answer is awaited."""
    queue: deque[bytes] = field(default_factory=deque)
    progress: bool = False
    """Whether the answer brought anything."""

    def answered(self, now: int) -> None:
        """An answer has come, after a while. Time that this node takes for its blocks does not count."""
        self.left -= max(1, now - self.asked)

    def gained(self) -> None:
        """A block of it has become the head: it may be waited for a little longer, and quicker ones go first."""
        self.left = min(self.left + _PACE, _SPARE * self.within)
