"""A month of a living exchange as tables, from its bills alone: what is owed, and what each meter counted."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from commonwatt.accounts.document import FORMAT, MEASURED
from commonwatt.billing.tables import harmless
from commonwatt.errors import DataError
from commonwatt.exchange.files import private
from commonwatt.member.beside import bills_in
from commonwatt.member.document import read
from commonwatt.units import decimal_text

CHARGES: Final = ("member", "account", "from", "until", "charge", "kWh", "amount", "currency")
"""Of charges.csv: a row for each charge of each bill, positive = the member owes."""
READINGS: Final = ("meter", "member", "slot", "whIn", "whOut", "metered")
"""Of readings.csv: a row for each reading that counts; `slot` is its beginning, in local time with its offset."""
Row = tuple[object, ...]


def write_tables(bills: Path, out: Path) -> int:
    """Write charges.csv and readings.csv of the bills in a folder into `out`; returns how many bills there are.

    Raises DataError when there are none, or one that has no sheets, VerificationError for what is no bill, OSError when
    a table cannot be written; then those that were there before are still there.
    """
    files = bills_in(bills)
    if not files:
        raise DataError(f"{bills} holds no bills.")
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = ("charges.csv", "readings.csv")
    parts = [private(out / f"{name}.part") for name in names]
    with ExitStack() as closing:
        opened = [closing.enter_context(part.open("w", encoding="utf-8", newline="")) for part in parts]
        charges, readings = (csv.writer(file, lineterminator="\n") for file in opened)
        charges.writerow(CHARGES)
        readings.writerow(READINGS)
        for file in files:
            content = read(file)["content"]
            if content["format"] != FORMAT or not content["slots"]:
                raise DataError(f"{file} is no bill with its sheets.")
            charges.writerows(_charges(content))
            readings.writerows(_readings(content))
    for part, name in zip(parts, names, strict=True):
        part.replace(out / name)
    return len(files)


def _charges(content: Mapping[str, Any]) -> Iterator[Row]:
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
            counted = (reading["whIn"], reading["whOut"], line.get("metered", MEASURED))
            yield (reading["meter"], member, _local(line["slot"], zone), *counted)


def _local(at: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at, zone).isoformat()
