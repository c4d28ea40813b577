"""A vote on a new charter: what the file may change, and from when on it can hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from commonwatt.community.calendar import local_midnight
from commonwatt.community.charter import unchangeable
from commonwatt.community.model import Community
from commonwatt.errors import ConfigError, Finding
from commonwatt.ledger.client.charters import charters, held
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.membership import Change, Proposal
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.member.acting import acting
from commonwatt.member.document import read
from commonwatt.member.trust import Pins
from commonwatt.proof import Key

_AHEAD: Final = 2 * 86_400
"""How long before its first slot a charter has to be adopted [s]: `AGREED` of contracts/src/Operators.sol."""


def propose(
    document: Path, ledger: str, pins: Pins, key: Key, new: Community, day: date, old: Community | None
) -> tuple[Proposal, int]:
    """Open a vote on the file `new` as the charter from the local `day` on; the vote, and the chain's time [unix s].

    old : the file that holds, whose digest is in `pins`; without it what the bill and the contract show is compared
    Raises ConfigError when the file cannot be a charter of this community, or not from that day on.
    """
    with acting(document, ledger, pins, key) as (client, _, now):
        if wrong := _otherwise(read(document)["content"], new):
            raise _changes(wrong)
        community = CommunityClient(client)
        change = charter_change(client, new, day, now, old)
        return community.proposal(community.propose(key, change, at=now)), now


def charter_change(client: LedgerClient, new: Community, day: date, now: int, old: Community | None) -> Change:
    """What to vote on so that the file `new` holds from the local `day` on. now : when the vote opens [unix s]"""
    settled = (
        ("the slot length", new.slot_seconds, client.terms.slot_seconds),
        ("the unit of money", new.unit, client.unit),
    )
    words = dict.fromkeys(
        (*(unchangeable(old, new) if old else ()), *(word for word, own, its in settled if own != its))
    )
    if words:
        raise _changes(words)
    known, since = charters(client), local_midnight(day, new.timezone)
    closes = now + CommunityClient(client).parameters.voting_time
    earliest = max(closes + _AHEAD, known[-1].since)
    if since <= earliest:
        first = datetime.fromtimestamp(earliest, ZoneInfo(new.timezone)).date() + timedelta(days=1)
        ends = earliest > known[-1].since
        what, at = ("the vote can end", closes) if ends else ("the last adopted charter holds", earliest)
        when = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC{', by two days' if ends else ''}"
        raise _refused("from", f"is not after the time at which {what}, {when}; the first day after it is {first}")
    (holds,) = held(known, since, since + 1)
    if holds.digest == new.digest:
        raise _refused("charter", "changes nothing: this file holds then")
    return Change(charter=new.digest, charter_from=since)


def _otherwise(content: Mapping[str, Any], new: Community) -> list[str]:
    """What a member's bill shows otherwise than the file."""
    member = content["member"]
    ids = [each.id for each in new.members]
    own = ids[member["index"]] if member["index"] < len(ids) else None
    said = (
        ("the name", "community", new.name),
        ("the currency", "currency", new.currency),
        ("the time zone", "timezone", new.timezone),
    )
    found = [word for word, key, value in said if content.get(key, value) != value]
    return found + (["the members"] if member.get("id", own) != own else [])


def _changes(words: Iterable[str]) -> ConfigError:
    return _refused("charter", f"changes {', '.join(words)}, which no vote can change")


def _refused(name: str, why: str) -> ConfigError:
    return ConfigError("The request", [Finding(name, why)])
