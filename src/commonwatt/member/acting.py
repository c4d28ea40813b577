"""What a member does with its own key and its bill beside objections: pay in, let others read, vote, leave.

Where the contracts are stands in the bill, and nothing is sent on that word alone (`trust`). Methods of the contracts'
clients raise Reverted with the contract's reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commonwatt.errors import ConfigError, Finding
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.membership import SCOPES, Grant, Member, Proposal
from commonwatt.ledger.client.purse import PurseClient
from commonwatt.member.document import Named, named, read
from commonwatt.member.page import require
from commonwatt.member.trust import Pins, opened
from commonwatt.plain import plain
from commonwatt.proof import Key
from commonwatt.units import in_units, price_text

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient
    from commonwatt.ledger.node import Receipt


@dataclass(frozen=True)
class Access:
    """Who may read what: the member's own grants, and those of others to its account.

    members : all of them by index, for their accounts
    now : the chain's time [unix s]
    """

    given: tuple[Grant, ...]
    received: tuple[Grant, ...]
    members: tuple[Member, ...]
    now: int


@dataclass(frozen=True)
class Ballot:
    """A vote as a member sees it. now : the chain's time [unix s]; voted : the member has voted"""

    proposal: Proposal
    now: int
    voted: bool

    @property
    def open(self) -> bool:
        """Whether it still takes votes."""
        return self.now < self.proposal.closes_at


@contextmanager
def acting(
    document: Path, ledger: str, pins: Pins, key: Key | None = None
) -> Iterator[tuple[LedgerClient, Named, int]]:
    """The contracts that a member's document names, the member, and the time for a transaction [unix s]."""
    at = named(read(document))
    with opened(at, [ledger], pins, key) as (client, _):
        require(client.member_of(at.account) == at.index, "The chain knows another member at the document's account.")
        yield client, at, client.node.head.timestamp + 1


def deposit(document: Path, ledger: str, pins: Pins, key: Key, amount: int) -> Receipt:
    """Pay in from the member's own account [micro-currency]. Raises ConfigError for what it does not hold."""
    with acting(document, ledger, pins, key) as (client, at, now):
        purse, lanes = PurseClient(client), in_lanes(amount, client)
        held = purse.held(at.account) // client.terms.lane_unit
        if lanes > held:
            raise refused("amount", f"is more than the account holds outside the settlement, {_text(held, client)}")
        return purse.deposit(key, lanes, at=now)


def grant(
    document: Path, ledger: str, pins: Pins, key: Key, to: bytes, what: str, until: int, *, span: bool
) -> tuple[int, Receipt]:
    """Let somebody [address] read; returns when that ends [unix s], too.

    what : a word of `SCOPES`; until : [unix s], or with `span` seconds from the chain's time on
    """
    scope = scope_of(what)
    with acting(document, ledger, pins, key) as (client, _, now):
        end = now + until if span else until
        if not now < end < 1 << 40:
            raise refused("until", "has passed" if end <= now else "is too far away")
        return end, CommunityClient(client).grant_access(key, to, scope, end, at=now)


def withdraw_grant(document: Path, ledger: str, pins: Pins, key: Key, to: bytes, what: str) -> Receipt:
    """Take a grant back."""
    scope = scope_of(what)
    with acting(document, ledger, pins, key) as (client, _, now):
        return CommunityClient(client).withdraw_access(key, to, scope, at=now)


def access(document: Path, ledger: str, pins: Pins) -> Access:
    """Who may read what of the member, and what it may read of others."""
    with acting(document, ledger, pins) as (client, at, now):
        community = CommunityClient(client)
        given, received = community.grants(member=at.index), community.grants(grantee=at.account)
        return Access(given, received, community.members, now - 1)


def ballots(document: Path, ledger: str, pins: Pins) -> tuple[Ballot, ...]:
    """All votes, oldest first."""
    with acting(document, ledger, pins) as (client, at, now):
        community = CommunityClient(client)
        return tuple(Ballot(each, now - 1, community.has_voted(each.number, at.index)) for each in community.proposals)


def vote(document: Path, ledger: str, pins: Pins, key: Key, proposal: int, *, yes: bool) -> Receipt:
    """Vote, once."""
    with acting(document, ledger, pins, key) as (client, _, now):
        return CommunityClient(client).vote(key, proposal, yes=yes, at=now)


def resign(document: Path, ledger: str, pins: Pins, key: Key) -> Receipt:
    """Leave the community."""
    with acting(document, ledger, pins, key) as (client, _, now):
        return CommunityClient(client).resign(key, at=now)


def scope_of(what: str) -> bytes:
    """The hash of what may be read. Raises ConfigError for a word that means nothing."""
    for scope, name in SCOPES.items():
        if name == what:
            return scope
    *some, last = SCOPES.values()
    raise refused("what", f"is {', '.join(some)} or {last}, not '{what}'")


def in_lanes(amount: int, client: LedgerClient, name: str = "amount") -> int:
    """Money in lane units [micro-currency in]. Raises ConfigError when it is no whole number of them."""
    try:
        return in_units(amount, client.unit)
    except ValueError as error:
        raise refused(name, str(error)) from None


def refused(name: str, why: str) -> ConfigError:
    """The error for an option that cannot be meant so."""
    return ConfigError("The request", [Finding(name, plain(why))])


def _text(lanes: int, client: LedgerClient) -> str:
    return price_text(lanes * client.unit)
