"""What is demanded of the exchange's posts on the ledger, and answered: from store and ledger alone.

The ledger tells what was demanded and answered; the store keeps that with the last block that was read, so that nobody
reads the past again. A post of which a demand is not answered in time can be deleted, with half of the bond lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select, update

from commonwatt.errors import CommonwattError, NodeError, StoreError
from commonwatt.exchange import tables
from commonwatt.exchange.answers import answers, order_answer
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.store import Store, add, following, set_values
from commonwatt.exchange.tables import ANSWERED, NOBODY, OPEN, VOID
from commonwatt.records import Mandate, Receipt, Signed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from commonwatt.ledger.client.abi import Event
    from commonwatt.ledger.client.demands import DemandsClient

_FOLLOWED: Final = "demands_block"
"""Value of the run: the last block of which it is known what was demanded."""
_RETRY: Final = 60
"""Between two attempts at what cannot be answered [s]."""


@dataclass(frozen=True)
class Demanded:
    """A demand of a post.

    slot : start [unix s]
    member : whose lines are demanded, by number; NOBODY where it is where an order stands
    order : its struct hash; empty where it is a member's lines
    until : last second for the answer [unix s]
    state : OPEN, ANSWERED, or VOID where the post was struck before
    """

    number: int
    slot: int
    revision: int
    member: int
    until: int
    state: int
    order: bytes

    @property
    def name(self) -> str:
        """What is demanded, for a sentence."""
        what = f"order 0x{self.order.hex()}" if self.member == NOBODY else f"the lines of member {self.member}"
        return f"{what} in slot {self.slot}, revision {self.revision}"


class Demands:
    """Answers what is demanded of one exchange.

    open : what waits for an answer, by its end
    why : by the number of a demand, why it could not be answered when that was tried last
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange, self._store = exchange, exchange.store
        self._followed = int(self._store.values().get(_FOLLOWED, "-1"))
        self._retry: dict[int, int] = {}
        self.why: dict[int, str] = {}
        self.open: Sequence[Demanded] = ()

    def advance(self, now: int) -> bool:
        """Answer one of what is open at `now` [unix s]; returns whether there is more to do at once.

        While the ledger is out of reach nothing is done. What cannot be answered is tried again, and `why` says why.
        """
        from commonwatt.ledger.client.demands import DemandsClient

        try:
            ledger = DemandsClient(self._exchange.client)
            time = ledger.ledger.node.now(now)
            self._follow(ledger)
            self.open = read_open(self._store, time)
            due = [each for each in self.open if self._retry.get(each.number, 0) <= time]
            if not due:
                return False
            self._try(due[0], ledger, time)
            self._follow(ledger)
            self.open = read_open(self._store, time)
        except NodeError:
            return False
        return len(due) > 1

    def _follow(self, ledger: DemandsClient) -> None:
        """Read what the ledger tells since it was asked last."""
        last = ledger.ledger.node.head.number
        if last <= self._followed:
            return
        told = ledger.told(self._followed + 1, last)
        with self._store.transaction() as connection:
            for event in told:
                _note(connection, event)
            set_values(connection, {_FOLLOWED: str(last)})
        self._followed = last

    def _try(self, demand: Demanded, ledger: DemandsClient, now: int) -> None:
        self._retry[demand.number] = now + _RETRY
        try:
            self._answer(demand, ledger, now)
        except NodeError:
            del self._retry[demand.number]
            raise
        except CommonwattError as error:
            self.why[demand.number] = str(error)
        except BaseException:  # what nobody thought of keeps the others from no answer
            self.why[demand.number] = "The log says why."
            raise
        else:
            del self._retry[demand.number]
            self.why.pop(demand.number, None)

    def _answer(self, demand: Demanded, ledger: DemandsClient, now: int) -> None:
        exchange, client = self._exchange, self._exchange.client
        posting, asked_at = client.posted(demand.slot, demand.revision), demand.until - client.terms.answer_time
        if posting is None or posting.final or posting.posted_at > asked_at:
            with self._store.transaction() as connection:
                _set_state(connection, demand.number, VOID)
            return
        posted = exchange.recalled(demand.slot, demand.revision)
        if demand.member == NOBODY:
            receipt = Receipt(demand.order, demand.slot, self._place(demand))
            asked = ledger.demand_of(posted.post, receipt)
            if asked is None:
                raise StoreError(f"The operators' receipts name another place for {demand.name}.")
            if not asked.answered:
                ledger.answer_order(posted.post, receipt, order_answer(posted, receipt), at=now)
        elif (asked := ledger.demand_of(posted.post, demand.member)) and not asked.answered:
            parts = answers(posted, demand.member, self._mandate(demand, now), shown=asked.next)
            ledger.answer(posted.post, demand.member, parts, at=now)

    def _mandate(self, demand: Demanded, now: int) -> Signed[Mandate]:
        """The member's in the slot; of one that joined later, what it has now."""
        mandates = self._exchange.roster.at(demand.slot).mandates
        present = mandates if demand.member < len(mandates) else self._exchange.roster.at(now).mandates
        return present[demand.member]

    def _place(self, demand: Demanded) -> int:
        """Where the order stands among its slot's."""
        c = tables.orders.c
        for row in self._store.ask(select(c.position).where(c.slot == demand.slot, c.hash == demand.order)):
            return int(row.position)
        raise StoreError(f"The store does not hold {demand.name}.")


def read_open(store: Store, now: int) -> list[Demanded]:
    """The demands that can still be answered at `now` [unix s], by their end."""
    c = tables.demands.c
    query = select(tables.demands).where(c.state == OPEN, c.until >= now).order_by(c.until)
    return [Demanded(*row) for row in store.ask(query)]


def read_last(store: Store, most: int) -> list[Demanded]:
    """The last demands, `most` at most, the newest first."""
    query = select(tables.demands).order_by(tables.demands.c.number.desc()).limit(most)
    return [Demanded(*row) for row in store.ask(query)]


def _note(connection: Connection, event: Event) -> None:
    """Keep what an event of the ledger tells."""
    given = event.arguments
    subject = given.get("member", NOBODY), given.get("order", b"")
    if event.name in ("Demanded", "OrderDemanded"):
        number = following(connection, tables.demands, "number")
        row = number, given["slot"], given["revision"], subject[0], given["until"], OPEN, subject[1]
        add(connection, tables.demands, [row])
    elif event.name in ("Answered", "OrderAnswered"):
        c = tables.demands.c
        same = c.slot == given["slot"], c.revision == given["revision"], c.member == subject[0], c.hash == subject[1]
        # Of a post that was struck and came again, the same was demanded before.
        _set_state(connection, connection.execute(select(func.max(c.number)).where(*same)).scalar_one(), ANSWERED)


def _set_state(connection: Connection, number: int, state: int) -> None:
    connection.execute(update(tables.demands).where(tables.demands.c.number == number).values(state=state))
