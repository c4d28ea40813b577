"""The words of mandates and orders: plain sentences in English or German, made from the exact integers that are signed.

A wallet shows its owner the words beside the numbers; whoever files the record makes them anew and compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from commonwatt.errors import RecordError
from commonwatt.proof import checksum_address
from commonwatt.records import BUY, SELL, Mandate, Order
from commonwatt.units import price_text

ENGLISH: Final = {
    "minute": "{count} minute",
    "minutes": "{count} minutes",
    "second": "{count} second",
    "seconds": "{count} seconds",
    "may buy": "Buy at most {buy} per {length} at up to {max_buy}.",
    "may buy nothing": "Buy nothing.",
    "may sell": "Sell at most {sell} per {length} from {min_sell}.",
    "may sell nothing": "Sell nothing.",
    "valid": "Valid from {begin} until {end} ({zone}).",
    "agent": "Agent {agent}.",
    "buy": "Buy at most {wh} from {start} for {length} ({zone}), at no more than {limit}.",
    "sell": "Sell at most {wh} from {start} for {length} ({zone}), at no less than {limit}.",
    "cancel to buy": "Cancel my order to buy from {start} for {length} ({zone}).",
    "cancel to sell": "Cancel my order to sell from {start} for {length} ({zone}).",
    "void": "Void from {expiry} on.",
    "number": "Number {nonce}: the highest number counts.",
}
GERMAN: Final = {
    "minute": "{count} Minute",
    "minutes": "{count} Minuten",
    "second": "{count} Sekunde",
    "seconds": "{count} Sekunden",
    "may buy": "Höchstens {buy} je {length} kaufen, zu höchstens {max_buy}.",
    "may buy nothing": "Nichts kaufen.",
    "may sell": "Höchstens {sell} je {length} verkaufen, zu mindestens {min_sell}.",
    "may sell nothing": "Nichts verkaufen.",
    "valid": "Gültig ab {begin} bis {end} ({zone}).",
    "agent": "Agent {agent}.",
    "buy": "Höchstens {wh} kaufen, ab {start} für {length} ({zone}), zu höchstens {limit}.",
    "sell": "Höchstens {wh} verkaufen, ab {start} für {length} ({zone}), zu mindestens {limit}.",
    "cancel to buy": "Meinen Auftrag zum Kauf ab {start} für {length} ({zone}) zurückziehen.",
    "cancel to sell": "Meinen Auftrag zum Verkauf ab {start} für {length} ({zone}) zurückziehen.",
    "void": "Ungültig ab {expiry}.",
    "number": "Nummer {nonce}: Die höchste Nummer gilt.",
}
LANGUAGES: Final[Mapping[str, Mapping[str, str]]] = {"en": ENGLISH, "de": GERMAN}
"""Sentences by language (ISO 639-1)."""


def mandate_text(
    mandate: Mandate, currency: str, timezone: str, slot_seconds: int = 900, unit: int = 1, language: str = "en"
) -> str:
    """What `mandate` allows, as the wallet shows it; its own `text` is not looked at.

    currency : of the prices; timezone : in which the validity is told; slot_seconds : length of a slot [s]
    unit : of the mandate's prices [micro-currency]; language : one of `LANGUAGES`
    Raises RecordError when the validity has no end that a calendar knows.
    """
    sentences = (
        "may buy" if mandate.buy_wh else "may buy nothing",
        "may sell" if mandate.sell_wh else "may sell nothing",
        "valid",
        "agent",
    )
    return _told(
        language,
        sentences,
        buy=_energy(mandate.buy_wh),
        sell=_energy(mandate.sell_wh),
        length=_length(slot_seconds, language),
        max_buy=_price(mandate.max_buy * unit, currency, language),
        min_sell=_price(mandate.min_sell * unit, currency, language),
        begin=_moment(mandate.valid_from, timezone, language, "The mandate's validity"),
        end=_moment(mandate.valid_until, timezone, language, "The mandate's validity"),
        zone=timezone,
        agent=checksum_address(mandate.agent),
    )


def order_text(
    order: Order, currency: str, timezone: str, slot_seconds: int = 900, unit: int = 1, language: str = "en"
) -> str:
    """What `order` wishes, as the member's own wallet shows it; its own `text` is not looked at. The rest is as above.

    Raises RecordError for what no sentence can say: a third side, a limit of an order that cancels, or a time beyond
    the calendar.
    """
    if order.side not in (BUY, SELL):
        raise RecordError("An order is to buy or to sell.")
    if order.limit and not order.wh:
        raise RecordError("An order of 0 Wh cancels, and has the limit 0.")
    side = "buy" if order.side == BUY else "sell"
    return _told(
        language,
        (side if order.wh else f"cancel to {side}", "void", "number"),
        wh=_energy(order.wh),
        start=_moment(order.slot, timezone, language, "The order's slot"),
        length=_length(slot_seconds, language),
        zone=timezone,
        limit=_price(order.limit * unit, currency, language),
        expiry=_moment(order.expiry, timezone, language, "The order's expiry"),
        nonce=str(order.nonce),
    )


def check_mandate(mandate: Mandate, currency: str, timezone: str, slot_seconds: int = 900, unit: int = 1) -> None:
    """Raise RecordError unless the mandate's words say what its integers say, and its validity is a period."""
    if mandate.valid_from >= mandate.valid_until:
        raise RecordError("The mandate ends before it begins.")
    _require(
        mandate.text,
        "mandate",
        lambda language: mandate_text(mandate, currency, timezone, slot_seconds, unit, language),
    )


def check_order(order: Order, currency: str, timezone: str, slot_seconds: int = 900, unit: int = 1) -> None:
    """Raise RecordError unless the words of a member's own order say what its integers say."""
    _require(order.text, "order", lambda language: order_text(order, currency, timezone, slot_seconds, unit, language))


def signer_of(order: Order, mandate: Mandate) -> bytes:
    """Who has to sign the order [address]: words are for a person, so with them the member itself, else its agent."""
    return order.member if order.text else mandate.agent


def _require(text: str, what: str, told: Callable[[str], str]) -> None:
    if all(text != told(language) for language in LANGUAGES):
        raise RecordError(f"The words of the {what} do not say what its numbers say.")


def _told(language: str, sentences: tuple[str, ...], **facts: str) -> str:
    words = LANGUAGES[language]
    return " ".join(words[sentence].format(**facts) for sentence in sentences)


def _energy(wh: int) -> str:
    return f"{wh:,} Wh".replace(",", " ")


def _price(micro: int, currency: str, language: str) -> str:
    amount = price_text(micro)
    return f"{amount.replace('.', ',') if language == 'de' else amount} {currency}/kWh"


def _length(seconds: int, language: str) -> str:
    count, name = (seconds, "second") if seconds % 60 else (seconds // 60, "minute")
    return _told(language, (name if count == 1 else f"{name}s",), count=str(count))


def _moment(instant: int, timezone: str, language: str, what: str) -> str:
    """Local time with its offset, so that the hour which clocks repeat is told apart; seconds only if there are any."""
    try:
        local = datetime.fromtimestamp(instant, ZoneInfo(timezone))
    except (ValueError, OverflowError, OSError):
        raise RecordError(f"{what} is beyond the calendar; choose one before the year 9999.") from None
    if language == "de":
        return f"{local:%d.%m.%Y} {local:{'%H:%M:%S' if instant % 60 else '%H:%M'}} (UTC{local:%z})"
    return local.isoformat(" ", "seconds" if instant % 60 else "minutes")
