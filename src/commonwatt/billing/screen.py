"""A settled month on one screen."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from commonwatt.billing.lines import FED_IN, TAKEN, MemberBill, cents_text
from commonwatt.billing.outputs import moves, payments
from commonwatt.billing.run import Billed
from commonwatt.plain import many, plain

_MOST: Final = 40
"""Of many members, how many are shown."""


def render(billed: Billed) -> RenderableType:
    """What everybody owes, how it agrees with the grid company, and what was corrected."""
    understood = billed.understood
    title = f"{plain(understood.community.name)}, {understood.shelf.month}, bills of {billed.issued.on}"
    parts: list[RenderableType] = [Text(title, style="bold"), _bills(billed)]
    parts += [Text(line) for line in _agreement(billed)]
    if billed.revised:
        parts.append(_revised(billed))
    parts += [Text(plain(note)) for note in (*_bank(billed), *billed.notes, *understood.notes)]
    return Group(*parts)


def _bills(billed: Billed) -> Table:
    currency = billed.understood.community.currency
    table = Table("member", box=None, pad_edge=False, header_style="dim")
    for column in (
        "from neighbours",
        "to neighbours",
        "net",
        "VAT",
        f"to pay [{currency}]",
    ):
        table.add_column(column, justify="right")
    bills = billed.issued.bills
    for bill in bills[:_MOST]:
        table.add_row(plain(bill.member), *_row([bill], currency))
    if len(bills) > _MOST:
        table.add_row(f"and {many(len(bills) - _MOST, 'member')} more")
    table.add_row("all", *_row(bills, currency), style="bold")
    return table


def _row(bills: Sequence[MemberBill], currency: str) -> tuple[str, ...]:
    lines = [line for bill in bills for line in bill.lines]
    taken, fed = (sum(line.wh or 0 for line in lines if line.key.kind == kind) for kind in (TAKEN, FED_IN))
    net, vat = sum(line.net for line in lines), sum(line.vat for line in lines)
    return (
        f"{taken / 1000:,.3f} kWh",
        f"{fed / 1000:,.3f} kWh",
        *(f"{Decimal(cents_text(each, currency)):,}" for each in (net, vat, net + vat)),
    )


def _agreement(billed: Billed) -> list[str]:
    """How the allocation agrees with the grid company's own."""
    found = billed.agreements
    if not found:
        return ["The files do not say what the grid company allocated, so nothing is compared with it."]
    largest, month = max(each.largest for each in found), max(abs(each.ours - each.official) for each in found)
    apart = [each for each in found if each.apart]
    said = f"{largest / 1000:.3f} Wh apart in a slot at most, {month / 1000:.3f} Wh over the month"
    if not apart:
        return [f"The grid company's own figures agree, {many(len(found), 'register')}: {said}."]
    lines = [f"The grid company's own figures DIFFER, {len(apart)} of {many(len(found), 'register')}: {said}."]
    for each in apart[:_MOST]:
        one, other = each.official / 1e6, each.ours / 1e6
        lines.append(
            f"  {plain(each.member)} {plain(each.register)}: {one:.3f} kWh, ours {other:.3f} kWh, "
            f"{many(each.apart, 'slot')} apart; see comparison.csv"
        )
    return lines


def _bank(billed: Billed) -> list[str]:
    """What is in the files for the bank, and how many are not."""
    told = []
    for name, batch in payments(billed).items():
        if batch.count:
            told.append(f"{name}: {many(batch.count, 'payment')}, {batch.cents / 100:,.2f} EUR.")
        if batch.left_out:
            more = f" And {len(batch.left_out) - 1} more." if len(batch.left_out) > 1 else ""
            told.append(f"{batch.left_out[0]}{more}")
    return told


def _revised(billed: Billed) -> Table:
    """What the slots that were settled anew moved, by member."""
    sums: dict[str, list[float]] = {}
    for row in moves(billed, billed.revised):
        own = sums.setdefault(row["member"], [0.0, 0.0, 0.0])
        for place, name in enumerate(("money before", "money", "difference")):
            own[place] += row[name]
    table = Table(f"corrected, {many(len(billed.revised), 'slot')}", box=None, pad_edge=False, header_style="dim")
    for column in ("received before", "now", "difference"):
        table.add_column(column, justify="right")
    for member, own in sums.items():
        table.add_row(plain(member), *(f"{each:,.6f}" for each in own))
    total = sum(own[2] for own in sums.values())
    table.add_row("all", "", "", f"{abs(round(total, 6)):,.6f}", style="bold")
    return table
