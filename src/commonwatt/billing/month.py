"""A month settled after the fact: another driver of the exchange's engine, for which every event is due at once.

Nobody ordered anything: gates close without wishes, and each slot ends with what the registers counted. Where the
readings of a slot are sent again with other values, it is settled anew as its next revision.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np

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
from commonwatt.exchange.store import Store
from commonwatt.market import Orders
from commonwatt.units import IntArray

Progress = Callable[[int, int], None]
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

    def _settled(self, delivered: Delivered, slot: int) -> SettledSlot:
        """See `Laboratory`; what is carried on counts the whole, also where rounding went by a part of it."""
        settled, before = super()._settled(delivered, slot), super()._kept(slot)
        shares = settled.account.shares
        if not len(shares.kept):
            return settled
        # Where nothing is shared, there is nothing to carry on.
        now = shares.kept + before - before // _PULL if shares.shared.any() else before
        return replace(settled, account=replace(settled.account, shares=replace(shares, kept=now)))

    def _kept(self, slot: int) -> IntArray:
        place = self.rules.place(slot)
        return super()._kept(slot) // _PULL + finer(self.rules, self.metered[:, place], self.fine[:, place])

    def amended(self, earlier: Delivered, late: Delivered, credit: IntArray) -> Delivered:
        """See `Laboratory`."""
        return steps.resent(earlier, late, credit)

    def obstacle(self, correction: Correction) -> str:
        """See `Laboratory`; the days of a correction are the grid company's to say, and the operator's."""
        slot = correction.slot
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
            engine.end_slot(event, _readings(rules, counted[:, rules.place(event.slot)]))
        if progress:
            progress(engine.done + 1, len(rules.events))
    anew = {int(rules.period.starts[place]): place for place in _changed(engine.books, counted)} if known >= 0 else {}
    for slot, place in anew.items():
        # Without a ledger nobody has to be able to pay, so that this is never put off.
        engine.correct(Correction(engine.now, slot), _readings(rules, counted[:, place]))
    every = tuple(_revisions(engine))
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


def _revisions(engine: AfterTheFact) -> Iterator[Revised]:
    """Every time that a slot was settled anew, and what that moved."""
    names, period = ("slot", "revision"), engine.rules.period
    for slot, revision in engine.store.columns(tables.accounts, names, period, member=0):
        if revision:
            both = (_moved(engine, slot, number) for number in (revision - 1, revision))
            yield Revised(slot, revision, *zip(*both, strict=True))


def _moved(engine: AfterTheFact, slot: int, revision: int) -> tuple[IntArray, IntArray, IntArray]:
    """What a revision of a slot has moved of each member: energy bought and sold, and money, each shape (members,)."""
    rules, store = engine.rules, engine.store
    credit = rows.read_credit(store, slot, revision)
    if rules.registers:
        shared = rows.read_registers(store, slot, revision).shared
        return rules.registers.drawn(shared, rules.members), rules.registers.fed(shared, rules.members), credit
    after = store.columns(tables.accounts, ("after",), slot=slot, revision=revision)
    local = np.array(after, dtype=np.int64).reshape(-1)
    return np.maximum(local, 0), np.maximum(-local, 0), credit


def _nothing(closure: GateClosure, members: int) -> Wishes:
    """Nobody wishes anything before the fact."""
    none = Orders(*[np.zeros(0, dtype=np.int64)] * 4)
    planned = np.zeros((members, closure.ahead.count), dtype=np.int64)
    return Wishes((none,) * closure.ahead.count, (), planned, ())


def _readings(rules: Rules, counted: IntArray) -> Readings:
    registers = rules.registers or Registers.of(rules.community.members)
    return Readings(registers.net(counted, rules.members), (), counted=counted)
