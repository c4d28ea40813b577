"""Small helpers that write SVG: tags, scales, step paths, axes, legends, and the style that all plots share.

Lengths are user units, which are CSS pixels at a plot's own width. Colours are classes, so that one plot serves a
light and a dark page; hues follow Okabe and Ito, whose palette people with colour blindness can tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from typing import Final

from commonwatt.exchange.arguments import as_path, writing
from commonwatt.units import FloatArray

LIGHT: Final = (
    "--paper:#fff;--ink:#1c2430;--soft:#5c6675;--rule:#e3e6eb;--own:#e69f00;--battery:#009e73;--neighbours:#0072b2;"
    "--grid:#8d96a5;--returned:#8a5fb8;--curtailed:#d55e00;--ahead:#cc5f9c;--after:#0072b2;--heat:#0072b2;--band:#0072b214"
)
DARK: Final = (
    "--paper:#14181f;--ink:#e8ebf0;--soft:#9da7b6;--rule:#2c333e;--own:#f0b030;--battery:#2bbf94;--neighbours:#4aa3e0;"
    "--grid:#6d7787;--returned:#b08be0;--curtailed:#f07f3c;--ahead:#e58abb;--after:#56b4e9;--heat:#4aa3e0;--band:#56b4e91f"
)
HUES: Final = ("own", "battery", "neighbours", "grid", "returned", "curtailed", "ahead", "after", "heat", "band")

STYLE: Final = (
    f":root{{{LIGHT}}}@media screen and (prefers-color-scheme:dark){{:root{{{DARK}}}}}"
    "svg.plot{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:var(--ink)}"
    ".plot .soft{fill:var(--soft)}.plot .heading{font-size:15px;font-weight:600}.plot .small{font-size:11px}"
    ".plot .paper{fill:var(--paper)}.plot .rule{stroke:var(--rule);fill:none}"
    ".plot .axis{stroke:var(--ink);fill:none}.plot .edge{stroke:var(--ink);stroke-width:1.5;fill:none}"
    ".plot .line{fill:none;stroke-width:2}.plot .dash{stroke-dasharray:5 4;stroke-width:1.5}.plot .faint{opacity:.35}"
    ".plot .tariff{stroke:var(--soft)}.plot .dots{stroke-dasharray:1.5 3}"
    + "".join(f".plot .{hue}{{fill:var(--{hue})}}.plot .line.{hue}{{fill:none;stroke:var(--{hue})}}" for hue in HUES)
)
"""CSS of all plots; a page that holds several needs it once."""

Value = str | float | int


def number(value: float) -> str:
    """A coordinate with at most one decimal. Raises ValueError when it is not finite.

    >>> number(3.0), number(2.25), number(-0.01)
    ('3', '2.2', '0')
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a coordinate")
    return f"{value:z.1f}".removesuffix(".0")


def tag(name: str, *children: str, **attributes: Value) -> str:
    """An element. `children` are markup already; attributes are escaped, class_ and stroke_width become names.

    >>> tag("rect", x=1.0, class_="own")
    '<rect x="1" class="own"/>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value) if isinstance(value, str) else number(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def text(x: float, y: float, content: str, class_: str = "", anchor: str = "start", **attributes: Value) -> str:
    """One line of text, its baseline at y."""
    ends: dict[str, Value] = {} if anchor == "start" else {"text_anchor": anchor}
    classes: dict[str, Value] = {"class_": class_} if class_ else {}
    return tag("text", escape(content), x=x, y=y, **classes, **ends, **attributes)


def hint(content: str) -> str:
    """What a pointer that rests on the element shows."""
    return f"<title>{escape(content)}</title>"


def text_width(content: str, size: float = 12) -> float:
    """Estimated width, on the generous side."""
    return 0.62 * size * len(content)


def shorten(content: str, length: int) -> str:
    """`content` in at most `length` characters.

    >>> shorten("Bäckerei Schmidt", 9)
    'Bäckerei…'
    """
    return content if len(content) <= length else content[: length - 1] + "…"


@dataclass(frozen=True)
class Scale:
    """Linear map of [low, high] in the quantity's unit to [start, end] in user units."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where `value` lies."""
        span = self.high - self.low
        return self.start + (value - self.low) / span * (self.end - self.start) if span else self.start

    def ticks(self, count: int) -> list[float]:
        """About `count` round values within the scale; zero is one of them when it lies inside."""
        step = round_step(self.high - self.low, count)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [place * step for place in range(first, last + 1)]


def round_step(span: float, count: int) -> float:
    """A step of 1, 2 or 5 times a power of ten that divides `span` into about `count`.

    >>> round_step(90, 4), round_step(0.36, 4), round_step(0, 4)
    (20.0, 0.1, 1.0)
    """
    if span <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / count))
    return float(min((m * power for m in (1, 2, 5, 10)), key=lambda step: abs(math.log(span / count / step))))


def tick_text(value: float, step: float) -> str:
    """`value` with as many decimals as `step` needs."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{decimals}f}"


def step_line(edges: Sequence[float], heights: Sequence[float]) -> str:
    """Path data of a step function. edges : one more than heights."""
    parts = [f"M{number(edges[0])} {number(heights[0])}"]
    for place, height in enumerate(heights):
        if place and height != heights[place - 1]:
            parts.append(f"V{number(height)}")
        if place + 1 == len(heights) or heights[place + 1] != height:
            parts.append(f"H{number(edges[place + 1])}")
    return "".join(parts)


def step_area(edges: Sequence[float], near: Sequence[float], far: Sequence[float]) -> str:
    """Path data of the area between two step functions."""
    back = step_line(list(reversed(edges)), list(reversed(near)))
    return f"{step_line(edges, far)}L{back[1:]}Z"


def stack(layers: Sequence[FloatArray]) -> list[tuple[FloatArray, FloatArray]]:
    """Lower and upper bound of each layer when they are stacked, each shape (slots,)."""
    bounds, base = [], 0.0 * layers[0]
    for layer in layers:
        bounds.append((base, base + layer))
        base = base + layer
    return bounds


@dataclass(frozen=True)
class Key:
    """An entry of a legend. kind : "area" or "line"; class_ : of the swatch."""

    label: str
    class_: str
    kind: str = "area"


def legend(keys: Sequence[Key], x: float, y: float, width: float) -> tuple[str, float]:
    """Swatches with labels in as many rows as they need; returns markup and height."""
    parts, at, row = [], x, 0
    for key in keys:
        length = 22 + text_width(key.label) + 14
        if at > x and at + length - 14 > x + width:
            at, row = x, row + 1
        middle = y + row * 19 + 8
        if key.kind == "line":
            parts.append(tag("path", d=f"M{number(at)} {number(middle)}h16", class_=key.class_))
        else:
            parts.append(tag("rect", x=at, y=middle - 6, width=12, height=12, rx=2, class_=key.class_))
        parts.append(text(at + 22 if key.kind == "line" else at + 18, middle + 4, key.label))
        at += length
    return "".join(parts), 19.0 * (row + 1)


def plot(
    width: float, height: float, title: str, description: str, *body: str, standalone: bool = True, heading: bool = True
) -> str:
    """A whole SVG. Standalone: with namespace, style, paper and a heading of 26 units above the body."""
    top = 26 if standalone and heading else 0
    size: dict[str, Value] = {"viewBox": f"0 {-top} {number(width)} {number(height + top)}", "role": "img"}
    named = f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    if not standalone:
        return tag("svg", named, *body, class_="plot", **size)
    return tag(
        "svg",
        named,
        f"<style>{STYLE}</style>",
        tag("rect", y=-top, width=width, height=height + top, class_="paper"),
        text(8, -8, title, "heading") if heading else "",
        *body,
        xmlns="http://www.w3.org/2000/svg",
        class_="plot",
        width=width,
        height=height + top,
        **size,
    )


@dataclass(frozen=True, repr=False)
class Plot:
    """A plot that a notebook shows. svg : the whole picture, as text"""

    svg: str

    def save(self, path: str | Path) -> Path:
        """Write it as an SVG file, UTF-8; returns the path."""
        with writing(as_path("path", path)) as file:
            file.write_text(self.svg, encoding="utf-8")
        return file

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        title = unescape(self.svg.partition("<title>")[2].partition("</title>")[0])
        return f"<Plot {title}>"
