"""The driver of a living exchange: orders, readings and plans come as they come; each event is brought when it is due.

It is told the time and waits for nobody; what came is in the store before it is answered, so that a driver that was
killed goes on where it was. What is still open it finds in the store, and nothing of the past is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from sqlalchemy import Connection

from commonwatt.community.calendar import Slots
from commonwatt.errors import CommonwattError, DataError, LedgerError, MarketError, NodeError, RecordError
from commonwatt.exchange import admission, rows, tables, writing
from commonwatt.exchange.agreement import HomeForecast, Proposal
from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.events import Correction, Event, GateClosure, SlotEnd
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.horizon import Horizon
from commonwatt.exchange.late import Late
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.states import Accepted, Readings, Wishes
from commonwatt.exchange.told import MeterPlan, by_meter, plan_of, told
from commonwatt.meter.protocol import STORED, InService, Judgement, Known, SlotRules, judge
from commonwatt.proof import checksum_address
from commonwatt.records import Order, Reading, Receipt, Signed
from commonwatt.records.schema import MAX_SIGNED
from commonwatt.units import MAX_ORDER_WH, IntArray

_DAY: Final = 86_400
_MOST_SLOTS: Final = 200
"""Slots of which it stays in memory what has come for them; a day's backlog and more."""
_AT_ONCE: Final = 8
"""Gates and ends of slots that are brought in one go."""
_RETRY: Final = 60
"""Between two looks for what has no rules yet [s]."""


@dataclass(frozen=True)
class Said:
    """What a home says before a gate through its meter [address], of consecutive slots from `first` [start, unix s] on.

    outlook : what it plans to take through the meter in each, traded or not [Wh], positive = into the home; or what it
        forecasts, where homes agree over the horizon
    """

    meter: bytes
    first: int
    outlook: tuple[int, ...] | HomeForecast


class Live:
    """One exchange, as time goes on.

    rules_at : the rules of the days around a time [unix s], with every event that may still be open then; of whom they
        have as members does not matter
    wait : how long after its end a slot waits for readings [s]; it ends at once when all are there
    trouble : why there are no rules for the days that come; empty when there are
    behind : why the ledger cannot be told; empty when it can
    """

    def __init__(self, exchange: Exchange, roster: Enrolled, rules_at: Callable[[int], Rules], wait: int) -> None:
        self.exchange, self.roster, self.rules_at, self.wait = exchange, roster, rules_at, wait
        self.store, rules, self.trouble = exchange.store, exchange.rules, ""
        self.behind, self._retry = "", 0
        seconds, corrections = rules.period.seconds, rules.community.ledger.corrections
        self.slots = SlotRules(seconds, rules.period.start % seconds, corrections)
        self.horizon = Horizon(exchange, roster)
        self._came: dict[int, dict[int, list[Known]]] = {}
        exchange.under(rules.with_members(roster.members))
        self._late = Late(self.slots)
        for slot, at in rows.slots_waiting(self.store, exchange.now - seconds - corrections):
            self._late.came(slot, at)

    # What comes in

    def orders(self, signed: Iterable[Signed[Order]], now: int) -> list[tuple[Signed[Receipt], ...] | RecordError]:
        """Orders that arrive at `now` [unix s]; as `Exchange.accept_all`."""
        return self.exchange.accept_all(signed, now)

    def plan(self, member: int, nets: Mapping[int, int]) -> None:
        """What a member plans to take through its meter, by slot [Wh], positive = into the home.

        Raises RecordError when that is more than a slot can count, or when a slot's gate has closed; then nothing of it
        is kept.
        """
        with self.store.transaction() as connection:
            self._plan(connection, member, nets)

    def _plan(self, connection: Connection, member: int, nets: Mapping[int, int]) -> None:
        for slot, net in nets.items():
            if abs(net) > MAX_ORDER_WH:
                raise RecordError(
                    f"The plan for slot {slot} has {net} Wh, the most that can be counted is {MAX_ORDER_WH}."
                )
            if not self.exchange.open_at(slot):
                raise RecordError(f"No gate is open for slot {slot}.")
        writing.write_planned(connection, member, nets)

    def outlooks(self, said: Iterable[Said]) -> list[RecordError | None]:
        """What homes say through their meters before a gate; of each why nothing of it is kept, or None.

        The reasons are those of `plan` and `Horizon.forecast`, or that the meter does not count for all of the slots.
        What is kept is in the store by then.
        """
        answers = list[RecordError | None]()
        with self.store.transaction() as connection:
            for each in said:
                try:
                    self._keep(connection, each)
                except RecordError as error:
                    answers.append(error)
                else:
                    answers.append(None)
        return answers

    def _keep(self, connection: Connection, said: Said) -> None:
        member, service = self._in_service(said.meter)
        outlook, seconds = said.outlook, self.slots.seconds
        count = len(outlook.load if isinstance(outlook, HomeForecast) else outlook)
        slots = range(said.first, said.first + count * seconds, seconds)
        if any(slot < service.since or (service.until and slot >= service.until) for slot in slots):
            raise RecordError(f"The meter {checksum_address(said.meter)} does not count for all of these slots.")
        if isinstance(outlook, HomeForecast):
            self.horizon.forecast(connection, member, said.first, outlook)
        else:
            self._plan(connection, member, dict(zip(slots, outlook, strict=True)))

    def readings(self, signed: Sequence[Signed[Reading]], now: int) -> list[Judgement]:
        """Readings that arrive at `now` [unix s], in any order: what becomes of each.

        Those that are stored are in the store by then.
        """
        judgements, believed = list[Judgement](), list[tuple[int, Signed[Reading]]]()
        while len(self._came) > _MOST_SLOTS:
            self._came.pop(min(self._came))
        for each in signed:
            member, service = self.roster.service(each.record.meter) or (-1, None)
            # Of slots for which nothing is stored nothing is looked up, whoever names them.
            stored = service is not None and self._oldest(now) <= each.record.slot <= now
            known = self._known(each.record.slot).get(member, []) if stored else []
            found = judge(self.exchange.domain, known, each, now, service, self.slots)
            judgements.append(found)
            if found.status == STORED:
                self._known(each.record.slot).setdefault(member, []).append(Known(each.record.sequence, found.hash))
                believed.append((member, each if each.hash == found.hash else replace(each, hash=found.hash)))
        try:
            with self.store.transaction() as connection:
                writing.write_readings(connection, believed, now)
        except BaseException:
            self._came.clear()  # nothing of them is stored
            raise
        ended = self._ended_before
        for slot in {each.record.slot for _, each in believed if each.record.slot < ended}:
            self._late.came(slot, now)
        return judgements

    @property
    def late(self) -> int:
        """How many settled slots have readings that do not count yet."""
        return len(self._late)

    def _oldest(self, now: int) -> int:
        """The oldest slot [start, unix s] that may still be corrected."""
        return now - self.slots.corrections - self.slots.seconds

    def _known(self, slot: int) -> dict[int, list[Known]]:
        """What has come for a slot, by member."""
        if slot not in self._came:
            found: dict[int, list[Known]] = {}
            for member, sequence, hash_ in self.store.columns(
                tables.readings, ("member", "sequence", "hash"), slot=slot
            ):
                found.setdefault(member, []).append(Known(sequence, hash_))
            self._came[slot] = found
        return self._came[slot]

    # What homes are told

    def plans(self) -> dict[bytes, MeterPlan]:
        """What each meter's home [address] is told of the slots between their gate and their end."""
        committed = sorted(self.exchange.committed.items())
        return by_meter((told(each), self.exchange.meters_of(slot)) for slot, each in committed)

    def plan_since(self, meter: bytes, since: int | None = None) -> MeterPlan:
        """What a meter's home [address] is told of at most 200 slots from `since` [unix s] on, ended or not; else of
        those that have not ended.

        Raises RecordError when there is no such meter.
        """
        member, service = self._in_service(meter)
        first = max(self._ended_before if since is None else since, service.since)
        return plan_of(rows.read_told(self.store, member, first, service.until or MAX_SIGNED, _MOST_SLOTS), first)

    def proposal(self, meter: bytes) -> Proposal:
        """What a meter's home [address] is proposed for the slots of the next gate. Raises RecordError when there is no
        such meter."""
        member, _ = self._in_service(meter)
        return self.horizon.proposal(member)

    def _in_service(self, meter: bytes) -> tuple[int, InService]:
        if (found := self.roster.service(meter)) is None:
            raise RecordError(f"The meter {checksum_address(meter)} is not enrolled here.")
        return found

    # As time goes on

    def advance(self, now: int) -> list[Event | Correction]:
        """What is due at `now` [unix s], in the order of time, little at once after an outage: whoever has readings or
        orders waits for no more than that. Returns what was done; where that is nothing, no more is due.

        While the ledger cannot be told nothing else is: what it was not told of is told first. Of what fails otherwise,
        gates do not wait for ends of slots, nor these for gates. At most one slot is settled anew.
        """
        done, failed = list[Event | Correction](), set[type]()
        try:
            if self.behind:
                self.exchange.tell_again()
                self.behind = ""
            self.exchange.outbox.finalise_due(now)
            self.exchange.tell_signed(now)
            joined, ends = self.roster.follow(), self.exchange.rules.period.end - _DAY
            if joined or ((now >= ends or self.trouble) and now >= self._retry):
                self._roll(now)
        except LedgerError as error:
            self.behind = str(error)
            return done
        while len(done) < _AT_ONCE and (event := self._due(now, failed)) is not None:
            try:
                self._bring(event)
            except CommonwattError as error:
                self.behind = str(error)
                failed.add(type(event))
                if isinstance(error, NodeError):
                    return done
            else:
                done.append(event)
        return done + self._correct(now)

    def _bring(self, event: Event) -> None:
        if isinstance(event, GateClosure):
            self._close(event)
        else:
            self._end(event)

    def _roll(self, now: int) -> None:
        """Go on to the rules of the days that come, as far as their prices are known, with all who joined."""
        members, rules, self.trouble = self.roster.members, self.exchange.rules, ""
        try:
            rules = self.rules_at(now)
        except (DataError, MarketError) as error:
            self.trouble, self._retry = str(error), now + _RETRY
        self.exchange.under(rules.with_members(members))

    def _due(self, now: int, failed: Set[type] = frozenset()) -> Event | None:
        gate = self.exchange.next_gate if GateClosure not in failed else None
        end = self.exchange.next_end if SlotEnd not in failed else None
        if gate and gate.at <= now and not (end and end.at <= gate.at and self._whole(end)):
            return replace(gate, at=now)
        if end and end.at <= now and end.slot in self.exchange.committed and self._may_end(end, now):
            return replace(end, at=now)
        return None

    def _may_end(self, end: SlotEnd, now: int) -> bool:
        return now >= end.at + self.wait or self._whole(end)

    def _whole(self, end: SlotEnd) -> bool:
        """Whether all readings of a slot have come."""
        return self.missing(end.slot) == frozenset() and end.slot in self.exchange.committed

    def missing(self, slot: int) -> frozenset[int]:
        """The members with a meter of which no reading has come for a slot."""
        expected = {member for member, meter in enumerate(self.exchange.meters_of(slot)) if meter != NO_METER}
        return frozenset(expected - self._known(slot).keys())

    def awaited(self) -> int | None:
        """The time [unix s] beyond which nothing may be before something is done; None where nothing is to be done.

        That is a gate, once all with a meter have said what they plan for its first slot and before that have agreed
        where they do, or the end of a slot, once all readings are there: whoever plays a day faster than homes can
        speak lets time stand until then.
        """
        gate, end, until = self.exchange.next_gate, self.exchange.next_end, list[int]()
        if gate and (agreeing := self.horizon.awaited(gate)) is not None:
            until.append(agreeing)
        elif gate:
            until.append(gate.at - bool(gate.ahead.count and self._silent(gate.ahead.start)))
        if end:
            until.append(end.at)
        return min(until, default=None)

    def _silent(self, slot: int) -> bool:
        """Whether somebody with a meter has not said what it plans for a slot."""
        _, said = rows.read_planned(self.store, Slots(slot, 1, self.slots.seconds), self.exchange.members_of(slot))
        meters = self.exchange.meters_of(slot)
        return any(meter != NO_METER and not said[member, 0] for member, meter in enumerate(meters))

    def _close(self, closure: GateClosure) -> None:
        slots = closure.ahead
        none, planned = tuple(() for _ in range(slots.count)), self._planned(slots)
        wishes = Wishes((), none, planned, self.horizon.clearings(closure, planned))
        self.exchange.close_gate(closure, wishes, partial(writing.drop_forecasts, first=closure.slots.start))

    def _planned(self, slots: Slots) -> IntArray:
        """What goes through the meters, as members said, else as they ordered, shape (members, slots) [Wh]."""
        members = self.exchange.members_of(slots.start) if slots.count else 0
        known = self.exchange.accepted
        ordered = admission.ordered([known.get(slot, Accepted(slot)) for slot in slots.starts.tolist()], members)
        net, said = rows.read_planned(self.store, slots, members)
        return np.where(said > 0, net, ordered)

    def _end(self, end: SlotEnd) -> None:
        self.exchange.end_slot(end, self._readings(end.slot))

    def _readings(self, slot: int) -> Readings:
        """What waits to be counted of a slot."""
        meters = self.exchange.meters_of(slot)
        came = rows.read_waiting(self.store, slot, meters)
        signed = tuple(came.get(member) for member in range(len(meters)))
        return Readings(np.zeros(len(meters), dtype=np.int64), signed)

    @property
    def _ended_before(self) -> int:
        end = self.exchange.next_end
        return end.slot if end else self.exchange.rules.period.end

    def _correct(self, now: int) -> list[Correction]:
        """Settle anew one slot of those that are due, with the readings that came after its end.

        One alone, so that whoever orders or reports meanwhile does not wait for a whole backlog.
        """
        for slot in self._late.due(now):
            correction = Correction(now, slot)
            try:
                if self.exchange.obstacle(correction):
                    continue
                readings = self._readings(slot)
                made = any(readings.signed)
                if not made or self.exchange.correct(correction, readings):
                    self._late.settled(slot)
                    return [correction] if made else []
            except CommonwattError as error:
                self.behind = str(error)
            self._late.put_off(slot, now)
            break
        return []
