"""Questions to a chain's file, by people: blocks, transactions with their calls and events decoded, accounts.

Everything is read from the blocks themselves; there is no index beside them. Amounts are wei, times unix seconds UTC.
A contract is taken for the community's that it names itself: whose contract it is, its creator's address tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from eth.abc import BlockHeaderAPI, SignedTransactionAPI

from commonwatt.errors import LedgerError, Reverted
from commonwatt.ledger.chain.blocks import At, UnknownBlock
from commonwatt.ledger.chain.question import Question
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.client.abi import (
    COMMUNITY,
    SETTLEMENT,
    TOKEN,
    Call,
    Event,
    contract,
    decode_call,
    decode_event,
    readable,
    revert,
)
from commonwatt.ledger.node import ZERO_ADDRESS, Log, Receipt
from commonwatt.ledger.rpc.format import block_size, effective_gas_price
from commonwatt.proof.keccak import keccak
from commonwatt.records.deltas import DELTA_BYTES, unpack_deltas

_GWEI = 10**9
# More than any contract of ours takes to name its community.
_VIEW_GAS = 100_000
# Letters of a token's symbol that are shown.
_SYMBOL = 16
_REGISTERED = keccak(b"MemberRegistered(uint32,address,uint8)")
_WEI = {"value", "fee", "fees", "reward", "gas_price", "base_fee", "balance"}


@dataclass(frozen=True)
class BlockView:
    """A block.

    size : of its encoding [bytes]
    fees : what its transactions paid, the burnt base fee included
    reward : what it pays its sealer
    """

    number: int
    hash: bytes
    parent: bytes
    timestamp: int
    sealer: bytes
    state_root: bytes
    size: int
    gas_used: int
    gas_limit: int
    base_fee: int
    fees: int
    reward: int
    transactions: tuple[bytes, ...]


@dataclass(frozen=True)
class TransactionView:
    """A transaction with what became of it.

    call : None when it calls none of the community's contracts
    reason : why it failed; empty when it did not
    events : those of other contracts have no name
    """

    hash: bytes
    block: int
    index: int
    timestamp: int
    sender: bytes
    to: bytes
    created: bytes
    nonce: int
    value: int
    gas: int
    gas_used: int
    gas_price: int
    fee: int
    success: bool
    reason: str
    call: Call | None
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Membership:
    """An account's place in a community."""

    community: bytes
    number: int


@dataclass(frozen=True)
class Entry:
    """A transaction in an account's history; `lanes` is how it changed the member's balance [lane units]."""

    transaction: TransactionView
    lanes: int | None


@dataclass(frozen=True)
class AccountView:
    """An account at the head, and its history, newest first.

    lane : what a lane unit is worth, such as "0.000001 EUR"; empty when the history does not tell
    """

    address: bytes
    balance: int
    nonce: int
    code_bytes: int
    memberships: tuple[Membership, ...]
    history: tuple[Entry, ...]
    lane: str = ""


@contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """A chain's file for reading, as it is now; the node that writes it may run. Raises LedgerError."""
    store = Store(path, read_only=True)
    try:
        store.hold()
        yield Reader(store, str(path))
    finally:
        store.close()


def blocks(reader: Reader, last: int = 20) -> list[BlockView]:
    """The last blocks, newest first."""
    head = reader.head.number
    return [block(reader, number) for number in range(head, max(head - last, -1), -1)]


def block(reader: Reader, at: At) -> BlockView:
    """A block by its number or hash. Raises UnknownBlock."""
    header = reader.header(at)
    signed, paid, before, fees = reader.transactions(header), reader.withdrawals(header), 0, 0
    for transaction, receipt in zip(signed, reader.receipts(header), strict=True):
        fees += effective_gas_price(transaction, header) * (receipt.gas_used - before)
        before = receipt.gas_used
    return BlockView(
        number=header.block_number, hash=header.hash, parent=header.parent_hash, timestamp=header.timestamp,
        sealer=header.coinbase, state_root=header.state_root, size=block_size(header, signed, paid),
        gas_used=header.gas_used, gas_limit=header.gas_limit, base_fee=header.base_fee_per_gas or 0, fees=fees,
        reward=sum(each.amount for each in paid) * _GWEI,
        transactions=tuple(transaction.hash for transaction in signed),
    )  # fmt: skip


def transaction(reader: Reader, hash_: bytes) -> TransactionView:
    """A transaction by its hash. Raises LedgerError when no block of the chain holds it."""
    place = reader.place(hash_)
    if place is None:
        raise LedgerError(f"No block of the chain holds the transaction 0x{hash_.hex()}.")
    header = reader.header(place[0])
    return _view(reader, header, place[1], reader.transactions(header)[place[1]])


def transactions(reader: Reader, at: At) -> list[TransactionView]:
    """The transactions of a block of the chain, in their order. Raises UnknownBlock."""
    header = reader.header(at)
    return [_view(reader, header, *each) for each in enumerate(reader.transactions(header))]


def account(reader: Reader, address: bytes, last: int = 20) -> AccountView:
    """An account and its last transactions: what it sent and received, and events that name it or its member number."""
    memberships = memberships_of(reader, address)
    community_of = _communities(reader)
    history = tuple(_history(reader, address, memberships, last, community_of))
    settlements = {
        event.log.address: None
        for entry in history if entry.lanes is not None
        for event in entry.transaction.events
        if community_of(event.log.address) in {each.community for each in memberships}
    }  # fmt: skip
    lanes = {lane for settlement in settlements if (lane := _lane(reader, settlement))}
    return AccountView(
        address=address, balance=reader.balance(address), nonce=reader.nonce(address),
        code_bytes=len(reader.code(address)), memberships=memberships, history=history,
        lane=lanes.pop() if len(lanes) == 1 else "",
    )  # fmt: skip


def memberships_of(reader: Reader, address: bytes) -> tuple[Membership, ...]:
    """The communities in which an account is a member."""
    found = (event for event in _registrations(reader) if event.arguments["account"] == address)
    return tuple(Membership(event.log.address, event.arguments["member"]) for event in found)


def member(reader: Reader, number: int, community: bytes | None = None) -> bytes:
    """Account of a member by its number; `community` may be left out when the chain has one only."""
    events = [event for event in _registrations(reader) if community in (None, event.log.address)]
    if len({event.log.address for event in events}) > 1:
        raise LedgerError("The chain has several communities; name the member by its address.")
    for event in events:
        if event.arguments["member"] == number:
            return bytes(event.arguments["account"])
    raise LedgerError(f"The chain has no member {number}.")


def search(reader: Reader, text: str) -> BlockView | TransactionView | AccountView:
    """What a number, a hash or an address stands for. Raises LedgerError when there is no such thing."""
    if re.fullmatch(r"[0-9]{1,15}", text, re.ASCII):
        return block(reader, int(text))
    digits = text.removeprefix("0x")
    if not re.fullmatch(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}", digits):
        raise LedgerError(f"'{text[:80]}' is no block number, hash or address.")
    wanted = bytes.fromhex(digits)
    if len(wanted) == 20:
        return account(reader, wanted)
    if reader.place(wanted):
        return transaction(reader, wanted)
    try:
        return block(reader, wanted)
    except UnknownBlock:
        raise LedgerError(f"The chain has no block or transaction 0x{wanted.hex()}.") from None


def as_json(value: Any) -> Any:
    """A view for JSON: bytes in hexadecimal; wei and contracts' numbers, which JavaScript would round, as text."""
    if hasattr(value, "__dataclass_fields__"):
        found = {each.name: getattr(value, each.name) for each in fields(value)}
        return {name: _field(name, item) for name, item in found.items()}
    if isinstance(value, Mapping):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return readable(value)


def _field(name: str, value: Any) -> Any:
    if name in _WEI:
        return str(value)
    return {key: _argument(item) for key, item in value.items()} if name == "arguments" else as_json(value)


def _argument(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_argument(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else readable(value)


def _view(reader: Reader, header: BlockHeaderAPI, index: int, signed: SignedTransactionAPI) -> TransactionView:
    receipt = reader.receipt_in(header, index, signed)
    price = effective_gas_price(signed, header)
    return TransactionView(
        hash=receipt.transaction, block=header.block_number, index=index, timestamp=header.timestamp,
        sender=signed.sender, to=signed.to, created=receipt.contract, nonce=signed.nonce, value=signed.value,
        gas=signed.gas, gas_used=receipt.gas_used, gas_price=price, fee=price * receipt.gas_used,
        success=receipt.success, reason="" if receipt.success else _reason(receipt),
        call=decode_call(signed.data, creates=not signed.to), events=tuple(_event(log) for log in receipt.logs),
    )  # fmt: skip


def _event(log: Log) -> Event:
    try:
        return decode_event(log) or Event("", {}, log)
    except LedgerError:  # of another contract, whose event has the same topic
        return Event("", {}, log)


def _reason(receipt: Receipt) -> str:
    try:
        error = revert(receipt.output, "it")
    except LedgerError:  # of another contract, whose error has the same selector
        return f"0x{receipt.output.hex()}"
    if isinstance(error, Reverted):
        return f"{error.name}({', '.join(map(str, error.arguments))})"
    return "without a reason; it may have run out of gas"


# A member's history


def _registrations(reader: Reader) -> list[Event]:
    events = (_event(log) for log in reader.logs(0, reader.head.number, topic=_REGISTERED))
    return [event for event in events if event.name]


def _history(
    reader: Reader,
    address: bytes,
    memberships: tuple[Membership, ...],
    last: int,
    community_of: Callable[[bytes], bytes | None],
) -> Iterator[Entry]:
    for number in range(reader.head.number, -1, -1):
        header = reader.header(number)
        inside = reader.transactions(header) if header.gas_used else ()
        for index in reversed(range(len(inside))):
            if last <= 0:
                return
            view = _view(reader, header, index, inside[index])
            changes = [each for membership in memberships for each in _changes(view, membership, community_of)]
            if changes or address in (view.sender, view.to, view.created) or _names(view, address):
                last -= 1
                lanes = [change for change in changes if change is not None]
                yield Entry(view, sum(lanes) if lanes else None)


def _names(view: TransactionView, address: bytes) -> bool:
    """Whether an event names an account."""
    return any(address in event.arguments.values() for event in view.events)


def _changes(
    view: TransactionView, membership: Membership, community_of: Callable[[bytes], bytes | None]
) -> Iterator[int | None]:
    """For each event about a member, how it changed the member's balance [lane units]; None: not at all."""
    for event in view.events:
        if not event.name or community_of(event.log.address) != membership.community:
            continue
        if event.name == "Finalised" and view.call and "deltas" in view.call.arguments:
            place = DELTA_BYTES * membership.number
            mine = view.call.arguments["deltas"][place : place + DELTA_BYTES]
            # A settlement is about every member; one whose balance it leaves alone has no part in it.
            yield from (int(delta) for delta in unpack_deltas(mine if len(mine) == DELTA_BYTES else b"") if delta)
        elif event.arguments.get("member") == membership.number:
            sign = {"Deposited": 1, "Withdrawn": -1}.get(event.name)
            yield sign * event.arguments["lanes"] if sign else None


def _communities(reader: Reader) -> Callable[[bytes], bytes | None]:
    """The community that a contract belongs to, asked once per contract."""

    @cache
    def community_of(address: bytes) -> bytes | None:
        found = _told(reader, address, SETTLEMENT, "community")
        if found is not None:
            return bytes(found)
        return None if _told(reader, address, COMMUNITY, "memberCount") is None else address

    return community_of


def _lane(reader: Reader, settlement: bytes) -> str:
    """What a lane unit of a settlement is worth; empty when it does not say."""
    unit, asset = (_told(reader, settlement, SETTLEMENT, name) for name in ("laneUnit", "asset"))
    if unit is None or asset is None:
        return ""
    symbol, decimals = "ether", 18
    if asset != ZERO_ADDRESS:
        symbol, decimals = (_told(reader, asset, TOKEN, name) for name in ("symbol", "decimals"))
    return "" if None in (symbol, decimals) else f"{Decimal(unit).scaleb(-decimals):f} {symbol[:_SYMBOL]}"


def _told(reader: Reader, address: bytes, kind: str, name: str) -> Any:
    """What a contract says of itself when it is asked like one of a kind; None when it is of another."""
    function = contract(kind).functions[name]
    given = reader.ask(Question(_VIEW_GAS, address, ZERO_ADDRESS, function.encode()))
    try:
        (found,) = function.outputs.decode(b"" if given.error else given.output)
    except LedgerError:
        return None
    return found
