"""The engine of a market day: it clears, settles and states what it is told, one event after the other.

It reads no clock, opens no socket and holds no keys but the operators'. A driver brings each event when it is due, with
what homes wish and what meters counted: the simulation as fast as it can, a service by the clock. Each event is one
transaction of the store and then its messages to the ledger, so a run that was killed goes on from there.

Here it is without signatures and without a ledger; `exchange.exchange` has what both change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sqlalchemy import Connection

from commonwatt.accounts import netting
from commonwatt.community.calendar import Slots
from commonwatt.errors import RecordError
from commonwatt.exchange import admission, rows, steps, writing
from commonwatt.exchange.books import Books
from commonwatt.exchange.events import Correction, Event, GateClosure, SlotEnd, in_order
from commonwatt.exchange.outbox import Outgoing
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.sharing import share
from commonwatt.exchange.states import Cleared, Committed, Declared, Delivered, Readings, Settled, Wishes, Witnessed
from commonwatt.exchange.stopwatch import Stopwatch
from commonwatt.exchange.store import Store
from commonwatt.market import Frame, Limits
from commonwatt.market.stage import ActiveStage
from commonwatt.proof import Tree
from commonwatt.units import MAX_MONEY, IntArray

Beside = Callable[[Connection], None]
"""What a driver writes in the transaction of an event, such as what only a simulation knows."""


def nothing(_: Connection) -> None:
    """A driver that writes nothing."""


class Laboratory:
    """The market without signatures and without a ledger: it believes everybody, and money is without bounds.

    rules, store : the period, and the file that holds what was done of it
    committed : slots between their gate and their end, by start
    now : when the last thing was done, an event or a correction [unix s]
    """

    def __init__(self, rules: Rules, store: Store, watch: Stopwatch | None = None) -> None:
        self.store, self.watch = store, watch or Stopwatch()
        self.now, self.committed = rows.last_time(store), rows.read_open(store)
        self.under(rules)

    def under(self, rules: Rules) -> None:
        """Go on by these rules, such as those of the days that come; they have every event that is not done yet."""
        closed, ended = rows.last_closed(self.store), rows.last_ended(self.store)
        self.rules = rules
        self._gates = [event for event in rules.events if isinstance(event, GateClosure)]
        self._ends = [event for event in rules.events if isinstance(event, SlotEnd)]
        self._closed = sum(gate.slots.start <= closed for gate in self._gates)
        self._ended = sum(end.slot <= ended for end in self._ends)

    # What a driver asks for

    @property
    def done(self) -> int:
        """Place among the rules' events of the last one that the store holds whole, where each came when it was due; -1
        before the first."""
        return self._closed + self._ended - 1

    @property
    def next(self) -> Event | None:
        """The event that is due next; None after the last."""
        waiting: list[Event] = [event for event in (self.next_gate, self.next_end) if event]
        return min(waiting, key=in_order, default=None)

    @property
    def next_gate(self) -> GateClosure | None:
        """The gate that closes next; it need not wait for slots that end before."""
        return self._gates[self._closed] if self._closed < len(self._gates) else None

    @property
    def next_end(self) -> SlotEnd | None:
        """The slot that ends next, which may be later than it was due, as readings come."""
        return self._ends[self._ended] if self._ended < len(self._ends) else None

    @property
    def books(self) -> Books:
        """What bills are made of."""
        return Books(self.rules, self.store)

    def close_gate(self, closure: GateClosure, wishes: Wishes, beside: Beside = nothing) -> None:
        """Steps 2 to 5 for the slots of a local day. `closure` is the next gate, or the same at a later time.

        wishes : for its slots that are still `ahead`; of the others nothing is asked
        """
        self.before(closure)
        rules = self.rules
        starts = closure.missed.starts.tolist()
        committed: list[Committed] = [steps.missed(slot, self.members_of(slot)) for slot in starts]
        if closure.ahead.count:
            committed += self._committed(closure, wishes)
        with self.watch("store"), self.store.transaction() as connection:
            writing.write_gate(connection, closure.at, committed, rules.charter_at(closure.slots.start).ahead)
            beside(connection)
        self.committed |= {slot.cleared.declared.slot: slot for slot in committed}
        self._closed, self.now = self._closed + 1, max(self.now, closure.at)
        self.tell(closure, None)

    def _committed(self, closure: GateClosure, wishes: Wishes) -> tuple[Committed, ...]:
        rules = self.rules
        with self.watch("admit orders"):
            declared = self.admitted(closure, wishes)
        with self.watch("clear"):
            cleared = steps.clear(
                rules.charter_at(closure.slots.start).ahead, self.frame_of(closure.ahead), declared, wishes.agreed
            )
        with self.watch("check the grid"):
            cleared = steps.check(cleared, rules.wires, wishes.planned)
        with self.watch("commit"):
            return tuple(self.commitment(slot) for slot in cleared)

    def end_slot(self, end: SlotEnd, readings: Readings, beside: Beside = nothing) -> None:
        """Steps 6 and 7 for one slot. `end` is the next one, or the same at a later time.

        A home whose reading is missing counts as nothing.
        """
        self.before(end)
        slot = end.slot
        with self.watch("verify readings"):
            delivered = self.believed(self.committed[slot], readings)
            witnessed = self.witnessed(readings, slot)
        settled = self._settled(delivered, slot)
        with self.watch("prove"):
            stated, message = self.stated(settled)
        with self.watch("store"), self.store.transaction() as connection:
            writing.write_slot(connection, end.at, stated, message, self._after(slot), witnessed)
            beside(connection)
        del self.committed[slot]
        self._ended, self.now = self._ended + 1, max(self.now, end.at)
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
        slot = correction.slot
        with self.watch("verify readings"):
            revision = rows.revision_of(self.store, slot) or 0
            earlier = rows.read_delivered(self.store, slot, self.meters_of(slot), revision)
            credit = self._moved(slot, revision)
            delivered = self.amended(earlier, self.believed(earlier.committed, readings), credit)
        settled = self._settled(delivered, slot)
        moved = settled.account.credit - credit
        if not netting.payable(moved, self.free()[: len(moved)]):
            return False
        with self.watch("prove"):
            stated, message = self.stated(settled)
        with self.watch("store"), self.store.transaction() as connection:
            writing.write_correction(connection, correction.at, stated, message, self._after(slot))
            beside(connection)
        self.now = max(self.now, correction.at)
        self.tell(correction, message)
        return True

    def obstacle(self, correction: Correction) -> str:
        """Why the slot cannot be settled anew at that time, as a sentence; empty when it can."""
        slot, longest = correction.slot, self.rules.community.ledger.corrections
        if slot in self.committed or rows.revision_of(self.store, slot) is None:
            return f"Slot {slot} cannot be corrected before it is settled."
        until = slot + self.rules.period.seconds + longest
        return "" if correction.at <= until else f"Slot {slot} could be corrected until {until} (unix seconds)."

    def _moved(self, slot: int, revision: int) -> IntArray:
        """What a slot has moved up to a revision of it, shape (members,) [unit]."""
        return rows.read_credit(self.store, slot, revision)

    def _settled(self, delivered: Delivered, slot: int) -> Settled:
        with self.watch("settle"):
            rules, after, limits = self.rules, self._after(slot), self.limits_of(slot)
            frame = self.frame_of(Slots(slot, 1, rules.period.seconds))
            free = self.free()[: frame.members]
            if rules.registers:
                delivered = replace(delivered, kept=self._kept(slot))
                return share(delivered, after, frame, limits, free, rules.registers)
            return steps.settle(delivered, after, frame, limits, free, rules.plants)

    def frame_of(self, slots: Slots) -> Frame:
        """The market's surroundings in these slots."""
        return replace(self.rules.frame_of(slots), members=self.members_of(slots.start))

    def _kept(self, slot: int) -> IntArray:
        """What rounding has kept from each register before a slot, shape (registers,)."""
        before = slot - self.rules.period.seconds
        known = rows.read_registers(self.store, before, rows.revision_of(self.store, before) or 0)
        return known.kept if len(known.kept) else np.zeros(len(self.rules.registers or ()), dtype=np.int64)

    def _after(self, slot: int) -> tuple[ActiveStage, ...]:
        return self.rules.charter_at(slot).after

    # What is otherwise where there is a ledger

    def members_of(self, slot: int) -> int:  # noqa: ARG002
        """How many members a slot [start, unix s] has."""
        return self.rules.members

    def limits_of(self, slot: int) -> Limits:  # noqa: ARG002
        """Of the members' mandates in a slot."""
        return self.rules.limits

    def meters_of(self, slot: int) -> tuple[bytes, ...]:  # noqa: ARG002
        """Addresses by member index, where readings are signed."""
        return ()

    def before(self, event: Event | Correction) -> None:
        """What the passing of time until `event` brings about."""

    def admitted(self, closure: GateClosure, wishes: Wishes) -> list[Declared]:
        """Step 2, the exchange's side: the orders of each slot that count."""
        return [
            admission.unsigned(slot, wish, self.limits_of(slot), self.rules.community)
            for slot, wish in zip(closure.ahead.starts.tolist(), wishes.orders, strict=True)
        ]

    def commitment(self, cleared: Cleared) -> Committed:
        """Step 5."""
        empty = Tree(((),))
        return Committed(cleared, (), empty, empty)

    def believed(self, committed: Committed, readings: Readings) -> Delivered:
        """Step 6, the exchange's side: what the meters counted."""
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
        return steps.amend(earlier, late, credit, self.rules.registers)

    def witnessed(self, readings: Readings, slot: int) -> Witnessed:  # noqa: ARG002
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
