"""The comparison as one web page, self-contained: table, plots, proofs, what was left out, a paper's claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from commonwatt.report.report import html_page, plot_figure
from commonwatt.study.compare.claims import Cell, Claim
from commonwatt.study.compare.comparison import Comparison
from commonwatt.study.compare.plots import (
    bills_svg,
    distances_svg,
    imports_svg,
    losses_svg,
    peaks_svg,
    prices_svg,
    savings_svg,
)
from commonwatt.study.compare.table import columns, notes, number, write_csv

PAGE: Final = "comparison.html"
TABLE: Final = "comparison.csv"


def write_comparison(found: Comparison, folder: Path) -> Path:
    """Write the page and the table as CSV into the folder, which is made if need be; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE).write_text(comparison_html(found), encoding="utf-8")
    write_csv(found, folder / TABLE)
    return folder / PAGE


def comparison_html(found: Comparison) -> str:
    """The whole page."""
    name = escape(found.community)
    days = "one day" if found.days == 1 else f"{found.days} days"
    sections = [
        f"<header><h1>{name}: market designs compared</h1><p class='soft'>{len(found.homes)} homes, {days} from "
        f"{found.start}; the same homes, weather, forecasts and devices under every design. Simulated with "
        "Commonwatt.</p></header>",
        f"<p class='lead'>{_lead(found)}</p>",
        _table(found),
        *_plots(found),
        f"<h2>Proofs</h2><p>{_proofs(found)}</p>",
        *_left_out(found),
        *_claims(found.claims),
    ]
    return html_page(f"{name}: market designs compared", sections)


def _lead(found: Comparison) -> str:
    baseline, *designs = found.rows
    money = f"{number(baseline.bill)} {escape(found.currency)}"
    alone = f"With the utility alone, all homes together pay {money}."
    if not designs:
        return f"{alone} No other design could be run."
    best = max(designs, key=lambda row: row.saved)
    equal = [row for row in designs if abs(row.saved - best.saved) < 0.005]
    fair = max(equal, key=lambda row: (row.jain or 0.0, row.least_saved))
    others = f" and {len(equal) - 1} more" if len(equal) > 1 else ""
    evenly = f"; of these, {escape(fair.design)} shares it most evenly" if len(equal) > 1 else ""
    return f"{alone} {escape(best.design)}{others} save most, {number(best.saved)} {escape(found.currency)}{evenly}."


def _table(found: Comparison) -> str:
    shown = columns(found)
    head = "".join(f"<th scope='col' title='{escape(c.meaning, quote=True)}'>{escape(c.head)}</th>" for c in shown)
    lines = (
        f"<tr><th scope='row'>{escape(row.design)}</th>"
        + "".join(f"<td>{escape(column.shown(row))}</td>" for column in shown[1:])
        + "</tr>"
        for row in found.rows
    )
    facts = "".join(f"<dt>{escape(c.head)}</dt><dd>{escape(c.meaning)}</dd>" for c in shown if c.meaning)
    return (
        f"<h2>All figures</h2><p>Money in {escape(found.currency)}. Every saving is against the run without a local "
        "market, in which each home meets the utility alone and its battery serves only itself.</p>"
        f"<div class='scroll' tabindex='0'><table id='designs'><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
        f"<details><summary>What the columns mean</summary><dl class='facts'>{facts}</dl></details>"
    )


def _plots(found: Comparison) -> Iterator[str]:
    currency = escape(found.currency)
    yield plot_figure(
        found, bills_svg, f"Bills, {currency}",
        "Of all homes, with fees, levies and VAT. The dashed line is the utility alone.",
    )  # fmt: skip
    if len(found.rows) > 1:
        yield plot_figure(
            found, savings_svg, f"What each home saves, {currency}",
            "Two designs that save the same together may share it very differently. Left of zero a home pays more than "
            "with the utility alone.",
        )  # fmt: skip
    if any(row.trades for row in found.rows):
        yield plot_figure(
            found, prices_svg, f"Prices over the day, {currency}/kWh",
            "Mean of what was settled between neighbours in each slot, all on one scale. In the shaded band both sides "
            "gain. At the right, lowest and highest.",
        )  # fmt: skip
    yield from _wires(found)


def _wires(found: Comparison) -> Iterator[str]:
    """Peak and network use; what no design changes is said in a sentence."""
    first = found.rows[0]
    peak = "Highest mean import of a slot where the community meets the utility's grid."
    moved = any(row.import_kw_by_slot != first.import_kw_by_slot for row in found.rows)
    if all(row.peak_kw == first.peak_kw for row in found.rows):
        why = "" if moved else " They share what was metered; only a design that plans batteries moves energy in time."
        yield f"<h2>Peak</h2><p>{peak} No design here changes it: {number(first.peak_kw, 1)} kW.{why}</p>"
    else:
        yield plot_figure(found, peaks_svg, "Peak, kW", f"{peak} A design that plans batteries can change it.")
    if moved:
        yield plot_figure(
            found, imports_svg, "Import over the day, kW",
            "One row for all designs with the same course. Shaded: the utility alone.",
        )  # fmt: skip
    if not found.wires:
        return
    losses = (
        f"In the lines and the transformer of {escape(found.wires)}, by power flow at the metered energy, without "
        "reactive power. Current follows the meters, however trades are paired."
    )
    if all(row.losses_kwh == first.losses_kwh for row in found.rows):
        yield f"<h2>Network use</h2><p>Losses: {number(first.losses_kwh)} kWh under every design. {losses}</p>"
    else:
        yield plot_figure(found, losses_svg, "Network use: losses, kWh", losses)
    yield plot_figure(
        found, distances_svg, "Network use: distance, ohm",
        "Impedance between the seller and the buyer of a kWh, on average. It says who trades with whom, not which "
        "way the current takes.",
    )  # fmt: skip


def _proofs(found: Comparison) -> str:
    clearings, checks = (sum(getattr(row, name) for row in found.rows) for name in ("proofs", "checks"))
    broken = [row.design for row in found.rows if not row.proofs_hold]
    text = (
        f"Each of {clearings} clearings came with its checks, among them: energy in equals energy out, payments sum to "
        "zero, nobody trades more than it declared, and where a design promises it, nobody pays more than with the "
        f"utility. Of {checks} checks "
    )
    return text + ("all hold." if not broken else f"some do not hold, in {escape(', '.join(broken))}.")


def _left_out(found: Comparison) -> Iterator[str]:
    lines = "".join(f"<li>{escape(line)}</li>" for line in notes(found))
    if lines:
        yield f"<h2>To be read with the figures</h2><ul>{lines}</ul>"


def _claims(claims: Sequence[Claim]) -> Iterator[str]:
    if not claims:
        return
    yield (
        "<h2>A review's table 2 put to the test</h2><p>Salian, Shah, Shah and Samdani, “Review of Blockchain Enabled "
        "Decentralized Energy Trading Mechanisms”, compare auctions with day-ahead schedules by five properties, "
        "without measurements. Four of them were measured here; competition or cooperation is not a matter of "
        "measurement. A schedule is what plans a whole day with its batteries by iteration.</p>"
    )
    for claim in claims:
        words = [any(isinstance(row[place], str) for row in claim.rows) for place in range(len(claim.heads))]
        heads = "".join(
            f"<th scope='col'{_class(text)}>{escape(head)}</th>" for head, text in zip(claim.heads, words, strict=True)
        )
        rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in claim.rows)
        yield (
            f"<h3>{escape(claim.title)}</h3><dl class='facts'><dt>its table</dt><dd>auction {escape(claim.auction)}, "
            f"scheduling {escape(claim.scheduling)}</dd><dt>its text</dt><dd>{escape(claim.reason)}</dd>"
            f"<dt>run here</dt><dd>{escape(claim.test)}</dd><dt>came out</dt><dd>{escape(claim.finding)}</dd></dl>"
            f"<div class='scroll' tabindex='0'><table class='claim'><thead><tr>{heads}</tr></thead>"
            f"<tbody>{rows}</tbody></table></div>"
        )


def _cell(cell: Cell) -> str:
    return f"<td{_class(isinstance(cell, str))}>{escape(cell_text(cell))}</td>"


def _class(words: bool) -> str:
    return " class='words'" if words else ""


def cell_text(cell: Cell) -> str:
    """A figure of a claim's table, thousands apart."""
    if isinstance(cell, str):
        return cell
    return "–" if cell is None else f"{cell:,}".replace(",", " ").replace("-", "−")
