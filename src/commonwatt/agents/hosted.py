"""What an agent orders that knows nothing but what its home's meter counted. Pure.

It plans on the net: what went through the meter at the same local time a week ago will go through it again, whatever is
behind the meter. For a slot whose reading of a week ago is missing it expects nothing and orders nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from commonwatt.agents.strategies.truthful import TRUTHFUL
from commonwatt.agents.strategies.zero_intelligence import ZERO_INTELLIGENCE
from commonwatt.agents.strategy import Agent, Quotes, Situation, usable
from commonwatt.community.calendar import Slots
from commonwatt.forecast import Forecaster, SeasonalNaive
from commonwatt.market import Frame
from commonwatt.records import Mandate
from commonwatt.units import IntArray

HOSTED: Final[Mapping[str, Agent]] = {agent.name: agent for agent in (TRUTHFUL, ZERO_INTELLIGENCE)}
"""By name: agents that need not know what came of their orders."""
_DAY: Final = 86_400
_FORECASTER: Final[Forecaster] = SeasonalNaive()


def lookback(now: int, slots: Slots) -> Slots:
    """The slots that were over at `now` [unix s], of as many days as a forecast looks at. slots : any of that length
    and place"""
    end = now - (now - slots.start) % slots.seconds
    count = _FORECASTER.history_days * _DAY // slots.seconds
    return Slots(end - count * slots.seconds, count, slots.seconds)


@dataclass(frozen=True)
class History:
    """What a home's meter counted in consecutive slots.

    net : positive = into the home, shape (slots.count,) [Wh]; known : whether there is a reading, same shape
    """

    slots: Slots
    net: IntArray
    known: NDArray[np.bool_]

    @property
    def readings(self) -> int:
        """How many there are."""
        return int(self.known.sum())

    @property
    def needed(self) -> int:
        """How many a week has; an agent that has fewer of the days that it looks at orders nothing."""
        return 7 * _DAY // self.slots.seconds


@dataclass(frozen=True)
class Wish:
    """What an agent expects and orders, each shape (slots,).

    net : [Wh], positive = into the home; known : of which slots something is expected
    """

    net: IntArray
    known: NDArray[np.bool_]
    quotes: Quotes


def wish(agent: Agent, history: History, frame: Frame, mandate: Mandate, timezone: str, seed: int) -> Wish:
    """What an agent orders for the slots of the frame, which follow each other. seed : of whatever it draws"""
    starts = frame.starts
    coming = Slots(int(starts[0]), len(starts), history.slots.seconds)
    past = np.stack([history.net, history.known.astype(np.int64)])
    net, said = _FORECASTER.predict(past, history.slots, coming, timezone)
    known = (said > 0) & (history.readings >= history.needed)
    net = np.where(known, net, 0)
    home = Situation(
        starts=starts,
        minutes=frame.minutes,
        hours=frame.hours,
        unit=frame.unit,
        load=np.maximum(net, 0),
        generation=np.maximum(-net, 0),
        net=net,
        ceiling=frame.ceiling,
        floor=frame.floor,
        max_buy=mandate.max_buy,
        min_sell=mandate.min_sell,
        buy_wh=mandate.buy_wh,
        sell_wh=mandate.sell_wh,
        battery=None,
        past=None,
        seed=seed,
    )
    return Wish(net, known, usable(agent.rule(home, {})[0], len(starts)))
