"""The commands for direct trade between members. Heavy imports are inside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from commonwatt.cli.chain_queries import utc
from commonwatt.cli.member import HOME, Home, OwnKey, money
from commonwatt.cli.options import JsonPath, instant, one_address, say, write_json
from commonwatt.errors import ConfigError, Finding
from commonwatt.plain import many

if TYPE_CHECKING:
    from commonwatt.member.dealing import At, Listed

OffersAddress = Annotated[
    str, Parameter(help="Address of the community's contract Offers, as you know it from elsewhere.")
]


def offer(
    bill: Path,
    *,
    slot: str,
    kwh: str,
    price: str,
    offers: OffersAddress,
    key: OwnKey,
    home: Home = HOME,
    json_path: JsonPath = None,
) -> None:
    """Offer energy of a slot to the other members; leave it out of your orders in the market.

    Example: commonwatt offer bill.json --slot 2026-07-01T12:00Z --kwh 3 --price 0.20 --offers A --key K --contract C

    Parameters
    ----------
    bill
        A bill of the member, which says where the contracts are.
    slot
        Start of the slot of delivery, UTC unless it names a zone; it has not begun.
    kwh
        Energy that your meter will count to the grid, to the Wh.
    price
        In the community's currency per kWh.
    """
    from commonwatt.member import dealing
    from commonwatt.units import price_text

    wh, asked = energy("kwh", kwh), money("price", price)
    at = _at(bill, home, offers, key)
    made = dealing.offer(at, instant("slot", slot), wh, asked)
    if json_path:
        write_json({"id": f"0x{made.id.hex()}", "slot": made.slot, "wh": made.wh, "price": asked}, json_path)
    if json_path != "-":
        say(f"Offered {kwh} kWh in the slot of {utc(made.slot)} UTC at {price_text(asked)} per kWh: 0x{made.id.hex()}.")


def buy(
    bill: Path,
    id: str | None = None,  # noqa: A002
    *,
    limit: str | None = None,
    offers: OffersAddress,
    key: Path | None = None,
    home: Home = HOME,
    json_path: JsonPath = None,
) -> None:
    """Buy another member's offer, whole, from your own account; without an id, show what is offered.

    Example: commonwatt buy bills/home-07.json --offers ADDRESS

    Parameters
    ----------
    bill
        A bill of the member, which says where the contracts are.
    id
        Of the offer, 0x and 64 digits.
    limit
        Highest price that you would pay, in the community's currency per kWh; you pay the offer's.
    key
        File of the member's key, as made by `commonwatt chain key`.
    """
    from commonwatt.member import dealing
    from commonwatt.units import price_text

    at = _at(bill, home, offers, key)
    if id is None:
        found = dealing.listed(at)
        if json_path:
            write_json({"offers": [_as_json(each) for each in found]}, json_path)
        if json_path != "-":
            for each in found:
                say(
                    f"0x{each.offer.id.hex()}: {each.offer.wh / 1000:g} kWh of member {each.offer.seller} in the slot "
                    f"of {utc(each.offer.slot)} UTC at {price_text(each.price)} per kWh, {price_text(each.payment)}."
                )
            if not found:
                say("Nothing is offered.")
        return
    if not re.fullmatch("0x[0-9a-fA-F]{64}", id):
        raise ConfigError("The request", [Finding("id", f"is 0x and 64 digits, not '{id}'")])
    if key is None:
        raise ConfigError("The request", [Finding("key", "is needed to buy")])
    bought = dealing.buy(at, bytes.fromhex(id[2:]), None if limit is None else money("limit", limit))
    if json_path:
        write_json(_as_json(bought), json_path)
    if json_path != "-":
        say(
            f"Bought {bought.offer.wh / 1000:g} kWh in the slot of {utc(bought.offer.slot)} UTC for "
            f"{price_text(bought.payment)}; fetch what is not delivered."
        )


def fetch(
    bill: Path,
    *,
    offers: OffersAddress,
    key: OwnKey,
    home: Home = HOME,
    json_path: JsonPath = None,
) -> None:
    """Close your direct trades and be paid: what you sold by your bill's readings, what you bought and did not get.

    Example: commonwatt fetch bills/home-05.json --offers ADDRESS --key my.key --contract ADDRESS

    Parameters
    ----------
    bill
        A bill of the member, or an excerpt, with the readings of the slots that it sold.
    """
    from commonwatt.member import dealing

    found = dealing.fetch(_at(bill, home, offers, key))
    if json_path:
        sent = f"0x{found.receipt.transaction.hex()}" if found.receipt else None
        write_json({"released": found.released, "refunded": found.refunded, "transaction": sent}, json_path)
    if json_path != "-":
        paid = "paid" if found.receipt else "nothing to be paid yet"
        sales = many(found.released, "sale")
        say(f"{sales} closed by your reading, {found.refunded} for which none came in time: {paid}.")


def energy(name: str, text: str) -> int:
    """Energy of the option `name` [Wh], given in kWh, exactly."""
    from commonwatt.units import MAX_ORDER_WH, micro

    try:
        wh, rest = divmod(micro(text, least=1, most=MAX_ORDER_WH * 1000), 1000)
    except ValueError as error:
        raise ConfigError("The request", [Finding(name, str(error))]) from None
    if rest:
        raise ConfigError("The request", [Finding(name, f"is {text}, but energy is counted in whole Wh")])
    return wh


def _at(bill: Path, home: Home, offers: str, key: Path | None) -> At:
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.member.dealing import At

    address = one_address("offers", offers)
    return At(bill, home.chain(bill), home.pins, address, read_key(key) if key else None)


def _as_json(each: Listed) -> dict[str, Any]:
    made = each.offer
    return {
        "id": f"0x{made.id.hex()}",
        "seller": made.seller,
        "slot": made.slot,
        "wh": made.wh,
        "price": each.price,
        "payment": each.payment,
    }
