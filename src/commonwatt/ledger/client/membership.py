"""What a community's contract keeps: members with their meters and devices, votes, grants; and how events tell of them.

Times are unix seconds, addresses 20 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from commonwatt.community.roles import Role
from commonwatt.errors import ConfigError, Finding, LedgerError
from commonwatt.ledger.client.abi import Event
from commonwatt.ledger.node import ZERO_ADDRESS
from commonwatt.proof import keccak
from commonwatt.records import ZERO_HASH

SCOPES = {keccak(name.encode()): name for name in ("readings", "bills", "forecast", "watch")}
"""What a member can let others read, by the hash that the chain keeps."""


def scope_of(what: str) -> bytes:
    """The hash of what may be read. Raises ConfigError for a word that means nothing."""
    for scope, name in SCOPES.items():
        if name == what:
            return scope
    *some, last = SCOPES.values()
    raise ConfigError("The request", [Finding("what", f"is {', '.join(some)} or {last}, not '{what}'")])


class Kind(IntEnum):
    """What a device is; a grid link joins the community to the public grid."""

    NONE = 0
    LOAD = 1
    GENERATOR = 2
    STORAGE = 3
    GRID_LINK = 4


@dataclass(frozen=True)
class Member:
    """A member.

    account : address; active : it neither left nor is suspended

    meters : in service [addresses]; proposed : not accepted by the member [addresses]
    """

    index: int
    account: bytes
    role: Role
    active: bool = True
    meters: tuple[bytes, ...] = ()
    proposed: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Device:
    """A device in service.

    address : of its key; member : index of who answers for it
    common : it is property of all members together
    meter : address of the one that measures it alone; None = it has none of its own
    """

    address: bytes
    member: int
    kind: Kind
    common: bool
    meter: bytes | None


@dataclass(frozen=True)
class Rules:
    """Which rules hold as far as a contract can know (Vangulick, Cornélusse and Ernst, PSCC 2018)."""

    grid_link: bool
    own_meters: bool
    watched: bool
    common_generators: bool


@dataclass(frozen=True)
class Parameters:
    """What members may change by vote: threshold of operators, turnout [%], voting and recovery time [s]."""

    threshold: int
    turnout: int
    voting_time: int
    recovery_time: int
    operators: int


@dataclass(frozen=True)
class Change:
    """What a vote changes: as in `Parameters`, and an operator to admit or remove [address]; zero = it stays.

    charter : digest of a new community file, and the first slot for which it holds [unix s]
    """

    admitted: bytes = ZERO_ADDRESS
    threshold: int = 0
    turnout: int = 0
    voting_time: int = 0
    recovery_time: int = 0
    removed: bytes = ZERO_ADDRESS
    charter: bytes = ZERO_HASH
    charter_from: int = 0


@dataclass(frozen=True)
class Proposal:
    """A vote. voters : members with a lower index may vote; electorate : how many of them were active"""

    number: int
    change: Change
    closes_at: int
    executed: bool
    voters: int
    electorate: int
    yes: int
    no: int


@dataclass(frozen=True)
class Grant:
    """What a member let somebody read.

    member : index; grantee : address
    scope : what may be read, 32 bytes
    until : when the grant ends [unix s]
    valid : whether it holds at the head; not when it ended or was withdrawn
    """

    member: int
    grantee: bytes
    scope: bytes
    until: int
    valid: bool


@dataclass(frozen=True)
class Replacement:
    """A lost account that is to be replaced: the member's index, its new account, and from when on [unix s]."""

    member: int
    account: bytes
    from_: int


@dataclass
class Told:
    """What the events tell.

    members : by index; devices : in service, by address
    grants : when the last grant ends [unix s], by member, grantee and scope; withdrawn ones too
    """

    members: list[Member] = field(default_factory=list)
    devices: dict[bytes, Device] = field(default_factory=dict)
    grants: dict[tuple[int, bytes, bytes], int] = field(default_factory=dict)


def told_by(events: Iterable[Event]) -> Told:
    """What the events of a community tell, oldest first. Raises LedgerError when they contradict each other."""
    found = Told()
    for event in events:
        try:
            _note(found, event.name, event.arguments)
        except (LookupError, ValueError):
            raise LedgerError(f"The node's events contradict each other: {event.name} of what is not there.") from None
    return found


def _note(found: Told, name: str, told: Mapping[str, Any]) -> None:
    """What one event changes. Raises LookupError or ValueError when it fits nothing."""
    members, index = found.members, told.get("member", 0)
    match name:
        case "MemberRegistered":
            if index != len(members):
                raise ValueError(index)
            members.append(Member(index, bytes(told["account"]), Role(told["role"])))
        case "AccountReplaced":
            members[index] = replace(members[index], account=bytes(told["account"]))
        case "StandingChanged":
            members[index] = replace(members[index], active=told["active"])
        case "MeterProposed":
            _withdraw(members, bytes(told["meter"]))
            members[index] = replace(members[index], proposed=(*members[index].proposed, bytes(told["meter"])))
        case "MeterRegistered":
            _withdraw(members, bytes(told["meter"]))
            members[index] = replace(members[index], meters=(*members[index].meters, bytes(told["meter"])))
        case "MeterRevoked":
            left = [meter for meter in members[index].meters if meter != told["meter"]]
            members[index] = replace(members[index], meters=tuple(left))
        case "DeviceRegistered":
            address, meter = bytes(told["device"]), bytes(told["meter"])
            of_its_own = None if meter == ZERO_ADDRESS else meter
            found.devices[address] = Device(address, index, Kind(told["kind"]), told["common"], of_its_own)
        case "DeviceRevoked":
            del found.devices[bytes(told["device"])]
        case "AccessGranted":
            found.grants[index, bytes(told["grantee"]), bytes(told["scope"])] = told["until"]


def _withdraw(members: list[Member], meter: bytes) -> None:
    """A meter is proposed to nobody: another proposal, or its service, takes the place of the one before."""
    for member in members:
        if meter in member.proposed:
            left = tuple(each for each in member.proposed if each != meter)
            members[member.index] = replace(member, proposed=left)
