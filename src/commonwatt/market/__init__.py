"""Market mechanisms, one file each: pure functions of arrays to Clearings that prove themselves."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from commonwatt.errors import MarketError
from commonwatt.market.fixed import FIXED
from commonwatt.market.interface import Events, Frame, Mechanism, Orders, Outcome, Parameters, Positions
from commonwatt.market.sdr import SDR

__all__ = ["MECHANISMS", "Events", "Frame", "Mechanism", "Orders", "Outcome", "Parameters", "Positions", "find"]

MECHANISMS: dict[str, Mechanism[Any]] = {mechanism.name: mechanism for mechanism in (FIXED, SDR)}


def find(name: str) -> Mechanism[Any]:
    """The mechanism called `name`. Raises MarketError with near names."""
    if name in MECHANISMS:
        return MECHANISMS[name]
    near = get_close_matches(name, MECHANISMS, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(MECHANISMS))}."
    raise MarketError(f"There is no mechanism '{name}'; {hint}")
