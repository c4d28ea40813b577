"""One schema per record.

A signed or hashed record is a frozen dataclass whose fields are annotated with a `Word` type below. From
that one schema come the EIP-712 type, the Solidity struct (`contracts/src/Records.sol`, by
`tools/generate_records.py`) and the golden vectors that every language checks itself against.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final, Protocol, TypeVar, get_args, get_type_hints

from commonwatt.errors import RecordError

U8 = Annotated[int, "uint8"]
U32 = Annotated[int, "uint32"]
U64 = Annotated[int, "uint64"]
U256 = Annotated[int, "uint256"]
I64 = Annotated[int, "int64"]
Address = Annotated[bytes, "address"]
Bytes32 = Annotated[bytes, "bytes32"]
Text = Annotated[str, "string"]

ZERO_HASH = bytes(32)
MAX_SIGNED: Final = 2**53 - 1
"""Largest integer of what somebody signs: wallets in browsers count no further (ECMA-262, Number.MAX_SAFE_INTEGER)."""
_SIZES: Final = {"address": 20, "bytes32": 32}


class Record(Protocol):
    """Anything with a schema."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


R = TypeVar("R", bound=Record)


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
    labels, values_of = _written(type(record))
    return dict(zip(labels, values_of(record), strict=True))


def as_list(record: Record) -> list[int | str]:
    """The values of `as_json` in signing order, without their labels."""
    return _written(type(record))[1](record)


@cache
def _written(kind: type[Record]) -> tuple[tuple[str, ...], Callable[[Record], list[int | str]]]:
    """Labels of a record, and what makes its values of one: what is the same for all of a type is found once."""
    columns = schema(kind)
    places = [place for place, column in enumerate(columns) if column.type in _SIZES]
    get = attrgetter(*(column.name for column in columns))

    def values_of(record: Record) -> list[int | str]:
        values = list(get(record))
        for place in places:
            values[place] = f"0x{values[place].hex()}"
        return values

    return tuple(column.label for column in columns), values_of


def from_json(kind: type[R], given: Mapping[str, Any]) -> R:
    """The record that `as_json` made this of: every field and nothing else.

    Whether an integer fits its type is seen when the record is hashed. Raises RecordError.
    """
    columns, labels = _read(kind)
    if not isinstance(given, Mapping) or given.keys() != labels:
        named = ", ".join(column.label for column in schema(kind))
        raise RecordError(f"The record {kind.__name__} has exactly these fields: {named}.")
    return kind(*[to_bytes(given[label], size) if size else given[label] for label, size in columns])


@cache
def _read(kind: type[Record]) -> tuple[tuple[tuple[str, int], ...], frozenset[str]]:
    """Label and size in bytes of each field in signing order, and all labels; the size of what is no bytes is 0."""
    columns = tuple((column.label, _SIZES.get(column.type, 0)) for column in schema(kind))
    return columns, frozenset(label for label, _ in columns)


def from_list(kind: type[R], given: Any) -> R:
    """The record that `as_list` made this of; see `from_json`. Raises RecordError."""
    columns = schema(kind)
    if not isinstance(given, list) or len(given) != len(columns):
        raise RecordError(f"The record {kind.__name__} is a list of {len(columns)} values.")
    return kind(*map(_value, columns, given))


def _value(column: Field, given: Any) -> Any:
    return to_bytes(given, _SIZES[column.type]) if column.type in _SIZES else given


def require_exact(record: Record) -> None:
    """Raise RecordError for an integer of up to 64 bits with which a wallet cannot count exactly."""
    for name in _of_64_bits(type(record)):
        value = getattr(record, name)
        if value > MAX_SIGNED:
            raise RecordError(
                f"{type(record).__name__}.{camel(name)} is {value}, and what is signed is at most {MAX_SIGNED}."
            )


@cache
def _of_64_bits(record: type[Record]) -> tuple[str, ...]:
    return tuple(column.name for column in schema(record) if column.type == "uint64")


def to_bytes(given: Any, size: int) -> bytes:
    """Bytes of 0x-hex of exactly this size. Raises RecordError.

    >>> to_bytes("0x00ff", 2)
    b'\\x00\\xff'
    """
    if not isinstance(given, str) or not _hex(size).fullmatch(given):
        raise RecordError(f"{str(given)[:80]!r} is not 0x and {2 * size} digits from 0 to 9 and a to f.")
    return bytes.fromhex(given[2:])


@cache
def _hex(size: int) -> re.Pattern[str]:
    return re.compile(f"0x[0-9a-f]{{{2 * size}}}")


def camel(name: str) -> str:
    """snake_case to camelCase."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
