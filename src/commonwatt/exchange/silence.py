"""Who has not reported, and whether a slot will settle all the same."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from commonwatt.exchange import tables
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.live import Live
from commonwatt.exchange.states import Missed


@dataclass(frozen=True)
class Silence:
    """A slot [start, unix s] that is not settled, or is settled without the readings of some.

    missing : members with a meter of which no reading has come, by number
    settles_at : when it is settled at the latest, with what has come by then [unix s]; None once it is settled
    obstacle : why it will not be settled then; empty when it will
    corrected_until : until when readings that come late still count [unix s]
    """

    slot: int
    missing: tuple[int, ...]
    settles_at: int | None
    obstacle: str
    corrected_until: int


def open_silences(live: Live, now: int) -> list[Silence]:
    """The slots that have begun by `now` [unix s] and are not settled, the newest first."""
    found = []
    for slot, committed in sorted(live.exchange.committed.items(), reverse=True):
        if slot <= now:
            end, missing = slot + live.slots.seconds, tuple(sorted(live.missing(slot)))
            missed = (
                "Nothing was committed for it in time; it meets the utility." if isinstance(committed, Missed) else ""
            )
            found.append(Silence(slot, missing, end + live.wait, live.behind or missed, end + live.slots.corrections))
    return found


def settled_silences(exchange: Exchange, now: int) -> list[Silence]:
    """The settled slots that somebody's reading can still correct at `now` [unix s], the newest first."""
    accounts, settled = tables.accounts.c, tables.settled.c
    longest = exchange.rules.period.seconds + exchange.rules.community.ledger.corrections
    query = (
        select(accounts.slot, accounts.member)
        .where(accounts.slot == settled.slot, accounts.revision == settled.revision)
        .where(settled.slot >= now - longest, accounts.measured == 0)
        .order_by(accounts.slot.desc(), accounts.member)
    )
    missing = dict[int, list[int]]()
    for slot, member in exchange.store.ask(query):
        if exchange.meters_of(slot)[member] != NO_METER:
            missing.setdefault(slot, []).append(member)
    return [Silence(slot, tuple(members), None, "", slot + longest) for slot, members in missing.items()]
