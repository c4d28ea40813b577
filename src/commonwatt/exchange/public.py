"""What everybody may know of a slot: how far it is, what it was committed to, its prices, and sums over many homes.

A sum over fewer than five homes is not told. Nor is what a correction changed, as it is often one home's reading that
came late: the difference of two sums would be that reading. So sums are those of the slot as it was first settled.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from sqlalchemy import select

from commonwatt.accounts.document import hex_text
from commonwatt.community.calendar import Slots
from commonwatt.exchange import tables
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.store import Store
from commonwatt.units import IntArray

HOMES: Final = 5
"""A sum is told when at least so many homes are behind it."""


class State(StrEnum):
    """How far a slot is."""

    OPEN = "open"
    """Orders are taken."""
    CLOSED = "closed"
    """Its gate has closed."""
    ENDED = "ended"
    """It is over, and waits for its readings."""
    POSTED = "posted"
    """It is settled, and can be objected to."""
    FINAL = "final"
    """Its money has moved. Readings that come later may still correct it."""
    MISSED = "missed"
    """Nothing was committed for it in time, so everybody meets the utility."""


@dataclass(frozen=True)
class StagePrices:
    """Prices of one stage of the market day by their names, such as buy and sell [unit/kWh]."""

    stage: int
    mechanism: str
    prices: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """As it is told."""
        return {"stage": self.stage, "mechanism": self.mechanism, "prices": dict(self.prices)}


@dataclass(frozen=True)
class Sum:
    """A sum over homes. wh : None where too few are behind it; homes : how many, None with it"""

    wh: int | None
    homes: int | None

    @classmethod
    def of(cls, wh: int, homes: int) -> Sum:
        """The sum, where it may be told."""
        return cls(wh, homes) if homes >= HOMES else cls(None, None)

    def as_json(self) -> dict[str, Any]:
        """As it is told; with the reason where it is not."""
        why = f"Fewer than {HOMES} homes are behind this sum." if self.wh is None else None
        return {"wh": self.wh, "homes": self.homes, "why": why}


@dataclass(frozen=True)
class Sums:
    """Of a slot as it was first settled.

    traded : settled local energy; as telling of one buyer as of one seller, so `homes` is the fewer of both
    imported, exported : what homes drew from the utility and fed in to it
    """

    traded: Sum
    imported: Sum
    exported: Sum

    @classmethod
    def of(cls, trades: Sequence[tuple[int, int, int]], grid: IntArray) -> Sums:
        """trades : (buyer, seller, settled Wh) of each; grid : shape (members,) [Wh], positive = import"""
        moved = [trade for trade in trades if trade[2]]
        fewer = min(len({buyer for buyer, _, _ in moved}), len({seller for _, seller, _ in moved}))
        return cls(
            Sum.of(sum(wh for _, _, wh in moved), fewer),
            Sum.of(int(grid[grid > 0].sum()), int((grid > 0).sum())),
            Sum.of(-int(grid[grid < 0].sum()), int((grid < 0).sum())),
        )

    def as_json(self) -> dict[str, Any]:
        """As they are told."""
        return {name: getattr(self, name).as_json() for name in ("traded", "imported", "exported")}


@dataclass(frozen=True)
class PublicSlot:
    """A slot [start, unix s] as everybody may see it.

    revision : the last one; None before it is settled
    orders, trades, statements : roots as the ledger has them, 32 bytes; None before
    prices : in the order of the stages; sums : None before it is settled, or where it was missed
    """

    start: int
    state: State
    revision: int | None = None
    orders: bytes | None = None
    trades: bytes | None = None
    statements: bytes | None = None
    prices: tuple[StagePrices, ...] = ()
    sums: Sums | None = None

    def as_json(self) -> dict[str, Any]:
        """As it is told."""
        roots = {name: getattr(self, name) for name in ("orders", "trades", "statements")}
        return {
            "start": self.start,
            "state": str(self.state),
            "revision": self.revision,
            "roots": {name: root and hex_text(root) for name, root in roots.items()},
            "prices": [each.as_json() for each in self.prices],
            "sums": self.sums and self.sums.as_json(),
        }


def starts_after(exchange: Exchange, after: int, limit: int) -> list[int]:
    """Starts of the next slots behind `after` [unix s]: those whose gate has closed, then those whose gate is open."""
    c = tables.commitments.c
    query = select(c.slot).where(c.slot > after).order_by(c.slot).limit(limit)
    found = [slot for (slot,) in exchange.store.ask(query)]
    known = {*found}
    period = exchange.rules.period.starts.tolist()
    still = [slot for slot in period if slot > after and slot not in known and exchange.open_at(slot)]
    return (found + still)[:limit]


def last_posts(exchange: Exchange, starts: Collection[int]) -> set[tuple[int, int]]:
    """The last post of each of these slots [starts, unix s] that has one: slot and revision."""
    if not starts:
        return set()
    posts = _of(exchange.store, "posts", _around(exchange, starts), "slot", "revision")
    return {(slot, revision) for slot, revision in dict(posts).items() if slot in starts}


def public_slots(
    exchange: Exchange, starts: Collection[int], now: int, final: Set[tuple[int, int]]
) -> list[PublicSlot]:
    """Those of the slots [starts, unix s] that the exchange knows, in the order of time.

    final : slot and revision of the posts that are final by what the ledger says
    """
    if not starts:
        return []
    rows, found = _Rows(exchange.store, _around(exchange, starts)), []
    for slot in sorted(set(starts)):
        if slot in rows.commitments:
            over = slot + exchange.rules.period.seconds <= now
            found.append(_known(rows, slot, State.ENDED if over else State.CLOSED, final))
        elif exchange.open_at(slot):
            found.append(PublicSlot(slot, State.OPEN))
    return found


def _around(exchange: Exchange, starts: Collection[int]) -> Slots:
    first, seconds = min(starts), exchange.rules.period.seconds
    return Slots(first, (max(starts) - first) // seconds + 1, seconds)


class _Rows:
    """What the store has of some slots, by slot."""

    def __init__(self, store: Store, slots: Slots) -> None:
        self.commitments = {row[0]: row[1:] for row in _of(store, "commitments", slots, "slot", "orders", "trades")}
        self.revisions = dict(_of(store, "settled", slots, "slot", "revision"))
        posts = _of(store, "posts", slots, "slot", "revision", "statements")
        self.statements = {(slot, revision): root for slot, revision, root in posts}
        self.prices = dict[int, list[StagePrices]]()
        for slot, stage, mechanism, prices in _of(store, "clearings", slots, "slot", "stage", "mechanism", "prices"):
            self.prices.setdefault(slot, []).append(StagePrices(stage, mechanism, json.loads(prices)))
        self.trades = dict[int, list[tuple[int, int, int]]]()
        for slot, *trade in _of(store, "trades", slots, "slot", "buyer", "seller", "settled", revision=0):
            self.trades.setdefault(slot, []).append((trade[0], trade[1], trade[2]))
        self.grid = dict[int, list[int]]()
        for slot, wh in _of(store, "accounts", slots, "slot", "grid", revision=0):
            self.grid.setdefault(slot, []).append(wh)


def _of(store: Store, table: str, slots: Slots, *names: str, **equal: int) -> list[tuple[Any, ...]]:
    return store.columns(tables.metadata.tables[table], names, slots, **equal)


def _known(rows: _Rows, slot: int, unsettled: State, final: Set[tuple[int, int]]) -> PublicSlot:
    """A slot whose gate has closed. unsettled : its state while it is not settled"""
    orders, trades = rows.commitments[slot]
    revision, prices = rows.revisions.get(slot), tuple(rows.prices.get(slot, ()))
    if not orders:
        return PublicSlot(slot, State.MISSED, revision)
    if revision is None:
        return PublicSlot(slot, unsettled, None, orders, trades, None, prices)
    sums = Sums.of(rows.trades.get(slot, ()), np.array(rows.grid.get(slot, ()), dtype=np.int64))
    state = State.FINAL if (slot, revision) in final else State.POSTED
    return PublicSlot(slot, state, revision, orders, trades, rows.statements.get((slot, revision)), prices, sums)
