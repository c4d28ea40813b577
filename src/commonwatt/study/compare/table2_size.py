"""What clearing a day takes of time and of messages, and how that grows with the number of homes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import numpy as np

from commonwatt.market import Events, Mechanism, Neighbourhood, Orders, Positions
from commonwatt.market.bilateral.neighbourhood import BilateralParameters
from commonwatt.market.designs.coalition import COALITION
from commonwatt.market.designs.fixed import FIXED
from commonwatt.market.designs.listings import LISTINGS
from commonwatt.records import BUY, Clearing
from commonwatt.study.compare.designs import plain_parameters
from commonwatt.study.compare.table2_day import Day

SIZES: Final = (10, 80)
TIMES: Final = 3
"""A time is the median of so many."""
AUCTION, SCHEDULE, OFFERS, POOL = "auction", "schedule", "offers", "pool"


def kind(mechanism: Mechanism[Any]) -> str:
    """In the review's words where it has one: what plans a whole day by iteration is a schedule."""
    if mechanism.needs is Positions:
        return POOL
    if mechanism.needs not in (Orders, Events):
        return SCHEDULE
    return OFFERS if mechanism in (FIXED, LISTINGS) else AUCTION


@dataclass(frozen=True)
class Taken:
    """What one mechanism takes for one day.

    cleared : orders, or members' positions in a slot; seconds : CPU time [s]
    rounds : times that members send something and wait for what comes of it; messages : of all members in all rounds
    partners : mean number of homes with which a home exchanges messages, none where there is a centre
    """

    homes: int
    cleared: int
    seconds: float
    rounds: int
    messages: int
    partners: float

    @property
    def rate(self) -> float:
        """Cleared per CPU second."""
        return self.cleared / max(self.seconds, 1e-9)


def taken(mechanism: Mechanism[Any], day: Day) -> Taken | None:
    """Clear the day; None when a village without wires does not have what the mechanism needs."""
    given = day.given(mechanism)
    if given is None:
        return None
    seconds: list[float] = []
    clearings: tuple[Clearing, ...] = ()
    for _ in range(TIMES):
        begin = time.process_time()
        clearings = mechanism.clear(day.frame, given, plain_parameters(mechanism))
        seconds.append(time.process_time() - begin)
    homes = day.frame.members
    cleared = day.wishes if mechanism.needs in (Orders, Events) else homes * len(day.frame.starts)
    return Taken(homes, cleared, median(seconds), *_talk(mechanism, day, clearings))


def _talk(mechanism: Mechanism[Any], day: Day, clearings: tuple[Clearing, ...]) -> tuple[int, int, float]:
    """Rounds, messages and partners.

    A pool needs the meters' readings and nothing else. An order is one message, a sealed bid two. Neighbours exchange
    proposals, one each way per round (`market.bilateral.agent`); any other plan is agreed with a centre.
    """
    homes = day.frame.members
    if kind(mechanism) == POOL:
        return 0, 0, 0.0
    if mechanism.needs in (Orders, Events):
        sealed = sum(int((orders.side == BUY).sum()) for orders in day.orders) if mechanism is COALITION else 0
        return 1 + (mechanism is COALITION), day.wishes + sealed, 0.0
    rounds = int(clearings[0].diagnostics["iterations"])
    if mechanism.needs is not Neighbourhood:
        return rounds, 2 * homes * rounds, 0.0
    routes = BilateralParameters().routes(day.neighbourhood)
    ends = np.sort(np.column_stack([routes.seller, routes.buyer]), axis=1)
    directions = 2 * len(np.unique(ends, axis=0))
    return rounds, rounds * directions, directions / homes
