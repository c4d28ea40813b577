"""An operator's own exchange beside the one that is served: the same steps, and its signature under what is the same.

It has a store of its own and asks the ledger itself. What it is shown by the served exchange it believes as far as
members and meters signed it; what it computes from that is compared with what it is to sign, before anything of it is
kept. Of each slot and revision its store has one version, and only that is signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from commonwatt.accounts.document import anchored, hex_text
from commonwatt.community.calendar import Slots
from commonwatt.errors import RecordError, VerificationError
from commonwatt.exchange import admission, ledger_rows, rows, steps, tables, writing
from commonwatt.exchange.bills import bills_of, closed_days
from commonwatt.exchange.books import Books
from commonwatt.exchange.cosigned import ShownGate, ShownOrders, ShownPost, ShownRoster, ShownSlot
from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.events import Correction, Event, GateClosure, SlotEnd
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.outbox import Outbox, Outgoing, signatures
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.states import Accepted, Committed, Delivered, Readings, Settled, Wishes
from commonwatt.exchange.store import Store, add, put
from commonwatt.ledger.client.quorum import gate_of
from commonwatt.proof import Key
from commonwatt.records import Anchor, Order, Reading, Receipt, Signed
from commonwatt.units import MAX_MONEY, IntArray

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient

_CLOCKS: Final = 60
"""How far the served exchange's clock may be from this operator's [s]."""
_MOST_VIEWS: Final = 20


@dataclass
class _View:
    """What members could spend, shape (members,) [lane unit], until `until` [unix s]; None = still."""

    free: IntArray
    until: int | None = None


class Watching(Outbox):
    """The outbox of an operator that tells the ledger nothing: what the others' exchange has posted is only awaited."""

    def post(self, message: Outgoing, at: int) -> None:  # noqa: ARG002
        """See `Outbox`: it counts among the debits until it is final."""
        self._wait_for([message])

    def finalise_due(self, at: int | None = None) -> None:  # noqa: ARG002
        """See `Outbox`: what others have applied is in the balances."""
        self.pending = [each for each in self.pending if self.final_at(each.post.slot, each.post.revision) is None]


class Replica(Exchange):
    """See the module. key : of this operator"""

    roster: Enrolled

    def __init__(self, rules: Rules, store: Store, client: LedgerClient, key: Key, roster: Enrolled) -> None:
        self._gate: ShownGate | None = None
        self._post: ShownPost | None = None
        self._views: list[_View] = []
        self._free: IntArray | None = None
        super().__init__(rules, store, client, (key,), roster)
        self.under(rules.with_members(roster.members))

    # What it is asked

    def look(self, now: int) -> None:
        """Note what members can spend at `now` [unix s]: by what the ledger says at one of these looks a slot may have
        been settled."""
        self.outbox.finalise_due(now)
        free = self.outbox.free()
        if self._views and np.array_equal(self._views[-1].free, free):
            return
        if self._views:
            self._views[-1].until = now
        self._views = [*self._views[1 - _MOST_VIEWS :], _View(free)]

    def know(self, shown: ShownRoster) -> None:
        """Keep names, mandates, and which meters the box signs for.

        Raises RecordError for a mandate that is not its member's, or comes too late.
        """
        known = {row.account: (row.id, row.bus) for row in self.store.rows(tables.names)}
        for account, name, bus in shown.names:
            if known.get(account.hex()) != (name, bus):
                self.roster.name(account, name, bus)
        for since, signed in shown.mandates:
            if self.roster.kept(signed) is None:
                self.roster.adopt(signed, since)
        if new := shown.box - rows.box_meters(self.store):
            with self.store.transaction() as connection:
                add(connection, tables.devices, [(hex_text(meter), 0, "") for meter in sorted(new)])

    def receipts(self, shown: ShownOrders, now: int) -> list[bytes]:
        """This operator's receipts for orders that were shown at `now` [unix s]; none once their gate has closed. From
        then on the gate is signed only with each of them in its place.

        Raises VerificationError where one cannot have been accepted, or another one has its place.
        """
        slot = shown.slot
        if not now < self._gate_of.get(slot, 0):
            return []
        before = self.accepted.get(slot, Accepted(slot))
        if shown.first > len(before.signed):
            raise VerificationError(f"Slot {slot}: orders from place {len(before.signed)} on are not shown.")
        accepted = self._accepted(slot, shown.first, shown.orders, now + _CLOCKS)
        with self.store.transaction() as connection:
            writing.write_orders(connection, accepted, len(before.signed), now)
        self.accepted[slot] = accepted
        given = [Receipt(order.hash, slot, place) for place, (_, order) in enumerate(shown.orders, shown.first)]
        return [signatures(self.domain, each, self.outbox.quorum)[0] for each in given]

    def gate(self, shown: ShownGate, now: int) -> bytes:
        """This operator's signature under what a gate commits, at `now` [unix s].

        Raises VerificationError where this operator comes to something else, or had signed something else.
        """
        seconds = self.rules.period.seconds
        slots = Slots(shown.slots[0].slot, len(shown.slots), seconds)
        if [each.slot for each in shown.slots] != slots.starts.tolist():
            raise VerificationError(
                f"The gate of slot {slots.start} is shown with slots that do not follow each other."
            )
        if not ledger_rows.read_commitments(self.store, slots):
            self._require_ruled(slots)
            self._require_in_time(shown, now)
            accepted = [self._whole(each, shown.at) for each in shown.slots]
            wishes = Wishes((), tuple(() for _ in accepted), self._planned(shown, accepted), ())
            before, self._gate = self.accepted, shown
            self.accepted = before | {each.slot: each for each in accepted}
            try:
                self.close_gate(GateClosure(shown.at, slots), wishes)
            except BaseException:
                self.accepted = before
                raise
            finally:
                self._gate = None
        self._require_same(shown, ledger_rows.read_commitments(self.store, slots))
        record = gate_of(slots.start, *([each.roots[place] for each in shown.slots] for place in (0, 1)))
        return signatures(self.domain, record, self.outbox.quorum)[0]

    def post(self, shown: ShownPost, now: int) -> bytes:
        """The same of a revision of a slot whose gate and earlier revisions were shown before; b"" where the slot was
        missed, and nothing of it is posted."""
        known = rows.revision_of(self.store, shown.slot)
        if (-1 if known is None else known) < shown.revision:
            self._settle(shown, now)
        posts = self.store.rows(tables.posts, slot=shown.slot, revision=shown.revision)
        if not posts or shown.missed:
            if posts or not shown.missed:
                raise VerificationError(f"Slot {shown.slot} is missed for one of the two, and posted for the other.")
            return b""
        message = ledger_rows.outgoing_of_row(posts[0])
        self._require_equal(shown, (message.post.orders, message.post.statements, message.post.deltas))
        return message.signatures[0]

    def bills(self, books: Books, shown: bytes) -> bytes:
        """The same of the root of the bills of a period whose slots were all shown before."""
        period = books.period
        held = self.store.columns(tables.anchors, ("bills",), start=period.start, until=period.end)
        if not held:
            books.require_settled()
            root = anchored(bills_of(books, list(closed_days(books)))).tree.root
            if root != shown:
                raise VerificationError(
                    f"The bills from slot {period.start} on are not those that this operator makes."
                )
            with self.store.transaction() as connection:
                put(connection, tables.anchors, (period.start, period.end, root))
        elif held[0][0] != shown:
            raise VerificationError(f"This operator has signed other bills from slot {period.start} on.")
        return signatures(self.domain, Anchor(period.start, period.end, shown), self.outbox.quorum)[0]

    def _settle(self, shown: ShownPost, now: int) -> None:
        slot, end = shown.slot, shown.slot + self.rules.period.seconds
        self._require_ruled(Slots(slot, 1, self.rules.period.seconds))
        at = max(shown.at, end) if shown.missed else shown.at
        if not end <= at <= now + _CLOCKS:
            raise VerificationError(f"Slot {slot} cannot have been settled at {at} (unix seconds); it is {now}.")
        self._post = shown
        try:
            if shown.revision == 0:
                if shown.missed:
                    self._miss_slot(slot)
                self.committed.setdefault(slot, rows.read_committed(self.store, slot))
                self.end_slot(SlotEnd(at, slot), self._readings(shown))
            elif not self.correct(Correction(at, slot), self._readings(shown)):
                raise VerificationError(f"Slot {slot} is settled anew, and somebody cannot pay what it takes back.")
        finally:
            self._post = self._free = None

    def _miss_slot(self, slot: int) -> None:
        """A slot for which the ledger was told nothing before it began."""
        if self.client.commitment(slot) is not None:
            raise VerificationError(f"Slot {slot} is shown as missed, and the ledger has what was committed for it.")
        if slot in self.committed:
            seconds = self.rules.period.seconds
            self._miss([slot], Slots(slot + seconds, 0, seconds), slot)
            return
        missed = steps.missed(slot, self.members_of(slot))
        with self.store.transaction() as connection:
            writing.write_gate(connection, slot, [missed], self.rules.charter_at(slot).ahead)
        self.committed[slot] = missed

    def _require_ruled(self, slots: Slots) -> None:
        period = self.rules.period
        if not period.start <= slots.start < slots.end <= period.end:
            raise VerificationError(f"Slot {slots.start} is not among those for which this operator has rules.")

    def _require_in_time(self, shown: ShownGate, now: int) -> None:
        """A gate that closed before its time would leave out whoever orders until then."""
        for each in shown.slots:
            if not self._gate_of.get(each.slot, MAX_MONEY) <= shown.at <= now + _CLOCKS:
                raise VerificationError(
                    f"The gate of slot {each.slot} cannot have closed at {shown.at} (unix seconds); it is {now}."
                )

    def _planned(self, shown: ShownGate, accepted: Sequence[Accepted]) -> IntArray:
        """What goes through the meters, as members said, else as they ordered, shape (members, slots) [Wh]."""
        members = self.members_of(accepted[0].slot)
        found = admission.ordered(accepted, members)
        for place, each in enumerate(shown.slots):
            for member, wh in each.planned.items():
                if 0 <= member < members:
                    found[member, place] = wh
        return found

    def _readings(self, shown: ShownPost) -> Readings:
        meters = self.meters_of(shown.slot)
        signed: list[Signed[Reading] | None] = [None] * len(meters)
        for reading in shown.readings:
            if reading.record.meter not in meters:
                raise RecordError(f"Slot {shown.slot} has a reading of a meter that is not in service.")
            signed[meters.index(reading.record.meter)] = reading
        return Readings(np.zeros(len(meters), dtype=np.int64), tuple(signed))

    # What it does otherwise than the exchange that is served

    def tell_again(self) -> None:
        """See `Exchange`: the ledger is told nothing, and what it was told by others is awaited."""
        self.outbox = Watching(self.client, self.outbox.quorum, [each for _, each in self._untold()[0]])

    def tell(self, event: Event | Correction, message: Outgoing | None) -> None:
        """See `Exchange`."""
        if message:
            self.outbox.post(message, event.at)

    def free(self) -> IntArray:
        """See `Exchange`; where a slot is settled, at one of the looks."""
        return self.outbox.free() if self._free is None else self._free

    def _whole(self, shown: ShownSlot, closed: int) -> Accepted:
        """The orders of a slot at its gate `closed` [unix s]. Raises VerificationError where one is missing for which
        this operator gave its receipt."""
        given = len(self.accepted.get(shown.slot, Accepted(shown.slot)).signed)
        if len(shown.orders) < given:
            raise VerificationError(
                f"Slot {shown.slot}: the order in place {len(shown.orders)} has a receipt and is missing."
            )
        return self._accepted(shown.slot, 0, shown.orders, closed)

    def _accepted(self, slot: int, first: int, orders: Sequence[tuple[int, Signed[Order]]], until: int) -> Accepted:
        """What was accepted of a slot before, and these orders from place `first` on, which came before `until`
        [unix s]. Whether collateral was free when each came nobody can say afterwards; at the settlement it counts.

        Raises VerificationError where one may not be in its place.
        """
        present = self.roster.at(slot)
        accounts = {mandate.record.member: number for number, mandate in enumerate(present.mandates)}
        endless = np.full(self.members_of(slot), MAX_MONEY // 2, dtype=np.int64)
        opened = admission.Open(self.accepted.get(slot, Accepted(slot)), endless)
        for place, (at, order) in enumerate(orders, first):
            number = accounts.get(order.record.member)
            if place < len(opened.signed):
                if opened.signed[place].hash != order.hash:
                    raise VerificationError(
                        f"Slot {slot}: another order than the one with a receipt is in place {place}."
                    )
            elif number is not None and order.record.member not in present.filed:
                _beside(opened, order, number)  # of whoever was suspended since: it keeps its place and counts nothing
            else:
                if at > until:
                    raise VerificationError(f"Slot {slot}: order {place} came after the gate.")
                self._taken(opened, order, at)
        return opened.accepted

    def _taken(self, opened: admission.Open, order: Signed[Order], at: int) -> None:
        """One order that came at `at` [unix s]."""
        try:
            opened.take(order, self.roster.at(opened.slot).filed, self.domain, self.rules.community, at)
        except RecordError as error:
            told = f"Slot {opened.slot}: order {len(opened.signed)} cannot have been accepted"
            raise VerificationError(f"{told}: {error!s:.300}") from None

    def _committed(self, closure: GateClosure, wishes: Wishes) -> tuple[Committed, ...]:
        found = super()._committed(closure, wishes)
        if self._gate is not None:
            self._require_same(self._gate, [(each.orders.root, each.trades.root) for each in found])
        return found

    def stated(self, settled: Settled) -> tuple[Settled, Outgoing | None]:
        """See `Exchange`. Raises VerificationError where it is not what was shown."""
        stated, message = super().stated(settled)
        if self._post is not None and message is not None:
            self._require_equal(self._post, (message.post.orders, message.post.statements, message.post.deltas))
        return stated, message

    def _settled(self, delivered: Delivered, slot: int) -> Settled:
        """With what members could spend at that one of the looks since then with which it is what was shown, if any."""
        shown, members = self._post, self.members_of(slot)
        if shown is None or shown.missed:
            return super()._settled(delivered, slot)
        views = [each.free for each in self._views if each.until is None or each.until >= shown.at - _CLOCKS]
        for free in reversed([each for each in views if len(each) >= members]):
            self._free = free
            settled = super()._settled(delivered, slot)
            if steps.post(settled, self.roster.at(slot).mandates).post.statements == shown.statements:
                break
        return settled

    def _require_same(self, shown: ShownGate, roots: Sequence[tuple[bytes, bytes]]) -> None:
        """Of each slot of a gate the roots of orders and trades."""
        if len(roots) != len(shown.slots):
            raise VerificationError(f"The gate of slot {shown.slots[0].slot} was shown with other slots before.")
        for each, own in zip(shown.slots, roots, strict=True):
            for what, shown_root, root in zip(("orders", "trades"), each.roots, own, strict=True):
                if shown_root != root:
                    raise VerificationError(f"Slot {each.slot}: its {what} are not those that this operator comes to.")

    def _require_equal(self, shown: ShownPost, own: tuple[bytes, bytes, bytes]) -> None:
        """Of a post the roots of orders and statements, and the hash of the deltas."""
        theirs = (shown.orders, shown.statements, shown.deltas)
        for what, one, other in zip(("orders", "statements", "changes of balances"), theirs, own, strict=True):
            if one != other:
                told = f"Slot {shown.slot}, revision {shown.revision}: its {what}"
                raise VerificationError(f"{told} are not those that this operator comes to.")


def _beside(opened: admission.Open, order: Signed[Order], member: int) -> None:
    """An order that keeps its place in the slot's tree and counts for nothing."""
    opened.last[member, order.record.side] = len(opened.signed)
    opened.signed.append(order)
    opened.members.append(member)
