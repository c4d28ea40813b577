"""What may go wrong with one trade between two communities."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from commonwatt.exchange.swap import Step

FOR_EVER: Final = 1_000


@dataclass(frozen=True)
class Scenario:
    """One of them. Communities are "a", which sells, and "b", which buys; times are in ticks.

    false : whose operators first post what a member proves to be false
    again : whether they post it right afterwards
    silent : whose operators post nothing
    demands : where a member demands its lines; answered : whether it is shown them
    killed : at which step the gateway's process ends, before it acts, or `after`; away : for how long
    asleep : how long everybody in A sleeps when the key is out; less than the margin
    """

    name: str
    false: str = ""
    again: bool = True
    silent: str = ""
    demands: str = ""
    answered: bool = True
    killed: Step | None = None
    after: bool = False
    away: int = 0
    asleep: int = 0


SCENARIOS: Final = (
    Scenario("nothing goes wrong"),
    Scenario("A's post is false, struck, posted again", false="a"),
    Scenario("A's post is false and struck", false="a", again=False),
    Scenario("B's post is false, struck, posted again", false="b"),
    Scenario("B's post is false and struck", false="b", again=False),
    Scenario("A's operators are silent", silent="a"),
    Scenario("B's operators are silent", silent="b"),
    Scenario("a member demands its lines of A's post and is shown them", demands="a"),
    Scenario("a member demands its lines of A's post in vain", demands="a", answered=False),
    Scenario("a member demands its lines of B's post and is shown them", demands="b"),
    Scenario("the gateway is killed before it offers, and back", killed=Step.POST_B, away=3),
    Scenario("the gateway is killed before A's post, and back", killed=Step.POST_A, away=3),
    Scenario("the gateway is killed while windows are open, and back", killed=Step.WAIT, away=4),
    Scenario("the gateway is killed before it shows the key, and back", killed=Step.REVEAL, away=2),
    Scenario("the gateway is killed before it shows the key, for good", killed=Step.REVEAL, away=FOR_EVER),
    Scenario("the gateway is killed after it shows the key, for good", killed=Step.REVEAL, after=True, away=FOR_EVER),
    Scenario("the gateway shows the key at the last moment", killed=Step.REVEAL, away=6),
    Scenario("everybody in A sleeps for a while, and the gateway is gone", killed=Step.REVEAL, after=True,
             away=FOR_EVER, asleep=3),
)  # fmt: skip


def drawn(runs: int, seed: int) -> Iterator[Scenario]:
    """So many scenarios: all of them in an order by chance, then all once more in another order."""
    chance = random.Random(seed)  # noqa: S311
    while runs > 0:
        shuffled = chance.sample(SCENARIOS, len(SCENARIOS))
        yield from shuffled[:runs]
        runs -= len(shuffled)
