"""What the exchange keeps of one member: shown to whom it is, page by page, handed out whole, and erased.

Erased is what nobody needs any more: the name, plans of slots whose gate has closed, and readings that can neither be
corrected nor are still to be billed. The rest proves to others what they were billed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, delete, func, or_, select, tuple_

from commonwatt.accounts.document import hex_text, signed_json
from commonwatt.accounts.orders import order_json
from commonwatt.community.calendar import Slots
from commonwatt.exchange import rows, tables
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.store import Store
from commonwatt.exchange.tables import WAITING
from commonwatt.records import Reading, Signed

_AT_ONCE: Final = 500
"""Rows of a table that are in memory at once when all is handed out."""


class Place(NamedTuple):
    """Behind which row of a list a page begins. number : of the row among those of its slot"""

    slot: int
    number: int


@dataclass(frozen=True)
class Page:
    """A page of a list. following : where the next one begins; None behind the last"""

    entries: list[dict[str, Any]]
    following: Place | None


def orders(exchange: Exchange, member: int, after: Place, limit: int) -> Page:
    """A member's orders, by slot and place in it, with what became of each."""
    store = exchange.store
    found = store.ask(_behind(tables.orders, ("slot", "position"), member, after, limit))
    settled = tables.settled
    revisions = {row.slot: row.revision for row in store.ask(select(settled).where(settled.c.slot.in_(_slots(found))))}
    traded = _traded(store, member, found, revisions)
    return _page(found, limit, [_order(row, exchange, revisions, traded) for row in found], "position")


def _order(
    row: Any, exchange: Exchange, revisions: Mapping[int, int], traded: Mapping[bytes, tuple[int, int]]
) -> dict[str, Any]:
    is_open, is_settled = exchange.open_at(row.slot), row.slot in revisions
    agreed, settled = traded.get(row.hash, (0, 0))
    return {
        "hash": hex_text(row.hash),
        "order": order_json(rows.order_of_row(row)),
        "position": row.position,
        "acceptedAt": row.at,
        "state": "open" if is_open else "void" if not row.counts else "settled" if is_settled else "closed",
        "agreedWh": None if is_open else agreed,
        "settledWh": settled if is_settled else None,
    }


def _traded(
    store: Store, member: int, found: Sequence[Any], revisions: Mapping[int, int]
) -> dict[bytes, tuple[int, int]]:
    """By the struct hash of the member's order: what was agreed of it before delivery, and what the last revision of
    its slot settles of that [Wh]."""
    c, traded = tables.trades.c, dict[bytes, tuple[int, int]]()
    mine = or_(c.buyer == member, c.seller == member)
    for row in store.ask(select(tables.trades).where(c.slot.in_(_slots(found)), mine)):
        own = row.buy_order if row.buyer == member else row.sell_order
        agreed, settled = traded.get(own, (0, 0))
        first, last = row.revision == 0, row.revision == revisions.get(row.slot)
        traded[own] = agreed + first * row.wh, settled + last * row.settled
    return traded


def _slots(found: Sequence[Any]) -> set[int]:
    return {row.slot for row in found}


def readings(store: Store, member: int, after: Place, limit: int) -> Page:
    """What a member's meters counted, by slot and number."""
    found = store.ask(_behind(tables.readings, ("slot", "sequence"), member, after, limit))
    return _page(found, limit, [_reading(row) for row in found], "sequence")


def _reading(row: Any) -> dict[str, Any]:
    record = Reading(row.meter, row.slot, row.wh_in, row.wh_out, row.sequence)
    counts = None if row.revision == WAITING else row.revision
    return {**signed_json(Signed(record, row.hash, row.signature)), "arrivedAt": row.at, "countsSince": counts}


def _behind(table: Table, key: tuple[str, str], member: int, after: Place, limit: int) -> Select[Any]:
    """The member's next rows of a table, in the order of the two columns."""
    slot, number = (table.c[name] for name in key)
    return (
        select(table)
        .where(table.c.member == member, _greater([slot, number], after))
        .order_by(slot, number)
        .limit(limit)
    )


def _greater(key: Sequence[Column[Any]], values: Sequence[int]) -> ColumnElement[bool]:
    """Whether a row comes later in the order of these columns; as large integers, which a server tells apart."""
    return tuple_(*key) > tuple_(*values, types=[column.type for column in key])


def _page(found: list[Any], limit: int, entries: list[dict[str, Any]], number: str) -> Page:
    last = found[-1] if len(found) == limit else None
    return Page(entries, Place(last.slot, getattr(last, number)) if last else None)


# All of it

_OF_A_MEMBER: Final = (
    "standing", "service", "mandates", "orders", "planned", "forecasts", "refusals", "readings", "generators",
    "accounts", "demands", "deliveries", "relays", "counters",
)  # fmt: skip


def everything(store: Store, member: int, account: bytes) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """All that the store has of a member, as (table, rows): little at a time, and a table may come more than once.

    account : its address, by which the store has its name
    """
    own = tables.names
    yield own.name, [_plain(row) for row in store.ask(select(own).where(own.c.account == account.hex()))]
    meters = [hex_text(row.meter) for row in store.rows(tables.service, member=member)]
    devices = select(tables.devices).where(tables.devices.c.meter.in_(meters))
    yield tables.devices.name, [_plain(row) for row in store.ask(devices)]
    for table in (tables.metadata.tables[name] for name in _OF_A_MEMBER):
        yield from _whole(store, table, table.c.member == member)
    trades = tables.trades
    yield from _whole(store, trades, or_(trades.c.buyer == member, trades.c.seller == member))


def _whole(store: Store, table: Table, mine: ColumnElement[bool]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    key = list(table.primary_key.columns)
    query, after = select(table).where(mine).order_by(*key).limit(_AT_ONCE), None
    while True:
        rest = query if after is None else query.where(_greater(key, after))
        found = store.ask(rest)
        yield table.name, [_plain(row) for row in found]
        if len(found) < _AT_ONCE:
            return
        after = [getattr(found[-1], column.name) for column in key]


def _plain(row: Any) -> dict[str, Any]:
    return {name: hex_text(value) if isinstance(value, bytes) else value for name, value in row._mapping.items()}


# Erased


@dataclass(frozen=True)
class Erased:
    """How many rows were erased. until : readings of slots before it [unix s] are gone, as far as they were billed"""

    plans: int
    readings: int
    until: int


def erase(exchange: Exchange, member: int, now: int) -> Erased:
    """Erase what nobody needs any more of a member but its name, at `now` [unix s]."""
    seconds, corrections = exchange.rules.period.seconds, exchange.rules.community.ledger.corrections
    until, planned = now - seconds - corrections, tables.planned.c
    # Operators elsewhere check the grid by the same plans, and may look at a gate as late as its posts are corrected.
    closed = until - 1 if exchange.outbox.threshold else rows.last_closed(exchange.store)
    with exchange.store.transaction() as connection:
        plans = _gone(connection, tables.planned, planned.member == member, planned.slot <= closed)
        _gone(connection, tables.deliveries, tables.deliveries.c.member == member, tables.deliveries.c.until <= now)
        read = sum(_billed_gone(connection, table, member, until) for table in (tables.readings, tables.generators))
    return Erased(plans, read, until)


def _billed_gone(connection: Connection, table: Table, member: int, until: int) -> int:
    anchors, slot = tables.anchors.c, table.c.slot
    billed = select(anchors.start).where(anchors.start <= slot, slot < anchors.until).exists()
    return _gone(connection, table, table.c.member == member, slot < until, billed)


def _gone(connection: Connection, table: Table, *which: ColumnElement[bool]) -> int:
    count: int = connection.execute(select(func.count()).select_from(table).where(*which)).scalar_one()
    connection.execute(delete(table).where(*which))
    return count


def is_erased(store: Store, member: int, slots: Slots) -> bool:
    """Whether a reading that settled one of the slots is not there any more."""
    settled = store.columns(tables.accounts, ("slot",), slots, member=member, measured=1)
    kept = {slot for (slot,) in store.columns(tables.readings, ("slot",), slots, member=member)}
    return any(slot not in kept for (slot,) in settled)
