"""The records that pass between rooms. Energy: Wh, positive into the home. See `schema` for what is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from commonwatt.records.clearing import Check, Clearing, Proof, Trades
from commonwatt.records.membership import Acceptance, Grant, Mint, Recovery, Standing
from commonwatt.records.schema import I64, U8, U32, U64, ZERO_HASH, Address, Bytes32, Text

__all__ = [
    "BUY",
    "SELL",
    "ZERO_HASH",
    "Acceptance",
    "Anchor",
    "Basket",
    "Check",
    "Clearing",
    "Gate",
    "Grant",
    "Line",
    "Mandate",
    "Mint",
    "Order",
    "Post",
    "Proof",
    "Reading",
    "Receipt",
    "Recovery",
    "Signed",
    "Standing",
    "Statement",
    "Trade",
    "Trades",
    "Within",
]

R_co = TypeVar("R_co", covariant=True)

BUY: Final = 0
SELL: Final = 1


@dataclass(frozen=True, slots=True)
class Mandate:
    """A member's standing wish, signed once by its wallet; its agent acts within it.

    member, agent : addresses of the wallet and of the agent's key
    text : the same wish in words, English or German, as the wallet shows it
    max_buy, min_sell : price limits [unit/kWh]
    buy_wh, sell_wh : most energy per slot and side [Wh]; 0 forbids the side
    valid_from, valid_until : first instant and end of validity [unix s]
    nonce : a member's newer mandate has a higher one
    """

    member: Address
    agent: Address
    text: Text
    max_buy: U64
    min_sell: U64
    buy_wh: U64
    sell_wh: U64
    valid_from: U64
    valid_until: U64
    nonce: U64


@dataclass(frozen=True, slots=True)
class Order:
    """A wish to buy or sell in one slot, signed by the member or, within the mandate and in a `Basket`, by its agent.

    text : the same in words, English or German, as the member's own wallet shows it; empty when the agent signs
    side : BUY or SELL
    wh : energy [Wh]; 0 cancels the member's earlier order for this slot and side, and has the limit 0
    limit : highest price to pay, lowest to accept [unit/kWh]
    slot : start of the slot [unix s]
    expiry : the order is void from then on [unix s]
    nonce : an order replaces those of lower nonces of its member for its slot and side
    """

    member: Address
    text: Text
    side: U8
    wh: U64
    limit: U64
    slot: U64
    expiry: U64
    nonce: U64


@dataclass(frozen=True, slots=True)
class Basket:
    """What a member's agent signs in place of its orders without words: all that it gives at one gate, or one alone.

    member : address of the wallet whose mandate the agent has
    first : start of the first slot of the orders [unix s]
    count : how many orders it holds
    orders : root of the tree over the struct hashes of the orders
    """

    member: Address
    first: U64
    count: U32
    orders: Bytes32


@dataclass(frozen=True, slots=True)
class Trade:
    """Energy that one member buys from another in one slot.

    number : place in the slot's list of trades
    buyer, seller : member indices
    wh : energy [Wh], > 0
    price : [unit/kWh]; the payment is `units.payment(wh, price)`
    buy_order, sell_order : struct hash of the Order, or of the Mandate in a pool that needs no orders
    """

    slot: U64
    revision: U32
    number: U32
    buyer: U32
    seller: U32
    wh: U64
    price: U64
    buy_order: Bytes32
    sell_order: Bytes32


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter counted in one slot, signed by the meter.

    wh_in, wh_out : energy from and to the grid [Wh]
    sequence : strictly increasing per meter
    """

    meter: Address
    slot: U64
    wh_in: U64
    wh_out: U64
    sequence: U64


@dataclass(frozen=True, slots=True)
class Line:
    """One trade in a member's account for a slot: a leaf of the tree of its lines.

    bought, sold : running sums of the member's local trades [Wh]
    money : running sum [lane unit], positive = credited to the member
    trade, order : struct hashes; the order is the member's own, or its mandate
    """

    bought: U64
    sold: U64
    money: I64
    trade: Bytes32
    order: Bytes32


@dataclass(frozen=True, slots=True)
class Statement:
    """A member's account for a slot: a leaf of the statements tree, at the place of the member's number.

    bought, sold, money : the last line's sums
    reading : struct hash of the member's reading; zero = none came
    lines : root of the tree of its lines, zero = none; by order, purchases before sales, number of the trade
    salt : without it nobody finds the statement by trying
    """

    bought: U64
    sold: U64
    money: I64
    reading: Bytes32
    lines: Bytes32
    salt: Bytes32


@dataclass(frozen=True, slots=True)
class Post:
    """What the operators sign and the chain keeps of one settled slot: roots and the hash of the deltas.

    lock : keccak of the key without which it does not become final; zero = it needs none
    until : it does not become final after that [unix s]; 0 = the contract's own time holds
    """

    slot: U64
    revision: U32
    orders: Bytes32
    statements: Bytes32
    deltas: Bytes32
    lock: Bytes32 = ZERO_HASH
    until: U64 = 0


@dataclass(frozen=True, slots=True)
class Gate:
    """What the operators sign before delivery: the roots of consecutive slots' orders and trades.

    slot : start of the first slot [unix s]
    orders, trades : keccak of all slots' roots in a row
    """

    slot: U64
    orders: Bytes32
    trades: Bytes32


@dataclass(frozen=True, slots=True)
class Receipt:
    """What operators sign when they accept an order: where it will stand in the slot's tree of orders.

    order : struct hash of the Order
    position : place of its leaf, from 0
    """

    order: Bytes32
    slot: U64
    position: U32


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the operators sign and the chain keeps of one period's bills.

    start, until : first instant and end of the period [unix s], start < until
    bills : root of the tree of the bills
    """

    start: U64
    until: U64
    bills: Bytes32


@dataclass(frozen=True, slots=True)
class Within:
    """Where an order stands in the `Basket` that was signed in its place.

    first, count : as the basket has them
    position : place of the order among the basket's, from 0
    siblings : from there to the basket's root, from the bottom
    """

    first: int
    count: int
    position: int
    siblings: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Signed(Generic[R_co]):
    """A record with its EIP-712 struct hash and signature, 65 bytes r‖s‖v.

    within : of an order without words: the signature is that of the basket in which it stands
    """

    record: R_co
    hash: bytes
    signature: bytes
    within: Within | None = None
