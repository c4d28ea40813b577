"""What nodes say to each other: six messages, each one RLP list that begins with its name.

A message that is too long, has other fields, or fields of other kinds is refused before anything is done with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import rlp

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain import untrusted
from commonwatt.ledger.network.block import MAX_BLOCK_BYTES
from commonwatt.ledger.network.locations import MAX_URL, Location, is_url

MAX_MESSAGE_BYTES: int = 2 * MAX_BLOCK_BYTES
MAX_BLOCKS = 256
"""The most blocks that one answer holds."""
MAX_LOCATIONS = 1000
"""The most addresses that one message holds."""
_HASH, _NUMBER, _SCORE = 32, 8, 64
_SIGNATURE = 65
_MOST_HASHES = 128
_MOST_TRANSACTIONS = 4096
_MOST_ITEMS = _MOST_TRANSACTIONS + 16


class MessageError(LedgerError):
    """Bytes from a peer that are no message."""


@dataclass(frozen=True)
class Hello:
    """Where nodes can be reached, the sender among them."""

    locations: tuple[Location, ...]


@dataclass(frozen=True)
class Status:
    """Where a node's chain ends."""

    head: bytes
    number: int
    score: int


@dataclass(frozen=True)
class NewBlock:
    """A block that its sender has just validated."""

    raw: bytes


@dataclass(frozen=True)
class Transactions:
    """Raw transactions that wait in the sender's pool."""

    raw: tuple[bytes, ...]


@dataclass(frozen=True)
class GetBlocks:
    """Asks for the blocks after the first of these hashes that lies on the other's chain."""

    request: int
    known: tuple[bytes, ...]


@dataclass(frozen=True)
class Blocks:
    """Answers `GetBlocks`: blocks in order, and where the sender's chain ends now."""

    request: int
    blocks: tuple[bytes, ...]
    status: Status


Message = Hello | Status | NewBlock | Transactions | GetBlocks | Blocks


def encode(message: Message) -> bytes:
    """The bytes of a message."""
    fields: list[Any]
    match message:
        case Hello():
            rows = [[each.url.encode(), each.time, each.signature] for each in message.locations]
            fields = [b"hello", rows]
        case Status():
            fields = [b"status", *_status_fields(message)]
        case NewBlock():
            fields = [b"block", message.raw]
        case Transactions():
            fields = [b"transactions", list(message.raw)]
        case GetBlocks():
            fields = [b"get", message.request, list(message.known)]
        case Blocks():
            fields = [b"blocks", message.request, list(message.blocks), _status_fields(message.status)]
    return cast("bytes", rlp.encode(fields))


def decode(payload: bytes) -> Message:
    """The message of a peer's bytes. Raises MessageError."""
    if len(payload) > MAX_MESSAGE_BYTES:
        raise MessageError(f"a message of {len(payload)} bytes, more than {MAX_MESSAGE_BYTES}")
    try:
        match untrusted.decode(payload, _MOST_ITEMS):
            case [b"hello", list(rows)] if len(rows) <= MAX_LOCATIONS:
                return Hello(tuple(map(_location, rows)))
            case [b"status", *fields]:
                return _status(fields)
            case [b"block", bytes(raw)]:
                return NewBlock(raw)
            case [b"transactions", list(raw)]:
                return Transactions(_texts(raw, _MOST_TRANSACTIONS))
            case [b"get", bytes(request), list(known)]:
                return GetBlocks(_number(request, _NUMBER), _texts(known, _MOST_HASHES, _HASH))
            case [b"blocks", bytes(request), list(blocks), list(status)]:
                return Blocks(_number(request, _NUMBER), _texts(blocks, MAX_BLOCKS), _status(status))
    except MessageError:
        raise
    except Exception as error:  # rlp raises many kinds for bytes that are no list
        raise MessageError("bytes that are no message") from error
    raise MessageError("a message of no known form")


def _location(fields: list[Any]) -> Location:
    match fields:
        case [bytes(url), bytes(time), bytes(signature)] if len(url) <= MAX_URL and len(signature) == _SIGNATURE:
            if is_url(url.decode("ascii")):
                return Location(url.decode("ascii"), _number(time, _NUMBER), signature)
    raise MessageError("an address of no known form")


def _status_fields(status: Status) -> list[Any]:
    return [status.head, status.number, status.score]


def _status(fields: list[Any]) -> Status:
    match fields:
        case [bytes(head), bytes(number), bytes(score)] if len(head) == _HASH:
            return Status(head, _number(number, _NUMBER), _number(score, _SCORE))
    raise MessageError("a status of no known form")


def _number(field: bytes, size: int) -> int:
    if len(field) > size or field[:1] == b"\0":
        raise MessageError("a number of no known form")
    return int.from_bytes(field, "big")


def _texts(fields: list[Any], most: int, size: int | None = None) -> tuple[bytes, ...]:
    if len(fields) > most:
        raise MessageError(f"a list of {len(fields)}, more than {most}")
    if not all(isinstance(field, bytes) and len(field) == (size or len(field)) for field in fields):
        raise MessageError("a list of no known form")
    return tuple(fields)
