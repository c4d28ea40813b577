"""Values of the Ethereum execution API: JSON in, Python out, and back.

A parser takes a JSON value and raises ValueError with the end of a sentence, such as "is not an address"; whoever
calls it knows what the sentence is about.
Source: the execution API's base types, https://github.com/ethereum/execution-apis/tree/main/src/schemas
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.blocks import At
from commonwatt.ledger.chain.question import Override, Question
from commonwatt.ledger.node import ZERO_ADDRESS

T = TypeVar("T")
Parser = Callable[[Any], T]

PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
REVERTED, FAILED, NOT_FOUND, LIMIT = 3, -32000, -32001, -32005

_QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]*)", re.ASCII)
_DATA = re.compile(r"0x([0-9a-fA-F]{2})*", re.ASCII)
_TAGS = ("latest", "earliest", "pending", "safe", "finalized")
_WORD = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)
# Keys of transactions that this chain does not carry; any other key that is not known means nothing.
_NOT_CARRIED = ("blobVersionedHashes", "blobs", "maxFeePerBlobGas", "authorizationList")
_OVERRIDE_KEYS = {"balance", "nonce", "code", "state", "stateDiff"}
_MAX_ACCESS_LIST = 1000
_MAX_OVERRIDES = 1000
_ANY_GAS = 1 << 64


class RpcError(LedgerError):
    """A call that cannot be answered: the code of JSON-RPC or of Ethereum's clients, and data of a revert."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        self.code, self.data = code, data
        super().__init__(message)


class Where(NamedTuple):
    """A block that was asked for. `canonical`: it must lie on the chain; `final`: it is one that cannot change."""

    at: At = None
    pending: bool = False
    canonical: bool = False
    final: bool = False


LATEST = Where()
NOTHING_FINAL = "This chain has no final block; ask for latest."


def quantity(value: object) -> int:
    """A number: hexadecimal, without leading zeros, below 2^256."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise ValueError('is not a number such as "0x1f", without leading zeros')
    if len(value) > 66:
        raise ValueError("does not fit 256 bits")
    return int(value, 16)


def count(value: object) -> int:
    """A quantity; a plain JSON number is taken too, as other nodes do for the length of a fee history."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return value
    return quantity(value)


def data(value: object) -> bytes:
    """Bytes of any length."""
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise ValueError('is not bytes such as "0x00ff", two digits each')
    return bytes.fromhex(value[2:])


def address(value: object) -> bytes:
    """An address, 20 bytes."""
    return _fixed(value, 20, "an address")


def hash32(value: object) -> bytes:
    """A hash, 32 bytes."""
    return _fixed(value, 32, "a hash")


def word(value: object) -> int:
    """A place in a contract's storage, or a word of it: at most 32 bytes, with leading zeros or without."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise ValueError("is not a word, 0x and at most 64 digits")
    return int(value, 16)


def flag(value: object) -> bool:
    """A truth value."""
    if not isinstance(value, bool):
        raise ValueError("is not true or false")
    return value


def block(value: object) -> Where:
    """A block: a number, a tag, or an object with its hash or number (EIP-1898)."""
    if value is None:
        return LATEST
    if isinstance(value, Mapping):
        return _block_object(value)
    if not isinstance(value, str) or (value not in _TAGS and not value.startswith("0x")):
        raise ValueError(f"is not a block: a number such as 0x1f, or one of {', '.join(_TAGS)}")
    if value.startswith("0x"):
        return Where(hash32(value), canonical=False) if len(value) == 66 else Where(quantity(value))
    at = 0 if value == "earliest" else None
    return Where(at, pending=value == "pending", final=value in ("safe", "finalized"))


def _block_object(value: Mapping[str, object]) -> Where:
    if set(value) == {"blockNumber"}:
        return Where(keyed(value, "blockNumber", quantity))
    if "blockHash" not in value or set(value) - {"blockHash", "requireCanonical"}:
        raise ValueError('is not a block: an object has "blockNumber", or "blockHash" and "requireCanonical"')
    canonical = keyed(value, "requireCanonical", flag) if "requireCanonical" in value else False
    return Where(keyed(value, "blockHash", hash32), canonical=canonical)


def call(value: object) -> Question:
    """A transaction without signature; when it names no gas it has as much as can be and its sender can pay for."""
    fields = mapping(value)
    for key in _NOT_CARRIED:
        if fields.get(key):
            raise ValueError(f'has "{key}", which transactions of this chain do not have')
    for key in ("nonce", "type"):
        optional(fields, key, quantity, 0)
    price = optional(fields, "gasPrice", quantity, 0)
    named = [fields.get(key) is not None for key in ("gasPrice", "maxFeePerGas", "maxPriorityFeePerGas")]
    if named[0] and any(named[1:]):
        raise RpcError(FAILED, "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
    highest = optional(fields, "maxFeePerGas", quantity, price)
    if optional(fields, "maxPriorityFeePerGas", quantity, 0) > highest > 0:
        raise ValueError("has a tip above its highest fee")
    return Question(
        gas=optional(fields, "gas", quantity, _ANY_GAS),
        to=optional(fields, "to", address, b""),
        sender=optional(fields, "from", address, ZERO_ADDRESS),
        data=_calldata(fields),
        value=optional(fields, "value", quantity, 0),
        gas_price=highest,
        access_list=optional(fields, "accessList", _access_list, ()),
        payable=fields.get("gas") is None,
        chain_id=optional(fields, "chainId", quantity, None),
    )


def overrides(value: object) -> dict[bytes, Override]:
    """What accounts are taken to be, by their addresses; null: what they are."""
    fields = mapping({} if value is None else value)
    if len(fields) > _MAX_OVERRIDES:
        raise ValueError(f"has more than {_MAX_OVERRIDES} accounts")
    return {address(account): keyed(fields, account, _override) for account in fields}


def _override(value: object) -> Override:
    fields = table(value, _OVERRIDE_KEYS)
    whole, some = (optional(fields, key, _words, None) for key in ("state", "stateDiff"))
    if whole is not None and some is not None:
        raise ValueError('has "state" and also "stateDiff"')
    return Override(
        balance=optional(fields, "balance", quantity, None),
        nonce=optional(fields, "nonce", _nonce, None),
        code=optional(fields, "code", data, None),
        storage=whole or some or {},
        cleared=whole is not None,
    )


def _words(value: object) -> dict[int, int]:
    fields = mapping(value)
    if len(fields) > _MAX_OVERRIDES:
        raise ValueError(f"has more than {_MAX_OVERRIDES} words")
    return {word(slot): keyed(fields, slot, word) for slot in fields}


def _nonce(value: object) -> int:
    found = quantity(value)
    if found >= 2**64:
        raise ValueError("does not fit 64 bits")
    return found


def _calldata(fields: Mapping[str, object]) -> bytes:
    """`input` is the newer name of `data`; most tools send one, some send both."""
    given = [optional(fields, key, data, b"") for key in ("input", "data") if fields.get(key) is not None]
    if len(set(given)) > 1:
        raise ValueError('has "data" and "input" that differ')
    return given[0] if given else b""


def _access_list(value: object) -> Sequence[tuple[bytes, Sequence[int]]]:
    entries = listed(value, _MAX_ACCESS_LIST)
    keys = {"address", "storageKeys"}
    return [
        (
            keyed(fields, "address", address),
            [word(slot) for slot in listed(fields.get("storageKeys", []), _MAX_ACCESS_LIST)],
        )
        for entry in entries
        for fields in [table(entry, keys)]
    ]


def listed(value: object, most: int) -> list[Any]:
    """A list with a limited number of items."""
    if not isinstance(value, list):
        raise ValueError("is not a list")
    if len(value) > most:
        raise ValueError(f"has more than {most} items")
    return value


def mapping(value: object) -> Mapping[str, Any]:
    """An object, whatever its keys."""
    if not isinstance(value, Mapping):
        raise ValueError("is not an object")
    return value


def table(value: object, keys: set[str]) -> Mapping[str, Any]:
    """An object with no key but these."""
    unknown = sorted(set(mapping(value)) - keys)
    if unknown:
        raise ValueError(f"has the unknown key {shortened(unknown[0])}")
    return mapping(value)


def keyed(fields: Mapping[str, Any], key: str, parse: Parser[T]) -> T:
    """The value of a key that must be there."""
    try:
        return parse(fields.get(key))
    except ValueError as error:
        raise ValueError(f'has a "{key}" that {error}') from None


def optional(fields: Mapping[str, Any], key: str, parse: Parser[T], default: T) -> T:
    """The value of a key that may be missing or null."""
    return default if fields.get(key) is None else keyed(fields, key, parse)


def shortened(text: str) -> str:
    """Foreign text for a message: one line, not too long."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def hexed(value: int | bytes) -> str:
    """A quantity of an integer, data of bytes."""
    return hex(value) if isinstance(value, int) else f"0x{value.hex()}"


def hexed_word(value: int) -> str:
    """32 bytes of an integer."""
    return f"0x{value:064x}"


def _fixed(value: object, length: int, what: str) -> bytes:
    if not isinstance(value, str) or len(value) != 2 + 2 * length or not _DATA.fullmatch(value):
        raise ValueError(f"is not {what}, 0x and {2 * length} digits")
    return bytes.fromhex(value[2:])
