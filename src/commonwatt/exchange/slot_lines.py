"""The lines of a member's sheet: one for each slot, from the store."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from commonwatt.accounts.baskets import Baskets
from commonwatt.accounts.document import MEASURED, SIDES, grid_amount, hex_text
from commonwatt.accounts.orders import under_orders
from commonwatt.accounts.statements import place_of
from commonwatt.exchange import tables
from commonwatt.exchange.books import Books
from commonwatt.exchange.rows import ORDER_COLUMNS, TRADE_COLUMNS, OrderRow, order_of_row, stages_ahead, trade_of
from commonwatt.records import ZERO_HASH, Order, Reading, Signed
from commonwatt.records.schema import as_json
from commonwatt.units import payment


def slot_lines(books: Books, baskets: Mapping[int, Baskets]) -> Iterator[list[dict[str, Any]]]:
    """For each slot, the line of each of `books.whose`, as sheets have it. baskets : as of `shown_baskets`"""
    prices, store, period = books.prices, books.store, books.period
    names: Sequence[str] = ("slot", "member", "revision", "meter", "wh_in", "wh_out", "sequence", "signature")
    kept = store.columns(tables.readings, names, period, **_of_member(books))
    readings = {(slot, member): row for slot, member, since, *row in kept if since > tables.WAITING}
    names = ("slot", "settled", "stage", *(name for name in TRADE_COLUMNS if name != "slot"))
    trades = _by_slot(store.last(tables.trades, names, period, **_party(books)))
    ahead, metered = stages_ahead(store), books.metered
    met, registers, shares = _met_the_utility(books), _registers(books), _shares(books)
    for place, slot in enumerate(period.starts.tolist()):
        own: dict[int, list[tuple[Any, dict[str, Any]]]] = {member: [] for member in books.whose}
        mandates = books.mandates_at(slot)
        for settled, stage, *values in trades.get(slot, ()):
            record = trade_of((slot, *values), agreed=stage in ahead)
            line = {**as_json(record), "settledWh": settled, "payment": payment(settled, record.price)}
            for member in own.keys() & {record.buyer, record.seller}:
                own[member].append((place_of(record, member), line))
        retail, feed_in = int(prices.retail[place]), int(prices.feed_in[place])
        orders = _orders(books, slot, {consent for lines in own.values() for (consent, *_), _ in lines})
        yield [
            {
                "slot": slot,
                **({} if metered[member][place] == MEASURED else {"metered": metered[member][place]}),
                "reading": _reading(slot, readings.get((slot, member))),
                **under_orders(
                    [(place[0], line) for place, line in sorted(own[member], key=itemgetter(0))],
                    orders.get,
                    member,
                    mandates[member].hash if mandates else ZERO_HASH,
                    baskets[member].order,
                ),
                "prices": {"retail": retail, "feedIn": feed_in},
                "grid": met(member, place, retail, feed_in),
                **registers(member, place),
                **shares(member, place),
            }
            for member in own
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


def _shares(books: Books) -> Callable[[int, int], dict[str, Any]]:
    """What a slot's line says of an owner's shares of what its plants fed in: (member, place of the slot)."""
    found: dict[tuple[int, int], list[dict[str, int]]] = {}
    for division, alone in zip(books.divisions, books.divisions_without_market, strict=True):
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
                found.setdefault((owner, slot), []).append(share)
    return lambda member, place: {"shares": found[member, place]} if (member, place) in found else {}


def shown_baskets(books: Books) -> dict[int, Baskets]:
    """Of each of `books.whose`, the baskets of the orders that its lines name."""
    found = {member: Baskets() for member in books.whose}
    if books.roster is None:
        return found
    named: dict[int, dict[bytes, set[int]]] = {}
    names = ("slot", "buyer", "buy_order", "seller", "sell_order")
    for slot, buyer, buys, seller, sells in books.store.last(tables.trades, names, books.period, **_party(books)):
        of_slot = named.setdefault(slot, {})
        for order_hash, member in ((buys, buyer), (sells, seller)):
            if member in found:
                of_slot.setdefault(order_hash, set()).add(member)
    for slot, consents in named.items():
        for order_hash, order in _orders(books, slot, consents).items():
            for member in consents[order_hash]:
                found[member].add(order)
    return found


def _orders(books: Books, slot: int, named: Container[bytes]) -> dict[bytes, Signed[Order]]:
    """The slot's signed orders with these struct hashes, which are of `books.whose`."""
    rows = books.store.columns(tables.orders, ORDER_COLUMNS, None, slot=slot, **_of_member(books))
    orders = (OrderRow(*row) for row in rows if row[0] and row[0] in named)
    return {row.hash: order_of_row(row) for row in orders}


def _of_member(books: Books) -> dict[str, int]:
    """Which rows of a table are of whose sheets are made: all, or those of one member."""
    return {} if books.only is None else {"member": books.only}


def _party(books: Books) -> dict[str, int]:
    """The same of trades."""
    return {} if books.only is None else {"buyer": books.only, "seller": books.only}


def _reading(slot: int, row: Sequence[Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    meter, wh_in, wh_out, sequence, signature = row
    return {**as_json(Reading(meter, slot, wh_in, wh_out, sequence)), "signature": hex_text(signature)}


def _by_slot(rows: Sequence[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    grouped: dict[int, list[tuple[Any, ...]]] = {}
    for slot, *rest in rows:
        grouped.setdefault(slot, []).append(tuple(rest))
    return grouped
