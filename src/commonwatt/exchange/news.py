"""What each member is told when something of its own has happened, from the store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from commonwatt.accounts.document import hex_text, metered
from commonwatt.community.calendar import Slots
from commonwatt.exchange import tables
from commonwatt.exchange.events import Correction, Event, GateClosure
from commonwatt.exchange.store import Store
from commonwatt.records import Receipt, Signed

ORDER: Final = "order"
"""An order was accepted."""
GATE: Final = "gate"
"""A gate has closed, and the member has agreed to trades."""
SLOT: Final = "slot"
"""A slot was settled."""
CORRECTION: Final = "correction"
"""A slot was settled anew."""

News = dict[int, dict[str, Any]]
"""What each member is told, by its number."""


def news(store: Store, event: Event | Correction) -> tuple[str, News]:
    """What kind of news an event that was done is, and what each member is told of it."""
    if isinstance(event, GateClosure):
        return GATE, _agreed(store, event.slots)
    return (CORRECTION if isinstance(event, Correction) else SLOT), _settled(store, event.slot)


def ordered(receipts: Iterable[Signed[Receipt]]) -> dict[str, Any]:
    """What a member is told of an order that was accepted. receipts : of the operators, at least one"""
    record = next(iter(receipts)).record
    return {"order": hex_text(record.order), "slot": record.slot, "position": record.position}


def _agreed(store: Store, slots: Slots) -> News:
    found: News = {}
    for buyer, seller, wh in store.columns(tables.trades, ("buyer", "seller", "wh"), slots, revision=0):
        for member, what in ((buyer, "boughtWh"), (seller, "soldWh")):
            own = found.setdefault(
                member, {"firstSlot": slots.start, "slots": slots.count, "trades": 0, "boughtWh": 0, "soldWh": 0}
            )
            own["trades"] += 1
            own[what] += wh
    return found


def _settled(store: Store, slot: int) -> News:
    """Energy is positive into the home, and money positive where the member receives it."""
    (revision,) = store.columns(tables.settled, ("revision",), slot=slot)[0]
    names = ("member", "measured", "net", "ahead", "after", "grid", "credit")
    return {
        member: {
            "slot": slot,
            "revision": revision,
            "metered": metered(measured=bool(measured), revision=revision),
            "netWh": net,
            "localWh": ahead + after,
            "gridWh": grid,
            "credit": str(credit),
        }
        for member, measured, net, ahead, after, grid, credit in store.columns(
            tables.accounts, names, slot=slot, revision=revision
        )
    }
