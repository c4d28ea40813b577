"""Two attackers who read what a ledger tells of each quarter hour under pseudonyms, and want to know whose they are.

Everywhere `told` is what the ledger has, shape (homes, days, slots of a day): an amount by which an account was moved,
in any unit, 0 = no entry. Homes stand in the same order in all arrays, which only the count of hits makes use of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from commonwatt.units import FloatArray, IntArray

KEYS: Final = ("fixed", "daily", "per trade")
"""How long a home uses a key: always, for a day, for one entry."""
_HOURS: Final = 24
_CLASSES: Final = 16


@dataclass(frozen=True)
class Habits:
    """What an attacker learned of each home from days on which it knew who is who.

    edges : between the classes of amounts, ascending
    likelihood : logarithm of how likely each class is, shape (homes, hours, classes); class 0 = no entry
    """

    edges: FloatArray
    likelihood: FloatArray

    @classmethod
    def of(cls, known: IntArray) -> Habits:
        """From amounts of those days, shaped as `told`: how often each home has an amount of each class in each hour.

        Classes have equally many entries. Each home counts as if it had been seen once more, as an average home.
        """
        entries = known[known != 0]
        shares = np.linspace(0, 1, _CLASSES + 1)[1:-1]
        edges = np.unique(np.quantile(entries, shares)) if entries.size else np.zeros(0)
        counts = np.zeros((len(known), _HOURS, len(edges) + 2))
        np.add.at(counts, (np.arange(len(known))[:, None, None], _hours(known), _classes(known, edges)), 1)
        everybody = counts.sum(axis=0) + 1
        average = everybody / everybody.sum(axis=-1, keepdims=True)
        return cls(edges, np.log((counts + average) / (counts.sum(axis=-1, keepdims=True) + 1)))

    def hits(self, told: IntArray) -> dict[str, float]:
        """Share of entries that are put down to the right home, each key's to the one that it fits best; for `KEYS`."""
        fits = self.likelihood[:, _hours(told), _classes(told, self.edges)]
        homes = np.arange(len(told))[:, None, None]
        right = {keys: _by_key(fits, keys).argmax(axis=0) == homes for keys in KEYS}
        return {keys: float(np.broadcast_to(each, told.shape)[told != 0].mean()) for keys, each in right.items()}


def learned(told: IntArray, keys: str) -> float:
    """Share of a home's entries that is known to whoever knows one of them, and that it is this home's.

    Of the keys with the same amount in the slot it takes one at random, and then all entries of it. Mean over all
    entries that may be the known one.
    """
    entries = told != 0
    alike = (told[:, None] == told[None, :]).sum(axis=1)
    opened = np.broadcast_to(_by_key(entries, keys), told.shape)
    return float((opened / entries.sum(axis=(1, 2), keepdims=True).clip(1) / alike)[entries].mean())


def _by_key(values: FloatArray, keys: str) -> FloatArray:
    """Sums over all that stands under each key, of values of shape (…, days, slots)."""
    axes = {"fixed": (-2, -1), "daily": (-1,), "per trade": ()}[keys]
    sums: FloatArray = values.sum(axis=axes, keepdims=True)
    return sums


def _hours(amounts: IntArray) -> IntArray:
    """The hour of each slot of a day, shape (slots,)."""
    slots = amounts.shape[-1]
    hours: IntArray = np.arange(slots) * _HOURS // slots
    return hours


def _classes(amounts: IntArray, edges: FloatArray) -> IntArray:
    return np.where(amounts == 0, 0, 1 + np.searchsorted(edges, amounts, side="right"))
