"""Contracts of other code than the package's, made without a compiler, and what names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from commonwatt.ledger.client.abi import COMMUNITY, DEMANDS, DISPUTES, SETTLEMENT, contract
from commonwatt.ledger.client.code import LINKS, THIS, builds
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.node import ZERO_ADDRESS
from commonwatt.ledger.wallet import created_address
from commonwatt.proof import Domain, keccak


def constructor(code: bytes, storage: Mapping[int, int] = {}, events: Sequence[tuple[str, bytes]] = ()) -> bytes:
    """What creates a contract of this code, with these words stored.

    events : that it tells of, each the signature of an event of one indexed address, and the address
    """
    body = b"".join(_push(value) + _push(place) + b"\x55" for place, value in storage.items())
    for event, address in events:
        topic = int.from_bytes(keccak(event.encode()), "big")
        body += _push(int.from_bytes(address, "big")) + _push(topic) + b"\x5f\x5f\xa2"
    size = b"\x61" + len(code).to_bytes(2, "big")
    # size, offset, 0, CODECOPY, size, 0, RETURN
    start = len(body) + len(size) + 3 + 2 + len(size) + 2
    return body + size + b"\x61" + start.to_bytes(2, "big") + b"\x5f\x39" + size + b"\x5f\xf3" + code


def create(client: LedgerClient, data: bytes) -> bytes:
    """Create a contract; returns its address."""
    at = client.node.head.timestamp + 1
    return client.send(client.key, b"", data, "a creation", at=at, kind="create").contract


def following(client: LedgerClient, later: int = 0) -> bytes:
    """The address of the next contract that the client's key creates, or of one after it."""
    return created_address(client.key.address, client.node.nonce(client.key.address) + later)


def settlement(client: LedgerClient, community: bytes, token: bytes = ZERO_ADDRESS, **judges: bytes) -> bytes:
    """Create a Settlement of the package's code with its own Disputes and Demands, save for `judges` that it names.

    judges : addresses by `disputes` or `demands`; returns the address of the Settlement.
    """
    own = {link: name for link, name in LINKS.items() if name in (DISPUTES, DEMANDS) and link not in judges}
    judges |= {link: following(client, later) for later, link in enumerate(own, 1)}
    terms = replace(client.terms, lane_unit=1 if token != ZERO_ADDRESS else 10**12)
    fixed = (
        terms.lane_unit, terms.slot_seconds, terms.slot_offset, terms.window, terms.grace, terms.answer_time,
        terms.corrections, terms.bond, judges["disputes"], judges["demands"],
    )  # fmt: skip
    address = create(client, contract(SETTLEMENT).creation(community, token, fixed))
    for name in own.values():
        judge(client, name, address)
    return address


def judge(client: LedgerClient, name: str, settlement: bytes) -> bytes:
    """Create one of a Settlement's judges, of the package's code; returns its address."""
    terms = [client.by_registers] if name == DISPUTES else []
    return create(client, contract(name).creation(settlement, *terms))


def copy(
    client: LedgerClient,
    name: str,
    of: bytes,
    fixed: Mapping[str, bytes] = {},
    storage: Mapping[int, int] = {},
    events: Sequence[tuple[str, bytes]] = (),
) -> bytes:
    """Create a contract of the code that another one has, with other immutables, and a constructor of its own.

    fixed : words or addresses by the immutables; returns the address.
    """
    code, address = client.node.code(of), following(client)
    domain = {"_cachedThis": address, "_cachedDomainSeparator": Domain(client.node.chain_id, address).separator}
    for immutable in builds(name)[THIS].immutables.keys() & {*domain, *fixed}:
        code = with_word(name, code, immutable, {**domain, **fixed}[immutable].rjust(32, b"\0"))
    assert create(client, constructor(code, storage, events)) == address
    return address


def proxy(to: bytes) -> bytes:
    """The code of a contract that lets another one do everything (ERC-1167)."""
    return bytes.fromhex("363d3d373d3d3d363d73") + to + bytes.fromhex("5af43d82803e903d91602b57fd5bf3")


def with_word(name: str, code: bytes, immutable: str, word: bytes, places: slice = slice(None)) -> bytes:
    """The code with another word at some of the places of an immutable."""
    changed = bytearray(code)
    for at in builds(name)[THIS].immutables[immutable].at[places]:
        changed[at : at + 32] = word
    return bytes(changed)


def changed(code: bytes) -> bytes:
    """The code of a Settlement with one byte of an error's selector changed, so that it goes on doing what it did."""
    error = keccak(b"NotAJudge(address)")[:4]
    assert error in code
    return code.replace(error, bytes([error[0] ^ 1]) + error[1:], 1)


def operator_of(address: bytes) -> int:
    """Where Community stores whether an address is an operator."""
    place = contract(COMMUNITY).storage["isOperator"]
    return int.from_bytes(keccak(address.rjust(32, b"\0") + place.to_bytes(32, "big")), "big")


def _push(value: int) -> bytes:
    return b"\x7f" + value.to_bytes(32, "big")
