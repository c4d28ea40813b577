"""A market design: its phase, what it needs, what it promises, its parameters, and one pure function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Generic, Literal, TypeVar, cast

from pydantic import ValidationError

from commonwatt.market.interface import Frame, Outcome, Parameters
from commonwatt.market.proving import proved, refuse_out_of_bounds
from commonwatt.records import Clearing

Phase = Literal["ahead", "after"]


I = TypeVar("I")  # noqa: E741  (I as in input: Orders, Positions, Events, or what a mechanism's own proof takes)


@dataclass(frozen=True)
class Mechanism(Generic[I]):
    """A market design.

    phase : "ahead" clears a horizon before delivery; "after" one slot from what the meters counted
    rational : it promises that nobody is worse off than with the utility alone
    rule : (frame, one input per slot, parameters) to one Outcome per slot; pure and deterministic
    proof : of a mechanism whose slots hang together (batteries); its rule takes a single input for the whole horizon,
        and (name, frame, inputs, outcomes, parameters) gives the Clearings, or raises MarketError. None = each slot
        is proved by itself
    """

    name: str
    phase: Phase
    needs: type[I]
    parameters: type[Parameters]
    rule: Callable[[Frame, tuple[I, ...], Any], tuple[Outcome, ...]]
    source: str
    rational: bool = True
    proof: Callable[[str, Frame, tuple[I, ...], tuple[Outcome, ...], Any], tuple[Clearing, ...]] | None = None

    def problems(self, parameters: Mapping[str, object], unit: int = 1) -> list[tuple[str, str]]:
        """What is wrong with `parameters`: (key, sentence) each; empty when nothing is.

        unit : what money is counted in [micro-currency]
        """
        try:
            self._read(parameters, unit)
        except ValidationError as error:
            return [(".".join(map(str, found["loc"])), _sentence(self, found)) for found in error.errors()]
        return []

    def in_vain(self, parameters: Mapping[str, object], frame: Frame, most_kw: float = inf) -> list[tuple[str, str]]:
        """Why nothing can be traded with valid `parameters` in any slot of the frame: (key, sentence) each.

        most_kw : the most that any member can sell; inf = not known
        """
        return list(self._read(parameters, frame.unit).in_vain(frame, most_kw))

    def clear(
        self, frame: Frame, inputs: tuple[I, ...], parameters: Mapping[str, object] | None = None
    ) -> tuple[Clearing, ...]:
        """Clear every slot of the frame and prove each result.

        Raises MarketError when an input is out of bounds or a result breaks its own promise.
        """
        chosen = self._read(parameters or {}, frame.unit)
        if self.proof is not None:
            return self.proof(self.name, frame, inputs, self.rule(frame, inputs, chosen), chosen)
        refuse_out_of_bounds(self.name, frame, inputs)
        outcomes = self.rule(frame, inputs, chosen)
        return tuple(
            proved(self.name, frame, slot, cast(Any, inputs[slot]), outcome, rational=self.rational)
            for slot, outcome in enumerate(outcomes)
        )

    def _read(self, parameters: Mapping[str, object], unit: int) -> Parameters:
        return self.parameters.model_validate(dict(parameters), context={"unit": unit})


def _sentence(mechanism: Mechanism[Any], found: Any) -> str:
    if found["type"] == "extra_forbidden":
        known = ", ".join(sorted(mechanism.parameters.model_fields)) or "none"
        return f"is not a parameter of {mechanism.name} (known: {known})"
    if found["type"] == "value_error":
        return str(found["ctx"]["error"])
    return str(found["msg"]).lower()
