"""The plots over homes: what each saved, and who delivered to whom. Each is a function of a result to one SVG text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from commonwatt.report import svg
from commonwatt.report.plots import PHONE, WIDE, grid_lines
from commonwatt.report.svg import Key, Scale, tag, text

if TYPE_CHECKING:
    from commonwatt.simulation.result import Result

NAMED_HOMES: Final = 60
"""A larger community is shown without names, or with the smaller homes together."""
NAME_LENGTH: Final = 14
SHADES: Final = (0.14, 0.32, 0.52, 0.76, 1.0)
"""Opacity of the five classes of the matrix; class k reaches to (k/5)² of the largest delivery."""


def savings_svg(result: Result, width: float = WIDE, *, standalone: bool = True) -> str:
    """What each home saved, sorted, homes with and without PV apart [currency]."""
    homes, currency = result.homes.sort(["saving", "home"], descending=[True, False]), result.community.currency
    named = len(homes) <= NAMED_HOMES
    pointed = any(member.points for member in result.community.members)
    with_, without = ("feeds in", "feeds nothing in") if pointed else ("with PV", "without PV")
    keys = [Key(with_, "own"), Key(without, "grid"), *([Key("has a battery", "battery")] if named else [])]
    swatches, head = svg.legend(keys, 8, 4, width - 16)
    rows = homes.to_dicts()
    draw = _named_bars if named else _thin_bars
    body, height = draw(rows, currency, width, head)
    description = f"Sorted; from {rows[0]['saving']:.2f} to {rows[-1]['saving']:.2f} {currency}."
    return svg.plot(
        width, height, f"Saved by each home, {currency}", description, swatches, body, standalone=standalone
    )


def _named_bars(rows: list[dict[str, Any]], currency: str, width: float, head: float) -> tuple[str, float]:
    columns = 1 if width < PHONE else 2
    per_column, step, parts = -(-len(rows) // columns), 18.0, []
    names = 12 + svg.text_width("m" * min(NAME_LENGTH, max(len(row["home"]) for row in rows)))
    room = width / columns
    low, high = min(0.0, rows[-1]["saving"]), max(0.0, rows[0]["saving"]) or 1.0
    decimals = 2 if high >= 0.1 else 4
    for number, row in enumerate(rows):
        column, line = divmod(number, per_column)
        left, top = column * room, head + 10 + line * step
        x = Scale(low, high, left + names + 16 + (44 if low < 0 else 0), left + room - 54)
        parts.append(text(left + 8, top + 13, svg.shorten(row["home"], NAME_LENGTH)))
        if row["battery_kwh"] > 0:
            parts.append(tag("rect", x=left + names + 4, y=top + 5, width=8, height=8, class_="battery"))
        start, end = sorted((x(0), x(row["saving"])))
        bar = {"x": start, "y": top + 2, "width": max(end - start, 1.0), "height": step - 4}
        parts.append(tag("rect", svg.hint(_bill_hint(row, currency)), class_=_pv_class(row), **bar))
        value = f"{row['saving']:.{decimals}f}"
        negative = row["saving"] < 0
        parts.append(text(start - 4 if negative else end + 5, top + 13, value, "soft", "end" if negative else "start"))
    return "".join(parts), head + 18 + per_column * step


def _thin_bars(rows: list[dict[str, Any]], currency: str, width: float, head: float) -> tuple[str, float]:
    left, right, height = 44.0, width - 12, head + 240.0
    low, high = min(0.0, rows[-1]["saving"]), max(0.0, rows[0]["saving"]) or 1.0
    y, x = Scale(low, 1.04 * high, height - 24, head + 30), Scale(0, len(rows), left, right)
    parts = [grid_lines(y, left, right, currency, 6)]
    for number, row in enumerate(rows):
        top, bottom = sorted((y(0), y(row["saving"])))
        bar = {"x": x(number), "y": top, "width": max(x(1) - x(0) - 1, 0.5), "height": max(bottom - top, 1.0)}
        tip = svg.hint(f"{row['home']}: {_bill_hint(row, currency)}")
        parts.append(tag("rect", tip, class_=_pv_class(row), **bar))
    parts.append(text(left, height - 6, f"{len(rows)} homes, the one that saved most first", "soft"))
    return "".join(parts), height


def _pv_class(row: Mapping[str, Any]) -> str:
    return "own" if row["pv_kwp"] > 0 or row["generation_wh"] > 0 else "grid"


def _bill_hint(row: Mapping[str, Any], currency: str) -> str:
    return f"{row['bill_without_market']:.2f} without the market, {row['bill']:.2f} with it [{currency}]"


def flows_svg(result: Result, width: float = WIDE, *, standalone: bool = True) -> str:
    """Who delivered how much to whom [kWh], the larger homes first.

    Sellers stand in rows and buyers, who are more, in columns; on a phone the other way round.
    """
    pairs = result.trades.filter(pl.col("settled_wh") > 0).group_by("seller", "buyer").agg(pl.col("settled_wh").sum())
    title = "Who delivered to whom, kWh"
    if pairs.is_empty():
        return svg.plot(width, 40, title, "Nothing.", text(8, 24, "Nothing was traded.", "soft"), standalone=standalone)
    ends = ("buyer", "seller") if width < PHONE else ("seller", "buyer")
    label = 12 + svg.text_width("m" * min(NAME_LENGTH, max(len(home) for home in result.homes["home"])))
    room = width - label - 52
    down, across = _largest(pairs, ends[0], NAMED_HOMES), _largest(pairs, ends[1], int(room // 14))
    cells = (
        pairs.with_columns(row=pl.col(ends[0]).replace(down), column=pl.col(ends[1]).replace(across))
        .group_by("row", "column")
        .agg(pl.col("settled_wh").sum())
        .sort("row", "column")
    )
    rows, columns = list(dict.fromkeys(down.values())), list(dict.fromkeys(across.values()))
    step = min(room / len(columns), 26.0), max(14.0, min(room / len(columns), 18.0))
    body, height = _matrix(cells, rows, columns, ends, step, label)
    description = f"{len(pairs)} pairs of homes; rows are {ends[0]}s, columns {ends[1]}s."
    return svg.plot(width, height, title, description, body, standalone=standalone)


def _largest(pairs: pl.DataFrame, end: str, most: int) -> dict[str, str]:
    """Each home's label, larger ones first; those beyond `most` labels share the last, "n others"."""
    order = pairs.group_by(end).agg(pl.col("settled_wh").sum()).sort(["settled_wh", end], descending=[True, False])
    names: list[str] = order[end].to_list()
    if len(names) <= most:
        return {name: name for name in names}
    others = f"{len(names) - most + 1} others"
    return {name: name if place < most - 1 else others for place, name in enumerate(names)}


def _matrix(
    cells: pl.DataFrame, rows: list[str], columns: list[str], ends: tuple[str, str], step: tuple[float, float],
    label: float,
) -> tuple[str, float]:  # fmt: skip
    """Cells shaded by energy, names at both sides, the sum of each row at its end; returns markup and height."""
    wide, tall = step
    largest = int(cells["settled_wh"].max())  # type: ignore[arg-type]
    swatches, head = _shades(largest)
    top = head + 30 + 0.8 * label
    parts = [swatches, text(label - 4, head + 18, f"{ends[1]}s →", "soft small", "end")]
    parts.append(text(label - 4, top - 8, f"{ends[0]}s ↓", "soft small", "end"))
    for place, name in enumerate(columns):
        at = f"translate({svg.number(label + (place + 0.5) * wide + 4)} {svg.number(top - 5)}) rotate(-90)"
        parts.append(tag("g", text(0, 0, svg.shorten(name, NAME_LENGTH), "small"), transform=at))
    for place, name in enumerate(rows):
        parts.append(text(label - 6, top + place * tall + tall / 2 + 4, svg.shorten(name, NAME_LENGTH), "small", "end"))
        line = top + (place + 1) * tall
        parts.append(
            tag("path", d=f"M{svg.number(label)} {svg.number(line)}h{svg.number(wide * len(columns))}", class_="rule")
        )
    sums = dict.fromkeys(rows, 0)
    for cell in cells.iter_rows(named=True):
        row, column, wh = rows.index(cell["row"]), columns.index(cell["column"]), cell["settled_wh"]
        sums[cell["row"]] += wh
        buyer, seller = (cell["row"], cell["column"]) if ends[0] == "buyer" else (cell["column"], cell["row"])
        box = {"x": label + column * wide + 0.5, "y": top + row * tall + 0.5, "width": wide - 1, "height": tall - 1}
        tip = svg.hint(f"{seller} → {buyer}: {wh / 1000:.3f} kWh")
        parts.append(tag("rect", tip, **box, fill_opacity=f"{SHADES[_shade(wh, largest)]}", class_="heat"))
    for place, wh in enumerate(sums.values()):
        x, y = label + wide * len(columns) + 6, top + place * tall + tall / 2 + 4
        parts.append(text(x, y, f"{wh / 1000:.{1 if wh >= 95 else 3}f}", "soft small"))
    return "".join(parts), top + tall * len(rows) + 8


def _shade(wh: int, largest: int) -> int:
    """Class of an energy [Wh]: the square root spreads the many small deliveries over more than one shade."""
    return min(int(len(SHADES) * (wh / largest) ** 0.5), len(SHADES) - 1)


def _shades(largest: int) -> tuple[str, float]:
    """The legend of the shades [kWh]."""
    parts, x = [], 8.0
    for place, shade in enumerate(SHADES):
        limit = f"{largest * ((place + 1) / len(SHADES)) ** 2 / 1000:.2g}"
        words = f"up to {limit} kWh" if place == 0 else limit
        parts.append(tag("rect", x=x, y=6, width=12, height=12, rx=2, class_="heat", fill_opacity=f"{shade}"))
        parts.append(text(x + 17, 16, words))
        x += 17 + svg.text_width(words) + 12
    return "".join(parts), 20.0
