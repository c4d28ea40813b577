"""The month as documents under one root: the community's page, and a bill for each member (`accounts.on_account`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from commonwatt.accounts.document import Anchored, anchored, hex_text
from commonwatt.accounts.on_account import FORMAT, PAGE
from commonwatt.billing.lines import Document, Line, MemberBill
from commonwatt.billing.metered import Metered
from commonwatt.billing.rule import agreed, kind_of
from commonwatt.data.reports import Quality
from commonwatt.data.reports.report import runs
from commonwatt.exchange import tables
from commonwatt.exchange.books import Books
from commonwatt.exchange.rules import Rules
from commonwatt.proof import keccak
from commonwatt.units import IntArray

_TOLD = {
    Quality.UNSTATED: "unstated",
    Quality.MEASURED: "measured",
    Quality.SUBSTITUTED: "substituted",
    Quality.ESTIMATED: "estimated",
    Quality.FILLED: "filled",
}
_MARKED = (Quality.SUBSTITUTED, Quality.ESTIMATED, Quality.FILLED)
"""What a bill says slot by slot: what was not measured."""


@dataclass(frozen=True)
class OnChain:
    """Where the bills belong, as they say it themselves.

    ledger : the contracts, as `exchange.bills.ledger_of`; accounts, places : of each member by its id: address, number
    """

    ledger: dict[str, Any]
    accounts: dict[str, bytes]
    places: dict[str, int]


def contents(books: Books, metered: Metered, made: Sequence[MemberBill], on: OnChain | None) -> Anchored:
    """The page and the bills, in this order, with their tree. on : None without a chain"""
    community, period = books.rules.community, books.rules.period
    common = {
        "community": community.name,
        "currency": community.currency,
        **({} if community.unit == 1 else {"unit": community.unit}),
        "timezone": community.timezone,
        "period": {"from": period.start, "until": period.end},
        "slotSeconds": period.seconds,
        "ledger": on.ledger if on else None,
    }
    bills = [
        {
            "format": FORMAT,
            **common,
            "member": _member(each.member, on),
            "registers": _registers(books, metered, each.member),
            **({} if books.rules.registers else {"netted": _netted(books, each.member)}),
            "documents": [_document(one) for one in each.documents],
            "payable": each.total,
            "elsewhere": _elsewhere(books, each.member),
        }
        for each in made
    ]
    return anchored([{"format": PAGE, **common, **_page(books, metered)}, *bills])


def _page(books: Books, metered: Metered) -> dict[str, Any]:
    """What all registers together counted and shared, at which price, by which rule, and of which files."""
    drawn, fed, shared = _sums(books)
    return {
        "rule": _rule(books.rules),
        "drawn": drawn.tolist(),
        "fed": fed.tolist(),
        "shared": shared.tolist(),
        "price": _prices(books, shared),
        "files": _files(metered),
    }


def _sums(books: Books) -> tuple[IntArray, IntArray, IntArray]:
    """All that was drawn, fed in and shared, each shape (slots,) [Wh]."""
    if registers := books.rules.registers:
        counted, shared = books.shares["counted"], books.shares["shared"]
        split = registers.importing
        return counted[:split].sum(axis=0), counted[split:].sum(axis=0), shared[:split].sum(axis=0)
    drawn, fed = books.metered_energy
    return drawn.sum(axis=0), fed.sum(axis=0), (drawn - books.energy.imported).sum(axis=0)


def _rule(rules: Rules) -> dict[str, Any]:
    """How local energy is shared."""
    stages = "+".join(stage.mechanism for stage in rules.community.market)
    return {"mechanism": stages, "by": rules.community.by, "shares": kind_of(rules)}


def _prices(books: Books, shared: IntArray) -> int | list[int]:
    """The one price of the month, or that of each slot, 0 where nothing was shared [unit/kWh]."""
    period = books.rules.period
    prices = np.zeros(period.count, dtype=np.int64)
    for slot, price in books.store.last(tables.trades, ("slot", "price"), books.rules.period):
        prices[(slot - period.start) // period.seconds] = price
    if (registers := books.rules.registers) is not None:  # what a member shares with itself is in no trade
        worth, wh = (books.shares[name][: registers.importing].sum(axis=0) for name in ("worth", "shared"))
        prices = np.where(wh > 0, worth // np.maximum(wh, 1), prices)
    known = set(prices[shared > 0].tolist())
    return known.pop() if len(known) == 1 else prices.tolist()


def _files(metered: Metered) -> list[str]:
    """Hashes of the files that the readings are from."""
    return sorted({hex_text(keccak(file.path.read_bytes())) for file in metered.report.files})


def _member(member: str, on: OnChain | None) -> dict[str, Any]:
    if on is None:
        return {"index": None, "id": member, "account": None}
    return {"index": on.places[member], "id": member, "account": hex_text(on.accounts[member])}


def _registers(books: Books, metered: Metered, member: str) -> list[dict[str, Any]]:
    """What each of the member's registers counted, what of it was shared, and which values were not measured."""
    registers, places = metered.registers, {each.id: each.index for each in books.rules.community.members}
    found = []
    for at in np.flatnonzero(registers.owner == places.get(member, -1)).tolist():
        if not metered.present[at].any():
            continue
        said: dict[str, Any] = {
            "name": registers.names[at],
            "direction": "import" if at < registers.importing else "export",
            "wh": metered.counted[at].tolist(),
        }
        if books.rules.registers:
            said["shared"] = books.shares["shared"][at].tolist()
        if books.rules.registers and at < registers.importing and (key := agreed(books.rules)):
            said["share"] = str(Fraction(int(key[0][at]), key[1]))
        quality = metered.quality[at]
        values = {word: int((quality == each).sum()) for each, word in _TOLD.items()}
        marks = {_TOLD[each]: [[first, last - 1] for first, last in runs(quality == each)] for each in _MARKED}
        said["values"] = {word: count for word, count in values.items() if count}
        found.append({**said, "marked": {word: each for word, each in marks.items() if each}})
    return found


def _netted(books: Books, member: str) -> list[dict[str, Any]]:
    """Where members trade on net: what all registers of the member came to, each way, and what of it was shared."""
    places = {each.id: each.index for each in books.rules.community.members}
    if (at := places.get(member)) is None:
        return []
    key, found = agreed(books.rules), []
    for direction, wh, left in zip(
        ("import", "export"), books.metered_energy, (books.energy.imported, books.energy.exported), strict=True
    ):
        said = {"direction": direction, "wh": wh[at].tolist(), "shared": (wh[at] - left[at]).tolist()}
        share = {"share": str(Fraction(int(key[0][at]), key[1]))} if key and direction == "import" else {}
        found.append({**said, **share})
    return found


def _elsewhere(books: Books, member: str) -> list[dict[str, Any]]:
    """What the utility and the grid company bill by the tariff in the file, with the community and without it."""
    places = {each.id: each.index for each in books.rules.community.members}
    if member not in places:
        return []
    at, alone, shared = places[member], books.charges_without_market, books.charges
    named = [("energy from the utility", alone.energy, shared.energy), ("energy fed in", alone.feed_in, shared.feed_in)]
    named += [(name, alone.fees[name], shared.fees[name]) for name in shared.fees]
    named.append(("VAT", alone.vat, shared.vat))
    return [
        {"name": name, "alone": int(before[at]), "shared": int(now[at])}
        for name, before, now in named
        if before[at] or now[at]
    ]


def _document(made: Document) -> dict[str, Any]:
    return {
        "number": made.number,
        "title": made.title,
        "issued": made.issued.isoformat(),
        "due": made.due.isoformat(),
        "from": made.issuer.name,
        "to": made.recipient.name,
        "vat": {"rate": str(made.vat.rate), "note": made.vat.note},
        "lines": [_line(one) for one in made.lines],
        "net": made.net,
        "tax": made.tax,
        "gross": made.gross,
    }


def _line(one: Line) -> dict[str, Any]:
    said: dict[str, Any] = {"line": one.key.kind, "point": one.key.point, "month": str(one.month)}
    said |= {} if one.wh is None else {"wh": one.wh}
    said |= {} if one.price is None else {"price": one.price}
    said |= {"corrects": one.corrects} if one.corrects else {}
    return said | {"net": one.net, "vat": one.vat, "gross": one.gross, "creditor": one.creditor}
