"""Rows of the store to states; `writing` is the way back."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

import numpy as np

from commonwatt.accounts.registers import Shares
from commonwatt.community.calendar import Slots
from commonwatt.exchange import tables
from commonwatt.exchange.outbox import Outgoing
from commonwatt.exchange.states import Cleared, Committed, Declared, Delivered, Missed
from commonwatt.exchange.store import Store
from commonwatt.market import Orders
from commonwatt.proof import Tree, hash_struct, keccak
from commonwatt.records import Mandate, Order, Post, Reading, Signed, Trade, Trades, Within
from commonwatt.units import IntArray

STAGES_AHEAD: Final = "stages_ahead"
"""Value of the run: numbers of the stages that clear ahead of delivery."""


TRADE_COLUMNS: Final = ("slot", "revision", "number", "buyer", "seller", "wh", "price", "buy_order", "sell_order")
"""Of the table of trades, what their records say."""
_ALONE: Final = Within(0, 0, 0, ())


def stages_ahead(store: Store) -> frozenset[int]:
    """Numbers of the stages that clear ahead of delivery: their trades are committed before."""
    return frozenset(map(int, store.values()[STAGES_AHEAD].split()))


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
