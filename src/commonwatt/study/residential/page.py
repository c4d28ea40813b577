"""The residential study as a screen, as plain JSON, and as one web page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from commonwatt.report.report import CSS
from commonwatt.report.svg import STYLE
from commonwatt.study.residential.claims import Claim, claims
from commonwatt.study.residential.plots import homes_svg, hours_svg
from commonwatt.study.residential.study import (
    BASELINE,
    DESIGNS,
    HINDSIGHT,
    PUMPS,
    SHARES,
    STRATEGIES,
    Residential,
    Run,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMNS: Final = ("case", "design", "cost", "saved", "ahead kWh", "pool kWh", "price", "with utility kWh", "proofs")
PHONE_WIDTH: Final = 360
VERDICTS: Final = {True: "holds", False: "fails", None: "–"}


def rows(study: Residential) -> Iterator[tuple[str, ...]]:
    """The table of all runs, a row each, as `COLUMNS`."""
    for case in study.cases():
        base = study.run(*case, BASELINE)
        for design in DESIGNS:
            yield (base.scenario.title if design == BASELINE else "", design, *_figures(study.run(*case, design), base))


def _figures(run: Run, base: Run) -> tuple[str, ...]:
    return (
        f"{run.cost.sum():.2f}",
        f"{base.cost.sum() - run.cost.sum():.2f}",
        f"{run.ahead.sum():.1f}",
        f"{run.after.sum():.1f}",
        "–" if run.price is None else f"{run.price:.4f}",
        f"{run.interaction.sum():.0f}",
        "✓" if run.proofs_hold and run.converged == run.days else "broken",
    )


def sensitivity(study: Residential) -> Iterator[tuple[str, ...]]:
    """(strategy, γ_max in eighths of the spread, kWh agreed ahead, mean price, cost) of the summer week."""
    for strategy in STRATEGIES:
        for share in SHARES:
            run = study.run("summer", PUMPS, HINDSIGHT, strategy, share)
            price = "–" if run.price is None else f"{run.price:.4f}"
            yield strategy, f"{share}/8", f"{run.ahead.sum():.1f}", price, f"{run.cost.sum():.2f}"


SENSITIVITY: Final = ("strategy", "γ_max / spread", "ahead kWh", "price", "cost")
CLAIMS: Final = ("case", "verdict", "what came out")


def tests(study: Residential) -> Iterator[tuple[str, list[Claim]]]:
    """(heading, its cases) of each claim."""
    for (name, claim, source), cases in groupby(claims(study), lambda each: (each.name, each.claim, each.source)):
        yield f"{name}: {claim} ({source})", list(cases)


def _claim(found: Claim) -> tuple[str, ...]:
    return found.case, VERDICTS[found.holds], found.found


def as_json(study: Residential) -> dict[str, Any]:
    """The study as plain JSON."""
    runs = [
        {key: value.tolist() if hasattr(value, "tolist") else value for key, value in asdict(run).items()}
        for run in study.runs.values()
    ]
    for run in runs:
        run["price_by_hour"] = [None if price != price else price for price in run["price_by_hour"]]
    homes = [member.id for member in study.community.members]
    tables = {"runs": [COLUMNS, *rows(study)], "sensitivity": [SENSITIVITY, *sensitivity(study)]}
    found = [asdict(claim) for claim in claims(study)]
    return {"days": study.days, "homes": homes, "tables": tables, "claims": found, "runs": runs}


def render(study: Residential) -> RenderableType:
    """The tables and the claims for the terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    def table(heads: tuple[str, ...], body: Iterator[tuple[str, ...]], left: int) -> Table:
        found = Table(box=None, pad_edge=False, header_style="dim")
        for place, head in enumerate(heads):
            found.add_column(head, justify="left" if place < left else "right", overflow="fold")
        for row in body:
            found.add_row(*row)
        return found

    def verdicts() -> Iterator[RenderableType]:
        colours = {True: "green", False: "red", None: "dim"}
        for heading, cases in tests(study):
            yield Text(f"\n{heading}", style="bold")
            body = Table(box=None, pad_edge=False, show_header=False)
            for found in cases:
                body.add_row(Text(VERDICTS[found.holds], style=colours[found.holds]), found.case, found.found)
            yield body

    currency, count = study.community.currency, len(study.community.members)
    return Group(
        Text(f"{count} homes, {study.days} days a season; cost of all homes in {currency}", style="bold"),
        table(COLUMNS, rows(study), 2),
        Text("\nHow far neighbours are preferred: the summer week in hindsight", style="bold"),
        table(SENSITIVITY, sensitivity(study), 1),
        *verdicts(),
    )


def page(study: Residential) -> str:
    """One self-contained web page."""
    title = f"Residential study: {study.community.name}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p class='soft'>{len(study.community.members)} homes, {study.days} days a season. The utility alone "
        "(baseline) against neighbours who agree pair by pair the day before, preferring large surplus for large "
        "demand (surplus) or near for near (distance), each followed by the real-time pool.</p>",
        "<h2>All runs</h2>",
        _table(COLUMNS, rows(study), 2),
        "<h2>The claims</h2><p>From the abstract of paper 001, from what is recalled of the paper, and from a sister "
        "paper; nothing is tuned to them.</p>",
        *(f"<h3>{escape(heading)}</h3>{_table(CLAIMS, map(_claim, cases), 3)}" for heading, cases in tests(study)),
        *(_season(study, season) for season in study.seasons()),
        "<h2>How far neighbours are preferred</h2><p>The summer week in hindsight, by the largest preference.</p>",
        _table(SENSITIVITY, sensitivity(study), 1),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{CSS.read_text(encoding='utf-8')}"
        "td.word{white-space:normal}th.word{text-align:left}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _season(study: Residential, season: str) -> str:
    runs = {design: study.run(season, PUMPS, HINDSIGHT, design) for design in DESIGNS}
    traded = {design: runs[design] for design in STRATEGIES}
    homes, currency = [member.id for member in study.community.members], study.community.currency

    def figure(title: str, draw: Callable[[float], str]) -> str:
        wide, narrow = draw(960), draw(PHONE_WIDTH)
        return f"<h3>{escape(title)}</h3><figure>{_as(wide, 'desk')}{_as(narrow, 'phone')}</figure>"

    energy, price = "Energy agreed the day before, kWh per hour", f"Its mean price, {currency}/kWh"
    cost, grid = f"What each home paid, {currency}", "What each home exchanged with the utility, kWh"
    return f"<h2>{season.capitalize()}, forecasts in hindsight</h2>" + "".join(
        (
            figure(
                energy, lambda width: hours_svg(energy, "kWh", {k: r.energy_by_hour for k, r in traded.items()}, width)
            ),
            figure(
                price, lambda width: hours_svg(price, currency, {k: r.price_by_hour for k, r in traded.items()}, width)
            ),
            figure(cost, lambda width: homes_svg(cost, currency, homes, {k: r.cost for k, r in runs.items()}, width)),
            figure(
                grid, lambda width: homes_svg(grid, "kWh", homes, {k: r.interaction for k, r in runs.items()}, width)
            ),
        )
    )


def _table(heads: tuple[str, ...], body: Iterator[tuple[str, ...]], words: int) -> str:
    def cell(place: int, value: str) -> str:
        kind = " class='word' style='text-align:left'" if place < words else ""
        return f"<td{kind}>{escape(value)}</td>"

    head = "".join(
        f"<th scope='col'{' class=word' if place < words else ''}>{escape(name)}</th>"
        for place, name in enumerate(heads)
    )
    lines = "".join(f"<tr>{''.join(cell(place, value) for place, value in enumerate(row))}</tr>" for row in body)
    return f"<div class='scroll' tabindex='0'><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"


def _as(plot: str, where: str) -> str:
    """The plot for a wide or for a narrow screen only."""
    return plot.replace('class="plot"', f'class="plot {where}"', 1)
