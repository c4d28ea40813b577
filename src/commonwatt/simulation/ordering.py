"""What homes with an agent of their own strategy order at a gate, and what these agents remember until the next one.

An agent, or a forecast, that fails costs its home the orders of one gate, and nobody else anything; the reason is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from sqlalchemy import Connection, MetaData

from commonwatt.agents.planning import Outlook
from commonwatt.agents.strategy import Agent, Quotes, Results, Situation, State, Storage
from commonwatt.errors import MarketError
from commonwatt.exchange import tables
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.store import Store, add, put
from commonwatt.exchange.tables import table
from commonwatt.market import Frame
from commonwatt.proof import keccak
from commonwatt.units import FloatArray, IntArray

_metadata = MetaData()
memories = table(_metadata, "memories", ["member"], [], [], ["state", "asked"])
silences = table(_metadata, "silences", ["gate", "member"], [], [], ["what", "reason"])


class Ordering:
    """The agents that do not simply order at their own worth, from gate to gate.

    agents : by member index
    gate : the one that closes [unix s]; failed : homes that cannot order at it, by index: (what failed, why)
    """

    def __init__(self, rules: Rules, agents: Mapping[int, Agent], store: Store) -> None:
        self.rules, self.agents, self.store = rules, agents, store
        with store.transaction() as connection:
            _metadata.create_all(connection)
        kept = {row.member: row for row in store.rows(memories)}
        self._states: dict[int, State] = {member: json.loads(row.state) for member, row in kept.items()}
        self._asked: dict[int, dict[str, list[int]]] = {member: json.loads(row.asked) for member, row in kept.items()}
        self.gate, self.failed = 0, dict[int, tuple[str, str]]()

    def begin(self, gate: int, without_forecast: Mapping[int, str]) -> None:
        """At a gate [unix s]. without_forecast : homes that do not know what to expect, by index, with the reason"""
        self.gate = gate
        self.failed = {member: ("forecast", why) for member, why in without_forecast.items()}

    def quotes(self, frame: Frame, outlook: Outlook, net: IntArray, idle: Set[int]) -> dict[int, Quotes]:
        """What these homes order for the slots of the frame, by index.

        net : what plans and plants leave at the meters, shape (homes, slots) [Wh]
        idle : homes that order nothing and are not asked, by index
        """
        found: dict[int, Quotes] = {}
        public = self._public() if self.agents else {}
        for member, agent in self.agents.items():
            found[member] = Quotes(*(np.zeros(len(frame.starts), dtype=np.int64) for _ in range(4)))
            asked = self._asked.pop(member, {})
            if member in idle:
                continue
            past = _results(member, asked, public) if asked else None
            situation = self._situation(member, frame, outlook, net[member], past)
            try:
                quotes, state = agent.rule(situation, self._states.get(member, {}))
            except MarketError as error:
                self.failed[member] = ("agent", str(error))
                continue
            # As a run that goes on later finds it.
            self._states[member] = json.loads(json.dumps(state))
            self._asked[member] = _listed(
                {"starts": frame.starts, "minutes": frame.minutes, "ceiling": frame.ceiling, "floor": frame.floor,
                 **vars(quotes)}
            )  # fmt: skip
            found[member] = quotes
        return found

    def keep(self, connection: Connection) -> None:
        """Write what agents remember, and who could not order."""
        for member in self.agents:
            state, asked = self._states.get(member, {}), self._asked.get(member, {})
            put(connection, memories, (member, json.dumps(state), json.dumps(asked)))
        add(connection, silences, [(self.gate, member, *told) for member, told in sorted(self.failed.items())])
        self.failed = {}

    def _situation(self, member: int, frame: Frame, outlook: Outlook, net: IntArray, past: Results | None) -> Situation:
        limits, fleet = self.rules.limits, outlook.fleet
        battery = Storage(
            charge=float(outlook.soc[member]),
            low=float(fleet.low[member]),
            high=float(fleet.high[member]),
            power=int(fleet.power[member]),
            charging=float(fleet.charging[member]),
            discharging=float(fleet.discharging[member]),
        )
        community = self.rules.community
        seed = f"commonwatt agent {community.name} {community.seed} {community.members[member].id} {self.gate}"
        return Situation(
            starts=frame.starts,
            minutes=frame.minutes,
            hours=frame.hours,
            unit=frame.unit,
            load=outlook.expected.load[member],
            generation=outlook.expected.generation[member],
            net=net,
            ceiling=frame.ceiling,
            floor=frame.floor,
            max_buy=int(limits.max_buy[member]),
            min_sell=int(limits.min_sell[member]),
            buy_wh=int(limits.buy_wh[member]),
            sell_wh=int(limits.sell_wh[member]),
            battery=battery if community.members[member].battery else None,
            past=past,
            seed=int.from_bytes(keccak(seed.encode())[:8], "big"),
        )

    def _public(self) -> dict[int, list[tuple[int, ...]]]:
        """The trades (buyer, seller, wh, price) that were agreed at the last gate, by slot."""
        starts = {start for asked in self._asked.values() for start in asked.get("starts", [])}
        names = ("slot", "revision", "stage", "buyer", "seller", "wh", "price")
        ahead = {stage.number for stage in self.rules.ahead}
        found: dict[int, list[tuple[int, ...]]] = {start: [] for start in starts}
        for start in sorted(starts):
            for slot, revision, stage, *trade in self.store.columns(tables.trades, names, slot=start):
                if not revision and stage in ahead:
                    found[slot].append(tuple(trade))
        return found


def _results(member: int, asked: Mapping[str, list[int]], public: Mapping[int, list[tuple[int, ...]]]) -> Results:
    """What came of what a home asked for at a gate. public : as of `Ordering._public`"""
    columns = {name: np.array(values, dtype=np.int64) for name, values in asked.items()}
    rows = [np.array(public[start], dtype=np.int64).reshape(-1, 4).T for start in asked["starts"]]
    bought, paid = _agreed([(wh[buyer == member], price[buyer == member]) for buyer, _, wh, price in rows])
    sold, earned = _agreed([(wh[seller == member], price[seller == member]) for _, seller, wh, price in rows])
    _, price = _agreed([(wh, price) for _, _, wh, price in rows])
    quotes = Quotes(*(columns.pop(name) for name in ("buy_wh", "buy_limit", "sell_wh", "sell_limit")))
    return Results(**columns, quotes=quotes, bought=bought, sold=sold, paid=paid, earned=earned, price=price)


def _agreed(slots: list[tuple[IntArray, IntArray]]) -> tuple[IntArray, FloatArray]:
    """Energy [Wh] and its mean price [unit/kWh], NaN for none, of the (wh, price) of each slot."""
    energy = np.array([wh.sum() for wh, _ in slots], dtype=np.int64)
    money = np.array([float((wh * price).sum()) for wh, price in slots])
    with np.errstate(invalid="ignore"):
        return energy, money / energy


def _listed(columns: Mapping[str, Any]) -> dict[str, list[int]]:
    return {name: values.tolist() for name, values in columns.items()}
