"""The plots over time: balance, days, prices. Each is a function of a result to one SVG text.

`width` below 600 gives the form for a phone. `standalone` plots carry their style and heading; those for a page
that has `svg.STYLE` do not. Power is kW, energy kWh, money the community's currency, time its own clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from commonwatt.report import svg
from commonwatt.report.metrics import disposal, supply, worth_showing
from commonwatt.report.svg import Key, Scale, tag, text
from commonwatt.units import FloatArray, IntArray

if TYPE_CHECKING:
    from commonwatt.simulation.result import Result

WIDE: Final = 960
PHONE: Final = 600
"""Below this width [px] a plot takes its narrow form."""
DAYS_IN_FULL: Final = 3
"""Longer periods are shown as their average day."""
LABELS: Final = {
    "own": "own roof, used at once",
    "neighbours": "neighbours",
    "battery": "own battery",
    "grid": "utility",
    "returned": "own feed-in, through the meter",
    "curtailed": "held back",
}
TARIFF_LINES: Final = {
    "grid_price": ("utility's price with everything", "line tariff"),
    "ceiling": ("most that a local kWh may cost", "line tariff dash"),
    "feed_in": ("feed-in price", "line tariff dots"),
}


@dataclass(frozen=True)
class Hours:
    """A time axis over `count` slots. ticks : (place, label); groups : which slots are shown at each place."""

    count: int
    ticks: list[tuple[int, str]]
    groups: IntArray
    title: str

    def mean(self, values: np.typing.NDArray[np.floating[Any]]) -> FloatArray:
        """Average over the slots of each place, leaving out NaN; NaN where all are, shape (count,)."""
        known = np.isfinite(values)
        total = np.bincount(self.groups[known], weights=values[known], minlength=self.count)
        number = np.bincount(self.groups[known], minlength=self.count)
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def hours_axis(result: Result, *, narrow: bool) -> Hours:
    """All slots of a few days, or the average day of a longer period, by local time."""
    return clock_axis(result.slots["local"].to_list(), narrow=narrow)


def clock_axis(clock: Sequence[datetime], *, narrow: bool) -> Hours:
    """The same from the local time at which each slot starts."""
    days = len({moment.date() for moment in clock})
    if days > DAYS_IN_FULL:
        times = sorted({moment.time() for moment in clock})
        place = {moment: number for number, moment in enumerate(times)}
        groups = np.array([place[moment.time()] for moment in clock], dtype=np.int64)
        ticks = [(n, f"{t:%H:%M}") for n, t in enumerate(times) if t.minute == 0 and t.hour % (6 if narrow else 3) == 0]
        return Hours(len(times), [*ticks, (len(times), "24:00")], groups, f"average of {days} days")
    every = (6 if narrow else 3) if days == 1 else (12 if narrow else 6)
    ticks = [
        (n, f"{t:%H:%M}" if t.hour or days == 1 else f"{t.day} {t:%b}")
        for n, t in enumerate(clock)
        if t.minute == 0 and t.hour % every == 0
    ]
    end = [(len(clock), "24:00")] if days == 1 else []
    return Hours(len(clock), ticks + end, np.arange(len(clock)), "")


def balance_svg(result: Result, width: float = WIDE, *, standalone: bool = True) -> str:
    """Upwards where the homes' power came from, downwards where the roofs' power went, stacked [kW]."""
    axis = hours_axis(result, narrow=width < PHONE)
    kw = 1 / (1000 * result.community.hours)
    up = {name: axis.mean(wh * kw) for name, wh in supply(result.arrays).items()}
    down = {name: axis.mean(wh * kw) for name, wh in disposal(result.arrays).items()}
    title = "Power over the average day" if axis.title else "Power over the day"
    top = max(float(np.sum([*up.values()], axis=0).max()), 0.0)
    return _mirrored(up, down, axis, width, f"{title}, kW", standalone, peak=f"highest use {top:.1f} kW")


def days_svg(result: Result, width: float = WIDE, *, standalone: bool = True) -> str:
    """The same balance for each day of the period, stacked [kWh]."""
    dates: list[Any] = result.slots["local"].dt.date().to_list()
    days = sorted(set(dates))
    place = {day: number for number, day in enumerate(days)}
    groups = np.array([place[day] for day in dates])

    def daily(layers: Mapping[str, IntArray]) -> dict[str, FloatArray]:
        return {name: np.bincount(groups, weights=wh, minlength=len(days)) / 1000 for name, wh in layers.items()}

    every = -(-len(days) // (6 if width < PHONE else 16))
    ticks = [(number, f"{day.day} {day:%b}") for number, day in enumerate(days) if number % every == 0]
    axis = Hours(len(days), ticks, groups, "")
    up, down = daily(supply(result.arrays)), daily(disposal(result.arrays))
    return _mirrored(up, down, axis, width, "Energy by day, kWh", standalone, bars=True)


def _mirrored(
    up: dict[str, FloatArray], down: dict[str, FloatArray], axis: Hours, width: float, title: str,
    standalone: bool, *, bars: bool = False, peak: str = "",
) -> str:  # fmt: skip
    """Two stacks that share a zero line."""
    down = {name: down[name] for name in worth_showing(up, down)}
    keys = [Key(LABELS[name], name) for name in down]
    swatches, head = svg.legend(keys, 8, 4, width - 16)
    left, right, height = 44.0, width - 12.0, 350.0 if width < PHONE else 400.0
    upper, lower = np.sum([*up.values()], axis=0), np.sum([*down.values()], axis=0)
    y = Scale(-float(lower.max()), float(upper.max()) or 1.0, height - 46, head + 32)
    x = Scale(0, axis.count, left, right)
    parts = [swatches, grid_lines(y, left, right, "", 8, mirrored=True), time_ticks(axis, x, height - 26, centred=bars)]
    for stack in ({k: v for k, v in up.items() if k in down}, {name: -layer for name, layer in down.items()}):
        for name, (near, far) in zip(stack, svg.stack(list(stack.values())), strict=True):
            if (near == far).all():
                continue
            shape = _bars if bars else _area
            parts.append(tag("path", svg.hint(LABELS[name]), d=shape(x, y, near, far), class_=name))
    if not bars:
        parts += [tag("path", d=step_path(x, y, edge), class_="edge") for edge in (upper, -lower)]
    parts.append(tag("path", d=f"M{left} {svg.number(y(0))}H{right}", class_="axis"))
    parts.append(text(left, head + 20, "↑ where the homes' energy came from", "soft small"))
    parts.append(text(left, height - 32, "↓ where the roofs' energy went", "soft small"))
    description = f"Stacked over local time. {peak}".strip()
    return svg.plot(width, height, title, description, *parts, standalone=standalone)


def prices_svg(result: Result, width: float = WIDE, *, standalone: bool = True) -> str:
    """Local prices between the feed-in price and the ceiling [currency/kWh]; bold where energy was traded."""
    axis, slots, currency = hours_axis(result, narrow=width < PHONE), result.slots, result.community.currency
    tariff = {name: axis.mean(slots[name].to_numpy()) for name in TARIFF_LINES}
    local = {name: axis.mean(_floats(slots[name])) for name in result.local_prices}
    keys = [Key(label, class_, "line") for label, class_ in TARIFF_LINES.values()]
    looks = _price_looks(result)
    keys = [Key(label, class_, "line") for label, class_ in looks.values()] + keys
    swatches, head = svg.legend(keys, 8, 4, width - 16)
    left, right, height = 44.0, width - 12.0, head + (220.0 if width < PHONE else 270.0)
    highest = max(float(np.nanmax(line)) for line in (*tariff.values(), *local.values()))
    lowest = min(0.0, *(float(np.nanmin(line)) for line in (*tariff.values(), *local.values())))
    y, x = Scale(lowest, 1.06 * highest or 1.0, height - 26, head + 30), Scale(0, axis.count, left, right)
    parts = [swatches, grid_lines(y, left, right, f"{currency}/kWh", 6), time_ticks(axis, x, height - 26)]
    gains = result.prices.floor, np.maximum(result.prices.ceiling, result.prices.floor)
    near, far = (axis.mean(edge / result.community.per_currency) for edge in gains)
    parts.append(tag("path", d=_area(x, y, near, far), class_="band"))
    for name, line in tariff.items():
        parts.append(
            tag("path", svg.hint(TARIFF_LINES[name][0]), d=step_path(x, y, line), class_=TARIFF_LINES[name][1])
        )
    for name, line in local.items():
        label, class_ = looks[name]
        traded = np.isfinite(axis.mean(np.where(_traded(result, result.local_prices[name][0].name), 1.0, np.nan)))
        parts.append(tag("path", d=step_path(x, y, line), class_=f"{class_} faint"))
        bold = np.where(traded, line, np.nan)
        parts.append(tag("path", svg.hint(label), d=step_path(x, y, bold), class_=class_))
    description = "The shaded band is where both neighbours gain. Faint: a price at which nothing was traded."
    return svg.plot(width, height, f"Prices, {currency}/kWh", description, *parts, standalone=standalone)


def _price_looks(result: Result) -> dict[str, tuple[str, str]]:
    """Label and classes of each local price; the first ahead of delivery and after it is whole, others are dashed."""
    looks: dict[str, tuple[str, str]] = {}
    for column, (stage, name) in result.local_prices.items():
        phase = "ahead" if stage.gate else "after"
        first = not any(class_.startswith(f"line {phase}") for _, class_ in looks.values())
        looks[column] = f"{stage.name.replace('_', ' ')}: {name}", f"line {phase}{'' if first else ' dash'}"
    return looks


def _traded(result: Result, stage: str) -> np.typing.NDArray[np.bool_]:
    """In which slots something settled at this stage, shape (slots,)."""
    settled = result.trades.filter((pl.col("stage") == stage) & (pl.col("settled_wh") > 0))
    return result.slots["slot"].is_in(settled["slot"].unique().implode()).to_numpy()


def _floats(column: pl.Series) -> FloatArray:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def grid_lines(y: Scale, left: float, right: float, unit: str, count: int, *, mirrored: bool = False) -> str:
    """Horizontal rules with their values. mirrored : downwards values count up again, as of something else"""
    step = svg.round_step(y.high - y.low, count)
    parts = []
    for value in y.ticks(count):
        at = y(value)
        parts.append(tag("path", d=f"M{svg.number(left)} {svg.number(at)}H{svg.number(right)}", class_="rule"))
        parts.append(text(left - 6, at + 4, svg.tick_text(abs(value) if mirrored else value, step), "soft", "end"))
    if unit:
        parts.append(text(left - 36, y.end - 12, unit, "soft small"))
    return "".join(parts)


def time_ticks(axis: Hours, x: Scale, bottom: float, *, centred: bool = False) -> str:
    """Local times below the plot; `centred` on a bar instead of at a slot's start."""
    parts = []
    for place, label in axis.ticks:
        at = x(place + 0.5 if centred else place)
        anchor = "end" if place == axis.count else "middle" if place or centred else "start"
        if not centred:
            parts.append(tag("path", d=f"M{svg.number(at)} {svg.number(bottom)}v4", class_="axis"))
        parts.append(text(at, bottom + 18, label, "soft", anchor))
    return "".join(parts)


def step_path(x: Scale, y: Scale, values: FloatArray) -> str:
    """Path data of a step line with gaps where values are NaN."""
    known = np.isfinite(values)
    cuts = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]])))
    return "".join(
        svg.step_line([x(place) for place in range(begin, end + 1)], [y(value) for value in values[begin:end].tolist()])
        for begin, end in zip(cuts[::2].tolist(), cuts[1::2].tolist(), strict=True)
    )


def _area(x: Scale, y: Scale, near: FloatArray, far: FloatArray) -> str:
    edges = [x(place) for place in range(len(near) + 1)]
    return svg.step_area(edges, [y(value) for value in near.tolist()], [y(value) for value in far.tolist()])


def _bars(x: Scale, y: Scale, near: FloatArray, far: FloatArray) -> str:
    slot = x(1) - x(0)
    gap = min(0.12 * slot, 3.0)
    return "".join(
        svg.step_area([x(place) + gap, x(place + 1) - gap], [y(low)], [y(high)])
        for place, (low, high) in enumerate(zip(near.tolist(), far.tolist(), strict=True))
        if low != high
    )
