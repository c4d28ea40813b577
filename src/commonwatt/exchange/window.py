"""The days in which something of a living exchange may still be open, and their rules."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from commonwatt.community.model import Community
from commonwatt.exchange import rows
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.store import Store

_AHEAD: Final = 2
"""Days after today whose gates may close: a gate closes on the day before, and clocks change."""


def around(community: Community, folder: Path, store: Store, now: int, since: date) -> Rules:
    """The rules from the first day of which something is open or may be corrected, to two days after `now` [unix s].

    folder : of the community's file; since : the exchange's first local day
    Raises DataError when a price file does not cover these days, MarketError when a mechanism cannot be used.
    """
    zone, corrections = ZoneInfo(community.timezone), community.ledger.corrections
    ended = rows.last_ended(store)
    earliest = now - corrections - community.slot_seconds
    if ended >= 0:
        earliest = min(earliest, ended)
    first = max(datetime.fromtimestamp(max(earliest, 0), zone).date(), since)
    if ended < 0:
        first = since
    last = max(datetime.fromtimestamp(now, zone).date(), first)
    return Rules.of(community, folder, first, (last - first).days + 1 + _AHEAD)
