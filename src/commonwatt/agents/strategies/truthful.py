"""`truthful`: order all that the plan leaves, at the price at which the utility would be as good.

What every home does unless its file says otherwise; `agents.planning.declare` does it for all homes at once.
"""

from __future__ import annotations

import numpy as np

from commonwatt.agents.strategy import LOWEST_LIMIT, Agent, Quotes, Situation, State
from commonwatt.units import IntArray


def rule(home: Situation, state: State) -> tuple[Quotes, State]:
    """Nothing is drawn, and nothing remembered."""
    return quotes(home, home.highest, home.lowest), state


def quotes(home: Situation, buy_limit: IntArray, sell_limit: IntArray) -> Quotes:
    """All that the plan leaves, at these limits, each shape (slots,) [unit/kWh].

    Not where the price that would be worth its while is below the lowest limit that an order can have.
    """
    return Quotes(
        np.where(home.highest >= LOWEST_LIMIT, home.to_buy, 0),
        np.maximum(buy_limit, LOWEST_LIMIT),
        np.where(home.lowest >= LOWEST_LIMIT, home.to_sell, 0),
        np.maximum(sell_limit, LOWEST_LIMIT),
    )


TRUTHFUL = Agent("truthful", rule, "orders at its own worth")
