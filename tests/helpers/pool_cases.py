"""The pools as tests use them, and slots to clear."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from commonwatt.market import Frame, Positions
from commonwatt.market.designs.mid_market import MID_MARKET
from commonwatt.market.designs.sdr import SDR
from commonwatt.market.designs.sdr_compensated import SDR_COMPENSATED
from commonwatt.market.designs.sharing_key import SHARING_KEY
from commonwatt.records import Clearing
from commonwatt.units import MAX_PRICE

CASES = Path(__file__).parents[1] / "market" / "cases"
MECHANISMS = {mechanism.name: mechanism for mechanism in (SDR, SDR_COMPENSATED, MID_MARKET, SHARING_KEY)}
POOLS = [
    ("sdr", {}),
    ("sdr-compensated", {"kappa": "0.2"}),
    ("sdr-compensated", {"kappa": "1"}),
    ("mid-market", {}),
    ("sharing-key", {"key": "dynamic"}),
    ("sharing-key", {"key": "dynamic", "price": "0.10"}),
    ("sharing-key", {"key": "static"}),
]


def case(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Input and expected result of one reference case."""
    given, expected = (json.loads((CASES / name / f"{part}.json").read_text("utf-8")) for part in ("input", "expected"))
    return given, expected


def slot(
    nets: list[int],
    ceiling: int = 200_000,
    floor: int = 50_000,
    max_buy: list[int] | None = None,
    min_sell: list[int] | None = None,
) -> tuple[Frame, Positions]:
    """Frame and positions of one slot; without limits everybody takes any price."""
    members = len(nets)
    frame = Frame(np.array([0]), np.array([0]), 0.25, members, np.array([ceiling]), np.array([floor]))
    limits = (max_buy or [MAX_PRICE] * members, min_sell or [-MAX_PRICE] * members)
    return frame, Positions(*(np.array(column, dtype=np.int64) for column in (nets, *limits)))


def clear(name: str, parameters: dict[str, Any], *args: Any, **kwargs: Any) -> Clearing:
    """One slot cleared and proved."""
    frame, positions = slot(*args, **kwargs)
    return MECHANISMS[name].clear(frame, (positions,), parameters)[0]


nets = st.lists(st.integers(-5_000, 5_000), max_size=30)
bounds = st.tuples(st.integers(0, 300_000), st.integers(0, 300_000)).map(sorted)


@st.composite
def slots_with_limits(draw: st.DrawFn) -> tuple[list[int], int, int, list[int], list[int]]:
    """(nets, ceiling, floor, max_buy, min_sell)"""
    energy = draw(nets)
    floor, ceiling = draw(bounds)
    limit = st.lists(st.integers(0, 300_000), min_size=len(energy), max_size=len(energy))
    return energy, ceiling, floor, draw(limit), draw(limit)
