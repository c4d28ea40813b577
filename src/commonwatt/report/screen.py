"""One run on one terminal screen, and the same as plain data for --json."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from commonwatt.community.model import Stage, gate_text
from commonwatt.plain import many
from commonwatt.report.below_zero import below_zero, below_zero_figures
from commonwatt.report.findings import findings
from commonwatt.report.metrics import disposal, figures, supply, worth_showing
from commonwatt.report.notes import points
from commonwatt.report.wires import strains
from commonwatt.units import IntArray, decimal_text, price_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

    from commonwatt.simulation.result import Result

WIDEST: Final = 100
LISTED: Final = 60
"""Above so many homes only those are listed that saved most and least."""
ENDS: Final = 12
NAMES: Final = {
    "local_share": "local share",
    "self_sufficiency": "self-sufficiency",
    "self_consumption": "self-consumption",
}
NAME_LENGTH: Final = 14
LAYERS: Final = {
    "own": ("own roof", "█", "yellow"),
    "neighbours": ("neighbours", "▓", "bright_blue"),
    "battery": ("battery", "▒", "green"),
    "grid": ("utility", "░", "white"),
    "returned": ("own feed-in", "▚", "magenta"),
    "curtailed": ("held back", "·", "red"),
}
"""What each layer is called, its mark, so that bars can be read without colour too, and its colour."""


def render(result: Result, trace: Sequence[tuple[str, str]]) -> RenderableType:
    """The screen: community, energy, what each home paid, ledger, one delivery traced as (label, text) lines."""
    return Screen(result, tuple(trace))


@dataclass(frozen=True)
class Screen:
    """Fits itself to the console's width, up to 100 columns."""

    result: Result
    trace: tuple[tuple[str, str], ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The parts from top to bottom."""
        from rich.console import Group
        from rich.constrain import Constrain

        width = min(options.max_width, WIDEST)
        yield Constrain(Group(*self._parts(width)), width)

    def _parts(self, width: int) -> Iterator[RenderableType]:
        yield from _community(self.result)
        yield from _section("Energy", width)
        yield from _energy(self.result, width)
        yield from _findings(self.result)
        currency = self.result.community.currency
        yield from _section(f"What each home paid, alone and with the market, {currency}", width)
        yield from _homes(self.result, width)
        yield from _section("Ledger", width)
        yield from _ledger(self.result)
        if self.trace:
            yield from _section("One delivery, from meter reading to block hash", width)
            yield _grid(self.trace, width)


def _section(title: str, width: int) -> Iterator[RenderableType]:
    from rich.text import Text

    line = Text(f"── {title} ", style="bold")
    line.append("─" * max(width - line.cell_len, 0), style="dim")
    line.truncate(width, overflow="ellipsis")
    yield line


def _grid(rows: Sequence[tuple[str, str]], width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold", max_width=width - 2 - max(len(label) for label, _ in rows))
    for label, line in rows:
        grid.add_row(Text(label), Text(line))
    return grid


def _community(result: Result) -> Iterator[RenderableType]:
    from rich.text import Text

    from commonwatt.report.report import period_text

    unit = result.community.unit
    community, period, prices = result.community, result.period, result.prices
    pv = [member.pv.kwp for member in community.members if member.pv]
    batteries = [member.battery.kwh for member in community.members if member.battery]
    metered = sum(len(member.points) for member in community.members)
    head = Text(community.name, style="bold")
    head.append(
        f"  {period_text(result)}, {many(period.count, 'slot')} of {period.seconds // 60} min, {community.timezone}",
        "dim",
    )
    yield head
    facts = [
        many(sum(member.draws for member in community.members), "home"),
        *([] if metered and not pv else [f"PV {sum(pv):.0f} kWp on {many(len(pv), 'roof')}"]),
        *([many(metered, "metering point")] if metered else []),
    ]
    facts += [f"batteries {sum(batteries):.0f} kWh in {len(batteries)}"] if batteries else []
    yield Text(" · ".join([*facts, f"grid {community.grid or 'not modelled'}"]))
    for part in result.rules.parts:
        charter = part.charter.community
        market = ", ".join(
            f"{stage.name.replace('_', '-')} {stage.mechanism}{_gate(stage)}" for stage in charter.market
        )
        begun = datetime.fromtimestamp(part.slots.start, ZoneInfo(community.timezone))
        since = f" from {begun:%Y-%m-%d} on" if part.charter.since else ""
        yield Text(f"market{since}: {market or 'none'}")
    yield Text(
        f"prices: feed-in {_range(prices.feed_in * unit)}, between neighbours up to "
        f"{_range(np.maximum(prices.ceiling, 0) * unit)}, utility {_range(prices.gross * unit)} "
        f"{community.currency}/kWh"
    )
    for told in below_zero(result):
        yield Text(told, "dim")


def _range(prices: IntArray) -> str:
    low, high = (price_text(int(price)) for price in (prices.min(), prices.max()))
    return low if low == high else f"{low}…{high}"


def _energy(result: Result, width: int) -> Iterator[RenderableType]:
    """For what was used and what was made: kWh, share and a bar of each layer, and the shares that follow."""
    from rich.text import Text

    found, flows = figures(result), result.arrays
    used, made = ({name: int(wh.sum()) for name, wh in layers(flows).items()} for layers in (supply, disposal))
    names = worth_showing(used, made)
    cell = min((width - 17) // len(names), 18)
    room = min(cell, 13)
    head = Text(" " * 17)
    for name in names:
        label, mark, colour = LAYERS[name]
        head.append(f"{mark} ", colour).append(f"{label:<{cell - 2}}")
    yield head
    for verb, total, layers in (("used", found.used, used), ("made", found.made + found.curtailed, made)):
        whole = sum(layers.values())
        row = Text(f"{verb:<5}{_kwh(total):>7} kWh ", "bold")
        for name in names:
            wh = layers.get(name, 0)
            row.append(
                f"{_kwh(wh):>{room - 6}}{_percent(wh / whole if whole else None):>6}".ljust(cell)
                if wh
                else "–".rjust(room).ljust(cell),
                "not bold",
            )
        row.rstrip()
        yield row
        yield _bar(layers, width)
    for subject, said in points(result):
        yield Text(f"{subject}: {said}", "dim")
    line = Text(many(found.trades, "trade"), "bold")
    for name in ("local_share", "self_sufficiency", "self_consumption"):
        line.append(f" · {NAMES[name]} {_percent(getattr(found, name))}", "not bold")
    yield line
    clearings, checks, holding = result.proofs
    verdict = "all hold ✓" if checks == holding else f"{checks - holding} do not hold"
    if clearings:
        yield Text(
            f"{many(clearings, 'clearing')} with {many(checks, 'check')}: {verdict}",
            "green" if checks == holding else "red",
        )


def _findings(result: Result) -> Iterator[RenderableType]:
    """What must not be missed; and where the wires are known and carried everything, how near they came."""
    from rich.text import Text

    if worst := {strain.kind: strain.value for strain in strains(result)}:
        loads = [f"{kind} up to {_percent(worst[kind])}" for kind in ("line", "transformer") if kind in worst]
        volts = f"{worst['lowest voltage']:.3f} to {worst['highest voltage']:.3f} pu"
        yield Text(f"wires: {', '.join([*loads, volts])}", "dim")
    for sentence in findings(result):
        yield Text(sentence, "red")


def _bar(layers: dict[str, int], width: int) -> RenderableType:
    """One layer after another over the whole width."""
    from rich.text import Text

    line, whole, done = Text(), sum(layers.values()), 0
    for name, wh in layers.items():
        done += wh
        _, mark, colour = LAYERS[name]
        line.append(mark * ((round(width * done / whole) if whole else 0) - len(line)), colour)
    return line


def _homes(result: Result, width: int) -> Iterator[RenderableType]:
    """As many columns of homes as fit, read downwards; each line: home, bill alone, with the market, saved."""
    from rich.text import Text

    homes = result.homes.select("home", "bill_without_market", "bill", "saving")
    rows: list[tuple[str, float, float, float]] = homes.rows()
    note = ""
    if len(rows) > LISTED:
        order = sorted(rows, key=lambda row: (-row[3], row[0]))
        rows = order[:ENDS] + order[-ENDS:]
        note = f"Shown: of {len(order)} homes the {ENDS} that saved most and the {ENDS} that saved least."
    names = min(NAME_LENGTH, max(4, *(len(row[0]) for row in rows)))
    digits = [max(6, *(len(f"{row[k]:.2f}") + 1 for row in rows)) for k in (1, 2, 3)]
    cell = names + sum(digits)
    columns = max(1, min((width + 2) // (cell + 2), 4))
    lines = -(-len(rows) // columns)
    columns = -(-len(rows) // lines)
    gap = " " * min((width - columns * cell) // (columns - 1), 6) if columns > 1 else ""
    heads = "".join(f"{word:>{places}}" for word, places in zip(("alone", "with", "saved"), digits, strict=True))
    yield Text(gap.join([f"{'':<{names}}{heads}"] * columns), style="dim")
    for line in range(lines):
        written = Text()
        for row in rows[line::lines]:
            written.append(gap if written else "").append(f"{_short(row[0], names):<{names}}")
            written.append(f"{row[1]:>z{digits[0]}.2f}", "dim").append(f"{row[2]:>z{digits[1]}.2f}", "bold")
            written.append(f"{row[3]:>z{digits[2]}.2f}", "green" if row[3] >= 0 else "red")
        yield written
    found = figures(result)
    if note:
        yield Text(note, style="dim")
    total = Text("All: ")
    total.append(f"{decimal_text(found.bill_without_market, 2)} alone, ")
    total.append(f"{decimal_text(found.bill, 2)} with", "bold").append(" the market; saved ")
    yield total.append(f"{decimal_text(found.saved, 2)}", "bold green" if found.saved >= 0 else "bold red")


def _short(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


def _ledger(result: Result) -> Iterator[RenderableType]:
    from rich.text import Text

    ledger = result.ledger
    if ledger is None:
        yield Text("none: nothing was signed, and no bill carries a proof", style="dim")
        return
    closes = ledger.balances == ledger.deposits
    yield Text(
        f"{ledger.blocks} blocks, {ledger.transactions} transactions · gas {ledger.gas / 1e6:.1f} M, "
        f"{ledger.gas_per_trade:.0f} per trade to commit, post and settle"
    )
    books = Text(f"chain {ledger.chain_id} · balances {decimal_text(ledger.balances)} {result.community.currency} ")
    books.append(
        "= deposits ✓" if closes else f"≠ deposits {decimal_text(ledger.deposits)}", "green" if closes else "red"
    )
    yield books


def _kwh(wh: int) -> str:
    return f"{wh / 1000:.{1 if wh < 10_000_000 else 0}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def summary(result: Result) -> dict[str, Any]:
    """The run as plain data for JSON.

    Energy is Wh, times are unix s, shares are fractions or null; money is {"micro": exact integer, "text": decimal}.
    """
    community, period, found = result.community, result.period, figures(result)
    money = ("bill", "bill_without_market")
    shares = ("self_consumption", "self_sufficiency", "local_share")
    energy = {name: value for name, value in asdict(found).items() if name not in (*money, *shares, "trades")}
    return {
        "community": {
            "name": community.name,
            "homes": sum(member.draws for member in community.members),
            "pv_kwp": sum(member.pv.kwp for member in community.members if member.pv),
            "battery_kwh": sum(member.battery.kwh for member in community.members if member.battery),
            "grid": community.grid,
            "market": [{"stage": stage.name, "mechanism": stage.mechanism} for stage in community.market],
            "currency": community.currency,
            "timezone": community.timezone,
            "digest": f"0x{community.digest.hex()}",
        },
        "period": {
            "from": period.start,
            "until": period.end,
            "first_day": result.rules.start.isoformat(),
            "days": result.rules.days,
            "slots": period.count,
            "slot_seconds": period.seconds,
        },
        "energy_wh": energy,
        "shares": {name: getattr(found, name) for name in shares},
        "trades": found.trades,
        "money": {**{name: _money(getattr(found, name)) for name in money}, "saving": _money(found.saved)},
        "findings": findings(result),
        "below_zero": below_zero_figures(result),
        "wires": _wires_row(result),
        "homes": _home_rows(result),
        "ledger": _ledger_row(result),
        "cpu_seconds": {step: round(seconds, 4) for step, seconds in result.seconds.items()},
    }


def _wires_row(result: Result) -> dict[str, Any] | None:
    check = result.wires
    if check is None:
        return None
    unsolved = int(np.isnan(check.v_low).sum())
    return {
        "slots_ok": int(check.ok.sum()),
        "slots_without_power_flow": unsolved,
        "worst": [asdict(strain) for strain in strains(result)],
    }


def _home_rows(result: Result) -> list[dict[str, Any]]:
    unit = result.community.unit
    charges = result.charges.total, result.charges_without_market.total
    with_market, without = ([amount * unit for amount in each.tolist()] for each in charges)
    energy = result.homes.drop("bill", "bill_without_market", "saving")
    return [
        {**row, "bill": _money(bill), "bill_without_market": _money(alone), "saving": _money(alone - bill)}
        for row, bill, alone in zip(energy.iter_rows(named=True), with_market, without, strict=True)
    ]


def _ledger_row(result: Result) -> dict[str, Any] | None:
    ledger = result.ledger
    if ledger is None:
        return None
    return {
        **asdict(ledger),
        "gas_per_trade": round(ledger.gas_per_trade, 1),
        "balances": _money(ledger.balances),
        "deposits": _money(ledger.deposits),
        "books_close": ledger.balances == ledger.deposits,
    }


def _gate(stage: Stage) -> str:
    return f" (gate {gate_text(stage.gate)})" if stage.gate else ""


def _money(amount: int) -> dict[str, int | str]:
    return {"micro": int(amount), "text": decimal_text(int(amount))}
