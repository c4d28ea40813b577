"""EIP-712 for the records: struct hash, digest, signing and recovery.

Source: EIP-712, https://eips.ethereum.org/EIPS/eip-712. Records hold no nested structs or arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TypeVar

from commonwatt.errors import RecordError, SignatureError
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import Key, checksum_address, recover
from commonwatt.records import Signed
from commonwatt.records.schema import Record, encode_type, schema

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

    The hash is computed anew from the record's values. Raises SignatureError.
    """
    struct_hash = hash_struct(signed.record)
    found = recover(domain.digest(struct_hash), signed.signature)
    if found != signer:
        name = type(signed.record).__name__
        raise SignatureError(
            f"The {name} is signed by {checksum_address(found)}, not by {checksum_address(signer)}."
        )
    return struct_hash


@cache
def type_hash(record: type[Record]) -> bytes:
    """EIP-712 type hash of a record type, 32 bytes."""
    return keccak(encode_type(record).encode())


@cache
def _encoder(record: type[Record]) -> Callable[[Record], bytes]:
    head = type_hash(record)
    encoders = tuple(
        (field.name, _word(record.__name__, field.label, field.type)) for field in schema(record)
    )

    def encode(value: Record) -> bytes:
        return head + b"".join([word(getattr(value, name)) for name, word in encoders])

    return encode


def _word(record: str, label: str, kind: str) -> Callable[[object], bytes]:
    """Encoder of one value into its 32-byte word."""

    def fail(value: object) -> RecordError:
        return RecordError(f"{record}.{label} is {kind} and cannot hold {value!r}.")

    if kind == "string":
        return lambda value: keccak(str(value).encode())
    if kind in ("bytes32", "address"):
        size = 32 if kind == "bytes32" else 20

        def fixed(value: object) -> bytes:
            if type(value) is not bytes or len(value) != size:
                raise fail(value)
            return value.rjust(32, b"\0")

        return fixed
    signed = kind.startswith("int")
    bits = int(kind.removeprefix("u").removeprefix("int"))
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)

    def integer(value: object) -> bytes:
        if type(value) is not int or not low <= value < high:
            raise fail(value)
        return value.to_bytes(32, "big", signed=signed)

    return integer
