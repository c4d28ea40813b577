"""The engine of a market day: it clears, settles and states what it is told, one event after the other.

It reads no clock, opens no socket and holds no keys but the operators'. A driver brings each event when it is due, with
what homes wish and what meters counted: the simulation as fast as it can, a service by the clock. Each event is one
transaction of the store and then its messages to the ledger, so a run that was killed goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Connection

from commonwatt.accounts import netting
from commonwatt.errors import RecordError
from commonwatt.exchange import admission, rows, steps
from commonwatt.exchange.adopted import require_adopted
from commonwatt.exchange.answers import receipt
from commonwatt.exchange.books import Books
from commonwatt.exchange.events import Correction, Event, GateClosure, SlotEnd
from commonwatt.exchange.outbox import Outbox, Outgoing, outgoing
from commonwatt.exchange.parties import filed
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.sharing import share
from commonwatt.exchange.states import (
    Accepted,
    Cleared,
    Committed,
    Declared,
    Delivered,
    Missed,
    Readings,
    Settled,
    Wishes,
    Witnessed,
)
from commonwatt.exchange.stopwatch import Stopwatch
from commonwatt.exchange.store import Store
from commonwatt.market.interface import Limits
from commonwatt.market.stage import ActiveStage
from commonwatt.proof import Key, Tree, hash_struct
from commonwatt.records import Anchor, Mandate, Order, Receipt, Signed
from commonwatt.units import MAX_MONEY, MAX_ORDER_WH, IntArray

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient

Beside = Callable[[Connection], None]
"""What a driver writes in the transaction of an event, such as what only a simulation knows."""


def nothing(_: Connection) -> None:
    """A driver that writes nothing."""


class Laboratory:
    """The market without signatures and without a ledger: it believes everybody, and money is without bounds.

    rules, store : the period, and the file that holds what was done of it
    committed : slots between their gate and their end, by start
    done : place of the last event that the store holds whole; -1 before the first
    now : when the last thing was done, an event or a correction [unix s]
    """

    def __init__(self, rules: Rules, store: Store, watch: Stopwatch | None = None) -> None:
        self.rules, self.store, self.watch = rules, store, watch or Stopwatch()
        self.done, self.now = rows.progress(store), rows.last_time(store)
        ended = [event.place for event in rules.events[: self.done + 1] if isinstance(event, SlotEnd)]
        self.committed = rows.read_committed(store, max(ended, default=-1) + 1, rules.period)

    # What a driver asks for

    @property
    def next(self) -> Event | None:
        """The event that is due next; None after the last."""
        place = self.done + 1
        return self.rules.events[place] if place < len(self.rules.events) else None

    @property
    def books(self) -> Books:
        """What bills are made of."""
        return Books(self.rules, self.store)

    def close_gate(self, closure: GateClosure, wishes: Wishes, beside: Beside = nothing) -> None:
        """Steps 2 to 5 for the slots of a local day. `closure` is the next event, or the same at a later time.

        wishes : for its slots that are still `ahead`; of the others nothing is asked
        """
        self.before(closure)
        rules = self.rules
        committed: list[Committed] = [steps.missed(slot, rules.members) for slot in closure.missed.starts.tolist()]
        if closure.ahead.count:
            committed += self._committed(closure, wishes)
        with self.watch("store"), self.store.transaction() as connection:
            rows.write_gate(connection, self.done + 1, closure.at, committed, rules.charter_at(closure.day.start).ahead)
            beside(connection)
        self.committed |= {slot.cleared.declared.slot: slot for slot in committed}
        self.done, self.now = self.done + 1, max(self.now, closure.at)
        self.tell(closure, None)

    def _committed(self, closure: GateClosure, wishes: Wishes) -> tuple[Committed, ...]:
        rules = self.rules
        with self.watch("admit orders"):
            declared = self.admitted(closure, wishes)
        with self.watch("clear"):
            cleared = steps.clear(
                rules.charter_at(closure.day.start).ahead, rules.frame_of(closure.ahead), declared, wishes.agreed
            )
        with self.watch("check the grid"):
            cleared = steps.check(cleared, rules.wires, wishes.planned)
        with self.watch("commit"):
            return tuple(self.commitment(slot) for slot in cleared)

    def end_slot(self, end: SlotEnd, readings: Readings, beside: Beside = nothing) -> None:
        """Steps 6 and 7 for one slot. `end` is the next event. A home whose reading is missing counts as nothing."""
        self.before(end)
        slot = end.at - self.rules.period.seconds
        with self.watch("verify readings"):
            delivered = self.believed(self.committed[slot], readings, end.place)
            witnessed = self.witnessed(readings, end)
        settled = self._settled(delivered, end.place)
        with self.watch("prove"):
            stated, message = self.stated(settled)
        with self.watch("store"), self.store.transaction() as connection:
            rows.write_slot(connection, self.done + 1, end.at, stated, message, self._after(slot), witnessed)
            beside(connection)
        del self.committed[slot]
        self.done, self.now = self.done + 1, max(self.now, end.at)
        self.tell(end, message)

    def correct(self, correction: Correction, readings: Readings, beside: Beside = nothing) -> bool:
        """Steps 6 and 7 once more: a slot is settled anew with readings that came after its end.

        readings : only those that came since its last revision
        Returns whether it was done; not while somebody could not pay what it takes back, then it may be tried again.
        Raises RecordError when the slot has an `obstacle`, or a reading cannot be believed.
        """
        if obstacle := self.obstacle(correction):
            raise RecordError(obstacle)
        self.before(correction)
        with self.watch("verify readings"):
            earlier, credit = rows.read_delivered(self.store, self._start(correction), self.meters)
            late = self.believed(earlier.committed, readings, correction.place)
            delivered = self.amended(earlier, late, credit)
        settled = self._settled(delivered, correction.place)
        if not netting.payable(settled.account.credit - credit, self.free()):
            return False
        with self.watch("prove"):
            stated, message = self.stated(settled)
        with self.watch("store"), self.store.transaction() as connection:
            rows.write_correction(
                connection, self.done, correction.at, stated, message, self._after(self._start(correction))
            )
            beside(connection)
        self.now = max(self.now, correction.at)
        self.tell(correction, message)
        return True

    def obstacle(self, correction: Correction) -> str:
        """Why the slot cannot be settled anew at that time, as a sentence; empty when it can."""
        slot, longest = self._start(correction), self.rules.community.ledger.corrections
        if slot in self.committed or rows.revision_of(self.store, slot) is None:
            return f"Slot {slot} cannot be corrected before it is settled."
        until = slot + self.rules.period.seconds + longest
        return "" if correction.at <= until else f"Slot {slot} could be corrected until {until} (unix seconds)."

    def _start(self, correction: Correction) -> int:
        return int(self.rules.period.starts[correction.place])

    def _settled(self, delivered: Delivered, place: int) -> Settled:
        with self.watch("settle"):
            frame = self.rules.frame.part(slice(place, place + 1))
            after = self._after(int(frame.starts[0]))
            rules, free = self.rules, self.free()
            if rules.registers:
                delivered = replace(delivered, kept=self._kept(place))
                return share(delivered, after, frame, self.bounds(), free, rules.registers)
            return steps.settle(delivered, after, frame, rules.limits, free, rules.plants)

    def _kept(self, place: int) -> IntArray:
        """What rounding has kept from each register before the slot at this place, shape (registers,)."""
        known = rows.read_registers(self.store, int(self.rules.period.starts[place]) - self.rules.period.seconds)
        return known.kept if len(known.kept) else np.zeros(len(self.rules.registers or ()), dtype=np.int64)

    def bounds(self) -> Limits:
        """How much registers may share: of energy all that they count, where no mandate is signed."""
        most = np.full(self.rules.members, MAX_ORDER_WH, dtype=np.int64)
        return replace(self.rules.limits, buy_wh=most, sell_wh=most)

    def _after(self, slot: int) -> tuple[ActiveStage, ...]:
        return self.rules.charter_at(slot).after

    # What is otherwise where there is a ledger

    meters: tuple[bytes, ...] = ()
    """Addresses by member index, where readings are signed."""

    def before(self, event: Event | Correction) -> None:
        """What the passing of time until `event` brings about."""

    def admitted(self, closure: GateClosure, wishes: Wishes) -> list[Declared]:
        """Step 2, the exchange's side: the orders of each slot that count."""
        return [
            admission.unsigned(slot, wish, self.rules.limits, self.rules.community)
            for slot, wish in zip(closure.ahead.starts.tolist(), wishes.orders, strict=True)
        ]

    def commitment(self, cleared: Cleared) -> Committed:
        """Step 5."""
        empty = Tree(((),))
        return Committed(cleared, (), empty, empty)

    def believed(self, committed: Committed, readings: Readings, place: int) -> Delivered:  # noqa: ARG002
        """Step 6, the exchange's side: what the meters counted. place : of the slot in the period"""
        net = readings.net.copy()
        net[list(readings.missing)] = 0
        return Delivered(committed, net, (), readings.missing, counted=self.counted(readings))

    def counted(self, readings: Readings) -> IntArray:
        """What each register counted, shape (registers,) [Wh]; nothing where members trade on net, or none came."""
        registers = self.rules.registers
        if not registers:
            return np.zeros(0, dtype=np.int64)
        silent = np.isin(registers.owner, list(readings.missing))
        return np.where(silent, 0, readings.counted)

    def amended(self, earlier: Delivered, late: Delivered, credit: IntArray) -> Delivered:
        """Step 6 once more. Raises RecordError when this is no correction."""
        return steps.amend(earlier, late, credit)

    def witnessed(self, readings: Readings, end: SlotEnd) -> Witnessed:  # noqa: ARG002
        """Beside step 6: what the generators' own meters counted."""
        return Witnessed()

    def free(self) -> IntArray:
        """What each member can spend, shape (members,) [lane unit]."""
        return np.full(self.rules.members, MAX_MONEY // 2, dtype=np.int64)

    def stated(self, settled: Settled) -> tuple[Settled, Outgoing | None]:
        """Step 7: what of a settled slot is kept, and what of it the ledger is told."""
        return settled, None

    def tell(self, event: Event | Correction, message: Outgoing | None) -> None:
        """Tell the ledger of an event. Repeated, it has no second effect."""


class Exchange(Laboratory):
    """The market with signatures and a ledger: it believes what is signed, as far as mandates and money go.

    client : of the community's contracts; quorum : keys of as many operators as must sign
    mandates : of all members, signed by their wallets; meters : addresses; both by member index
    generators : addresses of the meters of those that have one, by member index
    accepted : orders that came before their slot's gate, by the slot's start; a driver that is killed has to bring them
        again, in the same order
    Raises SignatureError or RecordError when a mandate is not its member's own, NotAdopted when the members adopted
    another charter for a slot of the period than the rules have.
    """

    def __init__(
        self,
        rules: Rules,
        store: Store,
        client: LedgerClient,
        quorum: Sequence[Key],
        mandates: Sequence[Signed[Mandate]],
        meters: Sequence[bytes],
        watch: Stopwatch | None = None,
        generators: Mapping[int, bytes] | None = None,
    ) -> None:
        super().__init__(rules, store, watch)
        self.generators = dict(generators or {})
        self.client, self.outbox, self.domain = client, Outbox(client, quorum), client.domain
        self.mandates, self.meters = tuple(mandates), tuple(meters)
        self.by_member = filed(self.mandates, rules.community, self.domain)
        require_adopted(client, rules, rules.period)
        self.accepted: dict[int, Accepted] = {}
        gates = (event for event in rules.events if isinstance(event, GateClosure))
        self._gates = {slot: gate.at for gate in gates for slot in gate.day.starts.tolist()}
        self._tell_again()

    @property
    def books(self) -> Books:
        """See `Laboratory`; with all that proves a bill."""
        return Books(self.rules, self.store, self.mandates, self.meters, self.client)

    def anchor(self, bills: bytes) -> None:
        """After the last event and correction: let the last windows pass, then fix the root of the period's bills."""
        self.outbox.finalise_due()
        period = Anchor(self.rules.period.start, self.rules.period.end, bills)
        self.outbox.anchor(period, self.now + 2)

    def obstacle(self, correction: Correction) -> str:
        """See `Laboratory`; also while the last revision can still be objected to, and once the bills are anchored."""
        if obstacle := super().obstacle(correction):
            return obstacle
        slot, period = self._start(correction), self.rules.period
        if self.client.anchored(period.start, period.end) is not None:
            return f"The bills with slot {slot} are anchored."
        self.before(correction)
        if rows.is_missed(self.store, slot):
            return ""
        revision = rows.revision_of(self.store, slot) or 0
        final = self.outbox.final_at(slot, revision)
        return "" if final is not None and final <= correction.at else f"Slot {slot} can be corrected when it is final."

    def before(self, event: Event | Correction) -> None:
        """See `Laboratory`: posts whose window has passed become final. Raises NotAdopted at a gate."""
        if isinstance(event, GateClosure):
            require_adopted(self.client, self.rules, event.day)
        with self.watch("ledger"):
            self.outbox.finalise_due(event.at)

    def admitted(self, closure: GateClosure, wishes: Wishes) -> list[Declared]:
        """See `Laboratory`: signed orders within mandate and free collateral."""
        free, declared = self._unbound(), []
        for slot, signed in zip(closure.ahead.starts.tolist(), wishes.signed, strict=True):
            accepted = self.accepted.get(slot, Accepted(slot))
            known = (self.by_member, self.domain, self.rules.community, closure.at)
            admitted, free = admission.admit(accepted, signed, *known, free)
            declared.append(admitted)
        return declared

    def accept(self, order: Signed[Order], at: int) -> tuple[Signed[Receipt], ...]:
        """An order that arrives at `at` [unix s], before the gate of its slot: each operator's receipt for it.

        Raises RecordError with the reason when it is refused; then nothing has changed.
        """
        hash_struct(order.record)  # refuses what fits no field
        slot, now = order.record.slot, max(at, self.now)
        gate = self._gates.get(slot)
        if gate is None:
            raise RecordError("no slot of this period begins then")
        if now >= gate:
            raise RecordError(f"the gate of its slot closed at {gate} (unix seconds)")
        accepted, known = self.accepted.get(slot, Accepted(slot)), (self.by_member, self.domain, self.rules.community)
        accepted, _ = admission.accept(accepted, order, *known, now, self._unbound())
        self.accepted[slot] = accepted
        return receipt(slot, len(accepted.signed) - 1, accepted.signed[-1].hash, self.domain, self.outbox.quorum)

    def close_gate(self, closure: GateClosure, wishes: Wishes, beside: Beside = nothing) -> None:
        """See `Laboratory`; behind the orders that were accepted before come those of `wishes`."""
        super().close_gate(closure, wishes, beside)
        for slot in closure.day.starts.tolist():
            self.accepted.pop(slot, None)

    def _unbound(self) -> IntArray:
        """Collateral that neither agreed trades nor open orders bind, shape (members,) [lane unit]."""
        free: IntArray = np.maximum(self.outbox.free() - self._owed(), 0)
        return free - admission.bound(self.accepted.values(), self.rules.members)

    def _owed(self) -> IntArray:
        """What members still have to pay for what they bought ahead, shape (members,) [lane unit]."""
        owed = np.zeros(self.rules.members, dtype=np.int64)
        for slot in self.committed.values():
            np.add.at(owed, slot.cleared.trades.buyer, slot.cleared.trades.payments)
        return owed

    def commitment(self, cleared: Cleared) -> Committed:
        """See `Laboratory`: trades as records, and the roots for the chain."""
        return steps.commit(cleared)

    def believed(self, committed: Committed, readings: Readings, place: int) -> Delivered:
        """See `Laboratory`: the meters' signed readings of the slot; their numbers are above those of slots before."""
        last = np.full(self.rules.members, place, dtype=np.int64)
        delivered = steps.believe(committed, readings.signed, self.meters, last, self.domain)
        if self.rules.registers is None:
            return delivered
        return steps.by_registers(delivered, self.counted(readings), self.rules.registers)

    def witnessed(self, readings: Readings, end: SlotEnd) -> Witnessed:
        """See `Laboratory`; what is signed by the meter itself, and new."""
        slot = end.at - self.rules.period.seconds
        return steps.witnessed(readings.generators, self.generators, slot, end.place, self.domain)

    def bounds(self) -> Limits:
        """See `Laboratory`: what the mandates say."""
        return self.rules.limits

    def free(self) -> IntArray:
        """See `Laboratory`: balances less what posts that are not final will take."""
        return self.outbox.free()

    def stated(self, settled: Settled) -> tuple[Settled, Outgoing | None]:
        """See `Laboratory`: statements and roots, signed by the operators."""
        if isinstance(settled.delivered.committed, Missed):
            return settled, None
        posted = steps.post(settled, self.mandates)
        return posted, outgoing(posted, self.domain, self.outbox.quorum)

    def tell(self, event: Event | Correction, message: Outgoing | None) -> None:
        """See `Laboratory`; repeated, the same blocks come of it."""
        with self.watch("ledger"):
            self.outbox.finalise_due(event.at)
            if isinstance(event, GateClosure):
                if roots := rows.read_commitments(self.store, event.ahead):
                    self.outbox.commit(event.ahead.start, [r[0] for r in roots], [r[1] for r in roots], event.at + 1)
            elif message:
                self.outbox.post(message, event.at + 1)
                self.outbox.finalise_due(event.at + 1)

    def _tell_again(self) -> None:
        """What the ledger may have missed of the events and corrections that the store holds."""
        told = self._told()
        for event, message in told[self._first_untold(told) :]:
            self.tell(event, message)

    def _told(self) -> list[tuple[Event | Correction, Outgoing | None]]:
        """All that the ledger was to be told, in order: at one time the slot that ends, corrections, the gate."""
        period, times, gates = self.rules.period, rows.read_times(self.store), rows.read_gates(self.store)
        told: list[tuple[Event | Correction, Outgoing | None]] = [
            (replace(event, at=gates[event.day.start]), None)
            for event in self.rules.events[: self.done + 1]
            if isinstance(event, GateClosure)
        ]
        for message in rows.read_posts(self.store):
            slot, revision = message.post.slot, message.post.revision
            kind = Correction if revision else SlotEnd
            told.append((kind(times[slot, revision], (slot - period.start) // period.seconds), message))
        return sorted(told, key=lambda each: (each[0].at, isinstance(each[0], GateClosure)))

    def _first_untold(self, told: Sequence[tuple[Event | Correction, Outgoing | None]]) -> int:
        """Place of what came after the last post that is final, or of one before it that a demand still holds."""
        terms, first, after = self.client.terms, len(told), True
        long_ago = self.client.node.head.timestamp - (2 * terms.window + terms.answer_time + terms.grace)
        for place in range(len(told) - 1, -1, -1):
            event, message = told[place]
            posting = self.client.posted(message.post.slot, message.post.revision) if message else None
            if posting and posting.final:
                after = False
                if event.at < long_ago:
                    break
            elif posting or after:
                first = place
        return first
