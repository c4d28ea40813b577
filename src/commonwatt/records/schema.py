"""One schema per record.

A signed or hashed record is a frozen dataclass whose fields are annotated with a `Word` type below. From
that one schema come the EIP-712 type, the Solidity struct (`contracts/src/Records.sol`, by
`tools/generate_records.py`) and the golden vectors that every language checks itself against.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar, Protocol, get_args, get_type_hints

U8 = Annotated[int, "uint8"]
U32 = Annotated[int, "uint32"]
U64 = Annotated[int, "uint64"]
U256 = Annotated[int, "uint256"]
I64 = Annotated[int, "int64"]
Address = Annotated[bytes, "address"]
Bytes32 = Annotated[bytes, "bytes32"]
Text = Annotated[str, "string"]

ZERO_HASH = bytes(32)


class Record(Protocol):
    """Anything with a schema."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


@dataclass(frozen=True)
class Field:
    """One field of a record: its Python name, its EIP-712 name and its EIP-712 type."""

    name: str
    label: str
    type: str


@cache
def schema(record: type[Record]) -> tuple[Field, ...]:
    """The fields of a record in signing order.

    >>> from commonwatt.records import Reading
    >>> [field.label for field in schema(Reading)]
    ['meter', 'slot', 'whIn', 'whOut', 'sequence']
    """
    hints = get_type_hints(record, include_extras=True)
    return tuple(Field(f.name, camel(f.name), get_args(hints[f.name])[1]) for f in fields(record))


def encode_type(record: type[Record]) -> str:
    """EIP-712 `encodeType`.

    >>> from commonwatt.records import Reading
    >>> encode_type(Reading)
    'Reading(address meter,uint64 slot,uint64 whIn,uint64 whOut,uint64 sequence)'
    """
    members = ",".join(f"{field.type} {field.label}" for field in schema(record))
    return f"{record.__name__}({members})"


def as_json(record: Record) -> dict[str, int | str]:
    """The record as plain JSON: labels as in EIP-712, bytes as 0x-hex, integers as integers."""
    return {
        field.label: f"0x{value.hex()}" if isinstance(value, bytes) else value
        for field in schema(type(record))
        for value in [getattr(record, field.name)]
    }


def camel(name: str) -> str:
    """snake_case to camelCase."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
