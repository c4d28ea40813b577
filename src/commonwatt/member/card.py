"""The membership card: what a member is given when it is enrolled, so that it knows its community's bills from others'.

A bill names chain and contracts itself, and anybody can make up a community of the same name, with the same homes and
another chain. The card says which chain it is, by its number and its block 0, which contracts with which code, and
which account and meters are the member's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from commonwatt.accounts.document import hex_text
from commonwatt.errors import LedgerError, RecordError, VerificationError
from commonwatt.ledger.client.abi import COMMUNITY, DEMANDS, DISPUTES, SETTLEMENT, TOKEN
from commonwatt.ledger.client.code import Contracts
from commonwatt.ledger.node import ZERO_ADDRESS
from commonwatt.member.page import require, table
from commonwatt.proof import checksum_address, keccak
from commonwatt.records import strict_json
from commonwatt.records.schema import to_bytes

if TYPE_CHECKING:
    from commonwatt.ledger.client.membership import Member
    from commonwatt.ledger.client.settlement import LedgerClient
    from commonwatt.ledger.node import Node
    from commonwatt.member.document import Named

FORMAT: Final = "commonwatt-card/1"
_LONGEST: Final = 1 << 16
"""Bytes of a card: a thousand meters."""
_CARD: Final = ("format", "community", "chainId", "genesis", "contracts", "member")
_MEMBER: Final = ("index", "id", "account", "meters")


@dataclass(frozen=True)
class Deployed:
    """A contract as it stands on a chain. address; code : hash of its code"""

    address: bytes
    code: bytes


@dataclass(frozen=True)
class Place:
    """Where a community is: the chain, by its number and the hash of its block 0, and the contracts by name."""

    chain_id: int
    genesis: bytes
    contracts: Mapping[str, Deployed]

    @classmethod
    def founded(cls, client: LedgerClient) -> Place:
        """The place of contracts as whoever founded them made them: nothing is compared."""
        at, node = client.addresses, client.node
        names = (SETTLEMENT, COMMUNITY, DISPUTES, DEMANDS)
        addresses = dict(zip(names, (at.settlement, at.community, client.disputes, client.demands), strict=True))
        if at.token != ZERO_ADDRESS:
            addresses[TOKEN] = at.token
        deployed = {name: Deployed(each, keccak(node.code(each))) for name, each in addresses.items()}
        return cls(node.chain_id, node.block(0).hash, deployed)

    @classmethod
    def of(cls, node: Node, contracts: Contracts) -> Place:
        """The place of contracts that were looked at on this node."""
        deployed = {name: Deployed(at, contracts.codes[name]) for name, at in contracts.addresses.items()}
        return cls(node.chain_id, node.block(0).hash, deployed)


@dataclass(frozen=True)
class Card:
    """A member's card.

    community, id : names of the community and of the member in its file; None where whoever wrote it had no file
    index : the member's number; account, meters : its addresses
    """

    place: Place
    community: str | None
    index: int
    id: str | None
    account: bytes
    meters: tuple[bytes, ...]

    @classmethod
    def of(cls, place: Place, member: Member, community: str | None = None, id_: str | None = None) -> Card:
        """The card of a member as its community's contract has it."""
        return cls(place, community, member.index, id_, member.account, member.meters)

    @property
    def settlement(self) -> bytes:
        """Address of the contract that bills name."""
        return self.place.contracts[SETTLEMENT].address

    def as_json(self) -> dict[str, Any]:
        """As it stands in a file."""
        contracts = {
            name: {"address": hex_text(each.address), "code": hex_text(each.code)}
            for name, each in self.place.contracts.items()
        }
        return {
            "format": FORMAT,
            "community": self.community,
            "chainId": self.place.chain_id,
            "genesis": hex_text(self.place.genesis),
            "contracts": contracts,
            "member": {
                "index": self.index,
                "id": self.id,
                "account": hex_text(self.account),
                "meters": [*map(hex_text, self.meters)],
            },
        }

    def require_place(self, at: Named) -> None:
        """Raise VerificationError unless a document says that it belongs to the card's chain and contracts."""
        chain = self.place.chain_id
        require(at.chain_id == chain, f"The document is of chain {at.chain_id}, your card of chain {chain}.")
        for name, named in ((SETTLEMENT, at.settlement), (COMMUNITY, at.community)):
            own, other = checksum_address(self.place.contracts[name].address), checksum_address(named)
            require(own == other, f"The document names the {name} {other}, your card {own}.")

    def require_own(self, at: Named) -> None:
        """Raise VerificationError unless a document is of the card's member."""
        same = at.index == self.index
        require(same, f"The document is of member {at.index}, your card of member {self.index}.")
        own, other = checksum_address(self.account), checksum_address(at.account)
        sentence = (
            f"The document is of the account {other}, your card of {own}; if you let it be replaced, write a new one"
        )
        require(own == other, f"{sentence} by `commonwatt card`.")

    def require_same(self, found: Place) -> None:
        """Raise VerificationError unless the chain has the card's block 0, and the contracts that it names."""
        own, other = hex_text(self.place.genesis), hex_text(found.genesis)
        require(own == other, f"Block 0 of the chain is {other}, on your card {own}: it is another chain.")
        for name, card in self.place.contracts.items():
            there = found.contracts.get(name)
            at, where = checksum_address(card.address), there and checksum_address(there.address)
            require(at == where, f"The community's {name} is {where or 'not there'}, on your card {at}.")
            code = there is not None and there.code == card.code
            require(code, f"The {name} at {at} has other code than on your card.")

    def require_metered(self, content: Mapping[str, Any]) -> None:
        """Raise VerificationError for a reading by a meter that is none of the card's. content : a bill's, verified"""
        own = [*map(hex_text, self.meters)]
        known = ", ".join(own) or "none"
        for line in content["slots"]:
            meter = line["reading"]["meter"] if line["reading"] else None
            require(
                meter is None or meter in own,
                f"Slot {line['slot']}: the reading is of the meter {meter}, your card has {known}; if you took another "
                "one into service, write a new card by `commonwatt card`.",
            )


def read(file: Path) -> Card:
    """The card in a file. Raises VerificationError for what is none."""
    try:
        with file.open("rb") as opened:
            given = strict_json.loads(opened.read(_LONGEST + 1), _LONGEST)
        return _card(given)
    except OSError as error:
        raise VerificationError(f"{file} cannot be read: {error.strerror}.") from None
    except (ValueError, RecordError, VerificationError) as error:
        raise VerificationError(f"{file} is no membership card: {str(error).rstrip('.')}.") from None


def _card(given: Any) -> Card:
    card = table(given, _CARD, "the card")
    require(card["format"] == FORMAT, f"its format is not {FORMAT}.")
    member, listed = table(card["member"], _MEMBER, "the member"), card["contracts"]
    there = isinstance(listed, dict) and {SETTLEMENT, COMMUNITY} <= listed.keys()
    require(there, "the contracts are no table of Settlement, Community and others.")
    contracts = {name: _deployed(each) for name, each in listed.items()}
    names = [card["community"], member["id"]]
    require(all(each is None or isinstance(each, str) for each in names), "a name is no text.")
    require(_counts(card["chainId"]) and _counts(member["index"]), "the chain or the member's index is no number.")
    require(isinstance(member["meters"], list), "the meters are no list.")
    meters = tuple(to_bytes(each, 20) for each in member["meters"])
    place = Place(card["chainId"], to_bytes(card["genesis"], 32), contracts)
    return Card(place, names[0], member["index"], names[1], to_bytes(member["account"], 20), meters)


def _deployed(given: Any) -> Deployed:
    contract = table(given, ("address", "code"), "a contract")
    return Deployed(to_bytes(contract["address"], 20), to_bytes(contract["code"], 32))


def _counts(given: Any) -> bool:
    return type(given) is int and 0 <= given < 1 << 64


def place_of(node: Node, settlement: bytes) -> Place:
    """The place of the community with this Settlement, whose contracts are all a release's.

    Raises VerificationError when they are not, LedgerError when the chain cannot be asked.
    """
    if not node.code(settlement):
        raise LedgerError(f"There is no contract at {checksum_address(settlement)} on this chain.")
    return Place.of(node, Contracts(node, settlement))
