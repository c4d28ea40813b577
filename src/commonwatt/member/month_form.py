"""The form of a bill on account and of its page (`accounts.on_account`), read as strictly as any bill.

Nothing here says that a figure is right: only that it is one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from commonwatt.accounts.on_account import FORMAT, PAGE
from commonwatt.member.page import require, table
from commonwatt.plain import many

_COMMON: Final = ("format", "community", "currency", "timezone", "period", "slotSeconds", "ledger")
_BILL: Final = (*_COMMON, "member", "registers", "documents", "payable", "elsewhere")
_PAGE: Final = (*_COMMON, "rule", "drawn", "fed", "shared", "price", "files")
_DOCUMENT: Final = ("number", "title", "issued", "due", "from", "to", "vat", "lines", "net", "tax", "gross")
_LINE: Final = ("line", "point", "month", "net", "vat", "gross", "creditor")
_MOST: Final = 1 << 62
"""Of a figure, in either direction."""
_MOST_SLOTS: Final = 50_000


def whole(given: Any) -> Mapping[str, Any]:
    """The document, when it has the parts of a bill on account and no others. Raises VerificationError."""
    document = table(given, ("content", "anchor", "page"), "the document")
    content, page = document["content"], table(document["page"], ("content", "siblings"), "the page")["content"]
    for said, keys, form, what in ((content, _BILL, FORMAT, "the content"), (page, _PAGE, PAGE, "the page")):
        some = ("unit", "netted") if said is content else ("unit",)
        more = [key for key in some if isinstance(said, dict) and key in said]
        require(table(said, (*keys, *more), what)["format"] == form, f"{what} is of another format than {form}.")
    shared = (*_COMMON[1:], "unit")
    same = [content.get(key) for key in shared] == [page.get(key) for key in shared]
    require(same, "the bill and the page are not of one month of one community.")
    table(document["anchor"], ("root", "index", "siblings"), "the anchor")
    period = table(content["period"], ("from", "until"), "the period")
    seconds = number(content["slotSeconds"], 1)
    number(content.get("unit", 1), 1)
    span = number(period["until"]) - number(period["from"])
    require(0 < span <= _MOST_SLOTS * seconds and span % seconds == 0, "the period is no whole number of slots.")
    member = table(content["member"], ("index", "id", "account"), "the member")
    if content["ledger"] is None:
        require(member["index"] is member["account"] is None, "a member has a number on no chain.")
    else:
        table(content["ledger"], ("chainId", "community", "settlement"), "the ledger")
    texts = (content["community"], content["currency"], content["timezone"], member["id"])
    require(all(isinstance(each, str) for each in texts), "a name is no text.")
    _whole_page(page, span // seconds)
    for register in listed(content["registers"]):
        _whole_register(register, span // seconds)
    _whole_netted(content, page, span // seconds)
    for each in listed(content["documents"]):
        _whole_document(each)
    number(content["payable"], -_MOST)
    for each in listed(content["elsewhere"]):
        line = table(each, ("name", "alone", "shared"), "what others bill")
        require(isinstance(line["name"], str), "a name is no text.")
        for key in ("alone", "shared"):
            number(line[key], -_MOST)
    return document


def _whole_page(page: Mapping[str, Any], slots: int) -> None:
    rule = table(page["rule"], ("mechanism", "by", "shares"), "the rule")
    require(all(isinstance(each, str) for each in rule.values()), "the rule is no text.")
    columns = [_column(page[name], slots) for name in ("drawn", "fed", "shared")]
    least = all(shared <= min(drawn, fed) for drawn, fed, shared in zip(*columns, strict=True))
    require(least, "more was shared than was drawn or fed in.")
    price = page["price"]
    if isinstance(price, list):
        _column(price, slots)
    else:
        number(price)
    require(all(isinstance(each, str) for each in listed(page["files"])), "the files are no list of hashes.")


def _whole_register(register: Any, slots: int) -> None:
    said = _whole_share(register, ("name", "values", "marked"), slots)
    require(isinstance(said["name"], str), "a register has no name.")
    require(isinstance(said["values"], dict), "how values were obtained is no table.")
    require(sum(map(number, said["values"].values())) <= slots, f"{said['name']} has more values than slots.")
    require(isinstance(said["marked"], dict), "the marks are no table.")
    for spans in said["marked"].values():
        for span in listed(spans):
            require(len(listed(span)) == 2, "a mark is no first and last slot.")
            require(0 <= number(span[0]) <= number(span[1]) < slots, "a mark is of no slot of the month.")


def _whole_share(given: Any, keys: Sequence[str], slots: int) -> Mapping[str, Any]:
    """What was counted one way, and shared of it, with these keys besides."""
    more = [key for key in ("shared", "share") if isinstance(given, dict) and key in given]
    said = table(given, ("direction", "wh", *keys, *more), "a register")
    if "share" in said:
        fraction(said["share"])
    require(said["direction"] in ("import", "export"), "a register has no direction.")
    counted = _column(said["wh"], slots)
    if "shared" in said:
        fits = all(0 <= part <= wh for part, wh in zip(_column(said["shared"], slots), counted, strict=True))
        require(fits, f"{said.get('name', 'the member')} shared more than it counted.")
    return said


def _whole_netted(content: Mapping[str, Any], page: Mapping[str, Any], slots: int) -> None:
    """Where members trade on net, and there alone, a bill has what its registers come to in every slot."""
    require(("netted" in content) == (page["rule"]["by"] == "net"), "the bill shares otherwise than the page says.")
    if "netted" not in content:
        return
    net = [_whole_share(each, (), slots) for each in listed(content["netted"])]
    require(len({each["direction"] for each in net}) == len(net), "what was netted stands twice.")
    flows = [_flow(content["registers"], slots), _flow(net, slots)]
    require(flows[0] == flows[1], "what was netted is not what the registers come to.")
    both = any(sum(map(bool, each)) > 1 for each in zip(*(each["wh"] for each in net), strict=True))
    require(not both, "what was netted goes both ways.")


def _flow(registers: Sequence[Mapping[str, Any]], slots: int) -> list[int]:
    """What was drawn less what was fed in, slot by slot."""
    signed = [[wh if each["direction"] == "import" else -wh for wh in each["wh"]] for each in registers]
    return [sum(each) for each in zip(*signed, [0] * slots, strict=True)]


def _whole_document(given: Any) -> None:
    document = table(given, _DOCUMENT, "a document")
    vat = table(document["vat"], ("rate", "note"), "the VAT")
    texts = [document[key] for key in ("number", "title", "issued", "due", "from", "to")]
    require(all(isinstance(each, str) for each in (*texts, vat["note"])), "a document says something that is no text.")
    for key in ("net", "tax", "gross"):
        number(document[key], -_MOST)
    for each in listed(document["lines"]):
        more = [key for key in ("wh", "price", "corrects") if isinstance(each, dict) and key in each]
        line = table(each, (*_LINE, *more), "a line")
        named = all(isinstance(line[key], str) for key in ("line", "point", "month", "creditor"))
        require(named, "a line has no name.")
        for key in ("net", "vat", "gross", *(key for key in more if key != "corrects")):
            number(line[key], -_MOST)
        require(isinstance(line.get("corrects", ""), str), "what a line corrects is no number of a document.")


def _column(given: Any, slots: int) -> Sequence[int]:
    require(len(listed(given)) == slots, f"a column has not {many(slots, 'slot')}.")
    for each in given:
        number(each)
    return list(given)


def fraction(given: Any) -> Fraction:
    """From 0 to 1, bounded before it is a fraction: an exponent would take as many digits as it says."""
    found = isinstance(given, str) and re.fullmatch(r"([0-9]{1,18})(?:/([0-9]{1,18}))?", given, re.ASCII)
    require(bool(found) and not (found and found[2] and not int(found[2])), "a rate or share is no fraction.")
    fraction = Fraction(given)
    require(0 <= fraction <= 1, "a rate or share is more than everything.")
    return fraction


def number(given: Any, least: int = 0) -> int:
    """A figure within bounds."""
    require(type(given) is int and least <= given < _MOST, "a figure is no whole number, or beyond all bounds.")
    return int(given)


def listed(given: Any) -> Sequence[Any]:
    """A list, of whatever."""
    require(isinstance(given, list), "a list is missing.")
    return list(given)
