"""What each home of a simulation forecasts and orders with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from commonwatt.agents.strategies.truthful import TRUTHFUL
from commonwatt.agents.strategy import Agent
from commonwatt.community.calendar import Slots
from commonwatt.community.model import Community
from commonwatt.community.points import present
from commonwatt.errors import DataError
from commonwatt.exchange.own.code import OwnCode, OwnForecaster
from commonwatt.exchange.rules import Rules
from commonwatt.forecast import Forecaster
from commonwatt.forecast.expectation import Forecast, forecast
from commonwatt.simulation.world import World
from commonwatt.units import IntArray

_DAY: Final = 86_400


def nothing() -> None:
    """Where no process runs there is none to end."""


@dataclass(frozen=True)
class Minds:
    """Forecasters and agents by member index.

    forecasters : None = the home knows what will happen, or has no meter
    close : ends the processes that run for them
    """

    forecasters: tuple[Forecaster | None, ...]
    agents: tuple[Agent, ...]
    close: Callable[[], None] = field(default=nothing, compare=False)

    @classmethod
    def of(cls, community: Community, folder: Path, forecaster: Forecaster | None = None) -> Minds:
        """As the community's file says.

        folder : of community.toml; forecaster : for all homes, whatever the file says
        Raises MarketError when one cannot be loaded.
        """
        members, code = community.members, OwnCode(folder, community.deadline)
        try:
            agents = tuple(code.agent(member.agent) for member in members)
            found = tuple(
                forecaster or (code.forecaster(member.forecast) if member.role.trades else None) for member in members
            )
        except BaseException:
            code.close()
            raise
        return cls(found, agents, code.close)

    @property
    def history_days(self) -> int:
        """Days of history before a gate that forecasts look at; 0 where all homes know what will happen."""
        return max((each.history_days for each in self.forecasters if each), default=0)

    @property
    def strategic(self) -> dict[int, Agent]:
        """The agents that do not simply order at their own worth, by member index."""
        return {member: agent for member, agent in enumerate(self.agents) if agent is not TRUTHFUL}


def looks_ahead(rules: Rules) -> bool:
    """Whether anything depends on what homes expect: a stage ahead of delivery, or wires that plans must fit."""
    return bool(rules.ahead) or rules.wires is not None


def history(rules: Rules, minds: Minds) -> int:
    """Days of history that a simulation of these rules looks at before the gate of its first day."""
    return minds.history_days if looks_ahead(rules) or not rules.community.profiles else 0


def expect(minds: Minds, world: World, now: int, count: int, community: Community) -> tuple[Forecast, dict[int, str]]:
    """What homes expect of the `count` slots from place `now` of the world on, each from its own past.

    Nothing in the slots in which they are no members; who is none in all of them is not asked.

    Returns beside it why the forecast of a home cannot be used, by member index; that home expects nothing at all.
    """
    slots, horizon = world.slots, slice(now, now + count)
    load, generation = world.load[:, horizon].copy(), world.generation[:, horizon].copy()
    coming, timezone = Slots(slots.start + now * slots.seconds, count, slots.seconds), community.timezone
    there = present(community.members, coming, timezone)
    failed: dict[int, str] = {}
    for forecaster, rows in _alike(minds.forecasters):
        first = max(0, now - forecaster.history_days * _DAY // slots.seconds)
        past = Slots(slots.start + first * slots.seconds, now - first, slots.seconds)
        known = world.load[:, first:now], world.generation[:, first:now]
        if not isinstance(forecaster, OwnForecaster):
            found = forecast(forecaster, known[0][rows], known[1][rows], past, coming, timezone)
            load[rows], generation[rows] = found.load, found.generation
            continue
        for home in rows[there[rows].any(axis=1)].tolist():
            try:
                load[home], generation[home] = forecaster.predict(
                    np.stack([series[home] for series in known]), past, coming, timezone
                )
            except DataError as error:
                load[home], generation[home], failed[home] = 0, 0, str(error)
    return Forecast(load * there, generation * there), failed


def _alike(forecasters: Sequence[Forecaster | None]) -> list[tuple[Forecaster, IntArray]]:
    """Each forecaster with the homes that it serves; not those that know what will happen."""
    groups: dict[int, tuple[Forecaster, list[int]]] = {}
    for home, forecaster in enumerate(forecasters):
        if forecaster is not None:
            groups.setdefault(id(forecaster), (forecaster, []))[1].append(home)
    return [(forecaster, np.array(rows, dtype=np.int64)) for forecaster, rows in groups.values()]
