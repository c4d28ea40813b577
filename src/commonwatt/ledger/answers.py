"""What a node answers, read into the types of `node`. The node is a stranger: every value has its form and its bounds.

Every function raises ValueError, a sentence without its subject, for anything else than what the execution API
(https://ethereum.github.io/execution-apis/) has in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from commonwatt.ledger.node import Block, Log, Receipt, Transaction
from commonwatt.plain import plain

T = TypeVar("T")
_ADDRESS: Final = 20
_HASH: Final = 32
_SHOWN: Final = 60


def quantity(given: Any, bits: int = 256) -> int:
    """A number, 0x-hex of at most so many bits; a word of storage has leading zeros."""
    if not isinstance(given, str) or not re.fullmatch("0x[0-9a-fA-F]{1,64}", given):
        raise ValueError(f"{_short(given)} is no number")
    if (value := int(given, 16)) >> bits:
        raise ValueError(f"{_short(given)} has more than {bits} bits")
    return value


def data(given: Any, size: int | None = None) -> bytes:
    """Bytes, 0x-hex; of exactly this size when it is given."""
    if not isinstance(given, str) or not re.fullmatch("0x(?:[0-9a-fA-F]{2})*", given):
        raise ValueError(f"{_short(given)} is not 0x and pairs of hexadecimal digits")
    value = bytes.fromhex(given[2:])
    if size not in (None, len(value)):
        raise ValueError(f"{_short(given)} is not of {size} bytes")
    return value


def listed(given: Any, read: Callable[[Any], T]) -> tuple[T, ...]:
    """Each entry of a list."""
    if not isinstance(given, list):
        raise ValueError(f"{_short(given)} is no list")
    return tuple(map(read, given))


def perhaps(read: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """As `read`; None for nothing."""
    return lambda given: None if given is None else read(given)


def block(given: Any) -> Block:
    """A block with the hashes of its transactions."""
    return Block(
        number=quantity(_of(given, "number"), 64), hash=data(_of(given, "hash"), _HASH),
        parent=data(_of(given, "parentHash"), _HASH), timestamp=quantity(_of(given, "timestamp"), 64),
        state_root=data(_of(given, "stateRoot"), _HASH), gas_limit=quantity(_of(given, "gasLimit"), 64),
        gas_used=quantity(_of(given, "gasUsed"), 64), base_fee=quantity(given.get("baseFeePerGas", "0x0")),
        transactions=listed(_of(given, "transactions"), lambda each: data(each, _HASH)),
    )  # fmt: skip


def receipt(given: Any) -> Receipt:
    """What became of a transaction, without what it gave back."""
    created = given.get("contractAddress") if isinstance(given, dict) else None
    return Receipt(
        transaction=data(_of(given, "transactionHash"), _HASH), block=quantity(_of(given, "blockNumber"), 64),
        index=quantity(_of(given, "transactionIndex"), 32), success=quantity(_of(given, "status"), 1) == 1,
        gas_used=quantity(_of(given, "gasUsed"), 64), contract=data(created, _ADDRESS) if created else b"",
        logs=listed(_of(given, "logs"), log), output=b"",
    )  # fmt: skip


def transaction(given: Any) -> Transaction | None:
    """A transaction; None while no block holds it."""
    if _of(given, "blockNumber") is None:
        return None
    return Transaction(
        hash=data(_of(given, "hash"), _HASH), sender=data(_of(given, "from"), _ADDRESS),
        to=data(given["to"], _ADDRESS) if given.get("to") else b"", nonce=quantity(_of(given, "nonce"), 64),
        value=quantity(_of(given, "value")), gas=quantity(_of(given, "gas"), 64), data=data(_of(given, "input")),
        block=quantity(given["blockNumber"], 64), index=quantity(_of(given, "transactionIndex"), 32),
    )  # fmt: skip


def log(given: Any) -> Log:
    """One event."""
    return Log(
        data(_of(given, "address"), _ADDRESS), listed(_of(given, "topics"), lambda each: data(each, _HASH)),
        data(_of(given, "data")), quantity(_of(given, "blockNumber"), 64),
        data(_of(given, "transactionHash"), _HASH),
    )  # fmt: skip


def _of(given: Any, name: str) -> Any:
    if not isinstance(given, dict) or name not in given:
        raise ValueError(f"{_short(given)} has no {name}")
    return given[name]


def _short(given: Any) -> str:
    return plain(repr(given) if isinstance(given, str) else type(given).__name__, _SHOWN)
