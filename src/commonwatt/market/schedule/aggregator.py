"""The coordinator of a decentralised optimisation: it collects one value of each member a round and says what follows.

It knows whom to wait for, takes each value once and in its round, and starts the next round when nobody is missing:
what the contract `Aggregator` of Münsing, Mather, Moura (CCTA 2017) does in their public code. What a round comes to is
the state's affair: `Coupling` is that contract's own, in integers; `schedule_network.Offer` is the wires'. No input or
output here: a driver carries the values, or a contract stands in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, Self, TypeVar

from commonwatt.errors import MarketError

V = TypeVar("V")
V_contra = TypeVar("V_contra", contravariant=True)


class State(Protocol[V_contra]):
    """What everyone may read between two rounds."""

    @property
    def solved(self) -> bool:
        """Whether no further round is needed."""

    def after(self, values: Mapping[int, V_contra]) -> Self:
        """The state after a round in which the members sent `values`."""


S = TypeVar("S", bound="State[Any]")


class Aggregator(Generic[V, S]):
    """A round of values after another from the members on its list.

    members : who takes part; state : before the first round
    """

    def __init__(self, members: Iterable[int], state: S) -> None:
        self.members = frozenset(members)
        self.state = state
        self.iteration = 1
        self.values: dict[int, V] = {}

    @property
    def waiting(self) -> frozenset[int]:
        """Who has not sent a value in this round."""
        return self.members - self.values.keys()

    def submit(self, member: int, value: V, iteration: int) -> None:
        """Take a member's value; the last one of a round ends it.

        Raises MarketError when all is solved, for a stranger, for another round, and for a second value; nothing is
        changed then.
        """
        if self.state.solved:
            raise MarketError("The schedule is solved; no more values are taken.")
        if member not in self.members:
            raise MarketError(f"Member {member} is not on the aggregator's list.")
        if iteration != self.iteration:
            raise MarketError(f"Member {member} sent a value for round {iteration}; this is round {self.iteration}.")
        if member not in self.waiting:
            raise MarketError(f"Member {member} has sent its value in round {iteration} already.")
        values = {**self.values, member: value}
        if len(values) == len(self.members):
            self.state = self.state.after(values)
            self.iteration, values = self.iteration + 1, {}
        self.values = values


@dataclass(frozen=True)
class Coupling:
    """Members' values are to add up to a total: the method of multipliers in integers, as a contract computes it.

    total, penalty, multiplier : c, ρ and y of y ← y + ρ·(Σ values − c); total and multiplier scaled like the values
    tolerance : the largest residuals of a solution
    last : the values of the round before; primal, dual : |Σ values − c| and ρ·|last member's change|
    """

    total: int
    penalty: int
    tolerance: int
    multiplier: int = 0
    last: Mapping[int, int] | None = None
    primal: int | None = None
    dual: int | None = None

    @property
    def solved(self) -> bool:
        """Whether both residuals are below the tolerance."""
        if self.primal is None or self.dual is None:
            return False
        return self.primal < self.tolerance and self.dual < self.tolerance

    def after(self, values: Mapping[int, int]) -> Coupling:
        """The state after a round; members' steps come in the order of their numbers, so the last one's change counts.

        Before the first round all values are zero.
        """
        apart = sum(values.values()) - self.total
        second = max(values)
        moved = values[second] - (self.last[second] if self.last else 0)
        return replace(
            self,
            multiplier=self.multiplier + self.penalty * apart,
            last=dict(values),
            primal=abs(apart),
            dual=self.penalty * abs(moved),
        )
