"""A bill or an excerpt, as its member has it: read strictly, every part there and no other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from commonwatt.accounts.document import EXCERPT, FORMAT, content_hash
from commonwatt.errors import RecordError, VerificationError
from commonwatt.member import on_account, shares
from commonwatt.member.page import require, table
from commonwatt.proof import root_of
from commonwatt.records import strict_json
from commonwatt.records.schema import to_bytes

_LONGEST: Final = 1 << 30
"""Bytes of a file: many times a year of one member's bill."""
CHANGED: Final = "at least one figure in it was changed."
_EXCERPT: Final = ("format", "ledger", "member", "mandate", "slots")
_BILL: Final = (
    *_EXCERPT, "community", "currency", "timezone", "period", "charges", "total", "withoutMarket",
)  # fmt: skip
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
    """The document in a file. Raises VerificationError."""
    try:
        with file.open("rb") as opened:
            given = strict_json.loads(opened.read(_LONGEST + 1), _LONGEST)
        return on_account.whole(given) if on_account.is_on_account(given) else whole(given)
    except OSError as error:
        raise VerificationError(f"{file} cannot be read: {error.strerror}.") from None
    except (ValueError, VerificationError) as error:
        raise VerificationError(f"{file} is no bill and no excerpt of one: {str(error).rstrip('.')}.") from None


def whole(given: Any) -> Mapping[str, Any]:
    """The document, when it has the parts of a bill or an excerpt and no others. Raises VerificationError."""
    is_bill = isinstance(given, dict) and "anchor" in given
    document = table(given, ("content", "anchor", "proofs") if is_bill else ("content", "proofs"), "the document")
    given = document["content"]
    known = isinstance(given, dict) and given.get("format") == (FORMAT if is_bill else EXCERPT)
    require(known, _other_format(given))
    content = table(given, _keys(given) if is_bill else _EXCERPT, "the content")
    member = table(content["member"], ("index", "id", "account") if is_bill else ("index", "account"), "the member")
    if not (is_bill and content["ledger"] is content["mandate"] is member["account"] is None):  # made without a ledger
        table(content["ledger"], ("chainId", "community", "settlement"), "the ledger")
    require(_is_number(content["member"]["index"], 32), "the member's index is no number of a member.")
    require(isinstance(content["slots"], list), "the slots are no list.")
    for line in content["slots"]:
        table(line, _line(line) if is_bill else _SLOT, "a slot")
        require(_is_number(line["slot"], 64), "a slot's start is no time in unix seconds.")
    require(isinstance(document["proofs"], dict), "the proofs are no table.")
    if is_bill:
        _whole_bill(content, document["anchor"])
    return document


def _other_format(given: Any) -> str:
    """What is wrong with content that has not the format of its kind."""
    named = given.get("format") if isinstance(given, dict) else None
    if named in (FORMAT, EXCERPT):
        return "it is a bill without its anchor." if named == FORMAT else "it is an excerpt with an anchor."
    if isinstance(named, str) and re.fullmatch("commonwatt-(bill|slot)/[0-9]{1,3}", named, re.ASCII):
        today = FORMAT if named.startswith("commonwatt-bill") else EXCERPT
        return f"its format is {named}; the version of commonwatt that wrote it checks it, this one {today}."
    return f"the format is none of {FORMAT}, {EXCERPT}."


def _keys(said: Mapping[str, Any]) -> tuple[str, ...]:
    """A bill says what its amounts are counted in only where that is not a micro-currency, its charters only where it
    is under several, plants only to their owners and owners only of plants."""
    more = [key for key in ("unit", "owns", "owners") if key in said]
    return (*_BILL, "charters" if "charters" in said else "tariff", *more)


def _line(line: Any) -> tuple[str, ...]:
    """A line says what it rests on only where its reading did not come in time, shares only where there are any, and
    registers only where these are shared."""
    more = [key for key in ("metered", "shares", "registers") if isinstance(line, dict) and key in line]
    return (*_SLOT, "prices", "grid", *more)


def _whole_bill(content: Mapping[str, Any], anchor: Any) -> None:
    table(anchor, ("root", "index", "siblings"), "the anchor")
    table(content["period"], ("from", "until"), "the period")
    if "charters" in content:
        _whole_charters(content["charters"], content["period"])
    else:
        _whole_tariff(content["tariff"])
    for line in content["slots"]:
        table(line["prices"], ("retail", "feedIn"), "the prices of a slot")
        by_register = "registers" in line
        met = ("whIn", "whOut", "amount") if by_register else ("wh", "amount")
        table(line["grid"], met, "what met the utility")
        registers = line.get("registers", [])
        require(isinstance(registers, list), "the registers of a slot are no list.")
        for register in registers:
            table(register, ("name", "direction", "wh", "shared"), "a register")
    shares.whole(content)


def _whole_charters(given: Any, period: Mapping[str, Any]) -> None:
    require(isinstance(given, list) and len(given) > 1, "the charters are no list of several.")
    for charter in given:
        table(charter, ("from", "config", "tariff"), "a charter")
        require(_is_number(charter["from"], 64), "a charter's beginning is no time in unix seconds.")
        _whole_tariff(charter["tariff"])
    begins = [charter["from"] for charter in given]
    rising = all(first < second for first, second in pairwise(begins))
    require(rising and begins[0] == period["from"], "the charters do not follow each other through the period.")


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
