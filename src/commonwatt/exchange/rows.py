"""States to rows of the store and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, select

from commonwatt.accounts.registers import Shares
from commonwatt.community.calendar import Slots
from commonwatt.exchange import store as tables
from commonwatt.exchange.outbox import Outgoing
from commonwatt.exchange.states import Cleared, Committed, Declared, Delivered, Missed, Posted, Settled, Witnessed
from commonwatt.exchange.store import Store, add, advance, count, drop, note, put
from commonwatt.market import Orders
from commonwatt.market.proving import CLEARED
from commonwatt.market.stage import ActiveStage
from commonwatt.proof import Tree, hash_struct, keccak
from commonwatt.records import ZERO_HASH, Clearing, Mandate, Order, Post, Reading, Signed, Trade, Trades, Within
from commonwatt.units import IntArray

STAGES_AHEAD: Final = "stages_ahead"
"""Value of the run: numbers of the stages that clear ahead of delivery."""


TRADE_COLUMNS: Final = ("slot", "revision", "number", "buyer", "seller", "wh", "price", "buy_order", "sell_order")
"""Of the table of trades, what their records say."""
_ALONE: Final = Within(0, 0, 0, ())


def stages_ahead(store: Store) -> frozenset[int]:
    """Numbers of the stages that clear ahead of delivery: their trades are committed before."""
    return frozenset(map(int, store.values()[STAGES_AHEAD].split()))


def write_mandates(connection: Connection, mandates: Sequence[Signed[Mandate]]) -> None:
    """The mandates, by member index."""
    rows = []
    for index, signed in enumerate(mandates):
        m = signed.record
        numbers = (m.max_buy, m.min_sell, m.buy_wh, m.sell_wh, m.valid_from, m.valid_until, m.nonce)
        rows.append((index, *numbers, m.member, m.agent, signed.hash, signed.signature, m.text))
    add(connection, tables.mandates, rows)


def write_gate(
    connection: Connection,
    number: int,
    at: int,
    committed: Sequence[Committed],
    ahead: Sequence[ActiveStage],
) -> None:
    """All that gate closure, event `number` at `at` [unix s], decided for its slots.

    ahead : the stages ahead of delivery
    """
    refused = 0
    for slot in committed:
        cleared, declared = slot.cleared, slot.cleared.declared
        start = declared.slot
        add(connection, tables.orders, _order_rows(declared))
        add(
            connection,
            tables.refusals,
            [(start, place, member, reason) for place, (member, reason) in enumerate(declared.refused)],
        )
        refused += len(declared.refused)
        add(connection, tables.clearings, map(_clearing_row, cleared.ahead, ahead))
        add(connection, tables.caps, [(start, cleared.feed_in_cap.tobytes())])
        roots = (b"", b"") if isinstance(slot, Missed) else (slot.orders.root, slot.trades.root)
        add(connection, tables.commitments, [(start, at, *roots)])
        add(
            connection,
            tables.trades,
            _trade_rows(start, cleared.trades, cleared.stage, cleared.trades.wh, slot.records),
        )
    trades = sum(len(slot.cleared.trades) for slot in committed)
    entry = {"slots": len(committed), "trades": trades, "refused": refused}
    if late := sum(isinstance(slot, Missed) for slot in committed):
        entry["missed"] = late
    failed = [found for slot in committed for found in _uncleared(slot.cleared.ahead)]
    note(connection, number, at, [("gate closed", entry), *failed])
    advance(connection, number)


def write_slot(
    connection: Connection,
    number: int,
    at: int,
    settled: Settled,
    message: Outgoing | None,
    after: Sequence[ActiveStage],
    witnessed: Witnessed,
) -> None:
    """All that the end of a slot, event `number` at `at` [unix s], brought.

    message : what the ledger is told of it; after : the stages after delivery
    witnessed : what generators' own meters counted beside it
    """
    delivered, account = settled.delivered, settled.account
    agreed = delivered.committed.cleared.trades
    # Day-ahead trades stand in the store since the gate.
    _write_settled(connection, number, at, settled, message, after, first=len(agreed))
    _note_cuts(connection, _slot(settled), account.settled[: len(agreed)], agreed.wh)
    unread = _write_witnessed(connection, _slot(settled), witnessed)
    note(connection, number, at, [("slot settled", _told(settled)), *_uncleared(settled.after), *unread])
    advance(connection, number)


def write_correction(
    connection: Connection,
    number: int,
    at: int,
    settled: Settled,
    message: Outgoing | None,
    after: Sequence[ActiveStage],
) -> None:
    """A later revision of a slot, made at `at` [unix s] after event `number`; the rest as for `write_slot`."""
    slot = _slot(settled)
    drop(connection, tables.accounts, slot=slot)
    for stage in after:
        drop(connection, tables.clearings, slot=slot, stage=stage.number)
    _write_settled(connection, number, at, settled, message, after, first=0)
    told = {"revision": settled.delivered.revision, "missing": len(settled.delivered.missing), **_told(settled)}
    note(connection, number, at, [("slot corrected", told), *_uncleared(settled.after)])


def _slot(settled: Settled) -> int:
    return settled.delivered.committed.cleared.declared.slot


def _told(settled: Settled) -> dict[str, object]:
    account = settled.account
    return {"slot": _slot(settled), "trades": len(account.trades), "grid_wh": int(account.grid.sum())}


def _write_settled(
    connection: Connection,
    number: int,
    at: int,
    settled: Settled,
    message: Outgoing | None,
    after: Sequence[ActiveStage],
    *,
    first: int,
) -> None:
    """A revision of a slot. first : number of the first trade that the store does not hold yet"""
    delivered, account = settled.delivered, settled.account
    cleared, revision = delivered.committed.cleared, delivered.revision
    slot, agreed = cleared.declared.slot, len(cleared.trades)
    ahead = Trades(
        cleared.trades.buyer, cleared.trades.seller, account.settled[:agreed], cleared.trades.price
    ).position(len(delivered.net))
    columns = (delivered.net, ahead, account.local - ahead, account.grid, account.credit)
    values = enumerate(zip(*(column.tolist() for column in columns), strict=True))
    missing, readings = delivered.missing, tables.readings
    add(connection, tables.accounts, [(slot, member, revision, member not in missing, *row) for member, row in values])
    if len(delivered.counted):
        shares = account.shares
        blobs = [each.tobytes() for each in (shares.counted, shares.shared, shares.worth, shares.kept)]
        put(connection, tables.registers, (slot, *blobs))
    known = {row.member for row in connection.execute(select(readings.c.member).where(readings.c.slot == slot))}
    fresh = ((member, signed) for member, signed in enumerate(delivered.readings) if member not in known)
    add(connection, readings, _reading_rows(fresh, revision))
    add(connection, tables.clearings, map(_clearing_row, settled.after, after))
    new = account.trades.keep(np.arange(len(account.trades)) >= first)
    posted = settled if isinstance(settled, Posted) else None
    records = posted.records[first:] if posted else ()
    rows = _trade_rows(slot, new, account.stage[first:], account.settled[first:], records, first, revision)
    add(connection, tables.trades, rows)
    if posted and message:
        post, leaves = posted.post, b"".join(posted.tree.levels[0])
        turn = count(connection, tables.journal, event=number)
        row = (
            slot, revision, at, turn, post.orders, message.trades, post.statements, message.deltas,
            b"".join(message.signatures), leaves,
        )  # fmt: skip
        add(connection, tables.posts, [row])


def _write_witnessed(
    connection: Connection, slot: int, witnessed: Witnessed
) -> Iterator[tuple[str, dict[str, object]]]:
    """What the generators' own meters counted. Returns entries of the journal for what is not believed."""
    add(connection, tables.generators, _reading_rows(witnessed.believed.items()))
    for member, reason in witnessed.refused.items():
        yield "generator not read", {"slot": slot, "member": member, "reason": reason}


def _uncleared(clearings: Iterable[Clearing]) -> Iterator[tuple[str, dict[str, object]]]:
    """Entries of the journal for slots that stayed without local trade, each with the reason."""
    for clearing in clearings:
        for check in clearing.proof.checks:
            if check.name == CLEARED and not check.holds:
                told = {"mechanism": clearing.mechanism, "reason": check.meaning, "figure": check.figure}
                yield "not cleared", {"slot": clearing.slot, **told, **clearing.diagnostics}


def _note_cuts(connection: Connection, slot: int, settled: IntArray, agreed: IntArray) -> None:
    """Day-ahead trades stand in the store since the gate; now it is known how much of each was delivered and paid."""
    changed = np.flatnonzero(settled != agreed).tolist()
    if changed:
        statement = "UPDATE trades SET settled = ? WHERE slot = ? AND revision = 0 AND number = ?"
        connection.exec_driver_sql(statement, [(int(settled[number]), slot, number) for number in changed])


def _order_rows(declared: Declared) -> Iterator[tuple[object, ...]]:
    places = frozenset(declared.places)
    for place, (member, signed) in enumerate(zip(declared.members, declared.signed, strict=True)):
        o = signed.record
        numbers = (member, o.side, o.wh, o.limit, o.expiry, o.nonce, place in places)
        within = signed.within or _ALONE
        basket = (within.first, within.count, within.position)
        yield (o.slot, place, *numbers, *basket, signed.hash, signed.signature, b"".join(within.siblings), o.text)
    if not declared.signed:
        columns = (declared.orders.member, declared.orders.side, declared.orders.wh, declared.orders.limit)
        for place, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            yield (declared.slot, place, *row, declared.slot, 0, True, 0, 0, 0, b"", b"", b"", "")


def _reading_rows(
    readings: Iterable[tuple[int, Signed[Reading] | None]], *revision: int
) -> Iterator[tuple[object, ...]]:
    for member, signed in readings:
        if signed:
            r = signed.record
            yield (r.slot, member, *revision, r.wh_in, r.wh_out, r.sequence, signed.hash, signed.signature)


def _clearing_row(clearing: Clearing, stage: ActiveStage) -> tuple[object, ...]:
    proof = [
        {"name": c.name, "holds": c.holds, "figure": c.figure, "meaning": c.meaning} for c in clearing.proof.checks
    ]
    texts = (json.dumps(dict(clearing.prices)), json.dumps(proof), json.dumps(dict(clearing.diagnostics)))
    return (clearing.slot, stage.number, clearing.mechanism, *texts)


def _trade_rows(
    slot: int,
    trades: Trades,
    stage: IntArray,
    settled: IntArray,
    records: Sequence[Trade],
    first: int = 0,
    revision: int = 0,
) -> Iterator[tuple[object, ...]]:
    columns = (stage, trades.buyer, trades.seller, trades.wh, settled, trades.price)
    for place, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        ends = (ZERO_HASH, ZERO_HASH, ZERO_HASH)
        if records:
            ends = (records[place].buy_order, records[place].sell_order, hash_struct(records[place]))
        yield (slot, revision, first + place, *row, *ends)


def read_mandates(store: Store) -> tuple[Signed[Mandate], ...]:
    """The mandates, by member index."""
    return tuple(
        Signed(
            Mandate(
                row.account, row.agent, row.text, row.max_buy, row.min_sell, row.buy_wh, row.sell_wh,
                row.valid_from, row.valid_until, row.nonce,
            ),
            row.hash,
            row.signature,
        )
        for row in store.rows(tables.mandates)
    )  # fmt: skip


def order_of_row(row: Any, account: bytes) -> Signed[Order]:
    """A signed order from its row. account : of the member [address]"""
    order = Order(account, row.text, row.side, row.wh, row.limit, row.slot, row.expiry, row.nonce)
    siblings = tuple(row.siblings[at : at + 32] for at in range(0, len(row.siblings), 32))
    within = Within(row.first, row.count, row.place, siblings) if row.count else None
    return Signed(order, row.hash, row.signature, within)


def trade_of(values: Sequence[Any], *, agreed: bool) -> Trade:
    """The record of a trade from its `TRADE_COLUMNS`. What was agreed before delivery keeps revision 0 for ever."""
    slot, revision, *rest = values
    return Trade(slot, 0 if agreed else revision, *rest)


def read_trades(store: Store, slot: int, revision: int) -> tuple[list[Any], list[Trade], int]:
    """The rows of a revision's trades, their records, and how many of them, the first, were agreed before delivery."""
    rows, ahead = store.rows(tables.trades, slot=slot, revision=revision), stages_ahead(store)
    records = [trade_of([getattr(row, name) for name in TRADE_COLUMNS], agreed=row.stage in ahead) for row in rows]
    return rows, records, sum(row.stage in ahead for row in rows)


def last_time(store: Store) -> int:
    """When the last thing was done [unix s]; 0 before the first."""
    return max((at for (at,) in store.columns(tables.journal, ["time"])), default=0)


def progress(store: Store) -> int:
    """Place of the last event that is done; -1 before the first."""
    rows = store.rows(tables.progress)
    return int(rows[0].event) if rows else -1


def read_committed(store: Store, first: int, period: Slots) -> dict[int, Committed]:
    """The slots from place `first` that are committed and not delivered yet, by start."""
    begin = int(period.start + first * period.seconds)
    found = {}
    for row in store.rows(tables.commitments):
        if row.slot >= begin:
            found[row.slot] = _committed(store, row.slot)
    return found


def read_delivered(store: Store, slot: int, meters: Sequence[bytes]) -> tuple[Delivered, IntArray]:
    """What counts of a settled slot in its last revision, and what all its revisions have moved, shape (members,).

    meters : address by member index; empty where nobody signs
    """
    accounts = store.rows(tables.accounts, slot=slot)
    known = {row.member: row for row in store.rows(tables.readings, slot=slot)}
    readings: list[Signed[Reading] | None] = [None] * len(meters)
    for member, row in known.items():
        record = Reading(meters[member], slot, row.wh_in, row.wh_out, row.sequence)
        readings[member] = Signed(record, row.hash, row.signature)
    net, credit = (np.array([getattr(row, name) for row in accounts], dtype=np.int64) for name in ("net", "credit"))
    missing = frozenset(row.member for row in accounts if not row.measured)
    counted = read_registers(store, slot).counted
    revision = accounts[0].revision
    delivered = Delivered(_committed(store, slot), net, tuple(readings), missing, revision, counted=counted)
    return delivered, credit


def read_registers(store: Store, slot: int) -> Shares:
    """What registers counted and shared in a slot; empty where it is not settled, or members trade on net."""
    found = store.columns(tables.registers, ("counted", "shared", "worth", "kept"), slot=slot)
    return Shares(*(np.frombuffer(blob, dtype=np.int64) for row in found for blob in row))


def revision_of(store: Store, slot: int) -> int | None:
    """The last revision of a slot; None when it is not settled."""
    rows = store.rows(tables.accounts, slot=slot, member=0)
    return int(rows[0].revision) if rows else None


def read_declared(store: Store, slot: int) -> Declared:
    """The orders of a slot as they came to its gate; of those that were refused nothing."""
    rows = store.rows(tables.orders, slot=slot)
    columns = np.array([(o.member, o.side, o.wh, o.limit) for o in rows if o.counts], dtype=np.int64).reshape(-1, 4).T
    accounts = [account for (account,) in store.columns(tables.mandates, ["account"])]
    if not accounts:
        return Declared(slot, Orders(*columns), (), ())
    signed = tuple(order_of_row(row, accounts[row.member]) for row in rows)
    places = tuple(o.position for o in rows if o.counts)
    return Declared(slot, Orders(*columns), signed, (), tuple(o.member for o in rows), places)


def any_replaced(store: Store, slot: int) -> bool:
    """Whether an order of the slot does not count, as each that a later one replaced or cancelled."""
    return bool(store.columns(tables.orders, ["position"], slot=slot, counts=False))


def _committed(store: Store, slot: int) -> Committed:
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


def read_gates(store: Store) -> dict[int, int]:
    """When the gate of each slot closed [unix s]."""
    return dict(store.columns(tables.commitments, ("slot", "gate")))


def read_commitments(store: Store, day: Slots) -> list[tuple[bytes, bytes]]:
    """Roots of orders and trades of each slot of the day."""
    found = {row.slot: (row.orders, row.trades) for row in store.rows(tables.commitments)}
    return [found[slot] for slot in day.starts.tolist()]


def read_posts(store: Store) -> list[Outgoing]:
    """All posts, in the order in which the ledger was told them."""
    return [
        Outgoing(
            Post(row.slot, row.revision, row.orders, row.statements, keccak(row.deltas)),
            row.trades,
            row.deltas,
            tuple(row.signatures[first : first + 65] for first in range(0, len(row.signatures), 65)),
        )
        for row in sorted(store.rows(tables.posts), key=attrgetter("posted_at", "turn"))
    ]


def read_times(store: Store) -> dict[tuple[int, int], int]:
    """When each slot's revision was posted [unix s], by slot and revision."""
    names = ("slot", "revision", "posted_at")
    return {(slot, revision): at for slot, revision, at in store.columns(tables.posts, names)}
