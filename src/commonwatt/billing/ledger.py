"""The community's chain where bills are on account: it holds who the members are, and a root for each month.

One chain over all months lies beside the books; or the community names a node, and it is that node's. The operator's
key is with the books in either case. Members that have no wallet are registered by a nominal address, of which nobody
has a key; nothing is paid on the chain, so nothing can be taken there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from commonwatt.accounts.on_account import nominal
from commonwatt.billing.contents import OnChain
from commonwatt.community.model import Community, Member
from commonwatt.community.roles import Role
from commonwatt.errors import LedgerError, Reverted, StoreError
from commonwatt.exchange.folder import remove, write_private
from commonwatt.exchange.founding import chain_id
from commonwatt.exchange.outbox import signatures
from commonwatt.exchange.sheets import ledger_of
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.settlement import Addresses, Enrolment, LedgerClient, Terms
from commonwatt.ledger.keyfile import new_key, read_key, write_key
from commonwatt.ledger.remote import RemoteNode
from commonwatt.member.card import Card, Place
from commonwatt.proof import Key, checksum_address
from commonwatt.records import Anchor

FILE: Final = "ledger.sqlite"
_KEY: Final = "operator.key"
_PLACE: Final = "ledger.json"
_ADDRESSES: Final = ("community", "settlement", "token")
_WEI: Final = 10**24
"""What the operator's account begins with, for its transactions."""


class Chain:
    """The chain while it is open for writing. operator : whose key signs everything"""

    def __init__(self, node: EmbeddedChain | RemoteNode, client: LedgerClient, operator: Key) -> None:
        self.node, self.client, self.operator = node, client, operator

    def enrol(self, community: Community, ids: Sequence[str], now: int) -> OnChain:
        """Register who is not known yet. ids : of members whose bills there are; now : [unix s]"""
        accounts, places = {id_: account_of(community, id_) for id_ in ids}, dict[str, int]()
        by_id = {member.id: member for member in community.members}
        fresh = [id_ for id_ in ids if self._number(accounts[id_]) is None]
        if fresh:
            enrolments = [Enrolment(accounts[id_], by_id[id_].role if id_ in by_id else Role.CONSUMER) for id_ in fresh]
            self.client.register(enrolments, at=self._after(now))
        for id_, account in accounts.items():
            number = self._number(account)
            if number is None:
                raise LedgerError(f"The chain knows no member at {checksum_address(account)}, the account of {id_}.")
            places[id_] = number
        return OnChain(ledger_of(self.client), accounts, places)

    def anchor(self, start: int, until: int, root: bytes, now: int) -> None:
        """Fix the root of a month's bills, once. Raises LedgerError when there are others."""
        if not self.holds(start, until, root):
            period = Anchor(start, until, root)
            self.client.anchor(period, signatures(self.client.domain, period, [self.operator]), at=self._after(now))

    def holds(self, start: int, until: int, root: bytes) -> bool:
        """Whether the root of a month's bills is fixed. Raises LedgerError when that of others is."""
        held = self.client.anchored(start, until)
        if held not in (None, root):
            raise LedgerError(
                "The chain holds other bills of this month than the books; put issued.json of the month back, as it "
                "was sent."
            )
        return held is not None

    def cards(self, community: Community, on: OnChain) -> dict[str, Card]:
        """The membership card of each member, by its id."""
        place, by_id = Place.founded(self.client), {member.id: member for member in community.members}
        return {
            id_: Card(place, community.name, number, id_, on.accounts[id_], meters_of(community.name, by_id.get(id_)))
            for id_, number in on.places.items()
        }

    def _number(self, account: bytes) -> int | None:
        try:
            return self.client.member_of(account)
        except Reverted:
            return None

    def _after(self, now: int) -> int:
        return max(now, self.node.head.timestamp + 1)


def account_of(community: Community, id_: str) -> bytes:
    """A member's address: its wallet, or the nominal one."""
    wallet = next((member.wallet for member in community.members if member.id == id_), None)
    return wallet or nominal(community.name, id_)


def meters_of(community: str, member: Member | None) -> tuple[bytes, ...]:
    """The nominal addresses of a member's registers."""
    names = [name for point in (member.points if member else ()) for name in (point.draws, point.feeds) if name]
    return tuple(nominal(community, "register", name) for name in names)


@contextmanager
def opened(folder: Path, community: Community, ledger: str, now: int) -> Iterator[Chain]:
    """The chain of the books in the folder; founded where there is none yet.

    ledger : "embedded", a chain in the folder, or the URL of a node; now : [unix s]
    Raises StoreError when only half of it is there, LedgerError when it cannot be used.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place, key_file = folder / _PLACE, folder / _KEY
    operator = read_key(key_file) if key_file.exists() else new_key()
    if not key_file.exists():
        if place.exists():
            raise StoreError(f"{key_file} is missing; put it back: it signs for the chain that {place} names.")
        write_key(key_file, operator)
    found = _embedded if ledger == "embedded" else partial(_remote, ledger)
    with closing(found(folder, community, operator, now)) as node:
        known = _known(node, operator, place) if place.exists() else None
        if known and not node.code(known.addresses.settlement):
            raise LedgerError(
                f"{ledger} does not hold the contracts of these books; is it another chain, or begun anew?"
            )
        client = known or _found(node, community, operator, now)
        if not known:
            at = {name: getattr(client.addresses, name).hex() for name in _ADDRESSES}
            write_private(place, json.dumps(at))
        yield Chain(node, client, operator)


def _embedded(folder: Path, community: Community, operator: Key, now: int) -> EmbeddedChain:
    """The chain in the folder."""
    file, place = folder / FILE, folder / _PLACE
    if not place.exists():
        remove(file)  # killed before the community was founded: nothing of value is in it yet
    elif not file.exists():
        raise StoreError(f"{file} is missing; put it back: {place} says what is on it.")
    founded = place.exists()
    return EmbeddedChain(file, None if founded else Genesis(chain_id(community), {operator.address: _WEI}, now - 1))


def _remote(url: str, folder: Path, community: Community, operator: Key, _: int) -> RemoteNode:
    """The node, on which the operator can pay for its transactions."""
    node = RemoteNode(url, depth=community.ledger.confirmations)
    try:
        node.drain(operator.address)
        if node.settable:
            node.fund(operator.address, _WEI)
        elif not node.balance(operator.address):
            raise LedgerError(
                f"{checksum_address(operator.address)} has nothing at {url} to pay for transactions with; it is the "
                f"account of {folder / _KEY}: send it ether, or put the key of one there that has some, and try again."
            )
    except BaseException:
        node.close()
        raise
    return node


def _known(node: EmbeddedChain | RemoteNode, operator: Key, place: Path) -> LedgerClient:
    try:
        said = json.loads(place.read_text(encoding="utf-8"))
        addresses = Addresses(*(bytes.fromhex(said[name]) for name in _ADDRESSES))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{place} cannot be read: {error}.") from None
    return LedgerClient(node, operator, addresses)


def _found(node: EmbeddedChain | RemoteNode, community: Community, operator: Key, now: int) -> LedgerClient:
    """The contracts, with no member yet, and no token that anybody could ask for."""
    terms = Terms(lane_unit=community.unit, slot_seconds=community.slot_seconds, window=0, grace=3600, answer_time=0)
    token = (f"{community.name} {community.currency}", community.currency)
    return LedgerClient.deploy(
        node,
        operator,
        operators=[operator.address],
        threshold=1,
        config=community.digest,
        members=[],
        terms=terms,
        token=token,
        at=now,
    )
