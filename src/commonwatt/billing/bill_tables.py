"""A month of a living exchange on paper, from its bills alone: pages for members, tables for the accountant, and what
the grid company is told: how much of each quarter hour was shared, and how much met the utility.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from commonwatt.accounts.document import FORMAT, MEASURED
from commonwatt.billing.bill_pdf import bill_pdf
from commonwatt.billing.counted import Counted, counted
from commonwatt.billing.paper import require_pdf
from commonwatt.billing.tables import harmless
from commonwatt.community.calendar import Slots
from commonwatt.data.reports.form import FormColumn, write_form
from commonwatt.errors import DataError
from commonwatt.exchange.files import private, write_whole
from commonwatt.member.beside import bills_in
from commonwatt.member.document import read_whole, slotwise
from commonwatt.member.summary import summary_of
from commonwatt.report.bill.page import bill_page
from commonwatt.units import decimal_text

CHARGES: Final = ("member", "account", "from", "until", "charge", "kWh", "amount", "currency")
"""Of charges.csv: a row for each charge of each bill, positive = the member owes."""
READINGS: Final = ("meter", "member", "slot", "whIn", "whOut", "metered")
"""Of readings.csv: a row for each reading that counts; `slot` is its beginning, in local time with its offset."""
ENERGY: Final = ("point", "member", "slot", "direction", "wh", "shared", "utility", "metered")
"""Of energy.csv: a row for each slot and direction of a point; `wh` is `shared` within the community and `utility`."""
GRID_COMPANY: Final = "grid-company.csv"
"""The same in the form of an Austrian energy community's report, which `commonwatt settle` reads."""
_TABLES: Final = {"charges.csv": CHARGES, "readings.csv": READINGS, "energy.csv": ENERGY}
_PAGES: Final = "bills"
Row = tuple[object, ...]


def write_tables(bills: Path, out: Path, *, pdf: bool = False) -> int:
    """Write the tables of the bills in a folder into `out`, and each bill as a page into `out`/bills, as HTML and, with
    `pdf`, as PDF; returns how many bills there are.

    Raises DataError when there are none, or one that has no sheets or is of another month, VerificationError for what
    is no bill, OSError when a file cannot be written; then the tables that were there before are still there.
    OutputError where a package for PDF is missing.
    """
    files = bills_in(bills)
    if not files:
        raise DataError(f"{bills} holds no bills.")
    if pdf:
        require_pdf()
    (out / _PAGES).mkdir(mode=0o700, parents=True, exist_ok=True)
    parts = {name: private(out / f"{name}.part") for name in (*_TABLES, GRID_COMPANY)}
    columns: list[FormColumn] = []
    of: Mapping[str, Any] = {}
    with ExitStack() as closing:
        opened = (closing.enter_context(parts[name].open("w", encoding="utf-8", newline="")) for name in _TABLES)
        charges, readings, energy = (csv.writer(file, lineterminator="\n") for file in opened)
        for table, head in zip((charges, readings, energy), _TABLES.values(), strict=True):
            table.writerow(head)
        for file in files:
            document = read_whole(file)
            content = slotwise(document)["content"]
            if content["format"] != FORMAT or not content["slots"]:
                raise DataError(f"{file} is no bill with its sheets.")
            of = of or content
            if content["period"] != of["period"]:
                raise DataError(f"{file} is of another month than {files[0]}; give the bills of one.")
            own = counted(content)
            charges.writerows(charge_rows(content))
            readings.writerows(_readings(content))
            energy.writerows(_energy(content, own))
            columns += (column for each in own for column in each.columns())
            _write_page(document, file, out / _PAGES, pdf=pdf)
    write_form(parts[GRID_COMPANY], columns, _slots(of), ZoneInfo(of["timezone"]))
    for name, part in parts.items():
        part.replace(out / name)
    return len(files)


def charges_of(content: Mapping[str, Any]) -> str:
    """charges.csv of one bill."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(CHARGES)
    table.writerows(charge_rows(content))
    return text.getvalue()


def charge_rows(content: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of a bill in charges.csv."""
    member, zone, unit = content["member"], ZoneInfo(content["timezone"]), content.get("unit", 1)
    ends = (_local(content["period"][end], zone) for end in ("from", "until"))
    whose = (harmless(member["id"]), member["account"], *ends)
    for charge in content["charges"]:
        kwh = decimal_text(charge["wh"] * 1000, 3) if "wh" in charge else ""
        amount = decimal_text(charge["amount"] * unit)
        yield (*whose, harmless(charge["name"]), kwh, amount, content["currency"])


def _readings(content: Mapping[str, Any]) -> Iterator[Row]:
    zone, member = ZoneInfo(content["timezone"]), harmless(content["member"]["id"])
    for line in content["slots"]:
        if reading := line["reading"]:
            how = (reading["whIn"], reading["whOut"], line.get("metered", MEASURED))
            yield (reading["meter"], member, _local(line["slot"], zone), *how)


def _energy(content: Mapping[str, Any], own: list[Counted]) -> Iterator[Row]:
    zone = ZoneInfo(content["timezone"])
    times = [_local(line["slot"], zone) for line in content["slots"]]
    for each in own:
        whose = harmless(each.point), harmless(each.member)
        parts = (each.wh.tolist(), each.shared.tolist(), each.residual.tolist(), each.metered)
        for time, *figures in zip(times, *parts, strict=True):
            yield (*whose, time, each.direction, *figures)


def _write_page(document: Mapping[str, Any], file: Path, folder: Path, *, pdf: bool) -> None:
    """A bill to print, named as the file that it is in."""
    found, name = summary_of(document, file), file.name.removesuffix(".gz").removesuffix(".json")
    write_whole(folder / f"{name}.html", bill_page(found, file).encode())
    if pdf:
        write_whole(folder / f"{name}.pdf", bill_pdf(found, file))


def _slots(content: Mapping[str, Any]) -> Slots:
    period, count = content["period"], len(content["slots"])
    return Slots(period["from"], count, (period["until"] - period["from"]) // count)


def _local(at: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at, zone).isoformat()
