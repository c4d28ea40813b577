"""What `--out` gets: every member's bill with its proofs, the tables, and the report."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic_core import to_json

from commonwatt.exchange.bills import proven
from commonwatt.exchange.folder import write_private
from commonwatt.report.export import write_tables
from commonwatt.report.report import write_report
from commonwatt.report.trace import Traced
from commonwatt.simulation.result import Result


def write_outputs(result: Result, out: Path, traced: Traced | None = None) -> None:
    """Write bills/, when there is a ledger that proves them, tables/ and report.html into the folder `out`.

    traced : as of `trace`, where it is known already
    What members need comes first and what people look at last: a page that cannot be made costs nobody a bill.
    """
    if result.books.client is not None:
        _write_bills(result, out / "bills")
    write_tables(result, out / "tables")
    write_report(result, out / "report.html", traced)


def _write_bills(result: Result, folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for bill in proven(result.books, result.bills):
        member = bill["content"]["member"]
        text = to_json(bill, indent=1, ensure_ascii=True).decode()
        write_private(folder / bill_name(member["index"], member["id"]), text + "\n")


def bill_name(index: int, member: str) -> str:
    """File name of a member's bill; ids that are no plain file names get their number instead, as no id can begin."""
    return f"{member}.json" if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", member) else f"_{index}.json"
