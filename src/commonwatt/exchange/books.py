"""What bills are made of: the exchange's accounts of a period, its prices, and what proves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import starmap
from typing import TYPE_CHECKING, Final

import numpy as np

from commonwatt.accounts.charges import Charges, Energy, charged, joined
from commonwatt.accounts.document import metered
from commonwatt.accounts.plants import Division, Plant, divide
from commonwatt.exchange import tables
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.states import OF_PLANTS
from commonwatt.exchange.store import Store, arrays, blobs
from commonwatt.records import Mandate, Signed
from commonwatt.units import IntArray, payments

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient

ACCOUNTS: Final = ("net", "ahead", "after", "grid", "credit", "measured", "revision")


@dataclass(frozen=True, eq=False)
class Books:
    """The accounts of a period whose last slot has ended.

    mandates, meters : by member index; with `client` they prove bills. None of the three in the laboratory.
    """

    rules: Rules
    store: Store
    mandates: Sequence[Signed[Mandate]] = ()
    meters: Sequence[bytes] = ()
    client: LedgerClient | None = None

    @cached_property
    def arrays(self) -> dict[str, IntArray]:
        """Net, ahead, after and grid energy [Wh], positive = into the home, and credit [unit], of each last revision.

        Each has the shape (members, slots). Where `measured` is 0 no reading came, and all of them are 0.
        """
        rows = self.store.last(tables.accounts, ("slot", "member", *ACCOUNTS), self.rules.period)
        return arrays(rows, ACCOUNTS, self.rules.members, self.rules.period)

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
        return blobs(self.store.last(tables.registers, names, self.rules.period), names)

    @property
    def shared(self) -> IntArray:
        """What each register shared, shape (registers, slots) [Wh]; nothing where members trade on net."""
        return self.shares["shared"] if self.rules.registers else np.zeros((0, self.rules.period.count), dtype=np.int64)

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
        rows = self.store.last(tables.trades, ("buyer", "seller", "slot", "settled"), rules.period)
        buyer, seller, slot, settled = np.array(rows, dtype=np.int64).reshape(-1, 4).T
        place = (slot - rules.period.start) // rules.period.seconds
        np.add.at(bought, (buyer, place), settled)
        np.add.at(sold, (seller, place), settled)
        return bought, sold

    @cached_property
    def charges(self) -> Charges:
        """What each member owes with the market [unit]."""
        return self._charged(self.energy, self._taken())

    @cached_property
    def charges_without_market(self) -> Charges:
        """What each member would owe if it met the utility alone [unit]."""
        return self._charged(Energy.alone(*self.metered_energy), np.zeros_like(self._taken()))

    def _taken(self) -> IntArray:
        """What each member took of each plant, shape (plants, members, slots) [Wh]."""
        rules = self.rules
        found = np.zeros((len(rules.plants), rules.members, rules.period.count), dtype=np.int64)
        place = {plant.index: number for number, plant in enumerate(rules.plants)}
        if place:
            names = ("stage", "seller", "buyer", "slot", "settled")
            for stage, seller, buyer, slot, settled in self.store.last(tables.trades, names, rules.period):
                if stage == OF_PLANTS:
                    found[place[seller], buyer, (slot - rules.period.start) // rules.period.seconds] = settled
        return found

    def _charged(self, used: Energy, taken: IntArray) -> Charges:
        """As `charges`, of all slots, each under the tariff of its charter; with what plants leave to their owners.

        taken : as of `_taken`
        """
        rules = self.rules
        sums = joined(
            [
                charged(part.charter.community.tariff, rules.prices.part(part.places), used.part(part.places))
                for part in rules.parts
            ]
        )
        total = sums.total.tolist()

        def division(plant: Plant, took: IntArray) -> Division:
            index = plant.index
            utility = payments(used.exported[index], rules.prices.feed_in)
            fed = self.metered_energy[1][index]
            return divide(plant, fed, took[plant.owners], used.credit[index], utility, total[index])

        return replace(sums, plants=tuple(starmap(division, zip(rules.plants, taken, strict=True))))
