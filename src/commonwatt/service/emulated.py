"""Simulated homes as they live away from their exchange: what they still have to do and to say, kept in their own file.

Neither clock nor socket is here. Slots are delivered and gates decided one after the other, in the order of time, so
that it does not matter how late they are. What was decided is kept before any of it is said, so homes that were killed
say the same again, and decide nothing twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from pydantic_core import from_json, to_json
from sqlalchemy import Connection, MetaData

from commonwatt.accounts.orders import order_json
from commonwatt.community.calendar import Slots
from commonwatt.errors import StoreError
from commonwatt.exchange.agreement import HomeForecast, Proposal, plan_of
from commonwatt.exchange.events import GateClosure, SlotEnd
from commonwatt.exchange.states import Wishes
from commonwatt.exchange.store import Store, add, drop, set_values
from commonwatt.exchange.tables import table
from commonwatt.exchange.told import MeterPlan, Told
from commonwatt.meter.protocol import Acknowledgement, DeviceOutbox
from commonwatt.records import Reading, Signed
from commonwatt.simulation.homes import SigningHomes, decided
from commonwatt.units import MAX_ORDER_WH, IntArray

ORDERS: Final = -1
"""In the place of a home's index: a list of orders of any homes."""
FORECASTS: Final = -2
"""The same: what all homes forecast of the slots of a gate before which they agree."""
_RUN: Final = "emulated"
"""Value of the homes' file: of which community, period and contract they are."""

# Tables beside those of `simulation.homes`: gates that were decided, by their first slot; what the exchange has not
# answered; and which slots' readings it has not acknowledged.
_metadata = MetaData()
_decisions = table(_metadata, "decisions", ["slot"], [])
_letters = table(_metadata, "letters", ["number"], ["home", "orders"], ["body"])
_waiting = table(_metadata, "waiting", ["slot", "home"], [])


def claim(store: Store, run: str) -> None:
    """Say in the homes' file which run it belongs to. Raises StoreError when it holds another one."""
    held = store.values().get(_RUN)
    if held not in (None, run):
        raise StoreError("The folder holds homes of another community, period or exchange; choose another one.")
    with store.transaction() as connection:
        _metadata.create_all(connection)
        set_values(connection, {_RUN: run})


@dataclass(frozen=True)
class Letter:
    """What homes say before a gate: a home's outlook, so many orders (home is ORDERS), or FORECASTS. body : JSON"""

    number: int
    home: int
    orders: int
    body: bytes


class EmulatedHomes:
    """Homes with what they have been told, and what they have to say.

    letters : in the order in which they are said
    outboxes : the readings of each home with a meter, by member index
    """

    def __init__(self, homes: SigningHomes, most: int) -> None:
        """most : orders in one letter. The homes' file has been claimed."""
        self.homes, self.store, self._most = homes, homes.store, most
        self.letters = [Letter(*row) for row in self.store.columns(_letters, ("number", "home", "orders", "body"))]
        self.meters = {home: meter.key.address for home, meter in homes.meters.items()}
        self._heard: dict[int, IntArray] = {}
        self.outboxes = {home: DeviceOutbox(meter) for home, meter in self.meters.items()}
        waiting = defaultdict[int, set[int]](set)
        for slot, home in self.store.columns(_waiting, ("slot", "home")):
            waiting[slot].add(home)
        for slot, silent in waiting.items():
            self._report(homes.read_late(slot, frozenset(silent)).signed)
        closed, delivered = self.store.most(_decisions, "slot") or -1, homes.delivered or -1
        events = sorted(homes.rules.events, key=_when)
        self._events = [event for event in events if not _done(event, closed, delivered)]
        self._open = {event.slot for event in self._events if isinstance(event, SlotEnd)}

    @property
    def next(self) -> GateClosure | SlotEnd | None:
        """What homes do next: decide before a gate, or deliver a slot; None after the period."""
        return self._events[0] if self._events else None

    @property
    def due(self) -> int:
        """When that is [unix s]."""
        return _when(self._events[0])[0]

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do or to say."""
        return not (self._events or self.letters or any(outbox.waiting for outbox in self.outboxes.values()))

    # What homes are told

    def hear(self, home: int, plan: MeterPlan) -> None:
        """Note what a home is told."""
        seconds = self.homes.rules.period.seconds
        for place, told in enumerate(zip(plan.bought, plan.sold, plan.cap, strict=True)):
            slot = plan.first + place * seconds
            if slot in self._open:
                self._of(slot)[:, home] = told

    def without_word(self, slot: int) -> list[int]:
        """The homes that were told nothing of a slot [start, unix s]."""
        return [int(home) for home in np.flatnonzero(self._of(slot)[0] < 0)]

    def _of(self, slot: int) -> IntArray:
        """Bought, sold and cap of a slot, shape (3, homes) [Wh]; -1 = not told. Who has no meter is told nothing."""
        if slot not in self._heard:
            heard = np.tile([[0], [0], [MAX_ORDER_WH]], self.homes.rules.members)
            heard[:, list(self.meters)] = -1
            self._heard[slot] = heard
        return self._heard[slot]

    # What homes do

    def deliver(self, end: SlotEnd) -> None:
        """What happens behind the meters in the next slot, of which all homes have been told."""
        told = Told(end.slot, *self._of(end.slot))
        flows = self.homes.deliver(told)
        with self.store.transaction() as connection:
            self.homes.keep_flows(end.slot, flows, connection)
            add(connection, _waiting, [(end.slot, home) for home in self.outboxes])
        self._report(self.homes.reported(end.slot, flows["net"], frozenset(self.outboxes)).signed)
        self._heard.pop(end.slot)
        self._open.remove(end.slot)
        self._events.pop(0)

    def decide(self, closure: GateClosure) -> Wishes:
        """What homes wish at the next gate. It is kept, with what has to be said of it."""
        wishes = self.homes.declare(closure, self._known())
        with self.store.transaction() as connection:
            self.homes.keep_plans(closure.slots, connection)
            add(connection, _decisions, [(closure.slots.start,)])
            letters = self._write(connection, self._said(closure.slots, wishes))
        self.letters += letters
        self._events.pop(0)
        return wishes

    def agree_before(self, closure: GateClosure) -> bool:
        """Whether homes agree over the slots of a gate before they order."""
        return self.homes.rules.charter_at(closure.slots.start).horizon is not None

    def forecast(self, closure: GateClosure) -> None:
        """What homes expect of the slots of the next gate, before which they agree. It is kept until it is said."""
        outlook, _ = self.homes.outlook(closure, self._known())
        said = {home: asdict(HomeForecast.of(outlook, home)) for home in self.meters}
        body = to_json({"first": closure.slots.start, "count": closure.slots.count, "forecasts": said})
        with self.store.transaction() as connection:
            self.homes.keep_plans(closure.slots, connection)
            add(connection, _decisions, [(closure.slots.start,)])
            letters = self._write(connection, [(FORECASTS, 0, body)])
        self.letters += letters
        self._events.pop(0)

    def forecasts(self, letter: Letter) -> tuple[int, dict[int, bytes]]:
        """The first slot [start, unix s] of FORECASTS, and what each home says of itself, as JSON."""
        given = from_json(letter.body)
        first: int = given["first"]
        return first, {int(home): to_json({"first": first, **said}) for home, said in given["forecasts"].items()}

    def agree(self, letter: Letter, proposals: Mapping[int, Proposal]) -> None:
        """Homes order and plan what they are proposed, by home, in answer to their FORECASTS. It is kept, as by
        `decide`."""
        given, rules = from_json(letter.body), self.homes.rules
        slots = Slots(given["first"], given["count"], rules.period.seconds)
        wishes = self.homes.wishes(slots, plan_of(proposals, rules.members, slots.count))
        with self.store.transaction() as connection:
            self.homes.keep_plans(slots, connection)
            letters = self._write(connection, self._said(slots, wishes))
            drop(connection, _letters, number=letter.number)
        self.letters = [each for each in self.letters if each != letter] + letters

    def _known(self) -> dict[int, Told]:
        """What all homes have been told, by slot."""
        return {slot: Told(slot, *heard) for slot, heard in dict(self._heard).items() if (heard >= 0).all()}

    def _write(self, connection: Connection, said: Iterable[tuple[int, int, bytes]]) -> list[Letter]:
        last = max((letter.number for letter in self.letters), default=-1)
        letters = [Letter(last + 1 + place, *each) for place, each in enumerate(said)]
        add(connection, _letters, [(each.number, each.home, each.orders, each.body) for each in letters])
        return letters

    def pass_over(self, closure: GateClosure) -> None:
        """A gate has closed before homes came to decide: they wish nothing at it."""
        with self.store.transaction() as connection:
            add(connection, _decisions, [(closure.slots.start,)])
        self._events.pop(0)

    def _said(self, slots: Slots, wishes: Wishes) -> Iterator[tuple[int, int, bytes]]:
        """Orders come first: with the last outlook, homes have said all that they have to before the gate."""
        orders = [order_json(order) for slot in wishes.signed for order in slot]
        for first in range(0, len(orders), self._most):
            said = orders[first : first + self._most]
            yield ORDERS, len(said), to_json(said)
        for home in self.meters:
            yield home, 0, to_json({"first": slots.start, "net": wishes.planned[home].tolist()})

    def _report(self, signed: Sequence[Signed[Reading] | None]) -> None:
        for home, reading in enumerate(signed):
            if reading is not None:
                self.outboxes[home] = self.outboxes[home].add(reading)

    # What the exchange answers

    def answered(self, letters: Sequence[Letter]) -> None:
        """These letters have been answered, and need not be said again."""
        with self.store.transaction() as connection:
            for letter in letters:
                drop(connection, _letters, number=letter.number)
        self.letters = [letter for letter in self.letters if letter not in letters]

    def over(self, slot: int, now: int) -> bool:
        """Whether a slot [start, unix s] is over at `now` [unix s]."""
        return slot + self.homes.rules.period.seconds <= now

    def begins_again(self, waiting: Sequence[Signed[Reading]], answer: Acknowledgement) -> bool:
        """Whether the exchange's time is before the end of a slot that it answers, which homes delivered by its time.

        So it was killed, and its clock begins where it knows of; what it refuses then, it will take later.
        """
        return any(
            not self.over(each.record.slot, answer.time) for each in waiting if each.record.sequence <= answer.upto
        )

    def settle(self, left: Mapping[int, DeviceOutbox]) -> int:
        """The exchange has readings of these homes, or will never take them: what is left of each outbox.

        Returns how many readings need not be said again.
        """
        done = [
            (reading.record.slot, home)
            for home, outbox in left.items()
            for reading in set(self.outboxes[home].waiting) - set(outbox.waiting)
        ]
        if done:
            with self.store.transaction() as connection:
                for slot, home in done:
                    drop(connection, _waiting, slot=slot, home=home)
        self.outboxes |= left
        return len(done)


def _when(event: GateClosure | SlotEnd) -> tuple[int, bool]:
    """When homes have to do with an event [unix s]; of one time, a slot that ends comes first."""
    return (decided(event), True) if isinstance(event, GateClosure) else (event.at, False)


def _done(event: GateClosure | SlotEnd, closed: int, delivered: int) -> bool:
    return event.slots.start <= closed if isinstance(event, GateClosure) else event.slot <= delivered
