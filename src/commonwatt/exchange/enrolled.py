"""The roster of a living community: the ledger tells who is registered, which meters are in service, who is suspended.

Names, buses and mandates are the exchange's own.

What the ledger told is kept in the store with its time, so that a slot has the same members whenever it is looked at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from commonwatt.accounts.document import no_mandate
from commonwatt.community.model import Community, Member
from commonwatt.community.roles import Role
from commonwatt.errors import RecordError, SequenceError
from commonwatt.exchange import rows, tables, writing
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.parties import filed
from commonwatt.exchange.roster import Present
from commonwatt.exchange.store import Store, add, following, put, set_values
from commonwatt.meter.protocol import InService
from commonwatt.proof import checksum_address
from commonwatt.records import Mandate, Signed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from commonwatt.ledger.client.abi import Event
    from commonwatt.ledger.client.settlement import LedgerClient

MOST_MANDATES: Final = 20
"""Of a member before one gate; each is kept."""
_FOLLOWED: Final = "followed_block"
"""Value of the run: the last block whose events the roster knows."""


class Enrolled:
    """See `roster.Roster`.

    community : as its file has it; its members, and those of the ledger that it does not have, are called as they were
        enrolled, or are told apart by their number
    """

    def __init__(self, store: Store, client: LedgerClient, community: Community) -> None:
        self.store, self.client, self.community = store, client, community
        self._known = _Known(store, client, community)

    def follow(self) -> bool:
        """Read what the ledger tells since it was asked last. Returns whether that was something."""
        from commonwatt.ledger.client.abi import decode_event

        node, first = self.client.node, int(self.store.values().get(_FOLLOWED, "-1")) + 1
        last = node.head.number
        if last < first:
            return False
        logs = node.logs(first, last, self.client.addresses.community)
        told = [(log.block, event) for log in logs if (event := decode_event(log))]
        times = {number: node.block(number).timestamp for number in {number for number, _ in told}}
        # What is heard of too late holds for the slots that are not settled yet: the others stay as they were.
        ended, closed = rows.last_ended(self.store), rows.last_closed(self.store)
        with self.store.transaction() as connection:
            for number, event in told:
                # What an account ordered counts until the last gate that has closed, as on the ledger.
                done = closed if event.name == "AccountReplaced" else ended
                earliest = done + self.community.slot_seconds if done >= 0 else 0
                _note(connection, event, max(times[number], earliest))
            set_values(connection, {_FOLLOWED: str(last)})
        if told:
            self._known = _Known(self.store, self.client, self.community)
        return bool(told)

    def name(self, account: bytes, id_: str, bus: str = "") -> None:
        """Keep what a member is called, and where it is connected, before the ledger has its account [address]."""
        with self.store.transaction() as connection:
            put(connection, tables.names, (account.hex(), id_, bus))
        self._known = _Known(self.store, self.client, self.community)

    def forget(self, account: bytes) -> bool:
        """Erase what a member is called; where it is connected the grid check needs. Returns whether that was kept."""
        c = tables.names.c
        known = self.store.ask(select(tables.names).where(c.account == account.hex(), c.id != ""))
        for row in known:
            self.name(account, "", row.bus)
        return bool(known)

    def file(self, signed: Signed[Mandate], since: int) -> None:
        """Keep a mandate that holds from the slot `since` [unix s] on, in the place of the member's earlier one.

        Raises SignatureError or RecordError when it is not its member's own, cannot hold from then on, or is one too
        many for one gate; SequenceError when it is not newer.
        """
        filed([signed], self.community, self.client.domain)
        present = self.at(since)
        index = next((n for n, each in enumerate(present.mandates) if each.record.member == signed.record.member), None)
        if index is None:
            raise RecordError("The mandate's member is not registered here.")
        if signed.record.nonce <= (last := self._known.nonce(signed.record.member)):
            raise SequenceError(
                f"The mandate's nonce {signed.record.nonce} is not above {last}, that of the one before."
            )
        if len(self.store.columns(tables.mandates, ("number",), member=index, since=since)) >= MOST_MANDATES:
            raise RecordError(
                f"The member gave {MOST_MANDATES} mandates before this gate; give another when it closed."
            )
        if not signed.record.valid_from <= since < signed.record.valid_until:
            raise RecordError(f"The mandate does not hold when slot {since} begins.")
        # What was settled or ordered under the one before stays under that.
        if since <= (last := max(rows.last_ended(self.store), rows.last_ordered(self.store, signed.record.member))):
            raise RecordError(f"The mandate can hold from slots after {last} on: until then the member has traded.")
        with self.store.transaction() as connection:
            writing.write_mandate(connection, index, signed, since)
        self._known = _Known(self.store, self.client, self.community)

    def adopt(self, signed: Signed[Mandate], since: int) -> None:
        """Keep a mandate that another exchange of the community keeps and that holds there from the slot `since`
        [unix s] on; nothing that is settled here may come under it.

        Raises SignatureError or RecordError when it is not a member's own, or comes too late; SequenceError when it is
        not newer than those that are kept.
        """
        filed([signed], self.community, self.client.domain)
        account = signed.record.member
        index = next((row.member for row in self.store.rows(tables.standing) if row.account == account), None)
        if index is None:
            raise RecordError(f"{checksum_address(account)} has a mandate there, and is no member on the ledger.")
        if signed.record.nonce <= self._known.nonce(account):
            raise SequenceError(f"The mandate of {checksum_address(account)} is older than one that is kept.")
        if since <= rows.last_ended(self.store):
            raise RecordError(f"A mandate of {checksum_address(account)} comes after slot {since} was settled here.")
        with self.store.transaction() as connection:
            writing.write_mandate(connection, index, signed, since)
        self._known = _Known(self.store, self.client, self.community)

    def kept(self, signed: Signed[Mandate]) -> int | None:
        """From which slot [unix s] on this very mandate holds, signature and all; None where it is not kept."""
        c = tables.mandates.c
        found = self.store.ask(select(c.since).where(c.hash == signed.hash, c.signature == signed.signature))
        return int(found[0].since) if found else None

    def at(self, slot: int) -> Present:
        """See `Roster`."""
        return self._known.at(slot)

    def number_of(self, account: bytes, now: int) -> int | None:
        """The number of whose account [address] it is at `now` [unix s]; standing does not matter."""
        present = self.at(now).mandates
        return next((number for number, each in enumerate(present) if each.record.member == account), None)

    def service(self, meter: bytes) -> tuple[int, InService] | None:
        """Whose meter [address] it is, by number, and when it is in service; None where the ledger has none such."""
        return self._known.service.get(meter)

    def in_service(self, instant: int) -> list[bytes]:
        """The meters [addresses] that are in service then [unix s]."""
        return [meter for meter in self.at(instant).meters if meter != NO_METER]

    @property
    def members(self) -> tuple[Member, ...]:
        """All that ever were, by number."""
        return self._known.members


class _Known:
    """What the store knows of the roster, until it changes."""

    def __init__(self, store: Store, client: LedgerClient, community: Community) -> None:
        self.store, self.client, self.community = store, client, community
        self._standing = store.rows(tables.standing)
        self._service = store.rows(tables.service)
        self._mandates = store.rows(tables.mandates)
        changes = {row.since for row in (*self._standing, *self._service, *self._mandates)}
        changes |= {row.until for row in self._service if row.until} | {row.valid_until for row in self._mandates}
        self._changes = sorted(changes)
        self._presents: dict[int, Present] = {}

    def at(self, slot: int) -> Present:
        place = bisect_right(self._changes, slot)
        if place not in self._presents:
            self._presents[place] = self._present(self._changes[place - 1] if place else -1)
        return self._presents[place]

    def _present(self, instant: int) -> Present:
        standing = {row.member: row for row in self._standing if row.since <= instant}
        accounts = {number: row.account for number, row in standing.items()}
        mandates = {
            row.member: rows.mandate_of(row)
            for row in self._mandates
            if row.since <= instant and row.account == accounts.get(row.member)
        }
        # One that is over stands for none, and none before it comes back.
        mandates = {number: each for number, each in mandates.items() if instant < each.record.valid_until}
        meters = {
            row.member: row.meter
            for row in self._service
            if row.since <= instant and (not row.until or instant < row.until)
        }
        given = [mandates.get(number) or no_mandate(accounts[number]) for number in range(len(standing))]
        suspended = frozenset(number for number, row in standing.items() if not row.active)
        in_service = [meters.get(number, NO_METER) for number in range(len(standing))]
        return Present.of(given, in_service, self.community, self.client.domain, suspended)

    def nonce(self, account: bytes) -> int:
        """Of the last mandate that an account [address] gave; 0 where it gave none."""
        return max((row.nonce for row in self._mandates if row.account == account), default=0)

    @cached_property
    def service(self) -> Mapping[bytes, tuple[int, InService]]:
        """By address: whose meter it is and when it is in service."""
        return {row.meter: (row.member, InService(row.meter, row.since, row.until or None)) for row in self._service}

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """All that ever were, by number."""
        names = {bytes.fromhex(row.account): row for row in self.store.rows(tables.names)}
        first = {row.member: row for row in reversed(self._standing)}
        found = []
        for number, row in sorted(first.items()):
            name, files = names.get(row.account), self.community.members
            id_, bus = (name.id, name.bus or None) if name else ("", None)
            if number < len(files):
                its = files[number]
                found.append(replace(its, id=id_ or its.id, bus=bus or its.bus))
                continue
            role, meter = Role(row.role), next((each.meter for each in self._service if each.member == number), None)
            id_ = id_ or f"member-{number}"
            found.append(Member(number, id_, None, bus=bus, wallet=row.account, meter=meter, role=role))
        return tuple(found)


def _note(connection: Connection, event: Event, at: int) -> None:
    """Keep what an event told at `at` [unix s]."""
    told = event.arguments
    match event.name:
        case "MemberRegistered":
            put(connection, tables.standing, (told["member"], at, told["role"], True, bytes(told["account"])))
        case "StandingChanged" | "AccountReplaced":
            last = rows.last_standing(connection, told["member"])
            account = bytes(told["account"]) if event.name == "AccountReplaced" else last.account
            active = told.get("active", bool(last.active))
            put(connection, tables.standing, (told["member"], at, last.role, active, account))
        case "MeterRegistered":
            number = following(connection, tables.service, "number")
            add(connection, tables.service, [(number, told["member"], at, 0, bytes(told["meter"]))])
        case "MeterRevoked":
            writing.end_service(connection, bytes(told["meter"]), at)
