"""What every mechanism has: a phase, what it needs, what it promises, its parameters, and one pure function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from commonwatt.records import BUY, Clearing, Trades
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, IntArray

Phase = Literal["ahead", "after"]


@dataclass(frozen=True)
class Frame:
    """The market's surroundings over a horizon of slots; all arrays shape (slots,).

    starts : start of each slot [unix s]
    minutes : local time of day at the start [min]
    hours : length of a slot [h]
    members : number of members
    ceiling, floor : a local price above the one or below the other leaves somebody worse off than with the
        utility alone [micro-currency/kWh]; MAX_PRICE and -MAX_PRICE where there is no utility
    """

    starts: IntArray
    minutes: IntArray
    hours: float
    members: int
    ceiling: IntArray
    floor: IntArray

    def part(self, chosen: slice | NDArray[np.bool_]) -> Frame:
        """The frame of some of its slots."""
        return replace(
            self,
            starts=self.starts[chosen],
            minutes=self.minutes[chosen],
            ceiling=self.ceiling[chosen],
            floor=self.floor[chosen],
        )


@dataclass(frozen=True)
class Orders:
    """The admitted orders of one slot as columns, each shape (orders,); at most one per member and side.

    side : BUY or SELL; wh : [Wh] > 0; limit : [micro-currency/kWh]
    """

    member: IntArray
    side: IntArray
    wh: IntArray
    limit: IntArray

    @property
    def net(self) -> IntArray:
        """Signed energy per order, shape (orders,) [Wh], positive = buy."""
        return np.where(self.side == BUY, self.wh, -self.wh)


@dataclass(frozen=True)
class Positions:
    """Net energy of each member in one slot, for mechanisms that need no orders; each shape (members,).

    net : [Wh], positive = buys
    max_buy, min_sell : the members' price limits [micro-currency/kWh]
    """

    net: IntArray
    max_buy: IntArray
    min_sell: IntArray


@dataclass(frozen=True)
class Events:
    """What happened to the order book of one slot, in order of arrival; columns, each shape (events,).

    kind : ADD, AMEND or CANCEL
    order : number of the order; ADD brings a new one, the others name an existing one
    member, side, wh, limit : as in Orders; of an AMEND the new values, of a CANCEL not looked at
    time : arrival [unix s], never decreasing; expiry : the order is void from then on [unix s]
    """

    kind: IntArray
    order: IntArray
    member: IntArray
    side: IntArray
    wh: IntArray
    limit: IntArray
    time: IntArray
    expiry: IntArray

    @property
    def net(self) -> IntArray:
        """Signed energy per event, shape (events,) [Wh], positive = buy."""
        return np.where(self.side == BUY, self.wh, -self.wh)


ADD, AMEND, CANCEL = 0, 1, 2

I = TypeVar("I")  # noqa: E741  (I as in input: Orders, Positions, Events, or what a mechanism's own proof takes)


class Parameters(BaseModel):
    """Parameters of a mechanism, as an operator writes them; unknown keys are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def in_vain(self, frame: Frame, most_kw: float) -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """Why nothing can be traded with these parameters in any slot of the frame: (key, sentence) each.

        most_kw : the most that any member can sell; inf = not known
        """
        return iter(())


@dataclass(frozen=True)
class Outcome:
    """What a mechanism's own rule yields for one slot, before it is proved.

    evidence : what the mechanism's own proof needs beside the trades, such as the multipliers of an optimum
    """

    trades: Trades = field(default_factory=Trades)
    prices: Mapping[str, int] = field(default_factory=dict)
    diagnostics: Mapping[str, int | float | str] = field(default_factory=dict)
    evidence: object = None


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

    def problems(self, parameters: Mapping[str, object]) -> list[tuple[str, str]]:
        """What is wrong with `parameters`: (key, sentence) each; empty when nothing is."""
        try:
            self.parameters.model_validate(dict(parameters))
        except ValidationError as error:
            return [(".".join(map(str, found["loc"])), _sentence(self, found)) for found in error.errors()]
        return []

    def clear(
        self, frame: Frame, inputs: tuple[I, ...], parameters: Mapping[str, object] | None = None
    ) -> tuple[Clearing, ...]:
        """Clear every slot of the frame and prove each result.

        Raises MarketError when an input is out of bounds or a result breaks its own promise.
        """
        from commonwatt.market.proving import proved, refuse_out_of_bounds

        chosen = self.parameters.model_validate(dict(parameters or {}))
        if self.proof is not None:
            return self.proof(self.name, frame, inputs, self.rule(frame, inputs, chosen), chosen)
        refuse_out_of_bounds(self.name, frame, inputs)
        outcomes = self.rule(frame, inputs, chosen)
        return tuple(
            proved(self.name, frame, slot, cast(Any, inputs[slot]), outcome, rational=self.rational)
            for slot, outcome in enumerate(outcomes)
        )


def _sentence(mechanism: Mechanism[Any], found: Any) -> str:
    if found["type"] == "extra_forbidden":
        known = ", ".join(sorted(mechanism.parameters.model_fields)) or "none"
        return f"is not a parameter of {mechanism.name} (known: {known})"
    if found["type"] == "value_error":
        return str(found["ctx"]["error"])
    return str(found["msg"]).lower()


BOUNDS = f"an order is at most {MAX_ORDER_WH} Wh and a price at most {MAX_PRICE} micro-currency/kWh"
