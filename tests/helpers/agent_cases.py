"""Homes at a gate, and files with agents and forecasters, good ones and bad ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from commonwatt.agents import Quotes, Results, Situation, Storage
from commonwatt.units import IntArray

MEMORY = """
import numpy as np
from commonwatt.agents import Agent, Quotes

def rule(home, state):
    share = state.get("share", 0.5)
    if home.past is not None and home.past.quotes.sell_wh.any():
        share = 0.8 * share if not home.past.sold.any() else min(1.0, 1.1 * share)
    price = home.floor + (share * (home.ceiling - home.floor)).astype(int)
    return Quotes(home.to_buy, home.ceiling, home.to_sell, price), {"share": share, "gates": state.get("gates", 0) + 1}

PATIENT = Agent("patient", rule, "an example")
"""
"""Remembers, and asks less where nothing was sold."""

BAD_AGENTS = """
import os, sys, time
import numpy as np
from commonwatt.agents import Agent, Quotes

def plain(home, **changes):
    return Quotes(**{"buy_wh": home.to_buy + 10, "buy_limit": home.ceiling, "sell_wh": home.to_sell + 10,
                     "sell_limit": home.ceiling, **changes})

def forever():
    while True:
        pass

def deep(levels):
    return [deep(levels - 1)] if levels else 0

FAULTS = {
    "raises": lambda home: {}["weather"],
    "loops": lambda home: forever(),
    "sleeps": lambda home: time.sleep(3600),
    "dies": lambda home: os._exit(3),
    "leaves": lambda home: sys.exit(4),
    "none": lambda home: None,
    "no state": lambda home: (plain(home), None),
    "short": lambda home: (plain(home, buy_wh=home.to_buy[1:]), {}),
    "nan": lambda home: (plain(home, buy_limit=home.ceiling * float("nan")), {}),
    "half": lambda home: (plain(home, sell_limit=home.ceiling + 0.5), {}),
    "minus": lambda home: (plain(home, buy_wh=-1 - home.to_buy), {}),
    "words": lambda home: (plain(home, sell_wh=home.to_sell.astype(str)), {}),
    "ragged": lambda home: (plain(home, sell_wh=[[1], 2]), {}),
    "file": lambda home: (plain(home), {"file": open}),
    "no number": lambda home: (plain(home), {"mean": float("nan")}),
    "deep": lambda home: (plain(home), {"list": deep(60)}),
    "endless": lambda home: (plain(home), (state := {}) | {"self": state.update(state=state) or state}),
    "much": lambda home: (plain(home), {"text": "x" * 2_000_000}),
    "greedy": lambda home: (plain(home, buy_wh=home.to_buy + 60_000, sell_wh=0 * home.net), {}),
}

def agent(fault=None):
    return Agent("bad", lambda home, state: print("why") or FAULTS[fault or state["fault"]](home))

ANY, RAISES, LOOPS, SHORT, GREEDY = agent(), agent("raises"), agent("loops"), agent("short"), agent("greedy")
SILENT = Agent("silent", lambda home, state: (Quotes(*[0 * home.net] * 4), {}))
NUMBER = 5
"""
"""One does what its state says, and some always do the same."""

FORECASTERS = """
import numpy as np

class Yesterday:
    history_days = 2
    change = staticmethod(lambda found: found)

    def predict(self, history, past, horizon, timezone):
        day = 86_400 // past.seconds
        return self.change(history[:, np.arange(horizon.count) % day - day].astype(float))

def hole(found):
    found[0, 20] = np.nan
    return found

def raises(found):
    raise ValueError("no sun today")

def forever(found):
    while True:
        pass

class Bad(Yesterday):
    faults = [hole, raises, lambda found: -1 - found, lambda found: found[:, 1:], lambda found: found + 1e300,
              lambda found: np.full(found.shape, "sunny"), lambda found: None, forever]

    def predict(self, history, past, horizon, timezone):
        self.change = self.faults[horizon.count - 36]
        return super().predict(history, past, horizon, timezone)

YESTERDAY, ANY, HOLE, FAR = Yesterday(), Bad(), Yesterday(), Yesterday()
HOLE.change = hole
FAR.history_days = 4000
"""
"""One goes by how many slots more than 36 it is asked for."""


def situation(net: IntArray, **changes: Any) -> Situation:
    """A home in Central Europe that plans for these hours, from midnight; what it may is wide unless it is said."""
    slots, hours = len(net), np.arange(len(net))
    home = Situation(
        starts=3600 * hours,
        minutes=60 * hours % 1440,
        hours=1.0,
        unit=1,
        load=np.maximum(net, 0),
        generation=np.maximum(-net, 0),
        net=net,
        ceiling=np.full(slots, 500_000),
        floor=np.full(slots, 100_000),
        max_buy=500_000,
        min_sell=100_000,
        buy_wh=50_000,
        sell_wh=50_000,
        battery=None,
        past=None,
        seed=1,
    )
    return replace(home, **changes)


def results(home: Situation, quotes: Quotes, bought: IntArray, sold: IntArray, price: Any) -> Results:
    """What came of these quotes when all that was agreed had the same price, or none (NaN) where nobody traded."""
    mean = np.broadcast_to(np.asarray(price, dtype=float), bought.shape)
    paid, earned = np.where(bought > 0, mean, np.nan), np.where(sold > 0, mean, np.nan)
    return Results(home.starts, home.minutes, home.ceiling, home.floor, quotes, bought, sold, paid, earned, mean)


BATTERY = Storage(charge=2500.0, low=500.0, high=5000.0, power=2500, charging=0.95, discharging=0.9)
