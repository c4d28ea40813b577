"""`zero-intelligence`: order all that the plan leaves at a price drawn by chance, never at a loss.

Source: ZI-C, the budget-constrained traders of D. K. Gode and S. Sunder, "Allocative efficiency of markets with
zero-intelligence traders: market as a partial substitute for individual rationality", Journal of Political Economy
101(1), 1993, doi:10.1086/261868. A buyer draws from the lowest price of the market up to what a kWh is worth to it, a
seller from what a kWh costs it up to the highest one; each price is as likely as any other.

There the units of a trader come one after the other, each with a draw of its own, and the market's price range is the
experimenter's. Here a home has one order per slot, so one draw; a kWh is worth what the utility's costs, and costs what
the utility pays; and the range is that of the utility's two prices in the slot.
"""

from __future__ import annotations

import numpy as np

from commonwatt.agents.strategies.truthful import quotes
from commonwatt.agents.strategy import Agent, Quotes, Situation, State


def rule(home: Situation, state: State) -> tuple[Quotes, State]:
    """Nothing is remembered."""
    draw = np.random.default_rng(home.seed)
    highest, lowest = home.highest, home.lowest
    buy = draw.integers(np.minimum(home.floor, highest), highest, endpoint=True)
    sell = draw.integers(lowest, np.maximum(home.ceiling, lowest), endpoint=True)
    return quotes(home, buy, sell), state


ZERO_INTELLIGENCE = Agent("zero-intelligence", rule, "ZI-C, Gode and Sunder, doi:10.1086/261868")
