"""Bills with all their slots in one list, as tests read and change them, and back to what is written: day by day.

Whoever changes a bill by slot changes what its sheets say; `by_day` then makes sheets with right hashes and sums of it,
as operators would who mean it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from commonwatt.accounts import document, sheets
from commonwatt.accounts.baskets import Baskets
from commonwatt.accounts.document import FORMAT, SLOTWISE, Anchored, content_hash, hex_text, parts_of
from commonwatt.accounts.orders import order_of
from commonwatt.community.calendar import days_between
from commonwatt.errors import RecordError, VerificationError
from commonwatt.exchange import bills as exchange_bills
from commonwatt.exchange.bills import anchor_of
from commonwatt.exchange.books import Books
from commonwatt.exchange.sheets import shown_days
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.member import amounts, shares, verify
from commonwatt.member.day_sheets import shown
from commonwatt.member.document import slotwise
from commonwatt.member.verify import Verified

Bill = dict[str, Any]
_COMMON = ("community", "currency", "unit", "timezone", "ledger", "member", "mandate")
_MOST_DAYS = 40
"""Sheets of a bill, of whatever period it says that it is."""
_WRONG = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, VerificationError)


def by_slot(bill: Any) -> Bill:
    """A copy of a bill that is by day."""
    found = copy.deepcopy(dict(slotwise(bill)))
    found["content"].pop("sheets", None)
    return found


def by_day(bill: Any) -> Any:
    """A bill that is by slot as its file has it; anything else as it is. Its anchor is left as it is."""
    content = bill.get("content") if isinstance(bill, dict) else None
    if not isinstance(content, dict) or content.get("format") != FORMAT or "slots" not in content:
        return bill
    rest = {name: part for name, part in bill.items() if name not in ("content", "proofs")}
    listed = content["slots"] if isinstance(content["slots"], list) else []
    try:
        period = content["period"]
        spans = list(islice(days_between(period["from"], period["until"], content["timezone"]), _MOST_DAYS))
        first = [(str(day), since, until) for day, since, until in spans]
    except _WRONG:
        first = [("2026-06-15", 0, 1 << 62)]
    days = []
    for number, (day, since, until) in enumerate(first):
        last = number == len(first) - 1
        own = [line for line in listed if _within(line, since, until, first=number == 0, last=last)]
        sheet = _sheet(content, day, (since, until), own)
        proofs = bill.get("proofs")
        if isinstance(proofs, dict):
            proofs = {
                at: proof
                for at, proof in proofs.items()
                if _within({"slot": int(at)}, since, until, first=number == 0, last=last)
            }
        days.append({"sheet": sheet, "proofs": proofs})
    named = [
        {"day": each["sheet"]["day"], "hash": hex_text(content_hash(each["sheet"])), "sums": each["sheet"]["sums"]}
        for each in days
    ]
    kept = {name: said for name, said in content.items() if name not in ("slots", "mandate")}
    return {"content": {**kept, "sheets": named}, **rest, "days": days}


def _within(line: Any, since: int, until: int, *, first: bool, last: bool) -> bool:
    """Whether a slot is in the day; what is in none is in the first or the last."""
    at = line.get("slot") if isinstance(line, dict) else None
    if type(at) is not int:
        return first
    return (first or since <= at) and (last or at < until)


def _sheet(content: Bill, day: str, span: tuple[int, int], lines: list[Any]) -> Bill:
    sheet = {
        "format": sheets.FORMAT,
        "day": day,
        **{name: content[name] for name in _COMMON if name in content},
        "period": {"from": span[0], "until": span[1]},
        "slots": lines,
    }
    if not isinstance(content["period"], dict):
        sheet["period"] = content["period"]
    try:
        sheet["tariff"] = next(part.tariff for part in parts_of(content) if part.start <= span[0] < part.end)
    except (*_WRONG, StopIteration):
        sheet["tariff"] = content.get("tariff")
    for name in ("owns", "owners"):
        if name in content:
            sheet[name] = _without_money(content[name])
    sheet["sums"] = _sums(sheet)
    return sheet | _baskets(lines)


def _baskets(lines: list[Any]) -> Bill:
    """The lines with their orders in baskets; an order that is none is left as it is."""
    baskets, found = Baskets(), []
    for line in lines:
        for order in _orders(line):
            baskets.add(order[1])
    for line in lines:
        written = {place: baskets.order(signed) for place, signed in _orders(line)}
        if written:
            line = line | {"orders": [written.get(place, order) for place, order in enumerate(line["orders"])]}
        found.append(line)
    return {"slots": found, "baskets": baskets.as_json()}


def _orders(line: Any) -> list[tuple[int, Any]]:
    listed = line.get("orders") if isinstance(line, dict) else None
    found = []
    for place, order in enumerate(listed if isinstance(listed, list) else []):
        try:
            signed = order_of(order)
            if signed.within is None or len(signed.within.siblings) == (signed.within.count - 1).bit_length():
                found.append((place, signed))
        except (*_WRONG, RecordError):
            continue
    return found


def _without_money(parts: Any) -> Any:
    money = ("costs", "amount", "onLedger")
    try:
        return [{name: said for name, said in part.items() if name not in money} for part in parts]
    except _WRONG:
        return parts


def _sums(sheet: Bill) -> Bill:
    """What the slots come to; nothing where they cannot be added up."""
    try:
        found = amounts.sums(sheet["slots"], sheet["member"]["index"])
    except _WRONG:
        found = {**dict.fromkeys(sheets.WITH_MARKET, 0), "alone": dict.fromkeys(sheets.ALONE, 0)}
    try:
        return found | shares.summed(sheet, {line["slot"] for line in sheet["slots"]}).sums
    except _WRONG:
        for name, who, keys in (
            ("plants", "plant", ("wh", "amount", "withoutMarket")),
            ("owners", "member", ("wh", "amount", "received")),
        ):
            for part in sheet.get("owns" if name == "plants" else "owners", []):
                found.setdefault(name, []).append({who: part[who], **dict.fromkeys(keys, 0)})
        return found


def named_anew(document: Bill) -> Bill:
    """A bill that is by day, whose content names its sheets as they now are; its anchor is left as it is."""
    for day, listed in zip(document["days"], document["content"]["sheets"], strict=True):
        listed.update(hash=hex_text(content_hash(day["sheet"])), sums=day["sheet"]["sums"])
    return document


def as_before(bill: Bill) -> Bill:
    """A bill that is by slot, in the format before there were sheets; what it shares with the other is not copied."""
    content = bill["content"]
    if content.get("format") != FORMAT:
        return bill
    return {**bill, "content": {**content, "format": SLOTWISE}}


def contents(books: Books) -> list[Bill]:
    """The content of every member's bill, by slot."""
    return [bill["content"] for bill in proven(books, document.anchored(exchange_bills.bills(books)))]


def proven(books: Books, bundle: Anchored) -> Iterator[Bill]:
    """Every bill with its proofs, by slot. Where the contents are by slot, the sheets and the anchor are of these."""
    days = list(shown_days(books))
    given = anchored(bundle.contents)
    for member, content in enumerate(bundle.contents):
        own = [day[member] for day in days]
        if "sheets" in content:
            yield by_slot({"content": content, "anchor": anchor_of(given, member), "days": own})
            continue
        proofs = {slot: proof for day in own for slot, proof in day["proofs"].items()}
        yield {"content": content, "anchor": anchor_of(given, member), "proofs": proofs}


def anchored(given: Sequence[Bill]) -> Anchored:
    """The tree of contents, by slot or not."""
    return document.anchored([by_day({"content": content})["content"] if content else {} for content in given])


def require_amounts(content: Bill) -> None:
    """Add up a content that is by slot as `verify` does in the format before and, where it is whole, by day.

    Raises VerificationError.
    """
    proofs: dict[str, Any] = {str(line["slot"]): {} for line in content["slots"]}
    bill = {"content": {**content, "format": SLOTWISE}, "anchor": {}, "proofs": proofs}
    verify._amounts(bill, shown(bill))
    if "timezone" in content:
        bill = by_day({**bill, "content": {**content, "format": FORMAT}})
        verify._amounts(bill, shown(bill))


def verify_bill(bill: Any, client: LedgerClient) -> Verified:
    """Check a bill that is by slot, as its file has it."""
    return verify.verify_bill(by_day(bill), client)
