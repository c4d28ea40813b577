"""Whom a member believes when it looks at a document: the chain's nodes, and whoever runs the contracts.

A document names its contracts itself, and anybody can found others of the same name. So a member says what it knows
from elsewhere (`Pins`); what is believed beyond that is told (`Trust`), and nothing is sent to strangers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from typing import Any

from commonwatt.errors import LedgerError
from commonwatt.ledger.agreeing import AgreeingNodes
from commonwatt.ledger.client.abi import COMMUNITY
from commonwatt.ledger.client.code import Contracts
from commonwatt.ledger.client.governance import Governance, governance
from commonwatt.ledger.client.settlement import Addresses, LedgerClient
from commonwatt.ledger.node import Node
from commonwatt.ledger.opening import different, open_to_read, open_to_write
from commonwatt.member.card import Card, Place
from commonwatt.member.document import Named
from commonwatt.member.page import require
from commonwatt.proof import Key, checksum_address, keccak

_NOBODY = Key(b"\x01" * 32)
"""Signs nothing."""
_WATCH = keccak(b"watch")
"""The scope of a grant to whoever may demand in the member's stead."""


@dataclass(frozen=True)
class Pins:
    """What a member knows of its community from elsewhere than the document; None = not known.

    contract : address of its Settlement
    operators : addresses of all its operators
    config : digest of its file, which its contract has to know as a charter of any time. Anybody can found another
        community with the same file, so this tells what holds there and not whose it is.
    card : its membership card
    """

    contract: bytes | None = None
    operators: frozenset[bytes] | None = None
    config: bytes | None = None
    card: Card | None = None

    @property
    def whose(self) -> bool:
        """Whether they tell who runs the contracts."""
        return any(each is not None for each in (self.contract, self.operators, self.card))


@dataclass(frozen=True)
class Trust:
    """What was believed.

    ledgers : nodes and files that were asked; pins : what the member knew; account : its own
    place : chain and contracts; release : whose these are, see `code.Contracts`
    """

    ledgers: tuple[str, ...]
    place: Place
    settlement: bytes
    account: bytes
    governance: Governance
    pins: Pins
    release: str

    @property
    def chain_id(self) -> int:
        """The number that every transaction of the chain is signed for."""
        return self.place.chain_id

    @property
    def source(self) -> str:
        """Where the contracts were taken from, as the end of a sentence."""
        if self.pins.card:
            return "under the contracts of your card"
        if self.pins.whose:
            return "under the contracts that you named"
        return "under contracts that were taken from the document itself"

    def as_json(self) -> dict[str, Any]:
        """The same for a program."""
        gov = self.governance
        return {
            "ledgers": list(self.ledgers),
            "chainId": self.chain_id,
            "genesis": f"0x{self.place.genesis.hex()}",
            "settlement": checksum_address(self.settlement),
            "community": checksum_address(gov.community),
            "release": self.release,
            "operators": [*map(checksum_address, gov.operators)],
            "threshold": gov.threshold,
            "config": f"0x{gov.config.hex()}",
            "account": checksum_address(self.account),
            "pinned": [field.name for field in fields(self.pins) if getattr(self.pins, field.name) is not None],
        }

    def __str__(self) -> str:
        gov = self.governance
        operators = ", ".join(map(checksum_address, gov.operators))
        return (
            f"Believed: {' and '.join(self.ledgers)} about chain {self.chain_id} with block 0 "
            f"0x{self.place.genesis.hex()}; Settlement "
            f"{checksum_address(self.settlement)} of Community {checksum_address(gov.community)}, "
            f"with the code of {self.release}, where {gov.threshold} of these operators sign: {operators}; "
            f"the member's account {checksum_address(self.account)}."
        )


@contextmanager
def opened(
    at: Named,
    ledgers: Sequence[str],
    pins: Pins,
    key: Key | None = None,
    *,
    reader: Key | None = None,
    anybody: bool = False,
    watching: bool = False,
) -> Iterator[tuple[LedgerClient, Trust]]:
    """The contracts that a document names, when nothing speaks against them.

    ledgers : URLs of nodes, or files; several must give the same answers, and one that is named twice counts once
    key : of the member's present account, for transactions; None = the chain is only asked
    reader : without `key`, signs the questions, for nodes that answer members only
    anybody : the key may be another's
    watching : it may be of an account that holds the member's grant to watch
    Raises LedgerError when a chain cannot be asked or the key is not the member's, and VerificationError when chain or
    contracts are others than the member knows, are no release's, name others, or would be sent to on the document's
    word alone.
    """
    if key is not None:
        require_pinned(at, pins)
    if pins.card:
        pins.card.require_place(at)
        if not (anybody or watching):
            pins.card.require_own(at)
    with ExitStack() as stack:
        ledgers = different(ledgers)
        node = _node(ledgers, stack, key, reader)
        same, where = node.chain_id == at.chain_id, " and ".join(ledgers)
        require(same, f"The document belongs to chain {at.chain_id}, {where} is chain {node.chain_id}.")
        client = LedgerClient(node, key or _NOBODY, Addresses(at.community, at.settlement))
        trust = _trusted(client, at, ledgers, pins)
        if key is not None and not anybody:
            try:
                require_own(at, account_of(client, at), key)
            except LedgerError as error:
                if not watching:
                    raise
                if not client.view(COMMUNITY, "hasAccess", at.index, key.address, _WATCH)[0]:
                    raise LedgerError(f"{error} It holds no grant of that member to watch either.") from None
        yield client, trust


def account_of(client: LedgerClient, at: Named) -> bytes:
    """The account of the document's member [address]: the document's, or the one that replaced it since.

    Raises Reverted or VerificationError when the document's never was that member's.
    """
    ever = int(client.view(COMMUNITY, "everMemberOf", at.account)[0])
    require(ever == at.index, "The chain knows another member at the document's account.")
    return bytes(client.view(COMMUNITY, "accountOf", at.index)[0])


def require_own(at: Named, account: bytes, key: Key) -> None:
    """Raise LedgerError unless the key is that of the member's present account [address]."""
    if key.address != account:
        whose = "the document is of" if account == at.account else "the member's account is now"
        raise LedgerError(f"The key is that of {checksum_address(key.address)}, {whose} {checksum_address(account)}.")


def require_pinned(at: Named, pins: Pins) -> None:
    """Raise VerificationError unless the member knows from elsewhere whose contracts these are."""
    require(
        pins.whose,
        f"Nothing is sent: only the document says that {checksum_address(at.settlement)} is your community's contract. "
        "Name your card with --card, the contract that you know with --contract, or its operators with --operators.",
    )


def _node(ledgers: Sequence[str], stack: ExitStack, key: Key | None, reader: Key | None) -> Node:
    opener = open_to_write if key else open_to_read
    nodes = {each: stack.enter_context(opener(each, key or reader)) for each in ledgers}
    return next(iter(nodes.values())) if len(nodes) == 1 else AgreeingNodes(nodes)


def _trusted(client: LedgerClient, at: Named, ledgers: tuple[str, ...], pins: Pins) -> Trust:
    settlement = checksum_address(at.settlement)
    known = pins.contract in (None, at.settlement)
    require(known, f"The document is of another community: it names the contract {settlement}, which is not yours.")
    contracts = Contracts(client.node, at.settlement)
    found = governance(client)
    require(found.community == at.community, f"The document names another Community than {settlement} has.")
    others = pins.operators is not None and pins.operators != frozenset(found.operators)
    operators = ", ".join(map(checksum_address, found.operators))
    require(not others, f"Others run the contract {settlement} than you named: {operators}.")
    same = pins.config is None or any(each.digest == pins.config for each in found.charters)
    require(same, f"The contract {settlement} was founded with another community's file, or another version of it.")
    place = Place.of(client.node, contracts)
    if pins.card:
        pins.card.require_same(place)
    return Trust(ledgers, place, at.settlement, at.account, found, pins, contracts.release)
