"""The ABI of the community's contracts: calls, custom errors and events.

The compiled contracts lie in `artifacts/`; `contracts/` of the repository holds their sources.
Addresses are 20 bytes in calls, results and events, and EIP-55 text in errors, which people read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, cast

from eth_abi.decoding import ContextFramesBytesIO, TupleDecoder
from eth_abi.encoding import TupleEncoder
from eth_abi.exceptions import DecodingError
from eth_abi.registry import registry

from commonwatt.errors import LedgerError, Reverted
from commonwatt.ledger.node import Log, Receipt
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import checksum_address

COMMUNITY = "Community"
SETTLEMENT = "Settlement"
TOKEN = "CommunityToken"  # noqa: S105 (a contract, no secret)
STAKE = "Stake"
DISPUTES = "Disputes"
DEMANDS = "Demands"
OFFERS = "Offers"
_ALL = (COMMUNITY, SETTLEMENT, DISPUTES, DEMANDS, TOKEN, STAKE, OFFERS)


class Codec:
    """Encoder and decoder of a fixed list of ABI types, each made when it is first used."""

    def __init__(self, parameters: Sequence[Mapping[str, Any]]) -> None:
        self.names = tuple(str(parameter["name"]) for parameter in parameters)
        self.types = tuple(_type(parameter) for parameter in parameters)

    # eth-abi's classes, which carry no types, take a while to make.

    @cached_property
    def _encoder(self) -> Any:
        return cast("Any", TupleEncoder)(encoders=tuple(map(registry.get_encoder, self.types)))

    @cached_property
    def _decoder(self) -> Any:
        return cast("Any", TupleDecoder)(decoders=tuple(map(registry.get_decoder, self.types)))

    def encode(self, values: Sequence[object]) -> bytes:
        """ABI encoding; addresses are 20 bytes, structs tuples."""
        return bytes(self._encoder(values))

    def decode(self, data: bytes) -> tuple[Any, ...]:
        """Values with addresses as 20 bytes. Raises LedgerError."""
        try:
            values = self._decoder(cast("Any", ContextFramesBytesIO)(data))
        except (DecodingError, UnicodeDecodeError) as error:  # the latter for a string that is no UTF-8
            raise LedgerError(f"The chain's answer does not fit the contract: {error}.") from error
        return tuple(
            bytes.fromhex(value[2:]) if type_ == "address" else value
            for type_, value in zip(self.types, values, strict=True)
        )


class Function:
    """One function of a contract."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.inputs = Codec(entry["inputs"])
        self.outputs = Codec(entry["outputs"])
        self.selector = _hash_signature(entry["name"], self.inputs)[:4]

    def encode(self, *values: object) -> bytes:
        """Calldata."""
        return self.selector + self.inputs.encode(values)


@dataclass(frozen=True)
class Event:
    """A decoded event of one of the contracts, with its place on the chain."""

    name: str
    arguments: Mapping[str, Any]
    log: Log


@dataclass(frozen=True)
class Call:
    """A decoded call of a function of the contracts, or a creation: `function` is then empty.

    contract : its name; empty when several have the function
    """

    contract: str
    function: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        name = ".".join(filter(None, (self.contract, self.function)))
        return f"{name}({', '.join(f'{key}={readable(value)}' for key, value in self.arguments.items())})"


class Contract:
    """One compiled contract."""

    def __init__(self, artifact: Mapping[str, Any]) -> None:
        entries = artifact["abi"]
        self.bytecode = bytes.fromhex(artifact["bytecode"].removeprefix("0x"))
        self.runtime = bytes.fromhex(artifact["deployedBytecode"].removeprefix("0x"))
        """The code that it leaves on the chain, with zeros where the immutables stand."""
        self.immutables: Mapping[str, Mapping[str, Any]] = artifact["immutables"]
        self.functions = {entry["name"]: Function(entry) for entry in entries if entry["type"] == "function"}
        self.errors = [(entry["name"], Codec(entry["inputs"])) for entry in entries if entry["type"] == "error"]
        self.events = [_EventAbi(entry) for entry in entries if entry["type"] == "event"]
        constructor = [entry["inputs"] for entry in entries if entry["type"] == "constructor"]
        self.storage: Mapping[str, int] = artifact["storage"]
        """Where the compiler put each variable: its number, or that of its first word."""
        self.constructor = Codec(constructor[0] if constructor else [])

    def place(self, mapping: str, *keys: bytes) -> int:
        """Where a mapping keeps the value at these keys, 32 bytes each, or its first word."""
        place = self.storage[mapping].to_bytes(32, "big")
        for key in keys:
            place = keccak(key + place)
        return int.from_bytes(place, "big")

    def creation(self, *values: object) -> bytes:
        """Data of the transaction that creates the contract."""
        return self.bytecode + self.constructor.encode(values)


@cache
def contract(name: str) -> Contract:
    """A contract by its name. Raises LedgerError when the package holds no such artifact."""
    try:
        text = (files("commonwatt.ledger") / "artifacts" / f"{name}.json").read_text("utf-8")
    except OSError as error:
        raise LedgerError(f"The compiled contract {name} is missing from this installation.") from error
    return Contract(json.loads(text))


def revert(data: bytes, doing: str) -> LedgerError:
    """The error that a contract's revert data means: Reverted with the custom error's name and values."""
    if not data:
        return LedgerError(f"The chain refused {doing} without a reason; it may have run out of gas.")
    name, codec = _errors().get(data[:4], ("", None))
    if codec is None:
        return Reverted(f"0x{data.hex()}", doing=doing)
    return Reverted(name, [readable(value) for value in codec.decode(data[4:])], doing=doing)


def events(receipt: Receipt) -> list[Event]:
    """The events of a receipt that the contracts know, in order."""
    return [event for log in receipt.logs if (event := decode_event(log))]


def decode_event(log: Log) -> Event | None:
    """The event that a log holds; None when no contract of ours has it."""
    abi = _events().get(log.topics[0]) if log.topics else None
    return abi.decode(log) if abi else None


def decode_call(data: bytes, *, creates: bool) -> Call | None:
    """The call or creation that a transaction's data holds; None when it is none of the contracts'."""
    if creates:
        known = [name for name in _ALL if data.startswith(contract(name).bytecode)]
        owner, function, codec = known[0] if known else "", "", contract(known[0]).constructor if known else None
        data = data[len(contract(owner).bytecode) :] if known else b""
    else:
        owner, function, codec = _functions().get(data[:4], ("", "", None))
        data = data[4:]
    if codec is None:
        return None
    try:
        return Call(owner, function, dict(zip(codec.names, codec.decode(data), strict=True)))
    except LedgerError:  # of another contract, whose function has the same selector
        return None


class _EventAbi:
    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.name = str(entry["name"])
        self.topic = _hash_signature(self.name, Codec(entry["inputs"]))
        self._indexed = Codec([item for item in entry["inputs"] if item["indexed"]])
        self._plain = Codec([item for item in entry["inputs"] if not item["indexed"]])

    def decode(self, log: Log) -> Event:
        indexed = self._indexed.decode(b"".join(log.topics[1:]))
        arguments = dict(zip(self._indexed.names, indexed, strict=True))
        arguments |= dict(zip(self._plain.names, self._plain.decode(log.data), strict=True))
        return Event(self.name, arguments, log)


@cache
def _errors() -> dict[bytes, tuple[str, Codec]]:
    """Of all contracts together: a revert passes through from the contract that was called by the called one."""
    known = [("Error", Codec([{"name": "reason", "type": "string"}]))]
    known += [("Panic", Codec([{"name": "code", "type": "uint256"}]))]
    for name in _ALL:
        known += contract(name).errors
    return {_hash_signature(name, codec)[:4]: (name, codec) for name, codec in known}


@cache
def _events() -> dict[bytes, _EventAbi]:
    return {event.topic: event for name in _ALL for event in contract(name).events}


@cache
def _functions() -> dict[bytes, tuple[str, str, Codec]]:
    found: dict[bytes, tuple[str, str, Codec]] = {}
    for owner in _ALL:
        for name, function in contract(owner).functions.items():
            shared = function.selector in found
            found[function.selector] = ("" if shared else owner, name, function.inputs)
    return found


def _hash_signature(name: str, codec: Codec) -> bytes:
    return keccak(f"{name}({','.join(codec.types)})".encode())


def _type(parameter: Mapping[str, Any]) -> str:
    """Canonical type: a struct is the list of its members."""
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(map(_type, parameter['components']))}){kind.removeprefix('tuple')}"


def readable(value: object) -> object:
    """A decoded value for people: bytes in hexadecimal, addresses in EIP-55 text."""
    if isinstance(value, list | tuple):
        return [readable(item) for item in value]
    if not isinstance(value, bytes):
        return value
    return checksum_address(value) if len(value) == 20 else f"0x{value.hex()}"
