"""A member's bill: the sheets of its days by their hashes and sums, and what is owed.

A bill is plain JSON. Keccak of its canonical `content` is a leaf of the tree of bills whose root the operators anchor
on the chain. Charges follow from the sums of its sheets alone. A sheet says what happened on its day, and `proofs` lead
each of its lines to a settled post. Amounts are integers in the community's unit; docs/bill.md explains every field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commonwatt.accounts import document
from commonwatt.accounts.charges import Charges
from commonwatt.accounts.document import FORMAT, Anchored, charge_lines, hex_text, tariff_terms, tariffs
from commonwatt.accounts.plants import Parts
from commonwatt.accounts.sheets import Figures, last_page
from commonwatt.community.model import Member
from commonwatt.community.tariff import Tariff
from commonwatt.exchange.books import Books
from commonwatt.exchange.rules import Part
from commonwatt.exchange.sheets import Closed, closed, common, owning, shown_days, whose


@dataclass(frozen=True)
class Day:
    """What bills need of a local day. sheets : by member index; figures : by the charter's first slot"""

    sheets: Sequence[Closed]
    figures: Mapping[int, tuple[Tariff, Figures]]


def bills(books: Books) -> list[dict[str, Any]]:
    """The content of every member's bill, by member index. Raises StoreError when a slot is not settled yet."""
    books.require_settled()
    return bills_of(books, list(closed_days(books)))


def closed_days(books: Books) -> Iterator[Day]:
    """The local days of these books, one after the other, so that no more than one is in memory."""
    for day, of_day in books.days():
        since = [part.charter.since for part in of_day.parts]
        yield Day(closed(day, of_day), dict(zip(since, of_day.figures, strict=True)))


def bills_of(books: Books, days: Sequence[Day]) -> list[dict[str, Any]]:
    """The content of every member's bill, by member index. days : all of the books"""
    sums: dict[int, tuple[Tariff, Figures]] = {}
    for day in days:
        for since, (tariff, figures) in day.figures.items():
            before = sums.get(since)
            sums[since] = tariff, before[1] + figures if before else figures
    with_market, alone = last_page(list(sums.values()))
    terms = {**common(FORMAT, books), **tariffs([_under(part) for part in books.parts])}
    return [
        {
            **terms,
            "member": whose(books, member),
            "sheets": [day.sheets[member.index].as_json() for day in days],
            **_owning(books, member, with_market.plants),
            **_owed(member.index, with_market, alone),
        }
        for member in books.rules.community.members
    ]


def _owed(member: int, with_market: Charges, alone: Charges) -> dict[str, Any]:
    return {
        "charges": charge_lines(with_market, member),
        "total": int(with_market.total[member]),
        "withoutMarket": int(alone.total[member]),
    }


def _owning(books: Books, member: Member, plants: Sequence[Parts]) -> dict[str, Any]:
    """As `owning`, with what each has of the money over the period."""
    said = owning(books, member)
    parts = {each.plant.index: each for each in plants}
    for own in said.get("owns", []):
        of = parts[own["plant"]]
        (place,) = (place for place, owner in enumerate(of.plant.owners.tolist()) if owner == member.index)
        own |= {"costs": int(of.costs[place]), "onLedger": int(of.on_ledger[place])}
    for place, owner in enumerate(said.get("owners", [])):
        of = parts[member.index]
        owner |= {"amount": int(of.owed[place]), "onLedger": int(of.on_ledger[place])}
    return said


def _under(part: Part) -> document.Part:
    charter = part.charter.community
    return document.Part(part.slots.start, part.slots.end, hex_text(charter.digest), tariff_terms(charter.tariff))


def anchor_of(bundle: Anchored, member: int) -> dict[str, Any]:
    """What leads from a member's bill to the root of all."""
    siblings = [hex_text(sibling) for sibling in bundle.tree.proof(member)]
    return {"root": hex_text(bundle.tree.root), "index": member, "siblings": siblings}


def proven(books: Books, bundle: Anchored) -> Iterator[dict[str, Any]]:
    """Every bill with its sheets and their proofs, by member, all of them in memory; `bill_files` holds less."""
    days = list(shown_days(books))
    for member, content in enumerate(bundle.contents):
        yield {"content": content, "anchor": anchor_of(bundle, member), "days": [day[member] for day in days]}
