"""The contract `Stake` as the consensus engine reads it, and what operators sign and send to fill it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commonwatt.ledger.client.abi import STAKE, Codec, contract
from commonwatt.ledger.client.quorum import ascending
from commonwatt.ledger.network.consensus.interface import History
from commonwatt.proof.keccak import keccak
from commonwatt.proof.typed import Domain
from commonwatt.records.schema import U64, Bytes32

_TABLE = Codec(
    [
        {"type": "address[]", "name": "who"},
        {"type": "bytes32[]", "name": "tips"},
        {"type": "uint256[]", "name": "tokens"},
    ]
)


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    tip : last value of the member's hash chain; 32 zero bytes = it seals no blocks
    tokens : voting tokens
    """

    tip: bytes
    tokens: int


@dataclass(frozen=True, slots=True)
class Stakes:
    """What the operators sign of one day's table.

    day : unix seconds / seconds of a day
    table : hash of its columns
    """

    day: U64
    table: Bytes32


Table = Mapping[bytes, Entry]


def read(history: History, block: bytes, stake: bytes) -> dict[bytes, Entry]:
    """Rows of all members that seal blocks, as the contract at `stake` holds them after a block."""
    listed, entries = (contract(STAKE).storage[name] for name in ("members", "entries"))
    (count,) = history.words(block, stake, [listed])
    first = _integer(keccak(_word(listed)))
    members = [_word(word)[12:] for word in history.words(block, stake, range(first, first + count))]
    places = [_integer(keccak(member.rjust(32, b"\0") + _word(entries))) for member in members]
    words = history.words(block, stake, [slot for place in places for slot in (place, place + 1)])
    rows = zip(members, words[::2], words[1::2], strict=True)
    return {member: Entry(_word(tip), tokens) for member, tip, tokens in rows if tip}


def stakes(day: int, table: Table) -> Stakes:
    """What the operators sign for `publish`."""
    return Stakes(day, keccak(_TABLE.encode(_columns(table))))


def publish(domain: Domain, day: int, table: Table, signatures: Sequence[bytes]) -> bytes:
    """Data of the transaction that brings the table to the contract.

    domain : of the contract
    signatures : of operators over `stakes(day, table)`, 65 bytes each, in any order
    """
    ordered = ascending(domain, stakes(day, table), signatures)
    return contract(STAKE).functions["publish"].encode(day, *_columns(table), ordered)


def _columns(table: Table) -> tuple[list[bytes], list[bytes], list[int]]:
    members = sorted(table)
    return members, [table[member].tip for member in members], [table[member].tokens for member in members]


def _integer(word: bytes) -> int:
    return int.from_bytes(word, "big")


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")
