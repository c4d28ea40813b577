"""What a home's agent plans and orders. Pure."""

from commonwatt.agents.strategy import Agent, Quotes, Results, Situation, Storage

__all__ = ["Agent", "Quotes", "Results", "Situation", "Storage"]
