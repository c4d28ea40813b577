"""Check a bill on account: what was counted and shared leads to the root on the chain, and the sums are right.

What is proved: bill and page are under the root that the operators anchored for the month; of every slot the member has
its share by the rule, less than a Wh off, of what the community's page says was there, and rounding does not add up;
each line is the shared energy at the page's price, with its VAT, and the documents add up. That the readings are what
the meters counted, what others counted, fees, and what lines correct of earlier months is the operators' word.

The document's form is `accounts.on_account`'s, which `member.month_form` requires; what it says of prices is checked
against nothing but the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from commonwatt.accounts.document import content_hash
from commonwatt.accounts.on_account import FORMAT, OTHER, PRO_RATA, STATIC, nominal
from commonwatt.errors import RecordError, VerificationError
from commonwatt.member.month_form import fraction, listed, number
from commonwatt.member.month_form import whole as whole
from commonwatt.member.page import require
from commonwatt.proof import root_of
from commonwatt.records import Anchor
from commonwatt.records.schema import to_bytes
from commonwatt.units import WH_PER_KWH, decimal_text, minor_unit, round_half_up, rounded

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient
    from commonwatt.member.card import Card

_ENERGY: Final = {"local energy": "import", "local feed-in": "export"}
_KINDS: Final = (*_ENERGY, "member fee", "point fee")
_DRIFT: Final = 20
"""What rounding may add up to over all slots [Wh]: it is carried on, so that it does not grow with them."""
CENT: Final = 10_000
"""A hundredth of a currency [micro-currency]."""


@dataclass(frozen=True)
class Month:
    """What was checked of a bill on account.

    slots, lines : of the month, and of its documents
    payable : what the member pays, or receives below 0 [hundredths of the currency]
    corrections : lines that correct earlier months; share : whether the member's share was checked by the rule
    billed : whether its lines of energy were checked to be what its registers shared, at the page's prices
    """

    member: str
    community: str
    currency: str
    slots: int
    lines: int
    payable: int
    corrections: int
    share: bool
    billed: bool


def is_on_account(document: Any) -> bool:
    """Whether a document says that it is a bill on account."""
    content = document.get("content") if isinstance(document, dict) else None
    return isinstance(content, dict) and content.get("format") == FORMAT


def verify(document: Mapping[str, Any], client: LedgerClient) -> Month:
    """Check a whole document against the contracts of `client`. Raises VerificationError."""
    content, anchor = document["content"], document["anchor"]
    root = _root(document)
    period = Anchor(content["period"]["from"], content["period"]["until"], root)
    anchored = client.anchored(period.start, period.until)
    require(anchored is not None, "The chain holds no bills of this period.")
    require(anchored == root, "The chain holds other bills of this period.")
    require(number(anchor["index"], 1) > 0, "The bill stands where the community's page does.")
    require(content.get("unit", 1) == client.unit, "The bill counts money in another unit than the contract.")
    return adds_up(document)


def adds_up(document: Mapping[str, Any]) -> Month:
    """What a document says of itself is right: shares, sums and root; no chain is asked. Raises VerificationError."""
    _root(document)
    content, page = document["content"], document["page"]["content"]
    payable = Fraction(content["payable"] * minor_unit(content["currency"]), CENT)
    checked = [_shared_by_rule(each, page) for each in _sharing(content)]
    lines = [line for each in content["documents"] for line in each["lines"]]
    billed = _documents(content, page)
    corrections = sum("corrects" in line for line in lines)
    return Month(
        content["member"]["id"],
        content["community"],
        content["currency"],
        len(page["shared"]),
        len(lines),
        rounded(payable),
        corrections,
        billed and all(checked),
        billed,
    )


def require_metered(document: Mapping[str, Any], card: Card) -> None:
    """Raise VerificationError for a register that is none of the card's."""
    content = document["content"]
    for register in content["registers"]:
        known = nominal(content["community"], "register", register["name"]) in card.meters
        require(known, f"The bill counts the register {register['name']}, which is not on your card.")


def _root(document: Mapping[str, Any]) -> bytes:
    """The root under which bill and page are. Raises VerificationError where they are under none together."""
    anchor, page = document["anchor"], document["page"]
    try:
        root = to_bytes(anchor["root"], 32)
        ways = [[to_bytes(each, 32) for each in listed(way)] for way in (anchor["siblings"], page["siblings"])]
        require(root_of(content_hash(document["content"]), number(anchor["index"]), ways[0]) == root, _CHANGED)
        require(root_of(content_hash(page["content"]), 0, ways[1]) == root, _CHANGED)
    except RecordError as error:
        raise VerificationError(f"The bill's way to its root cannot be read: {error}") from None
    return root


_CHANGED: Final = "The bill's content is not what was anchored: at least one figure in it was changed."


def _sharing(content: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What shares: each register, or what all of them together took and fed in, each with a name."""
    if "netted" not in content:
        return list(content["registers"])
    return [{**each, "name": content["member"]["id"]} for each in content["netted"]]


def _shared_by_rule(register: Mapping[str, Any], page: Mapping[str, Any]) -> bool:
    """Whether the rule says what a register shares; where it does, it is so in every slot.

    Over all of them, too, where rounding is carried on, as it is from register to register.
    """
    kind, name = page["rule"]["shares"], register["name"]
    if "shared" not in register or kind not in (PRO_RATA, STATIC):
        return False
    draws, drift = register["direction"] == "import", Fraction(0)
    agreed = fraction(register["share"]) if kind == STATIC and draws else None
    side = page["drawn"] if draws else page["fed"]
    columns = zip(register["wh"], register["shared"], side, page["shared"], strict=True)
    for place, (wh, shared, all_, local) in enumerate(columns):
        exact = Fraction(local * wh, all_) if all_ else Fraction(0)
        if agreed is not None:
            exact = min(agreed * page["fed"][place], Fraction(wh)) if local else Fraction(0)
        at = page["period"]["from"] + place * page["slotSeconds"]
        require(wh <= all_, f"Slot {at}: {name} counted more than all together.")
        require(abs(shared - exact) < 1, f"Slot {at}: {name} shared {shared} Wh, by the rule it is {float(exact):.3f}.")
        drift += shared - exact
    whole = page["rule"]["by"] != "registers" or abs(drift) < _DRIFT
    require(whole, f"Over the month {name} shared {float(drift):+.3f} Wh more than by the rule.")
    return True


def _documents(content: Mapping[str, Any], page: Mapping[str, Any]) -> bool:
    """The lines of energy are those of the registers at the page's prices, and the documents are sums of lines.

    Returns whether the page lets a member reckon the former.
    """
    month, documents = _month(content), content["documents"]
    due = _due(content, page)
    require(len({each["number"] for each in documents}) == len(documents), "Two documents have one number.")
    for each in documents:
        rate = _rate(each["vat"]["rate"])
        for line in each["lines"]:
            _line(each, line, rate)
            if "corrects" in line:
                later = line["corrects"] and line["month"] < month
                require(later, f"{each['number']}: what corrects a month is on the bill of a later one.")
            else:
                require(
                    line["month"] == month, f"{each['number']}: a line is of {line['month']}, and corrects nothing."
                )
                if due is not None and line["line"] in _ENERGY:
                    _energy(each["number"], line, due)
        for sum_, part in (("net", "net"), ("tax", "vat"), ("gross", "gross")):
            total = sum(line[part] for line in each["lines"])
            require(each[sum_] == total, f"{each['number']}: its lines add up to {total} cents {sum_}.")
    unbilled = [name or content["member"]["id"] for (_, name), (wh, net, _) in (due or {}).items() if wh or net]
    require(not unbilled, f"No document has the energy of {', '.join(unbilled)}.")
    payable = sum(each["gross"] for each in documents)
    require(content["payable"] == payable, f"The documents add up to {payable} cents.")
    return due is not None


_Owed = tuple[int, int, int | None]


def _due(content: Mapping[str, Any], page: Mapping[str, Any]) -> dict[tuple[str, str], _Owed] | None:
    """What each register owes, or the member, by direction and point; None where the page lets no member reckon it."""
    if page["rule"]["shares"] == OTHER:
        return None
    due = dict[tuple[str, str], _Owed]()
    for each in _sharing(content):
        side = each["direction"], "" if "netted" in content else each["name"]
        require(side not in due, f"{each['name']} is counted twice.")
        require("shared" in each, f"What {each['name']} shared is missing.")
        due[side] = _owed(each, page)
    return due


def _line(document: Mapping[str, Any], line: Mapping[str, Any], rate: Fraction) -> None:
    """A line is on the document that it belongs on, with its VAT."""
    number, tax, kind = document["number"], rounded(rate * line["net"]), line["line"]
    require(line["vat"] == tax, f"{number}: the VAT of a line of {line['net']} cents is {tax} cents.")
    require(line["gross"] == line["net"] + tax, f"{number}: a line is not net and VAT.")
    require(kind in _KINDS, f"{number}: a line is for nothing that a community bills.")
    title = "Credit note" if kind == "local feed-in" else "Invoice"
    require(document["title"] == title, f"{number}: {kind} is on no {title.lower()}.")
    require(kind in _ENERGY or not {"wh", "price"} & line.keys(), f"{number}: a fee is for no energy.")
    own = line["creditor"] == document["from"] or "corrects" in line
    require(own, f"{number}: a line is owed to {line['creditor']}, and the document is from {document['from']}.")


def _energy(number: str, line: Mapping[str, Any], due: dict[tuple[str, str], _Owed]) -> None:
    """A line is one of what is due, and the only one of it."""
    name = " of ".join(filter(None, (line["line"], line["point"])))
    owed = due.pop((_ENERGY[line["line"]], line["point"]), None)
    require(owed is not None, f"{number}: {name} is of no register of this bill, or twice there.")
    said, (wh, net, price) = (line.get("wh"), line["net"], line.get("price")), owed or (0, 0, None)
    at = "" if price is None else f", at {decimal_text(price, 6)} per kWh"
    require(said == (wh, net, price), f"{number}: {name} is {wh} Wh, {net} cents{at}.")


def _owed(register: Mapping[str, Any], page: Mapping[str, Any]) -> _Owed:
    """What a register shared [Wh], what that comes to at the page's prices [cents], and the mean of these prices.

    Cents are positive where the member owes; the price is per kWh [micro-currency], None where nothing was shared.
    """
    shared, price, unit = register["shared"], page["price"], page.get("unit", 1)
    prices = price if isinstance(price, list) else [price] * len(shared)
    wh, worth = sum(shared), sum(wh * each for wh, each in zip(shared, prices, strict=True))
    sign = 1 if register["direction"] == "import" else -1
    mean = round_half_up(Fraction(worth * unit, wh)) if wh else None
    return wh, rounded(Fraction(sign * worth * unit, WH_PER_KWH * minor_unit(page["currency"]))), mean


def _month(content: Mapping[str, Any]) -> str:
    try:
        return f"{datetime.fromtimestamp(content['period']['from'], ZoneInfo(content['timezone'])):%Y-%m}"
    except (OSError, ValueError, LookupError, OverflowError):
        raise VerificationError("The bill's time or time zone is none.") from None


def _rate(given: Any) -> Fraction:
    """A rate of VAT, below 1."""
    rate = fraction(given)
    require(rate < 1, "a rate of VAT is out of bounds.")
    return rate
