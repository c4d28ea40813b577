"""A member's sheet of one local day, and how the last page of a bill is made of the sums of its sheets alone.

A sheet has the day's slots, line by line, and `sums`: every integer that charges are made of. Sums of days under one
tariff add up, so that a bill needs of its days their hashes and their sums, and what is rounded once for a period is.
A charter begins at a local midnight, so a sheet is under one tariff.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import add
from typing import Any, Final

import numpy as np

from commonwatt.accounts.charges import Charges, Sums, joined, owed
from commonwatt.accounts.document import canonical
from commonwatt.accounts.plants import Left, Parts, Plant
from commonwatt.community.tariff import Tariff

FORMAT: Final = "commonwatt-sheet/1"

_ENERGY: Final = {"import": "imported", "export": "exported", "local": "taken"}
_MONEY: Final = {"energy": "energy", "fedIn": "feed_in", "neighbours": "neighbours"}
WITH_MARKET: Final = _ENERGY | _MONEY
"""Names of a sheet's sums, by the columns of `accounts.charges.Sums`."""
ALONE: Final = {name: column for name, column in WITH_MARKET.items() if name not in ("local", "neighbours")}
"""Of those, what there is of the same energy with the utility alone."""


@dataclass(frozen=True)
class OfPlant:
    """What owners left of a plant in some slots, with the market and without it."""

    plant: Plant
    left: Left
    alone: Left

    def __add__(self, other: OfPlant) -> OfPlant:
        """Of both, which are of one plant."""
        return OfPlant(self.plant, self.left + other.left, self.alone + other.alone)


@dataclass(frozen=True)
class Figures:
    """Sums of slots under one tariff, of all members, with the market and with the utility alone; those of plants."""

    market: Sums
    alone: Sums
    plants: tuple[OfPlant, ...] = ()

    def __add__(self, other: Figures) -> Figures:
        """Of both, which are of the same members and plants."""
        plants = tuple(map(add, self.plants, other.plants))
        return Figures(self.market + other.market, self.alone + other.alone, plants)

    def of(self, member: int) -> dict[str, Any]:
        """The sums of a member, as its sheet says them."""
        told: dict[str, Any] = {name: int(getattr(self.market, at)[member]) for name, at in WITH_MARKET.items()}
        told["alone"] = {name: int(getattr(self.alone, at)[member]) for name, at in ALONE.items()}
        if owns := [_of_owner(each, place) for each in self.plants for place in _places(each.plant, member)]:
            told["plants"] = owns
        for each in self.plants:
            if each.plant.index == member:
                told["owners"] = [_to_owner(each, place) for place in range(len(each.plant.owners))]
        return told


def _places(plant: Plant, member: int) -> list[int]:
    found: list[int] = np.flatnonzero(plant.owners == member).tolist()
    return found


def _of_owner(each: OfPlant, place: int) -> dict[str, int]:
    """What an owner left of a plant, what that earned, and what its whole share would have without a market."""
    unused, earned, alone = each.left.unused[place], each.left.earned[place], each.alone.earned[place]
    return {"plant": each.plant.index, "wh": int(unused), "amount": int(earned), "withoutMarket": int(alone)}


def _to_owner(each: OfPlant, place: int) -> dict[str, int]:
    """On the plant's own sheet. received : of what it earned, what the utility was not paid"""
    unused, earned, received = each.left.unused[place], each.left.earned[place], each.left.received[place]
    owner = int(each.plant.owners[place])
    return {"member": owner, "wh": int(unused), "amount": int(earned), "received": int(received)}


def last_page(parts: Sequence[tuple[Tariff, Figures]]) -> tuple[Charges, Charges]:
    """What all members owe, with the market and with the utility alone, from sums: one part for each tariff."""
    whole = parts[0][1]
    for _, figures in parts[1:]:
        whole += figures
    found = []
    for way in ("market", "alone"):
        charges = joined([owed(tariff, getattr(figures, way)) for tariff, figures in parts])
        owes = charges.total.tolist()
        lefts = ((each.plant, each.left if way == "market" else each.alone) for each in whole.plants)
        found.append(replace(charges, plants=tuple(Parts.of(plant, left, owes[plant.index]) for plant, left in lefts)))
    return found[0], found[1]


def added(sums: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums of several sheets of one member in one; lists of plants and of owners are the same in all."""
    found: dict[str, Any] = {}
    for each in sums:
        found = _both(found, each) if found else dict(each)
    return found


_NAMES: Final = ("plant", "member")


def _both(one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        return {name: value if name in _NAMES else _both(value, other[name]) for name, value in one.items()}
    if isinstance(one, list):
        return [_both(*pair) for pair in zip(one, other, strict=True)]
    return one + other


def around(sheet: Mapping[str, Any], written: Callable[[Mapping[str, Any]], bytes] = canonical) -> tuple[bytes, bytes]:
    """A sheet before its slots and behind them, which may then be written one by one.

    sheet : all but its slots; written : as JSON without spaces
    """
    before, mark, behind = written({**sheet, "slots": []}).partition(b'"slots":[')
    return before + mark, behind
