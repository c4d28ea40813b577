"""The words of a mandate: one plain sentence per field, made from the exact integers that are signed."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from commonwatt.errors import RecordError
from commonwatt.proof import checksum_address
from commonwatt.records import Mandate
from commonwatt.units import decimal_text


def mandate_text(mandate: Mandate, currency: str, timezone: str, slot_seconds: int = 900, unit: int = 1) -> str:
    """What `mandate` allows, as the wallet shows it; its own `text` is not looked at.

    currency : of the prices; timezone : in which the validity is told; slot_seconds : length of a slot [s]
    unit : of the mandate's prices [micro-currency]
    Raises RecordError when the validity has no end that a calendar knows.
    """
    slot = f"{slot_seconds // 60} minutes" if slot_seconds % 60 == 0 else f"{slot_seconds} seconds"
    buy, sell = (f"{wh:,} Wh".replace(",", " ") for wh in (mandate.buy_wh, mandate.sell_wh))
    highest, lowest = (f"{decimal_text(price * unit)} {currency}/kWh" for price in (mandate.max_buy, mandate.min_sell))
    return " ".join(
        [
            f"Buy at most {buy} per {slot} at up to {highest}." if mandate.buy_wh else "Buy nothing.",
            f"Sell at most {sell} per {slot} from {lowest}." if mandate.sell_wh else "Sell nothing.",
            f"Valid from {_moment(mandate.valid_from, timezone)} until {_moment(mandate.valid_until, timezone)} "
            f"({timezone}).",
            f"Agent {checksum_address(mandate.agent)}.",
        ]
    )


def check_mandate(mandate: Mandate, currency: str, timezone: str, slot_seconds: int = 900, unit: int = 1) -> None:
    """Raise RecordError unless the mandate's words say what its integers say, and its validity is a period."""
    if mandate.valid_from >= mandate.valid_until:
        raise RecordError("The mandate ends before it begins.")
    if mandate.text != mandate_text(mandate, currency, timezone, slot_seconds, unit):
        raise RecordError("The words of the mandate do not say what its numbers say.")


def _moment(instant: int, timezone: str) -> str:
    """Local time with its offset, so that the hour which clocks repeat is told apart; seconds only if there are any."""
    try:
        local = datetime.fromtimestamp(instant, ZoneInfo(timezone))
    except (ValueError, OverflowError, OSError):
        raise RecordError(
            "The mandate's validity is beyond the calendar; choose an end before the year 9999."
        ) from None
    return local.isoformat(" ", "seconds" if instant % 60 else "minutes")
