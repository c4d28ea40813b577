"""One run as one web page: figures, plots, homes, ledger, the way of one kilowatt-hour, and how it was computed.

The page is self-contained: no script, no font, no picture from elsewhere. It follows the reader's light or dark
mode, and phone and paper get their own form. Every headline figure carries its exact value in a `data` element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from commonwatt.exchange.folder import write_private
from commonwatt.plain import many
from commonwatt.report.findings import findings
from commonwatt.report.homeplots import flows_svg, savings_svg
from commonwatt.report.metrics import Figures, figures
from commonwatt.report.notes import notes
from commonwatt.report.plots import DAYS_IN_FULL, balance_svg, days_svg, prices_svg
from commonwatt.report.svg import STYLE
from commonwatt.report.trace import Traced, trace
from commonwatt.units import decimal_text

if TYPE_CHECKING:
    from commonwatt.simulation.result import LedgerFigures, Result

PHONE_WIDTH: Final = 360
CSS: Final = Path(__file__).with_name("report.css")


def write_report(result: Result, path: Path, traced: Traced | None = None) -> None:
    """Write the report of `result` as one HTML file, in UTF-8. traced : as of `trace`, where it is known already"""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, report_html(result, traced))


def report_html(result: Result, traced: Traced | None = None) -> str:
    """The whole page. traced : as of `trace`, where it is known already"""
    found, name = figures(result), escape(result.community.name)
    sections = [
        f"<header><h1>{name}</h1><p class='soft'>{_subtitle(result)}</p></header>",
        f"<p class='lead'>{_lead(result, found)}</p>",
        *_findings(result),
        _cards(result, found),
        *_plots(result),
        f"<h2>Every home</h2>{_homes(result, found)}",
        f"<h2>The ledger</h2>{_ledger(result.ledger, result)}",
        _way(trace(result) if traced is None else traced),
        f"<h2>How this was computed</h2>{_facts(notes(result))}",
    ]
    return html_page(f"{name}: {escape(period_text(result))}", sections)


def html_page(title: str, sections: Sequence[str]) -> str:
    """A page that holds everything itself. title, sections : markup"""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="generator" content="Commonwatt"><title>{title}</title>'
        f"<style>{STYLE}{CSS.read_text(encoding='utf-8')}</style></head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def period_text(result: Result) -> str:
    """The period in words, such as "15 June 2026" or "15 June to 21 June 2026"."""
    clock: Any = result.slots["local"]
    first, last = clock[0].date(), clock[-1].date()
    if first == last:
        return f"{first.day} {first:%B %Y}"
    opening = f"{first.day} {first:%B}" + (f" {first.year}" if first.year != last.year else "")
    return f"{opening} to {last.day} {last:%B %Y}"


def _subtitle(result: Result) -> str:
    period, minutes = result.period, result.period.seconds // 60
    return (
        f"{escape(period_text(result))}, {period.count} slots of {minutes} minutes, local time in "
        f"{escape(result.community.timezone)}. Simulated with Commonwatt."
    )


def _lead(result: Result, found: Figures) -> str:
    currency, members = escape(result.community.currency), result.community.members
    homes, makers = sum(member.draws for member in members), sum(member.feeds for member in members)
    share = (
        ""
        if found.local_share is None
        else f" Of what homes bought, {_percent(found.local_share)} came from neighbours."
    )
    verb = "less" if found.saved >= 0 else "more"
    seen = any(member.points for member in members)
    made_by = many(makers, "member") if seen else f"{many(makers, 'roof')} with PV"
    told = ", as far as their meters tell" if seen else ""
    return (
        f"{homes} homes used {_kwh(found.used)} kWh, and {made_by} made {_kwh(found.made)} kWh{told}.{share} Together "
        f"the homes paid {_money(abs(found.saved))} {currency} {verb} than each would have with the utility alone."
    )


def _findings(result: Result) -> list[str]:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in findings(result))
    return [f"<ul class='findings'>{items}</ul>"] if items else []


def _cards(result: Result, found: Figures) -> str:
    currency = escape(result.community.currency)
    bills = f"bills of {_money(found.bill)} instead of {_money(found.bill_without_market)} {currency}"
    exported = f"imported, {_kwh(found.exported)} kWh exported"
    cards = [
        ("Saved", "saved", found.saved, f"{_money(found.saved)} {currency}", bills),
        (
            "Traded between homes",
            "traded",
            found.traded,
            f"{_kwh(found.traded)} kWh",
            f"in {_int(found.trades)} trades",
        ),
        _share_card("Local share", found.local_share, "of what homes bought"),
        _share_card("Self-sufficiency", found.self_sufficiency, "of what was used was made here"),
        _share_card("Self-consumption", found.self_consumption, "of what was made stayed here"),
        ("At the connection point", "imported", found.imported, f"{_kwh(found.imported)} kWh", exported),
    ]
    items = [
        f"<div><dt>{title}</dt><dd><data id='{key}' value='{exact}'>{shown}</data></dd><dd>{note}</dd></div>"
        for title, key, exact, shown, note in cards
    ]
    return f"<dl class='cards'>{''.join(items)}</dl>"


def _share_card(title: str, share: float | None, note: str) -> tuple[str, str, float | str, str, str]:
    return title, title.lower().replace(" ", "-"), "" if share is None else share, _percent(share), note


def _plots(result: Result) -> list[str]:
    currency = escape(result.community.currency)
    days = result.rules.days
    average = f", on average over {days} days" if days > DAYS_IN_FULL else ""
    means = " Means over the days at each time of day." if average else ""
    up = "Above the line, where the homes' power came from; below it, where the roofs' power went"
    return [
        plot_figure(result, balance_svg, f"Power{' over the average day' if average else ''}, kW",
                f"{up}{average}. What was used under the same roof and between neighbours is mirrored; batteries and "
                "the utility even out the rest."),
        *([plot_figure(result, days_svg, "Day by day, kWh", "The same balance for each day.")] if days > 1 else []),
        plot_figure(result, prices_svg, f"Prices, {currency}/kWh",
                f"In the shaded band both neighbours gain: the seller gets more than for feed-in, and the buyer pays "
                f"less than the utility's price even with the charges on a local kWh. Faint: nothing was "
                f"traded.{means}"),
        plot_figure(result, savings_svg, f"What each home saved, {currency}",
                "Against the same metered energy, bought from and sold to the utility alone."),
        plot_figure(result, flows_svg, "Who delivered to whom, kWh",
                "Every settled trade, summed over the period; at the end of each row its sum."),
    ]  # fmt: skip


def plot_figure(shown: Any, plot: Callable[..., str], title: str, caption: str) -> str:
    """A plot of what is shown under a heading, in its wide and in its narrow form."""
    wide = plot(shown, standalone=False).replace('class="plot"', 'class="plot desk"', 1)
    narrow = plot(shown, PHONE_WIDTH, standalone=False).replace('class="plot"', 'class="plot phone"', 1)
    return f"<h2>{title}</h2><figure><figcaption>{caption}</figcaption>{wide}{narrow}</figure>"


COLUMNS: Final = (
    ("bill_without_market", "bill without", 1, 2), ("bill", "bill with market", 1, 2), ("saving", "saved", 1, 2),
    ("load_wh", "used kWh", 1000, 1), ("generation_wh", "made kWh", 1000, 1),
    ("bought_wh", "bought locally kWh", 1000, 1), ("sold_wh", "sold locally kWh", 1000, 1),
    ("import_wh", "from utility kWh", 1000, 1), ("export_wh", "to utility kWh", 1000, 1),
    ("pv_kwp", "PV kWp", 1, 1), ("battery_kwh", "battery kWh", 1, 1),
)  # fmt: skip
"""Column of `result.homes`, its heading, divisor, decimals."""


def _homes(result: Result, found: Figures) -> str:
    head = "".join(f"<th scope='col'>{heading}</th>" for _, heading, _, _ in COLUMNS)
    rows = []
    for home in result.homes.iter_rows(named=True):
        cells = "".join(f"<td>{_cell(home[name], over, places)}</td>" for name, _, over, places in COLUMNS)
        rows.append(f"<tr><th scope='row'>{escape(home['home'])}</th>{cells}</tr>")
    money = {"bill_without_market": found.bill_without_market, "bill": found.bill, "saving": found.saved}
    sums = "".join(
        f"<td>{_money(money[name]) if name in money else _cell(float(result.homes[name].sum()), over, places)}</td>"
        for name, _, over, places in COLUMNS
    )
    currency = escape(result.community.currency)
    return (
        f"<p>Bills in {currency}, with fees, levies and VAT; a negative bill is money that the home receives.</p>"
        f"<div class='scroll' tabindex='0'><table id='homes'><thead><tr><th scope='col'>home</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody><tfoot><tr><th scope='row'>all</th>{sums}</tr></tfoot></table></div>"
    )


def _cell(value: float, divisor: int, places: int) -> str:
    return f"{value / divisor:z.{places}f}".replace("-", "−") if value else "–"


def _ledger(ledger: LedgerFigures | None, result: Result) -> str:
    if ledger is None:
        return "<p>This run had no ledger: nothing was signed, and no bill carries a proof.</p>"
    closes = ledger.balances == ledger.deposits
    currency = escape(result.community.currency)
    facts = [
        ("chain", f"{ledger.chain_id}, settlement contract {ledger.settlement}"),
        ("blocks", f"{_int(ledger.blocks)} with {_int(ledger.transactions)} transactions"),
        ("gas", f"{_int(ledger.gas)}, of which {_int(ledger.gas_settlement)} to commit, post and settle"),
        ("gas per trade", f"{_int(round(ledger.gas_per_trade))}, over {_int(ledger.trades)} settled trades"),
        (
            "books",
            f"balances of {_money(ledger.balances)} {currency} and deposits of {_money(ledger.deposits)} {currency} "
            + ("are equal to the last digit" if closes else "DIFFER"),
        ),
    ]
    return _facts(facts)


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(label)}</dt><dd>{escape(fact)}</dd>" for label, fact in facts)
    return f"<dl class='facts'>{rows}</dl>"


def _way(lines: Sequence[tuple[str, str]]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li><b>{escape(label)}</b> {escape(line)}</li>" for label, line in lines)
    return (
        "<h2>One delivery, from meter reading to block hash</h2>"
        f"<p>The largest trade of the run, with what proves it.</p><ol class='way'>{items}</ol>"
    )


def _kwh(wh: int) -> str:
    return f"{wh / 1000:,.1f}".replace(",", " ")


def _money(amount: int) -> str:
    return decimal_text(amount, 2).replace("-", "−")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _int(value: int) -> str:
    return f"{value:,}".replace(",", " ")
