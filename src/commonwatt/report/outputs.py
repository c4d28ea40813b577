"""What `--out` gets: every member's bill with its proofs, the tables, and the report."""

from __future__ import annotations

from pathlib import Path

from commonwatt.exchange.bill_files import write_bills
from commonwatt.report.export import write_tables
from commonwatt.report.report import write_report
from commonwatt.report.trace import Traced, trace
from commonwatt.simulation.result import Result


def write_outputs(result: Result, out: Path) -> Traced:
    """Write bills/, when there is a ledger that proves them, tables/ and report.html into the folder `out`.

    What members need comes first and what people look at last: a page that cannot be made costs nobody a bill.
    Returns the delivery that the page follows, as of `trace`.
    """
    if result.books.client is not None:
        write_bills(result.books, result.bills, out / "bills")
    write_tables(result, out / "tables")
    traced = trace(result)
    write_report(result, out / "report.html", traced)
    return traced
