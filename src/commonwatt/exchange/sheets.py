"""Sheets of local days: one for each member and day, of what store and chain hold.

The sheets of a day are made slot by slot, so that of the lines and proofs of all members no more than one slot is in
memory. Between what a slot adds to it, a sheet is its hash, or the end of a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from commonwatt.accounts.baskets import Baskets
from commonwatt.accounts.document import canonical, hex_text, mandate_json, mandates, tariff_terms
from commonwatt.accounts.sheets import FORMAT, around
from commonwatt.community.model import Member
from commonwatt.exchange import tables
from commonwatt.exchange.books import Books
from commonwatt.exchange.proofs import SlotProof
from commonwatt.exchange.rows import box_signed
from commonwatt.exchange.slot_lines import shown_baskets, slot_lines
from commonwatt.proof import Keccak
from commonwatt.records import Mandate, Signed

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient


def sheets(day: date, books: Books, baskets: Mapping[int, Baskets]) -> list[dict[str, Any]]:
    """The sheet of each of `books.whose` for a day, but for its slots. books : of that day

    baskets : as of `shown_baskets`
    """
    ((_, figures),) = books.figures
    (part,) = books.parts
    tariff, held = tariff_terms(part.charter.community.tariff), _mandates(books)
    members, signed = books.rules.community.members, box_signed(books.store, books.period)
    return [
        {
            **common(FORMAT, books),
            "day": day.isoformat(),
            "tariff": tariff,
            "member": whose(books, members[index]),
            **held[index],
            **owning(books, members[index]),
            **({"boxSigns": [hex_text(each) for each in own]} if (own := signed.get(index)) else {}),
            "baskets": baskets[index].as_json(),
            "sums": figures.of(index),
        }
        for index in books.whose
    ]


def _mandates(books: Books) -> dict[int, dict[str, Any]]:
    """What the sheet of each of `books.whose` says of its mandates."""
    found: dict[int, list[tuple[int, Signed[Mandate]]]] = {member: [] for member in books.whose}
    for slot in books.period.starts.tolist() if books.roster else ():
        present = books.mandates_at(slot)
        for member, own in found.items():
            if not own or own[-1][1] is not present[member]:
                own.append((slot, present[member]))
    return {member: mandates((slot, mandate_json(signed)) for slot, signed in own) for member, own in found.items()}


@dataclass(frozen=True)
class Closed:
    """A day's sheet as a bill names it. day : as text; hash : keccak of its canonical form; sums : of the sheet"""

    day: str
    hash: bytes
    sums: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """As a bill has it."""
        return {"day": self.day, "hash": hex_text(self.hash), "sums": self.sums}


def closed(day: date, books: Books) -> list[Closed]:
    """What a bill needs of each member's sheet of a day, by member index. books : of that day"""
    baskets = shown_baskets(books)
    whole = sheets(day, books, baskets)
    parts, states = [around(sheet) for sheet in whole], [Keccak() for _ in whole]
    for state, (before, _) in zip(states, parts, strict=True):
        state.update(before)
    for place, lines in enumerate(slot_lines(books, baskets)):
        for state, line in zip(states, lines, strict=True):
            state.update(b"," * (place > 0) + canonical(line))
    for state, (_, behind) in zip(states, parts, strict=True):
        state.update(behind)
    return [Closed(day.isoformat(), state.digest(), sheet["sums"]) for state, sheet in zip(states, whole, strict=True)]


def day_files(day: date, books: Books) -> Iterator[list[bytes]]:
    """The sheet of each of `books.whose` of a day with its proofs as it is written, part after part.

    books : of that day
    """
    baskets = shown_baskets(books)
    parts = [around(sheet, ascii_json) for sheet in sheets(day, books, baskets)]
    yield [b'{"sheet":' + before for before, _ in parts]
    for place, lines in enumerate(slot_lines(books, baskets)):
        yield [b"," * (place > 0) + ascii_json(line) for line in lines]
    yield [behind + b',"proofs":{' for _, behind in parts]
    before = b""
    for slot, shown in slot_proofs(books):
        proofs = (shown.of(member) if shown else None for member in books.whose)
        yield [b'%b"%d":%b' % (before, slot, ascii_json(proof)) for proof in proofs]
        before = b","
    yield [b"}}"] * len(parts)


def ascii_json(value: object) -> bytes:
    """As files have it: whoever reads them as another encoding than UTF-8 reads the same."""
    return to_json(value, ensure_ascii=True)


def shown_days(books: Books) -> Iterator[list[dict[str, Any]]]:
    """For each local day, every member's sheet with its proofs, all of one day in memory; `day_files` holds less."""
    for day, of_day in books.days():
        baskets = shown_baskets(of_day)
        whole = sheets(day, of_day, baskets)
        found = [{"sheet": {**sheet, "slots": list[Any]()}, "proofs": dict[str, Any]()} for sheet in whole]
        for lines in slot_lines(of_day, baskets):
            for each, line in zip(found, lines, strict=True):
                each["sheet"]["slots"].append(line)
        for slot, shown in slot_proofs(of_day):
            for member, each in enumerate(found):
                each["proofs"][str(slot)] = shown.of(member) if shown else None
        yield found


def slot_proofs(books: Books) -> Iterator[tuple[int, SlotProof | None]]:
    """Each slot with what proves it to its members; None for one that was missed."""
    posted = {slot for (slot,) in books.store.columns(tables.posts, ["slot"], books.period)}
    for slot in books.period.starts.tolist():
        shown = (
            SlotProof.stored(books.store, slot, books.mandates_at(slot), only=books.only) if slot in posted else None
        )
        yield slot, shown


def common(form: str, books: Books) -> dict[str, Any]:
    """What a sheet and a bill of these slots both say of where they belong."""
    community, period, client = books.rules.community, books.period, books.client
    return {
        "format": form,
        "community": community.name,
        "currency": community.currency,
        **({} if community.unit == 1 else {"unit": community.unit}),
        "timezone": community.timezone,
        "period": {"from": period.start, "until": period.end},
        "ledger": ledger_of(client) if client else None,
    }


def whose(books: Books, member: Member) -> dict[str, Any]:
    """The member, as a sheet and a bill name it."""
    account = hex_text(books.accounts[member.index]) if books.client else None
    return {"index": member.index, "id": member.id, "account": account}


def owning(books: Books, member: Member) -> dict[str, Any]:
    """Which plants a member owns a part of; of a plant, its owners."""
    members, said = books.rules.community.members, dict[str, Any]()
    for plant in books.rules.plants:
        for owner, weight in zip(plant.owners.tolist(), plant.weights.tolist(), strict=True):
            if member.index == owner:
                most = members[plant.index].terms.sell_wh
                part = {"plant": plant.index, "id": plant.id, "sellWh": most, "weight": weight, "of": plant.whole}
                said.setdefault("owns", []).append(part)
            if member.index == plant.index:
                said.setdefault("owners", []).append({"member": owner, "id": members[owner].id, "weight": weight})
    return said


def ledger_of(client: LedgerClient) -> dict[str, Any]:
    """Where the community's contracts are, as bills and excerpts name them."""
    community, settlement = client.addresses.community, client.addresses.settlement
    return {"chainId": client.node.chain_id, "community": hex_text(community), "settlement": hex_text(settlement)}
