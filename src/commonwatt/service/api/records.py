"""How signed records come in and are described: as in bills, numbers as whole numbers, bytes as hexadecimal text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import pydantic_core

from commonwatt.errors import RecordError

T = TypeVar("T")

MOST: Final = 500
"""Records in one request."""
LONGEST: Final = MOST * 2_000
"""Bytes of such a request; a record with the siblings of its basket has fewer than 2 000."""
_TEXT: Final = {"type": "string"}
NUMBER: Final = {"type": "integer", "minimum": 0}
ADDRESS: Final = {**_TEXT, "pattern": "^0x[0-9a-f]{40}$"}
SIGNATURE: Final = {**_TEXT, "pattern": "^0x[0-9a-f]{130}$"}
HASH: Final = {**_TEXT, "pattern": "^0x[0-9a-f]{64}$"}


def table(title: str, description: str, fields: dict[str, Any], optional: Iterable[str] = ()) -> dict[str, Any]:
    """The schema of a record."""
    needed = [name for name in fields if name not in set(optional)]
    told = {"type": "object", "title": title, "description": description}
    return {**told, "required": needed, "additionalProperties": False, "properties": fields}


def listed(record: dict[str, Any]) -> dict[str, Any]:
    """The schema of a body: a list of such records."""
    array = {"type": "array", "minItems": 1, "maxItems": MOST, "items": record}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": array}}}}


READING: Final = table(
    "SignedReading",
    "What a meter counted in a slot, signed by it.",
    {"meter": ADDRESS, "slot": NUMBER, "whIn": NUMBER, "whOut": NUMBER, "sequence": NUMBER, "signature": SIGNATURE},
)
ORDER: Final = table(
    "SignedOrder",
    "A wish for one slot and side: in words, signed by the member; without, by its agent, in a basket.",
    {
        "member": ADDRESS,
        "text": _TEXT,
        "side": {"type": "integer", "enum": [0, 1]},
        "wh": NUMBER,
        "limit": NUMBER,
        "slot": NUMBER,
        "expiry": NUMBER,
        "nonce": NUMBER,
        "signature": SIGNATURE,
        "basket": table(
            "Basket",
            "Where the order stands among those that were signed together.",
            {"first": NUMBER, "count": NUMBER, "position": NUMBER, "siblings": {"type": "array", "items": HASH}},
        ),
    },
    optional=["basket"],
)


def record(payload: bytes, read: Callable[[Any], T]) -> T:
    """The record that was sent. Raises RecordError."""
    return read(_parsed(payload))


def records(payload: bytes, read: Callable[[Any], T]) -> list[T | RecordError]:
    """Each record of a list, or why it cannot be read. Raises RecordError for what is no list of them."""
    given = _parsed(payload)
    if not isinstance(given, list) or not 0 < len(given) <= MOST:
        raise RecordError(f"What was sent is no list of 1 to {MOST} records.")
    found = list[T | RecordError]()
    for each in given:
        try:
            found.append(read(each))
        except RecordError as error:
            found.append(error)
    return found


def _parsed(payload: bytes) -> Any:
    try:
        return pydantic_core.from_json(payload, allow_inf_nan=False)
    except ValueError as error:
        raise RecordError(f"What was sent cannot be read: {error}.") from None
