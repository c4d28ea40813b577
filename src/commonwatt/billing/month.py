"""A month settled after the fact: another driver of the exchange's engine, for which every event is due at once.

Nobody ordered anything: gates close without wishes, and each slot ends with what the registers counted. Where the
readings of a slot are sent again with other values, it is settled anew as its next revision.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from sqlalchemy import MetaData

from commonwatt.accounts.registers import Registers
from commonwatt.billing.rule import finer, unbound
from commonwatt.community.model import Community
from commonwatt.data.reports.report import MWH_PER_WH
from commonwatt.exchange import rows, steps, tables
from commonwatt.exchange.books import Books
from commonwatt.exchange.events import Correction, GateClosure
from commonwatt.exchange.founding import claim
from commonwatt.exchange.laboratory import Laboratory
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.states import Delivered, Readings, Wishes
from commonwatt.exchange.states import Settled as SettledSlot
from commonwatt.exchange.store import Store, put
from commonwatt.market import Orders
from commonwatt.units import IntArray

Progress = Callable[[int, int], None]
_metadata = MetaData()
_earlier = tables.table(_metadata, "earlier", ["slot", "revision"], [], ["bought", "sold", "credit"])
"""What revisions that do not count any more had moved, in the month's store."""
_PULL: Final = 8
"""One part in so many of what rounding has kept counts in a slot: each share is near the exact one there, too."""


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month, in local time. number : 1 to 12"""

    year: int
    number: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.year, self.number, 1)

    @property
    def days(self) -> int:
        """How many it has."""
        return monthrange(self.year, self.number)[1]

    @property
    def last(self) -> date:
        """Its last day."""
        return date(self.year, self.number, self.days)


class AfterTheFact(Laboratory):
    """The engine without signatures, for which readings that are sent again count instead of those before.

    metered, fine : what the registers counted, shape (registers, slots) [Wh] and [mWh]
    """

    def __init__(self, rules: Rules, store: Store, metered: IntArray, fine: IntArray) -> None:
        super().__init__(rules, store)
        self.metered, self.fine = metered, fine

    def _settled(self, delivered: Delivered, place: int) -> SettledSlot:
        """See `Laboratory`; what is carried on counts the whole, also where rounding went by a part of it."""
        settled, before = super()._settled(delivered, place), super()._kept(place)
        shares = settled.account.shares
        if not len(shares.kept):
            return settled
        # Where nothing is shared, there is nothing to carry on.
        now = shares.kept + before - before // _PULL if shares.shared.any() else before
        return replace(settled, account=replace(settled.account, shares=replace(shares, kept=now)))

    def _kept(self, place: int) -> IntArray:
        return super()._kept(place) // _PULL + finer(self.rules, self.metered[:, place], self.fine[:, place])

    def amended(self, earlier: Delivered, late: Delivered, credit: IntArray) -> Delivered:
        """See `Laboratory`."""
        return steps.resent(earlier, late, credit)

    def obstacle(self, correction: Correction) -> str:
        """See `Laboratory`; the days of a correction are the grid company's to say, and the operator's."""
        slot = int(self.rules.period.starts[correction.place])
        return "" if rows.revision_of(self.store, slot) is not None else f"Slot {slot} is not settled yet."


@dataclass(frozen=True, eq=False)
class Revised:
    """What a slot that was settled anew moved: energy and money of each member, before and now; each shape (members,).

    slot : its start [unix s]; revision : its number
    bought, sold : of local energy [Wh] >= 0; credit : received from neighbours [unit]
    """

    slot: int
    revision: int
    bought: tuple[IntArray, IntArray]
    sold: tuple[IntArray, IntArray]
    credit: tuple[IntArray, IntArray]


@dataclass(frozen=True, eq=False)
class Settled:
    """A month whose slots are all settled.

    revised : those that were settled anew now; revisions : all that ever were, by slot and revision
    """

    books: Books
    revised: tuple[Revised, ...]
    revisions: tuple[Revised, ...]


def settle(
    community: Community,
    folder: Path,
    month: Month,
    counted: IntArray,
    store: Store,
    progress: Progress | None = None,
    fine: IntArray | None = None,
) -> Settled:
    """All slots of the month, as far as the store does not hold them yet; those with other readings anew.

    folder : the month's, with community.toml and the price files that it names
    counted : by the registers of the community, shape (registers, slots) [Wh] >= 0; 0 where a member is none
    fine : the same [mWh], where the files are finer than whole Wh
    Raises StoreError when the store holds another month, or one of another community.
    """
    rules = unbound(Rules.of(community, folder, month.first, month.days))
    claim(store, rules, "none", folder)
    engine = AfterTheFact(rules, store, counted, counted * MWH_PER_WH if fine is None else fine)
    known = engine.done
    while (event := engine.next) is not None:
        if isinstance(event, GateClosure):
            engine.close_gate(event, _nothing(event, rules.members))
        else:
            engine.end_slot(event, _readings(rules, counted[:, event.place]))
        if progress:
            progress(engine.done + 1, len(rules.events))
    places = _changed(engine.books, counted) if known >= 0 else []
    _keep(engine, [int(rules.period.starts[place]) for place in places])
    for place in places:
        # Without a ledger nobody has to be able to pay, so that this is never put off.
        engine.correct(Correction(engine.now, place), _readings(rules, counted[:, place]))
    anew, every = {int(rules.period.starts[place]) for place in places}, tuple(_revisions(engine))
    last = {each.slot: each for each in every}
    return Settled(engine.books, tuple(each for slot, each in last.items() if slot in anew), every)


def _changed(books: Books, counted: IntArray) -> list[int]:
    """Places of the slots whose readings are others than those that they were settled with."""
    rules = books.rules
    if rules.registers:
        other = (books.shares["counted"] != counted).any(axis=0)
    else:
        registers = Registers.of(rules.community.members)
        other = (books.arrays["net"] != registers.net(counted, rules.members)).any(axis=0)
    return [int(place) for place in np.flatnonzero(other)]


def _keep(engine: AfterTheFact, slots: Sequence[int]) -> None:
    """Note what slots have moved, before they are settled anew: of accounts the store has the last revision alone."""
    rows_ = [
        (slot, rows.revision_of(engine.store, slot) or 0, *(each.tobytes() for each in _moved(engine, slot)))
        for slot in slots
    ]
    with engine.store.transaction() as connection:
        _metadata.create_all(connection)
        for row in rows_:
            put(connection, _earlier, row)


def _revisions(engine: AfterTheFact) -> Iterator[Revised]:
    """Every time that a slot was settled anew, and what that moved."""
    states: dict[int, list[tuple[int, tuple[IntArray, ...]]]] = {}
    for slot, revision, *blobs in engine.store.columns(_earlier, ("slot", "revision", "bought", "sold", "credit")):
        moved = tuple(np.frombuffer(blob, dtype=np.int64) for blob in blobs)
        states.setdefault(slot, []).append((revision, moved))
    for slot, known in states.items():
        last = rows.revision_of(engine.store, slot) or 0
        # Killed before it was settled anew, what was noted is what still counts.
        known = [*(each for each in known if each[0] < last), (last, _moved(engine, slot))]
        for (_, before), (revision, now) in pairwise(known):
            yield Revised(slot, revision, *zip(before, now, strict=True))


def _moved(engine: AfterTheFact, slot: int) -> tuple[IntArray, IntArray, IntArray]:
    """What a settled slot has moved of each member: energy bought and sold, and money, each shape (members,)."""
    rules, store = engine.rules, engine.store
    accounts = store.rows(tables.accounts, slot=slot)
    credit = np.array([row.credit for row in accounts], dtype=np.int64)
    if rules.registers:
        shared = rows.read_registers(store, slot).shared
        return rules.registers.drawn(shared, rules.members), rules.registers.fed(shared, rules.members), credit
    local = np.array([row.after for row in accounts], dtype=np.int64)
    return np.maximum(local, 0), np.maximum(-local, 0), credit


def _nothing(closure: GateClosure, members: int) -> Wishes:
    """Nobody wishes anything before the fact."""
    none = Orders(*[np.zeros(0, dtype=np.int64)] * 4)
    planned = np.zeros((members, closure.ahead.count), dtype=np.int64)
    return Wishes((none,) * closure.ahead.count, (), planned, ())


def _readings(rules: Rules, counted: IntArray) -> Readings:
    registers = rules.registers or Registers.of(rules.community.members)
    return Readings(registers.net(counted, rules.members), (), counted=counted)
