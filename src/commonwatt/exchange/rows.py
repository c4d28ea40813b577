"""Rows of the store to states; `writing` is the way back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection, func, select

from commonwatt.accounts.registers import Shares
from commonwatt.community.calendar import Slots
from commonwatt.errors import StoreError
from commonwatt.exchange import tables
from commonwatt.exchange.agreement import HomeForecast
from commonwatt.exchange.states import (
    OF_COUPLING,
    Accepted,
    Account,
    Cleared,
    Committed,
    Declared,
    Delivered,
    Missed,
    Settled,
)
from commonwatt.exchange.store import Store, arrays
from commonwatt.exchange.tables import WAITING
from commonwatt.market import Orders
from commonwatt.proof import Tree, hash_struct
from commonwatt.records import Mandate, Order, Reading, Signed, Trade, Trades, Within
from commonwatt.units import IntArray

STAGES_AHEAD: Final = "stages_ahead"
"""Value of the run: numbers of the stages that clear ahead of delivery."""


KEPT_UNTIL: Final = "kept_until"
"""Value of the run: the first slot [start, unix s] behind those whose rows went into files, as `kept` says."""

TRADE_COLUMNS: Final = ("slot", "revision", "number", "buyer", "seller", "wh", "price", "buy_order", "sell_order")
"""Of the table of trades, what their records say."""


@dataclass(slots=True)
class OrderRow:
    """What the table of orders says of a signed one: columns of it."""

    hash: bytes
    account: bytes
    text: str
    side: int
    wh: int
    limit: int
    slot: int
    expiry: int
    nonce: int
    signature: bytes
    first: int
    count: int
    place: int
    siblings: bytes


ORDER_COLUMNS: Final = tuple(column.name for column in fields(OrderRow))


def stages_ahead(store: Store) -> frozenset[int]:
    """Numbers of the stages that clear ahead of delivery: their trades are committed before."""
    return frozenset(map(int, store.values()[STAGES_AHEAD].split()))


def read_mandates(store: Store) -> tuple[Signed[Mandate], ...]:
    """The last mandate of each member, by its number."""
    return tuple({row.member: mandate_of(row) for row in store.rows(tables.mandates)}.values())


def mandate_of(row: Any) -> Signed[Mandate]:
    """A signed mandate from its row."""
    numbers = (row.max_buy, row.min_sell, row.buy_wh, row.sell_wh, row.valid_from, row.valid_until, row.nonce)
    return Signed(Mandate(row.account, row.agent, row.text, *numbers), row.hash, row.signature)


def box_meters(store: Store) -> frozenset[bytes]:
    """The meters [addresses] whose key the operators' box has, as it signs for devices that cannot."""
    found = store.rows(tables.devices) if store.has(tables.devices) else []
    return frozenset(bytes.fromhex(row.meter.removeprefix("0x")) for row in found)


def box_signed(store: Store, slots: Slots) -> dict[int, list[bytes]]:
    """By member, the meters whose readings of these slots the operators' box signed, in order."""
    found = dict[int, list[bytes]]()
    if meters := box_meters(store):
        c = tables.readings.c
        within = (c.slot >= slots.start, c.slot < slots.end, c.revision != WAITING, c.meter.in_(meters))
        for member, meter in store.ask(select(c.member, c.meter).where(*within).distinct().order_by(c.member, c.meter)):
            found.setdefault(member, []).append(meter)
    return found


def last_standing(connection: Connection, member: int) -> Any:
    """What the ledger told last of a member."""
    c = tables.standing.c
    return connection.execute(select(tables.standing).where(c.member == member).order_by(c.since.desc())).first()


def order_of_row(row: Any) -> Signed[Order]:
    """A signed order from its row."""
    order = Order(row.account, row.text, row.side, row.wh, row.limit, row.slot, row.expiry, row.nonce)
    siblings = tuple(row.siblings[at : at + 32] for at in range(0, len(row.siblings), 32))
    within = Within(row.first, row.count, row.place, siblings) if row.count else None
    return Signed(order, row.hash, row.signature, within)


def trade_of(values: Sequence[Any], *, agreed: bool) -> Trade:
    """The record of a trade from its `TRADE_COLUMNS`. What was agreed before delivery keeps revision 0 for ever."""
    slot, revision, *rest = values
    return Trade(slot, 0 if agreed else revision, *rest)


def read_trades(store: Store, slot: int, revision: int, only: int | None = None) -> tuple[list[Any], list[Trade], int]:
    """The rows of a revision's trades, their records, and how many of them, the first, were agreed before delivery.

    only : the member [index] that bought or sold; None = whoever did
    """
    c, ahead = tables.trades.c, stages_ahead(store)
    party = [] if only is None else [(c.buyer == only) | (c.seller == only)]
    rows = store.ask(select(tables.trades).where(c.slot == slot, c.revision == revision, *party).order_by(c.number))
    records = [trade_of([getattr(row, name) for name in TRADE_COLUMNS], agreed=row.stage in ahead) for row in rows]
    return rows, records, sum(row.stage in ahead for row in rows)


def last_time(store: Store) -> int:
    """When the last thing was done [unix s]; 0 before the first."""
    return store.most(tables.journal, "time") or 0


def last_closed(store: Store) -> int:
    """The last slot [start, unix s] whose gate has closed; -1 where none has."""
    found = store.most(tables.commitments, "slot")
    return -1 if found is None else found


def last_ended(store: Store) -> int:
    """The last slot [start, unix s] that is settled; -1 where none is."""
    found = store.most(tables.settled, "slot")
    return -1 if found is None else found


def first_ended(store: Store) -> int | None:
    """The first slot [start, unix s] that was settled; None where none is."""
    ((found,),) = store.ask(select(func.min(tables.settled.c.slot)))
    return None if found is None else int(found)


def kept_until(store: Store) -> int:
    """The first slot [start, unix s] behind those whose rows went into files; 0 where none did."""
    return int(store.values().get(KEPT_UNTIL, "0"))


def require_stored(store: Store, slot: int, timezone: str) -> None:
    """Raise StoreError where the rows of a slot [start, unix s] went into files, with the folder that has them."""
    if slot < kept_until(store):
        month = f"{datetime.fromtimestamp(slot, ZoneInfo(timezone)):%Y-%m}"
        raise StoreError(f"Slot {slot} is in the files of {month} among the exchange's kept months, not in its store.")


def last_ordered(store: Store, account: bytes) -> int:
    """The last slot [start, unix s] that is not over, for which an order of an account [address] has come; -1 where
    none has."""
    c = tables.orders.c
    ((found,),) = store.ask(select(func.max(c.slot)).where(c.account == account, c.slot > last_ended(store)))
    return -1 if found is None else found


def read_open(store: Store) -> dict[int, Committed]:
    """The slots whose gate has closed and that are not settled yet, by start."""
    slots = select(tables.commitments.c.slot).where(tables.commitments.c.slot > last_ended(store)).order_by("slot")
    return {slot: read_committed(store, slot) for (slot,) in store.ask(slots)}


def read_delivered(store: Store, slot: int, meters: Sequence[bytes], revision: int) -> Delivered:
    """What counts of a slot in a revision of it.

    meters : address by member index; empty where nobody signs
    """
    accounts = store.rows(tables.accounts, slot=slot, revision=revision)
    readings: list[Signed[Reading] | None] = [None] * len(meters)
    for row in counting(store.rows(tables.readings, slot=slot), revision):
        readings[row.member] = reading_of_row(row)
    net = np.array([row.net for row in accounts], dtype=np.int64)
    missing = frozenset(row.member for row in accounts if not row.measured)
    moved = read_credit(store, slot, revision - 1) if revision else np.zeros(1, dtype=np.int64)
    counted = read_registers(store, slot, revision).counted
    return Delivered(read_committed(store, slot), net, tuple(readings), missing, revision, moved, counted)


def counting(rows: Sequence[Any], revision: int) -> list[Any]:
    """Those of the readings' rows of a slot that count in a revision, by member."""
    return list({row.member: row for row in rows if WAITING < row.revision <= revision}.values())


def read_waiting(store: Store, slot: int, meters: Sequence[bytes]) -> dict[int, Signed[Reading]]:
    """By member, the last reading of a slot that has come and does not count yet.

    meters : those that count for the slot, address by member index; what came of others is left out
    """
    counts = [row for row in store.rows(tables.readings, slot=slot) if row.meter == _nth(meters, row.member)]
    found: dict[int, Any] = {row.member: row for row in counts}
    return {member: reading_of_row(row) for member, row in found.items() if row.revision == WAITING}


def _nth(meters: Sequence[bytes], member: int) -> bytes:
    return meters[member] if member < len(meters) else b""


def slots_waiting(store: Store, since: int) -> list[tuple[int, int]]:
    """The settled slots from `since` [unix s] on of which readings have come that do not count yet, and when the last
    of these came [unix s]."""
    c = tables.readings.c
    query = select(c.slot, func.max(c.at)).where(c.revision == WAITING, c.slot >= since, c.slot <= last_ended(store))
    return [(slot, at) for slot, at in store.ask(query.group_by(c.slot).order_by(c.slot))]


def reading_of_row(row: Any) -> Signed[Reading]:
    """A signed reading from its row."""
    return Signed(Reading(row.meter, row.slot, row.wh_in, row.wh_out, row.sequence), row.hash, row.signature)


def read_credit(store: Store, slot: int, revision: int) -> IntArray:
    """What a slot has moved up to a revision of it, shape (members,) [unit]."""
    found = store.columns(tables.accounts, ("credit",), slot=slot, revision=revision)
    return np.array(found, dtype=np.int64).reshape(-1)


def read_registers(store: Store, slot: int, revision: int) -> Shares:
    """What registers counted and shared in a slot; empty where it is not settled, or members trade on net."""
    names = ("counted", "shared", "worth", "kept")
    found = store.columns(tables.registers, names, slot=slot, revision=revision)
    return Shares(*(np.frombuffer(blob, dtype=np.int64) for row in found for blob in row))


def read_settled(store: Store, slot: int, meters: Sequence[bytes], revision: int) -> Settled:
    """A revision of a slot with its money; what the clearings after delivery said of themselves is not in it.

    meters : as of `read_delivered`
    """
    delivered = read_delivered(store, slot, meters, revision)
    rows, _, _ = read_trades(store, slot, revision)
    names = ("buyer", "seller", "wh", "price", "stage", "settled")
    buyer, seller, wh, price, stage, settled = (
        np.array([[getattr(row, name) for name in names] for row in rows], dtype=np.int64).reshape(-1, len(names)).T
    )
    accounts = store.columns(tables.accounts, ("ahead", "after", "grid", "credit"), slot=slot, revision=revision)
    ahead, after, grid, credit = np.array(accounts, dtype=np.int64).reshape(-1, 4).T
    shares = read_registers(store, slot, revision)
    account = Account(Trades(buyer, seller, wh, price), stage, settled, ahead + after, grid, credit, shares)
    return Settled(delivered, (), account)


def revision_of(store: Store, slot: int) -> int | None:
    """The last revision of a slot; None when it is not settled."""
    rows = store.columns(tables.settled, ("revision",), slot=slot)
    return int(rows[0][0]) if rows else None


def settled_between(store: Store, start: int, until: int, most: int) -> list[tuple[int, int]]:
    """The first `most` slots from `start` until before `until` [unix s] that are settled, with their last revisions."""
    c = tables.settled.c
    query = select(c.slot, c.revision).where(c.slot >= start, c.slot < until).order_by(c.slot).limit(most)
    return [(slot, revision) for slot, revision in store.ask(query)]


def is_coupled(store: Store, slot: int, revision: int) -> bool:
    """Whether a revision of a slot trades with another community."""
    return bool(store.columns(tables.trades, ("number",), slot=slot, revision=revision, stage=OF_COUPLING))


def read_coupled(store: Store) -> list[Any]:
    """The trades with another community that the ledger may have been told and the store does not have as revisions."""
    told, settled = tables.couplings, tables.settled
    later = (told.c.slot == settled.c.slot) & (told.c.revision > settled.c.revision)
    return store.ask(select(told).join(settled, later).order_by(told.c.slot))


def read_declared(store: Store, slot: int) -> Declared:
    """The orders of a slot as they came to its gate; of those that were refused nothing."""
    rows = store.rows(tables.orders, slot=slot)
    columns = np.array([(o.member, o.side, o.wh, o.limit) for o in rows if o.counts], dtype=np.int64).reshape(-1, 4).T
    if rows and not rows[0].hash:  # where nobody signs
        return Declared(slot, Orders(*columns), (), ())
    signed = tuple(map(order_of_row, rows))
    places = tuple(o.position for o in rows if o.counts)
    return Declared(slot, Orders(*columns), signed, (), tuple(o.member for o in rows), places)


def read_accepted(store: Store) -> dict[int, Accepted]:
    """The orders that have come for slots whose gate is not closed, by the slot's start."""
    later = select(tables.orders.c.slot).where(tables.orders.c.slot > last_closed(store)).distinct()
    found = {}
    for (slot,) in store.ask(later):
        declared = read_declared(store, slot)
        sides = [order.record.side for order in declared.signed]
        last = {(member, side): place for place, (member, side) in enumerate(zip(declared.members, sides, strict=True))}
        found[slot] = Accepted(slot, declared.signed, declared.members, last)
    return found


def read_planned(store: Store, slots: Slots, members: int) -> tuple[IntArray, IntArray]:
    """What members said that they would take through their meters, and whether they did, each shape (members, slots)
    [Wh], positive = into the home."""
    said = [
        (slot, member, net, 1) for slot, member, net in store.columns(tables.planned, ("slot", "member", "net"), slots)
    ]
    found = arrays([row for row in said if row[1] < members], ("net", "said"), members, slots)
    return found["net"], found["said"]


def members_forecasting(store: Store, first: int) -> set[int]:
    """The members of whom there are forecasts, as `read_forecasts` has them."""
    return {member for (member,) in store.columns(tables.forecasts, ("member",), slot=first)}


def read_forecasts(store: Store, first: int) -> dict[int, HomeForecast]:
    """What members forecast of the slots of the gate whose first one is `first` [start, unix s], by member."""
    said = store.columns(tables.forecasts, ("member", "said"), slot=first)
    return {member: HomeForecast.from_json(json.loads(each)) for member, each in said}


def read_told(store: Store, member: int, since: int, until: int, most: int) -> list[tuple[int, int, int, int]]:
    """What a member was told of the first `most` slots from `since` on, before `until` [unix s], whose gate has closed:
    (start, bought, sold, cap) [Wh], bought and sold ahead of delivery."""
    caps, trades = tables.caps.c, tables.trades.c
    within = select(tables.caps).where(caps.slot >= since, caps.slot < until).order_by(caps.slot).limit(most)
    carried = {row.slot: np.frombuffer(row.feed_in, dtype=np.int64) for row in store.ask(within)}
    if not carried:
        return []
    agreed = select(trades.slot, trades.buyer, trades.seller, trades.wh).where(
        trades.slot.between(min(carried), max(carried)),
        trades.revision == 0,
        trades.stage.in_(stages_ahead(store)),
        (trades.buyer == member) | (trades.seller == member),
    )
    bought, sold = dict.fromkeys(carried, 0), dict.fromkeys(carried, 0)
    for slot, buyer, _, wh in store.ask(agreed):
        (bought if buyer == member else sold)[slot] += wh
    there = {slot: int(cap[member]) for slot, cap in carried.items() if member < len(cap)}
    return [(slot, bought[slot], sold[slot], cap) for slot, cap in there.items()]


def any_replaced(store: Store, slot: int, **of: int) -> bool:
    """Whether an order of the slot, or of those where the columns `of` have these values, does not count, as each that
    a later one replaced or cancelled."""
    return bool(store.columns(tables.orders, ["position"], None, slot=slot, counts=False, **of))


def read_committed(store: Store, slot: int) -> Committed:
    """A slot whose gate has closed."""
    declared = read_declared(store, slot)
    rows, trades, agreed = read_trades(store, slot, 0)
    rows, trades = rows[:agreed], trades[:agreed]
    table = np.array([(t.buyer, t.seller, t.wh, t.price, t.stage) for t in rows], dtype=np.int64).reshape(-1, 5).T
    (cap,) = store.rows(tables.caps, slot=slot)
    carried = np.frombuffer(cap.feed_in, dtype=np.int64)
    cleared = Cleared(declared, (), Trades(*table[:4]), table[4], carried)
    records = tuple(trades) if declared.signed else ()
    tree = Tree.of([hash_struct(record) for record in records])
    (roots,) = store.rows(tables.commitments, slot=slot)
    kind = Committed if roots.orders else Missed
    return kind(cleared, records, Tree.of([order.hash for order in declared.signed]), tree)


def is_missed(store: Store, slot: int) -> bool:
    """Whether nothing was committed for a slot whose gate has closed."""
    return any(not row.orders for row in store.rows(tables.commitments, slot=slot))


def count_slots(store: Store) -> tuple[int, int, int]:
    """How many slots are settled, how often slots were settled anew, and for how many nothing was committed."""
    settled, missed = tables.settled.c, tables.commitments.c
    ((count, corrections),) = store.ask(select(func.count(), func.coalesce(func.sum(settled.revision), 0)))
    ((none,),) = store.ask(select(func.count()).where(missed.orders == b""))
    return int(count), int(corrections), int(none)
