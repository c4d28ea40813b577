"""A community's side of trades with another one: what it can trade, its locked posts, and the slots that came of them.

A coupled revision is the last one of its slot: it is made when the slot is final and no home's reading is missing, and
nothing corrects the slot afterwards. While its post stands, corrections wait; if it is struck or expires they go on.
The store knows of it before the ledger is told, and takes it as a revision once the ledger has applied it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from commonwatt.community.calendar import Slots
from commonwatt.errors import LedgerError, RecordError
from commonwatt.exchange import coupling, rows, steps, tables, writing
from commonwatt.exchange.coupling import Side
from commonwatt.exchange.events import Correction
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.outbox import outgoing
from commonwatt.exchange.states import Posted
from commonwatt.exchange.store import note, put
from commonwatt.proof import hash_struct
from commonwatt.records import Reading, Signed
from commonwatt.units import IntArray


@dataclass(frozen=True)
class Offer:
    """What a gateway brings to one of its communities.

    price : at which it buys or sells [unit/kWh]; reading : what goes through the link, signed by its meter here
    lock, until : of the post, see `records.Post`
    """

    price: int
    reading: Signed[Reading]
    lock: bytes
    until: int


class Coupler:
    """One community and the gateway to another.

    gateway : its member index; surplus : whether it buys here what it sells there
    """

    def __init__(self, exchange: Exchange, gateway: int, *, surplus: bool) -> None:
        self.exchange, self.gateway, self.surplus = exchange, gateway, surplus
        exchange.outbox.locked += [outgoing(posted, exchange.domain, exchange.outbox.quorum) for posted in self._open()]
        self.keep(exchange.now)

    def obstacle(self, slot: int, at: int) -> str:
        """Why the slot cannot be coupled at that time, as a sentence; empty when it can."""
        exchange = self.exchange
        if exchange.rules.registers is not None:
            return "Where registers are shared, nothing is traded with another community."
        if obstacle := exchange.obstacle(Correction(at, slot)):
            return obstacle
        if rows.is_missed(exchange.store, slot):
            return f"Slot {slot} was missed: nothing of it can be posted."
        revision = rows.revision_of(exchange.store, slot) or 0
        delivered = rows.read_delivered(exchange.store, slot, exchange.meters_of(slot), revision)
        waiting = rows.read_waiting(exchange.store, slot, exchange.meters_of(slot))
        missing = (delivered.missing | frozenset(waiting)) - {self.gateway}
        return f"Slot {slot} waits for readings of {len(missing)} homes." if missing else ""

    def side(self, slot: int, price: int) -> Side:
        """What the community can trade in a slot at this price [unit/kWh]."""
        exchange = self.exchange
        revision = rows.revision_of(exchange.store, slot) or 0
        settled = rows.read_settled(exchange.store, slot, exchange.meters_of(slot), revision)
        frame = exchange.frame_of(Slots(slot, 1, exchange.rules.period.seconds))
        free = exchange.free()[: frame.members]
        bond = exchange.client.terms.bond
        return Side(settled, self.gateway, self.surplus, price, frame, exchange.limits_of(slot), free, bond)

    def posted(self, offer: Offer, shared: IntArray | None = None) -> tuple[Posted, IntArray]:
        """The coupled revision of an offer, as the operators sign it, and each member's share of it [Wh].

        shared : where these are known. Raises RecordError when it cannot be.
        """
        slot, exchange = offer.reading.record.slot, self.exchange
        side = self.side(slot, offer.price)
        meters = exchange.meters_of(slot)
        readings = [offer.reading if member == self.gateway else None for member in range(len(meters))]
        read = steps.believe(side.settled.delivered.committed, readings, meters, exchange.domain)
        shared = coupling.shares(side, read) if shared is None else shared
        coupled = coupling.couple(side, read, shared)
        return coupling.locked(coupled, exchange.roster.at(slot).mandates, offer.lock, offer.until), shared

    def post(self, offer: Offer, at: int) -> Posted:
        """Post the coupled revision. Raises RecordError when the slot has an obstacle or the offer cannot be."""
        exchange, outbox = self.exchange, self.exchange.outbox
        if obstacle := self.obstacle(offer.reading.record.slot, at):
            raise RecordError(obstacle)
        posted, shared = self.posted(offer)
        record = offer.reading.record
        with exchange.store.transaction() as connection:
            numbers = (at, self.gateway, int(self.surplus), offer.price, record.sequence, offer.until)
            blobs = (record.meter, offer.reading.hash, offer.reading.signature, shared.tobytes(), offer.lock)
            row = (posted.post.slot, posted.post.revision, *numbers, *blobs)
            put(connection, tables.couplings, row)
        message = outgoing(posted, exchange.domain, outbox.quorum)
        outbox.locked = [*outbox.waiting(), message]
        outbox.stake(at)
        exchange.client.post(message.post, message.trades, message.deltas, message.signatures, at=at)
        return posted

    def keep(self, at: int) -> list[int]:
        """Take into the store what the ledger has applied; returns the slots of it. Repeated, it does nothing more."""
        kept = []
        for posted in self._open():
            slot, revision = posted.post.slot, posted.post.revision
            posting = self.exchange.client.posted(slot, revision)
            if posting is None or not posting.final:
                continue
            if posting.digest != self.exchange.domain.digest(hash_struct(posted.post)):
                raise LedgerError(f"The chain holds another trade of slot {slot} than the exchange's file.")
            message = outgoing(posted, self.exchange.domain, self.exchange.outbox.quorum)
            with self.exchange.store.transaction() as connection:
                writing.write_correction(connection, at, posted, message, ())
                note(connection, at, [("slot coupled", {"slot": slot, "revision": revision})])
            kept.append(slot)
        return kept

    def shares_of(self, slot: int) -> IntArray:
        """What each member traded of a slot with the other community, shape (members,) [Wh] >= 0."""
        revision = rows.revision_of(self.exchange.store, slot) or 0
        if not rows.is_coupled(self.exchange.store, slot, revision):
            return np.zeros(self.exchange.members_of(slot), dtype=np.int64)
        (row,) = self.exchange.store.rows(tables.couplings, slot=slot, revision=revision)
        return np.frombuffer(row.shares, dtype=np.int64)

    def _open(self) -> Iterator[Posted]:
        """The coupled revisions that the store does not have as such, as they were posted."""
        for row in rows.read_coupled(self.exchange.store):
            if row.gateway == self.gateway:
                shared = np.frombuffer(row.shares, dtype=np.int64)
                yield self.posted(_offer(row, int(shared.sum())), shared)[0]


def _offer(row: Any, wh: int) -> Offer:
    ways = (wh, 0) if row.surplus else (0, wh)
    reading = Reading(row.meter, row.slot, *ways, row.sequence)
    return Offer(row.price, Signed(reading, row.hash, row.signature), row.lock, row.until)
