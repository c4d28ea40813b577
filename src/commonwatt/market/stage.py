"""A stage of the market day with its mechanism, as it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commonwatt.errors import CommonwattError, MarketError, PromiseBroken
from commonwatt.market import Events, Frame, Mechanism, Orders, Positions
from commonwatt.market.proving import declared, uncleared
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
        """One Clearing per slot; a slot that cannot be cleared stays without trade, and the others go on.

        Raises MarketError where the mechanism clears all slots at once or none.
        """
        try:
            return self.mechanism.clear(frame, inputs, self.parameters)
        except Exception as error:  # an operator's own mechanism may raise anything
            reason = _reason(self.mechanism.name, error)
            if self.over_horizon:
                raise MarketError(reason) from error
            if len(inputs) > 1:
                alone = (self.clear(frame.part(slice(at, at + 1)), (given,)) for at, given in enumerate(inputs))
                return tuple(clearing for (clearing,) in alone)
            bought, sold = declared(inputs[0], frame.members)
            figure, trade = (error.figure, error.trade) if isinstance(error, PromiseBroken) else (1, None)
            return (uncleared(self.mechanism.name, int(frame.starts[0]), bought - sold, reason, figure, trade),)


def _reason(name: str, error: Exception) -> str:
    if isinstance(error, CommonwattError):
        return error.reason if isinstance(error, PromiseBroken) else str(error)
    return f"{name} cannot clear: its code ends with {type(error).__name__}: {error}"
