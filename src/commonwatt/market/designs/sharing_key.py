"""`sharing-key`: local energy by the allocation keys that energy communities use by law today.

In each slot every member is allocated a part of what the others feed in, and never more than it consumes itself:

    dynamic:  a_i = min(S · d_i / Σd, d_i)
    static:   a_i = min(S · k_i,      d_i)      with agreed shares Σk <= 1

S is the supply, d_i the demand of member i. What a static share leaves unused goes to the grid, even when another
member could use it; the dynamic key leaves nothing unused that somebody needs. Sellers give in proportion to what they
feed in. The price between members is the community's own agreement.

Source: the keys per quarter hour and the limit of one's own consumption are Austria's, as the national coordination
office explains them. docs/mechanisms/sharing-key.md says what is law where, and what is assumed.
Static shares of the supply are by largest remainder, ties to the lower member index; of registers they are carried on.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, model_validator

from commonwatt.errors import MarketError
from commonwatt.market import pool
from commonwatt.market.interface import Frame, Outcome, Parameters, Positions
from commonwatt.market.mechanism import Mechanism
from commonwatt.market.parameters import Money, outside
from commonwatt.units import MICRO, IntArray, largest_remainder, micro


def _shares(value: object) -> tuple[int, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise ValueError('are decimal numbers, such as "0.5, 0.3, 0.2" or ["0.5", "0.3", "0.2"]')
    shares = tuple(micro(part.strip()) for part in parts)
    if min(shares, default=0) < 0 or sum(shares) > MICRO:
        raise ValueError("are not negative and at most 1 together")
    return shares


class SharingKeyParameters(Parameters):
    """Parameters of `sharing-key`.

    key : "dynamic" = in proportion to consumption in the slot, "static" = agreed shares
    shares : of a static key, one per member in the order of community.toml, or per register of import where these are
        shared; without them all are equal
    price : between members [currency/kWh]; without it the middle of the utility's two prices
    """

    key: Literal["dynamic", "static"] = "dynamic"
    shares: Annotated[tuple[int, ...], BeforeValidator(_shares)] | None = None
    price: Money | None = None

    @model_validator(mode="after")
    def _shares_are_static(self) -> SharingKeyParameters:
        if self.shares is not None and self.key != "static":
            raise ValueError('shares need key = "static"')
        return self

    def in_vain(self, frame: Frame, most_kw: float) -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """A price outside the corridor; shares of nobody, or not one for each member."""
        if self.price is not None and (told := outside(self.price, frame)):
            yield "price", told
        if self.shares is not None and len(self.shares) != _buyers(frame):
            yield "shares", f"are {len(self.shares)}, one for each of {_buyers(frame)} {_who(frame)} is needed"
        if self.shares is not None and not sum(self.shares):
            yield "shares", "leave everybody without"


def rule(frame: Frame, inputs: tuple[Positions, ...], parameters: SharingKeyParameters) -> tuple[Outcome, ...]:
    """Clear each slot by itself."""
    share = pool.pro_rata if parameters.key == "dynamic" else partial(static, *static_key(frame, parameters))
    return pool.clear(frame, inputs, partial(local_price, parameters.price), share)


def _buyers(frame: Frame) -> int:
    return frame.members if frame.importing is None else frame.importing


def _who(frame: Frame) -> str:
    return "members" if frame.importing is None else "registers of import"


def static_key(frame: Frame, parameters: SharingKeyParameters) -> tuple[IntArray, int]:
    """The agreed shares, shape (members,), and what they are parts of; who cannot buy has none."""
    key, buyers = np.zeros(frame.members, dtype=np.int64), _buyers(frame)
    if parameters.shares is None:
        key[:buyers] = 1
        return key, max(1, buyers)
    if len(parameters.shares) != buyers:
        raise MarketError(f"sharing-key has {len(parameters.shares)} shares for {buyers} {_who(frame)}.")
    key[:buyers] = parameters.shares
    return key, MICRO


def static(
    key: IntArray, whole: int, demand: IntArray, supply: IntArray, kept: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Local part of demand and supply, each shape (members,) [Wh], by shares `key` / `whole` of the supply; and `kept`.

    >>> none = np.zeros(0, dtype=np.int64)
    >>> [side.tolist() for side in static(np.array([1, 1, 0]), 2, np.array([500, 200, 0]), np.array([0, 0, 600]), none)]
    [[300, 200, 0], [0, 0, 500], []]
    """
    total = int(supply.sum())
    if len(kept):
        taken, kept = _carried(key, whole, demand, total, kept)
    else:
        taken = np.minimum(largest_remainder(total * int(key.sum()) // whole, key), demand)
    given, kept = pool.split(int(taken.sum()), supply, kept)
    return taken, given, kept


def _carried(key: IntArray, whole: int, demand: IntArray, supply: int, kept: IntArray) -> tuple[IntArray, IntArray]:
    """Each one's part of the supply [Wh], at most its demand, rounded so that its sum over the slots stays true."""
    exact = np.array([supply * MICRO * int(part) // whole for part in key], dtype=np.int64)
    exact = np.minimum(exact, demand * MICRO)
    claims = exact + np.where(demand > 0, kept, 0)
    taken = np.clip((claims + MICRO // 2) // MICRO, exact // MICRO, -(-exact // MICRO))
    for last in np.argsort(claims - taken * MICRO, kind="stable")[: max(0, int(taken.sum()) - supply)]:
        taken[last] -= 1
    return taken, np.where(demand > 0, claims - taken * MICRO, kept)


def local_price(price: int | None, _supply: int, _demand: int, ceiling: int, floor: int) -> Fraction:
    """Price between members [unit/kWh]."""
    return Fraction(ceiling + floor, 2) if price is None else Fraction(price)


SHARING_KEY = Mechanism(
    "sharing-key", "after", Positions, SharingKeyParameters, rule, "Austria, energy communities and shared plants"
)
