"""The engine of a market day, as in `exchange.laboratory`, with signatures and a ledger that is told of each event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from commonwatt.community.calendar import Slots
from commonwatt.errors import LedgerError, RecordError, SignatureError, StoreError
from commonwatt.exchange import admission, ledger_rows, rows, steps, tables, writing
from commonwatt.exchange.adopted import require_adopted
from commonwatt.exchange.books import Books
from commonwatt.exchange.events import Correction, Event, GateClosure, SlotEnd, not_begun
from commonwatt.exchange.laboratory import Beside, Laboratory, nothing
from commonwatt.exchange.outbox import Outbox, Outgoing, outgoing
from commonwatt.exchange.roster import Roster
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.states import (
    Accepted,
    Cleared,
    Committed,
    Declared,
    Delivered,
    Missed,
    Posted,
    Readings,
    Settled,
    Wishes,
    Witnessed,
)
from commonwatt.exchange.stopwatch import Stopwatch
from commonwatt.exchange.store import Store, put
from commonwatt.market import Limits
from commonwatt.proof import Key, hash_struct
from commonwatt.records import Anchor, Mandate, Order, Receipt, Signed
from commonwatt.units import IntArray

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient


_UNSIGNED_GATES: Final = 2 * 86_400
"""How long ago the gate of a slot that is still ahead may have closed [s]."""


class Exchange(Laboratory):
    """The market with signatures and a ledger: it believes what is signed, as far as mandates and money go.

    client : of the community's contracts
    quorum, threshold : as of `Outbox`: the keys that are here, and how many must sign where some sign elsewhere
    roster : of members
    generators : addresses of the meters of those that have one, by member index
    accepted : orders that came before their slot's gate, by the slot's start
    Raises NotAdopted when the members adopted another charter for a slot of the period than the rules have.
    """

    def __init__(
        self,
        rules: Rules,
        store: Store,
        client: LedgerClient,
        quorum: Sequence[Key],
        roster: Roster,
        watch: Stopwatch | None = None,
        generators: Mapping[int, bytes] | None = None,
        *,
        threshold: int = 0,
    ) -> None:
        super().__init__(rules, store, watch)
        self.generators = dict(generators or {})
        self.client, self.outbox = client, Outbox(client, quorum, threshold=threshold)
        self.domain, self.roster = client.domain, roster
        self.unsigned: dict[int, GateClosure] = {}
        """Gates that too few operators have signed, by their first slot that can still be committed."""
        self.billing: Slots | None = None
        """Slots whose bills are being made, of which nothing is corrected meanwhile."""
        require_adopted(client, rules, rules.period)
        self.accepted = rows.read_accepted(store)
        self.tell_again()

    @property
    def books(self) -> Books:
        """See `Laboratory`; with all that proves a bill."""
        return Books(self.rules, self.store, self.roster, self.client)

    @property
    def mandates(self) -> tuple[Signed[Mandate], ...]:
        """Of the members as they are now, by their number."""
        return self.roster.at(self.now).mandates

    def members_of(self, slot: int) -> int:
        """See `Laboratory`."""
        return len(self.roster.at(slot).mandates)

    def limits_of(self, slot: int) -> Limits:
        """See `Laboratory`."""
        return self.roster.at(slot).limits

    def meters_of(self, slot: int) -> tuple[bytes, ...]:
        """See `Laboratory`."""
        return self.roster.at(slot).meters

    def under(self, rules: Rules) -> None:
        """See `Laboratory`."""
        super().under(rules)
        self._gate_of = {slot: gate.at for gate in self._gates for slot in gate.slots.starts.tolist()}

    def anchor(self, bills: bytes, slots: Slots | None = None) -> None:
        """Fix the root of the bills of a period whose posts are final.

        slots : of the period; None = all of the rules' period, after its last event and correction: then the last
            windows pass first
        Raises LedgerError when a post of the period can still be objected to.
        """
        if slots is None:
            self.outbox.finalise_due()
            slots = self.rules.period
        if until := self.outbox.open_until(slots):
            when = f"{datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S} UTC"
            raise LedgerError(f"A post can be objected to until {when}; bills are anchored when all posts are final.")
        for trade in rows.read_coupled(self.store):
            if slots.start <= trade.slot < slots.end and self.outbox.stands(trade.slot, trade.revision, self.now):
                raise LedgerError(f"Slot {trade.slot} may still be traded with another community; bills wait for that.")
        with self.store.transaction() as connection:  # first, so that nothing of it is corrected any more
            put(connection, tables.anchors, (slots.start, slots.end, bills))
        self.outbox.anchor(Anchor(slots.start, slots.end, bills), self.now + 2)

    def require_final(self, slots: Slots) -> None:
        """Raise LedgerError with the first of these slots, which are settled, whose last post is not final."""
        last = self.store.last(tables.posts, ("slot", "revision"), slots)
        for slot, revision in last:
            if self.outbox.final_at(slot, revision) is None:
                raise LedgerError(
                    f"The post of slot {slot}, revision {revision}, is not final; no bill can be made of it."
                )

    def obstacle(self, correction: Correction) -> str:
        """See `Laboratory`; also while the last revision can still be objected to, and once the bills are anchored."""
        if obstacle := super().obstacle(correction):
            return obstacle
        slot, period = correction.slot, self.rules.period
        if self.billing and self.billing.start <= slot < self.billing.end:
            return f"The bills with slot {slot} are being made."
        billed = any(start <= slot < until for start, until in self.store.columns(tables.anchors, ("start", "until")))
        if billed or self.client.anchored(period.start, period.end) is not None:
            return f"The bills with slot {slot} are anchored."
        self.before(correction)
        if rows.is_missed(self.store, slot):
            return ""
        revision = rows.revision_of(self.store, slot) or 0
        if rows.is_coupled(self.store, slot, revision) or self.outbox.stands(slot, revision + 1, correction.at):
            return f"Slot {slot} is traded with another community, which is its last revision."
        final = self.outbox.final_at(slot, revision)
        return "" if final is not None and final <= correction.at else f"Slot {slot} can be corrected when it is final."

    def before(self, event: Event | Correction) -> None:
        """See `Laboratory`: posts whose window has passed become final. Raises NotAdopted at a gate."""
        if isinstance(event, GateClosure):
            require_adopted(self.client, self.rules, event.slots)
        with self.watch("ledger"):
            self.outbox.finalise_due(event.at)

    def admitted(self, closure: GateClosure, wishes: Wishes) -> list[Declared]:
        """See `Laboratory`: signed orders within mandate and free collateral."""
        free, declared = self.unbound(), []
        for slot, signed in zip(closure.ahead.starts.tolist(), wishes.signed, strict=True):
            accepted = self.accepted.get(slot, Accepted(slot))
            known = (self.roster.at(slot).filed, self.domain, self.rules.community, closure.at)
            admitted, free = admission.admit(accepted, signed, *known, free)
            declared.append(admitted)
        return declared

    def accept(self, order: Signed[Order], at: int) -> tuple[Signed[Receipt], ...]:
        """As `accept_all`, of one order. Raises RecordError with the reason when it is refused."""
        (answer,) = self.accept_all([order], at)
        if isinstance(answer, RecordError):
            raise answer
        return answer

    def accept_all(self, orders: Iterable[Signed[Order]], at: int) -> list[tuple[Signed[Receipt], ...] | RecordError]:
        """Orders that arrive at `at` [unix s], before the gates of their slots, one after the other.

        Returns of each the operators' receipts for it, or why it is refused. What is accepted is in the store by then;
        the same order again is given the same receipts, as long as its gate is open.
        """
        now, free = max(at, self.now), self.unbound()
        opened, answers = dict[int, admission.Open](), list[tuple[Signed[Receipt], ...] | RecordError]()
        for order in orders:
            try:
                answers.append(self._take(order, now, opened, free))
            except RecordError as error:
                answers.append(error)
        with self.store.transaction() as connection:
            for slot, each in opened.items():
                first = len(self.accepted[slot].signed) if slot in self.accepted else 0
                writing.write_orders(connection, each.accepted, first, now)
        self.accepted |= {slot: each.accepted for slot, each in opened.items() if each.signed}
        return answers

    def open_at(self, slot: int) -> bool:
        """Whether the gate of a slot [start, unix s] is still open."""
        gate = self.next_gate
        return slot in self._gate_of and gate is not None and slot >= gate.slots.start

    def renewable_from(self, member: int, now: int) -> int | None:
        """From which slot [start, unix s] on a mandate that a member gives at `now` [unix s] can hold.

        Its gate and all later ones are open, and for none of these slots stands an order of the agent that the mandate
        before it names, which only that one explains. None where no gate is open.
        """
        first = min((slot for slot, gate in self._gate_of.items() if gate > now), default=None)
        under = [slot for slot, accepted in self.accepted.items() if _by_agent(accepted, member)]
        return None if first is None else max([first, *(slot + self.rules.period.seconds for slot in under)])

    def _take(
        self, order: Signed[Order], now: int, opened: dict[int, admission.Open], free: IntArray
    ) -> tuple[Signed[Receipt], ...]:
        struct_hash = hash_struct(order.record)  # refuses what fits no field
        slot = order.record.slot
        gate = self._gate_of.get(slot)
        if gate is None:
            raise RecordError("no slot of this period begins then")
        if now >= gate:
            raise RecordError(f"the gate of its slot closed at {gate} (unix seconds)")
        known = self.accepted.get(slot, Accepted(slot))
        taking = opened.get(slot) or admission.Open(known, free)
        try:
            place = taking.take(order, self.roster.at(slot).filed, self.domain, self.rules.community, now)
        except SignatureError:
            raise
        except RecordError:
            known_place = taking.place_of(struct_hash)
            if known_place is None:
                raise
            place = known_place
        opened[slot] = taking
        return self.outbox.receipts(slot, place, struct_hash)

    def close_gate(self, closure: GateClosure, wishes: Wishes, beside: Beside = nothing) -> None:
        """See `Laboratory`; behind the orders that were accepted before come those of `wishes`."""
        super().close_gate(closure, wishes, beside)
        for slot in closure.slots.starts.tolist():
            self.accepted.pop(slot, None)

    def unbound(self) -> IntArray:
        """Collateral that neither agreed trades nor open orders bind, shape (members,) [lane unit]."""
        paid_in = self.outbox.free()
        free: IntArray = np.maximum(paid_in - self._owed(len(paid_in)), 0)
        return free - admission.bound(self.accepted.values(), len(free))

    def _owed(self, members: int) -> IntArray:
        """What members still have to pay for what they bought ahead, shape (members,) [lane unit]."""
        owed = np.zeros(members, dtype=np.int64)
        for slot in self.committed.values():
            np.add.at(owed, slot.cleared.trades.buyer, slot.cleared.trades.payments)
        return owed

    def commitment(self, cleared: Cleared) -> Committed:
        """See `Laboratory`: trades as records, and the roots for the chain."""
        return steps.commit(cleared)

    def believed(self, committed: Committed, readings: Readings) -> Delivered:
        """See `Laboratory`: the meters' signed readings of the slot."""
        meters = self.meters_of(committed.cleared.declared.slot)
        delivered = steps.believe(committed, readings.signed, meters, self.domain)
        if self.rules.registers is None:
            return delivered
        return steps.by_registers(delivered, self.counted(readings), self.rules.registers)

    def witnessed(self, readings: Readings, slot: int) -> Witnessed:
        """See `Laboratory`; what is signed by the meter itself."""
        return steps.witnessed(readings.generators, self.generators, slot, self.domain)

    def free(self) -> IntArray:
        """See `Laboratory`: balances less what posts that are not final will take."""
        return self.outbox.free()

    def stated(self, settled: Settled) -> tuple[Settled, Outgoing | None]:
        """See `Laboratory`: statements and roots, signed by the operators."""
        if isinstance(settled.delivered.committed, Missed):
            return settled, None
        slot = settled.delivered.committed.cleared.declared.slot
        posted = steps.post(settled, self.roster.at(slot).mandates)
        return posted, outgoing(posted, self.domain, self.outbox.quorum)

    def recalled(self, slot: int, revision: int) -> Posted:
        """A revision of a slot [start, unix s] as it was posted, from the store alone, for excerpts and answers.

        Raises StoreError when the store holds no such post, another one than its own accounts give, or when the slot's
        rows went into files.
        """
        rows.require_stored(self.store, slot, self.rules.community.timezone)
        kept = self.store.columns(tables.posts, ("orders", "statements", "deltas"), slot=slot, revision=revision)
        if not kept:
            raise StoreError(f"The store holds no post for slot {slot}, revision {revision}.")
        present = self.roster.at(slot)
        found = steps.post(rows.read_settled(self.store, slot, present.meters, revision), present.mandates)
        if (found.post.orders, found.post.statements, found.deltas) != kept[0]:
            raise StoreError(
                f"The store's accounts of slot {slot}, revision {revision}, are not those that were posted."
            )
        for lock, until in self.store.columns(tables.couplings, ("lock", "until"), slot=slot, revision=revision):
            return replace(found, post=replace(found.post, lock=lock, until=until))
        return found

    def tell(self, event: Event | Correction, message: Outgoing | None) -> None:
        """See `Laboratory`; repeated, the same blocks come of it."""
        with self.watch("ledger"):
            self.outbox.finalise_due(event.at)
            if isinstance(event, GateClosure):
                self._commit(event, event.at)
            elif message:
                self.outbox.post(message, event.at + 1)
                self.outbox.finalise_due(event.at + 1)

    def _commit(self, closure: GateClosure, at: int) -> None:
        """Commit at `at` [unix s] what a gate decided. Slots that began before enough operators had signed, or before
        the ledger could be told, are missed."""
        self.unsigned.pop(closure.slots.start, None)
        ahead = closure.ahead
        if ahead.count and self.client.commitment(ahead.start) is None:
            node = self.client.node
            left = not_begun(ahead, max(node.now(at + 1), node.head.timestamp))
            if left.count < ahead.count:
                self._miss(ahead.starts[: ahead.count - left.count].tolist(), left, closure.at)
            ahead = left
        if roots := ledger_rows.read_commitments(self.store, ahead):
            told = self.outbox.commit(ahead.start, [r[0] for r in roots], [r[1] for r in roots], at + 1)
            if not told:
                self.unsigned[ahead.start] = GateClosure(closure.at, ahead)

    def tell_signed(self, now: int) -> None:
        """Tell the ledger at `now` [unix s] what enough operators have signed meanwhile."""
        for closure in list(self.unsigned.values()):
            self._commit(closure, max(now, closure.at))
        for message in self.outbox.completed():
            self.outbox.post(message, now)
            with self.store.transaction() as connection:
                writing.write_signatures(connection, message.post, message.signatures)

    def _miss(self, begun: Sequence[int], left: Slots, at: int) -> None:
        """Take back what was decided of these slots; `left` are those of their gate that can still be committed."""
        with self.store.transaction() as connection:
            writing.write_missed(connection, begun, left, at)
        missed = {slot: steps.missed(slot, self.members_of(slot)) for slot in begun}
        self.committed |= {slot: missed[slot] for slot in begun if slot in self.committed}

    def tell_again(self) -> None:
        """What the ledger may have missed of the events and corrections that the store holds.

        Of one time, first the slot that ends, then corrections, then the gate.
        """
        posts, since = self._untold()
        told: list[tuple[Event | Correction, Outgoing | None]] = []
        for at, post in posts:
            kind = Correction if post.post.revision else SlotEnd
            told.append((kind(at, post.post.slot), post))
        seconds = self.rules.period.seconds
        since = min(since, self.now - _UNSIGNED_GATES) if self.outbox.threshold else since
        gates = ledger_rows.read_gates(self.store, since)
        told += [(GateClosure(at, Slots(first, count, seconds)), None) for at, first, count in gates]
        # Blocks of times that are named come out as before; else the backlog comes into one, as it is late already.
        with nullcontext() if self.client.node.settable else self.outbox.together():
            for event, message in sorted(told, key=lambda each: (each[0].at, isinstance(each[0], GateClosure))):
                self.tell(event, message)
        corrected = self.now - self.rules.period.seconds - self.rules.community.ledger.corrections
        for at, message in ledger_rows.read_unsigned(self.store, self.outbox.threshold, corrected):
            self.outbox.post(message, at + 1)

    def _untold(self) -> tuple[list[tuple[int, Outgoing]], int]:
        """The posts since the last one that is final, or since one before it that a demand still holds, with the time
        of each; and since when a gate may be untold [unix s]."""
        terms, seen, first, since = self.client.terms, list[tuple[int, Outgoing]](), 0, None
        long_ago = self.client.node.head.timestamp - (2 * terms.window + terms.answer_time + terms.grace)
        for at, message in ledger_rows.read_posts(self.store):
            seen.append((at, message))
            posting = self.client.posted(message.post.slot, message.post.revision)
            if posting and posting.final:
                since = at if since is None else since
                if at < long_ago:
                    break
            elif posting or since is None:
                first = len(seen)
        untold = seen[:first][::-1]
        return untold, min([since or 0, *(at for at, _ in untold[:1])])


def _by_agent(accepted: Accepted, member: int) -> bool:
    """Whether the last order of a member for a side of a slot is one that its agent signed."""
    places = (place for (owner, _), place in accepted.last.items() if owner == member)
    return any(accepted.signed[place].record.wh and not accepted.signed[place].record.text for place in places)
