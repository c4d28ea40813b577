"""The plots of a comparison: one row per design in each. Each is a function of a comparison to one SVG text.

`width` below `plots.PHONE` gives the form for a phone. `standalone` as in `plots`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Final

import numpy as np

from commonwatt.report import svg
from commonwatt.report.plots import PHONE, WIDE, clock_axis, step_path, time_ticks
from commonwatt.report.svg import Key, Scale, tag, text
from commonwatt.study.compare.comparison import Comparison, Row
from commonwatt.units import FloatArray

STEP: Final = 24.0
"""Height of a row [px]."""
BAND: Final = 40.0
"""Height of a row that holds a course over time [px]."""
NAME_LENGTH: Final = 30
HUES: Final = {"grid": "utility alone", "ahead": "clears ahead of delivery, or begins there", "after": "after delivery"}
HALO: Final = "stroke:var(--paper);stroke-width:4px;paint-order:stroke"
"""Keeps a figure legible where a line passes behind it."""
MOST_DOTS: Final = 1500
"""With more homes than that over all designs, homes are not drawn one by one."""


def bills_svg(found: Comparison, width: float = WIDE, *, standalone: bool = True) -> str:
    """What all homes pay together, and with the utility alone."""
    return _bars(found, width, f"Bills of all homes, {found.currency}", lambda row: row.bill, 2, standalone)


def peaks_svg(found: Comparison, width: float = WIDE, *, standalone: bool = True) -> str:
    """The highest import of the community."""
    return _bars(found, width, "Highest import of the community, kW", lambda row: row.peak_kw, 1, standalone)


def losses_svg(found: Comparison, width: float = WIDE, *, standalone: bool = True) -> str:
    """Losses in lines and transformer."""
    return _bars(found, width, "Losses in the wires, kWh", lambda row: row.losses_kwh, 2, standalone)


def distances_svg(found: Comparison, width: float = WIDE, *, standalone: bool = True) -> str:
    """How far apart seller and buyer of a kWh are."""
    title = "Mean electrical distance of a traded kWh, ohm"
    return _bars(found, width, title, lambda row: row.distance_ohm, 3, standalone)


def _bars(
    found: Comparison, width: float, title: str, value: Callable[[Row], float | None], places: int, standalone: bool
) -> str:
    """One bar per design; the dashed line is the first design's value, that of the utility alone."""
    values = [value(row) for row in found.rows]
    known = [each for each in values if each is not None] or [0.0]
    keys = [Key(label, hue) for hue, label in HUES.items() if hue in map(_hue, found.rows)]
    swatches, head = svg.legend(keys, 8, 4, width - 16)
    left, right, top = _names_width(found, width), width - 62, head + 12
    bottom = top + len(values) * STEP
    x = Scale(min(0.0, *known), max(0.0, *known) or 1.0, left, right)
    parts = [swatches]
    if values[0]:
        at = svg.number(x(values[0]))
        parts.append(tag("path", d=f"M{at} {svg.number(top)}V{svg.number(bottom)}", class_="line tariff dash"))
    for number, (row, each) in enumerate(zip(found.rows, values, strict=True)):
        y = top + number * STEP
        parts.append(_name(row, left, y, STEP))
        begin, end = sorted((x(0), x(each or 0.0)))
        if each is not None:
            parts.append(tag("rect", x=begin, y=y + 4, width=max(end - begin, 1.0), height=STEP - 8, class_=_hue(row)))
        shown = "–" if each is None else f"{each:.{places}f}".replace("-", "−")
        parts.append(text(end + 6, y + 16, shown, "soft", style=HALO))
    description = f"One bar per design, from {min(known):.{places}f} to {max(known):.{places}f}."
    return svg.plot(width, bottom + 8, title, description, *parts, standalone=standalone)


def savings_svg(found: Comparison, width: float = WIDE, *, standalone: bool = True) -> str:
    """What each home saves: a box from the first to the third quarter, the median, and a dot for each home."""
    rows = found.rows[1:]
    values = [np.array(row.saved_by_home) for row in rows]
    every = np.concatenate([*values, np.zeros(1)])
    left, top = _names_width(found, width), 34.0
    x = Scale(float(every.min()), float(every.max()) or 1.0, left + 8, width - 16)
    bottom = top + len(rows) * STEP
    dots = len(found.homes) * len(rows) <= MOST_DOTS
    keys = [Key("half of the homes", "heat faint"), Key("median", "line edge", "line")]
    parts = [svg.legend([*keys, *([Key("a home", "neighbours")] if dots else [])], 8, 4, width - 16)[0]]
    parts.append(_value_ticks(x, top, bottom))
    parts.append(tag("path", d=f"M{svg.number(x(0))} {svg.number(top)}V{svg.number(bottom)}", class_="axis"))
    for number, (row, saved) in enumerate(zip(rows, values, strict=True)):
        y = top + number * STEP
        parts.append(_name(row, left, y, STEP))
        low, middle, high = (x(float(value)) for value in np.quantile(saved, [0.25, 0.5, 0.75]))
        parts.append(tag("rect", x=low, y=y + 4, width=max(high - low, 1.0), height=STEP - 8, class_="heat faint"))
        if dots:
            for home, value in zip(found.homes, saved.tolist(), strict=True):
                tip = svg.hint(f"{home}: {value:.2f}")
                parts.append(
                    tag("circle", tip, cx=x(value), cy=y + STEP / 2, r=2.5, fill_opacity="0.6", class_="neighbours")
                )
        else:
            ends = (x(float(saved.min())), x(float(saved.max())))
            line = f"M{svg.number(ends[0])} {svg.number(y + STEP / 2)}H{svg.number(ends[1])}"
            parts.append(tag("path", d=line, class_="axis"))
        parts.append(tag("path", d=f"M{svg.number(middle)} {svg.number(y + 3)}V{svg.number(y + STEP - 3)}",
                         class_="edge"))  # fmt: skip
    description = f"From {every.min():.2f} to {every.max():.2f} {found.currency}."
    title = f"Saved by each home, {found.currency}"
    return svg.plot(width, bottom + 26, title, description, *parts, standalone=standalone)


def prices_svg(found: Comparison, width: float = WIDE, *, standalone: bool = True) -> str:
    """Mean price between neighbours over the day, within the band where both gain; all designs on one scale."""
    rows = [row for row in found.rows if row.trades]
    courses = [np.array([np.nan if p is None else p for p in row.price_by_slot]) for row in rows]
    bounds = np.array([found.floor, np.maximum(found.ceiling, found.floor)])
    return _courses(found, rows, courses, bounds, f"Price between neighbours, {found.currency}/kWh", width, standalone)


def imports_svg(found: Comparison, width: float = WIDE, *, standalone: bool = True) -> str:
    """Import of the community over the day; designs that do not change it stand in one row."""
    alike: dict[tuple[float, ...], list[Row]] = {}
    for row in found.rows:
        alike.setdefault(row.import_kw_by_slot, []).append(row)
    rows = [group[0] for group in alike.values()]
    courses = [np.array(course) for course in alike]
    bounds = np.array([np.zeros(len(courses[0])), courses[0]])
    return _courses(found, rows, courses, bounds, "Import of the community, kW", width, standalone)


def _courses(
    found: Comparison, rows: Sequence[Row], courses: Sequence[FloatArray], band: FloatArray, title: str, width: float,
    standalone: bool,
) -> str:  # fmt: skip
    """A small plot per design over the same time and on the same scale; `band`, shape (2, slots), is behind each."""
    axis = clock_axis([datetime.fromisoformat(moment) for moment in found.clock], narrow=width < PHONE)
    band_means = [axis.mean(edge) for edge in band]
    means = [axis.mean(course) for course in courses]
    every = np.concatenate([*means, *band_means])
    low, high = min(0.0, float(np.nanmin(every))), float(np.nanmax(every)) or 1.0
    left, right = _names_width(found, width), width - 62
    x = Scale(0, axis.count, left, right)
    axis = replace(axis, ticks=_apart(axis.ticks, x))
    parts = []
    for number, (row, course, mean) in enumerate(zip(rows, courses, means, strict=True)):
        y = Scale(low, high, 8 + (number + 1) * BAND - 4, 8 + number * BAND + 4)
        parts.append(_name(row, left, y.end, BAND - 8))
        parts.append(tag("path", d=f"M{svg.number(left)} {svg.number(y.start)}H{svg.number(right)}", class_="rule"))
        edges = [x(place) for place in range(axis.count + 1)]
        near, far = ([y(value) for value in edge.tolist()] for edge in band_means)
        parts.append(tag("path", d=svg.step_area(edges, near, far), class_="band"))
        parts.append(tag("path", svg.hint(row.design), d=step_path(x, y, mean), class_="line neighbours"))
        known = course[np.isfinite(course)]
        places = 2 if high < 10 else 0
        ends = f"{known.min():.{places}f}–{known.max():.{places}f}" if len(known) else "–"
        parts.append(text(right + 6, y.end + 20, ends, "soft small"))
    bottom = 8 + len(rows) * BAND
    parts.append(time_ticks(axis, x, bottom))
    description = f"One row per design, from {low:.2f} to {high:.2f}."
    return svg.plot(width, bottom + 26, title, description, *parts, standalone=standalone)


def _apart(ticks: Sequence[tuple[int, str]], x: Scale) -> list[tuple[int, str]]:
    """The ticks whose labels do not touch: every one, or every second one of them, and so on."""
    kept = list(ticks)
    while len(kept) > 2 and any(
        x(right) - x(left) < 1.5 * svg.text_width(label) for (left, _), (right, label) in pairwise(kept)
    ):
        kept = kept[::2]
    return kept


def _names_width(found: Comparison, width: float) -> float:
    longest = max(len(svg.shorten(row.design, _length(width))) for row in found.rows)
    return 16 + svg.text_width("m" * longest)


def _length(width: float) -> int:
    return NAME_LENGTH // 2 if width < PHONE else NAME_LENGTH


def _name(row: Row, left: float, top: float, height: float) -> str:
    """The design's name, cut so that it ends before the plot begins."""
    most = int((left - 16) / svg.text_width("m"))
    return text(left - 8, top + height / 2 + 4, svg.shorten(row.design, most), anchor="end")


def _hue(row: Row) -> str:
    """Colour by when a design clears; the utility alone is grey."""
    return row.phase.partition(" ")[0] or "grid"


def _value_ticks(x: Scale, top: float, bottom: float) -> str:
    step = svg.round_step(x.high - x.low, 6)
    parts = []
    for value in x.ticks(6):
        at = svg.number(x(value))
        parts.append(tag("path", d=f"M{at} {svg.number(top)}V{svg.number(bottom)}", class_="rule"))
        parts.append(text(x(value), bottom + 16, svg.tick_text(value, step), "soft", "middle"))
    return "".join(parts)


PLOTS: Final[Mapping[str, Callable[..., str]]] = {
    "savings": savings_svg,
    "bills": bills_svg,
    "peaks": peaks_svg,
    "prices": prices_svg,
    "imports": imports_svg,
    "losses": losses_svg,
    "distances": distances_svg,
}
"""By the word that a notebook uses."""
