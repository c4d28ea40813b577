"""Direct trade between members: what a member offers, buys and fetches through the contract `Offers`.

Which contract that is, the member says; it has to serve the settlement that the member's bill names. Methods of its
client raise Reverted with the contract's reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonwatt.errors import CommonwattError, LedgerError, RecordError, Reverted, VerificationError
from commonwatt.ledger.client.abi import OFFERS
from commonwatt.ledger.client.code import Contracts
from commonwatt.ledger.client.offers import Offer, OffersClient, Sale, State
from commonwatt.ledger.client.purse import PurseClient
from commonwatt.ledger.client.settlement import Addresses, LedgerClient
from commonwatt.ledger.node import ZERO_ADDRESS
from commonwatt.member.acting import acting, in_lanes, refused
from commonwatt.member.document import Named, read
from commonwatt.member.page import read_reading
from commonwatt.member.trust import Pins
from commonwatt.proof import Domain, Key
from commonwatt.records import Reading, Signed
from commonwatt.records.schema import to_bytes
from commonwatt.units import payment, price_text

if TYPE_CHECKING:
    from commonwatt.ledger.node import Receipt


@dataclass(frozen=True)
class At:
    """Where and for whom the contract `Offers` is spoken to.

    offers : its address, as the member knows it; key : of the member; None = nothing is sent
    """

    document: Path
    ledger: str
    pins: Pins
    offers: bytes
    key: Key | None = None


@dataclass(frozen=True)
class Listed:
    """An offer as a member sees it. price [micro-currency/kWh], payment [micro-currency] for all of it"""

    offer: Offer
    sale: Sale
    price: int
    payment: int


@dataclass(frozen=True)
class Fetched:
    """What was closed with a reading or without one, and the payment of what is the member's; None when nothing is."""

    released: int
    refunded: int
    receipt: Receipt | None


def offer(at: At, slot: int, wh: int, price: int) -> Offer:
    """Offer energy [Wh] of a slot [unix s] at a price [micro-currency/kWh]."""
    with _dealing(at) as (offers, member, now):
        earlier = sum(each.seller == member.index for each in offers.posted())
        made = Offer(member.index, slot, wh, in_lanes(price, offers.ledger, "price"), earlier)
        offers.post(offers.ledger.key, made, at=now)
        return made


def listed(at: At) -> tuple[Listed, ...]:
    """What can be bought: offers that nobody bought and whose slot has not begun."""
    with _dealing(at, asks=True) as (offers, _, now):
        ahead = [(each, offers.sale(each)) for each in offers.posted() if each.slot > now]
        return tuple(_shown(each, sale, offers) for each, sale in ahead if sale.state == State.OPEN)


def buy(at: At, id_: bytes, limit: int | None) -> Listed:
    """Buy an offer whole, by its id. limit : highest price [micro-currency/kWh]; None = whatever it asks"""
    with _dealing(at) as (offers, member, now):
        wanted = next((each for each in offers.posted() if each.id == id_), None)
        if wanted is None:
            raise refused("id", "is not that of an offer of this contract")
        most = wanted.price if limit is None else in_lanes(limit, offers.ledger, "limit")
        shown = _shown(wanted, offers.sale(wanted), offers)
        held = PurseClient(offers.ledger).held(member.account)
        if shown.sale.state == State.OPEN and wanted.price <= most and offers.payment(wanted) > held:
            has = price_text(held // offers.ledger.terms.lane_unit * offers.ledger.unit)
            raise LedgerError(f"The offer costs {price_text(shown.payment)}, the account holds {has}.")
        if offers.ledger.addresses.token != ZERO_ADDRESS:
            offers.approve(offers.ledger.key, offers.payment(wanted), at=now)
        offers.buy(offers.ledger.key, wanted, most, at=now + 1)
        return shown


def fetch(at: At) -> Fetched:
    """Close what can be closed of the member's sales and purchases, and pay it what is its own.

    A sale closes with the reading that the member's document has of the slot, or, when none came in time, without.
    When all else is done, raises why one cannot be closed so: Reverted, RecordError or VerificationError.
    """
    readings = {line["slot"]: line["reading"] for line in read(at.document)["content"]["slots"]}
    with _dealing(at) as (offers, member, now):
        released = refunded = 0
        closed: list[Offer] = []
        kept_open: CommonwattError | None = None
        for each in offers.posted():
            sale, end = offers.sale(each), each.slot + offers.ledger.terms.slot_seconds
            if sale.state == State.SOLD and member.index in (each.seller, sale.buyer):
                shown = readings.get(each.slot) if member.index == each.seller else None
                try:
                    if now > end + offers.patience:
                        offers.refund(each, at=now)
                        refunded += 1
                    elif now >= end and shown:
                        offers.release(offers.ledger.key, each, _signed(shown, offers.ledger.domain), at=now)
                        released += 1
                except (Reverted, RecordError, VerificationError) as error:
                    kept_open = error
                sale = offers.sale(each)
            if sale.state == State.CLOSED and _due(each, sale, member.index):
                closed.append(each)
        receipt = offers.fetch(offers.ledger.key, closed, at=now + 1) if closed else None
        if kept_open:
            raise kept_open
        return Fetched(released, refunded, receipt)


def _due(each: Offer, sale: Sale, member: int) -> int:
    """What the member may fetch from a closed offer [lane unit]."""
    paid = payment(sale.delivered, each.price)
    sold = paid if member == each.seller and not sale.seller_fetched else 0
    back = payment(each.wh, each.price) - paid if member == sale.buyer and not sale.buyer_fetched else 0
    return sold + back


@contextmanager
def _dealing(at: At, *, asks: bool = False) -> Iterator[tuple[OffersClient, Named, int]]:
    """asks : the key only signs the questions, for a node that answers members only"""
    key = None if asks else at.key
    with acting(at.document, at.ledger, at.pins, key, reader=at.key) as (client, member, now):
        asset = PurseClient(client).asset
        token = Addresses(client.addresses.community, client.addresses.settlement, asset)
        offers = OffersClient(LedgerClient(client.node, client.key, token), at.offers)
        Contracts(client.node, client.addresses.settlement).add(OFFERS, at.offers)
        yield offers, member, now


def _shown(each: Offer, sale: Sale, offers: OffersClient) -> Listed:
    paid = offers.payment(each) // offers.ledger.terms.lane_unit
    return Listed(each, sale, each.price * offers.ledger.unit, paid * offers.ledger.unit)


def _signed(given: Any, domain: Domain) -> Signed[Reading]:
    """A reading as a document shows it, signed by the meter that it names. Raises RecordError or VerificationError."""
    reading = read_reading(given, domain)
    if reading is None:
        raise VerificationError("No reading is shown.")
    return Signed(reading, b"", to_bytes(given["signature"], 65))
