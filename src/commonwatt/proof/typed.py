"""EIP-712 for the records: struct hash, digest, signing and recovery.

Source: EIP-712, https://eips.ethereum.org/EIPS/eip-712. Records hold no nested structs or arrays.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

from commonwatt.errors import RecordError, SignatureError
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import Key, checksum_address, recover
from commonwatt.records import Signed
from commonwatt.records.schema import Record, encode_type, require_exact, schema

_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Domain:
    """Where a signature counts: one chain, one Settlement contract."""

    chain_id: int
    contract: bytes
    name: str = "Commonwatt"
    version: str = "1"
    separator: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        words = [keccak(self.name.encode()), keccak(self.version.encode())]
        words += [self.chain_id.to_bytes(32, "big"), self.contract.rjust(32, b"\0")]
        object.__setattr__(self, "separator", keccak(_DOMAIN_TYPE + b"".join(words)))

    def digest(self, struct_hash: bytes) -> bytes:
        """What is signed for a record with this struct hash, 32 bytes."""
        return keccak(b"\x19\x01" + self.separator + struct_hash)


def hash_struct(record: Record) -> bytes:
    """EIP-712 `hashStruct`, 32 bytes.

    Raises RecordError when a value does not fit its type.
    """
    return keccak(_encoder(type(record))(record))


def sign(domain: Domain, record: R, key: Key) -> Signed[R]:
    """The record, signed by `key`."""
    struct_hash = hash_struct(record)
    return Signed(record, struct_hash, key.sign_digest(domain.digest(struct_hash)))


def verify(domain: Domain, signed: Signed[R], signer: bytes) -> bytes:
    """Check that `signer` [address] signed the record; returns its struct hash, 32 bytes.

    The hash is computed anew from the record's values. Raises SignatureError, or RecordError when a value does not fit
    its type, or is an integer that a wallet could not have shown exactly.
    """
    struct_hash = hash_struct(signed.record)
    require_exact(signed.record)
    found = recover(domain.digest(struct_hash), signed.signature)
    if found != signer:
        name = type(signed.record).__name__
        raise SignatureError(f"The {name} is signed by {checksum_address(found)}, not by {checksum_address(signer)}.")
    return struct_hash


@cache
def type_hash(record: type[Record]) -> bytes:
    """EIP-712 type hash of a record type, 32 bytes."""
    return keccak(encode_type(record).encode())


@cache
def _encoder(record: type[Record]) -> Callable[[Record], bytes]:
    """All words of a record in one call of `struct`; only a refusal looks for the field at fault."""
    words = [_WORDS[column.type] for column in schema(record)]
    types = tuple(word.type for word in words)
    sizes = [(place, word.size) for place, word in enumerate(words) if word.size]
    prepared = [(place, word.prepare) for place, word in enumerate(words) if word.prepare]
    values_of = attrgetter(*(column.name for column in schema(record)))
    pack = struct.Struct(">32s" + "".join(word.code for word in words)).pack
    head = type_hash(record)

    def encode(value: Record) -> bytes:
        values = list(values_of(value))
        if tuple(map(type, values)) != types:
            raise _refusal(value)
        for place, size in sizes:
            if len(values[place]) != size:
                raise _refusal(value)
        try:
            for place, prepare in prepared:
                values[place] = prepare(values[place])
            return pack(head, *values)
        except (struct.error, ValueError):
            raise _refusal(value) from None

    return encode


def _refusal(record: Record) -> RecordError:
    name = type(record).__name__
    for column in schema(type(record)):
        value = getattr(record, column.name)
        if not _WORDS[column.type].holds(value):
            return RecordError(f"{name}.{column.label} is {column.type} and cannot hold {value!r}.")
    raise AssertionError(f"{name} was refused, but every field fits")  # the two ways of checking disagree


@dataclass(frozen=True)
class _Word:
    """How values of one EIP-712 type become a 32-byte word.

    type : Python type; nothing else is taken, not even a bool for an int
    code : format of `struct`, which refuses an integer out of range
    size : exact length of bytes; `struct` would cut or pad them without a word
    prepare : what is done before; raises ValueError or struct.error when the value does not fit
    """

    type: type[Any]
    code: str
    size: int = 0
    prepare: Callable[[Any], bytes] | None = None

    def holds(self, value: Any) -> bool:
        """Whether the value fits."""
        if type(value) is not self.type or (self.size and len(value) != self.size):
            return False
        try:
            struct.pack(">" + self.code, self.prepare(value) if self.prepare else value)
        except (struct.error, ValueError):
            return False
        return True


def _sign_extended(value: int) -> bytes:
    fill = value >> 63
    return _FOUR_INT64(fill, fill, fill, value)


def _uint256(value: int) -> bytes:
    if not 0 <= value < 1 << 256:
        raise ValueError(value)
    return value.to_bytes(32, "big")


_NO_TEXT = keccak(b"")


def _text_hash(value: str) -> bytes:
    return keccak(value.encode()) if value else _NO_TEXT


_FOUR_INT64 = struct.Struct(">4q").pack
_WORDS = {
    "uint8": _Word(int, "31xB"),
    "uint32": _Word(int, "28xI"),
    "uint64": _Word(int, "24xQ"),
    "uint256": _Word(int, "32s", prepare=_uint256),
    "int64": _Word(int, "32s", prepare=_sign_extended),
    "address": _Word(bytes, "12x20s", 20),
    "bytes32": _Word(bytes, "32s", 32),
    "string": _Word(str, "32s", prepare=_text_hash),
}
