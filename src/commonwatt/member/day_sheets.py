"""A bill's sheets: it names one for each local day of its period, and the file holds the same beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from commonwatt.accounts.document import FORMAT, Part, content_hash, hex_text, parts_of
from commonwatt.accounts.sheets import added
from commonwatt.community.calendar import days_between
from commonwatt.errors import VerificationError
from commonwatt.member.document import CHANGED, of_day
from commonwatt.member.page import require
from commonwatt.member.shares import as_part_of

_COMMON: Final = ("community", "currency", "timezone", "ledger")


@dataclass(frozen=True)
class Shown:
    """Slots that a document shows, with their proofs: those of a sheet, or of a bill that has all of its period.

    content : what has them in `slots`; name : of the sheet in sentences, empty where there is none
    """

    content: Mapping[str, Any]
    proofs: Mapping[str, Any]
    name: str = ""


def shown(document: Mapping[str, Any]) -> tuple[Shown, ...]:
    """What a document shows of slots. Raises VerificationError when its sheets are not those of the bill."""
    if "sheet" in document:
        sheet, period = document["sheet"], document["sheet"]["period"]
        whole = [(sheet["day"], period["from"], period["until"])] == [*islice(_days(sheet), 2)]
        require(whole, f"{_name(sheet['day'])} is not of that day.")
        return (_of_day(document),)
    if document["content"]["format"] != FORMAT:
        return (Shown(document["content"], document["proofs"]),)
    content, days = document["content"], document.get("days", [])
    _require_days(content)
    if days:
        require(len(days) == len(content["sheets"]), "The file leaves out a sheet of the bill, or has one too many.")
        for day, listed in zip(days, content["sheets"], strict=True):
            _require_named(day["sheet"], listed, content)
    return tuple(map(_of_day, days))


def by_tariff(part: Shown) -> tuple[Shown, ...]:
    """Slots by the tariff that they are under: those of a sheet are under one."""
    under = parts_of(part.content)
    if len(under) == 1:
        return (part,)
    slots = part.content["slots"]
    own = ([line for line in slots if each.start <= line["slot"] < each.end] for each in under)
    return tuple(replace(part, content={**part.content, "slots": lines}) for lines in own)


def _of_day(day: Mapping[str, Any]) -> Shown:
    return Shown(of_day(day["sheet"]), day["proofs"], _name(day["sheet"]["day"]))


def _name(day: str) -> str:
    return f"The sheet of {day}"


def _days(content: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """The local days of a period, with what of it is in each. Raises VerificationError for what is no zone or time."""
    period = content["period"]
    sane = all(type(at) is int and 0 <= at < 1 << 53 for at in period.values()) and period["from"] < period["until"]
    require(sane, "The period is none.")
    try:
        for day, start, end in days_between(period["from"], period["until"], content["timezone"]):
            yield day.isoformat(), start, end
    except (LookupError, TypeError, ValueError, OverflowError, OSError):
        raise VerificationError("The time zone is none, or the period is beyond its calendar.") from None


def _require_days(content: Mapping[str, Any]) -> None:
    """The bill names one sheet for each local day of its period, in their order."""
    listed = [sheet["day"] for sheet in content["sheets"]]
    days = [day for day, _, _ in islice(_days(content), len(listed) + 1)]
    require(days == listed, "The bill leaves out or repeats a day of its period.")


def _require_named(sheet: Mapping[str, Any], listed: Mapping[str, Any], bill: Mapping[str, Any]) -> None:
    """The sheet is the one that the bill names, of the same member, ledger and terms, and of the whole day."""
    name = _name(listed["day"])
    same = hex_text(content_hash(sheet)) == listed["hash"]
    require(same, f"{name} is not the one that the bill names: it is another, or {CHANGED}")
    require(sheet["sums"] == listed["sums"], f"{name} has other sums than the bill says.")
    same = all(sheet[key] == bill[key] for key in _COMMON) and sheet.get("unit") == bill.get("unit")
    # The account may have been replaced on the way; which is the member's, the chain says.
    same = same and all(sheet["member"][key] == bill["member"][key] for key in ("index", "id"))
    require(same and as_part_of(sheet, bill), f"{name} is not of the bill's member, community and plants.")
    day = sheet["day"], sheet["period"]["from"], sheet["period"]["until"]
    require(day[0] == listed["day"] and day in _days(bill), f"{name} is of another day, or not of all of it.")
    (under,) = (part for part in parts_of(bill) if part.start <= day[1] < part.end)
    whole = day[2] <= under.end and sheet["tariff"] == under.tariff
    require(whole, f"{name} is not under the tariff that the bill has for it.")


def summed_parts(bill: Mapping[str, Any]) -> list[tuple[Part, dict[str, Any]]]:
    """The sums of a bill's sheets by charter. Raises VerificationError when a charter begins or ends within a day."""
    starts = [start for _, start, _ in islice(_days(bill), len(bill["sheets"]))]
    found = []
    for part in parts_of(bill):
        own = _listed(bill["sheets"], starts, part)
        begins = part.start in starts
        require(begins and bool(own), f"The charter of slot {part.start} does not begin with a day.")
        found.append((part, added(own)))
    return found


def _listed(sheets: Sequence[Any], starts: Sequence[int], part: Part) -> list[Mapping[str, Any]]:
    return [each["sums"] for each, start in zip(sheets, starts, strict=True) if part.start <= start < part.end]
