"""A stage of the market day with its mechanism, as it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commonwatt.market import Events, Frame, Mechanism, Orders, Positions
from commonwatt.records import Clearing


@dataclass(frozen=True)
class ActiveStage:
    """A mechanism with its parameters. number : place of the stage in the market day, from 0"""

    number: int
    mechanism: Mechanism[Any]
    parameters: Mapping[str, object]

    @property
    def over_horizon(self) -> bool:
        """Whether it clears all slots at once from what homes can do: agents agree first, then order accordingly."""
        return self.mechanism.needs not in (Orders, Events, Positions)

    def clear(self, frame: Frame, inputs: tuple[Any, ...]) -> tuple[Clearing, ...]:
        """One Clearing per slot. Raises MarketError."""
        return self.mechanism.clear(frame, inputs, self.parameters)
