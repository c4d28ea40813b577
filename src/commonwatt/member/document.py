"""A bill, a day's sheet or an excerpt, as its member has it: read strictly, every part there and no other.

A bill names its sheets by their hashes; beside it the file holds them, each with its proofs, or none of them.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from commonwatt.accounts import sheets
from commonwatt.accounts.baskets import with_ways
from commonwatt.accounts.document import EXCERPT, FORMAT, SLOTWISE, content_hash, mandates, mandates_of
from commonwatt.errors import RecordError, VerificationError
from commonwatt.member import on_account, shares
from commonwatt.member.page import require, table
from commonwatt.proof import root_of
from commonwatt.records import strict_json
from commonwatt.records.schema import to_bytes

_LONGEST: Final = 1 << 30
"""Bytes of a file: many times a year of one member's bill."""
_PACKED: Final = b"\x1f\x8b"
"""What a file begins with that is packed by gzip."""
_DENSEST: Final = 64
"""How many times as long as it is packed a document may be; bills are some ten times as long."""
CHANGED: Final = "at least one figure in it was changed."
_EXCERPT: Final = ("format", "ledger", "member", "mandate", "slots")
_WHERE: Final = ("format", "ledger", "member", "community", "currency", "timezone", "period")
_OWED: Final = ("charges", "total", "withoutMarket")
_SLOTWISE: Final = (*_WHERE, "mandate", "slots", *_OWED)
_BILL: Final = (*_WHERE, "sheets", *_OWED)
_SHEET: Final = (*_WHERE, "day", "tariff", "baskets", "slots", "sums")
_BOUND: Final = 1 << 80
"""Of energy and money, in either direction: beyond all sums."""
_SLOT: Final = ("slot", "reading", "trades", "orders")


@dataclass(frozen=True)
class Named:
    """What a document says of where it belongs: it may say anything.

    community, settlement : the contracts [address]
    account : the member's [address]; index : its number
    """

    chain_id: int
    community: bytes
    settlement: bytes
    account: bytes
    index: int


def read(file: Path) -> Mapping[str, Any]:
    """The document in a file, slot by slot (`slotwise`). Raises VerificationError."""
    return slotwise(read_whole(file))


def read_whole(file: Path) -> Mapping[str, Any]:
    """The document in a file, which may be packed by gzip. Raises VerificationError."""
    try:
        given = strict_json.loads(_unpacked(file), _LONGEST)
        return on_account.whole(given) if on_account.is_on_account(given) else whole(given)
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise VerificationError(f"{file} cannot be read: it is packed, and breaks off or is damaged.") from None
    except OSError as error:
        raise VerificationError(f"{file} cannot be read: {error.strerror}.") from None
    except (ValueError, VerificationError) as error:
        raise VerificationError(f"{file} is no bill and no excerpt of one: {str(error).rstrip('.')}.") from None


def _unpacked(file: Path) -> bytes:
    """What a file holds, up to a little more than a document may have. Raises ValueError for what grows beyond that."""
    with file.open("rb") as opened:
        given = opened.read(_LONGEST + 1)
    if not given.startswith(_PACKED):
        return given
    most = min(_DENSEST * len(given), _LONGEST)
    with gzip.open(BytesIO(given)) as packed:
        found = packed.read(most + 1)
    if len(found) > most:
        raise ValueError(f"it is packed, and unpacked more than {_DENSEST} times as long")
    return found


def whole(given: Any) -> Mapping[str, Any]:
    """The document, when it has the parts of a bill, a sheet or an excerpt and no others. Raises VerificationError."""
    if isinstance(given, dict) and "sheet" in given:
        return _whole_day(given)
    is_bill = isinstance(given, dict) and "anchor" in given
    content: Any = given.get("content") if isinstance(given, dict) else None
    form = content.get("format") if isinstance(content, dict) else None
    require(form in ((FORMAT, SLOTWISE) if is_bill else (EXCERPT,)), _other_format(content))
    if form == FORMAT:
        return _whole_bill(given)
    document = table(given, ("content", "anchor", "proofs") if is_bill else ("content", "proofs"), "the document")
    content = table(content, _keys(content, _SLOTWISE) if is_bill else _EXCERPT, "the content")
    _whole_member(content, is_bill=is_bill)
    _whole_slots(content, is_bill=is_bill)
    require(isinstance(document["proofs"], dict), "the proofs are no table.")
    if is_bill:
        table(document["anchor"], ("root", "index", "siblings"), "the anchor")
        _whole_terms(content)
        shares.whole(content)
    return document


def slotwise(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A document as whoever looks at slots has it: all in `content` and `proofs`, as in an excerpt.

    Of a bill without its sheets there are none, and no mandate.
    Raises VerificationError when orders do not lead to the baskets that a sheet says.
    """
    if "sheet" in document:
        return {"content": of_day(document["sheet"]), "proofs": document["proofs"]}
    if document.get("content", {}).get("format") != FORMAT:
        return document
    days = document.get("days", [])
    content = {
        **document["content"],
        "slots": [line for day in days for line in of_day(day["sheet"])["slots"]],
        **mandates(
            (max(each.start, day["sheet"]["period"]["from"]), each.mandate)
            for day in days
            for each in mandates_of(day["sheet"])
        ),
    }
    proofs = {slot: proof for day in days for slot, proof in day["proofs"].items()}
    return {"content": content, "anchor": document["anchor"], "proofs": proofs}


def of_day(sheet: Mapping[str, Any]) -> Mapping[str, Any]:
    """A sheet with each order whole: its signature, and its way to the root of its basket. Raises VerificationError."""
    try:
        return {**sheet, "slots": with_ways(sheet)}
    except RecordError as error:
        raise VerificationError(f"The sheet of {sheet['day']}: {error}") from None


def _whole_bill(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """A bill with its sheets beside it, or without."""
    document = table(given, ("content", "anchor", *(["days"] if "days" in given else [])), "the document")
    content = table(document["content"], _keys(document["content"], _BILL), "the content")
    table(document["anchor"], ("root", "index", "siblings"), "the anchor")
    _whole_member(content)
    _whole_terms(content)
    shares.whole_parts(content)
    require(isinstance(content["sheets"], list) and bool(content["sheets"]), "the sheets are no list.")
    for sheet in content["sheets"]:
        table(sheet, ("day", "hash", "sums"), "a sheet of the bill")
        require(isinstance(sheet["day"], str), "a sheet's day is no text.")
        _whole_sums(sheet["sums"], content)
    days = document.get("days", [])
    require(isinstance(days, list), "the days are no list.")
    for day in days:
        _whole_day(day)
    return document


def _whole_day(given: Any) -> Mapping[str, Any]:
    """A sheet with its proofs."""
    day = table(given, ("sheet", "proofs"), "the day")
    sheet = day["sheet"]
    known = isinstance(sheet, dict) and sheet.get("format") == sheets.FORMAT
    require(known, f"the format of a sheet is not {sheets.FORMAT}.")
    several = "mandates" in sheet
    more = [*_more(sheet), *(["boxSigns"] if "boxSigns" in sheet else [])]
    table(sheet, (*_SHEET, "mandates" if several else "mandate", *more), "the sheet")
    _whole_member(sheet)
    _whole_slots(sheet, is_bill=True)
    _whole_terms(sheet)
    if several:
        _whole_parts(sheet["mandates"], sheet["period"], "mandate")
    shares.whole(sheet, money=False)
    _whole_sums(sheet["sums"], sheet)
    lists = [sheet["baskets"], *(line["orders"] for line in sheet["slots"])]
    require(all(isinstance(each, list) for each in lists), "baskets and orders are no lists.")
    require(isinstance(sheet["day"], str), "a sheet's day is no text.")
    require(isinstance(day["proofs"], dict), "the proofs are no table.")
    _whole_box(sheet)
    return day


def _whole_box(sheet: Mapping[str, Any]) -> None:
    """Meters for which the operators' box signed, each of which has a reading in the sheet."""
    named = sheet.get("boxSigns", [])
    readings = [line["reading"] for line in sheet["slots"] if isinstance(line["reading"], dict)]
    own = sorted({str(each["meter"]) for each in readings if each.get("meter") in named}) if named else []
    require("boxSigns" not in sheet or (bool(named) and named == own), "boxSigns names a meter without a reading.")


def box_signed(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The meters for which the operators' box signed, as a sheet or the sheets of a bill say."""
    days = [document] if "sheet" in document else document.get("days", [])
    return tuple(sorted({meter for day in days for meter in day["sheet"].get("boxSigns", [])}))


def _whole_member(content: Mapping[str, Any], *, is_bill: bool = True) -> None:
    """Whose the document is, and where the contracts are that it names; a bill may be made without a ledger."""
    member = table(content["member"], ("index", "id", "account") if is_bill else ("index", "account"), "the member")
    without = content["ledger"] is content.get("mandate") is member["account"] is None
    if not (is_bill and without):
        table(content["ledger"], ("chainId", "community", "settlement"), "the ledger")
    require(_is_number(content["member"]["index"], 32), "the member's index is no number of a member.")


def _whole_sums(given: Any, content: Mapping[str, Any]) -> None:
    """The sums of a sheet: whole numbers, and those of plants where the content has any."""
    more = [name for name, of in (("plants", "owns"), ("owners", "owners")) if of in content]
    sums = table(given, (*sheets.WITH_MARKET, "alone", *more), "the sums")
    alone = table(sums["alone"], [*sheets.ALONE], "the sums without the market")
    figures = [*(sums[name] for name in sheets.WITH_MARKET), *alone.values()]
    require(all(type(each) is int and abs(each) < _BOUND for each in figures), "a sum is no whole number.")
    shares.whole_sums(sums, content)


def _other_format(given: Any) -> str:
    """What is wrong with content that has not the format of its kind."""
    named = given.get("format") if isinstance(given, dict) else None
    if named in (FORMAT, SLOTWISE, EXCERPT):
        return "it is an excerpt with an anchor." if named == EXCERPT else "it is a bill without its anchor."
    if isinstance(named, str) and re.fullmatch("commonwatt-(bill|slot)/[0-9]{1,3}", named, re.ASCII):
        today = FORMAT if named.startswith("commonwatt-bill") else EXCERPT
        return f"its format is {named}; the version of commonwatt that wrote it checks it, this one {today}."
    return f"the format is none of {FORMAT}, {EXCERPT}."


def _keys(said: Mapping[str, Any], always: Sequence[str]) -> tuple[str, ...]:
    """A bill says its charters only where it is under several."""
    return (*always, "charters" if "charters" in said else "tariff", *_more(said))


def _more(said: Mapping[str, Any]) -> list[str]:
    """What amounts are counted in is said only where that is not a micro-currency, plants only to their owners and
    owners only of plants."""
    return [key for key in ("unit", "owns", "owners") if key in said]


def _line(line: Any) -> tuple[str, ...]:
    """A line says what it rests on only where its reading did not come in time, shares only where there are any, and
    registers only where these are shared."""
    more = [key for key in ("metered", "shares", "registers") if isinstance(line, dict) and key in line]
    return (*_SLOT, "prices", "grid", *more)


def _whole_slots(content: Mapping[str, Any], *, is_bill: bool) -> None:
    require(isinstance(content["slots"], list), "the slots are no list.")
    for line in content["slots"]:
        table(line, _line(line) if is_bill else _SLOT, "a slot")
        require(_is_number(line["slot"], 64), "a slot's start is no time in unix seconds.")
        if is_bill:
            _whole_line(line)


def _whole_line(line: Mapping[str, Any]) -> None:
    """What a slot's line says of the utility."""
    table(line["prices"], ("retail", "feedIn"), "the prices of a slot")
    by_register = "registers" in line
    met = ("whIn", "whOut", "amount") if by_register else ("wh", "amount")
    table(line["grid"], met, "what met the utility")
    registers = line.get("registers", [])
    require(isinstance(registers, list), "the registers of a slot are no list.")
    for register in registers:
        table(register, ("name", "direction", "wh", "shared"), "a register")


def _whole_terms(content: Mapping[str, Any]) -> None:
    table(content["period"], ("from", "until"), "the period")
    if "charters" in content:
        _whole_parts(content["charters"], content["period"], "charter", "config", "tariff")
        for charter in content["charters"]:
            _whole_tariff(charter["tariff"])
    else:
        _whole_tariff(content["tariff"])


def _whole_parts(given: Any, period: Mapping[str, Any], what: str, *more: str) -> None:
    """Charters or mandates of which each holds until the next one begins."""
    require(isinstance(given, list) and len(given) > 1, f"the {what}s are no list of several.")
    for part in given:
        table(part, ("from", *(more or (what,))), f"a {what}")
        require(_is_number(part["from"], 64), f"a {what}'s beginning is no time in unix seconds.")
    begins = [part["from"] for part in given]
    rising = all(first < second for first, second in pairwise(begins))
    require(rising and begins[0] == period["from"], f"the {what}s do not follow each other through the period.")


def _whole_tariff(given: Any) -> None:
    tariff = table(given, ("networkFee", "levies", "vat"), "the tariff")
    table(tariff["vat"], ("name", "rate"), "the VAT")
    require(isinstance(tariff["levies"], list), "the levies are no list.")
    for levy in tariff["levies"]:
        table(levy, ("name", "price", "grid", "local"), "a levy")


def _is_number(given: Any, bits: int) -> bool:
    return type(given) is int and 0 <= given < 1 << bits


def leads_to_its_root(bill: Mapping[str, Any]) -> bool:
    """Whether a bill's content is under the root that the bill names. Raises RecordError for what is no hash."""
    anchor = bill["anchor"]
    siblings = [to_bytes(sibling, 32) for sibling in anchor["siblings"]]
    return root_of(content_hash(bill["content"]), anchor["index"], siblings) == to_bytes(anchor["root"], 32)


def named(document: Mapping[str, Any]) -> Named:
    """Where the document says that it belongs. Raises VerificationError."""
    ledger, member = document["content"]["ledger"], document["content"]["member"]
    require(ledger is not None, "The bill was made without a ledger: it belongs to no chain, and none proves it.")
    try:
        community, settlement = (to_bytes(ledger[name], 20) for name in ("community", "settlement"))
        return Named(ledger["chainId"], community, settlement, to_bytes(member["account"], 20), member["index"])
    except RecordError as error:
        raise VerificationError(f"The document names no contracts, or no account: {error}") from None
