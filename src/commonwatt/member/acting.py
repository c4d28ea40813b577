"""What a member does with its own key and its bill beside objections: pay in, accept a meter, let others read,
vote, leave.

Where the contracts are stands in the bill, and nothing is sent on that word alone (`trust`). Methods of the contracts'
clients raise Reverted with the contract's reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from commonwatt import records
from commonwatt.errors import ConfigError, Finding, RecordError
from commonwatt.ledger.client.abi import COMMUNITY
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.membership import Grant, Member, Proposal, scope_of
from commonwatt.ledger.client.purse import PurseClient
from commonwatt.member.document import Named, named, read
from commonwatt.member.trust import Pins, account_of, opened, require_own, require_pinned
from commonwatt.plain import plain
from commonwatt.proof import Key, hash_struct, sign, verify
from commonwatt.records import Acceptance, Signed, strict_json
from commonwatt.records.schema import as_json, from_json, to_bytes
from commonwatt.units import in_units, price_text

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient
    from commonwatt.ledger.node import Receipt

_LONGEST: Final = 1 << 16
"""Bytes of a signed grant."""


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
    document: Path,
    ledger: str,
    pins: Pins,
    key: Key | None = None,
    *,
    reader: Key | None = None,
    anybody: bool = False,
) -> Iterator[tuple[LedgerClient, Named, int]]:
    """The contracts that a member's document names, the member with its present account, and the time for a
    transaction [unix s].

    reader, anybody : as for `opened`
    """
    at = named(read(document))
    with opened(at, [ledger], pins, key, reader=reader, anybody=anybody) as (client, _):
        yield client, replace(at, account=account_of(client, at)), client.node.now(client.node.head.timestamp) + 1


def deposit(document: Path, ledger: str, pins: Pins, key: Key, amount: int) -> Receipt:
    """Pay in from the member's own account [micro-currency]. Raises ConfigError for what it does not hold."""
    with acting(document, ledger, pins, key) as (client, at, now):
        purse, lanes = PurseClient(client), in_lanes(amount, client)
        held = purse.held(at.account) // client.terms.lane_unit
        if lanes > held:
            raise refused("amount", f"is more than the account holds outside the settlement, {_text(held, client)}")
        return purse.deposit(key, lanes, at=now)


def accept_meter(document: Path, ledger: str, pins: Pins, key: Key, meter: bytes) -> Receipt:
    """Take a meter [address] into service that was proposed to the member."""
    with acting(document, ledger, pins, key) as (client, _, now):
        return CommunityClient(client).accept_meter(key, meter, at=now)


def acceptance(document: Path, ledger: str, pins: Pins, key: Key, meter: bytes) -> bytes:
    """The member's signature for that, which anybody may bring."""
    with acting(document, ledger, pins, key) as (client, at, _):
        return sign(CommunityClient(client).domain, Acceptance(at.index, meter), key).signature


def grant(
    document: Path, ledger: str, pins: Pins, key: Key, to: bytes, what: str, until: int, *, span: bool
) -> tuple[int, Receipt]:
    """Let somebody [address] read; returns when that ends [unix s], too.

    what : a word of `SCOPES`; until : [unix s], or with `span` seconds from the chain's time on
    """
    scope = scope_of(what)
    with acting(document, ledger, pins, key) as (client, _, now):
        end = _end(until, now, span=span)
        return end, CommunityClient(client).grant_access(key, to, scope, end, at=now)


def withdraw_grant(document: Path, ledger: str, pins: Pins, key: Key, to: bytes, what: str) -> Receipt:
    """Take a grant back."""
    scope = scope_of(what)
    with acting(document, ledger, pins, key) as (client, _, now):
        return CommunityClient(client).withdraw_access(key, to, scope, at=now)


def sign_grant(
    document: Path, ledger: str, pins: Pins, key: Key, to: bytes, what: str, until: int | None, *, span: bool
) -> dict[str, Any]:
    """A grant for somebody who brings it, as JSON; nothing is sent. until None = takes back what was granted."""
    scope, named_ = scope_of(what), named(read(document))
    require_pinned(named_, pins)
    with acting(document, ledger, pins, reader=key) as (client, at, now):
        require_own(named_, at.account, key)
        community = CommunityClient(client)
        end = 0 if until is None else _end(until, now, span=span)
        signed = sign(community.domain, community.grant(at.index, to, scope, end), key)
    where = {"chainId": at.chain_id, "community": f"0x{at.community.hex()}"}
    return {**where, "grant": as_json(signed.record), "signature": f"0x{signed.signature.hex()}"}


def bring_grant(document: Path, ledger: str, pins: Pins, key: Key, file: Path) -> tuple[records.Grant, Receipt]:
    """Send what a member signed, with anybody's key.

    Raises RecordError for a file that holds no grant of this community, SignatureError when its member did not sign it.
    """
    at = named(read(document))
    given = _signed_grant(file, {"chainId": at.chain_id, "community": f"0x{at.community.hex()}"})
    with acting(document, ledger, pins, key, anybody=True) as (client, _, now):
        community, record = CommunityClient(client), given.record
        account = bytes(client.view(COMMUNITY, "accountOf", record.member)[0])
        verify(community.domain, given, account)
        return record, community.bring_grant(key, record, given.signature, at=now)


def _signed_grant(file: Path, where: Mapping[str, Any]) -> Signed[records.Grant]:
    try:
        with file.open("rb") as opened_:
            given = strict_json.loads(opened_.read(_LONGEST + 1), _LONGEST)
        if not isinstance(given, dict) or set(given) != {*where, "grant", "signature"}:
            raise RecordError("it has other parts.")
        if any(given[name] != value for name, value in where.items()):
            raise RecordError("it is for another chain or community.")
        record = from_json(records.Grant, given["grant"])
        return Signed(record, hash_struct(record), to_bytes(given["signature"], 65))
    except OSError as error:
        raise RecordError(f"{file} cannot be read: {error.strerror}.") from None
    except (ValueError, RecordError) as error:
        raise RecordError(f"{file} holds no signed grant of this community: {str(error).rstrip('.')}.") from None


def access(document: Path, ledger: str, pins: Pins, reader: Key | None = None) -> Access:
    """Who may read what of the member, and what it may read of others. reader : signs the questions"""
    with acting(document, ledger, pins, reader=reader) as (client, at, now):
        community = CommunityClient(client)
        given, received = community.grants(member=at.index), community.grants(grantee=at.account)
        return Access(given, received, community.members, now - 1)


def ballots(document: Path, ledger: str, pins: Pins, reader: Key | None = None) -> tuple[Ballot, ...]:
    """All votes, oldest first. reader : signs the questions"""
    with acting(document, ledger, pins, reader=reader) as (client, at, now):
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


def _end(until: int, now: int, *, span: bool) -> int:
    """When a grant ends [unix s]. Raises ConfigError."""
    end = now + until if span else until
    if not now < end < 1 << 40:
        raise refused("until", "has passed" if end <= now else "is too far away")
    return end


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
