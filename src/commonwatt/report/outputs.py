"""What `--out` gets: the report, the tables, and every member's bill with its proofs."""

from __future__ import annotations

import json
import re
from pathlib import Path

from commonwatt.exchange.bills import proven
from commonwatt.exchange.folder import write_private
from commonwatt.report.export import write_tables
from commonwatt.report.report import write_report
from commonwatt.simulation.result import Result


def write_outputs(result: Result, out: Path) -> None:
    """Write report.html, tables/ and, when there is a ledger that proves them, bills/ into the folder `out`."""
    write_report(result, out / "report.html")
    write_tables(result, out / "tables")
    if result.books.client is None:
        return
    folder = out / "bills"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for bill in proven(result.books, result.bills):
        member = bill["content"]["member"]
        write_private(folder / bill_name(member["index"], member["id"]), json.dumps(bill, indent=1) + "\n")


def bill_name(index: int, member: str) -> str:
    """File name of a member's bill; ids that are no plain file names get their number instead, as no id can begin."""
    return f"{member}.json" if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", member) else f"_{index}.json"
