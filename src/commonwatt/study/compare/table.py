"""The comparison as one table: on the terminal, as CSV, and as rows of text for the report."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from commonwatt.plain import many
from commonwatt.study.compare.comparison import Comparison, Row

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console, ConsoleOptions, RenderableType

WIDEST: Final = 120
WORTH_SAYING: Final = 0.1
"""A smaller difference of the batteries' energy is not mentioned [kWh]."""
Value = float | int | str | None


@dataclass(frozen=True)
class Column:
    """One figure of every row. key : in the CSV; head, meaning : for people; shown : as text

    none : a value that says nothing; a column of nothing else is not shown
    """

    key: str
    head: str
    meaning: str
    value: Callable[[Row], Value]
    shown: Callable[[Row], str]
    none: Value = None

    def says_something(self, rows: Sequence[Row]) -> bool:
        """Whether any row has this figure."""
        return any(self.value(row) not in (None, self.none) for row in rows)


def number(value: float | None, places: int = 2) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:z.{places}f}".replace("-", "−")


def percent(share: float | None, places: int = 0) -> str:
    """A share of 1."""
    return "–" if share is None else f"{number(100 * share, places)}%"


def _proofs(row: Row) -> str:
    if not row.proofs:
        return "–"
    return "✓" if row.proofs_hold else f"{row.checks - row.holding} broken"


COLUMNS: Final = (
    Column("design", "design", "", lambda r: r.design, lambda r: r.design),
    Column("bill", "bill", "of all homes, with everything", lambda r: r.bill, lambda r: number(r.bill)),
    Column("saved", "saved", "against the utility alone", lambda r: r.saved, lambda r: number(r.saved)),
    Column("least_saved", "least", "saved by the home that saved least", lambda r: r.least_saved,
           lambda r: number(r.least_saved)),
    Column("gap", "gap", "share of what sharing the metered energy could gain, missed", lambda r: r.gap,
           lambda r: percent(r.gap)),
    Column("plan_gap", "plan", "how far the plan may cost more than the best one, certified", lambda r: r.plan_gap,
           lambda r: percent(r.plan_gap, 2)),
    Column("local_kwh", "kWh", "between neighbours", lambda r: r.local_kwh, lambda r: number(r.local_kwh, 1)),
    Column("trades", "trades", "settled, one per pair and slot", lambda r: r.trades, lambda r: str(r.trades)),
    Column("price", "price", "mean of a kWh between neighbours", lambda r: r.price, lambda r: number(r.price, 3)),
    Column("self_consumption", "SC", "self-consumption: what was made stayed here", lambda r: r.self_consumption,
           lambda r: percent(r.self_consumption)),
    Column("self_sufficiency", "SS", "self-sufficiency: what was used was made here", lambda r: r.self_sufficiency,
           lambda r: percent(r.self_sufficiency)),
    Column("peak_kw", "peak", "highest import of the community, kW", lambda r: r.peak_kw,
           lambda r: number(r.peak_kw, 1)),
    Column("peak_to_average", "PAR", "peak to average of that import", lambda r: r.peak_to_average,
           lambda r: number(r.peak_to_average, 1)),
    Column("jain", "Jain", "index of the savings, 1 = all equal", lambda r: r.jain, lambda r: number(r.jain)),
    Column("gini", "Gini", "index of the savings, 0 = all equal", lambda r: r.gini, lambda r: number(r.gini)),
    Column("zhou", "Zhou", "mean of Zhou's six indices, of 1", lambda r: r.zhou.overall,
           lambda r: number(r.zhou.overall)),
    Column("losses_kwh", "loss", "in the wires, kWh", lambda r: r.losses_kwh, lambda r: number(r.losses_kwh)),
    Column("distance_ohm", "Ω", "mean electrical distance of a traded kWh", lambda r: r.distance_ohm,
           lambda r: number(r.distance_ohm, 3)),
    Column("stored_kwh", "stored", "in the batteries at the end, more than with the utility alone, kWh",
           lambda r: round(r.stored_kwh, 2), lambda r: number(r.stored_kwh, 1), 0.0),
    Column("proofs", "proofs", "whether every check of every clearing holds", lambda r: r.proofs, _proofs),
    Column("seconds", "s", "CPU seconds of the run", lambda r: r.seconds, lambda r: number(r.seconds, 1)),
)  # fmt: skip


def columns(comparison: Comparison) -> list[Column]:
    """Those that have something to say here."""
    return [column for column in COLUMNS if column.says_something(comparison.rows)]


def notes(comparison: Comparison) -> list[str]:
    """What a reader has to know beside the figures: what was left out, not planned, not carried, not used up."""
    lines = [f"left out: {name}: {reason}" for name, reason in comparison.left_out.items()]
    slots = len(comparison.clock)
    lines += [
        f"{row.design} found no plan in {row.unsolved} of {slots} slots; there everybody met the utility"
        for row in comparison.rows
        if row.unsolved
    ]
    lines += _overloads(comparison.rows)
    return lines + [_stored(row, comparison) for row in comparison.rows if abs(row.stored_kwh) >= WORTH_SAYING]


def _overloads(rows: Sequence[Row]) -> list[str]:
    """What the wires did not carry, each sentence once: designs that leave the meters alone overload the same wires."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for sentence in row.overloads:
            found.setdefault(sentence, []).append(row.design)
    return [f"{', '.join(under)}: {sentence}" for sentence, under in found.items()]


def _stored(row: Row, comparison: Comparison) -> str:
    """Energy that a design takes from the batteries lowers its bill, and what it leaves there does not."""
    low, high = (abs(row.stored_kwh) * price for price in (min(comparison.floor), max(comparison.ceiling)))
    less = "less" if row.stored_kwh < 0 else "more"
    return (
        f"{row.design} ends with {abs(row.stored_kwh):.1f} kWh {less} in the batteries than the utility alone, "
        f"worth {low:.2f} to {high:.2f} {comparison.currency}, which its savings do not count"
    )


def frame(comparison: Comparison) -> pl.DataFrame:
    """Every figure of every row; one that does not exist is null."""
    import polars as pl

    indices = ("value_tapping", "participation", "equality", "energy_balance", "flatness")
    rows = [
        {column.key: column.value(row) for column in COLUMNS}
        | {"phase": row.phase, "local_share": row.local_share}
        | {name: getattr(row.zhou, name) for name in indices}
        | {"checks": row.checks, "holding": row.holding}
        for row in comparison.rows
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    return table.cast({name: pl.Float64 for name, kind in table.schema.items() if kind == pl.Null})


def write_csv(comparison: Comparison, path: Path) -> None:
    """Every figure of every row; one that does not exist is empty. UTF-8."""
    table = frame(comparison)
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(table.columns)
        lines.writerows(table.rows())


@dataclass(frozen=True)
class Screen:
    """The table for the terminal: in one block if it fits, else in several, each with the designs' names."""

    comparison: Comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """From top to bottom: what was compared, the table, what its heads mean, what is left out."""
        from rich.constrain import Constrain
        from rich.text import Text

        found, width = self.comparison, min(options.max_width, WIDEST)
        days = many(found.days, "day")
        yield Text(
            f"{found.community}, {many(len(found.homes), 'home')}, {days} from {found.start}; money in {found.currency}"
        )
        shown = columns(found)
        yield from (self._block(block) for block in _blocks(shown, found.rows, width))
        meanings = "; ".join(f"{column.head}: {column.meaning}" for column in shown if column.meaning)
        yield Constrain(Text(meanings, style="dim"), width)
        yield from (Constrain(Text(line), width) for line in notes(found))
        for claim in found.claims:
            yield Text(f"\n{claim.title}", style="bold")
            yield Constrain(Text(f"a review's table 2: auction {claim.auction}, scheduling {claim.scheduling}"), width)
            yield Constrain(Text(f"here: {claim.finding}"), width)

    def _block(self, shown: Sequence[Column]) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        for column in shown:
            table.add_column(column.head, justify="left" if column.key == "design" else "right", no_wrap=True)
        for row in self.comparison.rows:
            table.add_row(*(Text(column.shown(row)) for column in shown))
        return table


def _blocks(shown: Sequence[Column], rows: Sequence[Row], width: int) -> list[list[Column]]:
    """Columns side by side as far as `width` reaches, the first one in every block."""
    first, *others = shown
    blocks = [[first]]
    used = _width(first, rows)
    for column in others:
        if used + 1 + _width(column, rows) > width and len(blocks[-1]) > 1:
            blocks.append([first])
            used = _width(first, rows)
        blocks[-1].append(column)
        used += 1 + _width(column, rows)
    return blocks


def _width(column: Column, rows: Sequence[Row]) -> int:
    return max(len(column.head), *(len(column.shown(row)) for row in rows))
