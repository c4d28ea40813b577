"""The period of a bill as a drawing: what came in above the line, what left below it, slot by slot or day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from commonwatt.member.summary import Moved, Summary
from commonwatt.report.bill import words
from commonwatt.report.svg import (
    Key,
    Scale,
    legend,
    number,
    plot,
    stack,
    step_area,
    step_line,
    tag,
    text,
    tick_text,
)
from commonwatt.units import FloatArray

_WIDTH: Final = 720.0
_HEIGHT: Final = 164.0
_LEFT: Final = 40.0
_TOP: Final = 30.0
_BOTTOM: Final = 20.0
_SLOTS: Final = 200
"""More than two days of quarter hours are drawn day by day."""
_LABELS: Final = 9
_KINDS: Final = (
    ("own", "own plants", "own", 1), ("bought", "neighbours", "neighbours", 1), ("imported", "the utility", "grid", 1),
    ("sold", "neighbours", "neighbours", -1), ("exported", "the utility", "grid", -1),
)  # fmt: skip
"""Field of `Moved`, its name, its colour and its side."""


@dataclass(frozen=True)
class _Bins:
    """What is drawn side by side. labels : by place, of some of them; energy : by field, each shape (bins,) [kWh]"""

    unit: str
    labels: dict[int, str]
    energy: dict[str, FloatArray]


def curve(bill: Summary) -> str:
    """The drawing, for a page that has the style of `svg`."""
    bins = _bins(bill)
    count = len(bins.energy["bought"])
    sides = {sign: [bins.energy[field] for field, *_, own in _KINDS if own == sign] for sign in (1, -1)}
    most, least = (float(np.sum(sides[sign], axis=0).max()) for sign in (1, -1))
    y = Scale(-max(least, most / 8, 1e-3), max(most, least / 8, 1e-3), _HEIGHT - _BOTTOM, _TOP)
    x = Scale(0, count, _LEFT, _WIDTH)
    edges = [x(place) for place in range(count + 1)]
    parts = [_grid(y), *_areas(bins, edges, y)]
    base = number(y(0))
    parts.append(tag("path", d=f"M{number(_LEFT)} {base}H{number(_WIDTH)}", class_="axis"))
    parts += [text(x(place), _HEIGHT - 4, label, "soft small") for place, label in bins.labels.items()]
    drawn = dict.fromkeys((each, hue) for field, each, hue, _ in _KINDS if bins.energy[field].any())
    keys, _ = legend([Key(each, hue) for each, hue in drawn], _LEFT, 0, _WIDTH - _LEFT)
    title = f"Energy of each {bins.unit}, kWh"
    described = "Above the line what came into the home, below it what left, from and to whom."
    return plot(_WIDTH, _HEIGHT, title, described, keys, *parts, standalone=False)


def caption(bill: Summary) -> str:
    """What the drawing shows."""
    return f"kWh of each {_bins(bill).unit}: above the line what came in, below it what left"


def _grid(y: Scale) -> str:
    ticks = y.ticks(5)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    lines = "".join(f"M{number(_LEFT)} {number(y(tick))}H{number(_WIDTH)}" for tick in ticks)
    labels = (text(_LEFT - 6, y(tick) + 4, tick_text(abs(tick), step), "soft small", "end") for tick in ticks)
    return tag("path", d=lines or "M0 0", class_="rule") + "".join(labels)


def _areas(bins: _Bins, edges: Sequence[float], y: Scale) -> list[str]:
    found = []
    for sign in (1, -1):
        kinds = [(field, hue) for field, _, hue, own in _KINDS if own == sign]
        for (_, hue), (low, high) in zip(kinds, stack([bins.energy[field] for field, _ in kinds]), strict=True):
            if (high > low).any():
                near, far = ([y(sign * each) for each in bound.tolist()] for bound in (low, high))
                found.append(tag("path", d=step_area(edges, near, far), class_=hue))
    for sign in (1, -1):
        whole = np.sum([bins.energy[field] for field, *_, own in _KINDS if own == sign], axis=0)
        if whole.any():
            line = step_line(edges, [y(sign * each) for each in whole.tolist()])
            found.append(tag("path", d=line, class_="rule"))
    return found


def _bins(bill: Summary) -> _Bins:
    if len(bill.moved) <= _SLOTS:
        groups = [[each] for each in bill.moved]
        times = [bill.local(each.start) for each in bill.moved]
        hours = max(1, round(len(groups) * bill.slot_seconds / 3600 / _LABELS))
        step = next((each for each in (1, 2, 3, 6, 12, 24) if each >= hours), 24)
        labels = {place: f"{at:%H:%M}" for place, at in enumerate(times) if at.minute == 0 and at.hour % step == 0}
        return _Bins(words.span(bill, 1)[2:], labels, _energy(groups))
    by_day: dict[str, list[Moved]] = {}
    for each in bill.moved:
        by_day.setdefault(f"{bill.local(each.start):%Y-%m-%d}", []).append(each)
    every = max(1, -(-len(by_day) // _LABELS))
    labels = {place: day[5:] if len(by_day) > 31 else str(int(day[8:])) for place, day in enumerate(by_day)}
    return _Bins(
        "day", {place: day for place, day in labels.items() if place % every == 0}, _energy([*by_day.values()])
    )


def _energy(groups: Sequence[Sequence[Moved]]) -> dict[str, FloatArray]:
    return {
        field: np.array([sum(getattr(each, field) for each in group) / 1000 for group in groups], dtype=np.float64)
        for field, *_ in _KINDS
    }
