"""What bills are made of: the exchange's accounts of a period, its prices, and what proves them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from itertools import starmap
from typing import TYPE_CHECKING, Final

import numpy as np

from commonwatt.accounts.charges import Charges, Energy, Sums
from commonwatt.accounts.document import metered, no_mandate
from commonwatt.accounts.plants import Division, Plant, divide
from commonwatt.accounts.sheets import Figures, OfPlant, last_page
from commonwatt.community.calendar import Slots, days_between, local_days
from commonwatt.community.tariff import SlotPrices, Tariff
from commonwatt.errors import ConfigError, Finding, StoreError
from commonwatt.exchange import tables
from commonwatt.exchange.roster import Roster
from commonwatt.exchange.rows import require_stored
from commonwatt.exchange.rules import Part, Rules
from commonwatt.exchange.states import OF_PLANTS
from commonwatt.exchange.store import Store, arrays, blobs
from commonwatt.records import Mandate, Signed
from commonwatt.units import IntArray, payments

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient

ACCOUNTS: Final = ("net", "ahead", "after", "grid", "credit", "measured", "revision")


@dataclass(frozen=True, eq=False)
class Books:
    """The accounts of slots that have ended, whole local days as a rule.

    some : which of the period's slots; None = all
    only : the member [index] whose sheets alone are made of them; None = everybody's
    roster : says whose mandates hold; with `client` they prove bills. Neither of the two in the laboratory.
    """

    rules: Rules
    store: Store
    roster: Roster | None = None
    client: LedgerClient | None = None
    some: Slots | None = None
    only: int | None = None

    @property
    def whose(self) -> Sequence[int]:
        """The members [index] whose sheets are made."""
        return range(self.rules.members) if self.only is None else (self.only,)

    @property
    def period(self) -> Slots:
        """The slots that these books are of."""
        return self.some or self.rules.period

    def over(self, first: date, days: int) -> Books:
        """The books of `days` whole local days from `first`, such as a month's.

        Raises ConfigError when they are not all within the period of the rules.
        """
        period, zone = self.rules.period, self.rules.community.timezone
        some = local_days(first, days, zone, period.seconds)
        if not period.start <= some.start < some.end <= period.end:
            told = f"from {first} on are not all among those from {self.rules.start} to {self.rules.last}"
            raise ConfigError("The request", [Finding("days", told)])
        return replace(self, some=some)

    def days(self) -> Iterator[tuple[date, Books]]:
        """The books of each local day, one after the other, so that no more than one needs to be in memory."""
        period = self.period
        for day, start, end in days_between(period.start, period.end, self.rules.community.timezone):
            yield day, replace(self, some=Slots(start, (end - start) // period.seconds, period.seconds))

    def mandates_at(self, slot: int) -> tuple[Signed[Mandate], ...]:
        """The mandate of each member in a slot [start, unix s]; of those who joined later, too."""
        if self.roster is None:
            return ()
        found = self.roster.at(slot).mandates[: self.rules.members]
        later = range(len(found), self.rules.members)
        return (*found, *(no_mandate(self.accounts[member]) for member in later)) if later else found

    @cached_property
    def accounts(self) -> tuple[bytes, ...]:
        """Of the members at the end of the rules' period [addresses]; before, they may have had others."""
        if self.roster is None:
            return ()
        present = self.roster.at(self.rules.period.end - self.period.seconds)
        return tuple(mandate.record.member for mandate in present.mandates)

    def require_settled(self) -> None:
        """Raise StoreError with the first slot that is not settled yet."""
        settled = {slot for (slot,) in self.store.columns(tables.settled, ["slot"], self.period)}
        for slot in self.period.starts.tolist():
            if slot not in settled:
                raise StoreError(f"Slot {slot} (unix seconds) is not settled yet, and no bill can be made of it.")

    @property
    def prices(self) -> SlotPrices:
        """The utility's, of these slots."""
        first = self.rules.place(self.period.start)
        return self.rules.prices.part(slice(first, first + self.period.count))

    @property
    def parts(self) -> tuple[Part, ...]:
        """The slots by charter, in the order of time; places are among them."""
        return self.rules.parts_of(self.period)

    @cached_property
    def arrays(self) -> dict[str, IntArray]:
        """Net, ahead, after and grid energy [Wh], positive = into the home, and credit [unit], of each last revision.

        Each has the shape (members, slots). Where `measured` is 0 no reading came, and all of them are 0. Raises
        StoreError when the rows of these slots went into files.
        """
        require_stored(self.store, self.period.start, self.rules.community.timezone)
        rows = self.store.last(tables.accounts, ("slot", "member", *ACCOUNTS), self.period)
        return arrays(rows, ACCOUNTS, self.rules.members, self.period)

    @cached_property
    def metered(self) -> list[list[str]]:
        """By member and slot: measured, corrected or not measured."""
        measured, revision = self.arrays["measured"].tolist(), self.arrays["revision"].tolist()
        return [
            [metered(measured=bool(came), revision=number) for came, number in zip(*row, strict=True)]
            for row in zip(measured, revision, strict=True)
        ]

    @cached_property
    def shares(self) -> dict[str, IntArray]:
        """The columns of `accounts.registers.Shares`, each shape (registers, slots), where registers are shared."""
        names = ("counted", "shared", "worth")
        return blobs(self.store.last(tables.registers, names, self.period), names)

    @property
    def shared(self) -> IntArray:
        """What each register shared, shape (registers, slots) [Wh]; nothing where members trade on net."""
        return self.shares["shared"] if self.rules.registers else np.zeros((0, self.period.count), dtype=np.int64)

    @cached_property
    def energy(self) -> Energy:
        """What each member drew from the utility and fed in to it, and took of local energy."""
        a, registers, members = self.arrays, self.rules.registers, self.rules.members
        if registers is None:
            return Energy.net(a["grid"], a["ahead"] + a["after"], a["credit"])
        shared = self.shares["shared"]
        left = self.shares["counted"] - shared
        taken = registers.drawn(shared, members)
        return Energy(registers.drawn(left, members), registers.fed(left, members), taken, a["credit"])

    @cached_property
    def metered_energy(self) -> tuple[IntArray, IntArray]:
        """What each member's meters counted from the grid and to it, each shape (members, slots) [Wh] >= 0."""
        registers, members, net = self.rules.registers, self.rules.members, self.arrays["net"]
        if registers is None:
            return np.maximum(net, 0), np.maximum(-net, 0)
        counted = self.shares["counted"]
        return registers.drawn(counted, members), registers.fed(counted, members)

    @cached_property
    def traded(self) -> tuple[IntArray, IntArray]:
        """What each member bought from others and sold to them, each shape (members, slots) [Wh] >= 0.

        What its own registers supplied to each other is in neither: it is in no trade, and moved no money.
        """
        rules, local = self.rules, self.arrays["ahead"] + self.arrays["after"]
        if rules.registers is None:
            return np.maximum(local, 0), np.maximum(-local, 0)
        bought, sold = np.zeros((2, *local.shape), dtype=np.int64)
        rows = self.store.last(tables.trades, ("buyer", "seller", "slot", "settled"), self.period)
        buyer, seller, slot, settled = np.array(rows, dtype=np.int64).reshape(-1, 4).T
        place = (slot - self.period.start) // self.period.seconds
        np.add.at(bought, (buyer, place), settled)
        np.add.at(sold, (seller, place), settled)
        return bought, sold

    @cached_property
    def charges(self) -> Charges:
        """What each member owes with the market [unit]."""
        return self._last_page[0]

    @cached_property
    def charges_without_market(self) -> Charges:
        """What each member would owe if it met the utility alone [unit]."""
        return self._last_page[1]

    @cached_property
    def _last_page(self) -> tuple[Charges, Charges]:
        return last_page(self.figures)

    @cached_property
    def figures(self) -> tuple[tuple[Tariff, Figures], ...]:
        """What charges are made of, and the tariff, of each charter."""
        alone = Energy.alone(*self.metered_energy)

        def of(part: Part) -> Figures:
            prices, places = self.prices.part(part.places), part.places
            both = zip(self.divisions, self.divisions_without_market, strict=True)
            plants = (OfPlant(one.plant, one.part(places).left, other.part(places).left) for one, other in both)
            market, without = (Sums.of(prices, used.part(places)) for used in (self.energy, alone))
            return Figures(market, without, tuple(plants))

        return tuple((part.charter.community.tariff, of(part)) for part in self.parts)

    @cached_property
    def divisions(self) -> tuple[Division, ...]:
        """Who has what of each plant, slot by slot."""
        return self._divided(self.energy, self._taken())

    @cached_property
    def divisions_without_market(self) -> tuple[Division, ...]:
        """The same, if the utility took all."""
        return self._divided(Energy.alone(*self.metered_energy), np.zeros_like(self._taken()))

    def _taken(self) -> IntArray:
        """What each member took of each plant, shape (plants, members, slots) [Wh]."""
        rules = self.rules
        found = np.zeros((len(rules.plants), rules.members, self.period.count), dtype=np.int64)
        place = {plant.index: number for number, plant in enumerate(rules.plants)}
        if place:
            names = ("stage", "seller", "buyer", "slot", "settled")
            for stage, seller, buyer, slot, settled in self.store.last(tables.trades, names, self.period):
                if stage == OF_PLANTS:
                    found[place[seller], buyer, (slot - self.period.start) // self.period.seconds] = settled
        return found

    def _divided(self, used: Energy, taken: IntArray) -> tuple[Division, ...]:
        """taken : as of `_taken`"""

        def division(plant: Plant, took: IntArray) -> Division:
            index = plant.index
            utility = payments(used.exported[index], self.prices.feed_in)
            return divide(plant, self.metered_energy[1][index], took[plant.owners], used.credit[index], utility)

        return tuple(starmap(division, zip(self.rules.plants, taken, strict=True)))
