"""The plots of the residential study: hours of the day by strategy, and homes by design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from commonwatt.report import svg
from commonwatt.report.plots import PHONE, WIDE, Hours, grid_lines, step_path, time_ticks
from commonwatt.report.svg import Key, Scale, tag, text
from commonwatt.units import FloatArray

LOOKS: Final = {"baseline": "grid", "surplus": "own", "distance": "neighbours"}
"""The hue of each design."""


def hours_svg(title: str, unit: str, curves: Mapping[str, FloatArray], width: float = WIDE) -> str:
    """A curve a design over the hours of the day, shape (24,) each; gaps where a value is not a number."""
    keys = [Key(name, f"line {LOOKS[name]}", "line") for name in curves]
    swatches, head = svg.legend(keys, 8, 4, width - 16)
    left, right, height = 50.0, width - 12.0, head + 200.0
    known = np.concatenate([*curves.values()])
    highest = float(np.nanmax(known)) if np.isfinite(known).any() else 1.0
    y, x = Scale(0.0, 1.06 * highest or 1.0, height - 26, head + 26), Scale(0, 24, left, right)
    every = 6 if width < PHONE else 3
    axis = Hours(24, [(hour, f"{hour:02d}:00") for hour in range(0, 25, every)], np.arange(24), "")
    parts = [swatches, grid_lines(y, left, right, unit, 5), time_ticks(axis, x, height - 26)]
    parts += [
        tag("path", svg.hint(name), d=step_path(x, y, curve), class_=f"line {LOOKS[name]}")
        for name, curve in curves.items()
    ]
    return svg.plot(width, height, title, f"{unit} by hour of the local day.", *parts, standalone=False)


def homes_svg(
    title: str, unit: str, homes: Sequence[str], values: Mapping[str, FloatArray], width: float = WIDE
) -> str:
    """A row a home, with one dot for each design; a rule joins them. values : shape (homes,) by design."""
    swatches, head = svg.legend([Key(name, LOOKS[name]) for name in values], 8, 4, width - 16)
    step, table = 17.0, np.stack([*values.values()])
    names = 14 + svg.text_width("m" * max(map(len, homes)), 11)
    bottom = head + 12 + step * len(homes)
    low, high = min(0.0, float(table.min())), max(0.0, float(table.max())) or 1.0
    x = Scale(low, high, names, width - 24)
    parts = [swatches]
    tick = svg.round_step(high - low, 4 if width < PHONE else 8)
    for value in x.ticks(4 if width < PHONE else 8):
        at = svg.number(x(value))
        parts.append(tag("path", d=f"M{at} {svg.number(head + 8)}V{svg.number(bottom)}", class_="rule"))
        parts.append(text(x(value), bottom + 15, svg.tick_text(value, tick), "soft", "middle"))
    for place, home in enumerate(homes):
        middle = head + 12 + step * (place + 0.5)
        ends = svg.number(x(table[:, place].min())), svg.number(x(table[:, place].max()))
        told = ", ".join(f"{name} {values[name][place]:.2f}" for name in values)
        parts.append(text(names - 8, middle + 4, home, "small", "end"))
        parts.append(tag("path", d=f"M{ends[0]} {svg.number(middle)}H{ends[1]}", class_="axis faint"))
        parts += [
            tag(
                "circle",
                svg.hint(f"{home}: {told} {unit}"),
                cx=x(float(value[place])),
                cy=middle,
                r=4.2,
                class_=LOOKS[name],
            )
            for name, value in values.items()
        ]
    return svg.plot(width, bottom + 24, title, f"{unit}; one dot for each design.", *parts, standalone=False)
