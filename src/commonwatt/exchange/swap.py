"""Both or neither: how one trade between two communities becomes final on two ledgers (docs/coupling.md).

A post on either ledger is locked by the same hash (a hashed time-lock). B, where the gateway is paid, is applied first:
that takes the gateway's key and publishes it. A, where the gateway pays, can then be applied by anybody. No chain can
wait for another one, so it takes rules about when the key may be shown, and somebody on the paying side who is awake
within a stated time. Times are unix seconds. Pure: both chains are handed in as they stand.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Times:
    """What the two communities have agreed.

    margin : how much longer A's post can be applied than B's: within that, somebody in A has to be awake [s]
    delay : the longest that a transaction is on its way to a block [s]
    """

    margin: int
    delay: int


@dataclass(frozen=True)
class Plan:
    """The locked posts of one trade.

    slot : the same on both ledgers [start, unix s]
    lock : keccak of the gateway's key; until_a, until_b : what the posts say [unix s]
    window_a, window_b : the ledgers' times for objections [s]
    """

    slot: int
    lock: bytes
    until_a: int
    until_b: int
    window_a: int
    window_b: int

    @classmethod
    def of(cls, slot: int, lock: bytes, until_b: int, windows: tuple[int, int], times: Times) -> Plan:
        """A's post can be applied for the margin longer than B's. windows : A's and B's"""
        return cls(slot, lock, until_b + times.margin, until_b, *windows)


@dataclass(frozen=True)
class Standing:
    """A locked post as its chain has it.

    now : the time there
    first, last : seconds from and until which it can be applied; a later objection moves the first one
    demanded : whether something was demanded of it that can still delete it
    covered : whether the contract, asked, wants nothing but the key and has the money
    final : whether it is applied
    """

    lock: bytes
    now: int
    first: int
    last: int
    demanded: bool = False
    covered: bool = True
    final: bool = False

    @property
    def over(self) -> bool:
        """Whether it cannot be applied any more."""
        return self.now > self.last

    @property
    def due(self) -> bool:
        """Whether it can be applied."""
        return self.first <= self.now <= self.last


class Rule(Enum):
    """Without each of them only one of the posts may become final."""

    SAME_LOCK = "both posts have the gateway's lock"
    A_LASTS = "A's post can be applied for the margin longer than B's"
    WINDOWS = "nobody can object to either any more"
    ANSWERED = "nothing that was demanded of either can still delete it"
    COVERED = "both contracts, asked, want nothing but the key"
    IN_TIME = "the key is in a block before B's post ends"


class Step(Enum):
    """What is due, or what it came to."""

    POST_B = "B's operators post"
    POST_A = "A's operators post under the same lock"
    WAIT = "nothing is due"
    REVEAL = "the gateway applies B's post with its key"
    APPLY = "anybody applies A's post with the key that B's chain shows"
    BOTH = "both are final"
    NEITHER = "neither becomes final any more"
    HALF = "one is final, and the other cannot be any more"


ENDED = frozenset({Step.BOTH, Step.NEITHER, Step.HALF})


def broken(plan: Plan, a: Standing, b: Standing, times: Times) -> frozenset[Rule]:
    """The rules that forbid the gateway to show its key now."""
    kept = {
        Rule.SAME_LOCK: a.lock == b.lock == plan.lock,
        Rule.A_LASTS: a.last >= b.last + times.margin,
        Rule.WINDOWS: a.now >= a.first and b.now >= b.first,
        Rule.ANSWERED: not (a.demanded or b.demanded),
        Rule.COVERED: a.covered and b.covered,
        Rule.IN_TIME: b.now + times.delay <= b.last,
    }
    return frozenset(rule for rule, holds in kept.items() if not holds)


def next_step(
    plan: Plan, a: Standing | None, b: Standing | None, now: int, times: Times, without: Collection[Rule] = ()
) -> Step:
    """What is due of a trade, whoever does it.

    a, b : the posts under the plan's lock, None where there is none that can be or is applied
    now : where nothing stands [unix s]
    without : rules that the gateway does not keep, to show what comes of it
    """
    if b and b.final:
        return _after(a)
    if a and a.final:  # The key came out without B's post: only the gateway loses, and it can still be paid.
        return Step.HALF if b is None or b.over else Step.REVEAL if b.due else Step.WAIT
    if b is None:
        return Step.POST_B if _fits(plan, max(plan.window_a, plan.window_b), now, times) else _ended(a)
    if a is None:
        return Step.POST_A if _fits(plan, plan.window_a, now, times) else _ended(b)
    return _ended(b) if broken(plan, a, b, times).difference(without) else Step.REVEAL


def _after(a: Standing | None) -> Step:
    """What is due in A when B's post is final."""
    if a and a.final:
        return Step.BOTH
    if a is None or a.over:
        return Step.HALF
    return Step.APPLY if a.due else Step.WAIT


def _fits(plan: Plan, window: int, now: int, times: Times) -> bool:
    """Whether a post that is sent now has its window behind it early enough for the key."""
    return now + times.delay + window + times.delay <= plan.until_b


def _ended(post: Standing | None) -> Step:
    """Nothing is due of a post of which nobody knows the key, until it has ended."""
    return Step.NEITHER if post is None or post.over else Step.WAIT
