"""What homes are told of slots whose gate has closed: what they traded ahead of delivery, and what the wires carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.states import Committed
from commonwatt.units import IntArray


@dataclass(frozen=True, eq=False)
class Told:
    """Of one slot [start, unix s], each shape (members,) [Wh] >= 0.

    bought, sold : agreed with neighbours ahead of delivery
    cap : most feed-in that the wires carry
    """

    slot: int
    bought: IntArray
    sold: IntArray
    cap: IntArray


@dataclass(frozen=True)
class MeterPlan:
    """The same of one meter's home, of consecutive slots from `first` [start, unix s] on; there may be none."""

    first: int
    bought: tuple[int, ...] = ()
    sold: tuple[int, ...] = ()
    cap: tuple[int, ...] = ()


def told(committed: Committed) -> Told:
    """What homes are told of a slot."""
    cleared = committed.cleared
    bought, sold = np.zeros_like(cleared.feed_in_cap), np.zeros_like(cleared.feed_in_cap)
    np.add.at(bought, cleared.trades.buyer, cleared.trades.wh)
    np.add.at(sold, cleared.trades.seller, cleared.trades.wh)
    return Told(cleared.declared.slot, bought, sold, cleared.feed_in_cap)


def all_told(committed: Mapping[int, Committed]) -> dict[int, Told]:
    """The same of slots by start."""
    return {slot: told(each) for slot, each in committed.items()}


def by_meter(slots: Iterable[tuple[Told, tuple[bytes, ...]]]) -> dict[bytes, MeterPlan]:
    """What each meter's home is told of consecutive slots; given with each are the members' meters in it."""
    found: dict[bytes, list[tuple[int, int, int, int]]] = {}
    for each, meters in slots:
        columns = (each.bought.tolist(), each.sold.tolist(), each.cap.tolist())
        # Who joined since the gate is told nothing of the slot.
        for meter, bought, sold, cap in zip(meters, *columns, strict=False):
            if meter != NO_METER:
                found.setdefault(meter, []).append((each.slot, bought, sold, cap))
    return {meter: plan_of(rows) for meter, rows in found.items()}


def plan_of(rows: list[tuple[int, int, int, int]], otherwise: int = 0) -> MeterPlan:
    """The plan of these slots (start, bought, sold, cap); of none it begins `otherwise` [unix s]."""
    if not rows:
        return MeterPlan(otherwise)
    starts, bought, sold, cap = zip(*rows, strict=True)
    return MeterPlan(starts[0], bought, sold, cap)
