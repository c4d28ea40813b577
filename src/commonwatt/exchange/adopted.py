"""The charters by which the exchange goes are those that the members adopted: the chain says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonwatt.community.calendar import Slots
from commonwatt.errors import NotAdopted
from commonwatt.exchange.rules import Rules

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient


def require_adopted(client: LedgerClient, rules: Rules, slots: Slots) -> None:
    """Raise NotAdopted unless each of the slots has the charter that the community's contract has for it."""
    from commonwatt.ledger.client.charters import charters, held

    known = charters(client)
    for charter in held(known, slots.start, slots.end):
        _same(charter.since, rules.charter_at(charter.since).community.digest, charter.digest)
    for own in rules.charters:
        if slots.start < own.since < slots.end:
            (holds,) = held(known, own.since, own.since + 1)
            _same(own.since, own.community.digest, holds.digest)


def _same(slot: int, own: bytes, adopted: bytes) -> None:
    if own != adopted:
        raise NotAdopted(slot, own, adopted)
