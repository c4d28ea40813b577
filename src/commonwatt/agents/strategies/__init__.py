"""Strategies to compare with, by name. One file each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from commonwatt.agents.strategies.price_adaptive import PRICE_ADAPTIVE
from commonwatt.agents.strategies.truthful import TRUTHFUL
from commonwatt.agents.strategies.zero_intelligence import ZERO_INTELLIGENCE
from commonwatt.agents.strategy import Agent

STRATEGIES: Final[Mapping[str, Agent]] = {agent.name: agent for agent in (TRUTHFUL, ZERO_INTELLIGENCE, PRICE_ADAPTIVE)}
