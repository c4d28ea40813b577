"""Plants that belong to several members: who takes what of their energy, and what of their money is whose.

Of what a plant feeds in in a slot each owner has a share, by largest remainder in proportion to the owners' weights. An
owner takes of it what its own meter draws and no neighbour has sold it ahead; what it does not take, the plant sells as
anybody's surplus is sold. What that earns in the slot goes to the owners by what each has left of its share, by largest
remainder too, and so does what it costs where the utility's price is below zero; what a plant costs, for what its meter
draws, they pay by their weights. So a plant itself owes nothing.
Ties go to the lower member index. Energy is Wh, money units.

Source: Salian, Shah, Shah, Samdani, Review of Blockchain Enabled Decentralized Energy Trading Mechanisms: II, the fifth
rule of a community (what generates is common property), and VIII C, Key2Energy (the sun of a house with many flats is
shared among the tenants, the surplus goes to the market). The shares are the owners' own agreement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from commonwatt.community.model import Member
from commonwatt.records import Trades
from commonwatt.units import IntArray, largest_remainder, split, totals


@dataclass(frozen=True, eq=False)
class Plant:
    """A plant by its member index and name. owners : member indices, rising; weights : > 0; both shape (owners,)"""

    index: int
    id: str
    owners: IntArray
    weights: IntArray

    @property
    def whole(self) -> int:
        """Sum of the weights."""
        return int(self.weights.sum())


def plants_of(members: Sequence[Member]) -> tuple[Plant, ...]:
    """The plants among the members, in their order."""
    return tuple(
        Plant(
            member.index,
            member.id,
            np.array([owner.member for owner in member.owners], dtype=np.int64),
            np.array([owner.weight for owner in member.owners], dtype=np.int64),
        )
        for member in members
        if member.owners
    )


def taken(plants: Sequence[Plant], net: IntArray, left: IntArray) -> Trades:
    """What owners take of their plants in a slot, as trades that cost nothing.

    net : metered energy; left : what of it is not settled yet and the mandates allow; both shape (members,) [Wh],
    positive = into the home
    Where a plant's mandate allows less than the owners would take, each gets less in proportion.
    """
    room, parts = np.maximum(left, 0), list[Trades]()
    for plant in plants:
        share = largest_remainder(max(-int(net[plant.index]), 0), plant.weights)
        wh, most = np.minimum(share, room[plant.owners]), max(-int(left[plant.index]), 0)
        if wh.sum() > most:
            wh = largest_remainder(most, wh)
        room[plant.owners] -= wh
        seller = np.full(len(wh), plant.index, dtype=np.int64)
        parts.append(Trades(plant.owners, seller, wh, np.zeros_like(wh)).keep(wh > 0))
    columns = zip(*((each.buyer, each.seller, each.wh, each.price) for each in parts), strict=True)
    return Trades(*(np.concatenate(column) for column in columns)) if parts else Trades()


@dataclass(frozen=True, eq=False)
class Left:
    """What owners left of a plant in some slots, by owner: what it is settled from. Those of several days add up.

    unused : shape (owners,) [Wh] >= 0
    earned : what that earned, shape (owners,) [unit]; received : the same without what the utility was paid, >= 0
    local : what of the plant's energy neighbours paid [unit] >= 0
    """

    unused: IntArray
    earned: IntArray
    received: IntArray
    local: int

    def __add__(self, other: Left) -> Left:
        """Of both."""

        def both(one: IntArray, another: IntArray) -> IntArray:
            return totals(np.stack([one, another], axis=-1))

        unused, earned = both(self.unused, other.unused), both(self.earned, other.earned)
        return Left(unused, earned, both(self.received, other.received), self.local + other.local)


@dataclass(frozen=True, eq=False)
class Parts:
    """What each owner has of a plant over a period.

    left : what they left of its energy, and what that earned
    costs : what each owner carries of what the plant pays, shape (owners,) [unit]
    on_ledger : what of the earnings neighbours paid, so that it lies on the plant's account, and is each owner's, shape
        (owners,) [unit] >= 0: in proportion to their earnings without what the utility was paid, and never more
    """

    plant: Plant
    left: Left
    costs: IntArray
    on_ledger: IntArray

    @classmethod
    def of(cls, plant: Plant, left: Left, owes: int) -> Parts:
        """owes : what the plant owes for the period in all, before its owners have their parts [unit]"""
        costs = split(owes + int(totals(left.earned)), plant.weights)
        return cls(plant, left, costs, split(left.local, left.received))

    @property
    def owed(self) -> IntArray:
        """What each owner owes for the plant, shape (owners,) [unit]: its costs less its earnings."""
        return self.costs - self.left.earned

    def moved(self, members: int) -> IntArray:
        """What this adds to what each member owes, shape (members,) [unit]; its sum is zero."""
        added = np.zeros(members, dtype=np.int64)
        added[self.plant.owners] = self.owed
        added[self.plant.index] = -totals(self.owed)
        return added


@dataclass(frozen=True, eq=False)
class Division:
    """A plant's energy and money, owner by owner and slot by slot.

    fed : what the plant fed in, shape (slots,) [Wh]
    share, unused : each owner's share of it, and what it did not take, shape (owners, slots) [Wh]
    earned : what the unused energy earned, shape (slots,) [unit], below zero where the utility had to be paid to take
        it; earnings : each owner's part, (owners, slots); received : the same without what the utility was paid
    local : what neighbours paid, shape (slots,) [unit] >= 0
    """

    plant: Plant
    fed: IntArray
    share: IntArray
    unused: IntArray
    earned: IntArray
    earnings: IntArray
    received: IntArray
    local: IntArray

    def part(self, places: slice) -> Division:
        """Of some of the slots."""
        columns = (self.fed, self.share, self.unused, self.earned, self.earnings, self.received, self.local)
        return Division(self.plant, *(column[..., places] for column in columns))

    @property
    def left(self) -> Left:
        """Over all slots."""
        unused, local = self.unused.sum(axis=1), int(totals(self.local))
        return Left(unused, totals(self.earnings), totals(self.received), local)


def shares(plant: Plant, fed: IntArray) -> IntArray:
    """What each owner has of what the plant fed in, shape (owners, slots) [Wh]. fed : shape (slots,) [Wh]"""
    found = np.zeros((len(plant.owners), len(fed)), dtype=np.int64)
    for slot in np.flatnonzero(fed).tolist():
        found[:, slot] = largest_remainder(int(fed[slot]), plant.weights)
    return found


def divide(plant: Plant, fed: IntArray, took: IntArray, local: IntArray, utility: IntArray) -> Division:
    """Divide what a plant fed in among its owners.

    fed : shape (slots,); took : what owners took, shape (owners, slots) [Wh]
    local, utility : what neighbours and the utility paid, shape (slots,) [unit]; local >= 0
    """
    share, earned, paid_in = shares(plant, fed), local + utility, local + np.maximum(utility, 0)
    unused, earnings, received = share - took, np.zeros_like(took), np.zeros_like(took)
    for slot in np.flatnonzero(fed).tolist():
        earnings[:, slot] = split(int(earned[slot]), unused[:, slot])
        received[:, slot] = split(int(paid_in[slot]), unused[:, slot])
    return Division(plant, fed, share, unused, earned, earnings, received, local)
