"""Who belongs to a community and what they decide: the contract `Community`, spoken to through any node.

Members, meters and devices are read from events, in one pass, and compared with what the contract counts; votes and
grants are asked of the contract itself. Times are unix seconds. Methods that send raise Reverted with the contract's
custom error, or LedgerError. `at` is as in `client`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

from commonwatt import records
from commonwatt.errors import LedgerError
from commonwatt.ledger.client.abi import COMMUNITY, contract, decode_event
from commonwatt.ledger.client.membership import (
    Change,
    Device,
    Grant,
    Member,
    Parameters,
    Proposal,
    Replacement,
    Rules,
    Told,
    told_by,
)
from commonwatt.ledger.client.quorum import ascending
from commonwatt.ledger.client.settlement import Enrolment, LedgerClient
from commonwatt.ledger.node import ZERO_ADDRESS, Receipt
from commonwatt.proof import Domain, Key, checksum_address, keccak
from commonwatt.records import Acceptance, Recovery, Standing
from commonwatt.records.schema import Record, schema

_MOST_VOTES = 100_000
_PROPOSED = keccak(b"Proposed(uint256,uint32,(address,uint8,uint8,uint40,uint40,address,bytes32,uint64),uint40,uint32)")


class CommunityClient:
    """The community of a ledger's settlement. `ledger.addresses.community` says where it is."""

    def __init__(self, ledger: LedgerClient) -> None:
        self.ledger = ledger
        self.address = ledger.addresses.community
        self.domain = Domain(ledger.node.chain_id, self.address)
        """What the signatures of a Standing, Recovery, Grant or Acceptance are bound to."""
        self._seen: tuple[bytes, Told] = b"", Told()
        """The head and what was told until then."""

    # What an operator does alone

    def register(self, member: Enrolment, *, at: int) -> int:
        """Register a member with the ledger's key and give its account ether for its transactions; its index."""
        self.ledger.register([member], at=at)
        self.ledger.sender.endow([member.account], at + 1)
        return self.ledger.member_of(member.account)

    def register_meter(self, operator: Key, member: int, meter: bytes, *, at: int) -> Receipt:
        """Give a member its first meter [address], or propose one more, which the member takes into service."""
        return self._send(operator, "registerMeter", member, meter, doing="the registration of the meter", at=at)

    def serves(self, meter: bytes) -> bool:
        """Whether a meter [address] is in service."""
        return any(meter in member.meters for member in self._told().members)

    def revoke_meter(self, operator: Key, meter: bytes, *, at: int) -> Receipt:
        """Take a meter out of service, and with it the device that it measures alone."""
        return self._send(operator, "revokeMeter", meter, doing="the revocation of the meter", at=at)

    def register_device(self, operator: Key, device: Device, *, at: int) -> Receipt:
        """Let a device take part."""
        values = device.address, device.member, device.kind, device.common, device.meter or ZERO_ADDRESS
        return self._send(operator, "registerDevice", *values, doing="the registration of the device", at=at)

    def revoke_device(self, key: Key, device: bytes, *, at: int) -> Receipt:
        """Take a device [address] out of service: an operator may, or its member."""
        return self._send(key, "revokeDevice", device, doing="the revocation of the device", at=at)

    # What a quorum of operators signs, in `domain`, and any key brings

    def standing(self, member: int, *, active: bool) -> Standing:
        """What operators sign to suspend a member, or to let it take part again."""
        return Standing(member, int(active), self._records(member))

    def set_standing(self, key: Key, standing: Standing, signatures: Sequence[bytes], *, at: int) -> Receipt:
        """Suspend a member or let it take part again."""
        return self._bring(key, "setStanding", standing, signatures, doing="the change of standing", at=at)

    def recovery(self, member: int, account: bytes) -> Recovery:
        """What operators sign so that a member that lost its key gets another account [address]."""
        return Recovery(member, account, self._records(member))

    def start_recovery(self, key: Key, recovery: Recovery, signatures: Sequence[bytes], *, at: int) -> Receipt:
        """Begin the time in which the member can object to its new account."""
        return self._bring(key, "startRecovery", recovery, signatures, doing="the recovery", at=at)

    def recover(self, key: Key, member: int, *, at: int) -> Receipt:
        """Replace a member's account after the time for objections. Any key may."""
        return self._send(key, "recover", member, doing="the recovery", at=at)

    # What a member signs, in `domain`, and any key brings

    def grant(self, member: int, grantee: bytes, scope: bytes, until: int) -> records.Grant:
        """What a member signs to let somebody [address] read until then [unix s]; until 0 = to take that back."""
        return records.Grant(member, grantee, scope, until, int(self.ledger.view(COMMUNITY, "grantsOf", member)[0]))

    def bring_grant(self, key: Key, grant: records.Grant, signature: bytes, *, at: int) -> Receipt:
        """Grant or take back what a member signed, once. signature : of its account, 65 bytes"""
        doing = "the grant" if grant.until else "the withdrawal of the grant"
        return self._send(key, "grantAccessBySignature", _fields(grant), signature, doing=doing, at=at)

    def bring_acceptance(self, key: Key, acceptance: Acceptance, signature: bytes, *, at: int) -> Receipt:
        """Take a meter into service as its member signed. Any key may."""
        values = (acceptance.member, acceptance.meter), signature
        return self._send(key, "acceptMeterBySignature", *values, doing="the acceptance of the meter", at=at)

    # What a member does with its own key

    def accept_meter(self, member: Key, meter: bytes, *, at: int) -> Receipt:
        """Take a meter [address] into service that was proposed to the member."""
        return self._send(member, "acceptMeter", meter, doing="the acceptance of the meter", at=at)

    def resign(self, member: Key, *, at: int) -> Receipt:
        """Leave. The balance can still be withdrawn."""
        return self._send(member, "resign", doing="the resignation", at=at)

    def refuse_recovery(self, member: Key, *, at: int) -> Receipt:
        """Object to the replacement of the member's account."""
        return self._send(member, "refuseRecovery", doing="the objection to the recovery", at=at)

    def grant_access(self, member: Key, grantee: bytes, scope: bytes, until: int, *, at: int) -> Receipt:
        """Let somebody [address] read something of the member, a scope such as in `SCOPES`, until then [unix s]."""
        return self._send(member, "grantAccess", grantee, scope, until, doing="the grant", at=at)

    def withdraw_access(self, member: Key, grantee: bytes, scope: bytes, *, at: int) -> Receipt:
        """Take a grant back, at once."""
        return self._send(member, "withdrawAccess", grantee, scope, doing="the withdrawal of the grant", at=at)

    def propose(self, member: Key, change: Change, *, at: int) -> int:
        """Open a vote; its number. Voters that left or are suspended do not count for the turnout."""
        absent = self._inactive_voters()
        data = contract(COMMUNITY).functions["propose"].encode(astuple(change), absent)
        receipt = self.ledger.send(member, self.address, data, "the proposal", at=at, kind="propose", items=len(absent))
        opened = (event for log in receipt.logs if (event := decode_event(log)) and event.name == "Proposed")
        for event in opened:
            return int(event.arguments["proposal"])
        raise LedgerError("The node shows no vote in the transaction that opened one.")

    def vote(self, member: Key, proposal: int, *, yes: bool, at: int) -> Receipt:
        """Vote, once."""
        return self._send(member, "vote", proposal, yes, doing="the vote", at=at)

    def execute(self, key: Key, proposal: int, *, at: int) -> Receipt:
        """Do what was decided. Any key may."""
        return self._send(key, "execute", proposal, doing="the execution of the vote", at=at)

    # What anybody may read

    @property
    def parameters(self) -> Parameters:
        """What holds at the head."""
        return Parameters(*map(int, self.ledger.view(COMMUNITY, "parameters")))

    @property
    def rules(self) -> Rules:
        """Which rules hold at the head."""
        (found,) = self.ledger.view(COMMUNITY, "rules")
        return Rules(*map(bool, found))

    @property
    def members(self) -> tuple[Member, ...]:
        """All members by index. Raises LedgerError when the contract has another number than its events tell."""
        found, count = self._told().members, self.ledger.member_count
        if len(found) != count:
            raise LedgerError(f"The community has {count} members, but its events tell of {len(found)}.")
        return tuple(found)

    @property
    def devices(self) -> tuple[Device, ...]:
        """All devices in service, oldest first. Raises LedgerError when the contract holds one otherwise."""
        found = tuple(self._told().devices.values())
        for device in found:
            member, kind, common, meter = self.ledger.view(COMMUNITY, "devices", device.address)
            if (member, kind, common, meter) != (
                device.member,
                device.kind,
                device.common,
                device.meter or ZERO_ADDRESS,
            ):
                raise LedgerError(
                    f"The contract holds {checksum_address(device.address)} otherwise than its events tell."
                )
        return found

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """All votes, oldest first."""
        logs = self.ledger.node.logs(0, self.ledger.node.head.number, self.address, _PROPOSED)
        if len(logs) > _MOST_VOTES:
            raise LedgerError(f"The node tells of {len(logs)} votes; no community has had above {_MOST_VOTES}.")
        return tuple(self.proposal(number) for number in range(len(logs)))

    def proposal(self, number: int) -> Proposal:
        """A vote by its number. Raises Reverted UnknownProposal."""
        (found,) = self.ledger.view(COMMUNITY, "proposalOf", number)
        (admitted, threshold, turnout, voting, recovery, removed, charter, from_), *rest = found
        admitted, removed = (bytes.fromhex(text[2:]) for text in (admitted, removed))  # addresses within a struct
        change = Change(admitted, threshold, turnout, voting, recovery, removed, charter, from_)
        return Proposal(number, change, *rest)

    def has_voted(self, number: int, member: int) -> bool:
        """Whether a member has voted."""
        return bool(self.ledger.view(COMMUNITY, "hasVoted", number, member)[0])

    def grants(self, *, member: int | None = None, grantee: bytes | None = None) -> tuple[Grant, ...]:
        """What was granted last, by one member or to one grantee [address]; the contract says whether it holds."""
        chosen = [
            (place, until)
            for place, until in self._told().grants.items()
            if member in (None, place[0]) and grantee in (None, place[1])
        ]
        return tuple(Grant(*place, until, self.has_access(*place)) for place, until in chosen)

    def has_access(self, member: int, grantee: bytes, scope: bytes) -> bool:
        """Whether somebody [address] may read this of a member at the head."""
        return bool(self.ledger.view(COMMUNITY, "hasAccess", member, grantee, scope)[0])

    def account_and_end(self, member: int, grantee: bytes, scope: bytes) -> tuple[bytes, int]:
        """A member's account [address], and when its grant to somebody [address] ends [unix s]; zeros for what is not.

        Both words are of one block, read from storage: to run the contract's code for them takes fifty times as long.
        """
        place, index = contract(COMMUNITY).place, member.to_bytes(32, "big")
        places = place("_members", index), place("_until", index, grantee.rjust(32, b"\0"), scope)
        account, until = self.ledger.node.storage(self.address, places)
        return account.to_bytes(32, "big")[-20:], until

    def replacement(self, member: int) -> Replacement | None:
        """The account that is to replace a member's; None when none is."""
        account, from_ = self.ledger.view(COMMUNITY, "replacements", member)
        return Replacement(member, bytes(account), int(from_)) if account != ZERO_ADDRESS else None

    def charter_at(self, slot: int) -> bytes:
        """Digest of the community file that holds for a slot [unix s]."""
        return bytes(self.ledger.view(COMMUNITY, "charterAt", slot)[0])

    # Inside

    def _records(self, member: int) -> int:
        return int(self.ledger.view(COMMUNITY, "recordsOf", member)[0])

    def _inactive_voters(self) -> list[int]:
        """Members that may not vote though they are long enough there."""
        now = self.ledger.node.now(self.ledger.node.head.timestamp)
        since = now - self.parameters.voting_time
        inactive = [member.index for member in self.members if not member.active]
        return [member for member in inactive if self.ledger.view(COMMUNITY, "registeredAt", member)[0] <= since]

    def _told(self) -> Told:
        """What all events tell until the head, read in one pass."""
        head = self.ledger.node.head
        if self._seen[0] != head.hash:
            logs = self.ledger.node.logs(0, head.number, self.address)
            self._seen = head.hash, told_by(event for log in logs if (event := decode_event(log)))
        return self._seen[1]

    def _bring(
        self, key: Key, function: str, record: Record, signatures: Sequence[bytes], *, doing: str, at: int
    ) -> Receipt:
        signed = ascending(self.domain, record, signatures)
        return self._send(key, function, _fields(record), signed, doing=doing, at=at)

    def _send(self, key: Key, function: str, *values: object, doing: str, at: int) -> Receipt:
        data = contract(COMMUNITY).functions[function].encode(*values)
        return self.ledger.send(key, self.address, data, doing, at=at)


def _fields(record: Record) -> tuple[object, ...]:
    """A record as the contract takes its struct."""
    return tuple(getattr(record, each.name) for each in schema(type(record)))
