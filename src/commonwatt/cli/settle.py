"""The command of an operator who bills after the fact. Every heavy import happens inside the command."""

from __future__ import annotations

import re
import time
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from commonwatt.cli.options import JsonPath, local_day, progress, say, seldom_collected, write_json
from commonwatt.errors import ConfigError, Finding
from commonwatt.plain import many

if TYPE_CHECKING:
    from commonwatt.billing.month import Month
    from commonwatt.billing.run import Billed, Understood


@seldom_collected()
def settle(
    file: Path,
    *,
    month: str,
    meters: Annotated[list[Path] | None, Parameter(consume_multiple=True, negative="")] = None,
    out: Path | None = None,
    books: Path | None = None,
    labels: Annotated[Literal["begin", "end"] | None, Parameter(show_default=False)] = None,
    dated: Annotated[str | None, Parameter(name="--date", show_default=False)] = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    pdf: Annotated[bool, Parameter(negative="")] = False,
    json_path: JsonPath = None,
) -> None:
    """Settle a month after the fact, from the files of the grid company to the bills that members are sent.

    Nothing is forecast, and nothing is filled in. The first time, bills are made; files that come later correct the
    month, and what that changes is on the next month's bills.

    Example: commonwatt settle examples/eeg.toml --month 2026-10 --meters examples/eeg-2026-10.xlsx --out october

    Parameters
    ----------
    file
        The community file, with the members' points and a table [billing].
    month
        The month, such as 2026-10.
    meters
        Exports of grid companies and portals, .xlsx or CSV; of several, all together.
    out
        Folder for the bills and tables. An earlier month that stands there is put into a folder of its own within it.
    books
        Folder that keeps all months: files as they came, what was settled, what was sent. Without it, books in out.
    labels
        What a time is of its interval, in files that do not say it.
    dated
        Date of the bills, such as 2026-11-03; without it, today.
    dry_run
        Show how the files are understood, with all gaps, and write nothing.
    pdf
        Make each bill a PDF too.
    """
    from commonwatt.billing.archive import Archive
    from commonwatt.billing.run import settle_month, understand
    from commonwatt.data.reports import preview

    if out is None and not dry_run:
        raise ConfigError("The request", [Finding("out", "is missing: the folder for the bills")])
    archive = Archive(books or (out or Path()) / "books")
    understood = understand(file, month_of(month), meters or [], archive, labels)
    quiet = json_path == "-"
    if dry_run or out is None:
        lines = [*preview(understood.metered.report), *understood.notes]
        if json_path:
            write_json({"month": month, **_files(understood)}, json_path)
        if not quiet:
            print("\n".join(lines))
            say(f"{month} of {understood.community.name} can be settled from this. Nothing was written.")
        return
    from commonwatt.billing.outputs import write

    on = local_day("--date", dated) if dated else _today(understood)
    if dated and on < understood.shelf.month.last:
        raise ConfigError("The request", [Finding("--date", f"is {on}, before the end of {month}, which is billed")])
    with progress(quiet=quiet, task=f"settling {month}") as report:
        billed = settle_month(understood, meters or [], archive, on, int(time.time()), report)
    written = write(billed, out, pdf=pdf)
    if json_path:
        write_json({**summary(billed), "files": [str(path) for path in written]}, json_path)
    if not quiet:
        _show(billed, out)


def month_of(text: str) -> Month:
    """The month of the option --month."""
    from commonwatt.billing.month import Month

    found = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", text)
    if not found or not 1971 <= int(found[1]) < 2200:
        raise ConfigError("The request", [Finding("--month", f"is a month such as 2026-10, not '{text}'")])
    return Month(int(found[1]), int(found[2]))


def _today(understood: Understood) -> date:
    return datetime.now(understood.metered.report.zone).date()


def _files(understood: Understood) -> dict[str, Any]:
    """How the files were understood."""
    report = understood.metered.report
    return {
        "files": [
            {
                "path": str(each.path),
                "sheet": each.sheet,
                "kind": each.kind,
                "headerRows": list(each.header_rows),
                "stepMinutes": each.step / 60,
                "labels": each.labels,
                "zone": "in the file" if each.zoned else report.zone.key,
                "from": each.start,
                "until": each.end,
                "columns": [
                    {"column": c.letter, "header": c.header, "point": c.point, "quantity": c.quantity, "unit": c.unit}
                    for c in each.columns
                ],
                "leftOut": list(each.left_out),
            }
            for each in report.files
        ],
        "gaps": [
            {"point": gap.point, "quantity": gap.quantity, "from": gap.start, "until": gap.end, "slots": gap.slots}
            for gap in report.gaps()
        ],
        "notes": list(understood.notes),
    }


def summary(billed: Billed) -> dict[str, Any]:
    """What a settled month comes to; money in cents, energy in Wh."""
    from commonwatt.billing.outputs import moves, payments
    from commonwatt.billing.tables import totals

    understood, sums = billed.understood, totals(billed.issued.bills)
    return {
        "community": understood.community.name,
        "month": str(understood.shelf.month),
        "issued": billed.issued.on.isoformat(),
        "new": billed.new,
        "root": f"0x{billed.issued.root}",
        "bills": {bill.member: bill.total for bill in billed.issued.bills},
        "totals": {
            "invoices": sums.invoices,
            "creditNotes": sums.credit_notes,
            "rounding": sums.rounding,
            "balance": sums.balance,
        },
        "revised": moves(billed, billed.revised),
        "bank": {
            name: {"payments": batch.count, "cents": batch.cents, "leftOut": list(batch.left_out)}
            for name, batch in payments(billed).items()
        },
        "comparison": [
            {
                "member": each.member,
                "register": each.register,
                "officialWh": each.official / 1000,
                "oursWh": each.ours / 1000,
                "largestWh": each.largest / 1000,
                "slotsApart": each.apart,
            }
            for each in billed.agreements
        ],
        "notes": [*billed.notes, *understood.notes],
    }


def _show(billed: Billed, out: Path) -> None:
    """One screen: what is owed, how it agrees with the grid company, and what changed."""
    from rich.console import Console

    from commonwatt.billing.screen import render

    Console(highlight=False).print(render(billed))
    say(f"Bills: {out / 'bills'}   Charges: {out / 'charges.csv'}   Root of the bills: 0x{billed.issued.root}")
    if not billed.new:
        anew = many(len(billed.revised), "slot")
        say(f"These bills were made on {billed.issued.on} and stay as they are; {anew} settled anew.")
