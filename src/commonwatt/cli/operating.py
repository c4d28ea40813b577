"""What the commands of operators share: whom they ask, with which key, and what several operators sign."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from commonwatt.cli.options import JsonPath, Whole, one_address, write_json
from commonwatt.errors import ConfigError, Finding

if TYPE_CHECKING:
    from commonwatt.ledger.client.community import CommunityClient
    from commonwatt.proof import Key
    from commonwatt.records.schema import Record

Contract = Annotated[str, Parameter(help="Address of the community's contract Settlement.")]
Ledger = Annotated[str, Parameter(help="The chain's file, or the URL of a node.")]
Number = Annotated[Whole, Parameter(help="Of the member.")]
LEDGER = "ledger.sqlite"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Sent:
    """The options of a command that sends a transaction."""

    key: Annotated[Path, Parameter(help="File of the key that sends and pays, as made by `commonwatt chain key`.")]
    contract: Contract
    ledger: Ledger = LEDGER
    json_path: JsonPath = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Quorum:
    """The options of a command for which several operators sign."""

    signature: Annotated[
        list[str] | None, Parameter(negative="", help="Of another operator, as its --sign printed it; repeatable.")
    ] = None
    sign: Annotated[
        bool, Parameter(negative="", help="Print this operator's signature for the one who sends, and send nothing.")
    ] = False


@contextmanager
def asking(contract: str, ledger: str, key: Key | None = None, reader: Key | None = None) -> Iterator[CommunityClient]:
    """The community of a settlement; with a key, to send to. reader : only signs the questions"""
    from commonwatt.errors import LedgerError, NodeError
    from commonwatt.ledger.client.abi import SETTLEMENT
    from commonwatt.ledger.client.community import CommunityClient
    from commonwatt.ledger.client.settlement import Addresses, LedgerClient
    from commonwatt.ledger.node import ZERO_ADDRESS
    from commonwatt.ledger.opening import open_to_read, open_to_write
    from commonwatt.proof import Key

    settlement = one_address("contract", contract)
    with open_to_write(ledger, key) if key else open_to_read(ledger, reader) as node:
        if not node.code(settlement):
            raise LedgerError(f"There is no contract at {contract} on this chain.")
        nobody = Key(b"\x01" * 32)
        found = LedgerClient(node, key or nobody, Addresses(ZERO_ADDRESS, settlement))
        try:
            _ = found.terms
            community, token = (bytes(found.view(SETTLEMENT, name)[0]) for name in ("community", "asset"))
        except NodeError:
            raise
        except LedgerError:
            raise LedgerError(f"The contract at {contract} is no Settlement of a community.") from None
        yield CommunityClient(LedgerClient(node, key or nobody, Addresses(community, settlement, token)))


@contextmanager
def acting(sent: Sent) -> Iterator[tuple[CommunityClient, Key, int]]:
    """The community, the key, and the time for a transaction [unix s]."""
    from commonwatt.ledger.keyfile import read_key

    own = read_key(sent.key)
    with asking(sent.contract, sent.ledger, own) as community:
        node = community.ledger.node
        yield community, own, node.now(node.head.timestamp) + 1


def signatures(community: CommunityClient, own: Key, record: Record, quorum: Quorum) -> list[bytes]:
    """The key's own, when it is an operator's, and those that others gave, each once. Raises ConfigError for what is
    none."""
    from commonwatt.proof import sign

    found = {signature_of(community, record, text) for text in quorum.signature or []}
    if community.ledger.view("Community", "isOperator", own.address)[0]:
        found.add(sign(community.domain, record, own).signature)
    return [*found]


def signature_of(community: CommunityClient, record: Record, text: str) -> bytes:
    """The signature that somebody gave. Raises ConfigError for what is none."""
    from commonwatt.errors import RecordError
    from commonwatt.proof import hash_struct, recover
    from commonwatt.records.schema import to_bytes

    try:
        given = to_bytes(text, 65)
        recover(community.domain.digest(hash_struct(record)), given)
    except RecordError:
        raise ConfigError("The request", [Finding("signature", f"is no signature: '{text[:140]}'")]) from None
    return given


def print_signature(community: CommunityClient, own: Key, record: Record, json_path: str | None) -> None:
    """What the key signs, for the operator who sends."""
    from commonwatt.proof import sign

    write_signature(sign(community.domain, record, own).signature, json_path)


def write_signature(signature: bytes, json_path: str | None) -> None:
    """Print a signature for who sends."""
    text = f"0x{signature.hex()}"
    if json_path:
        write_json({"signature": text}, json_path)
    if json_path != "-":
        print(text)


def number_of(name: str, value: int) -> int:
    """The number of the option `name`, of a member or a vote."""
    if not 0 <= value < 1 << 32:
        raise ConfigError("The request", [Finding(name, f"is from 0 to {(1 << 32) - 1}, not {value}")])
    return value
