"""When the utility's prices were below zero, and what became of the energy that nobody wanted then."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from commonwatt.plain import many
from commonwatt.units import price_text

if TYPE_CHECKING:
    from commonwatt.simulation.result import Result

_SPANS: Final = 3
"""How many spans of time are named."""


def below_zero(result: Result) -> list[str]:
    """The sentences; none where no price was below zero."""
    community, prices, arrays = result.community, result.prices, result.arrays
    told = []
    if (paid := prices.feed_in < 0).any():
        lowest = community.told(int(prices.feed_in.min()))
        surplus = (arrays[name][:, paid].sum() for name in ("sold", "exported", "curtailed"))
        sold, fed, held = (f"{wh / 1000:.1f} kWh" for wh in surplus)
        told.append(
            f"feed-in price below zero in {_when(result, paid)}, {lowest}/kWh at the lowest; of the surplus {sold} "
            f"went to neighbours and {fed} to the utility, and {held} were held back"
        )
    if (free := prices.gross < 0).any():
        lowest = community.told(int(prices.gross.min()))
        told.append(f"a kWh from the utility cost less than nothing in {_when(result, free)}, {lowest} at the lowest")
    return told


def below_zero_figures(result: Result) -> dict[str, Any]:
    """The same as plain data: numbers of slots, prices as decimal text per kWh."""
    prices, unit = result.prices, result.community.unit
    return {
        "feed_in_slots": int((prices.feed_in < 0).sum()),
        "retail_slots": int((prices.gross < 0).sum()),
        "lowest_feed_in": price_text(int(prices.feed_in.min()) * unit),
        "lowest_retail": price_text(int(prices.gross.min()) * unit),
    }


def _when(result: Result, chosen: NDArray[np.bool_]) -> str:
    """How many slots these are, and their spans by the community's clock."""
    period, zone = result.period, ZoneInfo(result.community.timezone)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]))).reshape(-1, 2)
    spans = []
    for first, last in edges[:_SPANS].tolist():
        begin, end = (datetime.fromtimestamp(period.start + at * period.seconds, zone) for at in (first, last))
        until = f"{end:%H:%M}" if begin.date() == end.date() else f"{end.day} {end:%b %H:%M}"
        spans.append(f"{begin.day} {begin:%b %H:%M} to {until}")
    more = [f"{len(edges) - _SPANS} times more"] if len(edges) > _SPANS else []
    return f"{chosen.sum()} of {many(period.count, 'slot')} ({', '.join([*spans, *more])})"
