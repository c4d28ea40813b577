"""A member's bill: every slot, every line, and what is needed to prove each against the chain alone.

A bill is plain JSON. Its `content` says what happened and what is owed; keccak of the canonical content is a leaf of
the tree of bills whose root the operators anchor on the chain. Its `proofs` lead each local line to the statements
root of a settled post. Amounts are integers in the community's unit; docs/bill.md explains every field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from commonwatt.accounts import document
from commonwatt.accounts.document import (
    FORMAT,
    MEASURED,
    SIDES,
    Anchored,
    charge_lines,
    grid_amount,
    hex_text,
    signed_json,
    tariff_terms,
    tariffs,
)
from commonwatt.accounts.orders import under_orders
from commonwatt.accounts.statements import place_of
from commonwatt.community.model import Member
from commonwatt.exchange import tables
from commonwatt.exchange.books import Books
from commonwatt.exchange.proofs import SlotProof
from commonwatt.exchange.rows import TRADE_COLUMNS, order_of_row, stages_ahead, trade_of
from commonwatt.exchange.rules import Part
from commonwatt.records import ZERO_HASH, Order, Reading, Signed
from commonwatt.records.schema import as_json
from commonwatt.units import payment

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient


def bills(books: Books) -> list[dict[str, Any]]:
    """The content of every member's bill, by member index."""
    community, period, client = books.rules.community, books.rules.period, books.client
    lines: list[list[dict[str, Any]]] = [[] for _ in community.members]
    for slot_lines in _slots(books):
        for member, line in enumerate(slot_lines):
            lines[member].append(line)
    _add_shares(books, lines)
    common = {
        "format": FORMAT,
        "community": community.name,
        "currency": community.currency,
        **({} if community.unit == 1 else {"unit": community.unit}),
        "timezone": community.timezone,
        "period": {"from": period.start, "until": period.end},
        "ledger": ledger_of(client) if client else None,
        **tariffs([_under(part) for part in books.rules.parts]),
    }
    return [
        {
            **common,
            "member": {
                "index": member.index,
                "id": member.id,
                "account": hex_text(books.mandates[member.index].record.member) if client else None,
            },
            "mandate": signed_json(books.mandates[member.index]) if client else None,
            "slots": lines[member.index],
            **_owning(books, member),
            "charges": charge_lines(books.charges, member.index),
            "total": int(books.charges.total[member.index]),
            "withoutMarket": int(books.charges_without_market.total[member.index]),
        }
        for member in community.members
    ]


def _add_shares(books: Books, lines: Sequence[Sequence[dict[str, Any]]]) -> None:
    """To the slots of each owner, its shares of what its plants fed in there."""
    both = zip(books.charges.plants, books.charges_without_market.plants, strict=True)
    for division, alone in both:
        plant, sold = division.plant, division.unused.sum(axis=0).tolist()
        for place, owner in enumerate(plant.owners.tolist()):
            for slot in np.flatnonzero(division.fed).tolist():
                share = {
                    "plant": plant.index,
                    "fedIn": int(division.fed[slot]),
                    "wh": int(division.share[place, slot]),
                    "sold": sold[slot],
                    "earned": int(division.earned[slot]),
                    "amount": int(division.earnings[place, slot]),
                    "withoutMarket": int(alone.earnings[place, slot]),
                }
                lines[owner][slot].setdefault("shares", []).append(share)


def _owning(books: Books, member: Member) -> dict[str, Any]:
    """Which plants a member owns a part of; of a plant, its owners and what each has of its money."""
    ids, said = [each.id for each in books.rules.community.members], dict[str, Any]()
    for division in books.charges.plants:
        plant = division.plant
        for place, (owner, weight) in enumerate(zip(plant.owners.tolist(), plant.weights.tolist(), strict=True)):
            owed, cost, paid = (int(each[place]) for each in (division.owed, division.costs, division.on_ledger))
            if member.index == owner:
                most = books.rules.community.members[plant.index].terms.sell_wh
                part = {"plant": plant.index, "id": plant.id, "sellWh": most, "weight": weight, "of": plant.whole}
                said.setdefault("owns", []).append({**part, "costs": cost, "onLedger": paid})
            if member.index == plant.index:
                part = {"member": owner, "id": ids[owner], "weight": weight, "amount": owed, "onLedger": paid}
                said.setdefault("owners", []).append(part)
    return said


def _under(part: Part) -> document.Part:
    charter = part.charter.community
    return document.Part(part.slots.start, part.slots.end, hex_text(charter.digest), tariff_terms(charter.tariff))


def _slots(books: Books) -> Iterator[list[dict[str, Any]]]:
    """For each slot, the line of every member."""
    prices, store, period = books.rules.prices, books.store, books.rules.period
    names: Sequence[str] = ("slot", "member", "revision", "wh_in", "wh_out", "sequence", "signature")
    kept = store.columns(tables.readings, names, period)
    readings = {(slot, member): row for slot, member, since, *row in kept if since > tables.WAITING}
    names = ("slot", "settled", "stage", *(name for name in TRADE_COLUMNS if name != "slot"))
    trades = _by_slot(store.last(tables.trades, names, period))
    ahead, metered = stages_ahead(store), books.metered
    met, registers = _met_the_utility(books), _registers(books)
    for place, slot in enumerate(period.starts.tolist()):
        own: list[list[tuple[Any, dict[str, Any]]]] = [[] for _ in range(books.rules.members)]
        for settled, stage, *values in trades.get(slot, ()):
            record = trade_of((slot, *values), agreed=stage in ahead)
            line = {**as_json(record), "settledWh": settled, "payment": payment(settled, record.price)}
            for member in (record.buyer, record.seller):
                own[member].append((place_of(record, member), line))
        retail, feed_in = int(prices.retail[place]), int(prices.feed_in[place])
        orders = _orders(books, slot)
        yield [
            {
                "slot": slot,
                **({} if metered[member][place] == MEASURED else {"metered": metered[member][place]}),
                "reading": _reading(books.meters, slot, member, readings.get((slot, member))),
                **under_orders(
                    [(place[0], line) for place, line in sorted(own[member], key=itemgetter(0))],
                    orders,
                    member,
                    books.mandates[member].hash if books.mandates else ZERO_HASH,
                ),
                "prices": {"retail": retail, "feedIn": feed_in},
                "grid": met(member, place, retail, feed_in),
                **registers(member, place),
            }
            for member in range(books.rules.members)
        ]


def _met_the_utility(books: Books) -> Callable[[int, int, int, int], dict[str, int]]:
    """What a slot's line says of the utility: (member, place of the slot, retail, feed-in) to the line's `grid`."""
    if books.rules.registers is None:
        grid = books.arrays["grid"].tolist()

        def net(member: int, place: int, retail: int, feed_in: int) -> dict[str, int]:
            wh = grid[member][place]
            return {"wh": wh, "amount": grid_amount(wh, retail, feed_in)}

        return net
    drawn, fed = books.energy.imported.tolist(), books.energy.exported.tolist()

    def apart(member: int, place: int, retail: int, feed_in: int) -> dict[str, int]:
        wh_in, wh_out = drawn[member][place], fed[member][place]
        amount = grid_amount(wh_in, retail, feed_in) + grid_amount(-wh_out, retail, feed_in)
        return {"whIn": wh_in, "whOut": wh_out, "amount": amount}

    return apart


def _registers(books: Books) -> Callable[[int, int], dict[str, Any]]:
    """What a slot's line says of the member's registers, where these are shared: (member, place of the slot)."""
    registers = books.rules.registers
    if registers is None:
        return lambda _member, _place: {}
    counted, shared = (books.shares[name].tolist() for name in ("counted", "shared"))
    own = [np.flatnonzero(registers.owner == member).tolist() for member in range(books.rules.members)]

    def line(member: int, place: int) -> dict[str, Any]:
        found = [
            {
                "name": registers.names[each],
                "direction": SIDES[0 if each < registers.importing else 1],
                "wh": counted[each][place],
                "shared": shared[each][place],
            }
            for each in own[member]
        ]
        return {"registers": found}

    return line


def _orders(books: Books, slot: int) -> Callable[[bytes], Signed[Order] | None]:
    """The slot's signed orders by struct hash."""
    rows = {row.hash: row for row in books.store.rows(tables.orders, slot=slot) if row.hash}

    def order(order_hash: bytes) -> Signed[Order] | None:
        row = rows.get(order_hash)
        return order_of_row(row, books.mandates[row.member].record.member) if row else None

    return order


def _reading(meters: Sequence[bytes], slot: int, member: int, row: Sequence[Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    wh_in, wh_out, sequence, signature = row
    return {**as_json(Reading(meters[member], slot, wh_in, wh_out, sequence)), "signature": hex_text(signature)}


def ledger_of(client: LedgerClient) -> dict[str, Any]:
    """Where the community's contracts are, as bills and excerpts name them."""
    community, settlement = client.addresses.community, client.addresses.settlement
    return {"chainId": client.node.chain_id, "community": hex_text(community), "settlement": hex_text(settlement)}


def _by_slot(rows: Sequence[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    grouped: dict[int, list[tuple[Any, ...]]] = {}
    for slot, *rest in rows:
        grouped.setdefault(slot, []).append(tuple(rest))
    return grouped


def anchor_of(bundle: Anchored, member: int) -> dict[str, Any]:
    """What leads from a member's bill to the root of all."""
    siblings = [hex_text(sibling) for sibling in bundle.tree.proof(member)]
    return {"root": hex_text(bundle.tree.root), "index": member, "siblings": siblings}


def slot_proofs(books: Books) -> Iterator[tuple[int, SlotProof | None]]:
    """Each slot of the period with what proves it to its members; None for one that was missed."""
    posted = {slot for (slot,) in books.store.columns(tables.posts, ["slot"], books.rules.period)}
    for slot in books.rules.period.starts.tolist():
        yield slot, SlotProof.stored(books.store, slot, books.mandates) if slot in posted else None


def proven(books: Books, bundle: Anchored) -> Iterator[dict[str, Any]]:
    """Every bill with its proofs, in the order of members, all of them in memory; `bill_files` holds less."""
    proofs: list[dict[str, Any]] = [{} for _ in bundle.contents]
    for slot, shown in slot_proofs(books):
        for member, own in enumerate(proofs):
            own[str(slot)] = shown.of(member) if shown else None
    for member, (content, own) in enumerate(zip(bundle.contents, proofs, strict=True)):
        yield {"content": content, "anchor": anchor_of(bundle, member), "proofs": own}
