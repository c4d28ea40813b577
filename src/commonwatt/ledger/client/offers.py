"""Direct trade between two members: the contract `Offers`, spoken to through any node.

A member offers energy in a slot; another one buys it and so pays into escrow; the meter's signed reading releases the
payment for what was delivered; each fetches its money. Money is in lane units per kWh in prices and in base units of
the asset in payments; slots and times are unix seconds UTC. Methods that send raise Reverted with the contract's
custom error, or LedgerError. `at` is as in `client`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

from commonwatt.ledger.client.abi import OFFERS, TOKEN, contract, decode_event, revert
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.node import ZERO_ADDRESS, CallReverted, Receipt
from commonwatt.proof import Key, keccak
from commonwatt.records import Reading, Signed
from commonwatt.units import payment

_OFFERED = keccak(b"Offered(bytes32,uint32,uint64,uint64,uint64,uint64)")


@dataclass(frozen=True, slots=True)
class Offer:
    """Energy that a member would sell.

    seller : index of the member
    slot : start of the slot of delivery [unix s]
    wh : energy to the grid [Wh], > 0
    price : [lane unit/kWh]
    nonce : tells offers apart that are otherwise the same
    """

    seller: int
    slot: int
    wh: int
    price: int
    nonce: int = 0

    @property
    def id(self) -> bytes:
        """What the chain keeps of it, 32 bytes."""
        return keccak(b"".join(value.to_bytes(32, "big") for value in astuple(self)))


class State(IntEnum):
    """How an offer stands; NONE also when it was cancelled."""

    NONE = 0
    OPEN = 1
    SOLD = 2
    CLOSED = 3


@dataclass(frozen=True, slots=True)
class Sale:
    """How an offer stands.

    buyer : index of the member that bought, when it is sold or closed
    delivered : energy that the seller is paid for [Wh], when it is closed; the buyer is paid back the rest
    seller_fetched, buyer_fetched : who has its money
    """

    state: State
    buyer: int
    delivered: int
    seller_fetched: bool
    buyer_fetched: bool


class OffersClient:
    """The offers of a community. The keys of `ledger` pay for its creation and for refunds."""

    def __init__(self, ledger: LedgerClient, address: bytes) -> None:
        self.ledger = ledger
        self.address = address

    @classmethod
    def deploy(cls, ledger: LedgerClient, patience: int, *, at: int) -> OffersClient:
        """Create the contract. patience : time after the slot to show a reading [s]."""
        data = contract(OFFERS).creation(ledger.addresses.settlement, patience)
        receipt = ledger.send(ledger.key, b"", data, "the creation of the offers", at=at, kind="create")
        return cls(ledger, receipt.contract)

    def post(self, seller: Key, offer: Offer, *, at: int) -> Receipt:
        """Offer energy, before its slot starts."""
        return self._send(seller, "post", astuple(offer), doing="the offer", at=at)

    def cancel(self, seller: Key, offer: Offer, *, at: int) -> Receipt:
        """Take back what nobody bought."""
        return self._send(seller, "cancel", astuple(offer), doing="the withdrawal of the offer", at=at)

    def buy(self, buyer: Key, offer: Offer, limit: int, *, at: int) -> Receipt:
        """Buy an offer whole, at its price, before its slot starts; tokens must have been approved.

        limit : highest price to pay [lane unit/kWh]
        """
        value = 0 if self.ledger.addresses.token != ZERO_ADDRESS else self.payment(offer)
        return self._send(buyer, "buy", astuple(offer), limit, doing="the purchase", at=at, value=value)

    def approve(self, buyer: Key, amount: int, *, at: int) -> Receipt:
        """Let the contract take up to `amount` base units of the buyer's tokens for what it buys."""
        data = contract(TOKEN).functions["approve"].encode(self.address, amount)
        return self.ledger.send(buyer, self.ledger.addresses.token, data, "the approval", at=at)

    def release(self, seller: Key, offer: Offer, reading: Signed[Reading], *, at: int) -> Receipt:
        """Show what the seller's meter counted in the slot; that closes the sale."""
        record = reading.record
        fields = (record.meter, record.slot, record.wh_in, record.wh_out, record.sequence)
        arguments = (astuple(offer), fields, reading.signature)
        return self._send(seller, "release", *arguments, doing="the release of the payment", at=at)

    def refund(self, offer: Offer, *, at: int) -> Receipt:
        """Close a sale for which no reading came in time."""
        return self._send(self.ledger.key, "refund", astuple(offer), doing="the refund", at=at)

    def fetch(self, member: Key, offers: Sequence[Offer], *, at: int) -> Receipt:
        """Pay the member what it earned or gets back from closed offers."""
        fields = [astuple(offer) for offer in offers]
        return self._send(member, "fetch", fields, doing="the payment", at=at, kind="fetch", items=len(fields))

    # What anybody may read

    @property
    def settlement(self) -> bytes:
        """The settlement whose members trade here [address]."""
        return bytes(self._read("settlement")[0])

    @cached_property
    def patience(self) -> int:
        """Time after the slot to show a reading [s]."""
        return int(self._read("patience")[0])

    def payment(self, offer: Offer) -> int:
        """What an offer costs [base unit]."""
        return payment(offer.wh, offer.price) * self.ledger.terms.lane_unit

    def sale(self, offer: Offer) -> Sale:
        """How an offer stands."""
        state, *rest = self._read("sales", offer.id)
        return Sale(State(state), *rest)

    def posted(self, first_block: int = 0) -> list[Offer]:
        """Everything that was offered from a block on, oldest first; cancelled ones too."""
        node = self.ledger.node
        logs = node.logs(first_block, node.head.number, self.address, _OFFERED)
        found = [event.arguments for log in logs if (event := decode_event(log))]
        return [Offer(*(event[name] for name in ("seller", "slot", "wh", "price", "nonce"))) for event in found]

    def _read(self, view: str, *values: object) -> tuple[Any, ...]:
        function = contract(OFFERS).functions[view]
        try:
            return function.outputs.decode(self.ledger.node.call(self.address, function.encode(*values)))
        except CallReverted as error:
            raise revert(error.data, f"the question {view}") from error

    def _send(self, key: Key, function: str, *values: object, doing: str, at: int, **options: Any) -> Receipt:
        data = contract(OFFERS).functions[function].encode(*values)
        return self.ledger.send(key, self.address, data, doing, at=at, **options)
