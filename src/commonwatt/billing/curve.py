"""The month's curve as rectangles: energy of each day, drawn upwards, fed in downwards, what was shared of it solid.

Direction and fill tell the four apart, so that it reads on paper without colours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from commonwatt.billing.sheet import Day
from commonwatt.units import WH_PER_KWH

LEGEND: Final = {
    "drawn": "from the grid",
    "bought": "of it from the community",
    "fed": "to the grid",
    "sold": "of it to the community",
}
_MARGIN: Final = 0.2
"""Of a day's width, between its bar and the next."""


@dataclass(frozen=True)
class Bar:
    """A rectangle, its corner at the left above; kind : a key of LEGEND"""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Curve:
    """A picture of `width` by `height`, y downwards, in the units that it was asked for.

    zero : y of nothing; ticks : y and text of lines across; days : x of the middle and text of some days
    """

    width: float
    height: float
    bars: tuple[Bar, ...]
    zero: float
    ticks: tuple[tuple[float, str], ...]
    days: tuple[tuple[float, str], ...]


def curve(days: Sequence[Day], width: float, height: float) -> Curve:
    """Bars of all days, as high as fits. days : those of the month, in order"""
    most, least = max((each.drawn for each in days), default=0), max((each.fed for each in days), default=0)
    span = max(most + least, 1)
    scale = height / span
    zero = most * scale if most + least else height
    step = width / max(len(days), 1)
    bars = []
    for place, each in enumerate(days):
        left, wide = (place + _MARGIN / 2) * step, step * (1 - _MARGIN)
        for kind, wh in (("drawn", each.drawn), ("bought", each.bought)):
            bars.append(Bar(kind, left, zero - wh * scale, wide, wh * scale))
        for kind, wh in (("fed", each.fed), ("sold", each.sold)):
            bars.append(Bar(kind, left, zero, wide, wh * scale))
    shown = [place for place, each in enumerate(days) if each.day.day == 1 or each.day.day % 5 == 0]
    return Curve(
        width,
        height,
        tuple(bar for bar in bars if bar.height > 0),
        zero,
        tuple((zero - tick * WH_PER_KWH * scale, f"{abs(tick):g}") for tick in _ticks(most, least)),
        tuple(((place + 0.5) * step, str(days[place].day.day)) for place in shown),
    )


def _ticks(most: int, least: int) -> list[float]:
    """Round values from -least to most [kWh], about five; 0 is one of them."""
    span = (most + least) / WH_PER_KWH
    if not span:
        return [0.0]
    power = 10.0 ** math.floor(math.log10(span / 6))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= span / 6)
    first, last = -math.floor(least / WH_PER_KWH / step), math.floor(most / WH_PER_KWH / step)
    return [round(place * step, 9) for place in range(first, last + 1)]
