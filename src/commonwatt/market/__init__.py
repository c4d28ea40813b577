"""Market mechanisms, one file each: pure functions of arrays to Clearings that prove themselves."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from commonwatt.errors import MarketError
from commonwatt.market.bilateral.neighbourhood import Neighbourhood
from commonwatt.market.designs.bilateral import BILATERAL
from commonwatt.market.designs.coalition import COALITION
from commonwatt.market.designs.continuous import CONTINUOUS, as_events
from commonwatt.market.designs.fixed import FIXED
from commonwatt.market.designs.listings import LISTINGS
from commonwatt.market.designs.mid_market import MID_MARKET
from commonwatt.market.designs.pay_as_bid import PAY_AS_BID
from commonwatt.market.designs.schedule import SCHEDULE
from commonwatt.market.designs.sdr import SDR
from commonwatt.market.designs.sdr_compensated import SDR_COMPENSATED
from commonwatt.market.designs.sharing_key import SHARING_KEY
from commonwatt.market.designs.uniform import UNIFORM
from commonwatt.market.interface import Events, Frame, Limits, Orders, Outcome, Parameters, Positions
from commonwatt.market.mechanism import Mechanism

__all__ = [
    "MECHANISMS",
    "Events",
    "Frame",
    "Limits",
    "Mechanism",
    "Neighbourhood",
    "Orders",
    "Outcome",
    "Parameters",
    "Positions",
    "as_events",
    "find",
]

_ALL = (
    FIXED, LISTINGS, COALITION, UNIFORM, PAY_AS_BID, CONTINUOUS, BILATERAL, SCHEDULE,
    SDR, SDR_COMPENSATED, MID_MARKET, SHARING_KEY,
)  # fmt: skip

MECHANISMS: dict[str, Mechanism[Any]] = {mechanism.name: mechanism for mechanism in _ALL}


def find(name: str) -> Mechanism[Any]:
    """The mechanism called `name`. Raises MarketError with near names."""
    if name in MECHANISMS:
        return MECHANISMS[name]
    near = get_close_matches(name, MECHANISMS, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(MECHANISMS))}."
    raise MarketError(f"There is no mechanism '{name}'; {hint}")
